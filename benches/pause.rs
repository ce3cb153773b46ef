//! How long a whole peer is busy in one turn while it takes a snapshot of a million nodes: `cargo bench --bench pause`.
//!
//! One server alone, whose disk takes no time. Each turn has 64 writes to nodes all over the tree, their answers, and the next
//! piece of the snapshot if there is one. Told is the processor time of turns, with and without a snapshot.

#![expect(clippy::expect_used, reason = "a measurement that fails may stop")]

#[path = "trio/pauses.rs"]
mod pauses;

use std::time::Duration;

use bytes::Bytes;
use quorate::peer::{ClientRequest, Connect, Ensemble, Input, Output, Peer, PeerConfig, PeerEvent, Request};
use quorate::types::{
    Acl, ClientId, ClusterId, CreateMode, Epoch, Expected, Now, Recovered, ServerId, Standing, Time,
    WallTime, Write, Zxid,
};

use self::pauses::{Pauses, busy};

const CLIENT: ClientId = ClientId::new(1);
const NODES: u64 = 1_000_000;
const DIRECTORIES: u64 = 1_000;
const WRITES: u64 = 64;

fn main() {
    // `cargo test` only wants to see that it works.
    let usual = if std::env::args().any(|argument| argument == "--bench") { NODES } else { 10_000 };
    for (what, nodes, len) in [("100 bytes", usual, 100), ("no data", usual, 0)] {
        let mut server = Server::new(nodes + DIRECTORIES + 100_000);
        let data = Bytes::from(vec![7; len]);
        for node in 0..DIRECTORIES {
            server.create(format!("/d{node}"), &data);
        }
        for node in 0..nodes {
            server.create(path_of(node), &data);
        }
        server.turn();
        let (mut before, mut during) = (Pauses::default(), Pauses::default());
        let (mut node, mut pieces) = (0, 0);
        let begun = busy();
        while server.saved.is_none() {
            let (turn, had_piece) = (busy(), server.chunk.is_some());
            for _ in 0..WRITES {
                node = (node + 7_919) % nodes;
                let (path, data) = (path_of(node).into(), Some(data.clone()));
                server.ask(Write::SetData { path, data, expected: Expected::Any });
            }
            server.turn();
            let has_piece = server.chunk.is_some();
            let pauses = if had_piece || has_piece { &mut during } else { &mut before };
            pauses.0.push(busy() - turn);
            pieces += u64::from(has_piece);
        }
        println!("{nodes} nodes of {what}: {:?} in all, {pieces} pieces", busy() - begun);
        println!("turns without a snapshot: {before}");
        println!("turns with a piece of a snapshot: {during}");
    }
}

fn path_of(node: u64) -> String {
    format!("/d{}/node-{node:07}", node % DIRECTORIES)
}

/// A peer alone, and its disk.
struct Server {
    peer: Peer,
    now: Now,
    tag: u64,
    asked: u64,
    /// The piece of the snapshot that the disk has.
    chunk: Option<(Zxid, u64)>,
    saved: Option<u64>,
}

impl Server {
    fn new(snapshot_every: u64) -> Self {
        let now = Now { time: Time::from_millis(1), wall: WallTime::from_millis(1_700_000_000_000) };
        let id = ServerId::new(1);
        let mut config = PeerConfig::new(ClusterId::new(1), id, Ensemble::majority([id]), [7; 32]);
        config.limits.requests_per_client = 10_000;
        config.limits.snapshot_every = snapshot_every;
        let recovered = Recovered {
            accepted_epoch: Epoch::ZERO,
            current_epoch: Epoch::ZERO,
            snapshot: None,
            log_start: Zxid::ZERO,
            log: Vec::new(),
            standing: Standing::Whole,
        };
        let peer = Peer::new(config, recovered, None, now).expect("the configuration is sound");
        let mut server = Self { peer, now, tag: 0, asked: 0, chunk: None, saved: None };
        for _ in 0..100 {
            server.turn();
            server.now.time += Duration::from_millis(10);
            server.peer.handle_timeout(server.now);
        }
        let connect = Connect {
            client: CLIENT,
            resume: None,
            timeout_millis: 60_000,
            last_seen: Zxid::ZERO,
            identities: Vec::new(),
        };
        server.peer.handle_input(server.now, Input::Connect(connect));
        server.turn();
        server
    }

    fn create(&mut self, path: String, data: &Bytes) {
        let (path, data, acl) = (path.into(), Some(data.clone()), Acl::open());
        self.ask(Write::Create { path, data, acl, mode: CreateMode::PERSISTENT });
        if self.asked >= 1_000 {
            self.turn();
        }
    }

    fn ask(&mut self, write: Write) {
        self.tag += 1;
        self.asked += 1;
        let request = Request::Write { write, number: None };
        self.peer
            .handle_input(self.now, Input::Request(ClientRequest { client: CLIENT, tag: self.tag, request }));
    }

    /// Hands over what the disk has done, then carries out all outputs; a piece of a snapshot stays with the disk.
    fn turn(&mut self) {
        if let Some((zxid, offset)) = self.chunk.take() {
            self.peer.handle_input(self.now, Input::SnapshotSaved { zxid, offset });
        }
        while let Some(output) = self.peer.poll_output() {
            match output {
                Output::Persist { id, .. } => self.peer.handle_input(self.now, Input::Persisted(id)),
                Output::SaveSnapshot(chunk) => self.chunk = Some((chunk.zxid, chunk.offset)),
                Output::Reply(reply) => {
                    assert!(reply.result.is_ok(), "{reply:?}");
                    self.asked -= 1;
                }
                Output::Event(PeerEvent::SnapshotSaved { bytes, .. }) => self.saved = Some(bytes),
                _ => {}
            }
        }
        assert_eq!(self.asked, 0, "everything is answered");
    }
}
