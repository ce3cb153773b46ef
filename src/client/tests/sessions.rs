use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::{ClientError, ClientOptions, SessionState};
use super::world::{TIMEOUT, World, set, zxid};

use crate::node::Delivery;
use crate::peer::{Answer, CloseReason, Connected, Request};
use crate::types::{ClientId, ErrorCode, Password, SessionId};

fn options() -> ClientOptions {
    ClientOptions { session_timeout: TIMEOUT, ..ClientOptions::new([7; 32]) }
}

#[test]
fn a_session_is_taken_up_again_at_the_next_server_with_all_that_was_seen() {
    let mut world = World::with(2, options());
    let mut states = world.client.states();
    let mut link = world.attach_to(0);
    let _read = world.issue(world.client.sync());
    let tag = link.requests()[0].0;
    link.zxid = 41;
    link.answer(tag, Answer::Done);
    world.run();
    link.close(CloseReason::NotServing);
    world.advance(Duration::from_millis(10));
    assert_eq!(world.client.state(), SessionState::Disconnected);

    let (attach, mut link) = world.attempt(1).expect("the other server is asked next");
    assert_eq!(attach.resume, Some((SessionId::from_u64(0x77), Password::new([9; 16]))));
    assert_eq!(attach.last_seen, zxid(41));
    link.connect(&attach);
    world.run();
    assert_eq!(world.client.session_id(), Some(SessionId::from_u64(0x77)));
    let seen: Vec<_> = std::iter::from_fn(|| {
        use futures::FutureExt as _;
        states.next().now_or_never().flatten()
    })
    .collect();
    assert_eq!(seen, [SessionState::Connected, SessionState::Disconnected, SessionState::Connected]);
}

#[test]
fn a_server_that_gives_no_connection_is_passed_over() {
    let mut world = World::with(2, options());
    world.servers[0].down.store(true, Ordering::Relaxed);
    world.run();
    world.advance(Duration::from_millis(10));
    assert!(world.attempt(1).is_some());
}

#[test]
fn attempts_become_rarer_while_nobody_takes_the_client() {
    let mut world = World::with(1, options());
    let mut attempts = 0;
    for _ in 0..1_000 {
        if let Some((_, mut link)) = world.attempt(0) {
            attempts += 1;
            link.close(CloseReason::NotServing);
        }
        world.advance(Duration::from_millis(10));
    }
    // Ten seconds: at half to a whole retry_max of 500 ms between attempts that is 20 to 40, and a few at the
    // beginning.
    assert!((20..=50).contains(&attempts), "{attempts} attempts");
}

#[test]
fn a_server_that_does_not_answer_the_connect_is_given_up() {
    let mut world = World::with(3, options());
    let (_, mut silent) = world.attempt(0).unwrap();
    world.advance(TIMEOUT / 3);
    assert!(silent.is_dropped());
    world.advance(Duration::from_millis(10));
    assert!(world.attempt(1).is_some());
}

#[test]
fn a_client_that_nobody_attached_in_time_gives_the_servers_longer() {
    let mut world = World::with(3, options());
    for silent in 0..3 {
        let (_, mut link) = world.attempt(silent).expect("each is asked in turn");
        world.advance(TIMEOUT / 3);
        assert!(link.is_dropped());
        world.advance(Duration::from_millis(10));
    }
    let (attach, mut slow) = world.attempt(0).expect("the first is asked again");
    world.advance(TIMEOUT / 2);
    assert!(!slow.is_dropped());
    slow.connect(&attach);
    world.run();
    assert_eq!(world.client.state(), SessionState::Connected);
}

#[test]
fn an_idle_client_shows_a_sign_of_life_every_third_of_the_timeout() {
    let mut world = World::new();
    let mut link = world.attach();
    for _ in 0..5 {
        world.advance(TIMEOUT / 3 - Duration::from_millis(1));
        assert!(link.requests().is_empty());
        world.advance(Duration::from_millis(1));
        let requests = link.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].1, Request::Ping);
        link.answer(requests[0].0, Answer::Done);
        world.run();
    }
}

