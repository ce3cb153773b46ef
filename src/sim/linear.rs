//! Whether a history is linearizable: the search of Wing and Gong with the memory of Lowe ("Testing for linearizability",
//! 2017), for histories of one object. It knows nothing of how the quorum works: only when operations were called, when they
//! returned, and with what.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// An object with a sequential specification.
pub(super) trait Model {
    /// The state of the object.
    type State: Clone + Eq + Hash + Debug + Default;
    /// What can be asked of it.
    type Operation: Debug;
    /// What it can answer.
    type Answer: Eq + Debug;

    /// What the object answers to an operation, and its state afterwards.
    fn step(state: &Self::State, operation: &Self::Operation) -> (Self::State, Self::Answer);
}

/// An operation of a history. Moments are places in the one order in which a world's clients call and return.
#[derive(Clone, Debug)]
pub(super) struct Call<O, A> {
    pub(super) called: u64,
    pub(super) operation: O,
    /// None when it was never learnt what became of it: it may take effect at any time after its call, once, or never.
    pub(super) returned: Option<(u64, A)>,
}

/// What the search came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// There is an order that explains the history.
    Linearizable,
    /// There is none.
    Impossible,
    /// The search was given up after so many states.
    Undecided,
}

/// Searches for an order of `calls` that respects real time and explains every answer, in at most `limit` steps.
pub(super) fn check<M: Model>(calls: &[Call<M::Operation, M::Answer>], limit: usize) -> Verdict {
    Search::<M>::new(calls).run(limit)
}

struct Search<'a, M: Model> {
    calls: &'a [Call<M::Operation, M::Answer>],
    /// All calls and returns, in order: the index of the operation, and whether this is its return.
    moments: Vec<(usize, bool)>,
    done: Bits,
    state: M::State,
    /// What was put in order so far, and the state before it.
    path: Vec<(usize, M::State)>,
    /// Sets of operations with the state that they led to, which need not be gone through again.
    seen: HashSet<(Bits, M::State)>,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(calls: &'a [Call<M::Operation, M::Answer>]) -> Self {
        let mut moments: Vec<_> =
            calls.iter().enumerate().map(|(index, call)| (call.called, index, false)).collect();
        let returns = calls.iter().enumerate();
        moments.extend(returns.filter_map(|(index, call)| {
            let (returned, _) = call.returned.as_ref()?;
            Some((*returned, index, true))
        }));
        moments.sort_unstable();
        let moments = moments.into_iter().map(|(_, index, returns)| (index, returns)).collect();
        let (done, state) = (Bits::new(calls.len()), M::State::default());
        Self { calls, moments, done, state, path: Vec::new(), seen: HashSet::new() }
    }

    fn run(mut self, limit: usize) -> Verdict {
        let mut after = None;
        for _ in 0..limit {
            match self.next(after.take()) {
                Next::Took => {}
                Next::Finished => return Verdict::Linearizable,
                // The first return of what is not in order yet: something before it must go elsewhere.
                Next::Stuck => match self.path.pop() {
                    Some((index, before)) => {
                        self.done.clear(index);
                        self.state = before;
                        after = Some(index);
                    }
                    None => return Verdict::Impossible,
                },
            }
        }
        Verdict::Undecided
    }

    /// Puts the next possible operation in order, of those that come behind `after` among the candidates.
    fn next(&mut self, after: Option<usize>) -> Next {
        let undone = |(index, _): &&(usize, bool)| !self.done.has(*index);
        // What never returned needs no place: when all else has one, the search is over.
        let Some(bound) = self.moments.iter().position(|moment| moment.1 && !self.done.has(moment.0)) else {
            return Next::Finished;
        };
        let window = self.moments.get(..bound).unwrap_or_default().iter().filter(undone);
        let window: Vec<usize> = window.map(|(index, _)| *index).collect();
        // Those first of which something is known.
        let returns = |index: &&usize| self.calls.get(**index).is_some_and(|call| call.returned.is_some());
        let (known, unknown): (Vec<&usize>, Vec<&usize>) = window.iter().partition(returns);
        let mut candidates = known.into_iter().chain(unknown).copied();
        if let Some(after) = after {
            candidates.by_ref().take_while(|index| *index != after).for_each(drop);
        }
        for index in candidates {
            let Some(call) = self.calls.get(index) else { continue };
            let (state, answer) = M::step(&self.state, &call.operation);
            let fits = match &call.returned {
                Some((_, expected)) => *expected == answer,
                // What changes nothing explains nothing.
                None => state != self.state,
            };
            if !fits {
                continue;
            }
            let mut done = self.done.clone();
            done.set(index);
            if self.seen.insert((done.clone(), state.clone())) {
                self.done = done;
                self.path.push((index, std::mem::replace(&mut self.state, state)));
                return Next::Took;
            }
        }
        Next::Stuck
    }
}

