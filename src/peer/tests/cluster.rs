//! Some peers in one thread, with virtual time, a network that delivers after a fixed latency, and storages that
//! survive a stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;

use super::record::Record;
use crate::peer::{
    Answer, ClientRequest, CloseReason, Connect, Connected, Ensemble, Halt, Input, Message, Output, Peer,
    PeerConfig, PeerEvent, ReadLevel, Request, Role, StateRestore, Status,
};
use crate::storage::{MemoryStorage, Storage};
use crate::types::{
    Acl, ClientId, ClusterId, CreateMode, Expected, Found, Lifetime, Now, Password, PersistId, Read, Refusal,
    ServerId, SessionId, Standing, Time, Txn, WallTime, WatchEvent, Write, Written, ZnodePath, Zxid,
};

const LATENCY: Duration = Duration::from_millis(1);
const DISK: Duration = Duration::from_micros(500);
/// The wall clock at the cluster's zero.
const EPOCH_MILLIS: i64 = 1_700_000_000_000;

pub(super) fn sid(number: u64) -> ServerId {
    ServerId::new(number)
}

pub(super) struct Cluster {
    pub(super) now: Time,
    ensemble: Ensemble,
    tune: fn(&mut PeerConfig),
    peers: BTreeMap<ServerId, Peer>,
    disks: BTreeMap<ServerId, MemoryStorage>,
    lives: BTreeMap<ServerId, u64>,
    agenda: BTreeMap<(Time, u64), Happening>,
    next: u64,
    cut: BTreeSet<(ServerId, ServerId)>,
    pub(super) clients: BTreeMap<ClientId, TestClient>,
    pub(super) events: Vec<(ServerId, PeerEvent)>,
    pub(super) record: Record,
    /// Servers whose storage says at their next start that it may have lost something.
    pub(super) suspects: BTreeSet<ServerId>,
    /// How long a write takes to become durable.
    pub(super) disk_latency: Duration,
    seed: u64,
    /// The server that is expected to stop for good, and why it did.
    pub(super) may_halt: Option<ServerId>,
    pub(super) halted: Option<Halt>,
}

enum Happening {
    Arrival { from: ServerId, to: ServerId, message: Box<Message> },
    Persisted { server: ServerId, life: u64, id: PersistId },
    Input { server: ServerId, life: u64, input: Box<Input> },
}

/// What a client was told.
#[derive(Default)]
pub(super) struct TestClient {
    pub(super) server: Option<ServerId>,
    pub(super) connected: Option<Connected>,
    pub(super) closed: Option<CloseReason>,
    pub(super) replies: BTreeMap<u64, (Zxid, Result<Answer, Refusal>)>,
    /// Replies and events in the order in which they came.
    pub(super) heard: Vec<Heard>,
    next_tag: u64,
    latest: Zxid,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Reply(u64),
    Event(WatchEvent),
}

impl Cluster {
    /// An ensemble of voters 1 to `voters`, none of them started.
    pub(super) fn new(voters: u64) -> Self {
        Self::of(Ensemble::majority((1..=voters).map(sid)))
    }

    pub(super) fn of(ensemble: Ensemble) -> Self {
        Self {
            now: Time::ZERO,
            ensemble,
            tune: |_| {},
            peers: BTreeMap::new(),
            disks: BTreeMap::new(),
            lives: BTreeMap::new(),
            agenda: BTreeMap::new(),
            next: 0,
            cut: BTreeSet::new(),
            clients: BTreeMap::new(),
            events: Vec::new(),
            record: Record::default(),
            suspects: BTreeSet::new(),
            disk_latency: DISK,
            seed: 1,
            may_halt: None,
            halted: None,
        }
    }

    pub(super) fn tuned(mut self, tune: fn(&mut PeerConfig)) -> Self {
        self.tune = tune;
        self
    }

    pub(super) fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// An ensemble whose servers all run, with a leader that serves.
    pub(super) fn running(voters: u64) -> Self {
        Self::new(voters).run()
    }

    /// The same with all its servers running, and a leader that serves.
    pub(super) fn run(mut self) -> Self {
        self.start_all();
        self.await_serving();
        self
    }

