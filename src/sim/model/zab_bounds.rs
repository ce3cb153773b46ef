use super::replica::ZabFlaw;
use super::search::{ModelReport, search};
use super::zab::ZabModel;

/// The bounds within which every behaviour of ZAB is seen.
///
/// The servers are the production [`Zab`](crate::zab::Zab), each over a disk that is strict about what it is asked to write.
/// Elections are no part of it: any server without a role may at any moment be told that it was elected, and any other
/// to follow it, so whatever an election could do is covered. Messages of one lane of a link arrive in order; lanes,
/// links, disks and servers run at any speed. A crash leaves on the disk any part of what was on its way to it.
///
/// Which server is elected first and which follows first makes no difference: all states that are equal but for
/// the servers' numbers are seen once, by letting those be servers 1 and 2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZabBounds {
    /// How many servers there are; a majority decides.
    pub servers: u64,
    /// How often a server may be elected.
    pub leads: u32,
    /// How often a server may be told to follow.
    pub follows: u32,
    /// How many transactions may be proposed.
    pub proposals: u32,
    /// How many processes may crash. They may start again at any time.
    pub crashes: u32,
    /// How often a server may be cut off from all others, which loses what is under way. It may be mended at any time.
    pub partitions: u32,
    /// How often a server may give up its role though it has no reason to. It may always when what it needs has gone.
    pub impatience: u32,
    /// How many other deadlines may come: heartbeats of leaders, new tries to join.
    pub ticks: u32,
    /// How many messages may be lost, beside those that a partition or a crash loses.
    pub losses: u32,
    /// How many messages may arrive twice.
    pub repeats: u32,
    /// Whether what makes no difference within the bounds is looked at once only: messages that nobody listens to, servers
    /// that matter by their disks only, and, once all faults are spent, orders of events that lead to one and the same. Without, a
    /// search takes several times as long. Violations are the same, but for *RecoveryEnds*, which is demanded of the states that
    /// are looked at.
    pub reduced: bool,
    /// Something wrong with the servers, to see that it is found.
    pub flaw: Option<ZabFlaw>,
    /// The search ends incomplete at so many states.
    pub limit: u64,
}

impl ZabBounds {
    /// So many servers, one of which is elected once and followed by all others. No transactions, no faults.
    #[must_use]
    pub fn new(servers: u64) -> Self {
        Self {
            servers,
            leads: 1,
            follows: u32::try_from(servers.saturating_sub(1)).unwrap_or(u32::MAX),
            proposals: 0,
            crashes: 0,
            partitions: 0,
            impatience: 0,
            ticks: 0,
            losses: 0,
            repeats: 0,
            reduced: true,
            flaw: None,
            limit: u64::MAX,
        }
    }

    /// Sees every behaviour within the bounds, and judges every state of each:
    ///
    /// - *Agreement*: what two servers apply at one position is the same transaction, and one that was proposed;
    /// - *CommittedIsDurable*: what was ever applied anywhere is for ever on the disks of a quorum;
    /// - *LogsAgree*: disks that hold one position hold the same up to it;
    /// - *OneLeaderPerEpoch*: no two servers are ever established in one epoch;
    /// - *LeadersAreComplete*: when a leader is established it has applied all that was ever applied of earlier epochs;
    /// - *EpochsFollowHistory*: a disk that says it is complete for an epoch holds what that epoch began with;
    /// - *AcknowledgedIsDurable*: what a server says of its disk is on its disk when it says so;
    /// - *AppliedIsDurable*: what a server applies is on its own disk;
    /// - *VotesAreHonest*: what a server may say of itself in an election is what it would say after a restart;
    /// - *StepsFit*: nothing is asked of a disk that does not fit what is on it;
    /// - *NobodyIsAccused*: no server, all being correct, finds that another misbehaves;
    /// - *RolesEnd*, *DeadlinesLieAhead*: who hears nothing gives up, and a deadline that came does not stay;
    /// - *RecoveryEnds*: from every state, once all faults end and the best is elected, all servers come to one history.
    pub fn check(&self) -> ModelReport {
        let mut model = ZabModel::new(self);
        search(&mut model, self.limit)
    }
}
