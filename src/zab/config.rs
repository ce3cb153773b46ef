use std::time::Duration;

use crate::quorum::Quorum;
use crate::types::ServerId;

/// All that a [`Zab`](super::Zab) must be told.
#[cfg_attr(any(test, feature = "sim"), derive(Hash))]
#[derive(Clone, Debug)]
pub struct ZabConfig {
    /// This server.
    pub server: ServerId,
    /// Who votes, and which sets of voters decide.
    pub quorum: Quorum,
    /// The members that do not vote.
    pub observers: Vec<ServerId>,
    /// A digest of the cluster's number and the ensemble. Two servers with different ones refuse to link: their
    /// quorums might not intersect.
    pub ensemble: u64,
    /// The span between two heartbeats of a leader.
    pub heartbeat: Duration,
    /// How long discovery and synchronisation may stand still.
    pub init_timeout: Duration,
    /// How long a peer may be silent, or leave a proposal unacknowledged.
    pub sync_timeout: Duration,
    /// How many delivered entries are kept in memory for learners that lag, up to 64 MiB of them. Entries that are
    /// not delivered yet are always kept.
    pub window: usize,
    /// About how many bytes one message carries: entries, or a piece of a snapshot.
    pub chunk: usize,
    /// The last counter of an epoch; behind it the leader stands down for a new one. `u32::MAX` in production.
    pub last_counter: u32,
}

impl ZabConfig {
    /// Majorities of `voters`, and defaults for the rest: those of a quorum on one network.
    #[must_use]
    pub fn majority(server: ServerId, voters: impl IntoIterator<Item = ServerId>) -> Self {
        Self {
            server,
            quorum: Quorum::majority(voters),
            observers: Vec::new(),
            ensemble: 0,
            heartbeat: Duration::from_millis(100),
            init_timeout: Duration::from_secs(2),
            sync_timeout: Duration::from_secs(1),
            window: 10_000,
            chunk: 1 << 18,
            last_counter: u32::MAX,
        }
    }

    /// Whether `server` belongs to the ensemble.
    pub(super) fn is_member(&self, server: ServerId) -> bool {
        self.quorum.is_voter(server) || self.observers.contains(&server)
    }

    /// How many bytes of entries may be under way to one learner.
    pub(super) fn flight(&self) -> usize {
        self.chunk.saturating_mul(16).max(1 << 20)
    }
}
