//! A small world for tests: a few servers with disks that take their time and forget what is not durable when the
//! power goes, and a network that loses, doubles and delays. All from one seed, in virtual time.
//!
//! While it runs it checks what must hold in every step; see [`Ghost`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::codec;
use crate::types::{Epoch, LogEntry, LogOp, SeededRng, ServerId, SnapshotChunk, Time, Zxid};
use crate::zab::{Body, Message, Note, Output, Part, Role, StandDown, Ticket, Zab, ZabConfig};

use super::disk::Disk;

pub(super) type Applied = Vec<(Zxid, Bytes)>;

pub(super) fn sid(number: u64) -> ServerId {
    ServerId::new(number)
}

pub(super) fn zx(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch::new(epoch), counter)
}

pub(super) fn entry(epoch: u32, counter: u32) -> LogEntry {
    LogEntry { zxid: zx(epoch, counter), payload: Bytes::from(format!("{epoch}.{counter}")) }
}

/// One server.
pub(super) struct Server {
    pub(super) config: ZabConfig,
    pub(super) zab: Option<Zab>,
    pub(super) disk: Disk,
    /// Steps on their way to the disk, and when they are there.
    pub(super) writes: VecDeque<(Time, Ticket, LogOp)>,
    /// Other answers of the storage, and when they come.
    answers: VecDeque<(Time, Answer)>,
    receiving: Option<(Zxid, Vec<u8>)>,
    /// What was applied, from the beginning of time.
    pub(super) applied: Applied,
    pub(super) notes: Vec<Note>,
    pub(super) ended: Vec<StandDown>,
    pub(super) forwarded: Vec<(ServerId, Bytes)>,
    pub(super) answered: Vec<(Zxid, Bytes)>,
    pub(super) confirmed: Vec<crate::zab::Confirmation>,
    pub(super) links_lost: usize,
    pub(super) snapshots_wanted: Vec<Zxid>,
    wake: Time,
}

enum Answer {
    Log { after: Zxid, limit: usize },
    Snapshot { learner: ServerId, zxid: Zxid, offset: u64, limit: usize },
    Saved(SnapshotChunk),
}

/// What nobody in the world knows, and must be so.
#[derive(Default)]
pub(super) struct Ghost {
    /// The one sequence of all that was ever delivered anywhere.
    pub(super) committed: Applied,
    /// Who was established in which epoch.
    pub(super) leaders: BTreeMap<Epoch, ServerId>,
    /// The history that each epoch began with.
    initial: BTreeMap<Epoch, Applied>,
    /// What each leader proposed.
    proposed: BTreeMap<Zxid, Bytes>,
}

/// What the network does to messages, in thousandths.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) lose: u64,
    pub(super) double: u64,
    /// How much longer than usual a message may take, in microseconds.
    pub(super) jitter: u64,
}

pub(super) struct Net {
    pub(super) now: Time,
    pub(super) servers: BTreeMap<ServerId, Server>,
    pub(super) ghost: Ghost,
    pub(super) faults: Faults,
    pub(super) disk_delay: Duration,
    /// Directed pairs between which nothing passes.
    pub(super) cut: BTreeSet<(ServerId, ServerId)>,
    pub(super) rng: SeededRng,
    /// Messages on their way, by arrival.
    wire: BTreeMap<(Time, u64), (ServerId, ServerId, Message)>,
    sent: u64,
    /// The commit point that each learner was last told when its epoch was established.
    told: BTreeMap<ServerId, Zxid>,
    pub(super) trace: Vec<(ServerId, ServerId, Message)>,
    pub(super) keep_trace: bool,
    seed: u64,
}

impl Net {
    /// Servers 1..=voters vote; `observers` more do not.
    pub(super) fn new(voters: u64, observers: u64, seed: u64) -> Self {
        Self::with(voters, observers, seed, |_| {})
    }

