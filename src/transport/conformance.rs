//! What every transport must do, as a suite that its author runs in one line.
//!
//! ```
//! use quorate::ServerId;
//! use quorate::transport::{Hub, Transport, conformance};
//!
//! struct Hubs(Hub);
//!
//! #[async_trait::async_trait]
//! impl conformance::Network for Hubs {
//!     async fn start(&self, server: ServerId) -> Box<dyn Transport> {
//!         Box::new(self.0.join(server))
//!     }
//!
//!     async fn pause(&self) {
//!         std::thread::yield_now();
//!     }
//! }
//!
//! let network = Hubs(Hub::new(quorate::ClusterId::new(1)));
//! futures::executor::block_on(conformance::check(&network)).unwrap();
//! ```

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use thiserror::Error;

use super::Transport;
use crate::codec;
use crate::types::{Lane, ServerId};

const ONE: ServerId = ServerId::new(1);
const TWO: ServerId = ServerId::new(2);
const ABSENT: ServerId = ServerId::new(3);
const STRANGER: ServerId = ServerId::new(99);

/// How many pauses something that must happen may take.
const PATIENCE: usize = 10_000;

/// The lengths of the frames' contents: nothing, little, around the sizes of packets and buffers, and much.
const LENGTHS: [usize; 8] = [0, 1, 1_447, 4_096, 65_535, 65_537, 300_000, 4 << 20];

/// How much bulk an urgent frame must pass: far more than the receiver takes while it waits for it.
const FLOOD: usize = 30_000;

/// How often the receiver takes a few frames before the urgent one must have come.
const ROUNDS: usize = 1_000;

/// How many frames it takes each time.
const PER_ROUND: usize = 10;

/// The transport under test: an ensemble of the servers 1, 2 and 3.
#[async_trait]
pub trait Network: Send + Sync {
    /// Starts the transport of `server`. If it ran before, its older transport has been dropped, and this is its restart.
    async fn start(&self, server: ServerId) -> Box<dyn Transport>;

    /// Waits for a millisecond, or for the other tasks to go on, as the executor has it.
    async fn pause(&self);
}

/// What a transport does that it must not do.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Violation {
    /// Not one of many frames arrived.
    #[error(
        "no frame from server {from} arrived at server {to} in time, {when}, although it was sent again and again"
    )]
    NeverArrived {
        /// Who sent them.
        from: ServerId,
        /// Who waited for them.
        to: ServerId,
        /// In which part of the suite.
        when: &'static str,
    },
    /// Frames are cut, joined or damaged, or were never sent.
    #[error("server {at} received {len} bytes that are no frame that anybody sent it")]
    Damaged {
        /// Who received it.
        at: ServerId,
        /// How long it is.
        len: usize,
    },
    /// A frame arrived under a wrong name.
    #[error("a frame of server {from} arrived as one of server {claimed}")]
    WrongSender {
        /// Who sent it.
        from: ServerId,
        /// Who sent it according to the transport.
        claimed: ServerId,
    },
    /// The urgent lane waits for the bulk lane.
    #[error("an urgent frame, sent again and again, did not pass the bulk in front of it")]
    UrgentWaits,
    /// `recv` gave `None`, although nobody closed the transport.
    #[error("`recv` of server {0} ended although nobody closed the transport")]
    Ended(ServerId),
}

/// Checks the rules of [`Transport`] that can be checked from outside. A `send` that blocks shows as a suite that never ends.
///
/// # Errors
///
/// The first rule that is broken.
pub async fn check(network: &dyn Network) -> Result<(), Violation> {
    let one = Server { id: ONE, transport: network.start(ONE).await };
    let two = Server { id: TWO, transport: network.start(TWO).await };
    frames_arrive_whole_and_under_their_senders_names(network, &one, &two).await?;
    nobody_is_in_the_way_of_others(network, &one, &two).await?;
    urgent_passes_bulk(network, &one, &two).await?;
    a_restarted_server_is_reached(network, &one, two).await
}

struct Server {
    id: ServerId,
    transport: Box<dyn Transport>,
}

/// What every frame of the suite says of itself.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Label {
    from: ServerId,
    to: ServerId,
    lane: Lane,
    number: u64,
}

impl Label {
    fn frame(self, len: usize) -> Option<Bytes> {
        let content = Bytes::from(vec![self.number as u8; len]);
        codec::encode_frame(&(self.from, self.to, self.lane, self.number, content)).ok()
    }
}

