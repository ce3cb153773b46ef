use std::collections::VecDeque;

use crate::types::{Epoch, LogEntry, Recovered, Zxid};

/// The one history of a server: what its log holds, how much of it is durable, committed, and delivered.
///
/// The latest entries are kept in memory: all that are not delivered, and some more for learners that lag. Of older
/// ones only their positions are known, as runs of one epoch each.
///
/// Invariants: `base <= delivered <= committed`; entries stand behind each other without a gap; what is
/// delivered is durable and committed.
#[cfg_attr(any(test, feature = "sim"), derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct History {
    /// The entries after `base`.
    window: VecDeque<LogEntry>,
    base: Zxid,
    /// The number, in the order of the whole history, of the first entry of the window.
    base_index: u64,
    /// The epochs of the known history, ascending; covers the window and what is readable before it.
    runs: VecDeque<Run>,
    /// The position before the first run, if that is known.
    known_after: Option<Zxid>,
    log_start: Zxid,
    snapshot: Option<Zxid>,
    durable: Zxid,
    committed: Zxid,
    /// How many entries of the window are durable and committed.
    deliverable: usize,
    /// How many entries of the window are delivered.
    delivered: usize,
    /// How much the delivered entries of the window weigh.
    kept: usize,
    /// How many entries of the window were handed out to be made durable.
    handed: usize,
    /// How many delivered entries are kept.
    limit: usize,
}

/// The entries of one epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Run {
    epoch: Epoch,
    first: u32,
    last: u32,
    /// The number of the first one.
    index: u64,
}

impl Run {
    fn index_of(&self, counter: u32) -> Option<u64> {
        (self.first..=self.last).contains(&counter).then(|| self.index + u64::from(counter - self.first))
    }

    fn last(&self) -> Zxid {
        Zxid::new(self.epoch, self.last)
    }
}

/// The number of the first entry that a server meets in its life: far from both ends.
const ORIGIN: u64 = 1 << 62;

/// How much delivered entries that are kept may weigh, however few they are.
const LARGEST_WINDOW: usize = 64 << 20;

impl History {
    /// What `recovered` holds, all durable and none of it behind the snapshot known to be committed.
    pub(super) fn new(recovered: Recovered, limit: usize) -> Self {
        let snapshot = recovered.snapshot.filter(|snapshot| *snapshot > Zxid::ZERO);
        let base = snapshot.unwrap_or(Zxid::ZERO);
        let mut history = Self {
            window: VecDeque::with_capacity(recovered.log.len()),
            base,
            base_index: ORIGIN,
            runs: VecDeque::new(),
            known_after: Some(base),
            log_start: recovered.log_start.min(base),
            snapshot,
            durable: base,
            committed: base,
            deliverable: 0,
            delivered: 0,
            kept: 0,
            handed: 0,
            limit,
        };
        history.seed_run();
        for entry in recovered.log {
            // A storage reports no gaps; if one did, what stands behind the gap would not be ours to use.
            if !history.append(entry) {
                break;
            }
        }
        history.durable = history.tip();
        history.handed = history.window.len();
        history
    }

    /// Puts an entry behind the tip; false, and nothing changes, if it does not follow it.
    pub(super) fn append(&mut self, entry: LogEntry) -> bool {
        let zxid = entry.zxid;
        if !zxid.follows(self.tip()) {
            return false;
        }
        match self.runs.back_mut() {
            Some(run) if run.epoch == zxid.epoch() => run.last = zxid.counter(),
            _ => {
                let index = self.base_index + self.window.len() as u64;
                self.runs.push_back(Run {
                    epoch: zxid.epoch(),
                    first: zxid.counter(),
                    last: zxid.counter(),
                    index,
                });
            }
        }
        self.window.push_back(entry);
        true
    }

    /// Copies of the entries that were not handed out yet, which are so now.
    pub(super) fn hand_out(&mut self) -> Vec<LogEntry> {
        let entries = self.window.range(self.handed..).cloned().collect();
        self.handed = self.window.len();
        entries
    }

    /// Says that all appended so far was handed out.
    pub(super) fn set_handed(&mut self) {
        self.handed = self.window.len();
    }

    /// Whether there is something to hand out.
    pub(super) fn has_unhanded(&self) -> bool {
        self.handed < self.window.len()
    }

