use std::time::Duration;

use bytes::Bytes;

use super::super::{Client, ClientError, ClientOptions, NodeData};
use super::world::{TIMEOUT, World, number, set, set_of, stat, zxid};

use crate::peer::{Answer, CloseReason, ReadLevel, Request};
use crate::types::{
    ChildCursor, CreateMode, ErrorCode, Expected, Found, Identity, Lifetime, Read, Refusal, Write, Written,
    ZnodePath,
};

#[test]
fn calls_are_sent_in_the_order_of_issue_and_before_any_is_answered() {
    let mut world = World::new();
    let mut link = world.attach();
    let outcomes: Vec<_> =
        ["/a", "/b", "/c"].map(|path| world.issue(world.client.set(path, "x"))).into_iter().collect();
    let requests = link.requests();
    let sent: Vec<_> = requests.iter().map(|(_, request)| set_of(request)).collect();
    assert_eq!(sent, [("/a".into(), number(1, 1)), ("/b".into(), number(2, 1)), ("/c".into(), number(3, 1))]);
    for (tag, _) in &requests {
        link.answer(*tag, set());
    }
    world.run();
    for outcome in outcomes {
        assert_eq!(outcome.take(), Some(Ok(stat())));
    }
}

#[test]
fn calls_made_before_there_is_a_session_wait_for_it() {
    let mut world = World::new();
    let outcome = world.issue(world.client.set("/a", "x"));
    let mut link = world.attach();
    let requests = link.requests();
    assert_eq!(requests.len(), 1);
    link.answer(requests[0].0, set());
    world.run();
    assert_eq!(outcome.take(), Some(Ok(stat())));
}

#[test]
fn a_call_that_is_given_a_time_fails_when_it_is_over_and_the_others_go_on() {
    let mut world =
        World::with(1, ClientOptions { session_timeout: TIMEOUT, window: 1, ..ClientOptions::new([7; 32]) });
    let mut link = world.attach();
    let hasty = world.client.within(Duration::from_millis(500));
    let issued = world.issue(hasty.set("/issued", "x"));
    world.advance(Duration::from_millis(400));
    // The window is full, so this one waits its turn until its time is over.
    let waiting = world.issue(hasty.set("/waiting", "x"));
    let patient = world.issue(world.client.set("/patient", "x"));
    assert!(issued.is_open() && waiting.is_open());
    world.advance(Duration::from_millis(100));
    assert_eq!(issued.take(), Some(Err(ClientError::TimedOut)));
    assert!(waiting.is_open(), "its time is counted from when it was awaited");
    world.advance(Duration::from_millis(400));
    assert_eq!(waiting.take(), Some(Err(ClientError::TimedOut)));

    let sent = link.requests();
    assert_eq!(set_of(&sent[0].1), ("/issued".into(), number(1, 1)));
    link.answer(sent[0].0, set());
    world.run();
    let sent: Vec<_> = link.requests().iter().map(|(tag, request)| (*tag, set_of(request))).collect();
    assert_eq!(sent.len(), 1, "what timed out before it was issued never is");
    assert_eq!(sent[0].1, ("/patient".into(), number(2, 2)));
    link.answer(sent[0].0, set());
    world.run();
    assert_eq!(patient.take(), Some(Ok(stat())));
}

