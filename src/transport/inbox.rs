use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::types::{Lane, ServerId};

/// How much may wait, of one sender, in one lane. A frame is also taken when nothing waits, however long it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueLimit {
    /// How many frames.
    pub frames: usize,
    /// How many bytes, in all frames together.
    pub bytes: usize,
}

impl QueueLimit {
    /// Whether one more frame of `len` bytes fits on what waits already.
    pub(super) fn admits(self, waiting: Waiting, len: usize) -> bool {
        waiting.frames == 0
            || (waiting.frames < self.frames && waiting.bytes.saturating_add(len) <= self.bytes)
    }
}

/// What waits in a queue.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Waiting {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

impl Waiting {
    pub(super) fn add(&mut self, len: usize) {
        self.frames = self.frames.saturating_add(1);
        self.bytes = self.bytes.saturating_add(len);
    }

    pub(super) fn remove(&mut self, len: usize) {
        self.frames = self.frames.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(len);
    }
}

/// What arrived at a server and was not yet received: two lanes, the urgent one first.
///
/// Each sender has its own share of each lane, so that one that floods crowds out nobody else.
/// It works under any executor.
#[derive(Debug)]
pub(super) struct Inbox {
    urgent: QueueLimit,
    bulk: QueueLimit,
    state: Mutex<State>,
}

impl Inbox {
    pub(super) fn new(urgent: QueueLimit, bulk: QueueLimit) -> Self {
        Self { urgent, bulk, state: Mutex::default() }
    }

    /// Takes a frame in, or says that it was dropped: the share of the sender is full, or the inbox closed.
    pub(super) fn offer(&self, from: ServerId, lane: Lane, frame: Bytes) -> bool {
        let mut state = self.lock();
        if state.closed || !state.admits(self.limit(lane), from, lane, frame.len()) {
            return false;
        }
        let wakers = state.put(from, lane, frame);
        drop(state);
        wake(wakers);
        true
    }

    /// Takes a frame in as soon as there is room; false when the inbox was closed.
    #[cfg(feature = "tokio")]
    pub(super) async fn put(&self, from: ServerId, lane: Lane, frame: Bytes) -> bool {
        let mut frame = Some(frame);
        poll_fn(|context| {
            let mut state = self.lock();
            let len = frame.as_ref().map_or(0, Bytes::len);
            if state.closed {
                return Poll::Ready(false);
            }
            if !state.admits(self.limit(lane), from, lane, len) {
                remember(&mut state.senders, context);
                return Poll::Pending;
            }
            let wakers = frame.take().map(|frame| state.put(from, lane, frame)).unwrap_or_default();
            drop(state);
            wake(wakers);
            Poll::Ready(true)
        })
        .await
    }

    /// The next frame; `None` once the inbox is closed. Dropping the future loses nothing.
    pub(super) async fn recv(&self) -> Option<(ServerId, Bytes)> {
        poll_fn(|context| {
            let mut state = self.lock();
            if state.closed {
                return Poll::Ready(None);
            }
            let Some(next) = state.take() else {
                remember(&mut state.receivers, context);
                return Poll::Pending;
            };
            let wakers = std::mem::take(&mut state.senders);
            drop(state);
            wake(wakers);
            Poll::Ready(Some(next))
        })
        .await
    }

    /// Drops what waits and ends every [`Inbox::recv`], now and later.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        let mut wakers = std::mem::take(&mut state.receivers);
        wakers.append(&mut state.senders);
        *state = State { closed: true, ..State::default() };
        drop(state);
        wake(wakers);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn limit(&self, lane: Lane) -> QueueLimit {
        match lane {
            Lane::Urgent => self.urgent,
            Lane::Bulk => self.bulk,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default, Debug)]
struct State {
    urgent: VecDeque<(ServerId, Bytes)>,
    bulk: VecDeque<(ServerId, Bytes)>,
    waiting: BTreeMap<(ServerId, Lane), Waiting>,
    receivers: Vec<Waker>,
    senders: Vec<Waker>,
    closed: bool,
}

impl State {
    fn admits(&self, limit: QueueLimit, from: ServerId, lane: Lane, len: usize) -> bool {
        limit.admits(self.waiting.get(&(from, lane)).copied().unwrap_or_default(), len)
    }

