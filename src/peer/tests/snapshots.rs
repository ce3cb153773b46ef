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
    for late_by in 0..60 {
        let (mut cluster, late) = far_behind();
        let before = cluster.disk(late);
        let tip = futures::executor::block_on(crate::storage::Storage::recover(&before)).unwrap().tip();
        cluster.start(late);
        cluster.run_for(Duration::from_millis(100 + late_by));
        cluster.stop(late);
        cluster.start(late);
        let logged = cluster.status(late).logged;
        let leader = cluster.leader().unwrap();
        let whole = cluster.status(leader).logged;
        assert!(logged == tip || logged > tip && cluster.status(late).applied > tip && logged <= whole);
        cluster.await_serving();
        assert_eq!(cluster.status(late).digest, cluster.status(leader).digest);
    }
}

#[test]
fn a_leader_lost_in_the_middle_of_a_transfer_is_replaced_and_the_transfer_begins_anew() {
    for late_by in 0..60 {
        let (mut cluster, late) = far_behind();
        cluster.start(late);
        cluster.run_for(Duration::from_millis(100 + late_by));
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
