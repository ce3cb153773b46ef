use crate::types::{LogOp, ServerId, Zxid};

use super::{Cluster, Invariant, Kind, Seen};

/// What any two servers know to be committed is, as far as both know it, the same sequence; and no server ever drops
/// an entry that was committed. (ZAB paper: agreement and total order; PrefixConsistency.)
pub(super) struct Agreement;

impl Invariant for Agreement {
    fn name(&self) -> &'static str {
        "Agreement"
    }

    fn heeds(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Writing | Kind::Status | Kind::Shown)
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let (Seen::Writing(batch), Some(view)) = (seen, cluster.servers.get(&server)) else {
            return Ok(());
        };
        for op in &batch.ops {
            let (LogOp::TruncateAfter(to) | LogOp::ResetTo(to)) = op else { continue };
            let dropped = cluster.ghost.last_up_to(view.asked.tip());
            let Some((committed, payload)) = dropped.filter(|(zxid, _)| zxid > to) else { continue };
            // Only if it is the committed one that stands there.
            if view.asked.entries.get(committed) == Some(payload) {
                return Err(format!("{op:?} drops {committed}, which is committed"));
            }
        }
        Ok(())
    }

    fn after(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &mut Cluster) -> Result<(), String> {
        let Some(view) = cluster.servers.get_mut(&server) else { return Ok(()) };
        let committed = match (seen, &view.status) {
            (Seen::Status(status), _) => status.committed,
            (Seen::Writing(_), Some(status)) => status.committed,
            (Seen::Shown(zxid), _) => *zxid,
            _ => return Ok(()),
        };
        if committed > view.compared {
            view.compared = cluster.ghost.join(&view.asked, view.compared, committed)?;
        }
        let Seen::Status(status) = seen else { return Ok(()) };
        if status.applied > committed {
            return Err(format!("it applied {}, but knows only {committed} to be committed", status.applied));
        }
        if status.applied > cluster.ghost.last() && status.applied != Zxid::ZERO {
            return Err(format!("it applied {}, which nobody has logged", status.applied));
        }
        Ok(())
    }
}