    /// Appends the frame and returns whom to wake.
    fn put(&mut self, from: ServerId, lane: Lane, frame: Bytes) -> Vec<Waker> {
        self.waiting.entry((from, lane)).or_default().add(frame.len());
        match lane {
            Lane::Urgent => self.urgent.push_back((from, frame)),
            Lane::Bulk => self.bulk.push_back((from, frame)),
        }
        // All of them: one that was dropped meanwhile must not take the wake-up with it.
        std::mem::take(&mut self.receivers)
    }

    fn take(&mut self) -> Option<(ServerId, Bytes)> {
        let (lane, (from, frame)) = match self.urgent.pop_front() {
            Some(next) => (Lane::Urgent, next),
            None => (Lane::Bulk, self.bulk.pop_front()?),
        };
        if let Some(waiting) = self.waiting.get_mut(&(from, lane)) {
            waiting.remove(frame.len());
            if waiting.frames == 0 {
                self.waiting.remove(&(from, lane));
            }
        }
        Some((from, frame))
    }
}

fn remember(wakers: &mut Vec<Waker>, context: &Context<'_>) {
    if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
        wakers.push(context.waker().clone());
    }
}

fn wake(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

#[cfg(all(test, feature = "tokio"))]
mod tests {
    use futures::FutureExt as _;
    use futures::task::noop_waker_ref;

    use super::*;

    const ONE: ServerId = ServerId::new(1);
    const TWO: ServerId = ServerId::new(2);
    const SMALL: QueueLimit = QueueLimit { frames: 2, bytes: 10 };

    fn frame(len: usize) -> Bytes {
        Bytes::from(vec![0; len])
    }

    #[test]
    fn a_sender_without_room_waits_for_a_receive_and_others_do_not_wait_for_it() {
        let inbox = Inbox::new(SMALL, SMALL);
        assert_eq!(inbox.put(ONE, Lane::Bulk, frame(1)).now_or_never(), Some(true));
        assert_eq!(inbox.put(ONE, Lane::Bulk, frame(2)).now_or_never(), Some(true));
        let mut context = Context::from_waker(noop_waker_ref());
        let mut third = Box::pin(inbox.put(ONE, Lane::Bulk, frame(3)));
        assert!(third.poll_unpin(&mut context).is_pending());
        assert_eq!(inbox.put(TWO, Lane::Bulk, frame(4)).now_or_never(), Some(true));
        assert_eq!(inbox.put(ONE, Lane::Urgent, frame(5)).now_or_never(), Some(true));
        assert_eq!(inbox.recv().now_or_never(), Some(Some((ONE, frame(5)))));
        assert!(third.poll_unpin(&mut context).is_pending());
        assert_eq!(inbox.recv().now_or_never(), Some(Some((ONE, frame(1)))));
        assert_eq!(third.poll_unpin(&mut context), Poll::Ready(true));
    }

    #[test]
    fn a_sender_waits_for_room_in_bytes_too() {
        let inbox = Inbox::new(SMALL, SMALL);
        assert_eq!(inbox.put(ONE, Lane::Bulk, frame(8)).now_or_never(), Some(true));
        assert_eq!(inbox.put(ONE, Lane::Bulk, frame(3)).now_or_never(), None);
        assert_eq!(inbox.put(ONE, Lane::Bulk, frame(2)).now_or_never(), Some(true));
    }

    #[test]
    fn a_sender_that_waits_is_sent_away_when_the_inbox_closes() {
        let inbox = Inbox::new(SMALL, SMALL);
        assert!(inbox.offer(ONE, Lane::Bulk, frame(10)));
        let mut waiting = Box::pin(inbox.put(ONE, Lane::Bulk, frame(1)));
        let mut context = Context::from_waker(noop_waker_ref());
        assert!(waiting.poll_unpin(&mut context).is_pending());
        inbox.close();
        assert_eq!(waiting.poll_unpin(&mut context), Poll::Ready(false));
        assert!(!inbox.offer(ONE, Lane::Bulk, frame(1)));
        assert_eq!(inbox.recv().now_or_never(), Some(None));
    }
}
