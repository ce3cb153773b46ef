use std::collections::BTreeMap;

use crate::types::{ServerId, Zxid};

use super::{Cluster, Invariant, Kind, Seen};

/// While a server lives, what it has applied never goes back; and after a restart it begins with what its newest snapshot holds.
/// (ZooKeeper: `lastProcessedZxid`; ZOOKEEPER-3127.)
#[derive(Default)]
pub(super) struct AppliedMonotonic {
    /// The snapshots of those that have recovered and said nothing yet.
    begins: BTreeMap<ServerId, Zxid>,
}

impl Invariant for AppliedMonotonic {
    fn name(&self) -> &'static str {
        "AppliedMonotonic"
    }

    fn heeds(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Recovered | Kind::Status)
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let status = match seen {
            Seen::Recovered(recovered) => {
                self.begins.insert(server, recovered.snapshot.unwrap_or(Zxid::ZERO));
                return Ok(());
            }
            Seen::Status(status) => status,
            _ => return Ok(()),
        };
        if let Some(snapshot) = self.begins.remove(&server).filter(|snapshot| status.applied < *snapshot) {
            return Err(format!(
                "begins with {} after a restart; its snapshot is at {snapshot}",
                status.applied
            ));
        }
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
