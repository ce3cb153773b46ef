use futures::FutureExt as _;

use super::super::{ClientError, ClientOptions, SessionState, WatchItem, WatchStream};
use super::world::{Link, TIMEOUT, World, event, stat, zxid};

use crate::peer::{Answer, CloseReason, Request, WatchRequest};
use crate::types::{ErrorCode, Found, WatchEvent, WatchEventKind, WatchMode, WatchTarget, Zxid};

use WatchEventKind::{ChildrenChanged, Created, DataChanged, Deleted};

fn data() -> Answer {
    Answer::Found(Found::Data { data: None, stat: stat() })
}

fn watch_requests(link: &mut Link) -> Vec<(u64, WatchRequest)> {
    link.requests()
        .into_iter()
        .map(|(tag, request)| match request {
            Request::Watch(request) => (tag, request),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn items(stream: &mut WatchStream) -> Vec<WatchItem> {
    std::iter::from_fn(|| stream.next().now_or_never().flatten()).collect()
}

fn told(events: &[WatchEvent]) -> Vec<WatchItem> {
    events.iter().cloned().map(WatchItem::Event).collect()
}

fn reconnect(world: &mut World) -> Link {
    world.advance(TIMEOUT / 9);
    world.attach()
}

#[test]
fn a_one_shot_watch_tells_one_change() {
    let mut world = World::new();
    let mut link = world.attach();
    let read = world.issue(world.client.get("/a").watch());
    let requests = link.requests();
    assert!(matches!(requests[0].1, Request::Read { watch: true, .. }));
    link.zxid = 4;
    link.answer(requests[0].0, data());
    world.run();
    let watch = world.issue(read.take().unwrap().unwrap().watch);
    link.event(zxid(5), DataChanged, "/b");
    link.event(zxid(6), ChildrenChanged, "/a");
    world.run();
    assert!(watch.is_open(), "another node's change, or another kind of it, is not for this watch");
    link.event(zxid(7), DataChanged, "/a");
    world.run();
    assert_eq!(watch.take(), Some(Ok(event(zxid(7), DataChanged, "/a"))));
}

#[test]
fn a_watch_for_a_node_that_does_not_exist_tells_its_creation() {
    let mut world = World::new();
    let mut link = world.attach();
    let read = world.issue(world.client.exists("/a").watch());
    let tag = link.requests()[0].0;
    link.refuse(tag, ErrorCode::NoNode);
    world.run();
    let watched = read.take().unwrap().unwrap();
    assert_eq!(watched.value, None);
    let watch = world.issue(watched.watch);
    link.event(zxid(7), Created, "/a");
    world.run();
    assert_eq!(watch.take(), Some(Ok(event(zxid(7), Created, "/a"))));
}

#[test]
fn a_read_that_fails_leaves_no_watch() {
    let mut world = World::new();
    let mut link = world.attach();
    let read = world.issue(world.client.get("/a").watch());
    let tag = link.requests()[0].0;
    link.refuse(tag, ErrorCode::NoNode);
    world.run();
    assert!(read.take().unwrap().unwrap_err().is(ErrorCode::NoNode));
    link.close(CloseReason::NotServing);
    assert!(reconnect(&mut world).requests().is_empty());
}

#[test]
fn one_shot_watches_are_left_again_with_the_position_up_to_which_everything_was_told() {
    let mut world = World::new();
    let mut link = world.attach();
    let reads = [
        world.issue(world.client.get("/data").watch()).clone(),
        world.issue(world.client.get("/gone").watch()).clone(),
    ];
    let exists = world.issue(world.client.exists("/exist").watch());
    let children = world.issue(world.client.children("/child").watch());
    let tags: Vec<u64> = link.requests().into_iter().map(|(tag, _)| tag).collect();
    link.zxid = 30;
    link.answer(tags[0], data());
    link.answer(tags[1], data());
    link.refuse(tags[2], ErrorCode::NoNode);
    link.answer(tags[3], Answer::Found(Found::Children { names: vec![], stat: stat() }));
    world.run();
    let watch = world.issue(reads[0].take().unwrap().unwrap().watch);
    drop(reads[1].take());
    let created = world.issue(exists.take().unwrap().unwrap().watch);
    let child = world.issue(children.take().unwrap().unwrap().watch);
    let _under_way = world.issue(world.client.set("/x", ""));
    link.close(CloseReason::NotServing);

    let mut link = reconnect(&mut world);
    let requests = link.requests();
    assert_eq!(
        requests[0].1,
        Request::Watch(WatchRequest::Restore {
            since: zxid(30),
            data: vec!["/data".into()],
            exist: vec!["/exist".into()],
            child: vec!["/child".into()],
            persistent: vec![],
            recursive: vec![],
        }),
        "before the calls that were under way"
    );
    assert!(matches!(requests[1].1, Request::Write { .. }));
    link.event(Zxid::ZERO, Deleted, "/data");
    link.answer(requests[0].0, Answer::Done);
    world.run();
    assert_eq!(watch.take(), Some(Ok(event(Zxid::ZERO, Deleted, "/data"))));
    assert!(created.is_open() && child.is_open());
    link.event(zxid(40), ChildrenChanged, "/child");
    world.run();
    assert_eq!(child.take(), Some(Ok(event(zxid(40), ChildrenChanged, "/child"))));
}

#[test]
fn a_connection_that_breaks_before_the_watches_are_back_does_not_move_their_position() {
    let mut world = World::new();
    let mut link = world.attach();
    let proved = world.issue(world.client.add_auth("digest", "a:b"));
    let read = world.issue(world.client.get("/a").watch());
    let tags: Vec<u64> = link.requests().into_iter().map(|(tag, _)| tag).collect();
    link.zxid = 30;
    link.answer(tags[0], Answer::Done);
    link.answer(tags[1], data());
    world.run();
    assert!(proved.take().is_some());
    let _watch = world.issue(read.take().unwrap().unwrap().watch);
    link.close(CloseReason::NotServing);

    // The identity is answered at 90, the watches are not.
    let mut link = reconnect(&mut world);
    let tag = link.requests()[0].0;
    link.zxid = 90;
    link.answer(tag, Answer::Done);
    world.run();
    link.close(CloseReason::NotServing);
    let mut link = reconnect(&mut world);
    let restore = &link.requests()[1].1;
    assert!(
        matches!(restore, Request::Watch(WatchRequest::Restore { since, .. }) if *since == zxid(30)),
        "{restore:?}"
    );
}

#[test]
fn many_watches_are_restored_in_pieces_of_bounded_size() {
    let mut world = World::new();
    let mut link = world.attach();
    let count = 1_000;
    let mut watches = Vec::new();
    for index in 0..count {
        let path = format!("/{}/{index}", "x".repeat(1_000));
        let read = world.issue(world.client.get(path).watch());
        let tag = link.requests()[0].0;
        link.answer(tag, data());
        world.run();
        watches.push(read.take().unwrap().unwrap().watch);
    }
    link.close(CloseReason::NotServing);
    let mut link = reconnect(&mut world);
    let requests = watch_requests(&mut link);
    assert!(requests.len() >= 8, "{} pieces", requests.len());
    let mut restored = 0;
    for (_, request) in requests {
        let WatchRequest::Restore { data, .. } = request else { panic!("{request:?}") };
        assert!(data.iter().map(|path| path.as_str().len()).sum::<usize>() <= 128 << 10);
        restored += data.len();
    }
    assert_eq!(restored, count);
}

/// Leaves a lasting watch on everything below `/a`, which begins at `at`.
fn subscribe(world: &mut World, link: &mut Link, at: u32) -> WatchStream {
    let stream = world.issue(world.client.watch("/a").recursive());
    let requests = watch_requests(link);
    assert_eq!(requests[0].1, WatchRequest::Add { path: "/a".into(), mode: WatchMode::PersistentRecursive });
    link.zxid = at;
    link.answer(requests[0].0, Answer::Done);
    world.run();
    stream.take().unwrap().unwrap()
}

fn resume_since(link: &mut Link) -> (u64, Zxid) {
    match &watch_requests(link)[..] {
        [(tag, WatchRequest::Resume { since, .. })] => (*tag, *since),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lasting_watch_tells_every_change_below_its_node_and_none_beside_it() {
    let mut world = World::new();
    let mut link = world.attach();
    let mut stream = subscribe(&mut world, &mut link, 10);
    let events = [
        event(zxid(11), Created, "/a/b"),
        event(zxid(12), DataChanged, "/a/b"),
        event(zxid(13), Deleted, "/a/b"),
    ];
    link.event(zxid(10), Created, "/a/earlier");
    for event in &events {
        link.deliver(crate::node::Delivery::Watch(event.clone()));
    }
    link.event(zxid(14), Created, "/ab");
    link.event(zxid(15), ChildrenChanged, "/a");
    world.run();
    assert_eq!(items(&mut stream), told(&events));
}

#[test]
fn all_events_of_one_transaction_are_told_even_where_they_are_alike() {
    let mut world = World::new();
    let mut link = world.attach();
    let mut stream = subscribe(&mut world, &mut link, 10);
    let events = [
        event(zxid(11), Created, "/a/b"),
        event(zxid(11), Deleted, "/a/b"),
        event(zxid(11), Created, "/a/b"),
    ];
    for event in &events {
        link.deliver(crate::node::Delivery::Watch(event.clone()));
    }
    world.run();
    assert_eq!(items(&mut stream), told(&events));
}

#[test]
fn a_lasting_watch_goes_on_after_a_reconnect_without_a_gap_and_tells_nothing_twice() {
    let mut world = World::new();
    let mut link = world.attach();
    let mut stream = subscribe(&mut world, &mut link, 10);
    // Of transaction 12 only the first event arrived.
    link.event(zxid(11), Created, "/a/b");
    link.event(zxid(12), Created, "/a/c");
    world.run();
    assert_eq!(items(&mut stream).len(), 2);
    link.close(CloseReason::NotServing);

    let mut link = reconnect(&mut world);
    let (tag, since) = resume_since(&mut link);
    assert_eq!(since, zxid(11), "nothing has shown yet that all events of 12 have come");
    for (at, path) in [(12, "/a/c"), (12, "/a/d"), (13, "/a/e")] {
        link.event(zxid(at), Created, path);
    }
    link.zxid = 13;
    link.answer(tag, Answer::Done);
    world.run();
    assert_eq!(
        items(&mut stream),
        told(&[event(zxid(12), Created, "/a/d"), event(zxid(13), Created, "/a/e")])
    );
    link.event(zxid(14), Deleted, "/a/e");
    world.run();
    assert_eq!(items(&mut stream), told(&[event(zxid(14), Deleted, "/a/e")]));
}

#[test]
fn an_idle_watch_resumes_from_the_last_answer_and_not_from_its_last_event() {
    let mut world = World::new();
    let mut link = world.attach();
    let _stream = subscribe(&mut world, &mut link, 10);
    let _synced = world.issue(world.client.sync());
    let tag = link.requests()[0].0;
    link.zxid = 5_000;
    link.answer(tag, Answer::Done);
    world.run();
    link.close(CloseReason::NotServing);
    let mut link = reconnect(&mut world);
    assert_eq!(resume_since(&mut link).1, zxid(5_000));
}

#[test]
fn scn_63_a_watch_that_the_servers_cannot_resume_says_so_and_goes_on() {
    let mut world = World::new();
    let mut link = world.attach();
    let mut stream = subscribe(&mut world, &mut link, 10);
    link.close(CloseReason::NotServing);
    let mut link = reconnect(&mut world);
    let (tag, _) = resume_since(&mut link);
    link.zxid = 900;
    link.answer(tag, Answer::Compacted { through: zxid(500) });
    world.run();
    let requests = watch_requests(&mut link);
    assert!(matches!(requests[0].1, WatchRequest::Add { .. }));
    assert!(items(&mut stream).is_empty());
    link.zxid = 901;
    link.answer(requests[0].0, Answer::Done);
    link.event(zxid(902), Created, "/a/b");
    world.run();
    let mut expected = vec![WatchItem::Lost { through: zxid(901) }];
    expected.extend(told(&[event(zxid(902), Created, "/a/b")]));
    assert_eq!(items(&mut stream), expected);
}

#[test]
fn a_watch_from_a_position_begins_with_what_happened_after_it() {
    let mut world = World::new();
    let mut link = world.attach();
    let mut first = subscribe(&mut world, &mut link, 10);
    let second = world.issue(world.client.watch("/a").recursive().from(zxid(3)));
    let (tag, since) = resume_since(&mut link);
    assert_eq!(since, zxid(3));
    // Before the server comes to it, the other watch hears of 11.
    link.event(zxid(11), Created, "/a/k");
    for at in [4, 9, 11] {
        link.event(zxid(at), Created, "/a/k");
    }
    link.zxid = 11;
    link.answer(tag, Answer::Done);
    world.run();
    let mut second = second.take().unwrap().unwrap();
    let created = |at| event(zxid(at), Created, "/a/k");
    assert_eq!(items(&mut first), told(&[created(11)]), "the replay is not for the watch that was there");
    assert_eq!(items(&mut second), told(&[created(4), created(9), created(11)]));
}

#[test]
fn scn_63_a_slow_reader_learns_that_it_missed_something() {
    let options = ClientOptions { session_timeout: TIMEOUT, watch_buffer: 2, ..ClientOptions::new([7; 32]) };
    let mut world = World::with(1, options);
    let mut link = world.attach();
    let mut stream = subscribe(&mut world, &mut link, 10);
    for at in 11..=15 {
        link.event(zxid(at), DataChanged, "/a");
    }
    world.run();
    let mut expected = told(&[event(zxid(11), DataChanged, "/a"), event(zxid(12), DataChanged, "/a")]);
    expected.push(WatchItem::Lost { through: zxid(15) });
    assert_eq!(items(&mut stream), expected);
    link.event(zxid(16), DataChanged, "/a");
    world.run();
    assert_eq!(items(&mut stream), told(&[event(zxid(16), DataChanged, "/a")]));
}

#[test]
fn the_last_stream_of_a_watch_removes_it_when_it_is_dropped() {
    let mut world = World::new();
    let mut link = world.attach();
    let one = subscribe(&mut world, &mut link, 10);
    let other = subscribe(&mut world, &mut link, 10);
    drop(one);
    world.run();
    assert!(link.requests().is_empty());
    drop(other);
    world.run();
    assert_eq!(
        watch_requests(&mut link)[0].1,
        WatchRequest::Remove { path: "/a".into(), target: WatchTarget::PersistentRecursive }
    );
    link.close(CloseReason::NotServing);
    assert!(reconnect(&mut world).requests().is_empty());
}

#[test]
fn a_watch_ends_with_the_session() {
    let mut world = World::new();
    let mut link = world.attach();
    let mut stream = subscribe(&mut world, &mut link, 10);
    let read = world.issue(world.client.get("/a").watch());
    let tag = link.requests()[0].0;
    link.answer(tag, data());
    world.run();
    let watch = world.issue(read.take().unwrap().unwrap().watch);
    link.event(zxid(11), Deleted, "/a/b");
    link.close(CloseReason::Expired);
    world.run();
    assert_eq!(watch.take(), Some(Err(ClientError::SessionExpired)));
    assert_eq!(world.client.state(), SessionState::Expired);
    assert_eq!(items(&mut stream), told(&[event(zxid(11), Deleted, "/a/b")]));
    assert_eq!(stream.next().now_or_never(), Some(None));
}