#[test]
fn a_server_that_falls_silent_is_left_after_two_thirds_of_the_timeout() {
    let mut world = World::with(2, options());
    let mut link = world.attach_to(0);
    world.advance(TIMEOUT / 3);
    assert_eq!(link.requests().len(), 1);
    world.advance(TIMEOUT / 3);
    assert!(link.is_dropped());
    world.advance(Duration::from_millis(10));
    assert!(world.attempt(1).is_some());
}

#[test]
fn a_client_that_reaches_nobody_declares_its_session_expired_by_itself() {
    let mut world = World::new();
    let mut states = world.client.states();
    let mut link = world.attach();
    let write = world.issue(world.client.set("/a", "x"));
    world.servers[0].down.store(true, Ordering::Relaxed);
    link.close(CloseReason::NotServing);
    world.advance(TIMEOUT * 4 / 3 - Duration::from_millis(1));
    assert!(write.is_open());
    assert_eq!(world.client.state(), SessionState::Disconnected);
    world.advance(Duration::from_millis(1));
    assert_eq!(write.take(), Some(Err(ClientError::SessionExpired)));
    assert_eq!(world.client.state(), SessionState::Expired);

    // Nothing follows: no new session takes its place, and later calls fail as well.
    world.servers[0].down.store(false, Ordering::Relaxed);
    world.advance(TIMEOUT);
    assert!(world.attempt(0).is_none());
    assert_eq!(world.issue(world.client.get("/a")).take(), Some(Err(ClientError::SessionExpired)));
    let connected = world.client.clone();
    let connected = world.issue(async move { connected.connected().await });
    assert_eq!(connected.take(), Some(Err(ClientError::SessionExpired)));
    let all = world.issue(async move {
        let mut all = Vec::new();
        while let Some(state) = states.next().await {
            all.push(state);
        }
        all
    });
    assert_eq!(
        all.take(),
        Some(vec![SessionState::Connected, SessionState::Disconnected, SessionState::Expired])
    );
}

#[test]
fn scn_58_a_client_whose_server_has_lost_the_quorum_declares_its_session_expired_too() {
    let mut world = World::new();
    let mut link = world.attach();
    link.close(CloseReason::NotServing);
    let mut waited = Duration::ZERO;
    while world.client.state() != SessionState::Expired {
        assert!(
            waited < TIMEOUT * 4 / 3 + Duration::from_millis(10),
            "its server goes on refusing, and it never learns"
        );
        world.advance(Duration::from_millis(10));
        waited += Duration::from_millis(10);
        if let Some((_, mut link)) = world.attempt(0) {
            link.close(CloseReason::NotServing);
        }
    }
    assert!(waited >= TIMEOUT * 4 / 3);
}

#[test]
fn a_client_that_never_had_a_session_goes_on_trying() {
    let mut world = World::new();
    let write = world.issue(world.client.set("/a", "x"));
    world.servers[0].down.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        world.advance(TIMEOUT);
    }
    world.servers[0].down.store(false, Ordering::Relaxed);
    world.advance(TIMEOUT);
    // The attempts made before the server went down have been given up.
    let mut link = loop {
        let (attach, mut link) = world.attempt(0).expect("the client still tries");
        if !link.is_dropped() {
            link.connect(&attach);
            break link;
        }
    };
    world.run();
    let tag = link.requests()[0].0;
    link.answer(tag, set());
    world.run();
    assert!(write.take().unwrap().is_ok());
}

#[test]
fn the_quorums_word_that_the_session_has_ended_fails_everything() {
    for by_reply in [false, true] {
        let mut world = World::new();
        let mut link = world.attach();
        let first = world.issue(world.client.set("/a", "x"));
        let second = world.issue(world.client.get("/a"));
        if by_reply {
            let tag = link.requests()[0].0;
            link.refuse(tag, ErrorCode::SessionExpired);
        } else {
            link.close(CloseReason::Expired);
        }
        world.run();
        assert_eq!(first.take(), Some(Err(ClientError::SessionExpired)));
        assert_eq!(second.take(), Some(Err(ClientError::SessionExpired)));
        assert_eq!(world.client.state(), SessionState::Expired);
    }
}

