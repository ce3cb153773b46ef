use crate::types::Zxid;

use super::history::History;

/// How a learner is brought level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Decision {
    /// It holds a prefix of the leader's history: entries after this position follow.
    Diff(Zxid),
    /// It holds entries that the leader does not: those after this position go, and the leader's follow.
    Truncate(Zxid),
    /// By the leader's newest snapshot.
    Snapshot(Zxid),
    /// By a snapshot at or after this position, which the leader does not have yet.
    Wait(Zxid),
}

/// Decides how a learner with the last entry `tip` is brought to the history of its leader.
///
/// The last common position is the largest one of the leader's history that is at most `tip`. For: entries of
/// one epoch are in any two logs prefixes of one sequence, and stand behind the same entries, because a server
/// appends entries of an epoch only when it holds the history which that epoch began with. So if `tip` is a
/// position of the leader's history, all before it is common too. If it is not, then either the
/// leader has fewer entries of that epoch, and its last one of it is common; or it has none. Then that
/// epoch began with a history that the leader holds as well, since the epoch was established by a
/// quorum, and a leader is no less recent than some member of each; what it has behind that history
/// is of later epochs, hence larger than `tip`.
///
/// Never compares positions of different histories as numbers alone (ZOOKEEPER-1154, ZOOKEEPER-2832).
pub(super) fn decide(history: &History, tip: Zxid, wants_snapshot: bool) -> Decision {
    let common = history.floor(tip).filter(|common| *common >= history.start());
    match common {
        Some(common) if !wants_snapshot => {
            if common == tip {
                Decision::Diff(tip)
            } else {
                Decision::Truncate(common)
            }
        }
        // What the learner acknowledged must not be missing from its disk between the snapshot and the entries
        // that follow it: the snapshot lies at or after all that they have in common.
        common => {
            let at_least = common.unwrap_or_else(|| tip.min(history.tip()));
            match history.snapshot() {
                Some(snapshot) if snapshot >= at_least => Decision::Snapshot(snapshot),
                _ => Decision::Wait(at_least),
            }
        }
    }
}

#[cfg(test)]
mod tests;
