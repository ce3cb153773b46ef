use crate::peer::{ConfigError, Limits, PeerConfig};
use crate::tree::TreeLimits;

/// The most deliveries that the default lets wait; a queue of the size of its memory could not even be named.
const MOST_OUTBOUND: usize = 1 << 24;

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
    ///
    /// All that one step causes is delivered before a client can take any of it: the events of a multi, of the end of a
    /// session with many ephemerals, of watches that are restored. So the default follows from the limits of these. Places
    /// that nothing waits in cost no memory.
    pub outbound: usize,
    /// How many bytes these deliveries may keep in memory together; one more delivery, and the client is closed likewise.
    /// What a client takes at once may be longer than this.
    ///
    /// Counted are names, paths, lists and the places in the queue; not counted is data, which waits without being copied
    /// from the tree.
    pub outbound_len: usize,
    /// How many events may wait for one reader of [`events`](super::Node::events).
    pub events: usize,
}

impl NodeConfig {
    /// The configuration around `peer`, with defaults for the rest.
    #[must_use]
    pub fn new(peer: PeerConfig) -> Self {
        let outbound = outbound(&peer.limits);
        Self { peer, connections: 10_000, inbound: 64, outbound, outbound_len: 64 << 20, events: 1_024 }
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
            ("outbound_len", self.outbound_len),
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

/// How many deliveries a client that keeps to its limits can be given before it has had time to take one.
fn outbound(limits: &Limits) -> usize {
    // A node that comes or goes is told to whoever watches it, and to whoever watches its parent.
    let transaction = TreeLimits::default().multi_ops.saturating_mul(2);
    let replies = limits.requests_per_client.saturating_mul(2);
    let watches = limits.watches_per_client.max(limits.remembered_changes);
    replies.saturating_add(watches).saturating_add(transaction).clamp(64, MOST_OUTBOUND)
}
