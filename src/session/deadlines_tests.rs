use proptest::prelude::*;

use super::*;

const GUARD: Duration = Duration::from_millis(1_000);
const NOBODY: [u64; 0] = [];

fn id(number: u64) -> SessionId {
    SessionId::from_u64(number)
}

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn expired(deadlines: &mut Deadlines, now: Time) -> Vec<u64> {
    std::iter::from_fn(|| deadlines.poll_expired(now)).map(SessionId::as_u64).collect()
}

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[test]
fn a_timeout_is_negotiated_within_the_bounds() {
    let (min, max) = (millis(400), millis(60_000));
    assert_eq!(negotiate(0, min, max), 400);
    assert_eq!(negotiate(399, min, max), 400);
    assert_eq!(negotiate(5_000, min, max), 5_000);
    assert_eq!(negotiate(u32::MAX, min, max), 60_000);
    assert_eq!(negotiate(7, min, Duration::MAX), 400);
    assert_eq!(negotiate(u32::MAX, min, Duration::MAX), u32::MAX);
}

#[test]
fn a_session_expires_at_its_deadline_and_not_before() {
    let mut deadlines = Deadlines::new(GUARD);
    deadlines.insert(at(100), id(1), millis(500));
    assert_eq!(deadlines.next(), Some(at(600)));
    assert_eq!(deadlines.poll_expired(Time::from_micros(599_999)), None);
    assert_eq!(deadlines.poll_expired(at(600)), Some(id(1)));
    assert_eq!(deadlines.poll_expired(at(600)), None);
    assert_eq!(deadlines.next(), None);
}

#[test]
fn sessions_expire_in_the_order_of_their_deadlines_and_then_of_their_ids() {
    let mut deadlines = Deadlines::new(GUARD);
    for (number, timeout) in [(4, 300), (3, 300), (9, 100), (1, 400)] {
        deadlines.insert(at(0), id(number), millis(timeout));
    }
    deadlines.touch(at(200), id(9));
    assert_eq!(expired(&mut deadlines, at(500)), [3, 4, 9, 1]);
}

#[test]
fn whoever_is_heard_from_has_the_full_timeout_again() {
    let mut deadlines = Deadlines::new(GUARD);
    deadlines.insert(at(0), id(1), millis(500));
    assert!(deadlines.touch(at(499), id(1)));
    assert_eq!(expired(&mut deadlines, at(998)), NOBODY);
    assert_eq!(deadlines.next(), Some(at(999)));
    assert_eq!(expired(&mut deadlines, at(999)), [1]);
}

#[test]
fn a_touch_from_the_past_shortens_nothing() {
    let mut deadlines = Deadlines::new(GUARD);
    deadlines.insert(at(400), id(1), millis(500));
    deadlines.touch(at(100), id(1));
    assert_eq!(expired(&mut deadlines, at(899)), NOBODY);
    assert_eq!(expired(&mut deadlines, at(900)), [1]);
}

#[test]
fn an_expired_session_cannot_be_touched_back_to_life() {
    let mut deadlines = Deadlines::new(GUARD);
    deadlines.insert(at(0), id(1), millis(500));
    assert_eq!(expired(&mut deadlines, at(500)), [1]);
    assert!(!deadlines.touch(at(500), id(1)));
    assert!(!deadlines.touch(at(500), id(2)));
    assert!(deadlines.is_empty());
    assert_eq!(deadlines.next(), None);
}

#[test]
fn a_closed_session_does_not_expire() {
    let mut deadlines = Deadlines::new(GUARD);
    deadlines.insert(at(0), id(1), millis(500));
    deadlines.touch(at(300), id(1));
    deadlines.remove(id(1));
    assert_eq!(deadlines.next(), None);
    assert_eq!(expired(&mut deadlines, at(900)), NOBODY);
}

#[test]
fn a_new_reign_gives_everybody_the_full_timeout() {
    let mut deadlines = Deadlines::new(GUARD);
    deadlines.insert(at(0), id(1), millis(500));
    deadlines.insert(at(400), id(1), millis(500));
    assert_eq!(deadlines.len(), 1);
    assert_eq!(expired(&mut deadlines, at(899)), NOBODY);
    assert_eq!(expired(&mut deadlines, at(900)), [1]);
}

#[test]
fn a_stalled_leader_does_not_expire_those_it_could_not_hear() {
    let mut deadlines = Deadlines::new(GUARD);
    deadlines.insert(at(0), id(1), millis(2_000));
    deadlines.observe(at(1_000));
    // Suspended for five seconds; the timer comes first when it wakes.
    assert_eq!(expired(&mut deadlines, at(6_000)), NOBODY);
    assert_eq!(deadlines.next(), Some(at(7_000)));
    assert_eq!(expired(&mut deadlines, at(6_999)), NOBODY);
    assert_eq!(expired(&mut deadlines, at(7_000)), [1]);
}

