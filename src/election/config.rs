use std::time::Duration;

use crate::quorum::Quorum;
use crate::types::ServerId;

/// What an [`Election`](super::Election) must be told.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ElectionConfig {
    /// This server.
    pub server: ServerId,
    /// The voters, and which sets of them decide. A server outside of it observes.
    pub quorum: Quorum,
    /// All other members, observers included. What others send is dropped.
    pub peers: Vec<ServerId>,
    /// How long a candidate that a quorum backs waits for a better one, unless all voters back it.
    pub finalize_wait: Duration,
    /// The first span after which a server that looks says so again; doubles up to `notification_max`, and up to half of
    /// each is added by chance.
    pub notification_min: Duration,
    /// The largest such span, before the addition.
    pub notification_max: Duration,
}

impl ElectionConfig {
    /// For how long a candidate is given the benefit of the doubt whether it reaches a quorum.
    pub(super) fn grace(&self) -> Duration {
        self.notification_min.saturating_mul(4)
    }

    pub(super) fn is_voter(&self) -> bool {
        self.quorum.is_voter(self.server)
    }
}
