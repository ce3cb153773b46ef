use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::types::{Epoch, Lane, LogEntry, LogOp, Recovered, SeededRng, ServerId, Standing, Time, Zxid};
use crate::zab::{Body, Message, Note, Output, Role, Ticket, Zab, ZabConfig};

use super::intern::Interner;
use super::links::Links;
use super::search::Broken;

/// The instant at which every server always is: its machine is moved back to it after each step.
const NOW: Time = Time::from_millis(100_000_000);

/// Longer than anything that a server waits for.
const FOR_EVER: Duration = Duration::from_secs(10_000);

/// More lives than a server ever has.
const HUSK: u64 = 100;

/// Something wrong with the servers of a model, so that it can be seen that the checker sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZabFlaw {
    /// Every disk says that it is done before it is.
    EarlyDisk,
    /// Every disk writes epochs before the entries that were to be written before them.
    HastyEpochs,
    /// Every server takes any single server for a quorum.
    SingleQuorum,
}

/// One server: its disk, and its process if that runs.
#[derive(Clone, Hash)]
pub(super) struct Replica {
    server: u64,
    pub(super) zab: Option<Zab>,
    pub(super) accepted: Epoch,
    pub(super) current: Epoch,
    pub(super) log: Vec<LogEntry>,
    /// On their way to the disk, entries one by one; the ticket is with the last part of each step.
    writes: Vec<(Option<Ticket>, LogOp)>,
    /// How many entries the process has applied.
    pub(super) applied: usize,
    lives: u64,
    pub(super) links: Links,
}

/// What happens to one server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Input {
    /// The process starts.
    Boot,
    /// The process ends, and so many of the writes under way are on the disk.
    Crash { kept: usize },
    /// It was elected.
    Lead,
    /// Another one was elected.
    Follow(u64),
    /// A message arrives.
    Arrive { from: u64, message: u32 },
    /// The disk has done the next step.
    Persisted,
    /// It hears nothing for so long that it gives up its role.
    TimeOut,
    /// Its next deadline comes: a heartbeat is due, or another try.
    Tick,
    /// It proposes the transaction of this number.
    Propose(u32),
}

/// What comes of it.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplicaStep {
    /// The server's state afterwards.
    pub(super) next: u32,
    pub(super) sends: Vec<(u64, Lane, u32)>,
    /// Entries that were applied, and how many were applied before.
    pub(super) applied: Vec<(usize, LogEntry)>,
    pub(super) proposed: Option<LogEntry>,
    /// As a leader it begins this epoch with its log as it is.
    pub(super) begins: Option<Epoch>,
    pub(super) established: Option<Epoch>,
    /// Its disk holds from now on that its history is complete for this epoch.
    pub(super) entered: Option<Epoch>,
    pub(super) broken: Option<Broken>,
}

/// All servers, each in every state that it was ever seen in.
///
/// The real machine takes each step once, for each state of one server and each input; after that the answer is looked up.
pub(super) struct Replicas {
    count: u64,
    flaw: Option<ZabFlaw>,
    states: Interner<Replica>,
    messages: Interner<Message>,
    steps: HashMap<(u32, Input), Arc<ReplicaStep>>,
}

impl Replicas {
    pub(super) fn new(count: u64, flaw: Option<ZabFlaw>) -> Self {
        Self { count, flaw, states: Interner::new(), messages: Interner::new(), steps: HashMap::new() }
    }

    /// The state of a server that was never started.
    pub(super) fn unborn(&mut self, server: u64) -> u32 {
        self.states.number(Replica {
            server,
            zab: None,
            accepted: Epoch::ZERO,
            current: Epoch::ZERO,
            log: Vec::new(),
            writes: Vec::new(),
            applied: 0,
            lives: 0,
            links: Links::default(),
        })
    }

    /// A server of which nothing matters any more but its disk.
    pub(super) fn husk(&mut self, state: u32) -> u32 {
        let husk = Replica {
            zab: None,
            writes: Vec::new(),
            applied: 0,
            lives: HUSK,
            links: Links::default(),
            ..self.states.get(state).clone()
        };
        self.states.number(husk)
    }

    pub(super) fn local_states(&self) -> usize {
        self.states.len()
    }

    pub(super) fn state(&self, number: u32) -> &Replica {
        self.states.get(number)
    }

