//! How a learner's history follows its leader's. (ZAB paper, phases 2 and 3.)

use crate::types::{Epoch, LogEntry, LogOp, Zxid};

use super::super::core::Core;
use super::super::message::SyncMode;
use super::super::output::Note;
use super::{Fault, Learner, Phase};

impl Learner {
    pub(super) fn handle_sync(&mut self, core: &mut Core, mode: SyncMode) -> Result<(), Fault> {
        // A second one may follow when the leader's log was cut while the learner caught up from it.
        if !matches!(self.phase, Phase::Promised | Phase::Level) {
            return Err(Fault("it synchronises out of turn".to_owned()));
        }
        let tip = core.history.tip();
        match mode {
            SyncMode::Diff(after) if after == tip => self.phase = Phase::Level,
            SyncMode::Diff(after) => {
                return Err(Fault(format!("it sends what follows {after}, but the log ends with {tip}")));
            }
            SyncMode::Truncate(to) => {
                if !core.history.may_truncate(to) {
                    // What is committed is never given up. The rest is not common as the leader thinks.
                    self.wants_snapshot = true;
                    return Err(Fault(format!(
                        "it cuts the history back to {to}, of which {} is committed",
                        core.history.committed()
                    )));
                }
                if to < tip {
                    core.history.truncate(to);
                    core.persist(LogOp::TruncateAfter(to));
                    core.note(Note::RolledBack { from: tip, to });
                }
                self.phase = Phase::Level;
            }
            SyncMode::Snapshot(zxid) => {
                if zxid < core.history.committed() {
                    return Err(Fault(format!("its snapshot {zxid} is older than what is committed here")));
                }
                self.pieces.clear();
                self.phase = Phase::Receiving { zxid, next: 0 };
            }
        }
        self.acked = core.history.tip();
        Ok(())
    }

    /// Takes entries: proposals with a commit point, or entries that are committed all.
    pub(super) fn handle_entries(
        &mut self,
        core: &mut Core,
        mut entries: Vec<LogEntry>,
        committed: Option<Zxid>,
    ) -> Result<(), Fault> {
        self.expect_level()?;
        let Some(last) = entries.last().map(|entry| entry.zxid) else {
            return Err(Fault("it sends no entries".to_owned()));
        };
        let mut previous = core.history.tip();
        // What is there already is only repeated.
        let known = entries.iter().take_while(|entry| entry.zxid <= previous).count();
        if known > 0 && !entries.iter().take(known).all(|entry| core.history.contains(entry.zxid)) {
            return Err(Fault(format!("its entries up to {last} contradict the history")));
        }
        entries.drain(..known);
        for entry in &entries {
            if !entry.zxid.follows(previous) || entry.zxid.epoch() > self.epoch {
                return Err(Fault(format!("its entry {} does not follow {previous}", entry.zxid)));
            }
            previous = entry.zxid;
        }
        if !entries.is_empty() {
            for entry in &entries {
                core.history.append(entry.clone());
            }
            core.history.set_handed();
            core.persist(LogOp::Append(entries));
        }
        self.commit(core, committed.unwrap_or(last))
    }

    pub(super) fn handle_commit(&mut self, core: &mut Core, zxid: Zxid) -> Result<(), Fault> {
        self.expect_level()?;
        self.commit(core, zxid)
    }

    pub(super) fn handle_new_leader(
        &mut self,
        core: &mut Core,
        epoch: Epoch,
        tip: Zxid,
    ) -> Result<(), Fault> {
        let own = core.history.tip();
        if self.phase != Phase::Level || epoch != self.epoch || tip != own {
            return Err(Fault(format!("it begins epoch {epoch} behind {tip}; the history ends with {own}")));
        }
        self.wants_snapshot = false;
        // A suspect server becomes whole by this record, so it writes it even where the epoch is an old one.
        if core.current < epoch || core.suspect {
            core.current = epoch;
            core.persist(LogOp::CurrentEpoch(epoch));
        }
        // The history becomes durable first, then the epoch, then it is acknowledged (ZOOKEEPER-4643, -4646, -3911).
        self.phase = Phase::Entering { step: core.last_step(), tip };
        self.handle_persisted(core);
        Ok(())
    }

    pub(super) fn handle_up_to_date(&mut self, core: &mut Core, committed: Zxid) -> Result<(), Fault> {
        if self.phase != Phase::Entered {
            return Err(Fault("it says that the epoch is established before it was acknowledged".to_owned()));
        }
        self.commit(core, committed)?;
        self.up_to_date = Some(committed);
        Ok(())
    }

    /// All up to `zxid` is committed on the leader; so is what of that is here.
    fn commit(&mut self, core: &mut Core, zxid: Zxid) -> Result<(), Fault> {
        self.announced = self.announced.max(zxid);
        if core.history.set_committed(self.announced.min(core.history.tip())) {
            Ok(())
        } else {
            Err(Fault(format!("it commits {zxid}, which is no part of the history")))
        }
    }

    /// Entries and commits are legal as soon as the history is a prefix of the leader's (ZOOKEEPER-4394).
    fn expect_level(&self) -> Result<(), Fault> {
        if matches!(self.phase, Phase::Level | Phase::Entering { .. } | Phase::Entered) {
            Ok(())
        } else {
            Err(Fault("it sends entries before the synchronisation".to_owned()))
        }
    }
}
