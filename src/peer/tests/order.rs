//! The order of answers and events that clients rely on.

use std::time::Duration;

use super::cluster::{Cluster, Heard, create, read, set, sid, write};
use crate::peer::{Answer, ReadLevel, Request, WatchRequest};
use crate::types::{
    CreateMode, ErrorCode, Expected, Found, NumberedRequest, Read, RequestId, WatchEventKind, WatchMode,
    Write, Written,
};

fn get(path: &str, level: ReadLevel) -> Request {
    Request::Read { read: Read::Get { path: path.into() }, level, watch: false }
}

fn data(answer: &Result<Answer, crate::types::Refusal>) -> &[u8] {
    match answer {
        Ok(Answer::Found(Found::Data { data: Some(data), .. })) => data,
        other => panic!("{other:?}"),
    }
}

#[test]
fn scn_43_answers_come_in_the_order_of_requests() {
    let mut cluster = Cluster::running(3);
    for server in [1, 2, 3] {
        let client = cluster.connect(sid(server));
        let path = format!("/by-{server}");
        let mut tags = vec![cluster.send(client, write(create(&path, CreateMode::PERSISTENT)))];
        for _ in 0..20 {
            tags.push(cluster.send(client, get(&path, ReadLevel::Session)));
            tags.push(cluster.send(client, write(set(&path, "x"))));
            tags.push(cluster.send(client, get(&path, ReadLevel::Linearizable)));
        }
        let last = *tags.last().unwrap();
        cluster.run_until("all answered", |c| c.clients[&client].replies.contains_key(&last));
        let heard: Vec<u64> = cluster.clients[&client]
            .heard
            .iter()
            .map(|heard| match heard {
                Heard::Reply(tag) => *tag,
                Heard::Event(event) => panic!("{event:?}"),
            })
            .collect();
        assert_eq!(heard, tags);
        assert_eq!(data(&cluster.clients[&client].replies[&tags[1]].1), path.as_bytes());
        assert_eq!(data(&cluster.clients[&client].replies[&tags[3]].1), b"x");
    }
}

#[test]
fn an_event_comes_before_the_data_that_caused_it_and_once() {
    let mut cluster = Cluster::running(3);
    let writer = cluster.connect(sid(1));
    let watcher = cluster.connect(sid(2));
    cluster.create(writer, "/w", CreateMode::PERSISTENT);
    cluster.ask(watcher, Request::Sync).unwrap();
    let watched =
        Request::Read { read: Read::Get { path: "/w".into() }, level: ReadLevel::Session, watch: true };
    cluster.ask(watcher, watched).unwrap();
    cluster.clients.get_mut(&watcher).unwrap().heard.clear();
    cluster.ask(writer, write(set("/w", "1"))).unwrap();
    cluster.ask(writer, write(set("/w", "2"))).unwrap();
    let found = cluster.ask(watcher, get("/w", ReadLevel::Linearizable));
    assert_eq!(data(&found), b"2");
    let heard = &cluster.clients[&watcher].heard;
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(matches!(&heard[0], Heard::Event(event) if event.kind == WatchEventKind::DataChanged));
    assert!(matches!(heard[1], Heard::Reply(_)));
}

#[test]
fn a_linearizable_read_sees_what_was_acknowledged_elsewhere() {
    let mut cluster = Cluster::running(3);
    let leader = cluster.leader().unwrap();
    let followers: Vec<_> = [1, 2, 3].map(sid).into_iter().filter(|server| *server != leader).collect();
    let writer = cluster.connect(followers[0]);
    let reader = cluster.connect(followers[1]);
    cluster.create(writer, "/l", CreateMode::PERSISTENT);
    for _ in 0..10 {
        cluster.ask(writer, write(set("/l", "new"))).unwrap();
        let found = cluster.ask(reader, get("/l", ReadLevel::Linearizable));
        assert_eq!(data(&found), b"new");
        cluster.ask(writer, write(set("/l", "old"))).unwrap();
    }
}

#[test]
fn scn_39_a_deposed_leader_answers_no_sync() {
    let mut cluster = Cluster::running(3);
    let old = cluster.leader().unwrap();
    let client = cluster.connect(old);
    cluster.isolate(old);
    let tag = cluster.send(client, Request::Sync);
    cluster.run_until("another leads", |c| c.leader().is_some_and(|leader| leader != old));
    cluster.run_for(Duration::from_secs(5));
    assert!(!cluster.clients[&client].replies.contains_key(&tag));
    assert!(cluster.clients[&client].closed.is_some());
}

