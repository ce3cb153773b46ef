//! The invariants, one file each. Names follow the published TLA+ specifications of ZAB and of ZooKeeper
//! where there is one, so that results compare.

mod agreement;
mod applied_monotonic;
mod committed_durability;
mod epoch_durable;
mod history_order;
mod integrity;
mod leader_completeness;
mod leadership;
mod recovery_honest;
mod replica_equality;

use crate::types::ServerId;

use super::{Cluster, Seen};

/// Something that must hold after everything that is seen. It is asked incrementally: only about what was seen.
pub(crate) trait Invariant: Send {
    /// Its name in the literature, or ours.
    fn name(&self) -> &'static str;

    /// Judges what was seen against what was known before.
    fn before(&mut self, _server: ServerId, _seen: &Seen<'_>, _cluster: &Cluster) -> Result<(), String> {
        Ok(())
    }

    /// Judges what is known now.
    fn after(&mut self, _server: ServerId, _seen: &Seen<'_>, _cluster: &mut Cluster) -> Result<(), String> {
        Ok(())
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(recovery_honest::RecoveryHonest),
        Box::new(epoch_durable::EpochDurable),
        Box::new(history_order::HistoryOrder),
        Box::new(integrity::Integrity),
        Box::new(agreement::Agreement),
        Box::new(committed_durability::CommittedDurability::default()),
        Box::new(leadership::Leadership::default()),
        Box::new(leader_completeness::LeaderCompleteness),
        Box::new(applied_monotonic::AppliedMonotonic),
        Box::new(replica_equality::ReplicaEquality::default()),
    ]
}
