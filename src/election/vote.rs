use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::{Epoch, ServerId, Zxid};

/// A vote: for whom, and how fresh that candidate's history is.
///
/// The order of the fields is the rule of the election: the larger epoch wins, then the larger zxid, then the larger
/// server id.
///
/// ```
/// use quorate::election::Vote;
/// use quorate::{Epoch, ServerId, Zxid};
///
/// let vote = |epoch, counter, sid| Vote {
///     epoch: Epoch::new(epoch),
///     zxid: Zxid::new(Epoch::new(1), counter),
///     sid: ServerId::new(sid),
/// };
/// assert!(vote(2, 7, 1) > vote(1, 9, 5), "a larger epoch beats a larger zxid");
/// assert!(vote(1, 9, 1) > vote(1, 8, 5), "a larger zxid beats a larger server id");
/// assert!(vote(1, 8, 2) > vote(1, 8, 1), "all else equal the larger server id wins");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vote {
    /// The epoch that the candidate's history is complete for: its current epoch, as it is on disk.
    pub epoch: Epoch,
    /// The last entry of the candidate's log.
    pub zxid: Zxid,
    /// The candidate.
    pub sid: ServerId,
}

impl Vote {
    /// How fresh the candidate's history is: the vote without the candidate.
    pub(super) fn freshness(&self) -> (Epoch, Zxid) {
        (self.epoch, self.zxid)
    }
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {}, {})", self.epoch, self.zxid, self.sid)
    }
}

impl fmt::Debug for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
