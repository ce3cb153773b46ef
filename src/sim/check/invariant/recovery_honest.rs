use crate::types::{ServerId, Standing, WriteBatch};

use super::{Cluster, Invariant, Kind, Seen};

/// What a storage recovers is what it confirmed, and of what it was asked for last any number of steps in order;
/// otherwise it says that it is suspect. (Contract of `Storage`; what ZooKeeper calls the fidelity of a
/// server's `disk` in its specifications.)
pub(super) struct RecoveryHonest;

impl Invariant for RecoveryHonest {
    fn name(&self) -> &'static str {
        "RecoveryHonest"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Recovered
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let (Seen::Recovered(recovered), Some(view)) = (seen, cluster.servers.get(&server)) else {
            return Ok(());
        };
        let none = WriteBatch::default();
        let pending = view.pending.as_ref().unwrap_or(&none);
        if view.durable.matches_within(pending, recovered) {
            return Ok(());
        }
        match &recovered.standing {
            Standing::Suspect(_) if view.damaged => Ok(()),
            standing => Err(format!(
                "recovered as {standing:?} with epochs {}/{}, snapshot {:?}, tip {}; confirmed were {}/{}, tip {}, \
                 asked was {} steps more{}",
                recovered.accepted_epoch,
                recovered.current_epoch,
                recovered.snapshot,
                recovered.tip(),
                view.durable.accepted,
                view.durable.current,
                view.durable.tip(),
                pending.ops.len(),
                if view.damaged { "; the disk was damaged" } else { "" },
            )),
        }
    }
}
