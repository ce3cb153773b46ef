use crate::types::{ClusterId, ServerId};

/// What a [`FileStorage`](super::FileStorage) is opened for, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FileStorageOptions {
    /// The ensemble. A directory of another one is refused.
    pub cluster: ClusterId,
    /// The server. A directory of another one is refused.
    pub server: ServerId,
    /// What is to be done when the directory is empty.
    pub if_empty: IfEmpty,
    /// What to do about damage that is no torn tail.
    pub recovery: RecoveryPolicy,
    /// How long a segment of the log may become, in bytes, before the next one is begun; from 4 KiB to 1 GiB.
    pub segment_len: u64,
    /// How far ahead the log's file is filled with zeros, in bytes, so that most writes change no length.
    pub preallocate: u64,
    /// How many snapshots a purge leaves, at least 1. The log behind the oldest of them stays too.
    pub snapshots_kept: usize,
}

impl FileStorageOptions {
    /// For `server` of `cluster`: strict, with segments of 64 MiB, and two snapshots kept.
    #[must_use]
    pub const fn new(cluster: ClusterId, server: ServerId, if_empty: IfEmpty) -> Self {
        Self {
            cluster,
            server,
            if_empty,
            recovery: RecoveryPolicy::Strict,
            segment_len: 64 << 20,
            preallocate: 4 << 20,
            snapshots_kept: 2,
        }
    }

    /// The same with numbers that can work.
    pub(super) fn clamped(mut self) -> Self {
        self.segment_len = self.segment_len.clamp(4 << 10, 1 << 30);
        self.preallocate = self.preallocate.clamp(512, self.segment_len);
        self.snapshots_kept = self.snapshots_kept.max(1);
        self
    }
}

/// What is to be done when a server's directory turns out to be empty.
///
/// That a server is new, and may vote with nothing, is never concluded from an empty directory: it is said once, by
/// [`FileStorage::format`](super::FileStorage::format). A server that forgot what it acknowledged and voted
/// nevertheless could make the ensemble forget it too.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum IfEmpty {
    /// Refuse with [`Unformatted`](crate::storage::StorageError::Unformatted), so that an operator sees it.
    #[default]
    Refuse,
    /// The server's data was lost, or it joins an ensemble that is there: it is
    /// [`Suspect`](crate::types::Standing::Suspect), and does not vote, until a leader has brought it level. Safe in code that is
    /// the same at every start, while no more servers lose their data at once than may fail.
    AwaitSync,
}

/// What to do about damage that no power cut explains.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum RecoveryPolicy {
    /// Refuse with [`Damaged`](crate::storage::StorageError::Damaged) and change nothing, so that an operator decides.
    #[default]
    Strict,
    /// Keep what is sound before the damage, and be [`Suspect`](crate::types::Standing::Suspect) until a leader has supplied
    /// the rest. Safe while no more servers do so at once than may fail.
    Resynchronise,
}
