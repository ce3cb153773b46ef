use std::collections::BTreeMap;

use crate::types::{Epoch, LogOp, ServerId, Zxid};

use super::{Cluster, Invariant, Kind, Seen};

/// When a leader broadcasts for the first time, it has every transaction of earlier epochs that anybody ever delivers, be it
/// before or after. (ZAB paper, section 3: primary integrity.)
#[derive(Default)]
pub(super) struct PrimaryIntegrity {
    /// For each epoch in which something was proposed: the last entry before its first proposal.
    begins: BTreeMap<Epoch, Zxid>,
    judged: Zxid,
}

impl Invariant for PrimaryIntegrity {
    fn name(&self) -> &'static str {
        "PrimaryIntegrity"
    }

    fn heeds(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Writing | Kind::Status | Kind::Shown)
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
                        let epoch = entry.zxid.epoch();
                        if tip.epoch() < epoch && !self.begins.contains_key(&epoch) {
                            self.begins.insert(epoch, tip);
                            let earlier = cluster.ghost.last_up_to(Zxid::new(epoch, 0));
                            if let Some((zxid, _)) = earlier.filter(|(zxid, _)| *zxid > tip) {
                                return Err(format!(
                                    "{} is proposed behind {tip}, and {zxid} is committed",
                                    entry.zxid
                                ));
                            }
                        }
                        tip = entry.zxid;
                    }
                }
                LogOp::TruncateAfter(zxid) | LogOp::ResetTo(zxid) => tip = *zxid,
                _ => {}
            }
        }
        Ok(())
    }

    fn after(&mut self, _: ServerId, _: &Seen<'_>, cluster: &mut Cluster) -> Result<(), String> {
        let last = cluster.ghost.last();
        if last <= self.judged {
            return Ok(());
        }
        self.judged = last;
        let later = self.begins.iter().rev().take_while(|(epoch, _)| **epoch > last.epoch());
        for (epoch, begins) in later {
            if last > *begins {
                return Err(format!("delivers {last}, and epoch {epoch} began behind {begins}"));
            }
        }
        Ok(())
    }
}
