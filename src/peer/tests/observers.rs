//! Servers that do not vote, or whose votes do not count.

use std::time::Duration;

use super::cluster::{Cluster, Heard, create, set, sid, write};
use crate::peer::{Answer, Ensemble, Member, ReadLevel, Request, Role};
use crate::types::{CreateMode, Found, Read, WatchEventKind};

fn data(cluster: &mut Cluster, client: crate::types::ClientId, path: &str, level: ReadLevel) -> Vec<u8> {
    let look = Request::Read { read: Read::Get { path: path.into() }, level, watch: false };
    match cluster.ask(client, look) {
        Ok(Answer::Found(Found::Data { data: Some(data), .. })) => data.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_observer_serves_reads_and_watches_and_forwards_writes() {
    let mut cluster = Cluster::of(Ensemble::majority([1, 2, 3].map(sid)).with_observers([4].map(sid))).run();
    assert_eq!(cluster.role(sid(4)), Role::Observing);
    let (here, there) = (cluster.connect(sid(4)), cluster.connect(sid(1)));
    cluster.create(here, "/o", CreateMode::PERSISTENT);
    cluster.ask(there, write(set("/o", "first"))).unwrap();
    assert_eq!(data(&mut cluster, here, "/o", ReadLevel::Linearizable), b"first");
    let watched =
        Request::Read { read: Read::Get { path: "/o".into() }, level: ReadLevel::Session, watch: true };
    cluster.ask(here, watched).unwrap();
    cluster.ask(there, write(set("/o", "second"))).unwrap();
    cluster.ask(here, Request::Sync).unwrap();
    let changed =
        |heard: &Heard| matches!(heard, Heard::Event(event) if event.kind == WatchEventKind::DataChanged);
    assert!(cluster.clients[&here].heard.iter().any(changed));
    assert_eq!(data(&mut cluster, here, "/o", ReadLevel::Session), b"second");

    // Its clients' sessions live as others do, and end as others do.
    let owner = cluster.connect(sid(4));
    cluster.create(owner, "/e", CreateMode::EPHEMERAL);
    for _ in 0..8 {
        cluster.run_for(Duration::from_secs(1));
        cluster.send(here, Request::Ping);
        cluster.send(there, Request::Ping);
    }
    assert!(!cluster.exists(there, "/e"));
    assert_eq!(cluster.clients[&here].closed, None);
}

#[test]
fn an_observer_is_needed_for_nothing_and_decides_nothing() {
    let ensemble = || Ensemble::majority([1, 2, 3].map(sid)).with_observers([4, 5].map(sid));
    let mut cluster = Cluster::of(ensemble());
    for server in [1, 2] {
        cluster.start(sid(server));
    }
    cluster.await_serving();
    let client = cluster.connect(sid(1));
    cluster.create(client, "/a", CreateMode::PERSISTENT);

    // One voter and two observers are three of five servers, and no quorum.
    for server in [4, 5] {
        cluster.start(sid(server));
    }
    cluster.await_serving();
    assert_eq!(cluster.leader(), Some(sid(2)));
    let client = cluster.connect(sid(4));
    cluster.stop(sid(1));
    let tag = cluster.send(client, write(create("/b", CreateMode::PERSISTENT)));
    cluster.run_for(Duration::from_secs(10));
    assert!(!cluster.clients[&client].replies.contains_key(&tag));
    assert_eq!(cluster.leader(), None);
    assert!([4, 5].map(sid).into_iter().all(|observer| cluster.role(observer) == Role::Looking));

    // Alone they elect nobody, however far their histories reach.
    cluster.stop(sid(2));
    cluster.run_for(Duration::from_secs(10));
    assert_eq!(cluster.leader(), None);
    cluster.start(sid(1));
    cluster.start(sid(2));
    cluster.await_serving();
    let client = cluster.connect(sid(5));
    assert!(cluster.exists(client, "/a"));
}

#[test]
fn a_server_of_weight_0_follows_and_counts_for_nothing() {
    let heavy = Member { voting: true, weight: 1, group: 0 };
    let ensemble = Ensemble::default()
        .with_members([1, 2].map(sid), heavy)
        .with_members([3, 4, 5].map(sid), Member { weight: 0, ..heavy });
    let mut cluster = Cluster::of(ensemble).run();
    assert_eq!(cluster.leader(), Some(sid(2)));
    let client = cluster.connect(sid(5));
    cluster.create(client, "/a", CreateMode::PERSISTENT);
    cluster.stop(sid(1));
    let tag = cluster.send(client, write(create("/b", CreateMode::PERSISTENT)));
    cluster.run_for(Duration::from_secs(10));
    assert!(!cluster.clients[&client].replies.contains_key(&tag), "one of two that count is no quorum");
    cluster.start(sid(1));
    cluster.await_serving();
    assert_eq!(cluster.leader(), Some(sid(2)));
}

#[test]
fn one_server_is_a_quorum_by_itself_and_acknowledges_what_is_durable() {
    let mut cluster = Cluster::running(1);
    let client = cluster.connect(sid(1));
    let tag = cluster.send(client, write(create("/a", CreateMode::PERSISTENT)));
    cluster.run_for(Duration::from_micros(499));
    assert!(!cluster.clients[&client].replies.contains_key(&tag));
    cluster.run_for(Duration::from_micros(1));
    assert!(cluster.clients[&client].replies.contains_key(&tag));
    cluster.stop(sid(1));
    cluster.start(sid(1));
    cluster.await_serving();
    let client = cluster.connect(sid(1));
    assert_eq!(data(&mut cluster, client, "/a", ReadLevel::Linearizable), b"/a");
}
