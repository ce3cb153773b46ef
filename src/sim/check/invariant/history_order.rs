use crate::types::{LogOp, ServerId};

use super::{Cluster, Invariant, Kind, Seen};

/// In every history the zxids of an epoch count 1, 2, 3 … without a gap, and epochs do not interleave. (ZAB
/// paper: local and global primary order.)
pub(super) struct HistoryOrder;

impl Invariant for HistoryOrder {
    fn name(&self) -> &'static str {
        "PrimaryOrder"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Writing
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let (Seen::Writing(batch), Some(view)) = (seen, cluster.servers.get(&server)) else {
            return Ok(());
        };
        let mut tip = view.asked.tip();
        for op in &batch.ops {
            match op {
                LogOp::Append(entries) => {
                    for entry in entries {
                        if !entry.zxid.follows(tip) {
                            return Err(format!("{} is appended behind {tip}", entry.zxid));
                        }
                        tip = entry.zxid;
                    }
                }
                LogOp::TruncateAfter(zxid) => {
                    if !view.asked.covers(*zxid) {
                        return Err(format!("the history is cut at {zxid}, which it does not contain"));
                    }
                    tip = *zxid;
                }
                LogOp::ResetTo(zxid) => {
                    if !view.asked.snapshots.contains(zxid) {
                        return Err(format!("the history is reset to {zxid}, where no snapshot was saved"));
                    }
                    tip = *zxid;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
