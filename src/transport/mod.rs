//! Layer 4: how servers reach each other.

mod hub;
mod inbox;

pub use hub::{Hub, HubTransport};
pub use inbox::QueueLimit;

use async_trait::async_trait;
use bytes::Bytes;

use crate::types::{Lane, ServerId};

/// A way to the other servers of the ensemble.
///
/// MUST:
///
/// 1. `send` neither blocks nor waits. A frame that cannot be taken is dropped: a lost frame is only lost.
/// 2. A frame arrives whole or not at all, from whom `recv` says it is.
/// 3. The [`Urgent`](Lane::Urgent) lane never waits for the [`Bulk`](Lane::Bulk) lane.
///
/// Frames may be lost, doubled, delayed and reordered without harm to safety; the less of it the faster.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a frame, best effort.
    fn send(&self, to: ServerId, lane: Lane, frame: Bytes);

    /// The next frame that arrived and who sent it; `None` when the transport was closed.
    async fn recv(&self) -> Option<(ServerId, Bytes)>;
}
