use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Clock, Sleep};

use crate::types::{Now, Time, WallTime};

/// A clock that stands still until a test moves it.
#[derive(Clone, Default)]
pub(crate) struct ManualClock(Arc<Mutex<Hands>>);

#[derive(Default)]
struct Hands {
    time: Time,
    sleepers: Vec<(Time, Waker)>,
}

impl ManualClock {
    /// Moves the clock on and wakes all who sleep, so that they look at it.
    pub(crate) fn advance(&self, span: Duration) {
        let mut hands = self.0.lock().unwrap();
        hands.time += span;
        let sleepers = std::mem::take(&mut hands.sleepers);
        drop(hands);
        sleepers.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Moves the clock on to the next moment that somebody sleeps for.
    pub(crate) fn advance_to_next(&self) {
        let hands = self.0.lock().unwrap();
        let next = hands.sleepers.iter().map(|(deadline, _)| *deadline).min();
        let span = next.expect("somebody sleeps").since(hands.time);
        drop(hands);
        self.advance(span);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        let time = self.0.lock().unwrap().time;
        Now { time, wall: WallTime::from_millis((time.as_micros() / 1_000) as i64) }
    }

    fn sleep_until(&self, deadline: Time) -> Sleep {
        Box::pin(Sleeper { hands: Arc::clone(&self.0), deadline })
    }
}

struct Sleeper {
    hands: Arc<Mutex<Hands>>,
    deadline: Time,
}

impl Future for Sleeper {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut hands = self.hands.lock().unwrap();
        if hands.time >= self.deadline {
            return Poll::Ready(());
        }
        let deadline = self.deadline;
        hands.sleepers.push((deadline, context.waker().clone()));
        Poll::Pending
    }
}