    pub(super) fn message(&self, number: u32) -> Arc<Message> {
        self.messages.value(number)
    }

    /// What the real machine and its disk do.
    pub(super) fn step(&mut self, state: u32, input: Input) -> Arc<ReplicaStep> {
        if let Some(step) = self.steps.get(&(state, input)) {
            return Arc::clone(step);
        }
        let mut replica = self.states.value(state).as_ref().clone();
        let mut step = ReplicaStep::default();
        step.broken = self.work(&mut replica, input, &mut step).err();
        step.next = self.states.number(replica);
        let step = Arc::new(step);
        self.steps.insert((state, input), Arc::clone(&step));
        step
    }

    fn work(&mut self, replica: &mut Replica, input: Input, step: &mut ReplicaStep) -> Result<(), Broken> {
        let mut now = NOW;
        match input {
            Input::Boot => {
                replica.lives += 1;
                let seed = replica.server * 1_000 + replica.lives;
                let config = self.config(replica.server);
                let zab = Zab::new(config, replica.recover(), SeededRng::from_number(seed));
                replica.zab = Some(zab);
            }
            Input::Crash { kept } => {
                replica.zab = None;
                replica.links = Links::default();
                replica.applied = 0;
                for (_, op) in std::mem::take(&mut replica.writes).into_iter().take(kept) {
                    replica.write(op, step)?;
                }
            }
            Input::Persisted => {
                let mut done = None;
                while done.is_none() && !replica.writes.is_empty() {
                    let (ticket, op) = replica.writes.remove(0);
                    replica.write(op, step)?;
                    done = ticket;
                }
                if let (Some(ticket), Some(zab)) = (done, &mut replica.zab) {
                    zab.handle_persisted(NOW, ticket);
                }
            }
            Input::Lead => replica.zab.iter_mut().for_each(|zab| zab.lead(NOW)),
            Input::Follow(leader) => {
                replica.zab.iter_mut().for_each(|zab| zab.follow(NOW, ServerId::new(leader)));
            }
            Input::Arrive { from, message } => {
                let message = self.messages.value(message);
                if let Some(zab) = &mut replica.zab {
                    replica.links.receive(from, &message);
                    zab.handle_message(NOW, ServerId::new(from), message.as_ref().clone());
                }
            }
            Input::TimeOut | Input::Tick => {
                if let Some(zab) = &mut replica.zab {
                    let next = zab.poll_timeout().unwrap_or(NOW);
                    now = if input == Input::Tick { next } else { NOW + FOR_EVER };
                    zab.handle_timeout(now);
                }
            }
            Input::Propose(number) => {
                if let Some(zab) = &mut replica.zab {
                    let payload = Bytes::from(format!("{number} of S{}", replica.server));
                    let zxid = zab.propose(payload.clone());
                    step.proposed = zxid.ok().map(|zxid| LogEntry { zxid, payload });
                }
            }
        }
        self.drain(replica, step)?;
        let Some(zab) = &mut replica.zab else { return Ok(()) };
        if zab.poll_timeout().is_some_and(|next| next <= now) {
            return Err(Broken::new("DeadlinesLieAhead", format!("S{} at once again", replica.server)));
        }
        if input == Input::TimeOut && zab.role() != Role::Idle {
            let what = format!("S{} is {:?} whatever happens", replica.server, zab.role());
            return Err(Broken::new("RolesEnd", what));
        }
        zab.rebase(NOW);
        replica.links.settle(zab);
        replica.judge_candidate()
    }

