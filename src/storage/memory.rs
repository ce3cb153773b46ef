use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::outline::Outline;
use super::{Storage, StorageError};
use crate::types::{LogEntry, LogOp, Recovered, SnapshotChunk, Standing, WriteBatch, Zxid};

/// A [`Storage`] that lives as long as the process, for tests and for ensembles that may forget.
///
/// A clone is the same store: a server that is started again with a clone finds what the first one wrote.
/// It never fails, and keeps exactly what it is told to, no entry or snapshot longer. One store serves one
/// server at a time.
#[derive(Clone, Debug)]
pub struct MemoryStorage {
    store: Arc<Mutex<Store>>,
}

#[derive(Debug)]
struct Store {
    outline: Outline,
    standing: Standing,
    log: VecDeque<LogEntry>,
    snapshots: BTreeMap<Zxid, Bytes>,
    unfinished: Option<(Zxid, BytesMut)>,
}

impl MemoryStorage {
    /// An empty store of a server that never was.
    #[must_use]
    pub fn new() -> Self {
        Self::with_standing(Standing::Whole)
    }

    /// An empty store of a server that lost what it had: it votes only after a leader has brought it level.
    #[must_use]
    pub fn lost() -> Self {
        Self::with_standing(Standing::Suspect("the store is empty and may have been lost".to_owned()))
    }

    fn with_standing(standing: Standing) -> Self {
        Self {
            store: Arc::new(Mutex::new(Store {
                outline: Outline::default(),
                standing,
                log: VecDeque::new(),
                snapshots: BTreeMap::new(),
                unfinished: None,
            })),
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // No code that holds the lock panics half way through a change.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn recover(&self) -> Result<Recovered, StorageError> {
        Ok(self.store().recover())
    }

    async fn write(&self, batch: WriteBatch) -> Result<(), StorageError> {
        self.store().write(batch)
    }

    async fn read_log(&self, after: Zxid, limit: usize) -> Result<Vec<LogEntry>, StorageError> {
        self.store().read_log(after, limit)
    }

    async fn save_snapshot(&self, chunk: SnapshotChunk) -> Result<(), StorageError> {
        self.store().save_snapshot(&chunk)
    }

    async fn read_snapshot(
        &self,
        at: Zxid,
        offset: u64,
        limit: usize,
    ) -> Result<SnapshotChunk, StorageError> {
        self.store().read_snapshot(at, offset, limit)
    }
}

impl Store {
    fn recover(&mut self) -> Recovered {
        self.unfinished = None;
        let strays: Vec<Zxid> = self.outline.snapshots().filter(|at| !self.outline.holds(*at)).collect();
        for stray in strays {
            self.outline.drop_snapshot(stray);
        }
        self.drop_what_the_outline_lacks();
        let snapshot = self.outline.newest_snapshot();
        let after = snapshot.unwrap_or(Zxid::ZERO);
        Recovered {
            accepted_epoch: self.outline.accepted,
            current_epoch: self.outline.current,
            snapshot,
            log_start: self.outline.start(),
            log: self.log.iter().filter(|entry| entry.zxid > after).cloned().collect(),
            standing: self.standing.clone(),
        }
    }

    fn write(&mut self, batch: WriteBatch) -> Result<(), StorageError> {
        let mut judged = self.outline.clone();
        for op in &batch.ops {
            judged.admit(op).map_err(StorageError::Refused)?;
        }
        for op in batch.ops {
            self.outline.admit(&op).map_err(StorageError::Refused)?;
            match op {
                LogOp::Append(entries) => self.log.extend(entries),
                LogOp::CurrentEpoch(_) => self.standing = Standing::Whole,
                LogOp::AcceptedEpoch(_) => {}
                LogOp::TruncateAfter(at) => {
                    self.unfinished.take_if(|(zxid, _)| *zxid > at);
                    self.drop_what_the_outline_lacks();
                }
                LogOp::ResetTo(_) => {
                    self.unfinished = None;
                    self.drop_what_the_outline_lacks();
                }
                LogOp::PurgeUpTo(_) => self.drop_what_the_outline_lacks(),
            }
        }
        Ok(())
    }

    fn drop_what_the_outline_lacks(&mut self) {
        let (start, tip) = (self.outline.start(), self.outline.tip());
        while self.log.back().is_some_and(|entry| entry.zxid > tip) {
            self.log.pop_back();
        }
        while self.log.front().is_some_and(|entry| entry.zxid <= start) {
            self.log.pop_front();
        }
        self.snapshots.retain(|at, _| self.outline.has_snapshot(*at));
    }

    fn read_log(&self, after: Zxid, limit: usize) -> Result<Vec<LogEntry>, StorageError> {
        if !self.outline.holds(after) {
            return Err(StorageError::Absent(format!("the log behind {after}")));
        }
        let first = self.log.partition_point(|entry| entry.zxid <= after);
        let mut room = limit;
        let mut entries = Vec::new();
        for entry in self.log.range(first..) {
            if !entries.is_empty() && entry.payload.len() > room {
                break;
            }
            room = room.saturating_sub(entry.payload.len());
            entries.push(entry.clone());
        }
        Ok(entries)
    }

    fn save_snapshot(&mut self, chunk: &SnapshotChunk) -> Result<(), StorageError> {
        if chunk.offset == 0 {
            self.unfinished = Some((chunk.zxid, BytesMut::new()));
        }
        let bytes = match &mut self.unfinished {
            Some((zxid, bytes)) if *zxid == chunk.zxid && bytes.len() as u64 == chunk.offset => bytes,
            _ => return Err(out_of_place(chunk)),
        };
        bytes.extend_from_slice(&chunk.bytes);
        if chunk.last {
            let bytes = std::mem::take(bytes).freeze();
            self.unfinished = None;
            self.snapshots.insert(chunk.zxid, bytes);
            self.outline.add_snapshot(chunk.zxid);
        }
        Ok(())
    }

    fn read_snapshot(&self, at: Zxid, offset: u64, limit: usize) -> Result<SnapshotChunk, StorageError> {
        let absent = || StorageError::Absent(format!("byte {offset} of the snapshot of {at}"));
        let bytes = self.snapshots.get(&at).ok_or_else(absent)?;
        let begin = usize::try_from(offset).map_err(|_| absent())?;
        if begin > bytes.len() {
            return Err(absent());
        }
        let end = bytes.len().min(begin.saturating_add(limit));
        Ok(SnapshotChunk { zxid: at, offset, bytes: bytes.slice(begin..end), last: end == bytes.len() })
    }
}

/// The refusal of a chunk that does not continue the unfinished snapshot.
pub(super) fn out_of_place(chunk: &SnapshotChunk) -> StorageError {
    StorageError::Refused(format!(
        "the chunk at byte {} of the snapshot of {} continues none; begin again at byte 0",
        chunk.offset, chunk.zxid
    ))
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[test]
    fn memory_keeps_every_promise_of_a_storage() {
        conformance::check(&|| {
            let storage = MemoryStorage::new();
            Box::new(move || Box::new(storage.clone()) as Box<dyn Storage>)
        });
    }
}
