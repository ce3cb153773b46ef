use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::node::Clock;
use crate::types::{Now, Time, WallTime};

use super::executor::{Executor, Sleep};

/// 2026-01-01: where every world's wall clocks start, in milliseconds since the Unix epoch.
const WALL_ZERO: i64 = 1_767_225_600_000;

/// Millionths of a local second in a second of the world, where they are the same.
const TRUE_RATE: u64 = 1_000_000;

/// The clocks of one machine, on a world's virtual time: a monotonic one that may run fast or slow and may
/// jump forward, and a wall clock that may jump anywhere. A clone is another handle.
#[derive(Clone)]
pub struct SimClock {
    executor: Executor,
    state: Arc<Mutex<State>>,
}

impl SimClock {
    /// Clocks that show what the world's time is.
    #[must_use]
    pub fn new(executor: Executor) -> Self {
        let state = State {
            base: executor.now(),
            local: executor.now(),
            rate: TRUE_RATE,
            wall_offset: 0,
            changes: 0,
            next_sleeper: 0,
            sleepers: BTreeMap::new(),
        };
        Self { executor, state: Arc::new(Mutex::new(state)) }
    }

    /// What the machine's clocks show.
    #[must_use]
    pub fn now(&self) -> Now {
        let global = self.executor.now();
        self.lock().at(global)
    }

    /// Completes when the machine's monotonic clock shows `deadline` or later.
    pub fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send + 'static {
        LocalSleep { clock: self.clone(), deadline, sleep: None, changes: 0, number: None }
    }

    /// Moves the monotonic clock forward by `span`, as when a machine was suspended. Never backward: what a
    /// host passes in is monotonic by contract.
    pub fn jump(&self, span: Duration) {
        self.change(|state| state.local += span);
    }

    /// Moves the wall clock by this many milliseconds, forward or backward.
    pub fn jump_wall(&self, millis: i64) {
        self.change(|state| state.wall_offset = state.wall_offset.saturating_add(millis));
    }

    /// Lets the monotonic clock run at another speed: 1,000,000 is true, 1,010,000 gains a hundredth. Speeds
    /// below 1,000 are taken for 1,000.
    pub fn set_rate(&self, millionths: u64) {
        self.change(|state| state.rate = millionths.max(1_000));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let global = self.executor.now();
        let mut state = self.lock();
        state.local = state.at(global).time;
        state.base = global;
        change(&mut state);
        state.changes += 1;
        let sleepers: Vec<_> = state.sleepers.values().cloned().collect();
        drop(state);
        for sleeper in sleepers {
            sleeper.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Now {
        Self::now(self)
    }

    fn sleep_until(&self, deadline: Time) -> crate::node::Sleep {
        Box::pin(Self::sleep_until(self, deadline))
    }
}

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimClock({:?})", self.now().time)
    }
}

struct State {
    /// The world's time of the last change.
    base: Time,
    /// What the monotonic clock showed then.
    local: Time,
    /// Millionths of a local second in a second of the world.
    rate: u64,
    /// Milliseconds.
    wall_offset: i64,
    changes: u64,
    next_sleeper: u64,
    sleepers: BTreeMap<u64, Waker>,
}

impl State {
    fn at(&self, global: Time) -> Now {
        let passed = global.as_micros().saturating_sub(self.base.as_micros());
        let local = match self.rate {
            // Most clocks are true, and all are asked with everything that happens.
            TRUE_RATE => passed,
            rate => {
                let local = u128::from(passed) * u128::from(rate) / u128::from(TRUE_RATE);
                u64::try_from(local).unwrap_or(u64::MAX)
            }
        };
        let millis = i64::try_from(global.as_micros() / 1_000).unwrap_or(i64::MAX);
        Now {
            time: self.local + Duration::from_micros(local),
            wall: WallTime::from_millis(WALL_ZERO.saturating_add(millis).saturating_add(self.wall_offset)),
        }
    }

