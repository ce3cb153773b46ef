//! Faults that real systems had, played by whole peers. The numbers are those of the catalogue of scenarios.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::executor::block_on;

use super::cluster::{Cluster, Heard, create, read, set, sid, write};
use crate::peer::{Answer, CloseReason, PeerConfig, PeerEvent, Request, Role, WatchRequest};
use crate::storage::Storage;
use crate::types::{
    ClientId, CreateMode, Expected, Found, NumberedRequest, Read, RequestId, ServerId, WatchEventKind, Write,
    Written, ZnodePath, Zxid,
};

fn other_than(servers: [u64; 3], one: ServerId) -> ServerId {
    servers.map(sid).into_iter().find(|server| *server != one).unwrap()
}

/// All servers that run have applied the same and are in the same state.
#[track_caller]
fn agree(cluster: &mut Cluster, servers: &[u64]) {
    let applied =
        |c: &Cluster| servers.iter().map(|server| c.status(sid(*server)).applied).collect::<BTreeSet<_>>();
    cluster.run_until("all have applied the same", |c| applied(c).len() == 1);
    let digests: BTreeSet<u64> = servers.iter().map(|server| cluster.status(sid(*server)).digest).collect();
    assert_eq!(digests.len(), 1);
}

fn often(config: &mut PeerConfig) {
    config.limits.snapshot_every = 1;
    config.limits.snapshot_chunk = 100;
}

#[test]
fn scn_16_a_server_that_lost_its_disk_elects_nobody_until_a_leader_has_given_it_everything() {
    let mut cluster = Cluster::running(3);
    let client = cluster.connect(sid(1));
    cluster.create(client, "/kept", CreateMode::PERSISTENT);
    // Server 1 is down and misses something.
    cluster.stop(sid(1));
    let client = cluster.connect(sid(2));
    cluster.run_until("a leader", |c| c.leader().is_some());
    cluster.create(client, "/acknowledged", CreateMode::PERSISTENT);
    for server in [2, 3] {
        cluster.stop(sid(server));
    }

    // Server 2 comes back without its disk: with 1 it would elect a leader that lacks what was acknowledged.
    cluster.replace_disk(sid(2));
    cluster.start(sid(1));
    cluster.start(sid(2));
    cluster.run_for(Duration::from_secs(20));
    assert_eq!(cluster.leader(), None);
    cluster.start(sid(3));
    cluster.await_serving();
    let client = cluster.connect(sid(2));
    assert!(cluster.exists(client, "/acknowledged"));
    agree(&mut cluster, &[1, 2, 3]);

    // It votes again.
    cluster.stop(sid(3));
    cluster.run_until("a leader", |c| c.leader().is_some());
    cluster.await_serving();
    let client = cluster.connect(sid(1));
    assert!(cluster.exists(client, "/acknowledged"));
}

#[test]
fn scn_21_a_snapshot_holds_nothing_that_is_not_committed() {
    let mut cluster = Cluster::new(3).tuned(often).run();
    let old = cluster.leader().unwrap();
    let client = cluster.connect(old);
    cluster.create(client, "/kept", CreateMode::PERSISTENT);
    cluster.run_for(Duration::from_millis(50));
    let committed = cluster.status(old).applied;
    cluster.isolate(old);
    for number in 0..10 {
        cluster.send(client, write(create(&format!("/lost-{number}"), CreateMode::PERSISTENT)));
    }
    cluster.run_for(Duration::from_secs(5));
    assert!(cluster.status(old).logged > committed);
    let recovered = block_on(cluster.disk(old).recover()).unwrap();
    assert_eq!(recovered.snapshot, Some(committed));
    // It restarts with the tail in its log, loses the election and is rolled back.
    cluster.stop(old);
    cluster.heal();
    cluster.run_until("another leads", |c| c.leader().is_some_and(|leader| leader != old));
    let client = cluster.connect(cluster.leader().unwrap());
    cluster.create(client, "/new", CreateMode::PERSISTENT);
    cluster.start(old);
    cluster.await_serving();
    agree(&mut cluster, &[1, 2, 3]);
    let client = cluster.connect(old);
    assert!(cluster.exists(client, "/kept") && !cluster.exists(client, "/lost-0"));
    cluster.stop(old);
    cluster.start(old);
    cluster.await_serving();
    agree(&mut cluster, &[1, 2, 3]);
}

#[test]
fn scn_22_all_servers_crash_at_any_moment_of_a_change_of_epoch_and_start_again() {
    for micros in (0..80).map(|step| step * 1_500) {
        let mut cluster = Cluster::new(3);
        cluster.start_all();
        cluster.run_for(Duration::from_micros(micros));
        for server in [1, 2, 3] {
            cluster.stop(sid(server));
        }
        cluster.start_all();
        cluster.await_serving();
        let client = cluster.connect(sid(1));
        cluster.create(client, "/a", CreateMode::PERSISTENT);
    }
}

