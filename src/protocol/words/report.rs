use std::net::SocketAddr;
use std::time::Duration;

use crate::peer::{Inspection, Status};
use crate::protocol::Activity;
use crate::types::SessionId;

/// What the texts show as version: that of ZooKeeper whose protocol this is, for clients that choose by it, and ours.
pub const VERSION: &str = concat!("3.9.5-quorate-", env!("CARGO_PKG_VERSION"));

/// All that the texts are made of.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct ServerReport {
    /// How the node is doing; none where it has stopped.
    pub status: Option<Status>,
    /// What it holds.
    pub inspection: Inspection,
    /// How many servers vote.
    pub voters: usize,
    /// How many servers there are.
    pub servers: usize,
    /// What happened on all connections.
    pub activity: Activity,
    /// How many connections there are.
    pub connection_count: usize,
    /// How many requests wait for their answers.
    pub outstanding: usize,
    /// How many connections were refused.
    pub rejected: u64,
    /// Since when connections have been taken.
    pub uptime: Duration,
    /// The connections; empty unless the word lists them.
    pub connections: Vec<ConnectionReport>,
}

impl ServerReport {
    /// A report on a node that has stopped.
    #[must_use]
    pub fn stopped() -> Self {
        Self {
            status: None,
            inspection: Inspection::default(),
            voters: 0,
            servers: 0,
            activity: Activity::default(),
            connection_count: 0,
            outstanding: 0,
            rejected: 0,
            uptime: Duration::ZERO,
            connections: Vec::new(),
        }
    }
}

/// One connection of a client.
#[derive(Clone, PartialEq, Debug)]
pub struct ConnectionReport {
    /// The client's address.
    pub address: SocketAddr,
    /// Its session, or none yet.
    pub session: SessionId,
    /// The session timeout, in milliseconds.
    pub timeout_millis: u32,
    /// How many of its requests wait for their answers.
    pub outstanding: usize,
    /// What happened on it.
    pub activity: Activity,
    /// When it was made, in milliseconds since 1970.
    pub established_millis: i64,
    /// When it was last answered, in milliseconds since 1970; 0 for never.
    pub answered_millis: i64,
    /// Whether it is encrypted.
    pub is_secure: bool,
}

/// What only the program around a node knows. All of it may be left out.
pub trait HostFacts: Send + Sync {
    /// The configuration, as `key=value` lines of `conf`.
    fn configuration(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The environment, as `key=value` lines of `envi`, behind those that are always there.
    fn environment(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// How many bytes the directory of snapshots and that of the log have.
    fn directory_sizes(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Further figures for `mntr`, without the `zk_`.
    fn metrics(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Knows nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NoHostFacts;

impl HostFacts for NoHostFacts {}
