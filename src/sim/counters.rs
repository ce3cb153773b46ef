use std::collections::BTreeMap;

use crate::types::Zxid;

use super::{ExecutorCounters, NetworkCounters, OracleCounters, Point};

/// What a world counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorldCounters {
    /// Polls, timers, and the time that was skipped.
    pub executor: ExecutorCounters,
    /// Frames between servers.
    pub network: NetworkCounters,
    /// Replies and events that were compared with what they must be.
    pub oracle: OracleCounters,
    /// How often the invariants over the servers were checked.
    pub checks: u64,
    /// Transactions that were committed.
    pub committed: u64,
    /// The last of them.
    pub last_committed: Zxid,
    /// Events in the trace.
    pub events: u64,
    /// Epochs that a leader was established in.
    pub epochs: u64,
    /// Faults that came, by name. What the links lose, double and reorder by chance stands in `network`.
    pub faults: BTreeMap<&'static str, u64>,
    /// How often each point was reached.
    pub coverage: Vec<(Point, u64)>,
}