    pub(super) fn with(voters: u64, observers: u64, seed: u64, tune: impl Fn(&mut ZabConfig)) -> Self {
        let mut net = Self {
            now: Time::from_millis(1),
            servers: BTreeMap::new(),
            ghost: Ghost::default(),
            faults: Faults::default(),
            disk_delay: Duration::from_millis(1),
            cut: BTreeSet::new(),
            rng: SeededRng::from_number(seed),
            wire: BTreeMap::new(),
            sent: 0,
            told: BTreeMap::new(),
            trace: Vec::new(),
            keep_trace: false,
            seed,
        };
        for number in 1..=voters + observers {
            let mut config = ZabConfig::majority(sid(number), (1..=voters).map(sid));
            config.observers = (voters + 1..=voters + observers).map(sid).collect();
            config.window = 8;
            config.chunk = 200;
            tune(&mut config);
            let server = Server {
                config,
                zab: None,
                disk: Disk::default(),
                writes: VecDeque::new(),
                answers: VecDeque::new(),
                receiving: None,
                applied: Vec::new(),
                notes: Vec::new(),
                ended: Vec::new(),
                forwarded: Vec::new(),
                answered: Vec::new(),
                confirmed: Vec::new(),
                links_lost: 0,
                snapshots_wanted: Vec::new(),
                wake: Time::ZERO,
            };
            net.servers.insert(sid(number), server);
            net.start(number);
        }
        net
    }

    pub(super) fn server(&mut self, number: u64) -> &mut Server {
        self.servers.get_mut(&sid(number)).unwrap()
    }

    pub(super) fn zab(&mut self, number: u64) -> &mut Zab {
        self.server(number).zab.as_mut().expect("the server is up")
    }

    pub(super) fn is_up(&self, number: u64) -> bool {
        self.servers[&sid(number)].zab.is_some()
    }

    /// Puts a history on the disk of a server that is down, or restarts it with it.
    pub(super) fn give(&mut self, number: u64, accepted: u32, current: u32, log: &[LogEntry]) {
        self.crash(number);
        let server = self.server(number);
        server.disk.accepted = Epoch::new(accepted);
        server.disk.current = Epoch::new(current);
        server.disk.log = log.to_vec();
        for entry in log {
            self.ghost.proposed.insert(entry.zxid, entry.payload.clone());
        }
        self.start(number);
    }

    /// Says that somebody proposed this in an earlier life of the world.
    pub(super) fn ghost_proposed(&mut self, entry: &LogEntry) {
        self.ghost.proposed.insert(entry.zxid, entry.payload.clone());
    }

    pub(super) fn start(&mut self, number: u64) {
        let seed = self.rng.next_u64();
        let now = self.now;
        let server = self.server(number);
        assert!(server.zab.is_none());
        let recovered = server.disk.recover();
        server.applied = server.disk.newest().1;
        server.wake = now;
        server.zab = Some(Zab::new(server.config.clone(), recovered, SeededRng::from_number(seed)));
    }

    /// Power off: what is not durable is gone, but a part of what was on its way may have made it.
    pub(super) fn crash(&mut self, number: u64) {
        let made_it = self.rng.below(3);
        let ghost = &self.ghost;
        let server = self.servers.get_mut(&sid(number)).unwrap();
        let made_it = made_it.min(server.writes.len() as u64) as usize;
        for (_, _, op) in server.writes.drain(..).take(made_it) {
            server.disk.apply(op.clone());
            ghost.check_step(&server.disk, &op);
        }
        server.writes.clear();
        server.answers.clear();
        server.receiving = None;
        server.snapshots_wanted.clear();
        server.zab = None;
    }

    /// Power off, and nothing that was on its way made it.
    pub(super) fn crash_hard(&mut self, number: u64) {
        self.server(number).writes.clear();
        self.crash(number);
    }

    pub(super) fn lead(&mut self, number: u64) {
        let now = self.now;
        self.zab(number).lead(now);
        self.drain(number);
    }

    pub(super) fn follow(&mut self, number: u64, leader: u64) {
        let now = self.now;
        self.zab(number).follow(now, sid(leader));
        self.drain(number);
    }

