//! Layer 2: ZAB, the broadcast that keeps the histories of all servers one.

mod config;
mod message;
mod output;

use bytes::Bytes;

use crate::types::{Epoch, LogEntry, Recovered, SeededRng, ServerId, SnapshotChunk, Time, Zxid};

pub use config::ZabConfig;
pub use message::{AckEpoch, Body, Join, LinkId, Message, Promise, Refused, SyncMode};
pub use output::{
    Confirmation, ForwardError, LearnerProgress, Note, Output, ProposeError, Role, StandDown, Ticket,
};

/// ZAB on one server. (Interface only in this commit; every input is ignored.)
#[derive(Debug)]
pub struct Zab {
    config: ZabConfig,
}

#[allow(missing_docs, unused_variables, clippy::unused_self, clippy::must_use_candidate)]
impl Zab {
    pub fn new(config: ZabConfig, recovered: Recovered, rng: SeededRng) -> Self {
        Self { config }
    }
    pub fn lead(&mut self, now: Time) {}
    pub fn follow(&mut self, now: Time, leader: ServerId) {}
    pub fn observe(&mut self, now: Time, leader: ServerId) {}
    pub fn stand_down(&mut self, now: Time) {}
    pub fn is_settled(&self) -> bool {
        true
    }
    pub fn candidate(&self) -> Option<(Epoch, Zxid)> {
        None
    }
    pub fn handle_message(&mut self, now: Time, from: ServerId, message: Message) {}
    pub fn handle_persisted(&mut self, now: Time, ticket: Ticket) {}
    pub fn handle_log_read(&mut self, now: Time, after: Zxid, entries: Vec<LogEntry>) {}
    pub fn handle_snapshot_read(&mut self, now: Time, learner: ServerId, chunk: Option<SnapshotChunk>) {}
    pub fn handle_chunk_saved(&mut self, now: Time, zxid: Zxid, offset: u64) {}
    pub fn handle_snapshot_refused(&mut self, now: Time) {}
    pub fn handle_own_snapshot(&mut self, zxid: Zxid) {}
    /// Learner whose state was found to differ: reset the link and ask the leader for its whole state.
    pub fn request_snapshot(&mut self, now: Time) {}
    pub fn handle_timeout(&mut self, now: Time) {}
    pub fn poll_timeout(&self) -> Option<Time> {
        None
    }
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }
    pub fn next_zxid(&self) -> Option<Zxid> {
        None
    }
    pub fn propose(&mut self, payload: Bytes) -> Result<Zxid, ProposeError> {
        Err(ProposeError::NotLeading)
    }
    pub fn answer(&mut self, to: ServerId, payload: Bytes) {}
    pub fn confirm(&mut self, now: Time) -> Confirmation {
        Confirmation::default()
    }
    pub fn forward(&mut self, payload: Bytes) -> Result<(), ForwardError> {
        Err(ForwardError::NotSynced)
    }
    pub fn role(&self) -> Role {
        Role::Idle
    }
    /// The epoch being led or followed.
    pub fn epoch(&self) -> Option<Epoch> {
        None
    }
    /// The largest epoch promised.
    pub fn accepted_epoch(&self) -> Epoch {
        Epoch::ZERO
    }
    /// The epoch whose history the log is complete for.
    pub fn current_epoch(&self) -> Epoch {
        Epoch::ZERO
    }
    pub fn tip(&self) -> Zxid {
        Zxid::ZERO
    }
    pub fn durable_tip(&self) -> Zxid {
        Zxid::ZERO
    }
    pub fn committed(&self) -> Zxid {
        Zxid::ZERO
    }
    pub fn delivered(&self) -> Zxid {
        Zxid::ZERO
    }
    pub fn leader(&self) -> Option<ServerId> {
        None
    }
    pub fn is_established(&self) -> bool {
        false
    }
    pub fn is_synced(&self) -> bool {
        false
    }
    pub fn learners(&self) -> impl Iterator<Item = LearnerProgress> + '_ {
        std::iter::empty()
    }
}
