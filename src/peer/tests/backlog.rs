//! Reads that wait for a write, and cost more than a step may.

use std::time::Duration;

use super::cluster::{Cluster, Heard, create, read, set, sid, write};
use crate::peer::{Answer, CloseReason, Input, PeerConfig, ReadLevel, Request};
use crate::types::{ClientId, CreateMode, Found, Read, ServerId, Write};

/// To count them costs more than one portion has.
const NODES: u64 = 10_001;

/// All nodes below the big one, one read after the other.
fn count() -> Request {
    read(Read::CountDescendants { path: "/big".into() })
}

/// An ensemble of three with a big node, and a client at one of them that holds nothing yet.
fn with_big_node(tune: fn(&mut PeerConfig), leads: bool) -> (Cluster, ServerId, ClientId) {
    let mut cluster = Cluster::new(3).tuned(tune).run();
    let leader = cluster.leader().unwrap();
    let server = [1, 2, 3].map(sid).into_iter().find(|server| (*server == leader) == leads).unwrap();
    let client = cluster.connect(server);
    let children = (0..NODES).map(|number| create(&format!("/big/{number}"), CreateMode::PERSISTENT));
    let all = std::iter::once(create("/big", CreateMode::PERSISTENT)).chain(children).collect();
    assert!(cluster.ask(client, write(Write::Multi(all))).is_ok());
    cluster.ask(client, Request::Sync).unwrap();
    cluster.create(client, "/w", CreateMode::PERSISTENT);
    (cluster, server, client)
}

/// Tags of the replies so far, in order.
fn replies(cluster: &Cluster, client: ClientId) -> Vec<u64> {
    let tag = |heard: &Heard| if let Heard::Reply(tag) = heard { Some(*tag) } else { None };
    cluster.clients[&client].heard.iter().filter_map(tag).collect()
}

fn is_answered(cluster: &Cluster, client: ClientId, tag: u64) -> bool {
    cluster.clients[&client].replies.contains_key(&tag)
}

/// Whether the server knows of committed transactions that it does not apply.
fn holds_back(cluster: &Cluster, server: ServerId) -> bool {
    let status = cluster.status(server);
    status.applied < status.committed.min(status.logged)
}

/// Asks for a write, and behind it for so many costly reads; their tags.
fn begin(cluster: &mut Cluster, client: ClientId, reads: usize) -> Vec<u64> {
    cluster.clients.get_mut(&client).unwrap().heard.clear();
    let mut tags = vec![cluster.send(client, write(set("/w", "1")))];
    tags.extend((0..reads).map(|_| cluster.send(client, count())));
    tags
}

#[track_caller]
fn await_reply(cluster: &mut Cluster, client: ClientId, tag: u64) {
    cluster.run_until("an answer", |c| is_answered(c, client, tag));
}

#[test]
fn costly_reads_behind_one_write_are_answered_in_steps_between_which_others_are_heard() {
    for leads in [true, false] {
        let (mut cluster, server, client) = with_big_node(|_| {}, leads);
        let (writer, pinger) = (cluster.connect(server), cluster.connect(server));
        let tags = begin(&mut cluster, client, 1_000);
        // So that it is committed while the first client's reads are being answered.
        cluster.run_for(Duration::from_micros(300));
        let elsewhere = cluster.send(writer, write(set("/w", "2")));
        await_reply(&mut cluster, client, tags[0]);

        let (mut before, mut written_at) = (1, None);
        while !is_answered(&cluster, client, tags[1_000]) {
            let ping = cluster.send(pinger, Request::Ping);
            assert!(is_answered(&cluster, pinger, ping));
            let mut stepped = false;
            cluster.run_until("a step", |_| std::mem::replace(&mut stepped, true));
            let now = cluster.clients[&client].heard.len();
            assert!(now <= before + 1, "{} answers in one step", now - before);
            before = now;
            if is_answered(&cluster, writer, elsewhere) {
                written_at.get_or_insert(now);
            }
        }
        assert!(written_at.is_some_and(|at| (2..1_000).contains(&at)), "{written_at:?}");
        assert_eq!(replies(&cluster, client), tags, "in order");
        let found = Ok(Answer::Found(Found::Count(NODES)));
        assert!(tags[1..].iter().all(|tag| cluster.clients[&client].replies[tag].1 == found));
    }
}

#[test]
fn small_reads_behind_a_write_are_answered_with_it() {
    let mut cluster = Cluster::running(3);
    let client = cluster.connect(sid(2));
    cluster.create(client, "/w", CreateMode::PERSISTENT);
    let first = cluster.send(client, write(set("/w", "1")));
    let last =
        (0..1_000).map(|_| cluster.send(client, read(Read::Get { path: "/w".into() }))).last().unwrap();
    await_reply(&mut cluster, client, first);
    assert!(is_answered(&cluster, client, last));
}

