//! Layer 2: which sets of servers are enough to decide.
//!
//! A [`Quorum`] names the voters and says which sets of them are quorums. Any two quorums of one system share a
//! voter that counts, and every set that contains a quorum is one: all safety of ZAB rests on these two.

mod system;

use crate::types::ServerId;

use self::system::System;

/// A quorum system: the voters, and which sets of them decide.
///
/// Servers that are not voters (observers) may be asked about, and never count.
///
/// ```
/// use quorate::quorum::Quorum;
/// use quorate::ServerId;
///
/// let five = Quorum::majority((1..=5).map(ServerId::new));
/// assert!(five.is_reached(|server| server.number() <= 3));
/// assert!(!five.is_reached(|server| server.number() <= 2));
///
/// // The largest position that three of the five have logged: the commit point.
/// assert_eq!(five.reached(|server| Some(server.number() * 10)), Some(30));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Quorum {
    system: System,
    /// Ascending, without doubles: of both systems when there are two.
    voters: Vec<ServerId>,
}

impl Quorum {
    /// More than half of `voters`, each of which counts once however often it is named.
    #[must_use]
    pub fn majority(voters: impl IntoIterator<Item = ServerId>) -> Self {
        Self::new(System::majority(voters))
    }

    /// More than half of the weight in more than half of the groups, of the groups whose weight is not zero
    /// (ZooKeeper's hierarchical quorums). Each member is a server, its weight and its group; with all in one group these are
    /// plain weighted votes. A server named twice keeps the later word.
    #[must_use]
    pub fn hierarchical(members: impl IntoIterator<Item = (ServerId, u32, u32)>) -> Self {
        Self::new(System::hierarchical(members))
    }

    /// Both a quorum of `old` and one of `new`: what decides while the ensemble changes from one to the other.
    #[must_use]
    pub fn joint(old: Self, new: Self) -> Self {
        Self::new(System::Both(Box::new((old.system, new.system))))
    }

    fn new(system: System) -> Self {
        let mut voters = Vec::new();
        system.collect_voters(&mut voters);
        voters.sort_unstable();
        voters.dedup();
        Self { system, voters }
    }

    /// The voters, ascending, each once; those of weight 0 too.
    pub fn voters(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.voters.iter().copied()
    }

    /// Whether `server` votes, be it with weight 0.
    #[must_use]
    pub fn is_voter(&self, server: ServerId) -> bool {
        self.voters.binary_search(&server).is_ok()
    }

    /// How much `server` counts: 0 for one that does not vote, and for a voter that votes but never counts and must not
    /// lead. While the ensemble changes, the larger of its weights.
    #[must_use]
    pub fn weight(&self, server: ServerId) -> u64 {
        self.system.weight(server)
    }

    /// Whether the servers for which `has` holds are a quorum. Without voters of weight nothing ever is.
    #[must_use]
    pub fn is_reached(&self, has: impl Fn(ServerId) -> bool) -> bool {
        self.system.is_reached(&has)
    }

    /// The largest value that a quorum has reached: the largest `v` for which the servers with `of(server) >= Some(v)`
    /// are a quorum; none if those that have a value at all are not one.
    ///
    /// Of the positions that servers have logged this is the commit point. Does not allocate for up to 16 voters.
    #[must_use]
    pub fn reached<T: Ord + Copy>(&self, of: impl Fn(ServerId) -> Option<T>) -> Option<T> {
        self.system.reached(&of)
    }
}

#[cfg(test)]
mod tests;