    /// Whether `to` is a position of this history to which it may be cut: nothing committed is lost.
    pub(super) fn may_truncate(&self, to: Zxid) -> bool {
        to >= self.committed && self.offset(to).is_some()
    }

    /// Cuts off all after `to`, which [`may_truncate`](Self::may_truncate).
    pub(super) fn truncate(&mut self, to: Zxid) {
        let Some(keep) = self.offset(to).filter(|_| to >= self.committed) else { return };
        self.window.truncate(keep);
        self.handed = self.handed.min(keep);
        while let Some(run) = self.runs.back_mut() {
            if run.last() <= to {
                break;
            }
            if run.epoch == to.epoch() && run.first <= to.counter() {
                run.last = to.counter();
                break;
            }
            self.runs.pop_back();
        }
        self.durable = self.durable.min(to);
        self.settle();
    }

    /// Makes the snapshot at `zxid` the start of the history: nothing else is left of it.
    pub(super) fn reset_to(&mut self, zxid: Zxid) {
        self.base_index += self.window.len() as u64;
        self.window.clear();
        self.runs.clear();
        self.known_after = Some(zxid);
        self.base = zxid;
        self.log_start = zxid;
        self.snapshot = Some(zxid);
        self.durable = self.durable.min(zxid);
        self.committed = zxid;
        (self.deliverable, self.delivered, self.handed, self.kept) = (0, 0, 0, 0);
    }

    /// Says that all up to `zxid` is durable.
    pub(super) fn set_durable(&mut self, zxid: Zxid) {
        let zxid = zxid.min(self.tip());
        if zxid > self.durable {
            self.durable = zxid;
            self.settle();
        }
    }

    /// Says that all up to `zxid`, a position of this history, is committed. False if it is no such position.
    pub(super) fn set_committed(&mut self, zxid: Zxid) -> bool {
        if zxid <= self.committed {
            return true;
        }
        if self.offset(zxid).is_none() {
            return false;
        }
        self.committed = zxid;
        self.settle();
        true
    }

    /// The next entry that is durable and committed and was not delivered, which it is now.
    pub(super) fn deliver(&mut self) -> Option<LogEntry> {
        if self.delivered >= self.deliverable {
            return None;
        }
        let entry = self.window.get(self.delivered).cloned()?;
        self.delivered += 1;
        self.kept += weight(&entry);
        while self.delivered > self.limit || (self.kept > LARGEST_WINDOW && self.delivered > 0) {
            self.forget_first();
        }
        Some(entry)
    }

    /// Says that there is a durable snapshot at `zxid`; gives the position of the one before.
    pub(super) fn set_snapshot(&mut self, zxid: Zxid) -> Option<Zxid> {
        self.snapshot.replace(zxid)
    }

    /// Says that the log cannot be read any more up to `zxid`, a position of this history.
    pub(super) fn purge(&mut self, zxid: Zxid) {
        self.log_start = self.log_start.max(zxid);
        self.forget_runs();
    }

    /// Entries after `after` and up to `limit`: as many as fit in `bytes` of payload, at least one if there
    /// is one. `None` if they begin before what is in memory, or `after` is no position.
    pub(super) fn entries(&self, after: Zxid, limit: Zxid, bytes: usize) -> Option<(Vec<LogEntry>, usize)> {
        let from = self.offset(after)?;
        let to = if limit >= self.tip() { self.window.len() } else { self.offset(limit)? };
        if from >= to {
            return Some((Vec::new(), 0));
        }
        let mut size = 0;
        let mut count = 0;
        for entry in self.window.range(from..to) {
            let more = size + weight(entry);
            if count > 0 && more > bytes {
                break;
            }
            size = more;
            count += 1;
        }
        Some((self.window.range(from..from + count).cloned().collect(), size))
    }

    /// The last entry.
    pub(super) fn tip(&self) -> Zxid {
        self.window.back().map_or(self.base, |entry| entry.zxid)
    }

    /// The last entry known to be durable.
    pub(super) const fn durable(&self) -> Zxid {
        self.durable
    }

    /// The last entry known to be committed.
    pub(super) const fn committed(&self) -> Zxid {
        self.committed
    }