    /// The first time of the world at which the monotonic clock shows `deadline`, if it runs on as it does.
    fn when(&self, deadline: Time) -> Time {
        let ahead = deadline.since(self.local).as_micros();
        let global = ahead.saturating_mul(1_000_000).div_ceil(u128::from(self.rate));
        self.base + Duration::from_micros(u64::try_from(global).unwrap_or(u64::MAX))
    }
}

struct LocalSleep {
    clock: SimClock,
    deadline: Time,
    sleep: Option<Sleep>,
    /// The changes of the clock that `sleep` knows of.
    changes: u64,
    /// Where the waker stands in the clock, to be woken when it changes.
    number: Option<u64>,
}

impl Future for LocalSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { clock, deadline, sleep, changes, number } = &mut *self;
        loop {
            let global = clock.executor.now();
            let mut state = clock.lock();
            if state.at(global).time >= *deadline {
                return Poll::Ready(());
            }
            let number = *number.get_or_insert_with(|| {
                state.next_sleeper += 1;
                state.next_sleeper
            });
            let waker = context.waker();
            match state.sleepers.get_mut(&number) {
                Some(known) => known.clone_from(waker),
                None => drop(state.sleepers.insert(number, waker.clone())),
            }
            if sleep.is_none() || *changes != state.changes {
                *changes = state.changes;
                *sleep = Some(clock.executor.sleep_until(state.when(*deadline)));
            }
            drop(state);
            if sleep.as_mut().is_some_and(|sleep| Pin::new(sleep).poll(context).is_pending()) {
                return Poll::Pending;
            }
            // A rounding to microseconds may wake a step too early; then the rest is slept.
            *sleep = None;
        }
    }
}

impl Drop for LocalSleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = self.clock.lock().sleepers.remove(&number);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::{Actor, Step};
    use super::*;
    use crate::types::SeededRng;

    fn sleeper(clock: &SimClock, executor: &Executor, deadline: Time) -> Arc<AtomicU64> {
        let woke = Arc::new(AtomicU64::new(0));
        let (sleep, inner, slot) = (clock.sleep_until(deadline), executor.clone(), Arc::clone(&woke));
        executor.spawn(Actor::World, "sleeper", async move {
            sleep.await;
            slot.store(inner.now().as_micros(), Ordering::Relaxed);
        });
        woke
    }

    fn run(executor: &Executor) {
        while executor.step(Time::from_millis(100_000)).unwrap() != Step::Idle {}
    }

    #[test]
    fn a_fast_clock_wakes_its_sleepers_early_and_a_slow_one_late() {
        for (rate, expected) in [(2_000_000, 500_000), (1_000_000, 1_000_000), (500_000, 2_000_000)] {
            let executor = Executor::new(SeededRng::from_number(1), false);
            let clock = SimClock::new(executor.clone());
            clock.set_rate(rate);
            let woke = sleeper(&clock, &executor, Time::from_millis(1_000));
            run(&executor);
            assert_eq!(woke.load(Ordering::Relaxed), expected);
        }
    }

    #[test]
    fn a_jump_wakes_who_sleeps_up_to_there() {
        let executor = Executor::new(SeededRng::from_number(1), false);
        let clock = SimClock::new(executor.clone());
        let near = sleeper(&clock, &executor, Time::from_millis(1_000));
        let far = sleeper(&clock, &executor, Time::from_millis(5_000));
        let jumper = clock.clone();
        executor.at(Time::from_millis(10), move || jumper.jump(Duration::from_secs(2)));
        run(&executor);
        assert_eq!(near.load(Ordering::Relaxed), 10_000);
        assert_eq!(far.load(Ordering::Relaxed), 3_000_000);
    }

    #[test]
    fn the_wall_clock_goes_back_and_the_monotonic_one_does_not() {
        let executor = Executor::new(SeededRng::from_number(1), false);
        let clock = SimClock::new(executor.clone());
        executor.advance(Time::from_millis(500));
        let before = clock.now();
        clock.jump_wall(-3_600_000);
        let after = clock.now();
        assert_eq!(after.time, before.time);
        assert_eq!(after.wall.as_millis(), before.wall.as_millis() - 3_600_000);
    }
}