#[test]
fn a_write_that_is_sent_again_gets_its_first_answer() {
    let mut cluster = Cluster::running(3);
    let client = cluster.connect(sid(1));
    let (session, password) = cluster.session(client);
    let numbered = |id| {
        let write = create("/once-", CreateMode::PERSISTENT_SEQUENTIAL);
        let number = NumberedRequest { id: RequestId::new(id), answered_below: RequestId::new(1) };
        Request::Write { write, number: Some(number) }
    };
    let first = cluster.ask(client, numbered(1)).unwrap();

    // The client loses its connection, and asks again at another server.
    let again = cluster.begin_connect(sid(3), Some((session, password)));
    cluster.run_until("resumed", |c| c.clients[&again].connected.is_some());
    assert_eq!(cluster.ask(again, numbered(1)).unwrap(), first);
    let second = cluster.ask(again, numbered(2)).unwrap();
    assert_ne!(second, first);
    let names = cluster.ask(again, read(Read::Children { path: "/".into() })).unwrap();
    let Answer::Found(Found::Children { names, .. }) = names else { panic!("{names:?}") };
    assert_eq!(names.iter().filter(|name| name.starts_with("once-")).count(), 2);

    // The old connection can do nothing more.
    cluster.run_until("closed", |c| c.clients[&client].closed.is_some());

    // The first answer survives a change of leader.
    let leader = cluster.leader().unwrap();
    cluster.stop(leader);
    let next = [1, 2, 3].map(sid).into_iter().find(|server| *server != leader).unwrap();
    cluster.run_until("another leads", |c| c.leader().is_some_and(|new| new != leader));
    cluster.await_serving();
    let third = cluster.begin_connect(next, Some((session, password)));
    cluster.run_until("resumed", |c| c.clients[&third].connected.is_some());
    assert_eq!(cluster.ask(third, numbered(2)).unwrap(), second);
}

#[test]
fn a_multi_is_judged_as_a_whole() {
    let mut cluster = Cluster::running(3);
    let client = cluster.connect(sid(2));
    let multi = |version| {
        write(Write::Multi(vec![
            create("/m", CreateMode::PERSISTENT),
            create("/m/a", CreateMode::PERSISTENT),
            Write::Check { path: "/m".into(), expected: Expected::Version(version) },
        ]))
    };
    let refusal = cluster.ask(client, multi(5)).unwrap_err();
    assert_eq!((refusal.code, refusal.operation), (ErrorCode::BadVersion, Some(2)));
    assert!(!cluster.exists(client, "/m"));
    let done = cluster.ask(client, multi(0)).unwrap();
    assert!(matches!(done, Answer::Written(Written::Multi(results)) if results.len() == 3));
    assert!(cluster.exists(client, "/m/a"));
}

#[test]
fn pipelined_writes_are_judged_against_those_before_them() {
    let mut cluster = Cluster::running(3);
    let client = cluster.connect(sid(1));
    let tags = [
        cluster.send(client, write(create("/p", CreateMode::PERSISTENT))),
        cluster.send(client, write(create("/p", CreateMode::PERSISTENT))),
        cluster.send(client, write(create("/p/c", CreateMode::PERSISTENT))),
        cluster.send(client, write(Write::Delete { path: "/p".into(), expected: Expected::Any })),
    ];
    cluster.run_until("answered", |c| c.clients[&client].replies.contains_key(&tags[3]));
    let codes: Vec<_> = tags
        .map(|tag| cluster.clients[&client].replies[&tag].1.as_ref().err().map(|refusal| refusal.code))
        .into();
    assert_eq!(codes, [None, Some(ErrorCode::NodeExists), None, Some(ErrorCode::NotEmpty)]);
}

#[test]
fn a_watch_resumed_from_a_zxid_replays_what_it_missed() {
    let mut cluster = Cluster::new(3).tuned(|config| config.limits.remembered_changes = 4).run();
    let client = cluster.connect(sid(1));
    cluster.create(client, "/r", CreateMode::PERSISTENT);
    let since = cluster.status(sid(1)).applied;
    for path in ["/r/1", "/r/2", "/r/3"] {
        cluster.create(client, path, CreateMode::PERSISTENT);
    }
    let resume = |since| {
        let (path, mode) = ("/r".into(), WatchMode::PersistentRecursive);
        Request::Watch(WatchRequest::Resume { path, mode, since })
    };
    cluster.clients.get_mut(&client).unwrap().heard.clear();
    assert_eq!(cluster.ask(client, resume(since)), Ok(Answer::Done));
    let missed: Vec<_> = cluster.clients[&client]
        .heard
        .iter()
        .filter_map(|heard| match heard {
            Heard::Event(event) => Some((event.kind, event.path.as_str())),
            Heard::Reply(_) => None,
        })
        .collect();
    assert_eq!(missed, ["/r/1", "/r/2", "/r/3"].map(|path| (WatchEventKind::Created, path)));

    for number in 0..10 {
        cluster.create(client, &format!("/r/more-{number}"), CreateMode::PERSISTENT);
    }
    assert!(
        matches!(cluster.ask(client, resume(since)), Ok(Answer::Compacted { through }) if through > since)
    );
}

#[test]
fn a_read_does_not_see_what_its_own_client_wrote_behind_it() {
    for server in [1, 2, 3] {
        let mut cluster = Cluster::running(3);
        let client = cluster.connect(sid(server));
        cluster.create(client, "/r", CreateMode::PERSISTENT);
        let mut seen = Vec::new();
        for number in 0..40_u8 {
            let data = Some(vec![number].into());
            cluster.send(client, write(Write::SetData { path: "/r".into(), data, expected: Expected::Any }));
            let level = if number % 4 == 0 { ReadLevel::Session } else { ReadLevel::Linearizable };
            seen.push((cluster.send(client, get("/r", level)), number));
            if number % 5 == 0 {
                cluster.run_for(Duration::from_micros(300));
            }
        }
        cluster.ask(client, Request::Sync).unwrap();
        for (tag, number) in seen {
            assert_eq!(data(&cluster.clients[&client].replies[&tag].1), [number], "at server {server}");
        }
    }
}