#[test]
fn another_session_than_the_one_asked_for_is_never_taken() {
    let mut world = World::new();
    let mut link = world.attach();
    link.close(CloseReason::NotServing);
    world.advance(TIMEOUT / 9);
    let (_, mut link) = world.attempt(0).unwrap();
    link.deliver(Delivery::Connected(Connected {
        client: ClientId::new(1),
        session: SessionId::from_u64(0x88),
        password: Password::new([1; 16]),
        timeout_millis: 9_000,
        resumed: false,
    }));
    world.run();
    assert_eq!(world.client.state(), SessionState::Expired);
    assert_eq!(world.client.session_id(), Some(SessionId::from_u64(0x77)));
}

#[test]
fn close_follows_all_calls_before_it_and_nothing_follows_close() {
    let mut world = World::new();
    let mut link = world.attach();
    let write = world.issue(world.client.set("/a", "x"));
    let client = world.client.clone();
    let close = world.issue(async move { client.close().await });
    let late = world.issue(world.client.set("/b", "x"));
    assert_eq!(late.take(), Some(Err(ClientError::Closed)));
    let requests = link.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].1, Request::CloseSession);
    link.answer(requests[0].0, set());
    link.answer(requests[1].0, Answer::Done);
    world.run();
    assert!(write.take().unwrap().is_ok());
    assert_eq!(close.take(), Some(Ok(())));
    assert_eq!(world.client.state(), SessionState::Closed);
    assert!(link.is_dropped());
}

#[test]
fn a_close_whose_answer_was_lost_is_known_by_the_sessions_end() {
    let mut world = World::new();
    let mut link = world.attach();
    let client = world.client.clone();
    let close = world.issue(async move { client.close().await });
    assert_eq!(link.requests().len(), 1);
    link.close(CloseReason::NotServing);
    world.advance(TIMEOUT / 9);
    let (_, mut link) = world.attempt(0).unwrap();
    link.close(CloseReason::Expired);
    world.run();
    assert_eq!(close.take(), Some(Ok(())));
    assert_eq!(world.client.state(), SessionState::Closed);
}

#[test]
fn the_last_handle_closes_the_session_when_it_is_dropped() {
    let mut world = World::new();
    let mut link = world.attach();
    let other = world.client.clone();
    let World { mut pool, client, .. } = world;
    drop(client);
    pool.run_until_stalled();
    assert!(link.requests().is_empty());
    drop(other);
    pool.run_until_stalled();
    assert_eq!(link.requests()[0].1, Request::CloseSession);
}

#[test]
fn a_client_without_a_session_closes_at_once() {
    let mut world = World::new();
    world.servers[0].down.store(true, Ordering::Relaxed);
    let client = world.client.clone();
    let close = world.issue(async move { client.close().await });
    assert_eq!(close.take(), Some(Ok(())));
}

#[test]
fn a_dropped_driver_leaves_no_call_waiting() {
    let mut world = World::new();
    let _link = world.attach();
    let client = world.client.clone();
    let World { pool, .. } = world;
    let mut other = futures::executor::LocalPool::new();
    let under_way = {
        use futures::task::LocalSpawnExt as _;
        let client = client.clone();
        let handle = other.spawner().spawn_local_with_handle(async move { client.get("/a").await }).unwrap();
        other.run_until_stalled();
        handle
    };
    drop(pool);
    assert_eq!(other.run_until(under_way).unwrap_err(), ClientError::Stopped);
    let late = other.run_until(async { client.get("/a").await });
    assert_eq!(late.unwrap_err(), ClientError::Stopped);
}
