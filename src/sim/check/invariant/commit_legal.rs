use crate::peer::Message;
use crate::types::{ServerId, Zxid};
use crate::zab::Body;

use super::{Cluster, Invariant, Kind, Seen};

/// A leader tells only that to be committed which a majority has made durable, those whose disks were damaged meanwhile counted
/// in. (ZAB paper, phase 3, step l2; SCN-24.)
#[derive(Default)]
pub(super) struct CommitLegal {
    /// The last position that was found to be durable on a majority.
    judged: Zxid,
}

impl Invariant for CommitLegal {
    fn name(&self) -> &'static str {
        "CommitLegal"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Says
    }

    fn before(&mut self, _: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let Seen::Says { message: Message::Zab(message), .. } = seen else { return Ok(()) };
        let committed = match &message.body {
            Body::Propose { committed, .. } | Body::UpToDate { committed } => *committed,
            Body::Commit { zxid } => *zxid,
            Body::Inform { entries } => entries.last().map_or(Zxid::ZERO, |entry| entry.zxid),
            _ => return Ok(()),
        };
        if committed <= self.judged.max(cluster.ghost.last()) {
            return Ok(());
        }
        let (holders, voters) = (cluster.holders(committed), cluster.voters());
        if holders * 2 <= voters {
            return Err(format!(
                "tells that {committed} is committed, which is durable on {holders} of {voters} voters only"
            ));
        }
        self.judged = committed;
        Ok(())
    }
}