    pub(super) fn observe(&mut self, number: u64, leader: u64) {
        let now = self.now;
        self.zab(number).observe(now, sid(leader));
        self.drain(number);
    }

    pub(super) fn stand_down(&mut self, number: u64) {
        let now = self.now;
        self.zab(number).stand_down(now);
        self.drain(number);
    }

    /// A learner finds that it can use nothing but a whole state.
    pub(super) fn want_snapshot(&mut self, number: u64) {
        let now = self.now;
        let zab = self.zab(number);
        zab.core.advance(now);
        zab.core.dirty = true;
        if let Part::Learner(learner) = &mut zab.part {
            learner.wants_snapshot = true;
            learner.reset(&mut zab.core, "the test wants a snapshot");
        }
        self.drain(number);
    }

    /// Server `leader` leads, the others of `with` follow, until all of them are level.
    pub(super) fn form(&mut self, leader: u64, with: &[u64]) {
        self.lead(leader);
        for number in with {
            self.follow(*number, leader);
        }
        let with = with.to_vec();
        self.until("the quorum forms", |net| {
            net.zab(leader).is_established() && with.iter().all(|number| net.zab(*number).is_synced())
        });
    }

    /// Proposes `count` payloads and sends them.
    pub(super) fn propose(&mut self, leader: u64, count: usize) -> Vec<Zxid> {
        let positions: Vec<_> = (0..count)
            .map(|_| {
                let next = self.zab(leader).next_zxid().expect("it can propose");
                let payload = Bytes::from(format!("{next} by {leader}"));
                let zxid = self.zab(leader).propose(payload.clone()).unwrap();
                assert_eq!(zxid, next);
                let before = self.ghost.proposed.insert(zxid, payload);
                assert_eq!(before, None, "{zxid} is proposed twice");
                zxid
            })
            .collect();
        self.drain(leader);
        positions
    }

    /// Proposes and waits until all of `on` have applied it.
    pub(super) fn commit(&mut self, leader: u64, count: usize, on: &[u64]) -> Vec<Zxid> {
        let positions = self.propose(leader, count);
        let last = *positions.last().unwrap();
        let on = on.to_vec();
        self.until("it is applied", |net| on.iter().all(|number| net.zab(*number).delivered() >= last));
        positions
    }

    /// Takes a snapshot of what a server has applied.
    pub(super) fn snapshot(&mut self, number: u64) {
        let server = self.server(number);
        let Some(zxid) = server.applied.last().map(|(zxid, _)| *zxid) else { return };
        // A storage takes it up only when it is at or before the durable end of its log.
        let bytes = codec::encode(&server.applied).unwrap();
        server.disk.snapshots.insert(zxid, bytes);
        server.zab.as_mut().unwrap().handle_own_snapshot(zxid);
        self.drain(number);
    }

