use crate::peer::Role;
use crate::types::{ServerId, Zxid};

use super::{Cluster, Invariant, Kind, Seen};

/// An established leader has logged everything that was committed in earlier epochs. (ZAB paper: primary
/// integrity; Raft's leader completeness.)
pub(super) struct LeaderCompleteness;

impl Invariant for LeaderCompleteness {
    fn name(&self) -> &'static str {
        "LeaderCompleteness"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Status
    }

    fn after(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &mut Cluster) -> Result<(), String> {
        let Seen::Status(status) = seen else { return Ok(()) };
        if status.role != Role::Leading || !status.serving {
            return Ok(());
        }
        let Some(view) = cluster.servers.get(&server) else { return Ok(()) };
        let earlier = cluster.ghost.last_up_to(Zxid::new(status.epoch, 0));
        match earlier {
            Some((zxid, _)) if !view.asked.covers(*zxid) => {
                Err(format!("leads epoch {} without {zxid}, which is committed", status.epoch))
            }
            _ => Ok(()),
        }
    }
}