/// The outputs that it takes until all serve again after a follower's restart and after the leader's loss.
fn outputs_of_a_restart(nodes: usize) -> usize {
    let mut cluster = Cluster::running(3);
    let leader = cluster.leader().unwrap();
    let client = cluster.connect(leader);
    for number in 0..nodes {
        cluster.create(client, &format!("/n{number}"), CreateMode::PERSISTENT);
    }
    let follower = other_than([1, 2, 3], leader);
    cluster.stop(follower);
    cluster.run_for(Duration::from_millis(500));
    cluster.record.count.clear();
    cluster.start(follower);
    cluster.await_serving();
    cluster.stop(leader);
    cluster.run_until("another leads", |c| c.leader().is_some_and(|new| new != leader));
    cluster.await_serving();
    let count = &cluster.record.count;
    let heavy = ["SaveSnapshot", "ReadSnapshot", "ReadLog"];
    let heavy: usize =
        count.iter().filter(|((_, kind), _)| heavy.contains(kind)).map(|(_, count)| count).sum();
    assert_eq!(heavy, 0, "{count:?}");
    count.values().sum()
}

#[test]
fn scn_23_a_large_state_makes_no_work_between_election_and_service() {
    let (small, large) = (outputs_of_a_restart(5), outputs_of_a_restart(1_500));
    assert!(large <= small + 10, "{small} outputs with 5 nodes, {large} with 1500");
}

#[test]
fn scn_27_no_vote_rests_on_a_write_that_is_under_way() {
    let mut cluster = Cluster::running(3);
    let leader = cluster.leader().unwrap();
    let follower = other_than([1, 2, 3], leader);
    let client = cluster.connect(leader);
    cluster.run_for(Duration::from_millis(50));
    let before = cluster.status(follower).logged;
    cluster.disk_latency = Duration::from_secs(5);
    cluster.send(client, write(create("/slow", CreateMode::PERSISTENT)));
    cluster.run_for(Duration::from_millis(10));
    cluster.events.clear();
    cluster.stop(leader);
    cluster.run_for(Duration::from_secs(4));
    assert_eq!(cluster.role(follower), Role::Looking);
    assert_eq!(cluster.status(follower).logged, before);
    let started = |(server, event): &(ServerId, PeerEvent)| {
        *server == follower && matches!(event, PeerEvent::ElectionStarted { .. })
    };
    assert!(!cluster.events.iter().any(started), "it says nothing of its history yet");
    cluster.run_for(Duration::from_secs(2));
    assert!(cluster.events.iter().any(|(server, event)| {
        *server == follower
            && matches!(event, PeerEvent::VoteChanged { zxid, .. } if *zxid == before.next().unwrap())
    }));
}

#[test]
fn scn_31_servers_that_cannot_be_reached_keep_nobody_waiting() {
    let mut cluster = Cluster::running(5);
    let leader = cluster.leader().unwrap();
    let deaf: Vec<_> =
        [1, 2, 3, 4, 5].map(sid).into_iter().filter(|server| *server != leader).take(2).collect();
    // One takes everything and answers nothing, the other is gone.
    cluster.stop(deaf[0]);
    for server in [1, 2, 3, 4, 5] {
        cluster.cut_oneway(deaf[1], sid(server));
    }
    let client = cluster.connect(leader);
    let began = cluster.now;
    for number in 0..1_000 {
        let asked = cluster.now;
        cluster.create(client, &format!("/n{number}"), CreateMode::PERSISTENT);
        let took = cluster.now.since(asked);
        assert!(took < Duration::from_millis(4), "{took:?} for write {number}");
    }
    assert!(cluster.now.since(began) > Duration::from_secs(1), "the deaf one has been given up meanwhile");
    assert_eq!(cluster.leader(), Some(leader));
}

#[test]
fn scn_33_a_spent_counter_brings_epoch_after_epoch_and_sessions_go_on() {
    let mut cluster = Cluster::new(3).tuned(|config| config.limits.last_counter = 7).run();
    let mut client = cluster.connect(sid(1));
    let session = cluster.session(client);
    cluster.create(client, "/e", CreateMode::EPHEMERAL);
    for number in 1..=60 {
        let numbered = NumberedRequest { id: RequestId::new(number), answered_below: RequestId::new(number) };
        let request = Request::Write {
            write: create("/s-", CreateMode::PERSISTENT_SEQUENTIAL),
            number: Some(numbered),
        };
        loop {
            let tag = cluster.send(client, request.clone());
            cluster.run_until("an end", |c| {
                c.clients[&client].replies.contains_key(&tag) || c.clients[&client].closed.is_some()
            });
            if matches!(cluster.clients[&client].replies.get(&tag), Some((_, Ok(_)))) {
                break;
            }
            client = resume_anywhere(&mut cluster, session, number);
        }
    }
    assert!(cluster.status(sid(1)).epoch.number() > 8);
    let client = resume_anywhere(&mut cluster, session, 0);
    assert!(cluster.exists(client, "/e"), "the session lived through all epochs");
    let Ok(Answer::Found(Found::Children { names, .. })) =
        cluster.ask(client, read(Read::Children { path: "/".into() }))
    else {
        panic!("no children")
    };
    assert_eq!(names.iter().filter(|name| name.starts_with("s-")).count(), 60, "each exactly once");
    agree(&mut cluster, &[1, 2, 3]);
}