#[test]
fn reads_that_are_put_off_do_not_see_what_their_client_did_later() {
    for leads in [true, false] {
        let (mut cluster, server, _) = with_big_node(|_| {}, leads);
        for level in [ReadLevel::Session, ReadLevel::Linearizable] {
            let (client, other) = (cluster.connect(server), cluster.connect(server));
            let get = Request::Read { read: Read::Get { path: "/w".into() }, level, watch: false };
            // While this is being written the others gather, and are committed at once.
            cluster.send(other, write(set("/w", "0")));
            let mut tags = begin(&mut cluster, client, 5);
            tags.push(cluster.send(client, get.clone()));
            tags.push(cluster.send(client, write(set("/w", "later"))));
            tags.push(cluster.send(client, get));
            tags.push(cluster.send(client, Request::CloseSession));
            cluster.run_until("closed", |c| c.clients[&client].closed.is_some());
            assert_eq!(replies(&cluster, client), tags);
            let known = &cluster.clients[&client];
            assert_eq!(known.closed, Some(CloseReason::ClosedByClient));
            let data = [tags[6], tags[8]].map(|tag| match &known.replies[&tag].1 {
                Ok(Answer::Found(Found::Data { data: Some(data), .. })) => data.clone(),
                other => panic!("{other:?}"),
            });
            assert_eq!(data.each_ref().map(|data| &data[..]), [&b"1"[..], b"later"]);
        }
    }
}

#[test]
fn reads_that_are_put_off_see_what_others_did_meanwhile_and_their_events_come_first() {
    let (mut cluster, server, client) = with_big_node(|_| {}, false);
    let other = cluster.connect(server);
    cluster.create(other, "/o", CreateMode::PERSISTENT);
    cluster.disk_latency = Duration::from_micros(20);
    let level = ReadLevel::Session;
    let watched = Request::Read { read: Read::Get { path: "/o".into() }, level, watch: true };
    cluster.ask(client, watched.clone()).unwrap();
    let mut tags = begin(&mut cluster, client, 100);
    tags.push(cluster.send(client, watched));
    cluster.run_for(Duration::from_micros(10));
    cluster.send(other, write(set("/o", "new")));
    await_reply(&mut cluster, client, tags[101]);
    let (zxid, found) = cluster.clients[&client].replies[&tags[101]].clone();
    let Ok(Answer::Found(Found::Data { data: Some(data), stat })) = found else { panic!("{found:?}") };
    assert_eq!((&data[..], stat.mzxid), (&b"new"[..], zxid), "its position is that of what it saw");
    let heard = &cluster.clients[&client].heard;
    let event = heard.iter().position(|heard| matches!(heard, Heard::Event(_))).unwrap();
    assert!((2..101).contains(&event), "it came at {event}");
}

#[test]
fn what_waits_for_a_client_goes_on_when_the_client_goes() {
    let (mut cluster, server, client) = with_big_node(|_| {}, true);
    let other = cluster.connect(server);
    cluster.send(other, write(set("/w", "0")));
    begin(&mut cluster, client, 100);
    cluster.send(client, write(set("/w", "last")));
    let waiting = cluster.send(other, write(set("/w", "2")));
    cluster.run_until("something is held back", |c| holds_back(c, server));
    assert!(!is_answered(&cluster, other, waiting));
    cluster.input(server, Input::Disconnect(client));
    assert!(is_answered(&cluster, other, waiting), "nothing else has to happen");
    assert_eq!(cluster.status(server).applied, cluster.status(server).committed);
}

#[test]
fn what_waits_for_clients_is_applied_when_the_server_serves_no_more() {
    let (mut cluster, server, client) = with_big_node(|_| {}, false);
    let leader = cluster.leader().unwrap();
    let other = cluster.connect(server);
    cluster.send(other, write(set("/w", "0")));
    begin(&mut cluster, client, 100);
    cluster.send(client, write(set("/w", "last")));
    cluster.run_until("something is held back", |c| holds_back(c, server));
    cluster.input(server, Input::PeerGone(leader));
    assert_eq!(cluster.clients[&client].closed, Some(CloseReason::NotServing));
    assert_eq!(cluster.status(server).applied, cluster.status(server).committed);
    cluster.await_serving();
    let again = cluster.connect(server);
    cluster.ask(again, write(set("/w", "again"))).unwrap();
    cluster.run_for(Duration::from_secs(1));
    let digests = [1, 2, 3].map(|server| cluster.status(sid(server)).digest);
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

#[test]
fn a_client_for_which_too_much_waits_is_closed() {
    for (waiting, closed) in [(2, None), (3, Some(CloseReason::Overloaded))] {
        // The leader takes on more than this server does.
        let few = |config: &mut PeerConfig| {
            if config.server == sid(1) {
                config.limits.outstanding = 3;
            }
        };
        let (mut cluster, server, client) = with_big_node(few, false);
        assert_eq!(server, sid(1));
        let other = cluster.connect(server);
        cluster.send(other, write(set("/w", "0")));
        let tags = begin(&mut cluster, client, 100);
        cluster.send(client, write(set("/w", "last")));
        let last = (0..waiting).map(|_| cluster.send(other, write(set("/w", "2")))).last().unwrap();
        await_reply(&mut cluster, client, tags[0]);
        assert_eq!(cluster.clients[&client].closed, closed);
        await_reply(&mut cluster, other, last);
        assert_eq!(is_answered(&cluster, client, tags[100]), closed.is_none());
    }
}
