use crate::peer::Role;
use crate::types::ServerId;

use super::{Cluster, Invariant, Kind, Seen};

/// A learner serves clients only in an epoch whose leader is established: a quorum is level with it, so that nothing which the
/// learner shows can be taken back. (ZAB paper, phase 2; ZooKeeper: a learner serves from UPTODATE on.)
pub(super) struct ServesAfterLeader;

impl Invariant for ServesAfterLeader {
    fn name(&self) -> &'static str {
        "ServesAfterLeader"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Status
    }

    fn after(&mut self, _: ServerId, seen: &Seen<'_>, cluster: &mut Cluster) -> Result<(), String> {
        match seen {
            Seen::Status(status)
                if status.serving && status.role != Role::Leading && !cluster.led.contains(&status.epoch) =>
            {
                Err(format!("serves in epoch {}, whose leader is not established", status.epoch))
            }
            _ => Ok(()),
        }
    }
}