    /// Carries out what the machine asks for.
    fn drain(&mut self, replica: &mut Replica, step: &mut ReplicaStep) -> Result<(), Broken> {
        while let Some(output) = replica.zab.as_mut().and_then(Zab::poll_output) {
            match output {
                Output::Persist { ticket, op } => {
                    if let LogOp::CurrentEpoch(epoch) = op
                        && replica.role() == Role::Leader
                    {
                        step.begins = Some(epoch);
                    }
                    self.enqueue(replica, ticket, op);
                }
                Output::Send { to, lane, message } => {
                    replica.judge_message(&message)?;
                    replica.links.send(to.number(), &message);
                    step.sends.push((to.number(), lane, self.messages.number(message)));
                }
                Output::Deliver { zxid, payload } => {
                    let entry = LogEntry { zxid, payload };
                    if replica.log.get(replica.applied) != Some(&entry) {
                        let what =
                            format!("S{} applies {zxid}; its disk holds {:?}", replica.server, replica.log);
                        return Err(Broken::new("AppliedIsDurable", what));
                    }
                    step.applied.push((replica.applied, entry));
                    replica.applied += 1;
                }
                Output::Established { epoch } => step.established = Some(epoch),
                Output::Note(Note::Misbehaved { peer, what }) => {
                    let what = format!("S{} says of S{peer}: {what}", replica.server);
                    return Err(Broken::new("NobodyIsAccused", what));
                }
                Output::ReadLog { .. }
                | Output::ReadSnapshot { .. }
                | Output::SnapshotWanted { .. }
                | Output::SaveChunk(_)
                | Output::Forwarded { .. }
                | Output::Answered { .. }
                | Output::Confirmed(_) => {
                    let what = format!("S{} asks for {output:?}", replica.server);
                    return Err(Broken::new("ModelSuffices", what));
                }
                Output::Synced { .. } | Output::LinkLost | Output::StoodDown { .. } | Output::Note(_) => {}
            }
        }
        Ok(())
    }

    /// Puts a step on its way to the disk.
    fn enqueue(&self, replica: &mut Replica, ticket: Ticket, op: LogOp) {
        let mut parts = match op {
            LogOp::Append(entries) => {
                entries.into_iter().map(|entry| (None, LogOp::Append(vec![entry]))).collect()
            }
            op => vec![(None, op)],
        };
        if let Some((last, _)) = parts.last_mut() {
            *last = Some(ticket);
        }
        match self.flaw {
            Some(ZabFlaw::HastyEpochs) if matches!(parts.first(), Some((_, LogOp::CurrentEpoch(_)))) => {
                replica.writes.splice(0..0, parts);
            }
            _ => replica.writes.append(&mut parts),
        }
        if let (Some(ZabFlaw::EarlyDisk), Some(zab)) = (self.flaw, &mut replica.zab) {
            zab.handle_persisted(NOW, ticket);
        }
    }

    fn config(&self, server: u64) -> ZabConfig {
        let all = (1..=self.count).map(ServerId::new);
        let mut config = ZabConfig::majority(ServerId::new(server), all.clone());
        if self.flaw == Some(ZabFlaw::SingleQuorum) {
            // Whoever has it has more than half of what counts.
            let weights = all.map(|member| (member, u32::from(member.number() == server), 0));
            config.quorum = crate::quorum::Quorum::hierarchical(weights);
        }
        // So short that another try comes after one and the same span each time.
        config.heartbeat = Duration::from_micros(2);
        config
    }
}

/// Whether a disk that holds this can be asked to take this part of a step.
pub(super) fn fits(op: &LogOp, accepted: Epoch, current: Epoch, log: &[LogEntry]) -> bool {
    let tip = log.last().map_or(Zxid::ZERO, |entry| entry.zxid);
    match op {
        LogOp::AcceptedEpoch(epoch) => *epoch > accepted,
        LogOp::CurrentEpoch(epoch) => *epoch > current && *epoch <= accepted,
        LogOp::Append(entries) => entries.first().is_some_and(|entry| entry.zxid.follows(tip)),
        LogOp::TruncateAfter(to) => *to == Zxid::ZERO || log.iter().any(|entry| entry.zxid == *to),
        LogOp::ResetTo(_) | LogOp::PurgeUpTo(_) => false,
    }
}

impl Replica {
    pub(super) fn role(&self) -> Role {
        self.zab.as_ref().map_or(Role::Idle, Zab::role)
    }

    /// Whom it follows; itself, if it leads.
    pub(super) fn leader(&self) -> Option<u64> {
        self.zab.as_ref().and_then(Zab::leader).map(ServerId::number)
    }

    pub(super) fn is_up(&self) -> bool {
        self.zab.is_some()
    }

    /// Whether nothing of it matters any more but its disk.
    pub(super) fn is_husk(&self) -> bool {
        self.zab.is_none() && self.lives == HUSK
    }