fn resume_anywhere(
    cluster: &mut Cluster,
    session: (crate::types::SessionId, crate::types::Password),
    turn: u64,
) -> ClientId {
    for attempt in 0..1_000 {
        let client = cluster.begin_connect(sid((turn + attempt) % 3 + 1), Some(session));
        cluster.run_for(Duration::from_millis(20));
        if cluster.clients[&client].connected.is_some() && cluster.clients[&client].closed.is_none() {
            return client;
        }
        assert_ne!(cluster.clients[&client].closed, Some(CloseReason::Expired));
    }
    panic!("nobody takes the session up")
}

#[test]
fn scn_40_a_multi_is_in_a_snapshot_whole_or_not_at_all() {
    let mut cluster = Cluster::new(3).tuned(often).run();
    let bare = cluster.status(sid(1)).znodes;
    for round in 0..10 {
        let client = cluster.connect(sid(1));
        let multi =
            (0..20).map(|number| create(&format!("/{round}-{number}"), CreateMode::PERSISTENT)).collect();
        cluster.ask(client, write(Write::Multi(multi))).unwrap();
        cluster.run_for(Duration::from_micros(round * 400));
        let server = sid(round % 2 + 2);
        cluster.stop(server);
        cluster.start(server);
        // What its newest snapshot holds.
        assert_eq!((cluster.status(server).znodes - bare) % 20, 0);
        cluster.run_until("a leader", |c| c.leader().is_some());
        cluster.await_serving();
        agree(&mut cluster, &[1, 2, 3]);
    }
}

#[test]
fn scn_41_sessions_that_end_while_a_snapshot_is_written_end_once() {
    let mut cluster = Cluster::new(3).tuned(often).run();
    for round in 0..10 {
        let owner = cluster.connect(sid(1));
        let keeper = cluster.connect(sid(2));
        cluster.create(keeper, &format!("/p{round}"), CreateMode::PERSISTENT);
        for number in 0..5 {
            cluster.create(owner, &format!("/p{round}/e{number}"), CreateMode::EPHEMERAL);
        }
        cluster.send(owner, Request::CloseSession);
        cluster.run_for(Duration::from_millis(3 + round));
        let server = sid(round % 3 + 1);
        cluster.stop(server);
        cluster.start(server);
        cluster.run_for(Duration::from_millis(500));
        cluster.run_until("a leader", |c| c.leader().is_some());
        cluster.await_serving();
        agree(&mut cluster, &[1, 2, 3]);
        let pzxids: BTreeSet<Zxid> = [1, 2, 3]
            .map(|server| {
                let client = cluster.connect(sid(server));
                let path = format!("/p{round}").as_str().into();
                match cluster.ask(client, read(Read::Exists { path })) {
                    Ok(Answer::Found(Found::Stat(stat))) => {
                        assert_eq!(stat.num_children, 0);
                        stat.pzxid
                    }
                    other => panic!("{other:?}"),
                }
            })
            .into();
        assert_eq!(pzxids.len(), 1);
    }
}

#[test]
fn scn_44_sequence_numbers_never_come_twice() {
    let mut cluster = Cluster::new(3).tuned(|config| config.limits.snapshot_every = 5).run();
    let mut names = BTreeSet::new();
    for round in 0..4 {
        let leader = cluster.leader().unwrap();
        let client = cluster.connect(other_than([1, 2, 3], leader));
        for _ in 0..6 {
            let made = cluster.create(client, "/s-", CreateMode::PERSISTENT_SEQUENTIAL);
            let delete = Write::Delete { path: made.as_str().into(), expected: Expected::Any };
            assert!(names.insert(made.clone()), "{made} came twice");
            cluster.ask(client, write(delete)).unwrap();
        }
        if round % 2 == 0 {
            cluster.stop(leader);
            cluster.run_until("another leads", |c| c.leader().is_some_and(|new| new != leader));
            cluster.start(leader);
        } else {
            for server in [1, 2, 3] {
                cluster.stop(sid(server));
            }
            cluster.start_all();
        }
        cluster.await_serving();
    }
    let numbers: Vec<&str> = names.iter().map(ZnodePath::as_str).collect();
    assert_eq!(numbers.len(), 24);
}

