//! How fast three ZAB machines on one thread commit, when disks and network take no time: the cost of the
//! protocol itself. Payloads are 100 bytes.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark")]

#[path = "trio/zab.rs"]
mod trio;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use self::trio::Trio;

fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit");
    let payload = Bytes::from(vec![7; 100]);
    for batch in [1, 64, 256, 1024] {
        let mut trio = Trio::new();
        group.throughput(Throughput::Elements(batch));
        group.bench_function(BenchmarkId::new("three_servers", batch), |bencher| {
            bencher.iter(|| trio.commit(batch, &payload));
        });
    }
    group.finish();
}

criterion_group!(benches, commit);
criterion_main!(benches);
