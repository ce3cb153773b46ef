use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::types::{Epoch, Lane, LogEntry, SnapshotChunk, Zxid};

/// The version of these messages. Servers of different ones refuse to link.
pub(super) const VERSION: u32 = 1;

/// One incarnation of the link between a learner and its leader. What belongs to another one is dropped.
///
/// The learner names it: a number that it draws at its start, and a count of the links it has opened since.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct LinkId {
    /// The life of the learner's process.
    pub life: u64,
    /// The number of the link in that life.
    pub number: u64,
}

/// A message between a leader and a learner.
///
/// The messages of a link that change anything are numbered from 1 in each direction: a repeated one is
/// dropped, and a missing one makes the receiver reset the link. So a transport may lose, double, delay
/// and reorder.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The link.
    pub link: LinkId,
    /// The number in its direction; 0 for those that are not numbered.
    pub sequence: u64,
    /// What is said.
    pub body: Body,
}

impl Message {
    /// How urgent it is: heartbeats, and the end of a link, do not wait behind entries.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        match self.body {
            Body::Ping { .. } | Body::Pong { .. } | Body::Reset => Lane::Urgent,
            _ => Lane::Bulk,
        }
    }
}

/// What is said on a link. The names in parentheses are ZooKeeper's packets.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Body {
    /// Learner: opens a link (FOLLOWERINFO, OBSERVERINFO; step CEPOCH of the ZAB paper).
    Join(Join),
    /// Leader: the epoch that is to begin or runs already (LEADERINFO; NEWEPOCH of the paper). The leader has promised it durably.
    LeaderInfo {
        /// The epoch.
        epoch: Epoch,
        /// A random number of this leader's bid for it: a learner that promised to the same bid before may say so again.
        bid: u64,
    },
    /// Learner: its promise, durable, and its history (ACKEPOCH; ACK-E of the paper).
    AckEpoch(AckEpoch),
    /// Leader: how the learner's history is brought to a prefix of the leader's (DIFF, TRUNC, SNAP).
    Sync(SyncMode),
    /// Leader: a piece of a snapshot.
    Chunk(SnapshotChunk),
    /// Learner: the snapshot is stored up to this byte, and durable and restored if that was its end.
    ChunkSaved {
        /// The snapshot.
        zxid: Zxid,
        /// The byte behind the last piece.
        through: u64,
    },
    /// Leader: the next entries of its history, each behind its predecessor, for a voter (PROPOSAL and COMMIT).
    Propose {
        /// The entries.
        entries: Vec<LogEntry>,
        /// All up to here is committed; it may lie before or behind the entries.
        committed: Zxid,
    },
    /// Leader: the next entries, all committed, for an observer (INFORM).
    Inform {
        /// The entries.
        entries: Vec<LogEntry>,
    },
    /// Learner: all up to here is durable in its log (ACK).
    Ack {
        /// The last durable entry.
        zxid: Zxid,
    },
    /// Leader: all up to here is committed (COMMIT).
    Commit {
        /// The last committed entry.
        zxid: Zxid,
    },
    /// Leader: the learner has the whole history that the epoch begins with (NEWLEADER).
    NewLeader {
        /// The epoch.
        epoch: Epoch,
        /// The last entry that was sent before this.
        tip: Zxid,
    },
    /// Learner: that history and then the epoch are durable (ACK of NEWLEADER; ACK-LD of the paper).
    AckNewLeader {
        /// The epoch.
        epoch: Epoch,
    },
    /// Leader: the epoch is established; the learner may serve when it has delivered all up to `committed` (UPTODATE).
    UpToDate {
        /// The leader's commit point.
        committed: Zxid,
    },
    /// Learner: requests for the leader, in order (REQUEST).
    Forward {
        /// The requests; opaque here.
        #[serde(deserialize_with = "crate::types::shared::list")]
        payloads: Vec<Bytes>,
    },
    /// Leader: answers to the learner, behind all commits that were sent before.
    Answer {
        /// The answers; opaque here.
        #[serde(deserialize_with = "crate::types::shared::list")]
        payloads: Vec<Bytes>,
    },
    /// Leader: a heartbeat (PING). Not numbered.
    Ping {
        /// Its round.
        round: u64,
        /// The number of the last numbered message that the leader sent on the link.
        sent: u64,
    },
    /// Learner: the answer to the heartbeat. Not numbered.
    Pong {
        /// The round that is answered.
        round: u64,
        /// The number of the last numbered message that the learner sent on the link.
        sent: u64,
    },
    /// Either: the link is no more. Not numbered.
    Reset,
    /// The receiver of a learner's message: it does not lead (yet, or any more). Not numbered.
    NotLeading,
    /// Leader: it will not link with this learner. Not numbered.
    Refused(Refused),
}

/// How a learner presents itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Join {
    /// The version of the messages it speaks.
    pub version: u32,
    /// Its [`ensemble`](super::ZabConfig::ensemble).
    pub ensemble: u64,
    /// Whether it means to observe only.
    pub observer: bool,
    /// Whether it may have lost what it acknowledged: its promise and its acknowledgements do not count until it is
    /// level with an established leader, which a quorum of others has followed since.
    pub suspect: bool,
    /// Whether it needs a whole snapshot, whatever its history.
    pub wants_snapshot: bool,
    /// The largest epoch that it promised.
    pub accepted: Epoch,
}

/// A learner's promise and its history, all durable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct AckEpoch {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// What it promised.
    pub promise: Promise,
    /// The epoch whose history its log is complete for.
    pub current: Epoch,
    /// The last entry of its log.
    pub tip: Zxid,
}

/// What a learner promised about the leader's epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Promise {
    /// This very bid has its promise.
    Given,
    /// It had promised the epoch before, perhaps to another bid: it follows, but this is no vote for the bid.
    Standing,
    /// It has promised a newer epoch: it receives and delivers, and nothing it says counts until there is a newer leader.
    Newer,
}

/// How a learner's history becomes a prefix of the leader's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum SyncMode {
    /// It is one already; entries after this position, its last, follow.
    Diff(Zxid),
    /// By removing all after this position; the entries after it follow.
    Truncate(Zxid),
    /// By the snapshot at this position; the entries after it follow.
    Snapshot(Zxid),
}

/// Why a leader will not link with a learner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refused {
    /// They speak different versions.
    Version,
    /// Their configurations name different ensembles.
    Ensemble,
    /// The learner is not a member, or not of the kind it says it is.
    NotAMember,
    /// The learner claims to have promised an epoch that is out of all reason.
    Epoch,
}
