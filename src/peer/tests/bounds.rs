//! Clients that ask for too much.

use std::time::Duration;

use super::cluster::{Cluster, create, read, set, sid, write};
use crate::peer::{Answer, CloseReason, ConfigError, ReadLevel, Request};
use crate::types::{Acl, CreateMode, ErrorCode, Identity, Read, Refusal, Write};

fn code(result: Result<Answer, Refusal>) -> Option<ErrorCode> {
    result.err().map(|refusal| refusal.code)
}

#[test]
fn a_write_too_large_for_a_frame_is_refused_and_leaves_no_trace() {
    let mut cluster = Cluster::running(3);
    let name = format!("/{}", "x".repeat(17 << 20));
    for server in [1, 2, 3] {
        let client = cluster.connect(sid(server));
        let parent = format!("/parent-{server}");
        let large = Write::Multi(vec![
            create(&parent, CreateMode::PERSISTENT),
            Write::Create {
                path: name.as_str().into(),
                data: None,
                acl: Acl::open(),
                mode: CreateMode::PERSISTENT,
            },
        ]);
        let tag = cluster.send(client, write(large));
        // Judged against what is proposed and not applied: the parent must not be among it.
        let child = cluster.ask(client, write(create(&format!("{parent}/child"), CreateMode::PERSISTENT)));
        assert_eq!(code(child), Some(ErrorCode::NoNode));
        assert_eq!(code(cluster.clients[&client].replies[&tag].1.clone()), Some(ErrorCode::BadArguments));
        cluster.create(client, &parent, CreateMode::PERSISTENT);
    }
}

#[test]
fn an_acl_that_grows_too_large_on_the_leader_is_refused_there() {
    let mut cluster = Cluster::running(3);
    for server in [1, 2, 3] {
        let client = cluster.connect(sid(server));
        for number in 0..50 {
            let identity = Identity::new("digest", &format!("{number}:{}", "h".repeat(2_000)));
            cluster.ask(client, Request::AddIdentity(identity)).unwrap();
        }
        let parent = format!("/parent-{server}");
        let mut writes = vec![create(&parent, CreateMode::PERSISTENT)];
        writes.extend((0..400).map(|number| Write::Create {
            path: format!("{parent}/{number}").into(),
            data: None,
            acl: Acl::creator_only(),
            mode: CreateMode::PERSISTENT,
        }));
        cluster.send(client, write(Write::Multi(writes)));
        let child = cluster.ask(client, write(create(&format!("{parent}/child"), CreateMode::PERSISTENT)));
        assert_eq!(code(child), Some(ErrorCode::NoNode));
    }
}

#[test]
fn a_multi_within_a_multi_is_answered_whatever_the_server() {
    let mut cluster = Cluster::running(3);
    for server in [1, 2, 3] {
        let client = cluster.connect(sid(server));
        let nested = Write::Multi(vec![create("/a", CreateMode::PERSISTENT), Write::Multi(vec![])]);
        let refusal = cluster.ask(client, write(nested)).unwrap_err();
        assert_eq!((refusal.code, refusal.operation), (ErrorCode::MarshallingError, Some(1)));
    }
}

#[test]
fn a_client_has_so_many_identities_and_no_more() {
    let mut cluster = Cluster::new(1).tuned(|config| config.limits.identities_per_client = 3).run();
    let client = cluster.connect(sid(1));
    let identity = |number: u32| Request::AddIdentity(Identity::new("digest", &format!("{number}:x")));
    for number in [1, 2, 3, 2] {
        assert_eq!(cluster.ask(client, identity(number)), Ok(Answer::Done));
    }
    assert_eq!(code(cluster.ask(client, identity(4))), Some(ErrorCode::Throttled));
    let Ok(Answer::Identities(known)) = cluster.ask(client, Request::WhoAmI) else { panic!() };
    assert_eq!(known.len(), 3);
}

#[test]
fn a_leader_without_a_quorum_takes_on_so_many_bytes_and_no_more() {
    let mut cluster = Cluster::new(3).tuned(|config| config.limits.outstanding_len = 10_000).run();
    let leader = cluster.leader().unwrap();
    let client = cluster.connect(leader);
    cluster.create(client, "/n", CreateMode::PERSISTENT);
    cluster.isolate(leader);
    let tags: Vec<_> = (0..300)
        .map(|_| cluster.send(client, write(set("/n", "a text of thirty-two bytes, or so"))))
        .collect();
    cluster.run_for(Duration::from_millis(100));
    cluster.heal();
    cluster
        .run_until("all answered", |c| tags.iter().all(|tag| c.clients[&client].replies.contains_key(tag)));
    let refused = |tag: &&u64| cluster.clients[&client].replies[tag].1 == Err(ErrorCode::Throttled.into());
    let first = tags.iter().position(|tag| refused(&tag)).unwrap();
    assert!((50..200).contains(&first), "refused from {first} on");
    assert!(tags[first..].iter().all(|tag| refused(&tag)));
}