impl Server {
    fn send(&self, to: &Self, lane: Lane, number: u64, len: usize) {
        let label = Label { from: self.id, to: to.id, lane, number };
        // All lengths in the suite are below the limit.
        if let Some(frame) = label.frame(len) {
            self.transport.send(to.id, lane, frame);
        }
    }

    /// What has arrived already.
    fn poll(&self) -> Result<Option<Label>, Violation> {
        let Some(received) = self.transport.recv().now_or_never() else { return Ok(None) };
        let (claimed, frame) = received.ok_or(Violation::Ended(self.id))?;
        let damaged = Violation::Damaged { at: self.id, len: frame.len() };
        let (from, to, lane, number, content): (ServerId, ServerId, Lane, u64, Bytes) =
            codec::decode_frame(&frame).map_err(|_| damaged.clone())?;
        if to != self.id || content.iter().any(|byte| *byte != number as u8) {
            return Err(damaged);
        }
        if from != claimed {
            return Err(Violation::WrongSender { from, claimed });
        }
        Ok(Some(Label { from, to, lane, number }))
    }

    /// Sends a frame until it arrives.
    async fn deliver(
        &self,
        network: &dyn Network,
        to: &Self,
        (lane, number, len): (Lane, u64, usize),
        when: &'static str,
    ) -> Result<(), Violation> {
        let expected = Label { from: self.id, to: to.id, lane, number };
        for attempt in 0..PATIENCE {
            // Frames may be lost; a network that is busy with one should not get the same a thousand times.
            if attempt % 100 == 0 {
                self.send(to, lane, number, len);
            }
            while let Some(arrived) = to.poll()? {
                if arrived == expected {
                    return Ok(());
                }
            }
            network.pause().await;
        }
        Err(Violation::NeverArrived { from: self.id, to: to.id, when })
    }
}

async fn frames_arrive_whole_and_under_their_senders_names(
    network: &dyn Network,
    one: &Server,
    two: &Server,
) -> Result<(), Violation> {
    for (number, len) in (0..).zip(LENGTHS) {
        for lane in [Lane::Urgent, Lane::Bulk] {
            one.deliver(network, two, (lane, number, len), "when all is well").await?;
            two.deliver(network, one, (lane, number, len), "when all is well").await?;
        }
    }
    Ok(())
}

async fn nobody_is_in_the_way_of_others(
    network: &dyn Network,
    one: &Server,
    two: &Server,
) -> Result<(), Violation> {
    for nobody in [ABSENT, STRANGER, one.id] {
        let label = Label { from: one.id, to: nobody, lane: Lane::Bulk, number: 0 };
        for frame in label.frame(10_000).into_iter().cycle().take(FLOOD) {
            one.transport.send(nobody, Lane::Bulk, frame);
        }
    }
    one.deliver(network, two, (Lane::Bulk, 100, 10), "while others are flooded that are not there").await?;
    // It may or may not deliver to itself; `poll` judges that nothing else arrives.
    while one.poll()?.is_some() {}
    Ok(())
}

async fn urgent_passes_bulk(network: &dyn Network, one: &Server, two: &Server) -> Result<(), Violation> {
    for _ in 0..FLOOD {
        one.send(two, Lane::Bulk, 201, 1_000);
    }
    let urgent = Label { from: one.id, to: two.id, lane: Lane::Urgent, number: 200 };
    for round in 0..ROUNDS {
        if round % 20 == 0 {
            one.send(two, Lane::Urgent, urgent.number, 100);
        }
        for _ in 0..PER_ROUND {
            one.send(two, Lane::Bulk, 201, 1_000);
            if two.poll()? == Some(urgent) {
                return Ok(());
            }
        }
        network.pause().await;
    }
    Err(Violation::UrgentWaits)
}

async fn a_restarted_server_is_reached(
    network: &dyn Network,
    one: &Server,
    two: Server,
) -> Result<(), Violation> {
    let id = two.id;
    drop(two);
    let two = Server { id, transport: network.start(id).await };
    for lane in [Lane::Urgent, Lane::Bulk] {
        one.deliver(network, &two, (lane, 300, 10), "after server 2 restarted").await?;
        two.deliver(network, one, (lane, 300, 10), "after server 2 restarted").await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
