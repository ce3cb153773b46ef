use bytes::Bytes;

use super::Harness;
use crate::storage::{Storage, StorageError};
use crate::types::{Epoch, LogEntry, LogOp, Recovered, SnapshotChunk, WriteBatch, Zxid};

pub(super) type Verdict = Result<(), String>;

/// What a store holds, for comparison after a restart.
#[derive(PartialEq, Debug)]
pub(super) struct Expected {
    pub(super) accepted: u32,
    pub(super) current: u32,
    pub(super) snapshot: Option<Zxid>,
    pub(super) log: Vec<LogEntry>,
}

pub(super) async fn opened(harness: &dyn Harness) -> Result<Box<dyn Storage>, String> {
    let storage = harness.open();
    recover(&*storage).await?;
    Ok(storage)
}

/// Ends the server, cuts the power, starts it again.
pub(super) fn restart(harness: &dyn Harness, storage: Box<dyn Storage>) -> Box<dyn Storage> {
    drop(storage);
    harness.power_cut();
    harness.open()
}

pub(super) async fn recover(storage: &dyn Storage) -> Result<Recovered, String> {
    storage.recover().await.map_err(said)
}

pub(super) async fn recover_tip(storage: &dyn Storage) -> Result<Zxid, String> {
    let log = read_all(storage, Zxid::ZERO).await?;
    Ok(log.last().map_or(Zxid::ZERO, |entry| entry.zxid))
}

pub(super) async fn write(storage: &dyn Storage, ops: Vec<LogOp>) -> Verdict {
    storage.write(WriteBatch { ops }).await.map_err(said)
}

pub(super) async fn refused(storage: &dyn Storage, ops: Vec<LogOp>) -> Verdict {
    let shown = format!("{ops:?}");
    match storage.write(WriteBatch { ops }).await {
        Err(StorageError::Refused(_)) => Ok(()),
        other => Err(format!("{shown} must be refused, but: {other:?}")),
    }
}

pub(super) fn absent<T: std::fmt::Debug>(answer: Result<T, StorageError>) -> Verdict {
    match answer {
        Err(StorageError::Absent(_)) => Ok(()),
        other => Err(format!("must be absent, but: {other:?}")),
    }
}

/// Demands the refusal of a chunk.
pub(super) fn out_of_place(answer: Result<(), StorageError>) -> Verdict {
    match answer {
        Err(StorageError::Refused(_)) => Ok(()),
        other => Err(format!("a chunk out of place must be refused, but: {other:?}")),
    }
}

pub(super) async fn save(storage: &dyn Storage, at: Zxid, bytes: &[u8], chunk_len: usize) -> Verdict {
    let mut offset = 0;
    loop {
        let end = bytes.len().min(offset + chunk_len);
        let part = bytes.get(offset..end).unwrap_or_default();
        let last = end == bytes.len();
        storage.save_snapshot(piece(at, offset as u64, part, last)).await.map_err(said)?;
        if last {
            return Ok(());
        }
        offset = end;
    }
}

pub(super) async fn read_snapshot(storage: &dyn Storage, at: Zxid, limit: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    loop {
        let chunk = storage.read_snapshot(at, bytes.len() as u64, limit).await.map_err(said)?;
        if chunk.zxid != at || chunk.offset != bytes.len() as u64 || chunk.bytes.len() > limit {
            return Err(format!("asked for {at} at byte {}, got {chunk:?}", bytes.len()));
        }
        if chunk.bytes.is_empty() && !chunk.last {
            return Err("an empty piece which is not the last".to_owned());
        }
        bytes.extend_from_slice(&chunk.bytes);
        if chunk.last {
            return Ok(bytes);
        }
    }
}

/// Reads in small steps, so that the joints are tested too.
pub(super) async fn read_all(storage: &dyn Storage, after: Zxid) -> Result<Vec<LogEntry>, String> {
    let mut log: Vec<LogEntry> = Vec::new();
    loop {
        let from = log.last().map_or(after, |entry| entry.zxid);
        let more = storage.read_log(from, 40).await.map_err(said)?;
        if more.is_empty() {
            return Ok(log);
        }
        log.extend(more);
    }
}

pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Verdict {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}"))
}

pub(super) fn digest(found: &Recovered) -> Expected {
    Expected {
        accepted: found.accepted_epoch.number(),
        current: found.current_epoch.number(),
        snapshot: found.snapshot,
        log: found.log.clone(),
    }
}

pub(super) fn said(error: StorageError) -> String {
    error.to_string()
}

pub(super) fn zxid(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch::new(epoch), counter)
}

pub(super) fn zxid_or_zero(epoch: u32, counter: u32) -> Zxid {
    if counter == 0 { Zxid::ZERO } else { zxid(epoch, counter) }
}

pub(super) fn entry(epoch: u32, counter: u32) -> LogEntry {
    sized(epoch, counter, counter as usize % 40, counter as u8)
}

pub(super) fn entries(epoch: u32, counters: std::ops::RangeInclusive<u32>) -> Vec<LogEntry> {
    counters.map(|counter| entry(epoch, counter)).collect()
}

pub(super) fn sized(epoch: u32, counter: u32, len: usize, fill: u8) -> LogEntry {
    LogEntry { zxid: zxid(epoch, counter), payload: Bytes::from(vec![fill; len]) }
}

pub(super) fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

pub(super) fn piece(at: Zxid, offset: u64, bytes: &[u8], last: bool) -> SnapshotChunk {
    SnapshotChunk { zxid: at, offset, bytes: Bytes::copy_from_slice(bytes), last }
}