#[test]
fn what_is_kept_back_behind_a_read_has_a_bound() {
    let mut cluster = Cluster::new(3).tuned(|config| config.limits.outstanding_len = 10_000).run();
    let follower = [1, 2, 3].map(sid).into_iter().find(|server| Some(*server) != cluster.leader()).unwrap();
    let client = cluster.connect(follower);
    cluster.isolate(follower);
    cluster.send(client, Request::Sync);
    for _ in 0..100 {
        cluster.send(client, write(set("/n", "x")));
    }
    assert_eq!(cluster.clients[&client].closed, Some(CloseReason::Overloaded));
}

#[test]
fn a_client_with_too_many_requests_is_let_go() {
    let mut cluster = Cluster::new(3).tuned(|config| config.limits.requests_per_client = 10).run();
    let client = cluster.connect(sid(1));
    for _ in 0..10 {
        cluster.send(client, write(set("/n", "x")));
    }
    assert_eq!(cluster.clients[&client].closed, None);
    cluster.send(client, Request::Ping);
    assert_eq!(cluster.clients[&client].closed, Some(CloseReason::Overloaded));
}

#[test]
fn a_refusal_keeps_its_place_and_the_zxids_their_order() {
    // The harness compares the zxids of all replies.
    let mut cluster = Cluster::new(3).tuned(|config| config.limits.outstanding = 1).run();
    for server in [1, 2, 3] {
        let client = cluster.connect(sid(server));
        let path = format!("/n{server}");
        let taken = cluster.send(client, write(create(&path, CreateMode::PERSISTENT)));
        let refused = cluster.send(client, write(set(&path, "x")));
        let seen = cluster.send(client, read(Read::Exists { path: path.as_str().into() }));
        cluster.run_until("answers", |c| c.clients[&client].replies.contains_key(&seen));
        let replies = &cluster.clients[&client].replies;
        assert!(replies[&taken].1.is_ok() && replies[&seen].1.is_ok());
        assert_eq!(code(replies[&refused].1.clone()), Some(ErrorCode::Throttled));
    }
}

#[test]
fn a_leader_that_spent_its_counter_waits_without_spinning_for_sessions_it_cannot_end() {
    // The harness looks after every timeout whether the next one lies ahead.
    let mut cluster = Cluster::new(3).tuned(|config| config.limits.last_counter = 6).run();
    let leader = cluster.leader().unwrap();
    let silent = cluster.connect(leader);
    cluster.run_for(Duration::from_millis(4_800));
    let writer = cluster.connect(leader);
    cluster.create(writer, "/n", CreateMode::PERSISTENT);
    cluster.isolate(leader);
    for _ in 0..10 {
        cluster.send(writer, Request::Write { write: set("/n", "x"), number: None });
    }
    cluster.run_for(Duration::from_millis(800));
    assert_eq!(cluster.leader(), Some(leader), "it still hopes");
    cluster.heal();
    cluster.run_until("expired", |c| c.clients[&silent].closed.is_some());
    cluster.run_for(Duration::from_secs(10));
    cluster.await_serving();
}

#[test]
fn a_limit_that_no_frame_could_keep_is_no_configuration() {
    let mut cluster = Cluster::running(1);
    let client = cluster.connect(sid(1));
    assert!(
        cluster
            .ask(
                client,
                Request::Read { read: Read::Get { path: "/".into() }, level: ReadLevel::Local, watch: false }
            )
            .is_ok()
    );
    let mut config = cluster.peer(sid(1)).config.clone();
    assert_eq!(config.validate(), Ok(()));
    config.limits.data_len = 16 << 20;
    assert_eq!(config.validate(), Err(ConfigError::LargeLimit("data_len")));
    config.limits.data_len = 4 << 20;
    config.limits.snapshot_every = 0;
    assert_eq!(config.validate(), Err(ConfigError::ZeroLimit("snapshot_every")));
    config.limits.snapshot_every = 1;
    config.timing.tick = Duration::MAX;
    assert_eq!(config.validate(), Ok(()));
    let _does_not_overflow = crate::peer::protocol::zab_config(&config);
}
