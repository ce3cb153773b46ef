//! The invariants, one file each. Names follow the published TLA+ specifications of ZAB and of ZooKeeper
//! where there is one, so that results compare.

mod ack_consistent;
mod ack_durable;
mod ack_owed;
mod agreement;
mod applied_monotonic;
mod commit_legal;
mod committed_durability;
mod epoch_durable;
mod history_before_epoch;
mod history_order;
mod integrity;
mod leader_completeness;
mod leadership;
mod no_ghost_writer;
mod primary_integrity;
mod promise_once;
mod proposal_consistent;
mod recovery_honest;
mod replica_equality;
mod serves_after_leader;
mod vote_honesty;

use crate::types::ServerId;

use super::cluster::Kind;
use super::{Cluster, Seen};

/// Something that must hold after everything that is seen. It is asked incrementally: only about what was seen.
pub(crate) trait Invariant: Send {
    /// Its name in the literature, or ours.
    fn name(&self) -> &'static str;

    /// What kinds of things it is to be asked about.
    fn heeds(&self, kind: Kind) -> bool;

    /// Judges what was seen against what was known before.
    fn before(&mut self, _server: ServerId, _seen: &Seen<'_>, _cluster: &Cluster) -> Result<(), String> {
        Ok(())
    }

    /// Judges what is known now.
    fn after(&mut self, _server: ServerId, _seen: &Seen<'_>, _cluster: &mut Cluster) -> Result<(), String> {
        Ok(())
    }

    /// Judges all there is, at the end of a run.
    fn at_end(&mut self, _cluster: &Cluster) -> Result<(), String> {
        Ok(())
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(recovery_honest::RecoveryHonest),
        Box::new(epoch_durable::EpochDurable),
        Box::new(history_order::HistoryOrder),
        Box::new(integrity::Integrity::default()),
        Box::new(agreement::Agreement),
        Box::new(committed_durability::CommittedDurability::default()),
        Box::new(leadership::Leadership::default()),
        Box::new(leader_completeness::LeaderCompleteness),
        Box::new(serves_after_leader::ServesAfterLeader),
        Box::new(applied_monotonic::AppliedMonotonic::default()),
        Box::new(replica_equality::ReplicaEquality::default()),
        Box::new(vote_honesty::VoteHonesty),
        Box::new(ack_durable::AckDurable),
        Box::new(promise_once::PromiseOnce::default()),
        Box::new(history_before_epoch::HistoryBeforeEpoch::default()),
        Box::new(primary_integrity::PrimaryIntegrity::default()),
        Box::new(commit_legal::CommitLegal::default()),
        Box::new(proposal_consistent::ProposalConsistent::default()),
        Box::new(ack_consistent::AckConsistent::default()),
        Box::new(ack_owed::AckOwed::default()),
        Box::new(no_ghost_writer::NoGhostWriter::default()),
    ]
}
