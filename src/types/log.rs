//! What the durable state is made of. ZAB asks for it to be written, a storage writes it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Epoch, Zxid};

/// One entry of the history as the log holds it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its position.
    pub zxid: Zxid,
    /// The encoded transaction; opaque below the peer.
    #[serde(deserialize_with = "super::shared::bytes")]
    pub payload: Bytes,
}

/// One durable step.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum LogOp {
    /// Promise to follow no leader of an older epoch.
    AcceptedEpoch(Epoch),
    /// The history of this epoch's leader is complete in the log; follows the entries it speaks of.
    CurrentEpoch(Epoch),
    /// Append entries. The first [`follows`](Zxid::follows) the last entry of the log, each its predecessor.
    Append(Vec<LogEntry>),
    /// Remove every entry after this one. It is in the log, or the position of the newest snapshot.
    TruncateAfter(Zxid),
    /// Make the completely saved snapshot at this position the start of the history: all entries and all
    /// other snapshots go.
    ResetTo(Zxid),
    /// Entries up to this one, and snapshots older than the newest one at or before it, are not needed any more.
    PurgeUpTo(Zxid),
}

/// Durable steps in order. A storage applies all of them or, when it fails or the power goes, the steps
/// up to some point of the order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WriteBatch {
    /// The steps.
    pub ops: Vec<LogOp>,
}

/// Names one [`WriteBatch`] between a peer and its host; later batches have larger numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PersistId(u64);

impl PersistId {
    /// The number of the first batch.
    pub const FIRST: Self = Self(1);

    /// The number of the batch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The number itself.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// A piece of a snapshot.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SnapshotChunk {
    /// The position whose state the snapshot is.
    pub zxid: Zxid,
    /// Where in the snapshot this piece begins, in bytes.
    pub offset: u64,
    /// The piece.
    #[serde(deserialize_with = "super::shared::bytes")]
    pub bytes: Bytes,
    /// Whether the snapshot ends with it.
    pub last: bool,
}

/// What a storage found when it was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// The largest epoch that was promised.
    pub accepted_epoch: Epoch,
    /// The epoch whose history the log is complete for.
    pub current_epoch: Epoch,
    /// The position of the newest snapshot that was verified; `None` when the history starts at the beginning.
    pub snapshot: Option<Zxid>,
    /// The position before the first entry that [`read_log`](crate::storage::Storage::read_log) can give; at
    /// most the position of `snapshot`.
    pub log_start: Zxid,
    /// The entries after the snapshot, without a gap.
    pub log: Vec<LogEntry>,
    /// What a server with this history may do.
    pub standing: Standing,
}

impl Recovered {
    /// The position of the last entry.
    #[must_use]
    pub fn tip(&self) -> Zxid {
        self.log.last().map_or(self.snapshot.unwrap_or(Zxid::ZERO), |entry| entry.zxid)
    }
}

/// Whether what a storage holds is all that its server ever acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is: the server votes.
    Whole,
    /// It may not be, for this reason: the server neither votes nor leads until a leader has brought it level.
    Suspect(String),
}

/// How urgent a message is. A transport keeps the order within a lane as well as it can and never lets
/// the urgent one wait for the bulk one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Lane {
    /// Votes and heartbeats.
    Urgent,
    /// Proposals, snapshots and all else.
    Bulk,
}
