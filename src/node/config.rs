use crate::peer::{ConfigError, PeerConfig};

/// All that a [`Node`](super::Node) must be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeConfig {
    /// What the server decides by.
    pub peer: PeerConfig,
    /// How many connections may be open.
    pub connections: usize,
    /// How many requests of one connection may wait before they are taken.
    pub inbound: usize,
    /// How many deliveries may wait for one client; one more, and it is closed as
    /// [`Overloaded`](crate::peer::CloseReason::Overloaded).
    pub outbound: usize,
    /// How many events may wait for one reader of [`events`](super::Node::events).
    pub events: usize,
}

impl NodeConfig {
    /// The configuration around `peer`, with defaults for the rest.
    #[must_use]
    pub fn new(peer: PeerConfig) -> Self {
        // A client that keeps to its limit of requests never finds the way out full of replies alone.
        let outbound = peer.limits.requests_per_client.saturating_mul(2).max(64);
        Self { peer, connections: 10_000, inbound: 64, outbound, events: 1_024 }
    }

    /// Judges the configuration.
    ///
    /// # Errors
    ///
    /// The first thing that cannot work.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.peer.validate()?;
        for (name, limit) in [
            ("connections", self.connections),
            ("inbound", self.inbound),
            ("outbound", self.outbound),
            ("events", self.events),
        ] {
            if limit == 0 {
                return Err(ConfigError::ZeroLimit(name));
            }
        }
        Ok(())
    }
}

impl From<PeerConfig> for NodeConfig {
    fn from(peer: PeerConfig) -> Self {
        Self::new(peer)
    }
}