#[test]
fn scn_53_a_server_that_missed_the_end_of_a_session_keeps_nothing_of_it() {
    let mut cluster = Cluster::running(3);
    let late = other_than([1, 2, 3], cluster.leader().unwrap());
    let owner = cluster.connect(cluster.leader().unwrap());
    cluster.create(owner, "/e", CreateMode::EPHEMERAL);
    cluster.run_for(Duration::from_millis(50));
    assert!(cluster.peer(late).state().tree.lookup("/e").is_some());
    cluster.stop(late);
    cluster.ask(owner, Request::CloseSession).unwrap();
    cluster.events.clear();
    cluster.start(late);
    cluster.await_serving();
    let by_diff =
        |(_, event): &(ServerId, PeerEvent)| matches!(event, PeerEvent::LearnerSync { mode: "DIFF", .. });
    assert!(cluster.events.iter().any(by_diff));
    assert!(cluster.peer(late).state().tree.lookup("/e").is_none());
    agree(&mut cluster, &[1, 2, 3]);
}

#[test]
fn scn_55_watches_left_again_elsewhere_tell_what_was_missed() {
    let mut cluster = Cluster::running(3);
    let (watcher, writer) = (cluster.connect(sid(1)), cluster.connect(sid(3)));
    for path in ["/same", "/changed", "/gone", "/parent"] {
        cluster.create(writer, path, CreateMode::PERSISTENT);
    }
    cluster.ask(watcher, Request::Sync).unwrap();
    let since = cluster.status(sid(1)).applied;
    let session = cluster.session(watcher);
    cluster.input(sid(1), crate::peer::Input::Disconnect(watcher));
    cluster.ask(writer, write(set("/changed", "x"))).unwrap();
    cluster.ask(writer, write(Write::Delete { path: "/gone".into(), expected: Expected::Any })).unwrap();
    cluster.create(writer, "/parent/child", CreateMode::PERSISTENT);
    cluster.create(writer, "/new", CreateMode::PERSISTENT);
    let again = cluster.begin_connect(sid(2), Some(session));
    cluster.run_until("resumed", |c| c.clients[&again].connected.is_some());
    let restore = Request::Watch(WatchRequest::Restore {
        since,
        data: vec!["/same".into(), "/changed".into(), "/gone".into()],
        exist: vec!["/new".into(), "/never".into()],
        child: vec!["/parent".into()],
        persistent: vec![],
        recursive: vec![],
    });
    cluster.ask(again, restore).unwrap();
    cluster.ask(writer, write(set("/same", "x"))).unwrap();
    cluster.ask(again, Request::Sync).unwrap();
    let heard: Vec<_> = cluster.clients[&again]
        .heard
        .iter()
        .filter_map(|heard| match heard {
            Heard::Event(event) => Some((event.path.as_str(), event.kind)),
            Heard::Reply(_) => None,
        })
        .collect();
    let missed: BTreeSet<_> = heard[..4].iter().map(|(path, kind)| format!("{path} {kind:?}")).collect();
    let expected = ["/changed DataChanged", "/gone Deleted", "/new Created", "/parent ChildrenChanged"];
    assert_eq!(missed, expected.map(str::to_owned).into());
    assert_eq!(heard[4..], [("/same", WatchEventKind::DataChanged)]);
}

#[test]
fn a_write_whose_answer_was_lost_with_the_leader_is_done_once() {
    let mut cluster = Cluster::running(3);
    for late in 0..12 {
        let leader = cluster.leader().unwrap();
        let server = other_than([1, 2, 3], leader);
        let client = cluster.connect(server);
        let session = cluster.session(client);
        let numbered = NumberedRequest { id: RequestId::new(1), answered_below: RequestId::new(1) };
        let path = format!("/once-{late}-");
        let request = Request::Write {
            write: create(&path, CreateMode::PERSISTENT_SEQUENTIAL),
            number: Some(numbered),
        };
        cluster.send(client, request.clone());
        cluster.run_for(Duration::from_micros(late * 500));
        cluster.stop(leader);
        cluster.run_until("another leads", |c| c.leader().is_some_and(|new| new != leader));
        let again = resume_anywhere(&mut cluster, session, late);
        let answer = cluster.ask(again, request).unwrap();
        let Answer::Written(Written::Created { path: made, .. }) = answer else { panic!("{answer:?}") };
        assert!(made.as_str().ends_with("0000000000") || late > 0);
        cluster.start(leader);
        cluster.await_serving();
        let again = resume_anywhere(&mut cluster, session, late + 1);
        let Ok(Answer::Found(Found::Children { names, .. })) =
            cluster.ask(again, read(Read::Children { path: "/".into() }))
        else {
            panic!("no children")
        };
        assert_eq!(names.iter().filter(|name| format!("/{name}").starts_with(&path)).count(), 1);
    }
}
