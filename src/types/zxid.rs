use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of one leader's reign; larger after every election.
///
/// It is the high half of every [`Zxid`] which that leader assigns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch(u32);

impl Epoch {
    /// The epoch of a server that has never followed anyone.
    pub const ZERO: Self = Self(0);

    /// The epoch numbered `number`.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number itself.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The next epoch, or `None` when the 32 bits are spent.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

/// A transaction id: the position of one state change in the total order.
///
/// The high 32 bits are the [`Epoch`] of the leader that proposed it, the low 32 bits count that
/// leader's proposals from 1. Zxids of one history strictly increase. (ZAB paper, section 3.)
///
/// ```
/// use quorate::{Epoch, Zxid};
///
/// let first = Zxid::new(Epoch::new(3), 1);
/// assert!(first > Zxid::new(Epoch::new(2), 9_000));
/// assert_eq!(first.to_string(), "3.1");
/// assert_eq!(first.next(), Some(Zxid::new(Epoch::new(3), 2)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Zxid(u64);

impl Zxid {
    /// The position before the first transaction: an empty history.
    pub const ZERO: Self = Self(0);
    /// The largest position there can be.
    pub const MAX: Self = Self(u64::MAX);

    /// The `counter`-th proposal of `epoch`.
    #[must_use]
    pub const fn new(epoch: Epoch, counter: u32) -> Self {
        Self(((epoch.0 as u64) << 32) | counter as u64)
    }

    /// The zxid with this 64-bit form, as ZooKeeper's protocol and files carry it.
    #[must_use]
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64-bit form.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The epoch that it was proposed in.
    #[must_use]
    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> 32) as u32)
    }

    /// Its number among the proposals of its epoch.
    #[must_use]
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The next position of the same epoch, or `None` when the counter is spent and a new epoch is due.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        if self.counter() == u32::MAX { None } else { Some(Self(self.0 + 1)) }
    }

    /// Whether an entry at `self` may stand directly behind one at `previous` in a history: the next
    /// counter of the same epoch, or the first of a later epoch.
    #[must_use]
    pub const fn follows(self, previous: Self) -> bool {
        if self.epoch().0 == previous.epoch().0 {
            self.0 == previous.0 + 1
        } else {
            self.epoch().0 > previous.epoch().0 && self.counter() == 1
        }
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch().0, self.counter())
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zxid(epoch: u32, counter: u32) -> Zxid {
        Zxid::new(Epoch::new(epoch), counter)
    }

    #[test]
    fn a_spent_counter_has_no_next() {
        assert_eq!(zxid(7, u32::MAX).next(), None);
        assert_eq!(zxid(7, u32::MAX - 1).next(), Some(zxid(7, u32::MAX)));
    }

    #[test]
    fn only_the_next_counter_or_the_first_of_a_later_epoch_follows() {
        assert!(zxid(1, 1).follows(Zxid::ZERO));
        assert!(zxid(1, 2).follows(zxid(1, 1)));
        assert!(zxid(4, 1).follows(zxid(1, 9)));
        assert!(!zxid(1, 3).follows(zxid(1, 1)));
        assert!(!zxid(4, 2).follows(zxid(1, 9)));
        assert!(!zxid(1, 1).follows(zxid(4, 9)));
        assert!(!zxid(2, 0).follows(zxid(1, u32::MAX)));
    }
}
