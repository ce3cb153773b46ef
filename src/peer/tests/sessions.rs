//! Sessions, as clients see them.

use std::time::Duration;

use super::cluster::{Cluster, create, sid, write};
use crate::peer::{CloseReason, Request};
use crate::types::{ClientId, CreateMode, Password, Time};

/// The client says that it lives, every second.
fn keep_alive(cluster: &mut Cluster, client: ClientId, seconds: u64) {
    for _ in 0..seconds {
        cluster.send(client, Request::Ping);
        cluster.run_for(Duration::from_secs(1));
    }
}

#[test]
fn an_ephemeral_goes_with_its_session() {
    let mut cluster = Cluster::running(3);
    let (owner, other) = (cluster.connect(sid(1)), cluster.connect(sid(2)));
    cluster.create(owner, "/e", CreateMode::EPHEMERAL);
    cluster.ask(other, Request::Sync).unwrap();
    assert!(cluster.exists(other, "/e"));
    cluster.ask(owner, Request::CloseSession).unwrap();
    assert_eq!(cluster.clients[&owner].closed, Some(CloseReason::ClosedByClient));
    cluster.ask(other, Request::Sync).unwrap();
    assert!(!cluster.exists(other, "/e"));
}

#[test]
fn a_silent_session_expires_after_its_timeout_and_not_before() {
    let mut cluster = Cluster::running(3);
    let (silent, alive) = (cluster.connect(sid(1)), cluster.connect(sid(2)));
    cluster.create(silent, "/e", CreateMode::EPHEMERAL);
    let last_heard = cluster.now;
    keep_alive(&mut cluster, alive, 4);
    assert!(cluster.exists(alive, "/e"));
    while cluster.exists(alive, "/e") {
        cluster.run_for(Duration::from_millis(10));
        assert!(cluster.now < last_heard + Duration::from_secs(6), "it never expires");
    }
    assert!(
        cluster.now >= last_heard + Duration::from_secs(5),
        "expired after {:?}",
        cluster.now.since(last_heard)
    );
    assert_eq!(cluster.clients[&silent].closed, Some(CloseReason::Expired));
}

#[test]
fn a_sign_of_life_just_before_the_deadline_counts() {
    // Half a tick, after which servers count whom they heard from, does not divide the timeout.
    let mut cluster = Cluster::new(3).tuned(|config| config.timing.tick = Duration::from_millis(300)).run();
    let leader = cluster.leader().unwrap();
    let client = cluster.connect(leader);
    for round in 0..20 {
        cluster.run_for(Duration::from_millis(4_980));
        cluster.ask(client, Request::Ping).unwrap();
        cluster.run_for(Duration::from_millis(7 * round));
        assert_eq!(cluster.clients[&client].closed, None, "in round {round}");
        cluster.ask(client, Request::Ping).unwrap();
    }
}

#[test]
fn a_session_has_a_full_timeout_again_after_a_change_of_leader() {
    let mut cluster = Cluster::running(3);
    let leader = cluster.leader().unwrap();
    let survivor = [1, 2, 3].map(sid).into_iter().find(|server| *server != leader).unwrap();
    let owner = cluster.connect(survivor);
    cluster.create(owner, "/e", CreateMode::EPHEMERAL);
    cluster.run_for(Duration::from_millis(4_500));
    cluster.stop(leader);
    cluster.run_until("another leads", |c| c.leader().is_some_and(|new| new != leader));
    let began: Time = cluster.now;
    cluster.await_serving();
    let alive = cluster.connect(survivor);
    while cluster.exists(alive, "/e") {
        cluster.run_for(Duration::from_millis(10));
    }
    assert!(cluster.now >= began + Duration::from_secs(5));
}

