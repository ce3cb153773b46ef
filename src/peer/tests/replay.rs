//! The same seed gives the same outputs, byte for byte.

use std::time::Duration;

use super::cluster::{Cluster, create, read, sid, write};
use crate::peer::{PeerConfig, ReadLevel, Request, WatchRequest};
use crate::types::{
    ClientId, CreateMode, Expected, NumberedRequest, Read, RequestId, SeededRng, WatchMode, Write,
};

fn tight(config: &mut PeerConfig) {
    config.limits.snapshot_every = 40;
    config.limits.snapshot_chunk = 300;
    config.limits.log_window = 20;
    config.limits.last_counter = 150;
}

/// A random history: clients that do all that clients can, servers that stop and start, links that break.
fn play(servers: u64, seed: u64) -> (u64, usize) {
    let mut rng = SeededRng::from_number(seed);
    let mut cluster = Cluster::new(servers).seeded(seed).tuned(tight).run();
    let mut clients: Vec<ClientId> = Vec::new();
    let mut stopped = None;
    for step in 0..250 {
        let server = sid(rng.below(servers) + 1);
        match rng.below(40) {
            0 | 1 => clients.push(cluster.begin_connect(server, None)),
            2 => {
                let resumed = clients.last().and_then(|client| cluster.clients[client].connected.clone());
                let resumed = resumed.map(|connected| (connected.session, connected.password));
                clients.push(cluster.begin_connect(server, resumed));
            }
            3 if stopped.is_none() => {
                cluster.stop(server);
                stopped = Some(server);
            }
            4 | 5 => {
                if let Some(server) = stopped.take() {
                    cluster.start(server);
                }
            }
            6 => cluster.isolate(server),
            7 | 8 => cluster.heal(),
            _ if clients.is_empty() => {}
            _ => {
                let at = rng.below(clients.len() as u64) as usize;
                if cluster.clients[&clients[at]].closed.is_some() {
                    clients[at] = cluster.begin_connect(server, None);
                }
                let request = draw(&mut rng, step);
                cluster.send(clients[at], request);
            }
        }
        cluster.run_for(Duration::from_micros(rng.below(40_000)));
    }
    cluster.heal();
    if let Some(server) = stopped {
        cluster.start(server);
    }
    cluster.await_serving();
    (cluster.record.hash, cluster.record.count.values().sum())
}

fn draw(rng: &mut SeededRng, step: u64) -> Request {
    let path = format!("/n{}", rng.below(8));
    match rng.below(14) {
        0..3 => write(create(&path, CreateMode::PERSISTENT)),
        3 => write(create(&path, CreateMode::EPHEMERAL)),
        4 => {
            let number = NumberedRequest { id: RequestId::new(step + 1), answered_below: RequestId::new(1) };
            Request::Write { write: create("/s-", CreateMode::PERSISTENT_SEQUENTIAL), number: Some(number) }
        }
        5 => write(Write::Delete { path: path.into(), expected: Expected::Any }),
        6 => write(Write::Multi(vec![
            create(&path, CreateMode::PERSISTENT),
            Write::Check { path: "/n0".into(), expected: Expected::Any },
        ])),
        7 => Request::Sync,
        8 => Request::Read {
            read: Read::Get { path: path.into() },
            level: ReadLevel::Linearizable,
            watch: true,
        },
        9 => {
            Request::Read { read: Read::Children { path: "/".into() }, level: ReadLevel::Local, watch: true }
        }
        10 => read(Read::Exists { path: path.into() }),
        11 => Request::Watch(WatchRequest::Add { path: "/".into(), mode: WatchMode::PersistentRecursive }),
        12 => Request::CloseSession,
        _ => write(Write::SetData {
            path: path.into(),
            data: Some(vec![7; 50].into()),
            expected: Expected::Any,
        }),
    }
}

#[test]
fn the_same_seed_gives_the_same_outputs_byte_for_byte() {
    for servers in [1, 3, 5] {
        let mut hashes = Vec::new();
        for seed in 1..=3 {
            let first = play(servers, seed);
            assert_eq!(first, play(servers, seed), "{servers} servers, seed {seed}");
            assert!(first.1 > 100, "{servers} servers, seed {seed}: only {} outputs", first.1);
            hashes.push(first.0);
        }
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 3, "the hash sees what differs");
    }
}