#[test]
fn a_stall_is_seen_by_whatever_is_called_first_after_it() {
    for wake in [
        (|deadlines, now| deadlines.observe(now)) as fn(&mut Deadlines, Time),
        |deadlines, now| {
            deadlines.touch(now, id(2));
        },
        |deadlines, now| deadlines.insert(now, id(2), millis(9_000)),
    ] {
        let mut deadlines = Deadlines::new(GUARD);
        deadlines.insert(at(0), id(1), millis(2_000));
        wake(&mut deadlines, at(5_000));
        assert_eq!(expired(&mut deadlines, at(5_000)), NOBODY);
        assert_eq!(deadlines.next(), Some(at(7_000)));
    }
}

#[test]
fn a_gap_within_the_guard_is_no_stall() {
    let mut deadlines = Deadlines::new(GUARD);
    deadlines.insert(at(0), id(1), millis(900));
    assert_eq!(expired(&mut deadlines, at(1_000)), [1]);
    deadlines.insert(at(1_000), id(2), millis(900));
    assert_eq!(expired(&mut deadlines, Time::from_micros(2_000_001)), NOBODY);
}

#[test]
fn a_deadline_at_the_end_of_time_does_not_wrap() {
    let mut deadlines = Deadlines::new(GUARD);
    deadlines.insert(at(5), id(1), Duration::MAX);
    assert_eq!(expired(&mut deadlines, at(10)), NOBODY);
    assert_eq!(deadlines.next(), Some(Time::from_micros(u64::MAX)));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u64),
    Touch(u64),
    Remove(u64),
    Observe,
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1u64..9, 1u64..1_500).prop_map(|(id, timeout)| Step::Insert(id, timeout)),
        5 => (1u64..9).prop_map(Step::Touch),
        1 => (1u64..9).prop_map(Step::Remove),
        1 => Just(Step::Observe),
        4 => Just(Step::Poll),
    ]
}

/// Most steps are short; now and then the leader stalls.
fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![9 => 0u64..200, 1 => 900u64..3_000]
}

proptest! {
    /// The model: a list of (deadline, id, timeout), all of them moved at each stall, searched at each poll.
    #[test]
    fn deadlines_agree_with_a_list(steps in proptest::collection::vec((pause(), step()), 0..200)) {
        let mut deadlines = Deadlines::new(GUARD);
        let mut model: Vec<(Time, u64, Duration)> = Vec::new();
        let mut now = at(10);
        let mut told = None;
        for (pause, step) in steps {
            now += millis(pause);
            // A removal tells no time.
            if !matches!(step, Step::Remove(_)) {
                let gap = told.map_or(Duration::ZERO, |told| now.since(told));
                if gap > GUARD {
                    model.iter_mut().for_each(|(deadline, ..)| *deadline += gap);
                }
                told = Some(now);
            }
            match step {
                Step::Insert(number, timeout) => {
                    deadlines.insert(now, id(number), millis(timeout));
                    model.retain(|(_, other, _)| *other != number);
                    model.push((now + millis(timeout), number, millis(timeout)));
                }
                Step::Touch(number) => {
                    let known = model.iter_mut().find(|(_, other, _)| *other == number);
                    prop_assert_eq!(deadlines.touch(now, id(number)), known.is_some());
                    if let Some((deadline, _, timeout)) = known {
                        *deadline = (*deadline).max(now + *timeout);
                    }
                }
                Step::Remove(number) => {
                    deadlines.remove(id(number));
                    model.retain(|(_, other, _)| *other != number);
                }
                Step::Observe => deadlines.observe(now),
                Step::Poll => {
                    model.sort();
                    let due: Vec<u64> =
                        model.iter().filter(|(deadline, ..)| *deadline <= now).map(|(_, id, _)| *id).collect();
                    model.retain(|(deadline, ..)| *deadline > now);
                    prop_assert_eq!(expired(&mut deadlines, now), due);
                    prop_assert!(deadlines.next().is_none_or(|next| next > now));
                }
            }
            prop_assert_eq!(deadlines.len(), model.len());
            // A wake-up may come early, for a session that was touched since, but never late.
            let first = model.iter().map(|(deadline, ..)| *deadline).min();
            prop_assert_eq!(deadlines.next().is_some(), first.is_some());
            prop_assert!(deadlines.next() <= first);
        }
    }
}
