use std::collections::BTreeSet;

use crate::types::{Epoch, LogOp, Zxid};

/// Which positions a storage holds, without what stands at them: enough to judge every step before a byte
/// of it is written.
///
/// A history has no gaps, so the entries of one epoch are one run of counters, and the outline of a
/// million entries is as long as the epochs they come from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Outline {
    pub(crate) accepted: Epoch,
    pub(crate) current: Epoch,
    start: Zxid,
    runs: Vec<Run>,
    snapshots: BTreeSet<Zxid>,
}

/// Entries of one epoch, each the successor of the one before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    first: Zxid,
    last: Zxid,
}

impl Outline {
    /// The outline of no entries behind `start`.
    pub(crate) fn starting_at(start: Zxid) -> Self {
        Self { start, ..Self::default() }
    }

    /// Takes a step, if the state admits it; otherwise says why not and changes nothing.
    ///
    /// The rules are those of ZAB's histories: entries leave no gap, epochs never go back, the current epoch is at
    /// most the accepted one, and after every step the state can be rebuilt from a snapshot or from the beginning.
    pub(crate) fn admit(&mut self, op: &LogOp) -> Result<(), String> {
        match op {
            LogOp::AcceptedEpoch(epoch) => self.admit_accepted(*epoch),
            LogOp::CurrentEpoch(epoch) => self.admit_current(*epoch),
            LogOp::Append(entries) => {
                let mut next = self.clone();
                for entry in entries {
                    next.push(entry.zxid)?;
                }
                *self = next;
                Ok(())
            }
            LogOp::TruncateAfter(zxid) => self.admit_truncation(*zxid),
            LogOp::ResetTo(zxid) => self.admit_reset(*zxid),
            LogOp::PurgeUpTo(zxid) => {
                self.purge(*zxid, 1);
                Ok(())
            }
        }
    }

    /// Takes the next entry.
    pub(crate) fn push(&mut self, zxid: Zxid) -> Result<(), String> {
        let tip = self.tip();
        if !zxid.follows(tip) {
            return Err(format!("an entry at {zxid} does not follow {tip}, the end of the log"));
        }
        match self.runs.last_mut() {
            Some(run) if run.last.epoch() == zxid.epoch() => run.last = zxid,
            _ => self.runs.push(Run { first: zxid, last: zxid }),
        }
        Ok(())
    }

    /// Notes a snapshot that is whole.
    pub(crate) fn add_snapshot(&mut self, zxid: Zxid) {
        self.snapshots.insert(zxid);
    }

    /// Forgets a snapshot.
    pub(crate) fn drop_snapshot(&mut self, zxid: Zxid) {
        self.snapshots.remove(&zxid);
    }

    /// Drops what a purge up to `zxid` makes superfluous while `keep` snapshots at or before it stay.
    pub(crate) fn purge(&mut self, zxid: Zxid, keep: usize) {
        let oldest_kept = self.anchored().rev().filter(|at| *at <= zxid).take(keep.max(1)).last();
        let Some(oldest_kept) = oldest_kept else { return };
        self.snapshots = self.snapshots.split_off(&oldest_kept);
        self.cut_front(oldest_kept);
    }

    /// Drops the entries up to `zxid`, which is a position of the history.
    pub(crate) fn cut_front(&mut self, zxid: Zxid) {
        self.start = self.start.max(zxid);
        self.runs.retain(|run| run.last > zxid);
        if let Some(run) = self.runs.first_mut()
            && run.first <= zxid
            && let Some(next) = zxid.next()
        {
            run.first = next;
        }
    }

    /// The position before the first entry.
    pub(crate) fn start(&self) -> Zxid {
        self.start
    }

    /// The position of the last entry, or the start when there is none.
    pub(crate) fn tip(&self) -> Zxid {
        self.runs.last().map_or(self.start, |run| run.last)
    }

    /// Whether `zxid` is a position of the history: its start, or an entry.
    pub(crate) fn holds(&self, zxid: Zxid) -> bool {
        zxid == self.start || self.runs.iter().any(|run| run.first <= zxid && zxid <= run.last)
    }

    /// Whether a whole snapshot of this position is there, of the history or waiting for a reset to it.
    pub(crate) fn has_snapshot(&self, zxid: Zxid) -> bool {
        self.snapshots.contains(&zxid)
    }

    /// All whole snapshots.
    pub(crate) fn snapshots(&self) -> impl DoubleEndedIterator<Item = Zxid> + '_ {
        self.snapshots.iter().copied()
    }

    /// The snapshots whose positions the history holds. One elsewhere is that of another history, or of a
    /// position which the log has yet to reach: until then it is no part of the state.
    pub(crate) fn anchored(&self) -> impl DoubleEndedIterator<Item = Zxid> + '_ {
        self.snapshots().filter(|at| self.holds(*at))
    }

    /// The newest snapshot of the history.
    pub(crate) fn newest_snapshot(&self) -> Option<Zxid> {
        self.anchored().next_back()
    }

    fn admit_accepted(&mut self, epoch: Epoch) -> Result<(), String> {
        if epoch < self.accepted {
            return Err(format!("epoch {} was accepted, {epoch} is older", self.accepted));
        }
        self.accepted = epoch;
        Ok(())
    }

    fn admit_current(&mut self, epoch: Epoch) -> Result<(), String> {
        if epoch < self.current {
            return Err(format!("the current epoch is {}, {epoch} is older", self.current));
        }
        if epoch > self.accepted {
            return Err(format!("epoch {epoch} cannot be current: only {} was accepted", self.accepted));
        }
        self.current = epoch;
        Ok(())
    }

    fn admit_truncation(&mut self, zxid: Zxid) -> Result<(), String> {
        if !self.holds(zxid) {
            return Err(format!("cannot truncate after {zxid}: the log does not hold it"));
        }
        if self.start != Zxid::ZERO && !self.anchored().any(|at| at <= zxid) {
            return Err(format!("cannot truncate after {zxid}: the oldest snapshot is newer"));
        }
        self.runs.retain(|run| run.first <= zxid);
        if let Some(run) = self.runs.last_mut() {
            run.last = run.last.min(zxid);
        }
        self.snapshots.retain(|at| *at <= zxid);
        Ok(())
    }

    fn admit_reset(&mut self, zxid: Zxid) -> Result<(), String> {
        if !self.has_snapshot(zxid) {
            return Err(format!("cannot reset to {zxid}: no snapshot of it was saved"));
        }
        self.start = zxid;
        self.runs.clear();
        self.snapshots.retain(|at| *at == zxid);
        Ok(())
    }
}