#[test]
fn after_a_broken_connection_unanswered_calls_are_sent_again_in_order_under_their_old_numbers() {
    let mut world = World::new();
    let mut link = world.attach();
    let first = world.issue(world.client.set("/1", "x"));
    let second = world.issue(world.client.set("/2", "x"));
    let read = world.issue(world.client.get("/r"));
    let third = world.issue(world.client.set("/3", "x"));
    let requests = link.requests();
    link.zxid = 5;
    link.answer(requests[0].0, set());
    link.close(CloseReason::NotServing);
    world.run();
    assert_eq!(first.take(), Some(Ok(stat())));
    assert!(second.is_open() && read.is_open() && third.is_open());

    world.advance(TIMEOUT / 9);
    let mut link = world.attach();
    let again = link.requests();
    assert_eq!(again.len(), 3);
    assert_eq!(set_of(&again[0].1), ("/2".into(), number(2, 2)));
    assert!(matches!(&again[1].1, Request::Read { .. }));
    assert_eq!(set_of(&again[2].1), ("/3".into(), number(3, 2)));

    link.answer(again[0].0, set());
    link.answer(again[1].0, Answer::Found(Found::Data { data: None, stat: stat() }));
    link.answer(again[2].0, set());
    world.run();
    assert_eq!(second.take(), Some(Ok(stat())));
    assert_eq!(read.take(), Some(Ok(NodeData { data: None, stat: stat() })));
    assert_eq!(third.take(), Some(Ok(stat())));

    // Nothing is sent a third time, and the next write says how far the answers have come.
    drop(world.issue(world.client.set("/4", "x")));
    let requests = link.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(set_of(&requests[0].1), ("/4".into(), number(4, 4)));
}

#[test]
fn a_full_window_makes_calls_wait_their_turn() {
    let options = ClientOptions { session_timeout: TIMEOUT, window: 2, ..ClientOptions::new([7; 32]) };
    let mut world = World::with(1, options);
    let mut link = world.attach();
    let outcomes: Vec<_> =
        (1..=5).map(|index| world.issue(world.client.set(format!("/{index}"), "x"))).collect();
    let turns = [vec!["/1", "/2"], vec!["/3"], vec!["/4"], vec!["/5"], vec![]];
    for (tag, expected) in (1..).zip(turns) {
        let requests = link.requests();
        let paths: Vec<_> = requests.iter().map(|(_, request)| set_of(request).0).collect();
        assert_eq!(paths, expected);
        // The oldest call is answered, which lets one more in.
        link.answer(tag, set());
        world.run();
    }
    assert!(outcomes.iter().all(|outcome| outcome.take() == Some(Ok(stat()))));
}

#[test]
fn a_dropped_call_keeps_its_place_in_the_order_or_never_had_one() {
    let options = ClientOptions { session_timeout: TIMEOUT, window: 1, ..ClientOptions::new([7; 32]) };
    let mut world = World::with(1, options);
    let mut link = world.attach();
    {
        use futures::FutureExt as _;
        // Issued, then dropped.
        assert!(std::future::IntoFuture::into_future(world.client.set("/1", "x")).now_or_never().is_none());
        // Dropped before it could be issued.
        assert!(std::future::IntoFuture::into_future(world.client.set("/2", "x")).now_or_never().is_none());
    }
    let third = world.issue(world.client.set("/3", "x"));
    let requests = link.requests();
    assert_eq!(set_of(&requests[0].1), ("/1".into(), number(1, 1)));
    link.answer(requests[0].0, set());
    world.run();
    let requests = link.requests();
    assert_eq!(set_of(&requests[0].1), ("/3".into(), number(2, 2)));
    link.answer(requests[0].0, set());
    world.run();
    assert_eq!(third.take(), Some(Ok(stat())));
}

#[test]
fn a_call_that_is_dropped_while_it_waits_lets_the_next_one_in() {
    let options = ClientOptions { session_timeout: TIMEOUT, window: 1, ..ClientOptions::new([7; 32]) };
    let mut world = World::with(1, options);
    let mut link = world.attach();
    let _first = world.issue(world.client.set("/1", "x"));
    let (abort, registration) = futures::future::AbortHandle::new_pair();
    let client = world.client.clone();
    let second = futures::future::Abortable::new(async move { client.set("/2", "x").await }, registration);
    let second = world.issue(second);
    let _third = world.issue(world.client.set("/3", "x"));
    let tag = link.requests()[0].0;
    link.answer(tag, set());
    // The second call is woken, and dropped before it looks.
    abort.abort();
    world.run();
    assert!(matches!(second.take(), Some(Err(_))));
    assert_eq!(set_of(&link.requests()[0].1).0, "/3");
}

