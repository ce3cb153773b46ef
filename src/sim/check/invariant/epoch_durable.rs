use crate::types::{LogOp, ServerId};

use super::{Cluster, Invariant, Kind, Seen};

/// A server's accepted and current epochs never go back, across restarts too, and the current one is at most
/// the accepted one. (ZAB paper, phase 1; ZOOKEEPER-335, ZOOKEEPER-1154.)
pub(super) struct EpochDurable;

impl Invariant for EpochDurable {
    fn name(&self) -> &'static str {
        "EpochDurable"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Writing
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let (Seen::Writing(batch), Some(view)) = (seen, cluster.servers.get(&server)) else {
            return Ok(());
        };
        let (mut accepted, mut current) = (view.asked.accepted, view.asked.current);
        for op in &batch.ops {
            match op {
                LogOp::AcceptedEpoch(epoch) if *epoch < accepted => {
                    return Err(format!("accepted epoch goes from {accepted} back to {epoch}"));
                }
                LogOp::AcceptedEpoch(epoch) => accepted = *epoch,
                LogOp::CurrentEpoch(epoch) if *epoch < current => {
                    return Err(format!("current epoch goes from {current} back to {epoch}"));
                }
                LogOp::CurrentEpoch(epoch) => current = *epoch,
                _ => {}
            }
            if current > accepted {
                return Err(format!("current epoch {current} is beyond the accepted one, {accepted}"));
            }
        }
        Ok(())
    }
}
