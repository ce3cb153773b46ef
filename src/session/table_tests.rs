use proptest::prelude::*;

use crate::session::{MAX_ANSWERS, MAX_ANSWERS_LEN};
use crate::types::{ErrorCode, ZnodePath};

use super::*;

const SESSION: SessionId = SessionId::from_u64(5);

fn password(byte: u8) -> Password {
    Password::new([byte; 16])
}

fn zxid(bits: u64) -> Zxid {
    Zxid::from_u64(bits)
}

fn numbered(id: u64, answered_below: u64) -> NumberedRequest {
    NumberedRequest { id: RequestId::new(id), answered_below: RequestId::new(answered_below) }
}

fn count(count: u32) -> Result<Written, Refusal> {
    Ok(Written::TreeDeleted { count })
}

fn with_session() -> Sessions {
    let mut sessions = Sessions::new();
    sessions.create(SESSION, 1_000, password(1));
    sessions
}

fn state(sessions: &Sessions, number: u64) -> &'static str {
    match sessions.seen(SESSION, RequestId::new(number)) {
        Seen::New => "new",
        Seen::Answered(_) => "answered",
        Seen::Forgotten => "forgotten",
    }
}

#[test]
fn a_session_is_taken_up_with_its_own_password_only() {
    let sessions = with_session();
    let session = sessions.get(SESSION).unwrap();
    assert!(session.verify(&password(1)));
    assert!(!session.verify(&password(2)));
    assert!(!session.verify(&Password::new([0; 16])));
    assert_eq!(session.password(), password(1));
    assert_eq!(session.timeout_millis(), 1_000);
}

#[test]
fn a_closed_session_is_gone_with_its_answers() {
    let mut sessions = with_session();
    sessions.record(SESSION, numbered(1, 1), zxid(9), count(1));
    assert!(sessions.close(SESSION));
    assert!(!sessions.close(SESSION));
    assert!(sessions.get(SESSION).is_none());
    assert_eq!(sessions.recorded(SESSION, RequestId::new(1)), None);
    sessions.record(SESSION, numbered(2, 1), zxid(10), count(2));
    assert!(sessions.is_empty());
    assert_eq!(sessions.digest(), Sessions::new().digest());
}

#[test]
fn the_first_answer_to_a_number_stands() {
    let mut sessions = with_session();
    sessions.record(SESSION, numbered(1, 1), zxid(9), count(1));
    sessions.record(SESSION, numbered(2, 1), zxid(10), Err(ErrorCode::NoNode.into()));
    let digest = sessions.digest();
    sessions.record(SESSION, numbered(1, 1), zxid(11), count(3));
    sessions.record(SESSION, numbered(2, 1), zxid(12), count(4));
    assert_eq!(sessions.digest(), digest);
    let first = sessions.recorded(SESSION, RequestId::new(1)).unwrap();
    assert_eq!((first.zxid, &first.answer), (zxid(9), &count(1)));
    let second = sessions.recorded(SESSION, RequestId::new(2)).unwrap();
    assert_eq!((second.zxid, &second.answer), (zxid(10), &Err(ErrorCode::NoNode.into())));
}

#[test]
fn answers_that_the_client_has_are_forgotten_and_their_numbers_are_not_new_again() {
    let mut sessions = with_session();
    for number in 1..=4 {
        sessions.record(SESSION, numbered(number, 1), zxid(number), count(0));
    }
    sessions.record(SESSION, numbered(5, 4), zxid(5), count(0));
    let states: Vec<_> = (0..=6).map(|number| state(&sessions, number)).collect();
    assert_eq!(states, ["forgotten", "forgotten", "forgotten", "forgotten", "answered", "answered", "new"]);
}

#[test]
fn a_number_that_was_skipped_is_not_executed_late() {
    let mut sessions = with_session();
    sessions.record(SESSION, numbered(7, 1), zxid(7), count(7));
    assert_eq!(state(&sessions, 6), "forgotten");
    sessions.record(SESSION, numbered(6, 1), zxid(8), count(6));
    assert_eq!(sessions.recorded(SESSION, RequestId::new(6)), None);
}

#[test]
fn a_client_that_claims_answers_from_the_future_loses_only_its_own() {
    let mut sessions = with_session();
    sessions.record(SESSION, numbered(1, u64::MAX), zxid(1), count(1));
    assert_eq!(state(&sessions, 1), "forgotten");
    assert_eq!(state(&sessions, 2), "new");
}

#[test]
fn the_oldest_of_too_many_answers_are_forgotten() {
    let mut sessions = with_session();
    let last = MAX_ANSWERS as u64 + 3;
    for number in 1..=last {
        sessions.record(SESSION, numbered(number, 1), zxid(number), count(0));
    }
    assert_eq!(state(&sessions, 3), "forgotten");
    assert_eq!(state(&sessions, 4), "answered");
    assert_eq!(state(&sessions, last), "answered");
}

#[test]
fn answers_are_bounded_by_length_but_the_newest_is_always_kept() {
    let mut sessions = with_session();
    let large = || Ok(Written::Multi(vec![Written::Deleted; MAX_ANSWERS_LEN + 1]));
    sessions.record(SESSION, numbered(1, 1), zxid(1), count(1));
    sessions.record(SESSION, numbered(2, 1), zxid(2), large());
    assert_eq!((state(&sessions, 1), state(&sessions, 2)), ("forgotten", "answered"));
    sessions.record(SESSION, numbered(3, 1), zxid(3), count(3));
    assert_eq!((state(&sessions, 2), state(&sessions, 3)), ("forgotten", "answered"));
}

