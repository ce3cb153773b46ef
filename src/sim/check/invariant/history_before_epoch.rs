use std::collections::BTreeMap;

use crate::types::{Epoch, LogOp, ServerId, WriteBatch, Zxid};

use super::super::history::History;
use super::{Cluster, Invariant, Kind, Seen};

/// Whoever has made an epoch its current one has the history that the epoch began with, on its disk and not only on its
/// way there: in the order of the steps the history stands before the epoch. (ZOOKEEPER-4643; SCN-05.)
#[derive(Default)]
pub(super) struct HistoryBeforeEpoch {
    /// The last entry of earlier epochs that the history of each epoch begins with.
    begins: BTreeMap<Epoch, Zxid>,
}

impl Invariant for HistoryBeforeEpoch {
    fn name(&self) -> &'static str {
        "HistoryBeforeEpoch"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Writing
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let (Seen::Writing(batch), Some(view)) = (seen, cluster.servers.get(&server)) else {
            return Ok(());
        };
        for (index, op) in batch.ops.iter().enumerate() {
            let LogOp::CurrentEpoch(epoch) = op else { continue };
            let Some(own) = last_before(&view.asked, batch, index, *epoch) else { continue };
            let begins = *self.begins.entry(*epoch).or_insert(own);
            if begins != own {
                return Err(format!(
                    "makes {epoch} its current epoch with a history that ends at {own}; that of the epoch ended at {begins}"
                ));
            }
        }
        Ok(())
    }
}

/// The last entry of an epoch before `epoch` in `history` after the first `steps` steps of `batch`. None when a snapshot
/// hides it.
fn last_before(history: &History, batch: &WriteBatch, steps: usize, epoch: Epoch) -> Option<Zxid> {
    let first = Zxid::new(epoch, 0);
    // Backwards: what was appended last counts, up to where something was cut.
    let mut upto = Zxid::MAX;
    for op in batch.ops.iter().take(steps).rev() {
        match op {
            LogOp::Append(entries) => {
                let earlier = entries.iter().rev().map(|entry| entry.zxid);
                if let Some(zxid) = earlier.into_iter().find(|zxid| *zxid < first && *zxid <= upto) {
                    return Some(zxid);
                }
            }
            LogOp::TruncateAfter(zxid) => upto = upto.min(*zxid),
            LogOp::ResetTo(zxid) => return (*zxid < first).then_some(*zxid),
            _ => {}
        }
    }
    let entry = history.entries.range(..first).rev().map(|(zxid, _)| *zxid).find(|zxid| *zxid <= upto);
    entry.or_else(|| (history.start < first).then_some(history.start))
}