    /// The last entry that was delivered.
    pub(super) fn delivered(&self) -> Zxid {
        match self.delivered.checked_sub(1) {
            Some(last) => self.window.get(last).map_or(self.base, |entry| entry.zxid),
            None => self.base,
        }
    }

    /// The position before the first entry in memory.
    pub(super) const fn base(&self) -> Zxid {
        self.base
    }

    /// The newest durable snapshot.
    pub(super) const fn snapshot(&self) -> Option<Zxid> {
        self.snapshot
    }

    /// The position before the first entry that the log gives.
    pub(super) const fn log_start(&self) -> Zxid {
        self.log_start
    }

    /// The position before the first entry that can still be had, from memory or from the log.
    pub(super) fn start(&self) -> Zxid {
        self.log_start.min(self.base)
    }

    /// The largest position of this history that is at most `zxid`; none if that is not known.
    pub(super) fn floor(&self, zxid: Zxid) -> Option<Zxid> {
        for run in self.runs.iter().rev() {
            if run.epoch < zxid.epoch() {
                return Some(run.last());
            }
            if run.epoch == zxid.epoch() && zxid.counter() >= run.first {
                return Some(zxid.min(run.last()));
            }
        }
        if zxid == self.start() {
            return Some(zxid);
        }
        self.known_after.filter(|known| *known <= zxid)
    }

    /// Whether `zxid` is known to be a position of this history, in memory or before it.
    pub(super) fn contains(&self, zxid: Zxid) -> bool {
        self.floor(zxid) == Some(zxid)
    }

    /// How many entries of the window stand at or before `zxid`; `None` if it is no position of the window.
    fn offset(&self, zxid: Zxid) -> Option<usize> {
        if zxid == self.base {
            return Some(0);
        }
        let run = self.runs.iter().rev().find(|run| run.epoch <= zxid.epoch())?;
        let index = if run.epoch == zxid.epoch() { run.index_of(zxid.counter())? } else { return None };
        usize::try_from(index.checked_sub(self.base_index)?).ok()?.checked_add(1)
    }

    /// Finds anew how much may be delivered.
    fn settle(&mut self) {
        let up_to = self.durable.min(self.committed);
        if let Some(offset) = self.offset(up_to) {
            self.deliverable = offset.max(self.delivered);
        }
    }

    /// Drops the first entry of the window, which is delivered.
    fn forget_first(&mut self) {
        let Some(entry) = self.window.pop_front() else { return };
        let readable_before = self.log_start <= self.base;
        self.base = entry.zxid;
        self.base_index += 1;
        self.kept = self.kept.saturating_sub(weight(&entry));
        self.delivered -= 1;
        self.deliverable -= 1;
        self.handed = self.handed.saturating_sub(1);
        if !readable_before {
            self.forget_runs();
        }
    }

    /// Drops what is known of positions that cannot be had any more.
    fn forget_runs(&mut self) {
        let start = self.start();
        let is_known = |run: &Run| run.epoch == start.epoch() && run.index_of(start.counter()).is_some();
        if self.runs.iter().any(is_known) {
            self.known_after = Some(start);
        } else if self.known_after != Some(start) {
            self.known_after = None;
        }
        while let Some(run) = self.runs.front_mut() {
            if run.last() > start {
                if run.epoch == start.epoch() && run.first <= start.counter() {
                    run.index += u64::from(start.counter() - run.first) + 1;
                    run.first = start.counter() + 1;
                }
                break;
            }
            self.runs.pop_front();
        }
    }

    /// What is known of the log before the snapshot that the history was recovered from: its last epoch,
    /// because an epoch has no gaps.
    fn seed_run(&mut self) {
        let (start, end) = (self.log_start, self.base);
        if start >= end {
            return;
        }
        let first = if start.epoch() == end.epoch() { start.counter() + 1 } else { 1 };
        self.known_after = (start.epoch() == end.epoch()).then_some(start);
        if let Some(count) = end.counter().checked_sub(first) {
            let index = self.base_index - u64::from(count) - 1;
            self.runs.push_back(Run { epoch: end.epoch(), first, last: end.counter(), index });
        }
    }
}

/// How much of the bounds on messages and on what is under way an entry takes: it is not free when its payload is empty.
pub(super) fn weight(entry: &LogEntry) -> usize {
    entry.payload.len() + 32
}

#[cfg(test)]
mod tests;
