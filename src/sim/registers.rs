use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::{Client, ClientError};
use crate::types::{ErrorCode, SeededRng};

use super::linear::{self, Call, Model, Verdict};
use super::{Failure, World};

/// How many nodes are used as registers.
const REGISTERS: u64 = 2;

/// How many operations on one register are recorded; more would take the search too long.
const MOST_CALLS: usize = 300;

/// How many steps a search may take.
const MOST_STEPS: usize = 200_000;

/// A record of what clients did to some nodes that nothing else touches, for the check of linearizability: an oracle that
/// knows nothing of zxids. A clone is another handle.
#[derive(Clone, Default)]
pub(super) struct Registers {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    moment: u64,
    calls: BTreeMap<u64, Vec<Call<Operation, Answer>>>,
}

/// What the checks of a world's registers came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RegisterCounters {
    /// Operations that were part of a linearizable history.
    pub linearized: u64,
    /// Histories that were given up as too hard.
    pub undecided: u64,
}

impl Registers {
    /// One random operation of a client on one of the registers.
    pub(super) async fn operate(&self, client: &Client, rng: &mut SeededRng) -> Result<(), ClientError> {
        let register = rng.below(REGISTERS);
        let path = format!("/register-{register}");
        let expected = rng.chance(1, 2).then(|| i32::try_from(rng.below(4)).unwrap_or(0));
        let value = rng.next_u64();
        let operation = match rng.below(8) {
            0 | 1 => Operation::Create(value),
            2 | 3 => Operation::Set { value, expected },
            4 if rng.chance(1, 3) => Operation::Delete { expected },
            _ => Operation::Read,
        };
        let Some(place) = self.called(register, operation) else { return Ok(()) };
        let result = match operation {
            Operation::Create(value) => {
                client.create(path.as_str(), value.to_string()).await.map(|_| Answer::At(0))
            }
            Operation::Set { value, expected } => {
                let set = client.set(path.as_str(), value.to_string());
                let set = if let Some(version) = expected { set.version(version) } else { set };
                set.await.map(|stat| Answer::At(stat.version))
            }
            Operation::Delete { expected } => {
                let delete = client.delete(path.as_str());
                let delete = if let Some(version) = expected { delete.version(version) } else { delete };
                delete.await.map(|()| Answer::Deleted)
            }
            Operation::Read => client.get(path.as_str()).linearizable().await.map(|node| {
                let bytes = node.bytes();
                let text = std::str::from_utf8(&bytes).unwrap_or_default();
                Answer::Shows { value: text.parse().unwrap_or(0), version: node.stat.version }
            }),
        };
        let answer = match &result {
            Ok(answer) => Some(*answer),
            Err(error) if error.is(ErrorCode::NoNode) => Some(Answer::None),
            Err(error) if error.is(ErrorCode::NodeExists) => Some(Answer::Exists),
            Err(error) if error.is(ErrorCode::BadVersion) => Some(Answer::BadVersion),
            Err(_) => None,
        };
        self.returned(register, place, answer);
        match result {
            Ok(_) | Err(ClientError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Judges the history of every register.
    ///
    /// # Errors
    ///
    /// Says which register has a history that no order explains.
    pub(super) fn judge(&self) -> Result<RegisterCounters, String> {
        let state = self.lock();
        let mut counters = RegisterCounters::default();
        for (register, calls) in &state.calls {
            match linear::check::<Register>(calls, MOST_STEPS) {
                Verdict::Linearizable => counters.linearized += calls.len() as u64,
                Verdict::Undecided => counters.undecided += 1,
                Verdict::Impossible => {
                    return Err(format!(
                        "no order explains what happened to /register-{register}: {calls:?}"
                    ));
                }
            }
        }
        Ok(counters)
    }

    /// Where the call is recorded; none if there is no room for it.
    fn called(&self, register: u64, operation: Operation) -> Option<usize> {
        let mut state = self.lock();
        state.moment += 1;
        let called = state.moment;
        let calls = state.calls.entry(register).or_default();
        (calls.len() < MOST_CALLS).then(|| {
            calls.push(Call { called, operation, returned: None });
            calls.len() - 1
        })
    }

    fn returned(&self, register: u64, place: usize, answer: Option<Answer>) {
        let mut state = self.lock();
        state.moment += 1;
        let moment = state.moment;
        if let Some(call) = state.calls.get_mut(&register).and_then(|calls| calls.get_mut(place)) {
            call.returned = answer.map(|answer| (moment, answer));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// Whether what clients were told of the registers is linearizable.
    pub(super) fn judge_registers(&self) -> Result<RegisterCounters, Failure> {
        let judged = self.inner().registers.judge();
        judged.map_err(|what| Failure::Violated { at: self.now(), invariant: "Linearizable", what })
    }
}

/// A node whose parent always exists and which everybody may change: data under a version, or nothing.
pub(super) struct Register;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Create(u64),
    Set { value: u64, expected: Option<i32> },
    Delete { expected: Option<i32> },
    Read,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Written, and this is the version now.
    At(i32),
    Deleted,
    Shows {
        value: u64,
        version: i32,
    },
    None,
    Exists,
    BadVersion,
}

impl Model for Register {
    type State = Option<(u64, i32)>;
    type Operation = Operation;
    type Answer = Answer;

    fn step(state: &Self::State, operation: &Operation) -> (Self::State, Answer) {
        let meets = |expected: Option<i32>, version| expected.is_none_or(|expected| expected == version);
        match (*operation, *state) {
            (Operation::Create(value), None) => (Some((value, 0)), Answer::At(0)),
            (Operation::Create(_), some) => (some, Answer::Exists),
            (_, None) => (None, Answer::None),
            (Operation::Set { value, expected }, Some((_, version))) if meets(expected, version) => {
                (Some((value, version + 1)), Answer::At(version + 1))
            }
            (Operation::Delete { expected }, Some((_, version))) if meets(expected, version) => {
                (None, Answer::Deleted)
            }
            (Operation::Set { .. } | Operation::Delete { .. }, some) => (some, Answer::BadVersion),
            (Operation::Read, Some((value, version))) => (*state, Answer::Shows { value, version }),
        }
    }
}

#[cfg(test)]
#[path = "registers_tests.rs"]
mod tests;
