//! How fast the tree is: `cargo bench --bench tree`.

#![expect(clippy::expect_used, reason = "a measurement that fails may stop")]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use quorate::tree::{Outstanding, Tree, TreeLimits, TreeRestore};
use quorate::types::{
    Acl, Caller, CreateMode, Expected, Lifetime, Read, RequestPath, SessionId, Txn, WallTime, Write,
    ZnodePath, Zxid,
};

const DATA: [u8; 100] = [7; 100];
const DIRECTORIES: u64 = 1_000;

/// A leader and its own only replica.
struct Lone {
    tree: Tree,
    outstanding: Outstanding,
    caller: Caller,
    zxid: u64,
}

impl Lone {
    /// `nodes` nodes of 100 bytes in a thousand directories.
    fn new(nodes: u64) -> Self {
        let mut lone = Self {
            tree: Tree::new(TreeLimits::default()),
            outstanding: Outstanding::new(),
            caller: Caller { session: SessionId::from_u64(1), identities: Vec::new() },
            zxid: 1 << 32,
        };
        for directory in 0..DIRECTORIES.min(nodes) {
            lone.apply(&created(&format!("/d{directory}")));
        }
        for node in 0..nodes {
            lone.apply(&created(&path_of(node)));
        }
        lone
    }

    fn write(&mut self, write: &Write) {
        self.zxid += 1;
        let (zxid, time) = (Zxid::from_u64(self.zxid), WallTime::from_millis(1));
        let txn = self
            .tree
            .prepare(&mut self.outstanding, &self.caller, zxid, time, write)
            .expect("it is admitted");
        self.tree.apply(zxid, self.caller.session, time, &txn, &mut Vec::new()).expect("it fits");
        self.outstanding.retire(zxid);
    }

    fn apply(&mut self, txn: &Txn) {
        self.zxid += 1;
        let (zxid, time) = (Zxid::from_u64(self.zxid), WallTime::from_millis(1));
        self.tree.apply(zxid, self.caller.session, time, txn, &mut Vec::new()).expect("it fits");
    }

    fn snapshot(&mut self) -> Vec<Bytes> {
        self.tree.begin_snapshot();
        std::iter::from_fn(|| self.tree.next_snapshot_chunk(1 << 18)).collect()
    }
}

fn path_of(node: u64) -> String {
    format!("/d{}/node-{node}", node % DIRECTORIES)
}

fn created(path: &str) -> Txn {
    let path = ZnodePath::parse(path).expect("a path");
    Txn::Create {
        path,
        data: Some(Bytes::from_static(&DATA)),
        acl: Acl::open(),
        lifetime: Lifetime::Persistent,
    }
}

fn operations(c: &mut Criterion) {
    for nodes in [1_000, 1_000_000] {
        let mut lone = Lone::new(nodes);
        let mut group = c.benchmark_group(format!("{nodes} nodes"));
        group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(3)).sample_size(20);
        // Far apart, so that the cache does not help.
        let paths: Vec<RequestPath> =
            (0..100_000).map(|at| RequestPath::from(path_of((at * 7_919) % nodes))).collect();
        let mut next = paths.iter().cycle();
        group.bench_function("get", |b| {
            b.iter(|| {
                let path = next.next().expect("it cycles").clone();
                black_box(lone.tree.read(&lone.caller, &Read::Get { path })).expect("it is there");
            });
        });
        group.bench_function("children of a directory", |b| {
            let read = Read::Children { path: "/d7".into() };
            b.iter(|| black_box(lone.tree.read(&lone.caller, &read)).expect("it is there"));
        });
        group.bench_function("set: prepare and apply", |b| {
            b.iter(|| {
                let path = next.next().expect("it cycles").clone();
                let data = Some(Bytes::from_static(&DATA));
                lone.write(&Write::SetData { path, data, expected: Expected::Any });
            });
        });
        group.bench_function("ephemeral create and delete: prepare and apply", |b| {
            b.iter(|| {
                let name = format!("/d7/s{}", lone.zxid);
                lone.write(&Write::Create {
                    path: name.as_str().into(),
                    data: Some(Bytes::from_static(&DATA)),
                    acl: Acl::open(),
                    mode: CreateMode::EPHEMERAL,
                });
                lone.write(&Write::Delete { path: name.into(), expected: Expected::Any });
            });
        });
        group.finish();
    }
}

fn snapshots(c: &mut Criterion) {
    let mut lone = Lone::new(1_000_000);
    let chunks = lone.snapshot();
    let mut group = c.benchmark_group("1000000 nodes, whole");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("snapshot", |b| b.iter(|| black_box(lone.snapshot())));
    group.bench_function("restore", |b| {
        b.iter_batched(
            || (),
            |()| {
                let mut restore = TreeRestore::new(TreeLimits::default());
                for chunk in &chunks {
                    restore.feed(chunk).expect("it is sound");
                }
                restore.finish().expect("it is whole")
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, operations, snapshots);
criterion_main!(benches);
