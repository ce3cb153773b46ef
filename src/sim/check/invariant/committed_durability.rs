use crate::types::{ServerId, Zxid};

use super::super::cluster::ServerView;
use super::{Cluster, Invariant, Kind, Seen};

/// Whatever any server knows to be committed is durable on a majority, those whose disks were damaged meanwhile
/// counted in: when it is first known, and for ever. (ZAB paper, phase 3, step 2.)
#[derive(Default)]
pub(super) struct CommittedDurability {
    checked: Zxid,
    /// How much was seen since all was counted.
    seen: usize,
}

/// After how much that is seen all is counted once more; where there is much of it, after four times as much.
const RECOUNT: usize = 1_000;

impl Invariant for CommittedDurability {
    fn name(&self) -> &'static str {
        "CommittedDurability"
    }

    fn heeds(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Writing | Kind::Status | Kind::Shown)
    }

    fn after(&mut self, _: ServerId, _: &Seen<'_>, cluster: &mut Cluster) -> Result<(), String> {
        self.seen += 1;
        if self.seen >= RECOUNT.max(4 * cluster.ghost.len()) {
            self.seen = 0;
            return recount(cluster);
        }
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

    fn at_end(&mut self, cluster: &Cluster) -> Result<(), String> {
        recount(cluster)
    }
}

/// Counts who holds what, of everything that was ever committed: in a log with the same bytes, or in a snapshot.
fn recount(cluster: &Cluster) -> Result<(), String> {
    let voters = cluster.servers.values().filter(|view| view.voting);
    let (damaged, sound): (Vec<&ServerView>, Vec<_>) = voters.partition(|view| view.damaged);
    let mut logs: Vec<_> = sound
        .iter()
        .filter_map(|view| {
            let hidden = view.durable.held_by_snapshot()?;
            Some((hidden, view.durable.between(hidden, Zxid::MAX).peekable()))
        })
        .collect();
    let voters = damaged.len() + sound.len();
    for (zxid, payload) in cluster.ghost.behind_first(0) {
        let holding = logs.iter_mut().filter_map(|(hidden, log)| {
            while log.next_if(|(held, _)| held < zxid).is_some() {}
            (zxid <= hidden || log.peek() == Some(&(*zxid, payload))).then_some(())
        });
        let holders = damaged.len() + holding.count();
        if holders * 2 <= voters {
            return Err(format!("{zxid} was committed, and is durable on {holders} of {voters} voters now"));
        }
    }
    Ok(())
}
