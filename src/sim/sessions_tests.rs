use crate::peer::{CloseReason, Connected, Reply};
use crate::types::{
    ClientId, Epoch, ErrorCode, Expected, Found, NumberedRequest, Password, Read, ServerId, WatchEvent,
    WatchEventKind, WatchMode, Write, Written,
};

use super::*;

/// Client 0, which has the session 1.1 on its first connection, and what reaches it.
struct Script {
    check: SessionCheck,
    checker: Checker,
    /// The connection that is used.
    connection: u64,
}

impl Script {
    fn new() -> Self {
        let checker = Checker::new([(ServerId::new(1), true)]);
        let check = SessionCheck::new(checker.clone());
        let connection = check.connection(0, &attach(None));
        let script = Self { check, checker, connection };
        script.gets(&connected(1));
        script
    }

    /// The client leaves its connection for another, and has seen so much.
    fn moves(&mut self, last_seen: u32) {
        self.connection = self.check.connection(0, &attach(Some(at(last_seen))));
    }

    fn asks(&self, tag: u64, request: &Request) {
        self.check.asked(self.connection, tag, request);
    }

    /// Asks, and is answered.
    fn reads(&self, tag: u64, counter: u32) {
        self.asks(tag, &read(ReadLevel::Session));
        self.gets(&reply(tag, counter, found()));
    }

    fn gets(&self, delivery: &Delivery) {
        self.check.delivered(Time::ZERO, 0, self.connection, delivery);
    }

    #[track_caller]
    fn expect_sound(&self) {
        assert_eq!(self.checker.failure(), None);
    }

    #[track_caller]
    fn expect_violation(&self, expected: &str) {
        match self.checker.failure() {
            Some(Failure::Violated { invariant, .. }) => assert_eq!(invariant, expected),
            other => panic!("{expected} was not found violated, but {other:?}"),
        }
    }
}

/// To a session of one's own, or to the one that has seen so much.
fn attach(last_seen: Option<Zxid>) -> Attach {
    let resume = last_seen.map(|_| (session(1), Password::new([0; 16])));
    let (last_seen, identities) = (last_seen.unwrap_or_default(), Vec::new());
    Attach { resume, timeout_millis: 1_000, last_seen, identities }
}

fn at(counter: u32) -> Zxid {
    Zxid::new(Epoch::new(1), counter)
}

fn session(counter: u32) -> SessionId {
    SessionId::from_u64(at(counter).as_u64())
}

fn connected(counter: u32) -> Delivery {
    let (client, password) = (ClientId::new(1), Password::new([0; 16]));
    let session = session(counter);
    Delivery::Connected(Connected { client, session, password, timeout_millis: 1_000, resumed: false })
}

fn read(level: ReadLevel) -> Request {
    Request::Read { read: Read::Get { path: "/a".into() }, level, watch: false }
}

fn write(id: u64) -> Request {
    let id = RequestId::new(id);
    Request::Write {
        write: Write::Delete { path: "/a".into(), expected: Expected::Any },
        number: Some(NumberedRequest { id, answered_below: id }),
    }
}

fn resume() -> Request {
    let (path, mode) = ("/a".into(), WatchMode::Persistent);
    Request::Watch(WatchRequest::Resume { path, mode, since: at(1) })
}

fn reply(tag: u64, counter: u32, result: Result<Answer, ErrorCode>) -> Delivery {
    let result = result.map_err(Into::into);
    Delivery::Reply(Reply { client: ClientId::new(1), tag, zxid: at(counter), result })
}

fn found() -> Result<Answer, ErrorCode> {
    Ok(Answer::Found(Found::Count(1)))
}

fn event(zxid: Zxid) -> Delivery {
    let (kind, path) = (WatchEventKind::DataChanged, "/a".parse().unwrap());
    Delivery::Watch(WatchEvent { zxid, kind, path })
}

#[test]
fn a_session_that_goes_on_from_server_to_server_is_sound() {
    let mut script = Script::new();
    script.reads(1, 3);
    script.gets(&event(at(4)));
    script.gets(&event(at(4)));
    script.reads(2, 4);
    script.asks(3, &read(ReadLevel::Session));
    script.moves(4);
    script.gets(&connected(1));
    // On the connection that it has left, this reaches nobody.
    script.check.delivered(Time::ZERO, 0, script.connection - 1, &reply(3, 2, found()));
    script.gets(&event(at(5)));
    // Of what changed while it was away it is not told when.
    script.gets(&event(Zxid::ZERO));
    script.reads(4, 5);
    script.expect_sound();
}

#[test]
fn a_state_older_than_one_that_was_shown_is_found() {
    let script = Script::new();
    script.reads(1, 5);
    script.reads(2, 4);
    script.expect_violation("SingleImage");
}

#[test]
fn a_state_older_than_one_that_another_server_has_shown_is_found() {
    for (last_seen, sound) in [(5, false), (3, true)] {
        let mut script = Script::new();
        script.reads(1, 5);
        script.moves(last_seen);
        script.gets(&connected(1));
        script.reads(2, 4);
        if sound {
            // The state at 5 was told to the client, and never came to it.
            script.expect_sound();
        } else {
            script.expect_violation("SingleImage");
        }
    }
}

