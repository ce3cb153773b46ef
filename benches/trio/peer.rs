//! Three whole peers in memory on one thread, without disks and network.

use std::hint::black_box;

use bytes::Bytes;
use quorate::peer::{ClientRequest, Connect, Ensemble, Input, Output, Peer, PeerConfig, Request};
use quorate::types::{
    Acl, ClientId, ClusterId, CreateMode, Epoch, Expected, Identity, Now, Recovered, ServerId, Standing,
    Time, WallTime, Write, Zxid,
};

const CLIENT: ClientId = ClientId::new(1);

/// Three peers and one client.
pub struct Trio {
    peers: Vec<Peer>,
    now: Now,
    /// Answers to the client.
    pub answered: u64,
    connected: bool,
    tag: u64,
    /// Where the client is attached.
    at: usize,
}

impl Trio {
    /// A leader and two followers, with a client at the leader or at a follower.
    pub fn new(at_leader: bool) -> Self {
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

    pub fn ask(&mut self, write: Write) {
        self.tag += 1;
        let request = Request::Write { write, number: None };
        let request = ClientRequest { client: CLIENT, tag: self.tag, request };
        self.peers[self.at].handle_input(self.now, Input::Request(request));
    }

    /// Carries out outputs until there are none.
    pub fn run(&mut self) {
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

    /// Sets the data of a node `batch` times, and waits for the answers.
    pub fn commit(&mut self, batch: u64, data: &Bytes) {
        let before = self.answered;
        for _ in 0..batch {
            let path = "/node".into();
            self.ask(Write::SetData { path, data: Some(data.clone()), expected: Expected::Any });
        }
        self.run();
        assert_eq!(self.answered - before, batch);
    }
}
