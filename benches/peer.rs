//! How fast three whole peers on one thread commit, when disks and network take no time: from a client's request to
//! its answer, with election, ZAB, tree, sessions and watches. Each write sets 100 bytes.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use quorate::peer::{ClientRequest, Connect, Ensemble, Input, Output, Peer, PeerConfig, Request};
use quorate::types::{ClientId, Recovered, Standing, Write};
use quorate::{Acl, ClusterId, CreateMode, Epoch, Expected, Identity, Now, ServerId, Time, WallTime, Zxid};

const CLIENT: ClientId = ClientId::new(1);

struct Trio {
    peers: Vec<Peer>,
    now: Now,
    /// Answers to the client.
    answered: u64,
    connected: bool,
    tag: u64,
    /// Where the client is attached.
    at: usize,
}

impl Trio {
    /// A leader and two followers, with a client at the leader or at a follower.
    fn new(at_leader: bool) -> Self {
        let ids = [1, 2, 3].map(ServerId::new);
        let now = Now { time: Time::from_millis(1), wall: WallTime::from_millis(1_700_000_000_000) };
        let peer = |id: ServerId| {
            let mut seed = [0; 32];
            seed[0] = id.number() as u8;
            let mut config = PeerConfig::new(ClusterId::new(1), id, Ensemble::majority(ids), seed);
            config.limits.requests_per_client = 10_000;
            let recovered = Recovered {
                accepted_epoch: Epoch::ZERO,
                current_epoch: Epoch::ZERO,
                snapshot: None,
                log_start: Zxid::ZERO,
                log: Vec::new(),
                standing: Standing::Whole,
            };
            Peer::new(config, recovered, None, now).expect("the configuration is sound")
        };
        let peers = ids.map(peer).into();
        let mut trio =
            Self { peers, now, answered: 0, connected: false, tag: 0, at: if at_leader { 2 } else { 0 } };
        for _ in 0..1_000 {
            trio.run();
            trio.now.time += std::time::Duration::from_millis(10);
            let now = trio.now;
            trio.peers.iter_mut().for_each(|peer| peer.handle_timeout(now));
        }
        let connect = Connect {
            client: CLIENT,
            resume: None,
            timeout_millis: 60_000,
            last_seen: Zxid::ZERO,
            identities: vec![Identity::ip([127, 0, 0, 1].into())],
        };
        trio.peers[trio.at].handle_input(now, Input::Connect(connect));
        trio.run();
        assert!(trio.connected);
        let (path, data, acl) = ("/node".into(), None, Acl::open());
        trio.ask(Write::Create { path, data, acl, mode: CreateMode::PERSISTENT });
        trio.run();
        assert_eq!(trio.answered, 1);
        trio
    }

    fn ask(&mut self, write: Write) {
        self.tag += 1;
        let request = Request::Write { write, number: None };
        let request = ClientRequest { client: CLIENT, tag: self.tag, request };
        self.peers[self.at].handle_input(self.now, Input::Request(request));
    }

    /// Carries out outputs until there are none.
    fn run(&mut self) {
        loop {
            let mut idle = true;
            for at in 0..3 {
                while let Some(output) = self.peers[at].poll_output() {
                    idle = false;
                    match output {
                        Output::Persist { id, batch } => {
                            black_box(batch);
                            self.peers[at].handle_input(self.now, Input::Persisted(id));
                        }
                        Output::Send { to, message, .. } => {
                            let from = ServerId::new(at as u64 + 1);
                            let to = to.number() as usize - 1;
                            self.peers[to].handle_input(self.now, Input::Message { from, message });
                        }
                        Output::SaveSnapshot(chunk) => {
                            let (zxid, offset) = (chunk.zxid, chunk.offset);
                            self.peers[at].handle_input(self.now, Input::SnapshotSaved { zxid, offset });
                        }
                        Output::Reply(reply) => {
                            assert!(reply.result.is_ok(), "{reply:?}");
                            self.answered += 1;
                        }
                        Output::Connected(_) => self.connected = true,
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
    let mut group = criterion.benchmark_group("peer_commit");
    let data = Bytes::from(vec![7; 100]);
    for (place, at_leader) in [("leader", true), ("follower", false)] {
        for batch in [1, 64, 256, 1024] {
            let mut trio = Trio::new(at_leader);
            group.throughput(Throughput::Elements(batch));
            group.bench_function(BenchmarkId::new(place, batch), |bencher| {
                bencher.iter(|| {
                    let before = trio.answered;
                    for _ in 0..batch {
                        let path = "/node".into();
                        trio.ask(Write::SetData { path, data: Some(data.clone()), expected: Expected::Any });
                    }
                    trio.run();
                    assert_eq!(trio.answered - before, batch);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, commit);
criterion_main!(benches);
