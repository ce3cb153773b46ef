use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::types::{Now, Time, WallTime};

/// What [`Clock::sleep_until`] gives.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Where a [`Node`](super::Node) and a [`Client`](crate::client::Client) get the time from.
///
/// MUST:
///
/// 1. `now().time` never goes back. `now().wall` may: it is only shown.
/// 2. `sleep_until` is ready once `now().time` has reached the deadline, at once if it has already, and not before.
/// 3. Dropping what `sleep_until` gave ends the wait and keeps nothing behind.
pub trait Clock: Send + Sync {
    /// Both clocks, read together.
    fn now(&self) -> Now;

    /// Waits for a moment. It may be polled by any executor, and by another task than the one that made it.
    fn sleep_until(&self, deadline: Time) -> Sleep;
}

/// The machine's clocks, with one thread that wakes who sleeps; it needs no async runtime and works under
/// every one.
///
/// Cheap to clone; clones share the zero and the thread. The thread ends when the last clone and the last
/// sleep are gone.
#[derive(Clone)]
pub struct SystemClock {
    handle: Arc<Handle>,
}

impl SystemClock {
    /// A clock whose zero is now.
    ///
    /// # Errors
    ///
    /// When the operating system gives no thread.
    pub fn new() -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
        let zero = Instant::now();
        let timers = Arc::new(Timers { zero, table: Mutex::new(Table::default()), changed: Condvar::new() });
        let served = Arc::clone(&timers);
        thread::Builder::new().name("quorate-clock".into()).spawn(move || served.serve())?;
        Ok(Self { handle: Arc::new(Handle { timers }) })
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
        let wall = SystemTime::now();
        // A wall clock before 1970 shows as 1970.
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now {
            time: self.handle.timers.time(),
            wall: WallTime::from_millis(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    fn sleep_until(&self, deadline: Time) -> Sleep {
        Box::pin(Sleeper { handle: Arc::clone(&self.handle), deadline, number: None })
    }
}

impl std::fmt::Debug for SystemClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SystemClock({})", self.handle.timers.time())
    }
}

/// Held by clones and sleeps, not by the thread: when the last one goes, the thread is told to end.
struct Handle {
    timers: Arc<Timers>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.timers.lock().ended = true;
        self.timers.changed.notify_one();
    }
}

struct Timers {
    zero: Instant,
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    next_number: u64,
    sleepers: BTreeMap<(Time, u64), Waker>,
    ended: bool,
}

impl Timers {
    fn time(&self) -> Time {
        Time::from_micros(u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The table is whole between any two statements that hold the lock, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: sleeps to the next deadline, wakes who is due.
    fn serve(&self) {
        let mut table = self.lock();
        while !table.ended {
            let now = self.time();
            let mut due = Vec::new();
            while let Some(entry) = table.sleepers.first_entry() {
                if entry.key().0 > now {
                    break;
                }
                due.push(entry.remove());
            }
            if !due.is_empty() {
                // Wakers run foreign code; it may come back here.
                drop(table);
                due.into_iter().for_each(Waker::wake);
                table = self.lock();
                continue;
            }
            table = match table.sleepers.keys().next() {
                None => self.changed.wait(table).unwrap_or_else(PoisonError::into_inner),
                Some((deadline, _)) => {
                    let span = deadline.since(now);
                    self.changed.wait_timeout(table, span).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

struct Sleeper {
    handle: Arc<Handle>,
    deadline: Time,
    number: Option<u64>,
}

impl Future for Sleeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let handle = Arc::clone(&self.handle);
        let mut table = handle.timers.lock();
        if handle.timers.time() >= self.deadline {
            if let Some(number) = self.number.take() {
                table.sleepers.remove(&(self.deadline, number));
            }
            return Poll::Ready(());
        }
        let number = self.number.unwrap_or_else(|| {
            table.next_number += 1;
            table.next_number
        });
        self.number = Some(number);
        table.sleepers.insert((self.deadline, number), context.waker().clone());
        if table.sleepers.keys().next() == Some(&(self.deadline, number)) {
            handle.timers.changed.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            // The waker is dropped after the lock is free again: it may own a task that owns a sleep.
            let waker = self.handle.timers.lock().sleepers.remove(&(self.deadline, number));
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::future::{Either, join, select};

    use super::*;

    #[test]
    fn a_sleep_ends_at_its_deadline_and_not_before() {
        let clock = SystemClock::new().unwrap();
        let deadline = clock.now().time + Duration::from_millis(15);
        block_on(clock.sleep_until(deadline));
        assert!(clock.now().time >= deadline);
    }

    #[test]
    fn a_deadline_that_has_passed_is_ready_at_once() {
        let clock = SystemClock::new().unwrap();
        let mut sleep = clock.sleep_until(Time::ZERO);
        let waker = Waker::noop();
        assert!(sleep.as_mut().poll(&mut Context::from_waker(waker)).is_ready());
    }

    #[test]
    fn an_earlier_sleep_wakes_the_thread_that_waits_for_a_later_one() {
        let clock = SystemClock::new().unwrap();
        let late = clock.sleep_until(clock.now().time + Duration::from_secs(3_600));
        let early = clock.sleep_until(clock.now().time + Duration::from_millis(5));
        match block_on(select(late, early)) {
            Either::Right(_) => {}
            Either::Left(_) => unreachable!("an hour has not passed"),
        }
    }

    #[test]
    fn sleeps_with_one_deadline_all_end() {
        let clock = SystemClock::new().unwrap();
        let deadline = clock.now().time + Duration::from_millis(5);
        block_on(join(clock.sleep_until(deadline), clock.sleep_until(deadline)));
    }

    #[test]
    fn a_dropped_sleep_leaves_nothing_behind() {
        let clock = SystemClock::new().unwrap();
        let mut sleep = clock.sleep_until(clock.now().time + Duration::from_secs(3_600));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(clock.handle.timers.lock().sleepers.len(), 1);
        drop(sleep);
        assert_eq!(clock.handle.timers.lock().sleepers.len(), 0);
    }

    #[test]
    fn the_thread_ends_with_the_last_clone_and_the_last_sleep() {
        let clock = SystemClock::new().unwrap();
        let timers = Arc::clone(&clock.handle.timers);
        let sleep = clock.sleep_until(clock.now().time + Duration::from_millis(1));
        drop(clock);
        assert!(!timers.lock().ended);
        block_on(sleep);
        assert!(timers.lock().ended);
        // The thread drops its share when it ends.
        while Arc::strong_count(&timers) > 1 {
            thread::yield_now();
        }
    }
}