#[test]
fn a_wrong_password_takes_nothing_from_the_owner() {
    let mut cluster = Cluster::running(3);
    let owner = cluster.connect(sid(1));
    let (session, _) = cluster.session(owner);
    for server in [1, 2, 3] {
        let thief = cluster.begin_connect(sid(server), Some((session, Password::new([0; 16]))));
        cluster.run_until("refused", |c| c.clients[&thief].closed.is_some());
        assert_eq!(cluster.clients[&thief].closed, Some(CloseReason::Expired));
    }
    assert_eq!(cluster.clients[&owner].closed, None);
    cluster.create(owner, "/mine", CreateMode::EPHEMERAL);
}

#[test]
fn a_session_moves_and_its_old_connection_ends() {
    let mut cluster = Cluster::running(3);
    let old = cluster.connect(sid(1));
    let (session, password) = cluster.session(old);
    cluster.create(old, "/e", CreateMode::EPHEMERAL);
    let new = cluster.begin_connect(sid(2), Some((session, password)));
    cluster.run_until("moved", |c| c.clients[&new].connected.is_some() && c.clients[&old].closed.is_some());
    assert_eq!(cluster.clients[&old].closed, Some(CloseReason::Moved));
    let connected = cluster.clients[&new].connected.as_ref().unwrap();
    assert_eq!((connected.session, connected.resumed), (session, true));
    keep_alive(&mut cluster, new, 10);
    assert!(cluster.exists(new, "/e"));
}

#[test]
fn scn_54_nothing_of_a_session_follows_its_end() {
    let mut cluster = Cluster::running(3);
    for server in [1, 2, 3] {
        let client = cluster.connect(sid(server));
        let path = format!("/orphan-{server}");
        cluster.send(client, Request::CloseSession);
        cluster.send(client, write(create(&path, CreateMode::EPHEMERAL)));
        cluster.run_for(Duration::from_secs(1));
        let other = cluster.connect(sid(1));
        cluster.ask(other, Request::Sync).unwrap();
        assert!(!cluster.exists(other, &path));
    }
}

#[test]
fn scn_60_expiry_and_reconnect_race_to_one_end() {
    // The client moves at every millisecond around its deadline: it is expired or lives a full timeout on.
    for late in 0..40 {
        let mut cluster = Cluster::new(3).seeded(late).run();
        let old = cluster.connect(sid(1));
        let (session, password) = cluster.session(old);
        cluster.create(old, "/e", CreateMode::EPHEMERAL);
        let observer = cluster.connect(sid(3));
        cluster.run_for(Duration::from_millis(4_950 + late * 5));
        let new = cluster.begin_connect(sid(2), Some((session, password)));
        cluster
            .run_until("an end", |c| c.clients[&new].connected.is_some() || c.clients[&new].closed.is_some());
        if cluster.clients[&new].connected.is_some() {
            cluster.run_for(Duration::from_millis(4_900));
            let reader = cluster.connect(sid(1));
            assert!(cluster.exists(reader, "/e"), "{late}: valid, and lives");
        } else {
            assert_eq!(cluster.clients[&new].closed, Some(CloseReason::Expired));
            let reader = cluster.connect(sid(1));
            assert!(!cluster.exists(reader, "/e"), "{late}: expired, and gone");
        }
        let _watches_nothing = observer;
    }
}

#[test]
fn a_client_that_sends_more_behind_the_end_of_its_session_is_told_of_the_end() {
    let mut cluster = Cluster::running(3);
    for server in [1, 2, 3] {
        let client = cluster.connect(sid(server));
        let before =
            cluster.send(client, write(create(&format!("/before-{server}"), CreateMode::PERSISTENT)));
        let close = cluster.send(client, Request::CloseSession);
        cluster.send(client, write(create("/behind", CreateMode::PERSISTENT)));
        cluster.send(client, Request::Sync);
        cluster.run_until("closed", |c| c.clients[&client].closed.is_some());
        let known = &cluster.clients[&client];
        assert_eq!(known.closed, Some(CloseReason::ClosedByClient));
        assert!(known.replies[&before].1.is_ok() && known.replies[&close].1.is_ok());
        assert_eq!(known.replies.len(), 2);
    }
}
