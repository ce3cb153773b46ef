//! Layer 5: where the durable state lives.
//!
//! [`FileStorage`] keeps it in files, [`MemoryStorage`] as long as the process lives. Whoever writes another one
//! implements [`Storage`] and runs [`conformance::check`]; whoever has only another kind of disk implements
//! [`fs::FileSystem`] under a [`FileStorage`].

pub mod conformance;
mod file;
#[cfg(test)]
pub(crate) mod fragile;
pub mod fs;
mod memory;
mod outline;

use async_trait::async_trait;
use thiserror::Error;

pub use file::{FileStorage, FileStorageOptions, IfEmpty, RecoveryPolicy};
pub use memory::MemoryStorage;

use crate::types::{LogEntry, Recovered, SnapshotChunk, WriteBatch, Zxid};

/// Durable state, as a [`Node`](crate::node) uses it.
///
/// MUST, for every implementation (the conformance suite checks each line):
///
/// 1. `recover` is called once and first. It reports exactly what was durable, validated.
/// 2. `write` applies the steps of a batch in order. `Ok` means that all are durable: they survive a
///    power cut. `Err` means that some prefix of the steps may be; the storage is poisoned, and every later
///    call fails. It is never called while another `write` is in flight. The one exception is
///    [`Refused`](StorageError::Refused): a batch with a step that the state does not admit is refused whole,
///    nothing of it was done, and the storage goes on.
/// 3. `read_log` and the snapshot calls may run while a `write` does, and see the log either before or
///    after it.
/// 4. `save_snapshot` gets the chunks of one snapshot in order, from offset 0. `Ok` on the last chunk means
///    that the snapshot is durable; until then `recover` finds no trace of it. A chunk at offset 0 drops an
///    unfinished one.
/// 5. A snapshot is only found by `recover` if it is whole and of the history: its position is an entry of the
///    log, or the log's start. One at another position is a foreign history's (or the log has yet to reach
///    it): it can be read, and [`LogOp::ResetTo`](crate::types::LogOp::ResetTo) can make it the history, but after a
///    restart it is gone. [`LogOp::TruncateAfter`](crate::types::LogOp::TruncateAfter) removes every snapshot beyond its
///    position, [`LogOp::ResetTo`](crate::types::LogOp::ResetTo) every other one; an unfinished one too: its next chunk is
///    refused.
/// 6. A [`Suspect`](crate::types::Standing::Suspect) storage stays so across restarts, until a
///    [`LogOp::CurrentEpoch`](crate::types::LogOp::CurrentEpoch) is durable: a leader has brought it level then.
///
/// Steps are admitted as ZAB's histories need it: an entry follows its predecessor, epochs never go back, the current
/// epoch is at most the accepted one, a truncation is to a position that the log holds and leaves something to
/// rebuild the state from, a reset is to a saved snapshot. A purge without a snapshot to purge up to does nothing.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Opens the state and reports it.
    async fn recover(&self) -> Result<Recovered, StorageError>;

    /// Makes a batch durable.
    async fn write(&self, batch: WriteBatch) -> Result<(), StorageError>;

    /// Entries after `after`, in order and without a gap: at least one if there is one, and then as many
    /// as fit in `limit` bytes of payload. [`Absent`](StorageError::Absent) if `after` is no position of the
    /// history (any more).
    async fn read_log(&self, after: Zxid, limit: usize) -> Result<Vec<LogEntry>, StorageError>;

    /// Takes the next piece of a snapshot.
    async fn save_snapshot(&self, chunk: SnapshotChunk) -> Result<(), StorageError>;

    /// A piece of a saved snapshot of at most `limit` bytes.
    async fn read_snapshot(&self, at: Zxid, offset: u64, limit: usize)
    -> Result<SnapshotChunk, StorageError>;
}

/// Why a storage could not do what it was asked. Except where a variant says otherwise the storage is
/// poisoned and its node stops.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The operating system refused.
    #[error("{doing}: {cause}; repair the disk and start the server again")]
    Io {
        /// What was being done, with the file.
        doing: String,
        /// What the operating system said.
        cause: String,
    },
    /// The disk is full. If it was a snapshot that did not fit, only that is given up, and the storage goes on.
    #[error("{doing}: the disk is full; make room and start the server again")]
    Full {
        /// What was being done, with the file.
        doing: String,
    },
    /// A record is damaged and sound ones follow it: it is no torn tail.
    #[error(
        "{file} is damaged at byte {offset}: {what}; restore it, or recover with resynchronisation allowed"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where the damage begins.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The directory belongs to another server or another ensemble.
    #[error("the data is of server {found}, not of {expected}; point the server at its own directory")]
    WrongOwner {
        /// Whom the directory names.
        found: String,
        /// Whom it was opened for.
        expected: String,
    },
    /// The directory is empty, and nobody has said what that means. Nothing was changed.
    #[error(
        "{0} holds no server's data; format it if the ensemble is new, and open it with `IfEmpty::AwaitSync` if the \
         data was lost or the server joins"
    )]
    Unformatted(String),
    /// The directory is to be made that of a new server, and holds a server's data. Nothing was changed.
    #[error("{0} holds a server's data; open it, or format an empty directory")]
    NotEmpty(String),
    /// Another process has the directory open.
    #[error("{0} is in use by another process")]
    Locked(String),
    /// An earlier write failed; nothing was done.
    #[error("the storage has failed before: {0}; start the server again")]
    Poisoned(String),
    /// A step that the current state does not admit; nothing was done and the storage goes on.
    #[error("refused: {0}")]
    Refused(String),
    /// What was asked for is not there (any more); nothing was done and the storage goes on.
    #[error("{0} is not in this storage")]
    Absent(String),
}
