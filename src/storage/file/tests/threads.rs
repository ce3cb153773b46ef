use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use futures::executor::block_on;

use super::support::*;
use crate::sim::disk::SimDisk;
use crate::storage::{FileStorage, Storage, StorageError};
use crate::types::{Epoch, LogOp, SnapshotChunk, WriteBatch, Zxid};

#[test]
fn reads_and_snapshots_beside_a_writer_that_truncates_see_whole_histories() {
    let disk = SimDisk::new();
    FileStorage::format_on(Arc::new(disk.clone()), &options()).unwrap();
    let storage = FileStorage::open_on(Arc::new(disk.clone()), options()).unwrap();
    block_on(storage.recover()).unwrap();
    let done = AtomicBool::new(false);
    let (storage_ref, done_ref) = (&storage, &done);
    let history = thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut reads = 0;
            while !done_ref.load(Ordering::Relaxed) || reads == 0 {
                let log = block_on(storage_ref.read_log(Zxid::ZERO, usize::MAX)).unwrap();
                let mut tip = Zxid::ZERO;
                for found in log {
                    assert!(found.zxid.follows(tip), "{} behind {tip}", found.zxid);
                    assert_eq!(found, entry(found.zxid.epoch().number(), found.zxid.counter(), 300));
                    tip = found.zxid;
                }
                reads += 1;
            }
        });
        let saver = scope.spawn(move || {
            let mut counter = 0;
            while !done_ref.load(Ordering::Relaxed) {
                counter += 1;
                for (offset, last) in [(0, false), (500, true)] {
                    let bytes = Bytes::from_static(&[6; 500]);
                    // Of a position that no truncation is below, so that none takes it away in the middle.
                    let chunk = SnapshotChunk { zxid: zxid(1, 1), offset, bytes, last };
                    block_on(storage_ref.save_snapshot(chunk)).unwrap();
                }
            }
            counter
        });
        let write = |op| block_on(storage_ref.write(WriteBatch { ops: vec![op] })).unwrap();
        write(LogOp::Append(entries(1, 1..=3, 300)));
        let mut history = entries(1, 1..=3, 300);
        for epoch in 2..=25 {
            write(LogOp::Append(entries(epoch, 1..=12, 300)));
            write(LogOp::TruncateAfter(zxid(epoch, 2)));
            write(LogOp::PurgeUpTo(Zxid::ZERO));
            history.extend(entries(epoch, 1..=2, 300));
        }
        done_ref.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        assert!(saver.join().unwrap() > 0);
        history
    });
    drop(storage);
    let (storage, found) = Driver::open(&disk);
    assert_eq!(found.snapshot, Some(zxid(1, 1)));
    assert_eq!(storage.read_log(Zxid::ZERO).unwrap(), history);
}

#[test]
fn a_write_whose_future_is_dropped_is_done_nevertheless() {
    let disk = SimDisk::new();
    FileStorage::format_on(Arc::new(disk.clone()), &options()).unwrap();
    let storage = FileStorage::open_on(Arc::new(disk.clone()), options()).unwrap();
    block_on(storage.recover()).unwrap();
    let batch = WriteBatch { ops: vec![LogOp::AcceptedEpoch(Epoch::new(3))] };
    {
        let mut write = storage.write(batch);
        let waker = futures::task::noop_waker();
        let _ = write.as_mut().poll(&mut std::task::Context::from_waker(&waker));
    }
    drop(storage);
    assert_eq!(Driver::open(&disk).1.accepted_epoch, Epoch::new(3));
}

#[test]
fn a_purge_in_the_background_that_fails_stops_the_storage() {
    let disk = SimDisk::new();
    FileStorage::format_on(Arc::new(disk.clone()), &options()).unwrap();
    let storage = FileStorage::open_on(Arc::new(disk.clone()), options()).unwrap();
    block_on(storage.recover()).unwrap();
    let write = |op| block_on(storage.write(WriteBatch { ops: vec![op] }));
    write(LogOp::Append(entries(1, 1..=30, 500))).unwrap();
    let bytes = Bytes::from_static(b"state");
    block_on(storage.save_snapshot(SnapshotChunk { zxid: zxid(1, 30), offset: 0, bytes, last: true }))
        .unwrap();
    disk.fail_at(disk.operations() + 1, crate::sim::disk::Fault::Error);
    write(LogOp::PurgeUpTo(zxid(1, 30))).unwrap();
    // The lane of the purge comes to this only after it.
    let bytes = Bytes::from_static(b"state");
    let chunk = SnapshotChunk { zxid: zxid(1, 30), offset: 0, bytes, last: true };
    assert!(matches!(block_on(storage.save_snapshot(chunk)), Err(StorageError::Poisoned(_))));
    assert!(matches!(write(LogOp::AcceptedEpoch(Epoch::new(9))), Err(StorageError::Poisoned(_))));
}
