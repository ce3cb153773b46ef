//! A storage whose writes can be made to fail, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::{MemoryStorage, Storage, StorageError};
use crate::types::{LogEntry, Recovered, SnapshotChunk, WriteBatch, Zxid};

/// A store in memory; clones are the same store.
#[derive(Clone, Default)]
pub(crate) struct Fragile {
    pub(crate) store: MemoryStorage,
    /// Whether every write fails.
    pub(crate) broken: Arc<AtomicBool>,
}

/// How they fail.
pub(crate) fn disk_full() -> StorageError {
    StorageError::Full { doing: "appending to the log".to_owned() }
}

#[async_trait]
impl Storage for Fragile {
    async fn recover(&self) -> Result<Recovered, StorageError> {
        self.store.recover().await
    }

    async fn write(&self, batch: WriteBatch) -> Result<(), StorageError> {
        if self.broken.load(Ordering::Relaxed) { Err(disk_full()) } else { self.store.write(batch).await }
    }

    async fn read_log(&self, after: Zxid, limit: usize) -> Result<Vec<LogEntry>, StorageError> {
        self.store.read_log(after, limit).await
    }

    async fn save_snapshot(&self, chunk: SnapshotChunk) -> Result<(), StorageError> {
        self.store.save_snapshot(chunk).await
    }

    async fn read_snapshot(
        &self,
        at: Zxid,
        offset: u64,
        limit: usize,
    ) -> Result<SnapshotChunk, StorageError> {
        self.store.read_snapshot(at, offset, limit).await
    }
}
