//! What a durable append costs, and how long a million records take to read back.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run has nothing better to do than to stop")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::executor::block_on;
use quorate::storage::fs::OsFileSystem;
use quorate::storage::{FileStorage, FileStorageOptions, IfEmpty, Storage, StorageError};
use quorate::types::{LogEntry, LogOp, WriteBatch};
use quorate::{ClusterId, Epoch, ServerId, Zxid};

const PAYLOAD_LEN: usize = 128;
const RECORDS: u32 = 1_000_000;

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append_and_sync");
    for depth in [1u32, 64] {
        group.throughput(Throughput::Elements(u64::from(depth)));
        for threads in [true, false] {
            let dir = fresh(&format!("append-{depth}-{threads}"));
            let storage = open(&dir, threads);
            block_on(storage.recover()).expect("an empty directory");
            let mut next = 1;
            let name = format!("depth {depth}, {}", if threads { "threads" } else { "inline" });
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    block_on(storage.write(batch(next, depth))).expect("room on the disk");
                    next += depth;
                });
            });
            drop(storage);
            drop(std::fs::remove_dir_all(dir));
        }
    }
    group.finish();
}

fn recover(criterion: &mut Criterion) {
    let dir = fresh("recover");
    let storage = open(&dir, false);
    block_on(storage.recover()).expect("an empty directory");
    for first in (1..=RECORDS).step_by(10_000) {
        block_on(storage.write(batch(first, 10_000))).expect("room on the disk");
    }
    drop(storage);
    let mut group = criterion.benchmark_group("recovery");
    group.sample_size(10).throughput(Throughput::Elements(u64::from(RECORDS)));
    group.bench_function("a million records", |bencher| {
        bencher.iter(|| {
            let storage = open(&dir, false);
            let found = block_on(storage.recover()).expect("a sound log");
            assert_eq!(found.log.len(), RECORDS as usize);
        });
    });
    group.finish();
    drop(std::fs::remove_dir_all(dir));
}

fn batch(first: u32, count: u32) -> WriteBatch {
    let payload = Bytes::from_static(&[0x5A; PAYLOAD_LEN]);
    let entries = (first..first + count)
        .map(|counter| LogEntry { zxid: Zxid::new(Epoch::new(1), counter), payload: payload.clone() })
        .collect();
    WriteBatch { ops: vec![LogOp::Append(entries)] }
}

fn open(dir: &Path, threads: bool) -> FileStorage {
    let options = FileStorageOptions::new(ClusterId::new(1), ServerId::new(1), IfEmpty::Refuse);
    let fs = Arc::new(OsFileSystem::new(dir).expect("a directory under target"));
    match FileStorage::format_on(fs.clone(), &options) {
        Ok(()) | Err(StorageError::NotEmpty(_)) => {}
        Err(error) => panic!("{error}"),
    }
    let opened = if threads { FileStorage::open_on(fs, options) } else { FileStorage::inline(fs, options) };
    opened.expect("nobody else uses it")
}

fn fresh(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&dir));
    dir
}

criterion_group!(benches, append, recover);
criterion_main!(benches);