    /// Cuts `number` off from all others, or from `others` only.
    pub(super) fn isolate(&mut self, number: u64) {
        let others: Vec<_> = self.servers.keys().copied().filter(|other| *other != sid(number)).collect();
        for other in others {
            self.cut.insert((sid(number), other));
            self.cut.insert((other, sid(number)));
        }
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    /// Runs until `done`; fails when that takes a minute of the world's time.
    pub(super) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + Duration::from_secs(60);
        while !done(self) {
            assert!(self.now < end, "seed {}: not in a minute: {what}\n{}", self.seed, self.describe());
            self.step();
        }
    }

    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.next_event().is_some_and(|next| next <= end) {
            self.step();
        }
        self.now = end;
    }

    pub(super) fn next_event(&self) -> Option<Time> {
        let wire = self.wire.keys().next().map(|(time, _)| *time);
        let servers = self.servers.values().filter(|server| server.zab.is_some());
        let servers = servers.flat_map(|server| {
            let write = server.writes.front().map(|(time, ..)| *time);
            let answer = server.answers.front().map(|(time, _)| *time);
            let timer = server.zab.as_ref().and_then(Zab::poll_timeout);
            [write, answer, timer]
        });
        servers.flatten().chain(wire).min()
    }

    /// Does what happens next.
    pub(super) fn step(&mut self) {
        let Some(next) = self.next_event() else {
            self.now += Duration::from_millis(10);
            return;
        };
        self.now = self.now.max(next);
        let now = self.now;
        if let Some(first) = self.wire.first_entry()
            && first.key().0 <= now
        {
            let (from, to, message) = first.remove();
            if !self.cut.contains(&(from, to))
                && let Some(zab) = self.servers.get_mut(&to).and_then(|server| server.zab.as_mut())
            {
                // Through the codec, as on a real wire.
                let message = codec::decode(&codec::encode(&message).unwrap()).unwrap();
                zab.handle_message(now, from, message);
                self.drain(to.number());
            }
            return;
        }
        let due = self.servers.iter().find(|(_, server)| {
            server.zab.as_ref().is_some_and(|zab| {
                server.writes.front().is_some_and(|(time, ..)| *time <= now)
                    || server.answers.front().is_some_and(|(time, _)| *time <= now)
                    || zab.poll_timeout().is_some_and(|time| time <= now)
            })
        });
        let Some(number) = due.map(|(server, _)| server.number()) else { return };
        let ghost = &self.ghost;
        let server = self.servers.get_mut(&sid(number)).unwrap();
        let zab = server.zab.as_mut().unwrap();
        if server.writes.front().is_some_and(|(time, ..)| *time <= now) {
            let (_, ticket, op) = server.writes.pop_front().unwrap();
            server.disk.apply(op.clone());
            ghost.check_step(&server.disk, &op);
            zab.handle_persisted(now, ticket);
        } else if server.answers.front().is_some_and(|(time, _)| *time <= now) {
            let (_, answer) = server.answers.pop_front().unwrap();
            self.answer(number, answer);
        } else {
            zab.handle_timeout(now);
            assert!(zab.poll_timeout().is_none_or(|next| next > now), "an expired timer stays armed");
        }
        self.drain(number);
    }

    /// One sync makes all durable that waits for the server's disk.
    pub(super) fn sync_all(&mut self, number: u64) {
        let now = self.now;
        let server = self.server(number);
        let writes = std::mem::take(&mut server.writes);
        let last = writes.back().expect("something waits").1;
        writes.into_iter().for_each(|(.., op)| server.disk.apply(op));
        self.zab(number).handle_persisted(now, last);
        self.drain(number);
    }

    fn answer(&mut self, number: u64, answer: Answer) {
        let now = self.now;
        let server = self.servers.get_mut(&sid(number)).unwrap();
        let zab = server.zab.as_mut().unwrap();
        match answer {
            Answer::Log { after, limit } => {
                let mut size = 0;
                let mut entries = Vec::new();
                if after >= server.disk.log_start {
                    for entry in server.disk.log.iter().filter(|entry| entry.zxid > after) {
                        size += entry.payload.len();
                        if !entries.is_empty() && size > limit {
                            break;
                        }
                        entries.push(entry.clone());
                    }
                }
                zab.handle_log_read(now, after, entries);
            }
            Answer::Snapshot { learner, zxid, offset, limit } => {
                let chunk = server.disk.snapshots.get(&zxid).map(|bytes| {
                    let from = (offset as usize).min(bytes.len());
                    let to = (from + limit).min(bytes.len());
                    SnapshotChunk { zxid, offset, bytes: bytes.slice(from..to), last: to == bytes.len() }
                });
                zab.handle_snapshot_read(now, learner, chunk);
            }
            Answer::Saved(chunk) => {
                if chunk.offset == 0 {
                    server.receiving = Some((chunk.zxid, Vec::new()));
                }
                let (zxid, bytes) = server.receiving.as_mut().expect("a snapshot begins at 0");
                assert_eq!((*zxid, bytes.len() as u64), (chunk.zxid, chunk.offset), "pieces come in order");
                bytes.extend_from_slice(&chunk.bytes);
                if chunk.last {
                    let (zxid, bytes) = server.receiving.take().unwrap();
                    server.applied = codec::decode(&bytes).unwrap();
                    server.disk.snapshots.insert(zxid, bytes.into());
                    let shared = server.applied.len().min(self.ghost.committed.len());
                    assert_eq!(server.applied[..shared], self.ghost.committed[..shared]);
                    assert_eq!(shared, server.applied.len(), "only what is committed is in a snapshot");
                }
                zab.handle_chunk_saved(now, chunk.zxid, chunk.offset);
            }
        }
    }

    /// Carries out the outputs of a server.
    pub(super) fn drain(&mut self, number: u64) {
        let from = sid(number);
        loop {
            let now = self.now;
            let server = self.servers.get_mut(&from).unwrap();
            let Some(zab) = server.zab.as_mut() else { return };
            let Some(output) = zab.poll_output() else { break };
            match output {
                Output::Persist { ticket, op } => {
                    if matches!(op, LogOp::CurrentEpoch(_)) && zab.role() == Role::Leader {
                        let LogOp::CurrentEpoch(epoch) = op else { continue };
                        let is_purge = |(.., op): &(Time, Ticket, LogOp)| matches!(op, LogOp::PurgeUpTo(_));
                        assert!(server.writes.iter().all(is_purge), "a leader's history is durable by then");
                        let before = self.ghost.initial.insert(epoch, server.disk.history());
                        assert!(before.is_none(), "epoch {epoch} has a second leader");
                    }
                    let delay = self.disk_delay;
                    let spread = 1 + delay.as_micros() as u64;
                    let mut done = now + delay + Duration::from_micros(self.rng.below(spread));
                    if let Some((last, ..)) = server.writes.back() {
                        done = done.max(*last);
                    }
                    server.writes.push_back((done, ticket, op));
                }
                Output::Send { to, lane, message } => {
                    assert_eq!(lane, message.lane());
                    self.send(from, to, message);
                }
                Output::Deliver { zxid, payload } => {
                    server.applied.push((zxid, payload));
                    let count = server.applied.len();
                    let known = self.ghost.committed.len();
                    if count <= known {
                        let truth = &self.ghost.committed[count - 1];
                        assert_eq!(&server.applied[count - 1], truth, "seed {}: S{number}", self.seed);
                    } else {
                        self.ghost.committed.push(server.applied[count - 1].clone());
                        self.check_commit(number);
                    }
                }
                Output::ReadLog { after, limit } => {
                    let at = now + Duration::from_micros(300);
                    server.answers.push_back((at, Answer::Log { after, limit }));
                }
                Output::ReadSnapshot { learner, zxid, offset, limit } => {
                    let at = now + Duration::from_micros(300);
                    server.answers.push_back((at, Answer::Snapshot { learner, zxid, offset, limit }));
                }
                Output::SaveChunk(chunk) => {
                    let saving = |(_, answer): &(Time, Answer)| matches!(answer, Answer::Saved(_));
                    assert!(!server.answers.iter().any(saving), "one at a time");
                    server.answers.push_back((now + Duration::from_micros(300), Answer::Saved(chunk)));
                }
                Output::Forwarded { from, payload } => server.forwarded.push((from, payload)),
                Output::Answered { payload } => {
                    let delivered = server.applied.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
                    server.answered.push((delivered, payload));
                }
                Output::Established { epoch } => {
                    let before = self.ghost.leaders.insert(epoch, from);
                    assert!(before.is_none(), "epoch {epoch} has a second leader");
                    assert_eq!(zab.delivered(), zab.tip(), "a leader begins with all delivered");
                    assert!(server.applied.len() >= self.ghost.committed.len(), "a leader lacks something");
                }
                Output::Synced { .. } => {
                    let told = self.told.get(&from).copied().unwrap_or_default();
                    assert!(zab.delivered() >= told, "{from:?} serves at {} and not {told}", zab.delivered());
                }
                Output::LinkLost => server.links_lost += 1,
                Output::Confirmed(confirmation) => server.confirmed.push(confirmation),
                Output::StoodDown { reason } => server.ended.push(reason),
                Output::SnapshotWanted { at_least } => server.snapshots_wanted.push(at_least),
                Output::Note(note) => server.notes.push(note),
            }
        }
        let server = &self.servers[&from];
        let Some(zab) = &server.zab else { return };
        let applied = server.applied.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
        assert_eq!(zab.delivered(), applied);
        if let Some(candidate) = zab.candidate() {
            assert_eq!(candidate, (server.disk.current, server.disk.tip()), "a vote tells what is durable");
        }
    }

    fn send(&mut self, from: ServerId, to: ServerId, message: Message) {
        if let Body::UpToDate { committed } = message.body {
            self.told.insert(to, committed);
        }
        if self.keep_trace {
            self.trace.push((from, to, message.clone()));
        }
        self.inject(from, to, message);
    }

    /// Puts a message on the wire.
    pub(super) fn inject(&mut self, from: ServerId, to: ServerId, message: Message) {
        if self.rng.below(1000) < self.faults.lose {
            return;
        }
        let copies = 1 + u64::from(self.rng.below(1000) < self.faults.double);
        for _ in 0..copies {
            let mut delay = 200;
            if self.faults.jitter > 0 && self.rng.below(10) == 0 {
                delay += self.rng.below(self.faults.jitter);
            }
            self.sent += 1;
            let at = self.now + Duration::from_micros(delay);
            self.wire.insert((at, self.sent), (from, to, message.clone()));
        }
    }

    /// What was just delivered for the first time is durable on a majority, and was proposed by its leader.
    fn check_commit(&self, number: u64) {
        let (zxid, payload) = self.ghost.committed.last().unwrap();
        assert_eq!(self.ghost.proposed.get(zxid), Some(payload), "{zxid} was proposed by nobody");
        let position = self.ghost.committed.len() - 1;
        let config = &self.servers[&sid(number)].config;
        let reached = config.quorum.is_reached(|server| {
            let disk = &self.servers[&server].disk;
            disk.tip() >= *zxid && disk.history().get(position).is_some_and(|(there, _)| there == zxid)
        });
        assert!(reached, "seed {}: {zxid} is delivered by S{number} and not durable on a quorum", self.seed);
    }

    pub(super) fn describe(&self) -> String {
        let mut text = format!("at {}: {} on the wire\n", self.now, self.wire.len());
        for (server, state) in &self.servers {
            let Some(zab) = &state.zab else {
                text += &format!("{server:?} down, disk {:?}\n", state.disk.tip());
                continue;
            };
            text += &format!(
                "{server:?} {:?} of {:?} e{:?} tip {} durable {} committed {} delivered {} established {} synced {} settled {} aE {} cE {}\n  ended {:?}\n  notes {:?}\n",
                zab.role(),
                zab.leader(),
                zab.epoch(),
                zab.tip(),
                zab.durable_tip(),
                zab.committed(),
                zab.delivered(),
                zab.is_established(),
                zab.is_synced(),
                zab.is_settled(),
                zab.accepted_epoch(),
                zab.current_epoch(),
                state.ended.iter().rev().take(3).collect::<Vec<_>>(),
                state.notes.iter().rev().take(4).collect::<Vec<_>>(),
            );
        }
        text
    }

    /// The bodies that were sent, as far as the trace was kept.
    pub(super) fn bodies(&self, from: u64, to: u64) -> Vec<&Body> {
        let of = self.trace.iter().filter(|(a, b, _)| (*a, *b) == (sid(from), sid(to)));
        of.map(|(_, _, message)| &message.body).collect()
    }
}

impl Ghost {
    /// A disk that says its history is complete for an epoch holds what that epoch began with.
    fn check_step(&self, disk: &Disk, op: &LogOp) {
        if let LogOp::CurrentEpoch(epoch) = op {
            let initial = &self.initial[epoch];
            let history = disk.history();
            assert!(history.len() >= initial.len(), "epoch {epoch} stands before its history");
            assert_eq!(history[..initial.len()], initial[..], "epoch {epoch} stands on another history");
        }
    }
}
