//! What a server of the small world keeps across a crash, and how strict it is about what is asked of it.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::codec;
use crate::types::{Epoch, LogEntry, LogOp, Recovered, Standing, Zxid};

use super::net::Applied;

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) accepted: Epoch,
    pub(super) current: Epoch,
    pub(super) log_start: Zxid,
    pub(super) log: Vec<LogEntry>,
    pub(super) snapshots: BTreeMap<Zxid, Bytes>,
    pub(super) suspect: bool,
}

impl Disk {
    pub(super) fn apply(&mut self, op: LogOp) {
        match op {
            LogOp::AcceptedEpoch(epoch) => {
                assert!(epoch > self.accepted, "a promise is never taken back");
                self.accepted = epoch;
            }
            LogOp::CurrentEpoch(epoch) => {
                assert!(epoch > self.current && epoch <= self.accepted);
                self.current = epoch;
            }
            LogOp::Append(entries) => {
                for entry in entries {
                    assert!(entry.zxid.follows(self.tip()), "{} behind {}", entry.zxid, self.tip());
                    self.log.push(entry);
                }
            }
            LogOp::TruncateAfter(to) => {
                let is_there = self.log.iter().any(|entry| entry.zxid == to) || to == self.newest().0;
                assert!(is_there, "the log is cut at one of its positions");
                self.log.retain(|entry| entry.zxid <= to);
                self.snapshots.retain(|zxid, _| *zxid <= to);
            }
            LogOp::ResetTo(zxid) => {
                self.log.clear();
                self.log_start = zxid;
                self.snapshots.retain(|at, _| *at == zxid);
                assert_eq!(self.snapshots.len(), 1, "the snapshot is there");
            }
            LogOp::PurgeUpTo(to) => {
                self.log_start = self.log_start.max(to);
                self.log.retain(|entry| entry.zxid > to);
                let keep = self.snapshots.range(..=to).next_back().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
                self.snapshots.retain(|zxid, _| *zxid >= keep);
            }
        }
    }

    pub(super) fn newest(&self) -> (Zxid, Applied) {
        match self.snapshots.last_key_value() {
            Some((zxid, bytes)) => (*zxid, codec::decode(bytes).unwrap()),
            None => (Zxid::ZERO, Vec::new()),
        }
    }

    pub(super) fn tip(&self) -> Zxid {
        let snapshot = self.snapshots.last_key_value().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
        self.log.last().map_or(snapshot, |entry| entry.zxid.max(snapshot))
    }

    /// The whole history.
    pub(super) fn history(&self) -> Applied {
        let (snapshot, mut history) = self.newest();
        let behind = self.log.iter().filter(|entry| entry.zxid > snapshot);
        history.extend(behind.map(|entry| (entry.zxid, entry.payload.clone())));
        history
    }

    pub(super) fn recover(&self) -> Recovered {
        let snapshot = self.snapshots.last_key_value().map(|(zxid, _)| *zxid);
        let from = snapshot.unwrap_or(Zxid::ZERO);
        Recovered {
            accepted_epoch: self.accepted,
            current_epoch: self.current,
            snapshot,
            log_start: self.log_start,
            log: self.log.iter().filter(|entry| entry.zxid > from).cloned().collect(),
            standing: if self.suspect { Standing::Suspect("test".into()) } else { Standing::Whole },
        }
    }
}
