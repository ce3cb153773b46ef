use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::index::{Index, read_route};
use super::log::Log;
use super::record::MAX_PAYLOAD;
use super::snapshot::{
    SnapshotIdentity, SnapshotReader, SnapshotWriter, UNFINISHED, snapshot_name, snapshot_zxid,
};
use super::{FileStorageOptions, io_error, locked, recovery};
use crate::storage::fs::{DirLock, FileSystem};
use crate::storage::memory::out_of_place;
use crate::storage::{StorageError, outline::Outline};
use crate::types::{LogEntry, LogOp, Recovered, SnapshotChunk, WriteBatch, Zxid};

const LOCK: &str = "lock";

/// The storage without its threads. Each call does its work before it returns.
///
/// Locks are taken in the order of the fields.
pub(super) struct Core {
    options: FileStorageOptions,
    fs: Arc<dyn FileSystem>,
    saving: Mutex<Option<SnapshotWriter>>,
    log: Mutex<Option<Log>>,
    /// Held shared while the log's files are read, alone while some of it is cut off.
    cut: RwLock<()>,
    index: Mutex<Option<Arc<Mutex<Index>>>>,
    failed: Mutex<Option<String>>,
    _lock: Box<dyn DirLock>,
}

impl Core {
    pub(super) fn open(fs: Arc<dyn FileSystem>, options: FileStorageOptions) -> Result<Self, StorageError> {
        let lock = fs.lock(LOCK).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => StorageError::Locked(fs.display(LOCK)),
            _ => io_error(|| format!("locking {}", fs.display(LOCK)))(error),
        })?;
        Ok(Self {
            options: options.clamped(),
            fs,
            saving: Mutex::new(None),
            log: Mutex::new(None),
            cut: RwLock::new(()),
            index: Mutex::new(None),
            failed: Mutex::new(None),
            _lock: lock,
        })
    }

    pub(super) fn format(&self) -> Result<(), StorageError> {
        recovery::format(self.fs.clone(), &self.options)
    }

    pub(super) fn recover(&self) -> Result<Recovered, StorageError> {
        let mut log = locked(&self.log);
        self.check()?;
        if log.is_some() {
            return Err(StorageError::Refused("the storage was recovered before".to_owned()));
        }
        let (opened, recovered) = self.poisoning(recovery::recover(self.fs.clone(), &self.options))?;
        *locked(&self.index) = Some(opened.index.clone());
        *log = Some(opened);
        Ok(recovered)
    }

    /// Applies a batch, and says up to where the log may be purged.
    pub(super) fn write(&self, batch: WriteBatch) -> Result<Option<Zxid>, StorageError> {
        let cuts = batch.ops.iter().any(|op| matches!(op, LogOp::TruncateAfter(_) | LogOp::ResetTo(_)));
        // What is cut off must not be finished meanwhile by a snapshot of it.
        let mut saving = cuts.then(|| locked(&self.saving));
        let mut log = locked(&self.log);
        let log = log.as_mut().ok_or_else(not_recovered)?;
        self.check()?;
        judge(&locked(&log.index).outline, &batch)?;
        let _alone = cuts.then(|| self.cut.write().unwrap_or_else(PoisonError::into_inner));
        if let Some(saving) = &mut saving
            && batch.ops.iter().any(|op| match op {
                LogOp::ResetTo(_) => true,
                LogOp::TruncateAfter(zxid) => saving.as_ref().is_some_and(|saved| saved.zxid() > *zxid),
                _ => false,
            })
            && saving.take().is_some()
        {
            self.poisoning(self.remove_unfinished())?;
        }
        self.poisoning(log.apply(batch.ops))
    }

    /// Removes what is older than the snapshots that are kept, of those at or before `zxid`. Only one that is
    /// still whole, to the last byte, counts as kept.
    pub(super) fn purge(&self, zxid: Zxid) -> Result<(), StorageError> {
        let index = self.index()?;
        let candidates: Vec<Zxid> =
            locked(&index).outline.anchored().rev().filter(|at| *at <= zxid).collect();
        let mut kept = Vec::new();
        for candidate in candidates {
            if kept.len() < self.options.snapshots_kept && self.is_whole(candidate) {
                kept.push(candidate);
            }
        }
        let mut log = locked(&self.log);
        let log = log.as_mut().ok_or_else(not_recovered)?;
        self.check()?;
        // A truncation or a reset may have come first.
        let oldest = {
            let outline = &locked(&index).outline;
            kept.retain(|at| outline.has_snapshot(*at) && outline.holds(*at));
            kept.last().copied()
        };
        let Some(oldest) = oldest else { return Ok(()) };
        self.poisoning(log.purge(oldest))?;
        self.poisoning(self.remove_snapshots_before(oldest, &index))
    }

    pub(super) fn read_log(&self, after: Zxid, limit: usize) -> Result<Vec<LogEntry>, StorageError> {
        self.check()?;
        let index = self.index()?;
        let _uncut = self.cut.read().unwrap_or_else(PoisonError::into_inner);
        let route = {
            let index = locked(&index);
            if !index.outline.holds(after) {
                return Err(StorageError::Absent(format!("the log behind {after}")));
            }
            index.route(after)
        };
        self.poisoning(read_route(&route, after, limit, &self.options))
    }

    pub(super) fn save_snapshot(&self, chunk: &SnapshotChunk) -> Result<(), StorageError> {
        let mut saving = locked(&self.saving);
        self.check()?;
        let index = self.index()?;
        let outcome = self.take_chunk(&mut saving, chunk, &index);
        if let Err(StorageError::Full { doing }) = outcome {
            // The log may still have room: only the snapshot is given up.
            *saving = None;
            self.poisoning(self.remove_unfinished())?;
            return Err(StorageError::Full { doing });
        }
        self.poisoning(outcome)
    }

    pub(super) fn read_snapshot(
        &self,
        at: Zxid,
        offset: u64,
        limit: usize,
    ) -> Result<SnapshotChunk, StorageError> {
        self.check()?;
        let absent = || StorageError::Absent(format!("byte {offset} of the snapshot of {at}"));
        let index = self.index()?;
        if !locked(&index).outline.has_snapshot(at) {
            return Err(absent());
        }
        let chunk = match self.open_snapshot(at) {
            Ok(Some(reader)) if offset <= reader.len() => {
                reader.read(offset, limit).map_err(io_error(|| format!("reading {}", self.shown(at))))
            }
            Ok(Some(_)) => return Err(absent()),
            // A purge or a truncation came first.
            Ok(None) if !locked(&index).outline.has_snapshot(at) => return Err(absent()),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        self.poisoning(chunk.and_then(|chunk| {
            chunk.ok_or_else(|| StorageError::Damaged {
                file: self.shown(at),
                offset,
                what: "a snapshot that was sound before is damaged".to_owned(),
            })
        }))
    }

    fn take_chunk(
        &self,
        saving: &mut Option<SnapshotWriter>,
        chunk: &SnapshotChunk,
        index: &Mutex<Index>,
    ) -> Result<(), StorageError> {
        let doing = io_error(|| format!("saving {}", self.shown(chunk.zxid)));
        if chunk.offset == 0 {
            if saving.take().is_some() {
                self.remove_unfinished()?;
            }
            let file = self.fs.create_new(UNFINISHED).map_err(&doing)?;
            *saving = Some(SnapshotWriter::begin(file.into(), self.identity(chunk.zxid)).map_err(&doing)?);
        }
        let writer = match saving {
            Some(writer) if writer.zxid() == chunk.zxid && writer.received() == chunk.offset => writer,
            _ => return Err(out_of_place(chunk)),
        };
        writer.push(&chunk.bytes).map_err(&doing)?;
        if !chunk.last {
            return Ok(());
        }
        if let Some(writer) = saving.take() {
            writer.finish().map_err(&doing)?;
        }
        self.fs.rename(UNFINISHED, &snapshot_name(chunk.zxid)).map_err(&doing)?;
        self.fs.sync_dir().map_err(&doing)?;
        locked(index).outline.add_snapshot(chunk.zxid);
        Ok(())
    }

    /// Removes the snapshots older than `oldest`, sound or not.
    fn remove_snapshots_before(&self, oldest: Zxid, index: &Mutex<Index>) -> Result<(), StorageError> {
        let doing = io_error(|| "removing old snapshots".to_owned());
        for name in self.fs.list().map_err(&doing)? {
            if let Some(zxid) = snapshot_zxid(&name).filter(|zxid| *zxid < oldest) {
                locked(index).outline.drop_snapshot(zxid);
                self.fs.remove(&name).map_err(&doing)?;
            }
        }
        Ok(())
    }

    fn remove_unfinished(&self) -> Result<(), StorageError> {
        match self.fs.remove(UNFINISHED) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io_error(|| format!("removing {}", self.fs.display(UNFINISHED)))(error))
            }
            _ => Ok(()),
        }
    }

    /// Whether every byte is as it was written. What cannot be read is not.
    fn is_whole(&self, zxid: Zxid) -> bool {
        matches!(self.open_snapshot(zxid), Ok(Some(reader)) if reader.verify().unwrap_or(false))
    }

    fn open_snapshot(&self, zxid: Zxid) -> Result<Option<SnapshotReader>, StorageError> {
        let doing = io_error(|| format!("opening {}", self.shown(zxid)));
        match self.fs.open(&snapshot_name(zxid)) {
            Ok(file) => SnapshotReader::open(file.into(), self.identity(zxid)).map_err(doing),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(doing(error)),
        }
    }

    fn identity(&self, zxid: Zxid) -> SnapshotIdentity {
        SnapshotIdentity { cluster: self.options.cluster, server: self.options.server, zxid }
    }

    fn shown(&self, snapshot: Zxid) -> String {
        self.fs.display(&snapshot_name(snapshot))
    }

    fn index(&self) -> Result<Arc<Mutex<Index>>, StorageError> {
        locked(&self.index).clone().ok_or_else(not_recovered)
    }

    fn check(&self) -> Result<(), StorageError> {
        match &*locked(&self.failed) {
            Some(error) => Err(StorageError::Poisoned(error.clone())),
            None => Ok(()),
        }
    }

    /// Notes a failure that leaves it unknown what is on the disk.
    fn poisoning<T>(&self, outcome: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &outcome
            && !matches!(error, StorageError::Refused(_) | StorageError::Absent(_))
        {
            locked(&self.failed).get_or_insert_with(|| error.to_string());
        }
        outcome
    }
}

/// Whether the state admits every step of the batch.
fn judge(outline: &Outline, batch: &WriteBatch) -> Result<(), StorageError> {
    let mut outline = outline.clone();
    for op in &batch.ops {
        if let LogOp::Append(entries) = op
            && let Some(entry) = entries.iter().find(|entry| entry.payload.len() > MAX_PAYLOAD)
        {
            return Err(StorageError::Refused(format!("the entry at {} is too long", entry.zxid)));
        }
        outline.admit(op).map_err(StorageError::Refused)?;
    }
    Ok(())
}

fn not_recovered() -> StorageError {
    StorageError::Refused("the storage was not recovered yet".to_owned())
}
