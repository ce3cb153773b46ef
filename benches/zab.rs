//! How fast three ZAB machines on one thread commit, when disks and network take no time: the cost of the
//! protocol itself. Payloads are 100 bytes.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use quorate::types::{Recovered, Standing};
use quorate::zab::{Output, Zab, ZabConfig};
use quorate::{Epoch, SeededRng, ServerId, Time, Zxid};

struct Trio {
    servers: Vec<Zab>,
    now: Time,
    delivered: usize,
}

impl Trio {
    /// Server 1 leads, 2 and 3 follow.
    fn new() -> Self {
        let ids = [1, 2, 3].map(ServerId::new);
        let recovered = Recovered {
            accepted_epoch: Epoch::ZERO,
            current_epoch: Epoch::ZERO,
            snapshot: None,
            log_start: Zxid::ZERO,
            log: Vec::new(),
            standing: Standing::Whole,
        };
        let servers = ids.map(|id| {
            let mut config = ZabConfig::majority(id, ids);
            config.window = 256;
            Zab::new(config, recovered.clone(), SeededRng::from_number(id.number()))
        });
        let mut trio = Self { servers: servers.into(), now: Time::from_millis(1), delivered: 0 };
        trio.servers[0].lead(trio.now);
        trio.servers[1].follow(trio.now, ids[0]);
        trio.servers[2].follow(trio.now, ids[0]);
        trio.run();
        assert!(trio.servers[0].is_established() && trio.servers[1].is_synced());
        trio
    }

    /// Carries out outputs until there are none.
    fn run(&mut self) {
        loop {
            let mut idle = true;
            for at in 0..3 {
                while let Some(output) = self.servers[at].poll_output() {
                    idle = false;
                    match output {
                        Output::Persist { ticket, op } => {
                            black_box(op);
                            self.servers[at].handle_persisted(self.now, ticket);
                        }
                        Output::Send { to, message, .. } => {
                            let from = ServerId::new(at as u64 + 1);
                            self.servers[to.number() as usize - 1].handle_message(self.now, from, message);
                        }
                        Output::Deliver { zxid, payload } => {
                            black_box((zxid, payload));
                            self.delivered += 1;
                        }
                        other => drop(black_box(other)),
                    }
                }
            }
            if idle {
                return;
            }
        }
    }
}

fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit");
    let payload = Bytes::from(vec![7; 100]);
    for batch in [1, 64, 1024] {
        let mut trio = Trio::new();
        group.throughput(Throughput::Elements(batch));
        group.bench_function(BenchmarkId::new("three_servers", batch), |bencher| {
            bencher.iter(|| {
                let before = trio.delivered;
                for _ in 0..batch {
                    trio.servers[0].propose(payload.clone()).expect("it leads");
                }
                trio.run();
                assert_eq!(trio.delivered - before, 3 * batch as usize);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, commit);
criterion_main!(benches);
