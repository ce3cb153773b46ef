use std::collections::BTreeMap;

use crate::types::{Epoch, LogEntry, Zxid};

use super::replica::Replica;
use super::search::Broken;

/// What nobody knows and must be so.
#[derive(Clone, Hash, Default)]
pub(super) struct Ghost {
    /// What was ever applied anywhere, in order.
    pub(super) committed: Vec<LogEntry>,
    pub(super) proposed: BTreeMap<Zxid, LogEntry>,
    pub(super) leaders: BTreeMap<Epoch, u64>,
    /// The history that each epoch began with.
    pub(super) initial: BTreeMap<Epoch, Vec<LogEntry>>,
}

impl Ghost {
    pub(super) fn apply(&mut self, server: u64, index: usize, entry: &LogEntry) -> Result<(), Broken> {
        let wrong = match self.committed.get(index) {
            Some(known) => known != entry,
            None => index != self.committed.len() || self.proposed.get(&entry.zxid) != Some(entry),
        };
        if wrong {
            let what = format!("S{server} applies {entry:?} as number {index} of {:?}", self.committed);
            return Err(Broken::new("Agreement", what));
        }
        if index == self.committed.len() {
            self.committed.push(entry.clone());
        }
        Ok(())
    }

    pub(super) fn establish(&mut self, server: u64, epoch: Epoch, replica: &Replica) -> Result<(), Broken> {
        if let Some(other) = self.leaders.insert(epoch, server) {
            let what = format!("S{other} and S{server} are established in epoch {epoch}");
            return Err(Broken::new("OneLeaderPerEpoch", what));
        }
        // Of later epochs it may know nothing: it was established by words that were said before those began, and commits
        // nothing any more.
        let earlier = self.committed.partition_point(|entry| entry.zxid.epoch() < epoch);
        let complete =
            replica.applied >= earlier && replica.log.get(..earlier) == self.committed.get(..earlier);
        let what = || format!("S{server} lacks something of {:?}", self.committed);
        if complete { Ok(()) } else { Err(Broken::new("LeadersAreComplete", what())) }
    }

    pub(super) fn enter(&self, server: u64, epoch: Epoch, replica: &Replica) -> Result<(), Broken> {
        let complete = self.initial.get(&epoch).is_some_and(|initial| replica.log.starts_with(initial));
        let what = || format!("S{server}'s disk enters epoch {epoch} with {:?}", replica.log);
        if complete { Ok(()) } else { Err(Broken::new("EpochsFollowHistory", what())) }
    }
}
