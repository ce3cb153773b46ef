use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use crate::peer::{
    Answer, ClientRequest, Connect, Ensemble, Input, Message, Output, Peer, PeerConfig, PeerEvent, Request,
    Role,
};
use crate::types::{
    Acl, ClientId, ClusterId, CreateMode, Epoch, Lane, LogEntry, LogOp, Now, PersistId, Recovered, ServerId,
    Standing, Time, WallTime, Write, Zxid,
};

use super::intern::{Interner, fingerprint};
use super::replica::fits;
use super::search::Broken;

/// Something wrong with the processes of a model, so that it can be seen that the checker sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerFlaw {
    /// Every disk says that it is done before it is.
    EarlyDisk,
    /// No disk ever says that it is done.
    SilentDisk,
}

/// One server: its disk, and its process if that runs.
///
/// The production [`Peer`] is not to be copied, and needs not: the same inputs make the same peer. So what is kept of a state
/// is what came in, and how the peer prints after it.
#[derive(Clone)]
pub(super) struct Process {
    server: u64,
    lives: u64,
    clock: Time,
    accepted: Epoch,
    current: Epoch,
    pub(super) log: Vec<LogEntry>,
    /// On their way to the disk, entries one by one; the number of a batch is with its last part.
    pub(super) writes: Vec<(Option<PersistId>, LogOp)>,
    pub(super) life: Option<Life>,
}

/// What a process has been through, and what it has become by that.
#[derive(Clone)]
pub(super) struct Life {
    born: Time,
    found: Arc<Recovered>,
    past: Option<Arc<Past>>,
    printed: u128,
    pub(super) role: Role,
    pub(super) serving: bool,
    pub(super) epoch: Epoch,
    pub(super) applied: Zxid,
    pub(super) digest: u64,
    deadline: Option<Time>,
}

struct Past {
    before: Option<Arc<Past>>,
    at: Time,
    /// None: a deadline came.
    input: Option<Input>,
}

impl std::hash::Hash for Process {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.server, self.lives, self.clock, self.accepted, self.current).hash(state);
        (&self.log, &self.writes, self.life.as_ref().map(|life| life.printed)).hash(state);
    }
}

/// What happens to one server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Deed {
    /// The process starts.
    Boot,
    /// The process ends, and so many of the writes under way are on the disk.
    Crash { kept: usize },
    /// A message arrives.
    Hear { from: u64, message: u32 },
    /// It learns that another's process has ended.
    Gone(u64),
    /// The disk has done the next batch.
    Persisted,
    /// So many microseconds pass.
    Pass(u64),
    /// A client wants a session.
    Connect(u64),
    /// That client creates a node.
    Create(u64),
}

/// What a client is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    Attached(u64),
    Created(u64, Zxid),
    Closed(u64),
}

/// What comes of it.
#[derive(Clone, Debug, Default)]
pub(super) struct ProcessStep {
    /// The server's state afterwards.
    pub(super) next: u32,
    pub(super) sends: Vec<(u64, Lane, u32)>,
    pub(super) told: Vec<Told>,
    pub(super) broken: Option<Broken>,
}

/// All servers, each in every state that it was ever seen in.
///
/// The real machine takes each step once, for each state of one server and each deed; after that the answer is looked up.
pub(super) struct Processes {
    count: u64,
    flaw: Option<PeerFlaw>,
    states: Interner<Process>,
    messages: Vec<Message>,
    numbers: HashMap<u128, u32>,
    steps: HashMap<(u32, Deed), Arc<ProcessStep>>,
}

impl Processes {
    pub(super) fn new(count: u64, flaw: Option<PeerFlaw>) -> Self {
        Self {
            count,
            flaw,
            states: Interner::new(),
            messages: Vec::new(),
            numbers: HashMap::new(),
            steps: HashMap::new(),
        }
    }

    /// The state of a server that was never started.
    pub(super) fn unborn(&mut self, server: u64) -> u32 {
        self.states.number(Process {
            server,
            lives: 0,
            clock: Time::from_millis(1_000),
            accepted: Epoch::ZERO,
            current: Epoch::ZERO,
            log: Vec::new(),
            writes: Vec::new(),
            life: None,
        })
    }

    pub(super) fn state(&self, number: u32) -> &Process {
        self.states.get(number)
    }

    pub(super) fn local_states(&self) -> usize {
        self.states.len()
    }

    pub(super) fn message(&self, number: u32) -> Option<&Message> {
        self.messages.get(number as usize)
    }

    /// What the real machine and its disk do.
    pub(super) fn step(&mut self, state: u32, deed: Deed) -> Arc<ProcessStep> {
        if let Some(step) = self.steps.get(&(state, deed)) {
            return Arc::clone(step);
        }
        let mut process = self.states.value(state).as_ref().clone();
        let mut step = ProcessStep::default();
        step.broken = self.work(&mut process, deed, &mut step).err();
        step.next = self.states.number(process);
        let step = Arc::new(step);
        self.steps.insert((state, deed), Arc::clone(&step));
        step
    }

