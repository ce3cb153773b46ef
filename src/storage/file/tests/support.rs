use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::executor::block_on;

use crate::sim::disk::SimDisk;
use crate::storage::fs::FileSystem;
use crate::storage::{FileStorage, FileStorageOptions, IfEmpty, Storage, StorageError};
use crate::types::{ClusterId, Epoch, LogEntry, LogOp, Recovered, ServerId, SnapshotChunk, WriteBatch, Zxid};

/// Small segments and little ahead, so that every corner is near.
pub(super) fn options() -> FileStorageOptions {
    FileStorageOptions {
        segment_len: 4096,
        preallocate: 2048,
        ..FileStorageOptions::new(ClusterId::new(77), ServerId::new(1), IfEmpty::Refuse)
    }
}

pub(super) fn zxid(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch::new(epoch), counter)
}

pub(super) fn entry(epoch: u32, counter: u32, len: usize) -> LogEntry {
    let seed = epoch.wrapping_mul(31).wrapping_add(counter);
    let payload =
        (0..len).map(|at| (at as u32).wrapping_mul(7).wrapping_add(seed) as u8 | 1).collect::<Vec<_>>();
    LogEntry { zxid: zxid(epoch, counter), payload: Bytes::from(payload) }
}

pub(super) fn entries(epoch: u32, counters: std::ops::RangeInclusive<u32>, len: usize) -> Vec<LogEntry> {
    counters.map(|counter| entry(epoch, counter, len)).collect()
}

/// What is done once before a server's first start, for a test that may be the first to come.
pub(super) fn format_if_empty(
    fs: Arc<dyn FileSystem>,
    options: &FileStorageOptions,
) -> Result<(), StorageError> {
    match FileStorage::format_on(fs, options) {
        Err(StorageError::NotEmpty(_)) => Ok(()),
        other => other,
    }
}

/// A storage on a simulated disk, driven without a runtime.
pub(super) struct Driver(pub(super) FileStorage);

impl Driver {
    /// Opens the storage, and formats the disk first if that has not been done.
    pub(super) fn open_with(
        disk: &SimDisk,
        options: FileStorageOptions,
    ) -> Result<(Self, Recovered), StorageError> {
        if options.if_empty == IfEmpty::Refuse {
            format_if_empty(Arc::new(disk.clone()), &options)?;
        }
        let storage = FileStorage::inline(Arc::new(disk.clone()), options)?;
        let recovered = block_on(storage.recover())?;
        Ok((Self(storage), recovered))
    }

    pub(super) fn open(disk: &SimDisk) -> (Self, Recovered) {
        Self::open_with(disk, options()).unwrap()
    }

    pub(super) fn write(&self, ops: Vec<LogOp>) -> Result<(), StorageError> {
        block_on(self.0.write(WriteBatch { ops }))
    }

    pub(super) fn append(&self, entries: Vec<LogEntry>) -> Result<(), StorageError> {
        self.write(vec![LogOp::Append(entries)])
    }

    pub(super) fn save(&self, at: Zxid, bytes: &[u8]) -> Result<(), StorageError> {
        let half = bytes.len() / 2;
        self.chunk(at, 0, bytes.get(..half).unwrap(), false)?;
        self.chunk(at, half as u64, bytes.get(half..).unwrap(), true)
    }

    pub(super) fn chunk(
        &self,
        zxid: Zxid,
        offset: u64,
        bytes: &[u8],
        last: bool,
    ) -> Result<(), StorageError> {
        let bytes = Bytes::copy_from_slice(bytes);
        block_on(self.0.save_snapshot(SnapshotChunk { zxid, offset, bytes, last }))
    }

    pub(super) fn read_snapshot(&self, at: Zxid) -> Result<Vec<u8>, StorageError> {
        block_on(self.0.read_snapshot(at, 0, usize::MAX)).map(|chunk| chunk.bytes.to_vec())
    }

    pub(super) fn read_log(&self, after: Zxid) -> Result<Vec<LogEntry>, StorageError> {
        block_on(self.0.read_log(after, usize::MAX))
    }
}

/// A directory of its own, removed at the end.
pub(super) struct TempDir(pub(super) PathBuf);

impl TempDir {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("quorate-storage-{}-{number}", std::process::id()));
        // Left over from a run that was killed.
        drop(std::fs::remove_dir_all(&dir));
        Self(dir)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
