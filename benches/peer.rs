//! How fast three whole peers on one thread commit, when disks and network take no time: from a client's request to
//! its answer, with election, ZAB, tree, sessions and watches. Each write sets 100 bytes.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark")]

#[path = "trio/peer.rs"]
mod trio;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use self::trio::Trio;

fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("peer_commit");
    let data = Bytes::from(vec![7; 100]);
    for (place, at_leader) in [("leader", true), ("follower", false)] {
        for batch in [1, 64, 256, 1024] {
            let mut trio = Trio::new(at_leader);
            group.throughput(Throughput::Elements(batch));
            group.bench_function(BenchmarkId::new(place, batch), |bencher| {
                bencher.iter(|| trio.commit(batch, &data));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, commit);
criterion_main!(benches);
