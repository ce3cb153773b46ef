//! Layer 5: how servers reach each other.
//!
//! There are two: the [`Hub`], for servers in one process, and, with the feature `tokio`, TCP with mutual TLS
//! (`transport::tcp`). A service that has connections between its instances already can carry the frames on those instead:
//!
//! # A transport of your own
//!
//! Implement the two required methods of [`Transport`], and run the [`conformance`] suite on it. This one, over queues in
//! memory, is whole:
//!
//! ```
//! use std::collections::{BTreeMap, VecDeque};
//! use std::future::poll_fn;
//! use std::sync::{Arc, Mutex};
//! use std::task::Poll;
//!
//! use async_trait::async_trait;
//! use bytes::Bytes;
//! use futures::task::AtomicWaker;
//! use quorate::transport::{Transport, conformance};
//! use quorate::{Lane, ServerId};
//!
//! type Queue = Mutex<VecDeque<(ServerId, Bytes)>>;
//!
//! #[derive(Default)]
//! struct Mailbox {
//!     urgent: Queue,
//!     bulk: Queue,
//!     arrived: AtomicWaker,
//! }
//!
//! #[derive(Clone, Default)]
//! struct Bus(Arc<Mutex<BTreeMap<ServerId, Arc<Mailbox>>>>);
//!
//! struct BusTransport {
//!     bus: Bus,
//!     server: ServerId,
//!     mailbox: Arc<Mailbox>,
//! }
//!
//! #[async_trait]
//! impl Transport for BusTransport {
//!     fn send(&self, to: ServerId, lane: Lane, frame: Bytes) {
//!         // Nobody there: the frame is lost, and that is all.
//!         let Some(mailbox) = self.bus.0.lock().unwrap().get(&to).cloned() else { return };
//!         // A queue for each lane: what is urgent waits for no bulk.
//!         let mut queue = match lane {
//!             Lane::Urgent => mailbox.urgent.lock().unwrap(),
//!             Lane::Bulk => mailbox.bulk.lock().unwrap(),
//!         };
//!         // Bounded: a receiver that is slow loses frames, and the sender never waits for it.
//!         if queue.len() < 10_000 {
//!             queue.push_back((self.server, frame));
//!         }
//!         mailbox.arrived.wake();
//!     }
//!
//!     async fn recv(&self) -> Option<(ServerId, Bytes)> {
//!         // A frame is taken out in the very poll that returns it: dropping the future loses none.
//!         poll_fn(|context| {
//!             self.mailbox.arrived.register(context.waker());
//!             let next = self.mailbox.urgent.lock().unwrap().pop_front();
//!             match next.or_else(|| self.mailbox.bulk.lock().unwrap().pop_front()) {
//!                 Some(next) => Poll::Ready(Some(next)),
//!                 None => Poll::Pending,
//!             }
//!         })
//!         .await
//!     }
//! }
//!
//! // The suite starts servers, floods them, and starts one of them again.
//! #[async_trait]
//! impl conformance::Network for Bus {
//!     async fn start(&self, server: ServerId) -> Box<dyn Transport> {
//!         let mailbox = Arc::new(Mailbox::default());
//!         self.0.lock().unwrap().insert(server, mailbox.clone());
//!         Box::new(BusTransport { bus: self.clone(), server, mailbox })
//!     }
//!
//!     async fn pause(&self) {
//!         std::thread::yield_now();
//!     }
//! }
//!
//! futures::executor::block_on(conformance::check(&Bus::default())).unwrap();
//! ```
//!
//! Whoever can send frames under a server's name can change all data. Where strangers can reach the wire, it is for the
//! transport to make sure that a frame comes from whom it says: by certificates, as the TCP transport does, or by
//! whatever your connections have.

pub mod conformance;
mod hub;
mod inbox;
#[cfg(feature = "tokio")]
pub mod tcp;

use async_trait::async_trait;
use bytes::Bytes;

use crate::types::{Lane, ServerId};

pub use self::hub::{Hub, HubTransport};
pub use self::inbox::QueueLimit;

/// A way to the other servers of the ensemble.
///
/// MUST:
///
/// 1. `send` neither blocks nor waits. A frame that cannot be taken is dropped: a lost frame is only lost.
/// 2. A frame arrives whole or not at all, from whom `recv` says it is.
/// 3. The [`Urgent`](Lane::Urgent) lane never waits for the [`Bulk`](Lane::Bulk) lane.
/// 4. Dropping the future of `recv` loses no frame.
/// 5. What waits is bounded, and one server that is slow, away or talkative is in the way of no other.
///
/// Frames may be lost, doubled, delayed and reordered without harm to safety; the less of it the faster. Each is one
/// whole frame of [`codec`](crate::codec), which tells its own length, so that a stream needs no framing besides.
/// One task receives at a time.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a frame, best effort.
    fn send(&self, to: ServerId, lane: Lane, frame: Bytes);

    /// The next frame that arrived and who sent it; `None` when the transport was closed.
    async fn recv(&self) -> Option<(ServerId, Bytes)>;

    /// The next server whose process is known to have gone, behind the frames that it sent; a hint, which saves the others
    /// the wait for its silence. To be told only when it was there, nothing comes from it any more and it takes no
    /// connection: a link that breaks for a moment must not depose a leader. Dropping the future loses nothing.
    ///
    /// Never ready unless a transport knows better.
    async fn gone(&self) -> ServerId {
        std::future::pending().await
    }
}
