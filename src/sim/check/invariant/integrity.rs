use std::collections::BTreeMap;

use bytes::Bytes;

use crate::peer::Message;
use crate::types::{Epoch, LogEntry, LogOp, ServerId, Zxid};
use crate::zab::Body;

use super::{Cluster, Invariant, Kind, Seen};

/// One zxid is one transaction, whoever logs or sends it, committed or not; and only the leader of an epoch brings new
/// ones of it into the world. (ZAB paper: integrity; a leader never proposes two transactions at one position.)
#[derive(Default)]
pub(super) struct Integrity {
    /// All that was ever logged or sent.
    proposed: BTreeMap<Zxid, Bytes>,
    proposers: BTreeMap<Epoch, ServerId>,
}

impl Integrity {
    fn judge(&mut self, server: ServerId, entry: &LogEntry) -> Result<(), String> {
        match self.proposed.get(&entry.zxid) {
            Some(known) if *known == entry.payload => Ok(()),
            Some(_) => Err(format!("has another transaction at {} than others have", entry.zxid)),
            None => {
                let proposer = *self.proposers.entry(entry.zxid.epoch()).or_insert(server);
                if proposer != server {
                    return Err(format!("has {}, which S{proposer} has never proposed", entry.zxid));
                }
                self.proposed.insert(entry.zxid, entry.payload.clone());
                Ok(())
            }
        }
    }
}

impl Invariant for Integrity {
    fn name(&self) -> &'static str {
        "Integrity"
    }

    fn heeds(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Writing | Kind::Says)
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, _: &Cluster) -> Result<(), String> {
        match seen {
            Seen::Writing(batch) => {
                let appended = batch.ops.iter().filter_map(|op| match op {
                    LogOp::Append(entries) => Some(entries),
                    _ => None,
                });
                appended.flatten().try_for_each(|entry| self.judge(server, entry))
            }
            Seen::Says { message: Message::Zab(message), .. } => match &message.body {
                Body::Propose { entries, .. } | Body::Inform { entries } => {
                    entries.iter().try_for_each(|entry| self.judge(server, entry))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}
