use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::types::{Epoch, LogEntry, LogOp, Recovered, WriteBatch, Zxid};

/// What a server's storage holds, as it follows from what the storage was asked to do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct History {
    pub(crate) accepted: Epoch,
    pub(crate) current: Epoch,
    /// The position before the first entry.
    pub(crate) start: Zxid,
    pub(crate) entries: BTreeMap<Zxid, Bytes>,
    /// What the log need not hold any more up to here. It is kept among the entries all the same, to be compared.
    pub(crate) purged: Zxid,
    /// Saved, and not removed since.
    pub(crate) snapshots: BTreeSet<Zxid>,
}

impl History {
    /// What a storage reported. What it holds before its snapshot is taken over from what was known of it.
    pub(crate) fn recovered(recovered: &Recovered, before: &Self) -> Self {
        let base = recovered.snapshot.unwrap_or(Zxid::ZERO);
        let start = if before.start <= base { before.start.max(recovered.log_start) } else { base };
        let mut entries: BTreeMap<_, _> = before.entries.range(..=base).map(own).collect();
        entries.retain(|zxid, _| *zxid > start);
        entries.extend(recovered.log.iter().map(|entry| (entry.zxid, entry.payload.clone())));
        let snapshots = before.snapshots.iter().copied().filter(|zxid| *zxid <= base);
        Self {
            accepted: recovered.accepted_epoch,
            current: recovered.current_epoch,
            start,
            purged: recovered.log_start.min(base),
            entries,
            snapshots: snapshots.chain(recovered.snapshot).collect(),
        }
    }

    /// Drops the snapshots that `recovered` does not have, which is this history. A log may still hold what it need not: then
    /// it may have to serve in place of a snapshot that was damaged.
    pub(crate) fn keep_what_lasted(&mut self, recovered: &Recovered) {
        let base = recovered.snapshot.unwrap_or(Zxid::ZERO);
        self.purged = recovered.log_start.min(base);
        self.snapshots.retain(|zxid| *zxid <= base);
        self.snapshots.extend(recovered.snapshot);
    }

    /// The position of the last entry.
    pub(crate) fn tip(&self) -> Zxid {
        self.entries.last_key_value().map_or(self.start, |(zxid, _)| *zxid)
    }

    /// Whether it includes the transaction at this position, as an entry or as part of what lies before.
    pub(crate) fn covers(&self, zxid: Zxid) -> bool {
        zxid <= self.start || self.entries.contains_key(&zxid)
    }

    /// Up to where only a snapshot holds it; none if there is no such snapshot.
    pub(crate) fn held_by_snapshot(&self) -> Option<Zxid> {
        let gone = self.start.max(self.purged);
        let is_held = gone == Zxid::ZERO || self.snapshots.range(gone..).next().is_some();
        is_held.then_some(gone)
    }

    pub(crate) fn apply(&mut self, batch: &WriteBatch) {
        for op in &batch.ops {
            self.apply_op(op);
        }
    }

    pub(crate) fn apply_op(&mut self, op: &LogOp) {
        match op {
            LogOp::AcceptedEpoch(epoch) => self.accepted = *epoch,
            LogOp::CurrentEpoch(epoch) => self.current = *epoch,
            LogOp::Append(entries) => {
                self.entries.extend(entries.iter().map(|entry| (entry.zxid, entry.payload.clone())));
            }
            LogOp::TruncateAfter(last) => {
                self.entries.retain(|zxid, _| zxid <= last);
                self.snapshots.retain(|zxid| zxid <= last);
            }
            LogOp::ResetTo(snapshot) => {
                self.entries.clear();
                self.snapshots.retain(|zxid| zxid == snapshot);
                self.start = *snapshot;
                self.purged = Zxid::ZERO;
            }
            LogOp::PurgeUpTo(zxid) => self.purged = self.purged.max(*zxid),
        }
    }

    /// The entries of the history after `after` and up to `last`.
    pub(crate) fn between(&self, after: Zxid, last: Zxid) -> impl Iterator<Item = (Zxid, &Bytes)> {
        let empty = after >= last;
        let bounds = (std::ops::Bound::Excluded(after), std::ops::Bound::Included(last.max(after)));
        // `BTreeMap::range` panics on an empty range with both ends excluded only; this one has one included.
        (!empty).then(|| self.entries.range(bounds)).into_iter().flatten().map(|(zxid, bytes)| (*zxid, bytes))
    }

