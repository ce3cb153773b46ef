//! Clients that ask for too much.

use std::time::Duration;

use super::cluster::{Cluster, create, read, set, sid, write};
use crate::peer::{Answer, CloseReason, ConfigError, PeerEvent, ReadLevel, Request};
use crate::types::{Acl, CreateMode, ErrorCode, Identity, Password, Read, Refusal, SessionId, Write};

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
fn scn_59_a_connection_that_has_no_session_or_is_closed_can_ask_for_nothing() {
    let mut cluster = Cluster::running(1);
    let keeper = cluster.connect(sid(1));
    let nobody = cluster.begin_connect(sid(1), None);
    // Its session is on its way.
    cluster.send(nobody, write(create("/too-early", CreateMode::PERSISTENT)));
    cluster.run_until("attached", |c| c.clients[&nobody].connected.is_some());
    cluster.send(nobody, Request::CloseSession);
    let late = cluster.send(nobody, write(create("/behind-the-end", CreateMode::PERSISTENT)));
    cluster.run_until("closed", |c| c.clients[&nobody].closed.is_some());
    cluster.send(nobody, write(create("/too-late", CreateMode::PERSISTENT)));
    let refused = cluster.begin_connect(sid(1), Some((SessionId::from_u64(99), Password::new([0; 16]))));
    cluster.run_until("refused", |c| c.clients[&refused].closed == Some(CloseReason::Expired));
    cluster.send(refused, write(create("/not-proved", CreateMode::PERSISTENT)));
    cluster.run_for(Duration::from_millis(100));
    for path in ["/too-early", "/behind-the-end", "/too-late", "/not-proved"] {
        assert!(!cluster.exists(keeper, path), "{path}");
    }
    let answered = cluster.clients[&nobody].replies.get(&late);
    assert!(answered.is_none_or(|(_, result)| result.is_err()));
}

#[test]
fn there_are_so_many_sessions_and_no_more() {
    let mut cluster = Cluster::new(3).tuned(|config| config.limits.sessions = 3).run();
    let clients = [1, 2, 3].map(|server| cluster.connect(sid(server)));
    let refused = cluster.begin_connect(sid(1), None);
    cluster.run_until("refused", |c| c.clients[&refused].closed.is_some());
    assert_eq!(cluster.clients[&refused].closed, Some(CloseReason::NotServing));
    // Who has a session comes back to it.
    let session = cluster.session(clients[1]);
    let back = cluster.begin_connect(sid(3), Some(session));
    cluster.run_until("resumed", |c| c.clients[&back].connected.is_some());
    cluster.ask(clients[0], Request::CloseSession).unwrap();
    cluster.connect(sid(2));
}

#[test]
fn when_many_sessions_expire_at_once_the_writes_of_others_come_in_between() {
    const MANY: u64 = 1_200;
    let mut cluster = Cluster::running(1);
    let silent: Vec<_> = (0..MANY).map(|_| cluster.begin_connect(sid(1), None)).collect();
    cluster.run_until("all have a session", |c| silent.iter().all(|one| c.clients[one].connected.is_some()));
    let writer = cluster.connect(sid(1));
    cluster.create(writer, "/n", CreateMode::PERSISTENT);
    let expired = |c: &Cluster| {
        c.events.iter().filter(|(_, event)| matches!(event, PeerEvent::SessionExpired { .. })).count()
    };
    while expired(&cluster) == 0 {
        cluster.ask(writer, Request::Ping).unwrap();
        cluster.run_for(Duration::from_millis(1));
    }
    let first = expired(&cluster);
    assert!(first <= 500, "{first} in one turn");
    cluster.ask(writer, write(set("/n", "x"))).unwrap();
    assert!(expired(&cluster) < MANY as usize, "it waited for all of them");
    cluster.run_until("all have expired", |c| expired(c) == MANY as usize && c.status(sid(1)).sessions == 1);
}

#[test]
fn scn_30_a_leader_that_cannot_make_out_a_request_resets_the_link_it_came_on() {
    let mut cluster = Cluster::running(3);
    let leader = cluster.leader().unwrap();
    let [hostile, other] = match leader.number() {
        1 => [2, 3],
        2 => [1, 3],
        _ => [1, 2],
    }
    .map(sid);
    let (client, bystander) = (cluster.connect(hostile), cluster.connect(other));
    cluster.events.clear();
    cluster.forward_nonsense(hostile);
    cluster.run_until("detached", |c| c.clients[&client].closed == Some(CloseReason::NotServing));
    let told =
        |event: &PeerEvent| matches!(event, PeerEvent::PeerMisbehaved { peer, .. } if *peer == hostile);
    assert!(cluster.events.iter().any(|(server, event)| *server == leader && told(event)));
    cluster.await_serving();
    cluster.create(bystander, "/n", CreateMode::PERSISTENT);
    assert_eq!(cluster.clients[&bystander].closed, None, "the others go on");
    let session = cluster.session(client);
    let back = cluster.begin_connect(hostile, Some(session));
    cluster.run_until("back", |c| c.clients[&back].connected.is_some());
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
