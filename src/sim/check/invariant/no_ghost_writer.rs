use std::collections::BTreeSet;

use crate::types::ServerId;

use super::{Cluster, Invariant, Kind, Seen};

/// A server's log has one writer: a process that lives and has recovered the log, and asks for one write at a time. So whatever
/// an older role asked for lies before what a newer one asks for, and a truncation is a barrier. (ZOOKEEPER-4712, -4541,
/// -4502; SCN-11. That nothing of an older role is left in what a newer one acknowledges is `AckConsistent`.)
#[derive(Default)]
pub(super) struct NoGhostWriter {
    /// Who has recovered, and lives.
    writers: BTreeSet<ServerId>,
}

impl Invariant for NoGhostWriter {
    fn name(&self) -> &'static str {
        "NoGhostWriter"
    }

    fn heeds(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Recovered | Kind::Down | Kind::Writing | Kind::Written)
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let is_busy = cluster.servers.get(&server).is_some_and(|view| view.pending.is_some());
        match seen {
            Seen::Recovered(_) => drop(self.writers.insert(server)),
            Seen::Down => drop(self.writers.remove(&server)),
            Seen::Writing(_) | Seen::Written if !self.writers.contains(&server) => {
                return Err("writes, and no process of it has recovered and lives".to_owned());
            }
            Seen::Writing(_) if is_busy => return Err("writes while another write is under way".to_owned()),
            Seen::Written if !is_busy => return Err("has written what nobody asked for".to_owned()),
            _ => {}
        }
        Ok(())
    }
}