#[test]
fn the_answer_to_a_write_or_a_refusal_may_be_of_an_older_state() {
    for old in [Ok(Answer::Written(Written::Deleted)), Err(ErrorCode::NoNode)] {
        let script = Script::new();
        script.reads(1, 5);
        script.asks(2, &read(ReadLevel::Session));
        script.gets(&reply(2, 4, old));
        script.expect_sound();
        script.reads(3, 4);
        script.expect_violation("SingleImage");
    }
}

#[test]
fn a_read_that_shows_what_its_client_asked_for_later_is_found() {
    for level in [ReadLevel::Session, ReadLevel::Linearizable] {
        for (executed, sound) in [(5, false), (6, true)] {
            let script = Script::new();
            script.asks(1, &read(level));
            script.asks(2, &write(1));
            script.gets(&reply(1, 5, found()));
            script.gets(&reply(2, executed, Ok(Answer::Written(Written::Deleted))));
            if sound {
                script.expect_sound();
            } else {
                script.expect_violation("ReadBeforeWrite");
            }
        }
    }
    // A local read takes no turn.
    let script = Script::new();
    script.asks(1, &read(ReadLevel::Local));
    script.asks(2, &write(1));
    script.gets(&reply(1, 5, found()));
    script.gets(&reply(2, 5, Ok(Answer::Written(Written::Deleted))));
    script.expect_sound();
}

#[test]
fn a_read_may_show_a_write_that_is_only_sent_again_behind_it() {
    let mut script = Script::new();
    script.asks(1, &read(ReadLevel::Session));
    script.asks(2, &write(1));
    script.moves(0);
    script.gets(&connected(1));
    script.asks(3, &read(ReadLevel::Session));
    script.asks(4, &write(1));
    script.asks(5, &write(2));
    script.gets(&reply(3, 5, found()));
    script.gets(&reply(4, 4, Ok(Answer::Written(Written::Deleted))));
    script.expect_sound();
    script.gets(&reply(5, 5, Ok(Answer::Written(Written::Deleted))));
    script.expect_violation("ReadBeforeWrite");
}

#[test]
fn a_session_that_comes_back_after_its_end_is_found() {
    use CloseReason::{ClosedByClient, Expired, Moved, NotServing};
    for (reason, ends) in [(Expired, true), (ClosedByClient, true), (Moved, false), (NotServing, false)] {
        let mut script = Script::new();
        script.gets(&Delivery::Closed(reason));
        script.moves(1);
        script.gets(&connected(1));
        if ends {
            script.expect_violation("SessionEnds");
        } else {
            script.expect_sound();
        }
    }
}

#[test]
fn a_session_that_comes_back_after_it_was_refused_as_ended_is_found() {
    let mut script = Script::new();
    script.moves(1);
    script.gets(&Delivery::Closed(CloseReason::Expired));
    script.moves(1);
    script.gets(&connected(1));
    script.expect_violation("SessionEnds");
}

#[test]
fn a_session_that_two_clients_get_is_found() {
    let script = Script::new();
    let other = script.check.connection(1, &attach(None));
    script.check.delivered(Time::ZERO, 1, other, &connected(2));
    script.expect_sound();
    let other = script.check.connection(1, &attach(None));
    script.check.delivered(Time::ZERO, 1, other, &connected(1));
    script.expect_violation("SessionUnique");
}

#[test]
fn a_reply_or_an_event_before_the_session_or_behind_its_end_is_found() {
    for early in [reply(1, 1, found()), event(at(1)), event(Zxid::ZERO)] {
        let mut script = Script::new();
        script.moves(1);
        script.expect_sound();
        script.gets(&early);
        script.expect_violation("ConnectedFirst");

        let script = Script::new();
        script.gets(&Delivery::Closed(CloseReason::Moved));
        script.expect_sound();
        script.gets(&early);
        script.expect_violation("ConnectedFirst");
    }
}

#[test]
fn an_event_behind_a_later_one_is_found() {
    let script = Script::new();
    script.gets(&event(at(4)));
    script.gets(&event(at(3)));
    script.expect_violation("WatchOrder");
}

#[test]
fn only_until_a_watch_is_resumed_are_events_of_the_past_in_order() {
    let script = Script::new();
    script.gets(&event(at(4)));
    script.asks(1, &resume());
    script.gets(&event(at(3)));
    script.gets(&reply(1, 4, Ok(Answer::Done)));
    script.gets(&event(at(5)));
    script.expect_sound();
    script.gets(&event(at(4)));
    script.expect_violation("WatchOrder");
}

#[test]
fn an_answer_to_what_was_not_asked_or_that_comes_twice_is_found() {
    let script = Script::new();
    script.gets(&reply(1, 1, found()));
    script.expect_violation("ClientOrder");
    let script = Script::new();
    script.reads(1, 1);
    script.expect_sound();
    script.gets(&reply(1, 1, found()));
    script.expect_violation("ClientOrder");
}

#[test]
fn an_answer_out_of_turn_is_found_unless_to_a_local_read() {
    for (second, sound) in [
        (read(ReadLevel::Session), false),
        (read(ReadLevel::Linearizable), false),
        (resume(), false),
        (read(ReadLevel::Local), true),
    ] {
        let script = Script::new();
        script.asks(1, &read(ReadLevel::Session));
        script.asks(2, &second);
        script.gets(&reply(2, 1, found()));
        if sound {
            script.gets(&reply(1, 1, found()));
            script.expect_sound();
        } else {
            script.expect_violation("ClientOrder");
        }
    }
}