    /// Without a role, and nothing on its way to the disk: an election may give it one.
    pub(super) fn is_free(&self) -> bool {
        self.zab.as_ref().is_some_and(|zab| zab.role() == Role::Idle && zab.is_settled())
    }

    /// Whether it leads with a quorum.
    pub(super) fn is_established(&self) -> bool {
        self.zab.as_ref().is_some_and(Zab::is_established)
    }

    /// Whether it follows and may serve.
    pub(super) fn is_synced(&self) -> bool {
        self.zab.as_ref().is_some_and(Zab::is_synced)
    }

    /// Whether it leads, and the history that its epoch begins with is fixed.
    pub(super) fn has_begun(&self) -> bool {
        let begun = |zab: &Zab| zab.role() == Role::Leader && zab.epoch() == Some(zab.current_epoch());
        self.zab.as_ref().is_some_and(begun)
    }

    /// Whether it leads and has a link with this server.
    pub(super) fn has_learner(&self, sid: u64) -> bool {
        let has = |zab: &Zab| zab.learners().any(|learner| learner.server.number() == sid);
        self.zab.as_ref().is_some_and(has)
    }

    /// How many parts of steps are on their way to the disk.
    pub(super) fn writes(&self) -> usize {
        self.writes.len()
    }

    /// The last entry on the disk.
    pub(super) fn tip(&self) -> Zxid {
        self.log.last().map_or(Zxid::ZERO, |entry| entry.zxid)
    }

    /// Whether its next deadline is another try to join rather than the end of its patience.
    pub(super) fn retries(&self) -> bool {
        let deadline = self.zab.as_ref().and_then(Zab::poll_timeout);
        deadline.is_some_and(|deadline| deadline.since(NOW) < Duration::from_millis(100))
    }

    fn recover(&self) -> Recovered {
        Recovered {
            accepted_epoch: self.accepted,
            current_epoch: self.current,
            snapshot: None,
            log_start: Zxid::ZERO,
            log: self.log.clone(),
            standing: Standing::Whole,
        }
    }

    /// The disk takes a part of a step, and is strict about it.
    fn write(&mut self, op: LogOp, step: &mut ReplicaStep) -> Result<(), Broken> {
        let tip = self.tip();
        if !fits(&op, self.accepted, self.current, &self.log) {
            let what =
                format!("S{}'s disk, with {tip} at {}/{}: {op:?}", self.server, self.accepted, self.current);
            return Err(Broken::new("StepsFit", what));
        }
        match op {
            LogOp::AcceptedEpoch(epoch) => self.accepted = epoch,
            LogOp::CurrentEpoch(epoch) => {
                self.current = epoch;
                step.entered = Some(epoch);
            }
            LogOp::Append(entries) => self.log.extend(entries),
            LogOp::TruncateAfter(to) => self.log.retain(|entry| entry.zxid <= to),
            LogOp::ResetTo(_) | LogOp::PurgeUpTo(_) => {}
        }
        Ok(())
    }

    /// What is said of the disk is on the disk.
    fn judge_message(&self, message: &Message) -> Result<(), Broken> {
        let is_true = match &message.body {
            Body::LeaderInfo { epoch, .. } => self.accepted >= *epoch,
            Body::AckEpoch(ack) => {
                self.accepted >= ack.epoch && (ack.current, ack.tip) == (self.current, self.tip())
            }
            Body::Ack { zxid } => self.log.iter().any(|entry| entry.zxid == *zxid) || *zxid == Zxid::ZERO,
            Body::AckNewLeader { epoch } => self.current == *epoch,
            _ => true,
        };
        let disk = || format!("{} at {}/{}", self.tip(), self.accepted, self.current);
        let what = || format!("S{} says {:?}; its disk holds {}", self.server, message.body, disk());
        if is_true { Ok(()) } else { Err(Broken::new("AcknowledgedIsDurable", what())) }
    }

    /// What a server may say of itself in an election is what it would say after a restart.
    fn judge_candidate(&self) -> Result<(), Broken> {
        let said = self.zab.as_ref().and_then(Zab::candidate);
        let is_true = said.is_none_or(|said| said == (self.current, self.tip()));
        let what = || format!("S{} says {said:?} and holds {:?}", self.server, (self.current, self.tip()));
        if is_true { Ok(()) } else { Err(Broken::new("VotesAreHonest", what())) }
    }
}
