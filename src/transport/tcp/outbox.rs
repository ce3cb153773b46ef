use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use tokio::sync::Notify;

use super::LinkError;
use crate::transport::QueueLimit;
use crate::transport::inbox::Waiting;
use crate::types::Lane;

/// How much is written at once.
const BATCH: QueueLimit = QueueLimit { frames: 1024, bytes: 256 << 10 };

/// What waits to be sent to one peer in one lane, and how the connection is doing.
///
/// When it is full, the urgent lane gives up its oldest frame, because a newer vote or heartbeat says all that
/// the older one did; the bulk lane gives up the new one, because there the frames behind a gap are worthless.
#[derive(Debug)]
pub(super) struct Outbox {
    lane: Lane,
    limit: QueueLimit,
    state: Mutex<State>,
    wanted: Notify,
    reachable: Notify,
}

#[derive(Default, Debug)]
struct State {
    frames: VecDeque<Bytes>,
    waiting: Waiting,
    dropped: u64,
    connected: bool,
    error: Option<LinkError>,
    closed: bool,
}

/// What an outbox looks like from outside.
#[derive(Clone, Debug)]
pub(super) struct OutboxStatus {
    pub(super) connected: bool,
    pub(super) waiting: Waiting,
    pub(super) dropped: u64,
    pub(super) error: Option<LinkError>,
}

impl Outbox {
    pub(super) fn new(lane: Lane, limit: QueueLimit) -> Self {
        Self { lane, limit, state: Mutex::default(), wanted: Notify::new(), reachable: Notify::new() }
    }

    pub(super) fn offer(&self, frame: Bytes) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        while !self.limit.admits(state.waiting, frame.len()) {
            state.dropped = state.dropped.saturating_add(1);
            if self.lane == Lane::Bulk || state.pop().is_none() {
                return;
            }
        }
        let first = state.frames.is_empty();
        state.waiting.add(frame.len());
        state.frames.push_back(frame);
        drop(state);
        if first {
            self.wanted.notify_one();
        }
    }

    /// Counts a frame that was not even offered.
    pub(super) fn count_dropped(&self) {
        let mut state = self.lock();
        state.dropped = state.dropped.saturating_add(1);
    }

    /// What is to be written next; waits until there is something. Dropping the future loses nothing.
    pub(super) async fn batch(&self) -> Batch {
        loop {
            let batch = self.lock().batch();
            if batch.has_remaining() {
                return batch;
            }
            self.wanted.notified().await;
        }
    }

    /// Waits for a new wish to send.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Says that the peer has just shown that it is there.
    pub(super) fn set_reachable(&self) {
        self.reachable.notify_one();
    }

    /// Waits for [`Self::set_reachable`].
    pub(super) async fn reachable(&self) {
        self.reachable.notified().await;
    }

    pub(super) fn set_connected(&self) {
        let mut state = self.lock();
        state.connected = true;
    }

    /// Forgets why there was no connection before the one that has just ended after a good while.
    pub(super) fn forget_error(&self) {
        self.lock().error = None;
    }

    /// Notes why there is no connection; false if it was the same the last time.
    pub(super) fn set_failed(&self, error: &LinkError) -> bool {
        let mut state = self.lock();
        state.connected = false;
        let news = state.error.as_ref() != Some(error);
        state.error = Some(error.clone());
        news
    }

    /// Gives up the bulk that waits for a peer that has been away for long: it would be answered with a request
    /// to begin anew.
    pub(super) fn give_up_bulk(&self) {
        if self.lane == Lane::Bulk {
            let mut state = self.lock();
            state.dropped = state.dropped.saturating_add(state.frames.len() as u64);
            state.frames = VecDeque::new();
            state.waiting = Waiting::default();
        }
    }

    /// Drops what waits and all that is offered from now on.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.connected = false;
        state.frames = VecDeque::new();
        state.waiting = Waiting::default();
    }

    pub(super) fn status(&self) -> OutboxStatus {
        let state = self.lock();
        OutboxStatus {
            connected: state.connected,
            waiting: state.waiting,
            dropped: state.dropped,
            error: state.error.clone().filter(|_| !state.connected),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.waiting.remove(frame.len());
        Some(frame)
    }

    fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        let mut taken = Waiting::default();
        while self.frames.front().is_some_and(|frame| BATCH.admits(taken, frame.len())) {
            let Some(frame) = self.pop() else { break };
            taken.add(frame.len());
            batch.frames.push_back(frame);
        }
        batch.remaining = taken.bytes;
        batch
    }
}

/// Frames as one buffer, so that they go out in few system calls and without being copied together.
#[derive(Default, Debug)]
pub(super) struct Batch {
    frames: VecDeque<Bytes>,
    remaining: usize,
}

impl Buf for Batch {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.frames.front().map_or(&[], |frame| frame)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.len().min(self.frames.len());
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(frame);
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        self.remaining = self.remaining.saturating_sub(count);
        while let Some(frame) = self.frames.front_mut() {
            if count < frame.len() {
                frame.advance(count);
                return;
            }
            count -= frame.len();
            self.frames.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_batch_reads_as_its_frames_one_behind_the_other(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..20),
            steps in prop::collection::vec(0_usize..40, 0..40),
        ) {
            let outbox = Outbox::new(Lane::Bulk, QueueLimit { frames: 100, bytes: 1000 });
            for frame in &frames {
                outbox.offer(frame.clone().into());
            }
            let mut expected = frames.concat();
            let mut batch = outbox.batch().now_or_never().unwrap();
            for step in steps {
                prop_assert_eq!(batch.remaining(), expected.len());
                let mut slices = [IoSlice::new(&[]); 5];
                let filled = batch.chunks_vectored(&mut slices);
                prop_assert_eq!(filled > 0, batch.has_remaining());
                let seen: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                prop_assert!(expected.starts_with(&seen) && seen.starts_with(batch.chunk()));
                let step = step.min(batch.remaining());
                batch.advance(step);
                expected.drain(..step);
            }
            prop_assert_eq!(batch.copy_to_bytes(batch.remaining()), expected);
        }
    }

    #[test]
    fn a_batch_is_bounded_and_the_rest_stays() {
        let outbox = Outbox::new(Lane::Bulk, QueueLimit { frames: 100, bytes: 10 << 20 });
        for _ in 0..3 {
            outbox.offer(Bytes::from(vec![0; 200 << 10]));
        }
        assert_eq!(outbox.batch().now_or_never().unwrap().remaining(), 200 << 10);
        assert_eq!(outbox.status().waiting, Waiting { frames: 2, bytes: 400 << 10 });
    }
}
