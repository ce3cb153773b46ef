use crate::types::{ServerId, Zxid};

use super::{Cluster, Invariant, Kind, Seen};

/// Whatever any server knows to be committed is durable on a majority, those whose disks were damaged meanwhile
/// counted in. (ZAB paper, phase 3, step 2.)
#[derive(Default)]
pub(super) struct CommittedDurability {
    checked: Zxid,
}

impl Invariant for CommittedDurability {
    fn name(&self) -> &'static str {
        "CommittedDurability"
    }

    fn heeds(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Writing | Kind::Status | Kind::Shown)
    }

    fn after(&mut self, _: ServerId, _: &Seen<'_>, cluster: &mut Cluster) -> Result<(), String> {
        let last = cluster.ghost.last();
        if last <= self.checked {
            return Ok(());
        }
        self.checked = last;
        let (holders, voters) = (cluster.holders(last), cluster.voters());
        if holders * 2 > voters {
            return Ok(());
        }
        Err(format!("{last} is committed, but durable on {holders} of {voters} voters only"))
    }
}