    fn work(&mut self, process: &mut Process, deed: Deed, step: &mut ProcessStep) -> Result<(), Broken> {
        let input = match deed {
            Deed::Boot => {
                process.lives += 1;
                return self.live(process, None, step);
            }
            Deed::Crash { kept } => {
                process.life = None;
                for (_, op) in std::mem::take(&mut process.writes).into_iter().take(kept) {
                    process.write(op)?;
                }
                return Ok(());
            }
            Deed::Hear { from, message } => {
                let Some(message) = self.message(message).cloned() else { return Ok(()) };
                Some(Input::Message { from: ServerId::new(from), message })
            }
            Deed::Gone(other) => Some(Input::PeerGone(ServerId::new(other))),
            Deed::Persisted => {
                let mut done = None;
                while done.is_none() && !process.writes.is_empty() {
                    let (id, op) = process.writes.remove(0);
                    process.write(op)?;
                    done = id;
                }
                let Some(id) = done.filter(|_| self.flaw.is_none()) else { return Ok(()) };
                Some(Input::Persisted(id))
            }
            Deed::Pass(micros) => {
                process.clock += Duration::from_micros(micros);
                let due = process.life.as_ref().and_then(|life| life.deadline);
                if due.is_none_or(|due| due > process.clock) {
                    return Ok(());
                }
                None
            }
            Deed::Connect(client) => Some(Input::Connect(Connect {
                client: ClientId::new(client),
                resume: None,
                timeout_millis: 60_000,
                last_seen: Zxid::ZERO,
                identities: Vec::new(),
            })),
            Deed::Create(client) => {
                let path = format!("/of-{client}").as_str().into();
                let write =
                    Write::Create { path, data: None, acl: Acl::open(), mode: CreateMode::PERSISTENT };
                let request = Request::Write { write, number: None };
                Some(Input::Request(ClientRequest { client: ClientId::new(client), tag: 1, request }))
            }
        };
        self.live(process, Some(input), step)
    }

    /// Makes the peer again that the process has become, and lets it live on with one more input (inner none: a deadline), or,
    /// where there is none, from its start.
    fn live(
        &mut self,
        process: &mut Process,
        input: Option<Option<Input>>,
        step: &mut ProcessStep,
    ) -> Result<(), Broken> {
        let before = match (&process.life, &input) {
            (None, Some(_)) => return Ok(()),
            (life, _) => life.clone(),
        };
        let (born, found, mut past) = match before {
            Some(life) => (life.born, life.found, life.past),
            None => (process.clock, Arc::new(process.recover()), None),
        };
        let config = self.config(process);
        let made = Peer::new(config, found.as_ref().clone(), None, now(born));
        let mut peer =
            made.map_err(|error| Broken::new("StepsFit", format!("S{}: {error}", process.server)))?;
        if input.is_some() {
            while peer.poll_output().is_some() {}
        }
        for (at, input) in Past::in_order(past.as_ref()) {
            feed(&mut peer, at, input);
            while peer.poll_output().is_some() {}
        }
        let mut waiting = Vec::from_iter(input);
        loop {
            if let Some(input) = waiting.pop() {
                feed(&mut peer, process.clock, input.clone());
                past = Some(Arc::new(Past { before: past, at: process.clock, input }));
            }
            while let Some(output) = peer.poll_output() {
                waiting.extend(self.carry_out(process, output, step)?.map(Some));
            }
            if waiting.is_empty() {
                break;
            }
        }
        let status = peer.status(now(process.clock));
        let deadline = peer.poll_timeout();
        if deadline.is_some_and(|deadline| deadline <= process.clock) {
            let what = format!("S{} is to be called again at once", process.server);
            return Err(Broken::new("DeadlinesLieAhead", what));
        }
        let mut printed = String::with_capacity(8_192);
        // To a String it cannot fail.
        let _ = write!(printed, "{peer:?}");
        process.life = Some(Life {
            born,
            found,
            past,
            printed: fingerprint(&printed),
            role: status.role,
            serving: status.serving,
            epoch: status.epoch,
            applied: status.applied,
            digest: status.digest,
            deadline,
        });
        Ok(())
    }

