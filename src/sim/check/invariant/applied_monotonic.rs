use crate::types::ServerId;

use super::{Cluster, Invariant, Kind, Seen};

/// While a server lives, what it has committed and applied never goes back. (ZooKeeper: `lastProcessedZxid`;
/// ZOOKEEPER-3127.)
pub(super) struct AppliedMonotonic;

impl Invariant for AppliedMonotonic {
    fn name(&self) -> &'static str {
        "AppliedMonotonic"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Status
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let Seen::Status(status) = seen else { return Ok(()) };
        let Some(before) = cluster.servers.get(&server).and_then(|view| view.status.as_ref()) else {
            return Ok(());
        };
        if status.applied < before.applied {
            return Err(format!("applied goes from {} back to {}", before.applied, status.applied));
        }
        if status.epoch < before.epoch {
            return Err(format!("the epoch goes from {} back to {}", before.epoch, status.epoch));
        }
        Ok(())
    }
}