    /// Whether `recovered` is this history: epochs, last entry, and every entry that it shows.
    pub(crate) fn matches(&self, recovered: &Recovered) -> bool {
        let base = recovered.snapshot.unwrap_or(Zxid::ZERO);
        self.accepted == recovered.accepted_epoch
            && self.current == recovered.current_epoch
            && self.tip() == recovered.tip()
            && base >= self.start
            && self.between(base, self.tip()).eq(recovered.log.iter().map(shown))
    }

    /// This history after the first number of the steps of `batch`, entries counted one by one, with which it is
    /// `recovered`; none if there is no such number.
    pub(crate) fn reached_within(&self, batch: &WriteBatch, recovered: &Recovered) -> Option<Self> {
        let mut state = self.clone();
        if state.matches(recovered) {
            return Some(state);
        }
        let one_by_one = batch.ops.iter().flat_map(|op| match op {
            LogOp::Append(entries) => {
                entries.iter().map(|entry| LogOp::Append(vec![entry.clone()])).collect()
            }
            op => vec![op.clone()],
        });
        for op in one_by_one {
            state.apply_op(&op);
            if state.matches(recovered) {
                return Some(state);
            }
        }
        None
    }

    /// Whether `recovered` is this history after any number of the steps of `batch`, entries counted one by one.
    pub(crate) fn matches_within(&self, batch: &WriteBatch, recovered: &Recovered) -> bool {
        // So it is nearly always, and a history is long.
        self.matches(recovered) || self.reached_within(batch, recovered).is_some()
    }
}

fn own((zxid, bytes): (&Zxid, &Bytes)) -> (Zxid, Bytes) {
    (*zxid, bytes.clone())
}

fn shown(entry: &LogEntry) -> (Zxid, &Bytes) {
    (entry.zxid, &entry.payload)
}

#[cfg(test)]
mod tests {
    use crate::types::Standing;

    use super::*;

    fn entry(counter: u32) -> LogEntry {
        LogEntry { zxid: Zxid::new(Epoch::new(1), counter), payload: Bytes::from(vec![counter as u8]) }
    }

    fn batch(ops: Vec<LogOp>) -> WriteBatch {
        WriteBatch { ops }
    }

    fn recovered(log: Vec<LogEntry>, current: u32) -> Recovered {
        Recovered {
            accepted_epoch: Epoch::new(1),
            current_epoch: Epoch::new(current),
            snapshot: None,
            log_start: Zxid::ZERO,
            log,
            standing: Standing::Whole,
        }
    }

    fn history(entries: Vec<LogEntry>) -> History {
        let mut history = History::default();
        history.apply(&batch(vec![LogOp::AcceptedEpoch(Epoch::new(1)), LogOp::Append(entries)]));
        history
    }

    #[test]
    fn a_recovery_in_the_middle_of_a_batch_may_show_any_number_of_its_steps_but_in_order() {
        let history = history(vec![entry(1)]);
        let batch = batch(vec![LogOp::Append(vec![entry(2), entry(3)]), LogOp::CurrentEpoch(Epoch::new(1))]);
        let all = vec![entry(1), entry(2), entry(3)];
        for shown in 1..=3 {
            assert!(history.matches_within(&batch, &recovered(all[..shown].to_vec(), 0)));
        }
        assert!(history.matches_within(&batch, &recovered(all.clone(), 1)));
        assert!(!history.matches_within(&batch, &recovered(all[..2].to_vec(), 1)), "epoch before history");
        assert!(!history.matches_within(&batch, &recovered(vec![], 0)), "a durable entry is lost");
        assert!(!history.matches(&recovered(all[..2].to_vec(), 0)), "without the batch there is no second");
    }

    #[test]
    fn an_entry_with_other_bytes_is_another_entry() {
        let mut forged = entry(1);
        forged.payload = Bytes::from_static(b"forged");
        assert!(!history(vec![entry(1)]).matches(&recovered(vec![forged], 0)));
    }

    #[test]
    fn truncation_and_reset_leave_what_they_say() {
        let mut history = history(vec![entry(1), entry(2), entry(3)]);
        history.apply_op(&LogOp::TruncateAfter(entry(2).zxid));
        assert_eq!(history.tip(), entry(2).zxid);
        assert!(history.covers(entry(1).zxid) && !history.covers(entry(3).zxid));
        history.apply_op(&LogOp::ResetTo(entry(9).zxid));
        assert_eq!((history.tip(), history.entries.len()), (entry(9).zxid, 0));
        assert!(history.covers(entry(3).zxid));
    }
}
