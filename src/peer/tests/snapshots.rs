//! Snapshots, taken and received, while the service goes on.

use std::time::Duration;

use super::cluster::{Cluster, sid};
use crate::peer::{PeerConfig, PeerEvent};
use crate::types::{CreateMode, ServerId};

/// Snapshots often and in small pieces, and a short memory for what went before.
fn tight(config: &mut PeerConfig) {
    config.limits.snapshot_every = 10;
    config.limits.snapshot_chunk = 200;
    config.limits.log_window = 5;
}

/// Three servers; the last of them misses more than the leader's log keeps.
fn far_behind() -> (Cluster, ServerId) {
    let mut cluster = Cluster::new(3).tuned(tight).run();
    let leader = cluster.leader().unwrap();
    let late = [1, 2, 3].map(sid).into_iter().find(|server| *server != leader).unwrap();
    cluster.stop(late);
    let client = cluster.connect(leader);
    for number in 0..100 {
        cluster.create(client, &format!("/n{number}"), CreateMode::PERSISTENT);
    }
    cluster.run_for(Duration::from_secs(2));
    cluster.events.clear();
    (cluster, late)
}

fn sent_whole_state(cluster: &Cluster) -> bool {
    let snap = |event: &PeerEvent| matches!(event, PeerEvent::LearnerSync { mode: "SNAP", .. });
    cluster.events.iter().any(|(_, event)| snap(event))
}

#[test]
fn a_server_too_far_behind_is_given_the_whole_state() {
    let (mut cluster, late) = far_behind();
    cluster.start(late);
    cluster.await_serving();
    assert!(sent_whole_state(&cluster));
    let leader = cluster.leader().unwrap();
    assert_eq!(cluster.status(late).digest, cluster.status(leader).digest);

    // It is in its storage too.
    cluster.stop(late);
    cluster.start(late);
    assert!(cluster.status(late).znodes > 100);
}

#[test]
fn scn_14_a_transfer_cut_off_at_any_piece_leaves_the_server_as_it_was_or_level() {
    let mut cut_off = 0;
    for late_by in 0..60 {
        let (mut cluster, late) = far_behind();
        let before = cluster.disk(late);
        let tip = futures::executor::block_on(crate::storage::Storage::recover(&before)).unwrap().tip();
        cluster.start(late);
        cluster.run_for(Duration::from_micros(late_by * 1_500));
        cluster.stop(late);
        cluster.start(late);
        let logged = cluster.status(late).logged;
        cut_off += u32::from(logged == tip && sent_whole_state(&cluster));
        let leader = cluster.leader().unwrap();
        let whole = cluster.status(leader).logged;
        assert!(logged == tip || logged > tip && cluster.status(late).applied > tip && logged <= whole);
        cluster.await_serving();
        assert_eq!(cluster.status(late).digest, cluster.status(leader).digest);
    }
    assert!(cut_off > 5, "only {cut_off} transfers were cut off");
}

#[test]
fn a_leader_lost_in_the_middle_of_a_transfer_is_replaced_and_the_transfer_begins_anew() {
    for late_by in 0..60 {
        let (mut cluster, late) = far_behind();
        cluster.start(late);
        cluster.run_for(Duration::from_micros(late_by * 1_500));
        let leader = cluster.leader().unwrap();
        cluster.stop(leader);
        cluster.run_until("another leads", |c| c.leader().is_some());
        cluster.await_serving();
        cluster.start(leader);
        cluster.await_serving();
        assert_eq!(cluster.status(late).digest, cluster.status(leader).digest);
        assert!(cluster.status(late).znodes > 100);
    }
}

#[test]
fn a_transfer_that_was_given_up_does_not_keep_a_server_from_snapshots_of_its_own() {
    let mut given_up = 0;
    for late_by in 0..20 {
        // Server 2 keeps its whole log, so that it can bring server 1 level without a snapshot.
        let mut cluster = Cluster::new(3)
            .tuned(|config| {
                tight(config);
                if config.server == sid(2) {
                    config.limits.snapshot_every = u64::MAX;
                }
            })
            .run();
        assert_eq!(cluster.leader(), Some(sid(3)));
        let before = cluster.status(sid(1)).logged;
        cluster.stop(sid(1));
        let client = cluster.connect(sid(3));
        for number in 0..100 {
            cluster.create(client, &format!("/n{number}"), CreateMode::PERSISTENT);
        }
        cluster.run_for(Duration::from_secs(1));
        cluster.start(sid(1));
        cluster.run_for(Duration::from_millis(late_by * 3));
        given_up += u32::from(sent_whole_state(&cluster) && cluster.status(sid(1)).logged == before);
        cluster.stop(sid(3));
        cluster.run_until("2 leads", |c| c.leader() == Some(sid(2)));
        cluster.await_serving();
        cluster.events.clear();
        let client = cluster.connect(sid(2));
        for number in 0..25 {
            cluster.create(client, &format!("/m{number}"), CreateMode::PERSISTENT);
        }
        cluster.run_for(Duration::from_secs(1));
        let saved = |(server, event): &(ServerId, PeerEvent)| {
            *server == sid(1) && matches!(event, PeerEvent::SnapshotSaved { .. })
        };
        assert!(cluster.events.iter().any(saved), "{late_by}: no snapshot in 25 transactions");
    }
    assert!(given_up > 3, "only {given_up} transfers were interrupted");
}