#[test]
fn an_answer_that_nests_too_deep_for_a_snapshot_is_not_kept() {
    let mut sessions = with_session();
    let nested = (0..100).fold(Written::Deleted, |inner, _| Written::Multi(vec![inner]));
    sessions.record(SESSION, numbered(1, 1), zxid(1), Ok(nested));
    assert_eq!(state(&sessions, 1), "forgotten");
}

#[test]
fn nobody_but_the_table_decides_what_a_digest_covers() {
    let build = |id: u64, timeout, byte, number, position, answer| {
        let mut sessions = Sessions::new();
        sessions.create(SessionId::from_u64(id), timeout, password(byte));
        sessions.record(SessionId::from_u64(id), numbered(number, 1), zxid(position), answer);
        sessions.digest()
    };
    let path = |path: &str| {
        let stat = stat(1);
        Ok(Written::Created { path: ZnodePath::parse(path).unwrap(), stat })
    };
    let digests = [
        Sessions::new().digest(),
        with_session().digest(),
        build(5, 1_000, 1, 1, 9, count(1)),
        build(6, 1_000, 1, 1, 9, count(1)),
        build(5, 2_000, 1, 1, 9, count(1)),
        build(5, 1_000, 2, 1, 9, count(1)),
        build(5, 1_000, 1, 2, 9, count(1)),
        build(5, 1_000, 1, 1, 8, count(1)),
        build(5, 1_000, 1, 1, 9, count(2)),
        build(5, 1_000, 1, 1, 9, path("/a")),
        build(5, 1_000, 1, 1, 9, path("/b")),
        build(5, 1_000, 1, 1, 9, Err(ErrorCode::NoNode.into())),
    ];
    let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
    assert_eq!(distinct.len(), digests.len());
}

#[test]
fn a_digest_does_not_depend_on_the_order_of_events() {
    let other = SessionId::from_u64(6);
    let mut one = with_session();
    one.create(other, 2_000, password(2));
    one.record(SESSION, numbered(1, 1), zxid(7), count(1));
    one.record(other, numbered(1, 1), zxid(8), count(2));
    let mut two = Sessions::new();
    two.create(other, 2_000, password(2));
    two.record(other, numbered(1, 1), zxid(8), count(2));
    two.create(SessionId::from_u64(9), 1, password(9));
    two.create(SESSION, 1_000, password(1));
    two.close(SessionId::from_u64(9));
    two.record(SESSION, numbered(1, 1), zxid(7), count(1));
    assert_eq!(one.digest(), two.digest());
}

#[test]
fn a_password_appears_in_no_debug_output() {
    let mut sessions = Sessions::new();
    sessions.create(SESSION, 1, Password::new(*b"canary-canary-ca"));
    let shown = format!("{sessions:?}");
    assert!(!shown.contains("canary") && !shown.contains("99, 97, 110"), "{shown}");
}

pub(in crate::session) fn stat(bits: u64) -> crate::types::Stat {
    crate::types::Stat {
        czxid: zxid(bits),
        mzxid: zxid(bits + 1),
        pzxid: zxid(bits + 2),
        ctime: crate::types::WallTime::from_millis(-1),
        mtime: crate::types::WallTime::from_millis(bits as i64),
        version: i32::MIN,
        cversion: 3,
        aversion: -4,
        ephemeral_owner: SESSION,
        data_length: 6,
        num_children: 7,
    }
}

/// What one session was told, in the plainest form.
#[derive(Clone, Default)]
struct Model {
    last: u64,
    kept: Vec<(u64, u64, u32)>,
}

impl Model {
    fn record(&mut self, number: u64, answered_below: u64, position: u64, answer: u32) {
        self.kept.retain(|(kept, ..)| *kept >= answered_below);
        if number > self.last {
            self.last = number;
            if number >= answered_below {
                self.kept.push((number, position, answer));
            }
            let excess = self.kept.len().saturating_sub(MAX_ANSWERS);
            self.kept.drain(..excess);
        }
    }

    fn seen(&self, number: u64) -> Result<(u64, u32), bool> {
        match self.kept.iter().find(|(kept, ..)| *kept == number) {
            Some((_, position, answer)) => Ok((*position, *answer)),
            None => Err(number > self.last),
        }
    }
}

proptest! {
    #[test]
    fn a_write_is_executed_at_most_once_and_answered_alike_ever_after(
        writes in proptest::collection::vec((0u64..24, 0u64..24), 0..80),
    ) {
        let mut sessions = with_session();
        let mut model = Model::default();
        let mut executed = std::collections::BTreeSet::new();
        for (position, (number, answered_below)) in writes.into_iter().enumerate() {
            let position = position as u64 + 100;
            // As a leader does: only what is new is executed, all is recorded.
            if sessions.seen(SESSION, RequestId::new(number)) == Seen::New {
                prop_assert!(executed.insert(number), "{number} was executed twice");
            }
            sessions.record(SESSION, numbered(number, answered_below), zxid(position), count(position as u32));
            model.record(number, answered_below, position, position as u32);
            for number in 0..25 {
                let seen = match sessions.seen(SESSION, RequestId::new(number)) {
                    Seen::Answered(Recorded { zxid, answer: Ok(Written::TreeDeleted { count }) }) => {
                        Ok((zxid.as_u64(), *count))
                    }
                    Seen::Answered(other) => panic!("{other:?}"),
                    Seen::New => Err(true),
                    Seen::Forgotten => Err(false),
                };
                prop_assert_eq!(seen, model.seen(number), "number {}", number);
            }
        }
    }
}
