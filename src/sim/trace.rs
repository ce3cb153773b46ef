use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use twox_hash::XxHash3_64;

use crate::types::Time;

use super::Actor;

/// Everything that happened in a world, as one running hash: two runs that made the same trace did the same.
/// On demand it also keeps or prints the events. A clone is another handle.
#[derive(Clone, Default)]
pub struct Trace {
    state: Arc<Mutex<State>>,
}

/// What a trace does with its events beside hashing them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Keep {
    /// Nothing: the fastest.
    #[default]
    Nothing,
    /// It keeps this many of the latest.
    Last(usize),
    /// It keeps all.
    All,
    /// It keeps those from the first to the second moment, the second included.
    Between(Time, Time),
    /// It prints each to the standard error output at once.
    Print,
}

/// One event, as it was kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceEvent {
    /// Its place in the trace, from 1.
    pub number: u64,
    /// Virtual time.
    pub at: Time,
    /// Where it happened.
    pub actor: Actor,
    /// What happened, in a word.
    pub kind: &'static str,
    /// The numbers that went into the hash.
    pub numbers: Vec<u64>,
    /// What else there is to say.
    pub detail: String,
}

impl Trace {
    /// An empty trace.
    #[must_use]
    pub fn new(keep: Keep) -> Self {
        let trace = Self::default();
        trace.lock().keep = keep;
        trace
    }

    /// Notes an event. The numbers are hashed; the detail is only made when it is kept.
    pub fn note(
        &self,
        at: Time,
        actor: Actor,
        kind: &'static str,
        numbers: &[u64],
        detail: impl FnOnce() -> String,
    ) {
        let mut state = self.lock();
        let mut hash = XxHash3_64::oneshot_with_seed(state.hash, kind.as_bytes());
        for number in [at.as_micros(), actor.code()].iter().chain(numbers) {
            hash = mix(hash, *number);
        }
        state.hash = hash;
        state.count += 1;
        match state.keep {
            Keep::Nothing => return,
            Keep::Between(from, until) if !(from..=until).contains(&at) => return,
            _ => {}
        }
        let event =
            TraceEvent { number: state.count, at, actor, kind, numbers: numbers.to_vec(), detail: detail() };
        match state.keep {
            Keep::Nothing => {}
            Keep::Print => {
                drop(state);
                #[expect(clippy::print_stderr, reason = "printing is what this trace was asked for")]
                {
                    eprintln!("{event}");
                }
            }
            Keep::All | Keep::Between(..) => state.events.push_back(event),
            Keep::Last(most) => {
                state.events.push_back(event);
                while state.events.len() > most {
                    state.events.pop_front();
                }
            }
        }
    }

    /// The hash of all events so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.lock().hash
    }

    /// How many events there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.lock().count
    }

    /// The events that were kept, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<TraceEvent> {
        self.lock().events.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        write!(f, "Trace({} events, {:016x})", state.count, state.hash)
    }
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, at, actor, kind, detail, .. } = self;
        write!(f, "{number:>8} {at} {actor:<6} {kind:<10} {detail}")
    }
}

#[derive(Default)]
struct State {
    hash: u64,
    count: u64,
    keep: Keep,
    events: VecDeque<TraceEvent>,
}

/// A number that stands for all of a value, for what tells no two values apart by its numbers alone.
pub(super) fn contents(value: &impl Hash) -> u64 {
    let mut hasher = XxHash3_64::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Mixes a number into a hash: multiply and fold, as splitmix64 does.
fn mix(hash: u64, number: u64) -> u64 {
    let mut mixed = hash.rotate_left(23) ^ number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(events: &[(u64, &'static str, u64)]) -> u64 {
        let trace = Trace::default();
        for (micros, kind, number) in events {
            trace.note(Time::from_micros(*micros), Actor::World, kind, &[*number], String::new);
        }
        trace.hash()
    }

    #[test]
    fn the_hash_tells_time_kind_number_and_order_apart() {
        let hashes = [
            noted(&[(1, "a", 1), (1, "b", 1)]),
            noted(&[(1, "b", 1), (1, "a", 1)]),
            noted(&[(2, "a", 1), (1, "b", 1)]),
            noted(&[(1, "a", 2), (1, "b", 1)]),
            noted(&[(1, "a", 1)]),
        ];
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
        assert_eq!(hashes[0], noted(&[(1, "a", 1), (1, "b", 1)]));
    }

    #[test]
    fn only_the_latest_events_are_kept() {
        let trace = Trace::new(Keep::Last(2));
        for number in 1..=5 {
            trace.note(Time::ZERO, Actor::World, "tick", &[number], || number.to_string());
        }
        let kept: Vec<_> = trace.events().iter().map(|event| (event.number, event.detail.clone())).collect();
        assert_eq!(kept, [(4, "4".to_owned()), (5, "5".to_owned())]);
        assert_eq!(trace.count(), 5);
    }
}