    /// Does what a peer asks for; what is answered at once is returned.
    fn carry_out(
        &mut self,
        process: &mut Process,
        output: Output,
        step: &mut ProcessStep,
    ) -> Result<Option<Input>, Broken> {
        let server = process.server;
        match output {
            Output::Persist { id, batch } => {
                process.enqueue(id, batch.ops);
                if self.flaw == Some(PeerFlaw::EarlyDisk) {
                    return Ok(Some(Input::Persisted(id)));
                }
            }
            Output::Send { to, lane, message } => {
                let number = self.number(message);
                step.sends.push((to.number(), lane, number));
            }
            Output::ReadLog { after, .. } => {
                let entries = process.log.iter().filter(|entry| entry.zxid > after).cloned().collect();
                return Ok(Some(Input::LogRead { after, entries }));
            }
            Output::ReadSnapshot { .. } | Output::SaveSnapshot(_) => {
                return Err(Broken::new("ModelSuffices", format!("S{server} asks for a snapshot")));
            }
            Output::Connected(connected) => step.told.push(Told::Attached(connected.client.number())),
            Output::Reply(reply) => match reply.result {
                Ok(Answer::Written(_)) => step.told.push(Told::Created(reply.client.number(), reply.zxid)),
                other => return Err(Broken::new("WritesAreAnswered", format!("S{server}: {other:?}"))),
            },
            Output::Closed { client, .. } => step.told.push(Told::Closed(client.number())),
            Output::Event(PeerEvent::PeerMisbehaved { peer, what }) => {
                return Err(Broken::new("NobodyIsAccused", format!("S{server} of S{peer}: {what}")));
            }
            Output::Event(_) | Output::Watch { .. } => {}
            Output::Halt(why) => return Err(Broken::new("NobodyHalts", format!("S{server}: {why}"))),
        }
        Ok(None)
    }

    fn number(&mut self, message: Message) -> u32 {
        let messages = &mut self.messages;
        *self.numbers.entry(fingerprint(&format!("{message:?}"))).or_insert_with(|| {
            messages.push(message);
            u32::try_from(messages.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn config(&self, process: &Process) -> PeerConfig {
        let mut seed = [0; 32];
        for (slot, byte) in
            seed.iter_mut().zip([process.server, process.lives].map(u64::to_le_bytes).concat())
        {
            *slot = byte;
        }
        let ensemble = Ensemble::majority((1..=self.count).map(ServerId::new));
        PeerConfig::new(ClusterId::new(1), ServerId::new(process.server), ensemble, seed)
    }
}

impl Process {
    /// How many microseconds its next deadline is away; none of a process that does not run.
    pub(super) fn rest(&self) -> Option<u64> {
        let deadline = self.life.as_ref()?.deadline?;
        u64::try_from(deadline.since(self.clock).as_micros()).ok()
    }

    /// Whether its disk holds this entry.
    pub(super) fn holds(&self, zxid: Zxid) -> bool {
        self.log.iter().any(|entry| entry.zxid == zxid)
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

    fn enqueue(&mut self, id: PersistId, ops: Vec<LogOp>) {
        for op in ops {
            match op {
                LogOp::Append(entries) => {
                    self.writes.extend(entries.into_iter().map(|entry| (None, LogOp::Append(vec![entry]))));
                }
                op => self.writes.push((None, op)),
            }
        }
        match self.writes.last_mut() {
            Some((last @ None, _)) => *last = Some(id),
            // A batch of nothing, which no peer asks for: the disk refuses this.
            _ => self.writes.push((Some(id), LogOp::PurgeUpTo(Zxid::ZERO))),
        }
    }

    /// The disk takes a part of a step, and is strict about it.
    fn write(&mut self, op: LogOp) -> Result<(), Broken> {
        if !fits(&op, self.accepted, self.current, &self.log) {
            let what = format!("S{}'s disk, at {}/{}: {op:?}", self.server, self.accepted, self.current);
            return Err(Broken::new("StepsFit", what));
        }
        match op {
            LogOp::AcceptedEpoch(epoch) => self.accepted = epoch,
            LogOp::CurrentEpoch(epoch) => self.current = epoch,
            LogOp::Append(entries) => self.log.extend(entries),
            LogOp::TruncateAfter(at) => self.log.retain(|entry| entry.zxid <= at),
            LogOp::ResetTo(_) | LogOp::PurgeUpTo(_) => {}
        }
        Ok(())
    }
}

impl Past {
    /// All that came in, oldest first.
    fn in_order(last: Option<&Arc<Self>>) -> Vec<(Time, Option<Input>)> {
        let mut all = Vec::new();
        let mut at = last;
        while let Some(past) = at {
            all.push((past.at, past.input.clone()));
            at = past.before.as_ref();
        }
        all.reverse();
        all
    }
}

fn feed(peer: &mut Peer, at: Time, input: Option<Input>) {
    match input {
        Some(input) => peer.handle_input(now(at), input),
        None => peer.handle_timeout(now(at)),
    }
}

/// The wall shows the same always: nothing is decided by it.
fn now(time: Time) -> Now {
    Now { time, wall: WallTime::from_millis(0) }
}