#[test]
fn a_refusal_is_the_callers_and_changes_nothing_else() {
    let mut world = World::new();
    let mut link = world.attach();
    let outcome = world.issue(world.client.delete("/a").version(3));
    let requests = link.requests();
    assert!(matches!(
        &requests[0].1,
        Request::Write { write: Write::Delete { expected: Expected::Version(3), .. }, .. }
    ));
    link.refuse(requests[0].0, ErrorCode::BadVersion);
    world.run();
    let error = outcome.take().unwrap().unwrap_err();
    assert!(error.is(ErrorCode::BadVersion), "{error}");
    let multi = world.issue(world.client.multi().check("/a", Expected::Any).delete("/b", Expected::Any));
    let requests = link.requests();
    link.answer(requests[0].0, Answer::Written(Written::Multi(vec![Written::Checked, Written::Deleted])));
    world.run();
    assert_eq!(multi.take(), Some(Ok(vec![Written::Checked, Written::Deleted])));
}

#[test]
fn a_write_whose_session_is_said_to_have_moved_is_sent_again_on_a_new_connection() {
    let mut world = World::new();
    let mut link = world.attach();
    let outcome = world.issue(world.client.set("/a", "x"));
    let tag = link.requests()[0].0;
    link.refuse(tag, ErrorCode::SessionMoved);
    world.run();
    assert!(link.is_dropped());
    world.advance(TIMEOUT / 9);
    let mut link = world.attach();
    let requests = link.requests();
    assert_eq!(set_of(&requests[0].1), ("/a".into(), number(1, 1)));
    link.answer(requests[0].0, set());
    world.run();
    assert_eq!(outcome.take(), Some(Ok(stat())));
}