    pub(super) fn start_all(&mut self) {
        let servers: Vec<ServerId> = self.ensemble.members().map(|(server, _)| server).collect();
        for server in servers {
            self.start(server);
        }
    }

    /// Waits until every server that runs serves.
    pub(super) fn await_serving(&mut self) {
        self.run_until("all serve", |c| c.peers.values().all(|p| p.status(c.clock()).serving));
    }

    pub(super) fn disk(&mut self, server: ServerId) -> MemoryStorage {
        self.disks.entry(server).or_default().clone()
    }

    pub(super) fn start(&mut self, server: ServerId) {
        let disk = self.disk(server);
        let mut recovered = block_on(disk.recover()).unwrap();
        if self.suspects.remove(&server) {
            recovered.standing = Standing::Suspect("it was empty".to_owned());
        }
        let life = self.lives.entry(server).or_default();
        *life += 1;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_be_bytes());
        seed[8..16].copy_from_slice(&server.number().to_be_bytes());
        seed[16..24].copy_from_slice(&life.to_be_bytes());
        let mut config = PeerConfig::new(ClusterId::new(7), server, self.ensemble.clone(), seed);
        (self.tune)(&mut config);
        let state = recovered.snapshot.map(|at| {
            let mut restore = StateRestore::new(&config);
            let mut offset = 0;
            loop {
                let chunk = block_on(disk.read_snapshot(at, offset, 1000)).unwrap();
                offset += chunk.bytes.len() as u64;
                restore.feed(&chunk).unwrap();
                if chunk.last {
                    return restore.finish().unwrap();
                }
            }
        });
        let peer = Peer::new(config, recovered, state, self.clock()).unwrap();
        self.peers.insert(server, peer);
        self.drain(server);
    }

    /// The disk is replaced by an empty one.
    pub(super) fn replace_disk(&mut self, server: ServerId) {
        self.disks.remove(&server);
        self.suspects.insert(server);
    }

    /// Something happens to the memory of a server: there is a node that nobody made.
    pub(super) fn corrupt_state(&mut self, server: ServerId) {
        let peer = self.peers.get_mut(&server).unwrap();
        let txn = Txn::Create {
            path: ZnodePath::parse("/nobody-made-this").unwrap(),
            data: None,
            acl: Acl::open(),
            lifetime: Lifetime::Persistent,
        };
        let (zxid, time) = (peer.state.applied, WallTime::from_millis(1));
        peer.state.tree.apply(zxid, SessionId::NONE, time, &txn, &mut Vec::new()).unwrap();
    }

    /// A server asks its leader for something in a language of its own.
    pub(super) fn forward_nonsense(&mut self, server: ServerId) {
        let peer = self.peers.get_mut(&server).unwrap();
        peer.zab.forward(Bytes::from_static(b"\xff\xff\xff nonsense")).unwrap();
        self.drain(server);
    }

    /// The process ends; what was durable stays.
    pub(super) fn stop(&mut self, server: ServerId) {
        self.peers.remove(&server);
    }

    pub(super) fn cut(&mut self, one: ServerId, other: ServerId) {
        self.cut_oneway(one, other);
        self.cut_oneway(other, one);
    }

    pub(super) fn cut_oneway(&mut self, from: ServerId, to: ServerId) {
        self.cut.insert((from, to));
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(super) fn isolate(&mut self, server: ServerId) {
        let others: Vec<ServerId> = self.ensemble.members().map(|(other, _)| other).collect();
        for other in others {
            if other != server {
                self.cut(server, other);
            }
        }
    }

    pub(super) fn clock(&self) -> Now {
        let wall = WallTime::from_millis(EPOCH_MILLIS + (self.now.as_micros() / 1000) as i64);
        Now { time: self.now, wall }
    }

    pub(super) fn status(&self, server: ServerId) -> Status {
        self.peers[&server].status(self.clock())
    }

    pub(super) fn runs(&self, server: ServerId) -> bool {
        self.peers.contains_key(&server)
    }

    pub(super) fn role(&self, server: ServerId) -> Role {
        self.status(server).role
    }

    pub(super) fn leader(&self) -> Option<ServerId> {
        let serving = |peer: &&Peer| {
            let status = peer.status(self.clock());
            status.role == Role::Leading && status.serving
        };
        self.peers.values().filter(serving).map(|peer| peer.status(self.clock()).server).last()
    }

    pub(super) fn peer(&self, server: ServerId) -> &Peer {
        &self.peers[&server]
    }

    /// Who voted for whom, and because of whom, in order; since the last call.
    pub(super) fn take_votes(&mut self) -> Vec<(u64, u64, u64)> {
        let votes = self.events.iter().filter_map(|(server, event)| match event {
            PeerEvent::VoteChanged { candidate, because_of, .. } => {
                Some((server.number(), candidate.number(), because_of.number()))
            }
            _ => None,
        });
        let votes = votes.collect();
        self.events.clear();
        votes
    }

    /// Runs for this long.
    pub(super) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done`, for a minute at most.
    #[track_caller]
    pub(super) fn run_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let end = self.now + Duration::from_secs(60);
        while !done(self) {
            assert!(self.step(end), "not within a minute: {what}\n{:#?}", self.statuses());
        }
    }

    fn statuses(&self) -> Vec<Status> {
        self.peers.values().map(|peer| peer.status(self.clock())).collect()
    }

    /// Lets the next thing happen, unless that is after `end`.
    fn step(&mut self, end: Time) -> bool {
        let arrival = self.agenda.first_key_value().map(|((time, _), _)| *time);
        let timer =
            self.peers.iter().filter_map(|(server, peer)| Some((peer.poll_timeout()?, *server))).min();
        match (arrival, timer) {
            (Some(arrival), timer) if timer.is_none_or(|(time, _)| arrival <= time) && arrival <= end => {
                self.now = self.now.max(arrival);
                let ((_, _), happening) = self.agenda.pop_first().unwrap();
                self.happen(happening);
                true
            }
            (_, Some((time, server))) if time <= end => {
                self.now = self.now.max(time);
                let now = self.clock();
                self.peers.get_mut(&server).unwrap().handle_timeout(now);
                self.drain(server);
                let next = self.peers[&server].poll_timeout();
                assert!(next.is_none_or(|next| next > self.now), "{server:?} spins at {next:?}");
                true
            }
            _ => false,
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival { from, to, message } => {
                if !self.cut.contains(&(from, to)) {
                    self.input(to, Input::Message { from, message: *message });
                }
            }
            Happening::Persisted { server, life, id } => {
                if self.lives[&server] == life {
                    self.input(server, Input::Persisted(id));
                }
            }
            Happening::Input { server, life, input } => {
                if self.lives[&server] == life {
                    self.input(server, *input);
                }
            }
        }
    }

    pub(super) fn input(&mut self, server: ServerId, input: Input) {
        let now = self.clock();
        if let Some(peer) = self.peers.get_mut(&server) {
            peer.handle_input(now, input);
            self.drain(server);
        }
    }

    fn later(&mut self, after: Duration, happening: Happening) {
        self.next += 1;
        self.agenda.insert((self.now + after, self.next), happening);
    }

    fn drain(&mut self, server: ServerId) {
        let life = self.lives[&server];
        let disk = self.disk(server);
        while let Some(output) = self.peers.get_mut(&server).and_then(Peer::poll_output) {
            self.record.note(self.now, server, &output);
            match output {
                Output::Persist { id, batch } => {
                    block_on(disk.write(batch)).unwrap();
                    self.later(self.disk_latency, Happening::Persisted { server, life, id });
                }
                Output::Send { to, message, .. } => {
                    let message = Box::new(message);
                    self.later(LATENCY, Happening::Arrival { from: server, to, message });
                }
                Output::ReadLog { after, limit } => {
                    let entries = block_on(disk.read_log(after, limit)).unwrap_or_default();
                    let input = Box::new(Input::LogRead { after, entries });
                    self.later(DISK, Happening::Input { server, life, input });
                }
                Output::ReadSnapshot { learner, zxid, offset, limit } => {
                    let chunk = block_on(disk.read_snapshot(zxid, offset, limit)).ok();
                    let input = Box::new(Input::SnapshotRead { learner, chunk });
                    self.later(DISK, Happening::Input { server, life, input });
                }
                Output::SaveSnapshot(chunk) => {
                    let (zxid, offset) = (chunk.zxid, chunk.offset);
                    block_on(disk.save_snapshot(chunk)).unwrap();
                    let input = Box::new(Input::SnapshotSaved { zxid, offset });
                    self.later(DISK, Happening::Input { server, life, input });
                }
                Output::Connected(connected) => {
                    let client = self.clients.entry(connected.client).or_default();
                    client.connected = Some(connected);
                }
                Output::Reply(reply) => {
                    let client = self.clients.entry(reply.client).or_default();
                    client.heard.push(Heard::Reply(reply.tag));
                    assert!(reply.zxid >= client.latest, "{reply:?} goes back from {}", client.latest);
                    client.latest = reply.zxid;
                    assert!(client.replies.insert(reply.tag, (reply.zxid, reply.result)).is_none());
                }
                Output::Watch { client, event } => {
                    self.clients.entry(client).or_default().heard.push(Heard::Event(event));
                }
                Output::Closed { client, reason } => {
                    self.clients.entry(client).or_default().closed = Some(reason);
                }
                Output::Event(event) => self.events.push((server, event)),
                Output::Halt(why) if self.may_halt == Some(server) => self.halted = Some(why),
                Output::Halt(why) => panic!("{server:?} halted: {why}"),
            }
        }
    }
}

/// What clients do.
impl Cluster {
    /// Opens a session, without waiting for it.
    pub(super) fn begin_connect(
        &mut self,
        server: ServerId,
        resume: Option<(SessionId, Password)>,
    ) -> ClientId {
        self.next += 1;
        let client = ClientId::new(self.next);
        self.clients.insert(client, TestClient { server: Some(server), ..TestClient::default() });
        let connect =
            Connect { client, resume, timeout_millis: 5_000, last_seen: Zxid::ZERO, identities: vec![] };
        self.input(server, Input::Connect(connect));
        client
    }

    pub(super) fn connect(&mut self, server: ServerId) -> ClientId {
        let client = self.begin_connect(server, None);
        self.run_until("connected", |c| c.clients[&client].connected.is_some());
        client
    }

    pub(super) fn session(&self, client: ClientId) -> (SessionId, Password) {
        let connected = self.clients[&client].connected.as_ref().unwrap();
        (connected.session, connected.password)
    }

    /// Sends a request, without waiting for its answer.
    pub(super) fn send(&mut self, client: ClientId, request: Request) -> u64 {
        let known = self.clients.get_mut(&client).unwrap();
        known.next_tag += 1;
        let tag = known.next_tag;
        let server = known.server.unwrap();
        self.input(server, Input::Request(ClientRequest { client, tag, request }));
        tag
    }

    #[track_caller]
    pub(super) fn ask(&mut self, client: ClientId, request: Request) -> Result<Answer, Refusal> {
        let tag = self.send(client, request);
        self.run_until("an answer", |c| c.clients[&client].replies.contains_key(&tag));
        self.clients[&client].replies[&tag].1.clone()
    }

    #[track_caller]
    pub(super) fn create(&mut self, client: ClientId, path: &str, mode: CreateMode) -> ZnodePath {
        match self.ask(client, write(create(path, mode))) {
            Ok(Answer::Written(Written::Created { path, .. })) => path,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn exists(&mut self, client: ClientId, path: &str) -> bool {
        match self.ask(client, read(Read::Exists { path: path.into() })) {
            Ok(Answer::Found(Found::Stat(_))) => true,
            Err(Refusal { code: crate::types::ErrorCode::NoNode, .. }) => false,
            other => panic!("{path}: {other:?}"),
        }
    }
}

pub(super) fn write(write: Write) -> Request {
    Request::Write { write, number: None }
}

pub(super) fn read(read: Read) -> Request {
    Request::Read { read, level: ReadLevel::Session, watch: false }
}

pub(super) fn create(path: &str, mode: CreateMode) -> Write {
    Write::Create { path: path.into(), data: Some(path.to_owned().into()), acl: Acl::open(), mode }
}

pub(super) fn set(path: &str, data: &'static str) -> Write {
    Write::SetData { path: path.into(), data: Some(data.into()), expected: Expected::Any }
}
