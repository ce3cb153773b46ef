use crate::types::{LogOp, ServerId};

use super::{Cluster, Invariant, Seen};

/// One zxid is one transaction, whoever logs it, committed or not. (ZAB paper: integrity; a leader never
/// proposes two transactions at one position.)
pub(super) struct Integrity;

impl Invariant for Integrity {
    fn name(&self) -> &'static str {
        "Integrity"
    }

    fn before(&mut self, _: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let Seen::Writing(batch) = seen else { return Ok(()) };
        for op in &batch.ops {
            let LogOp::Append(entries) = op else { continue };
            for entry in entries {
                if cluster.proposed.get(&entry.zxid).is_some_and(|known| *known != entry.payload) {
                    return Err(format!("logs another transaction at {} than others did", entry.zxid));
                }
            }
        }
        Ok(())
    }
}
