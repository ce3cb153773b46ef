use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::channel::mpsc;
use futures::{Stream, StreamExt as _};
use tracing::{debug, info, warn};

use crate::peer::PeerEvent;
use crate::types::ServerId;

/// What happens in a server, as a `Stream`. It never holds the server up: what finds no room is dropped and
/// counted.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<PeerEvent>,
    lost: Arc<AtomicU64>,
}

impl Events {
    /// The next event; `None` when the server has stopped.
    pub async fn next(&mut self) -> Option<PeerEvent> {
        self.queue.next().await
    }

    /// How many events found no room so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Stream for Events {
    type Item = PeerEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<PeerEvent>> {
        self.queue.poll_next_unpin(context)
    }
}

/// The driver's end of [`Events`].
#[derive(Debug)]
pub(super) struct EventSink {
    queue: mpsc::Sender<PeerEvent>,
    lost: Arc<AtomicU64>,
}

impl EventSink {
    /// Offers an event; false when nobody will ever take one.
    pub(super) fn offer(&mut self, event: &PeerEvent) -> bool {
        match self.queue.try_send(event.clone()) {
            Ok(()) => true,
            Err(error) if error.is_full() => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }
}

pub(super) fn channel(capacity: usize) -> (Events, EventSink) {
    let (sender, receiver) = mpsc::channel(capacity);
    let lost = Arc::new(AtomicU64::new(0));
    (Events { queue: receiver, lost: Arc::clone(&lost) }, EventSink { queue: sender, lost })
}

/// Tells `tracing`: what an operator wants to know as `info`, what should not happen as `warn`, the rest
/// as `debug`.
pub(super) fn trace(server: ServerId, event: &PeerEvent) {
    match event {
        PeerEvent::RoleChanged { role, leader, reason } => {
            info!(%server, ?role, ?leader, %reason, "the server plays another part");
        }
        PeerEvent::Elected { leader, round } => info!(%server, %leader, round, "a leader was elected"),
        PeerEvent::Serving { epoch } => info!(%server, %epoch, "the server answers clients"),
        PeerEvent::NotServing => info!(%server, "the server does not answer clients any more"),
        PeerEvent::RolledBack { to, from } => {
            info!(%server, %to, %from, "entries that the leader does not have were removed");
        }
        PeerEvent::SnapshotSaved { zxid, bytes } => info!(%server, %zxid, bytes, "a snapshot is durable"),
        PeerEvent::SnapshotNotSaved { zxid } => warn!(%server, %zxid, "a snapshot could not be saved"),
        PeerEvent::LearnerSync { learner, mode, from } => {
            info!(%server, %learner, mode, %from, "a learner is brought level");
        }
        PeerEvent::LinkReset { peer, why } => info!(%server, %peer, why, "a link was lost"),
        PeerEvent::PeerMisbehaved { peer, what } => warn!(%server, %peer, %what, "a peer misbehaved"),
        other => debug!(%server, event = ?other),
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let (mut events, mut sink) = channel(1);
        for _ in 0..5 {
            assert!(sink.offer(&PeerEvent::NotServing));
        }
        drop(sink);
        let mut taken = 0;
        while block_on(events.next()).is_some() {
            taken += 1;
        }
        assert_eq!(taken + events.lost(), 5);
        assert!(events.lost() > 0);
    }

    #[test]
    fn a_reader_that_is_gone_is_forgotten() {
        let (events, mut sink) = channel(1);
        drop(events);
        assert!(!sink.offer(&PeerEvent::NotServing));
    }
}