enum Next {
    Took,
    Finished,
    Stuck,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(length: usize) -> Self {
        Self(vec![0; length.div_ceil(64)])
    }

    fn has(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    fn set(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    fn clear(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::registers::{Answer, Operation, Register};
    use super::*;

    fn call(called: u64, operation: Operation, returned: u64, answer: Answer) -> Call<Operation, Answer> {
        Call { called, operation, returned: Some((returned, answer)) }
    }

    fn lost(called: u64, operation: Operation) -> Call<Operation, Answer> {
        Call { called, operation, returned: None }
    }

    #[track_caller]
    fn expect(verdict: Verdict, calls: &[Call<Operation, Answer>]) {
        assert_eq!(check::<Register>(calls, 100_000), verdict);
    }

    const CREATED: Answer = Answer::At(0);
    const NONE: Answer = Answer::None;

    fn shows(value: u64, version: i32) -> Answer {
        Answer::Shows { value, version }
    }

    #[test]
    fn reads_and_writes_one_after_the_other_are_linearizable() {
        expect(
            Verdict::Linearizable,
            &[
                call(1, Operation::Read, 2, NONE),
                call(3, Operation::Create(7), 4, CREATED),
                call(5, Operation::Read, 6, shows(7, 0)),
                call(7, Operation::Set { value: 8, expected: Some(0) }, 8, Answer::At(1)),
                call(9, Operation::Set { value: 9, expected: Some(0) }, 10, Answer::BadVersion),
                call(11, Operation::Delete { expected: None }, 12, Answer::Deleted),
                call(13, Operation::Read, 14, NONE),
            ],
        );
    }

    #[test]
    fn a_read_of_what_was_replaced_before_it_was_called_is_found() {
        expect(
            Verdict::Impossible,
            &[
                call(1, Operation::Create(7), 2, CREATED),
                call(3, Operation::Set { value: 8, expected: None }, 4, Answer::At(1)),
                call(5, Operation::Read, 6, shows(7, 0)),
            ],
        );
    }

    #[test]
    fn reads_beside_a_write_may_show_either_but_not_go_back() {
        let create = call(1, Operation::Create(7), 2, CREATED);
        let set = call(3, Operation::Set { value: 8, expected: None }, 10, Answer::At(1));
        let old = |called, returned| call(called, Operation::Read, returned, shows(7, 0));
        let new = |called, returned| call(called, Operation::Read, returned, shows(8, 1));
        expect(Verdict::Linearizable, &[create.clone(), set.clone(), old(4, 5), new(6, 7)]);
        expect(Verdict::Impossible, &[create, set, new(4, 5), old(6, 7)]);
    }

    #[test]
    fn what_was_never_answered_takes_effect_late_or_never_but_not_twice() {
        let create = call(1, Operation::Create(7), 2, CREATED);
        let unknown = lost(3, Operation::Set { value: 8, expected: None });
        let old = call(4, Operation::Read, 5, shows(7, 0));
        let new = call(6, Operation::Read, 7, shows(8, 1));
        let twice = call(8, Operation::Read, 9, shows(8, 2));
        expect(Verdict::Linearizable, &[create.clone(), unknown.clone(), old.clone()]);
        expect(Verdict::Linearizable, &[create.clone(), unknown.clone(), old, new.clone()]);
        expect(Verdict::Impossible, &[create, unknown, new, twice]);
    }

    #[test]
    fn an_acknowledged_write_that_nobody_sees_is_found() {
        expect(
            Verdict::Impossible,
            &[call(1, Operation::Create(7), 2, CREATED), call(3, Operation::Read, 4, NONE)],
        );
    }

    #[test]
    fn two_conditional_writes_on_one_version_do_not_both_succeed() {
        let create = call(1, Operation::Create(7), 2, CREATED);
        let swap = |value| call(3, Operation::Set { value, expected: Some(0) }, 9, Answer::At(1));
        let refused = call(3, Operation::Set { value: 9, expected: Some(0) }, 9, Answer::BadVersion);
        expect(Verdict::Impossible, &[create.clone(), swap(8), swap(9)]);
        expect(Verdict::Linearizable, &[create, swap(8), refused]);
    }

    #[test]
    fn a_search_that_takes_too_long_says_so() {
        let calls: Vec<_> = (0..60).map(|n| lost(n, Operation::Set { value: n, expected: None })).collect();
        let mut calls = calls;
        calls.push(call(0, Operation::Create(7), 1, CREATED));
        calls.push(call(100, Operation::Read, 101, shows(99, 99)));
        expect(Verdict::Undecided, &calls);
    }
}