#[test]
fn the_builders_say_what_they_are_asked_to() {
    let mut world = World::new();
    let mut link = world.attach();
    let client = world.client.clone();
    let created = world.issue(client.create("/locks/n-", "me").ephemeral().sequential());
    let _ = world.issue(client.create("/c", "").container().without_data());
    let _ = world.issue(client.create("/t", "").ttl(std::time::Duration::from_millis(5)));
    let _ = world.issue(client.get("/a").linearizable());
    let _ = world.issue(client.children("/a").local());
    let _ = world.issue(client.delete_tree("/d").limit(7));
    let requests: Vec<Request> = link.requests().into_iter().map(|(_, request)| request).collect();
    let modes: Vec<(CreateMode, Option<Bytes>)> = requests
        .iter()
        .filter_map(|request| match request {
            Request::Write { write: Write::Create { mode, data, .. }, .. } => Some((*mode, data.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(modes[0], (CreateMode::EPHEMERAL_SEQUENTIAL, Some(Bytes::from("me"))));
    assert_eq!(modes[1], (CreateMode::CONTAINER, None));
    assert!(matches!(modes[2].0.lifetime, Lifetime::Ttl(ttl) if ttl.as_millis() == 5));
    assert!(matches!(requests[3], Request::Read { level: ReadLevel::Linearizable, watch: false, .. }));
    assert!(matches!(requests[4], Request::Read { level: ReadLevel::Local, .. }));
    assert!(matches!(requests[5], Request::Write { write: Write::DeleteTree { limit: 7, .. }, .. }));

    let path = ZnodePath::parse("/locks/n-0000000003").unwrap();
    link.answer(1, Answer::Written(Written::Created { path: path.clone(), stat: stat() }));
    world.run();
    assert_eq!(created.take().unwrap().unwrap().path, path);
}

#[test]
fn a_time_to_live_that_cannot_be_is_told_without_asking_anybody() {
    let mut world = World::new();
    let mut link = world.attach();
    let outcome = world.issue(world.client.create("/t", "").ttl(std::time::Duration::ZERO));
    assert!(matches!(outcome.take(), Some(Err(ClientError::InvalidTtl(_)))));
    assert!(link.requests().is_empty());
}

#[test]
fn children_come_page_by_page() {
    let mut world = World::new();
    let mut link = world.attach();
    let mut pages = world.client.child_pages("/p", 2);
    let all = world.issue(async move {
        let mut names = Vec::new();
        while let Some(name) = pages.next().await {
            names.push(name?.to_string());
        }
        Ok::<_, ClientError>(names)
    });
    let page = |names: &[&str], next: Option<u64>| {
        Answer::Found(Found::ChildrenPage {
            names: names.iter().map(|name| (*name).into()).collect(),
            next: next.map(ChildCursor::new),
            stat: stat(),
        })
    };
    let cursor_of = |request: &Request| match request {
        Request::Read { read: Read::ChildrenPage { after, limit: 2, .. }, .. } => *after,
        other => panic!("{other:?}"),
    };
    let requests = link.requests();
    assert_eq!(cursor_of(&requests[0].1), None);
    link.answer(requests[0].0, page(&["a", "b"], Some(9)));
    world.run();
    let requests = link.requests();
    assert_eq!(cursor_of(&requests[0].1), Some(ChildCursor::new(9)));
    link.answer(requests[0].0, page(&["c"], None));
    world.run();
    assert_eq!(all.take(), Some(Ok(vec!["a".into(), "b".into(), "c".into()])));
}

#[test]
fn an_identity_is_proved_again_on_every_connection_before_anything_else_is_asked() {
    let mut world = World::new();
    let mut link = world.attach();
    let proved = world.issue(world.client.add_auth("digest", "ann:secret"));
    let identity = super::super::digest_identity("ann:secret");
    let requests = link.requests();
    assert_eq!(requests[0].1, Request::AddIdentity(identity.clone()));
    link.answer(requests[0].0, Answer::Done);
    world.run();
    assert_eq!(proved.take(), Some(Ok(())));
    let _under_way = world.issue(world.client.set("/a", "x"));
    link.close(CloseReason::NotServing);
    world.advance(TIMEOUT / 9);
    let mut link = world.attach();
    let requests = link.requests();
    assert_eq!(requests[0].1, Request::AddIdentity(identity));
    assert_eq!(set_of(&requests[1].1), ("/a".into(), number(1, 1)));
    assert!(matches!(
        world.issue(world.client.add_auth("kerberos", "x")).take(),
        Some(Err(ClientError::UnknownScheme(_)))
    ));
}

#[test]
fn sync_and_who_am_i_give_what_the_server_says() {
    let mut world = World::new();
    let mut link = world.attach();
    let synced = world.issue(world.client.sync());
    let who = world.issue(world.client.who_am_i());
    let requests = link.requests();
    link.zxid = 12;
    link.answer(requests[0].0, Answer::Done);
    link.answer(requests[1].0, Answer::Identities(vec![Identity::anyone()]));
    world.run();
    assert_eq!(synced.take(), Some(Ok(zxid(12))));
    assert_eq!(who.take(), Some(Ok(vec![Identity::anyone()])));
    assert_eq!(world.client.last_seen(), zxid(12));
}

#[test]
fn an_answer_of_another_kind_is_an_error_and_no_panic() {
    let mut world = World::new();
    let mut link = world.attach();
    let outcome = world.issue(world.client.get("/a"));
    let requests = link.requests();
    link.answer(requests[0].0, set());
    world.run();
    assert_eq!(outcome.take(), Some(Err(ClientError::Mismatched)));
}

#[test]
fn a_client_without_servers_or_with_an_empty_window_is_refused() {
    let clock: std::sync::Arc<dyn crate::node::Clock> =
        std::sync::Arc::new(crate::node::manual_clock::ManualClock::default());
    let none: Vec<std::sync::Arc<dyn crate::node::Connector>> = Vec::new();
    let error = Client::new(none.clone(), clock.clone(), ClientOptions::new([0; 32])).unwrap_err();
    assert_eq!(error, ClientError::NoServers);
    let options = ClientOptions { window: 0, ..ClientOptions::new([0; 32]) };
    let error = Client::new(none, clock, options).unwrap_err();
    assert_eq!(error, ClientError::ZeroOption("window"));
}

#[test]
fn refusals_of_a_multi_name_the_operation() {
    let refusal = Refusal { code: ErrorCode::NoNode, operation: Some(2) };
    assert!(ClientError::from(refusal).is(ErrorCode::NoNode));
}
