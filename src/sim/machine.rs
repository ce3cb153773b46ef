use std::sync::Arc;

use crate::node::Node;
use crate::storage::{MemoryStorage, Storage};
use crate::types::ServerId;

use super::SimClock;

/// One server of a world: its machine, and the process on it if it runs.
pub(super) struct Machine {
    pub(super) clock: SimClock,
    pub(super) disk: Disk,
    pub(super) node: Option<Node>,
    /// Grows with every start.
    pub(super) incarnation: u64,
    /// Whether something was done to its disk for which its process may end by itself.
    pub(super) excused: bool,
    /// Why its process ended by itself last.
    pub(super) ended: Option<String>,
}

/// What a server keeps its state on.
pub(super) enum Disk {
    Memory(MemoryStorage),
}

impl Disk {
    pub(super) fn new() -> Self {
        Self::Memory(MemoryStorage::new())
    }

    /// Puts an empty disk in.
    pub(super) fn wipe(&mut self) {
        *self = Self::Memory(MemoryStorage::lost());
    }

    pub(super) fn storage(&self, _server: ServerId) -> Arc<dyn Storage> {
        match self {
            Self::Memory(storage) => Arc::new(storage.clone()),
        }
    }
}
