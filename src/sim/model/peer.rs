use std::collections::BTreeMap;

use crate::peer::Role;
use crate::quorum::Quorum;
use crate::types::{Epoch, Lane, ServerId, Zxid};

use super::intern::{Interner, fingerprint_of_numbers};
use super::process::{Deed, PeerFlaw, Process, Processes, Told};
use super::search::{Broken, Model, ModelReport, get, search, set};

/// How often time may pass with all servers there before they have to be what they should be.
const PATIENCE: u32 = 60;

/// The bounds within which every behaviour of whole peers is seen: elections, ZAB, tree and session together.
///
/// The servers are the production [`Peer`](crate::peer::Peer). All start, elect a leader, and a client opens a session at a
/// follower and creates a node. Links, disks and the client take their turns: each lane of each link delivers its oldest message,
/// each disk finishes its oldest batch, the client does what it does next. Time passes when nothing is under way. From that
/// order the bounds allow so many deviations, each at any moment. (Delay-bounded scheduling: Emmi, Qadeer, Rakamarić, 2011.)
///
/// A server that crashed may start again whenever nothing is under way, and has to when time has passed `away` times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerBounds {
    /// How many servers there are; a majority decides.
    pub servers: u64,
    /// How often something's turn may be passed over; none: there are no turns, everything goes at any speed.
    pub delays: Option<u32>,
    /// How many deadlines may come early, at one server: its clock is ahead from then on.
    pub deadlines: u32,
    /// How many processes may crash. What is on its way to the disk is written up to any part.
    pub crashes: u32,
    /// How often time may pass until a server that crashed starts again.
    pub away: u32,
    /// Something wrong with the servers, to see that it is found.
    pub flaw: Option<PeerFlaw>,
    /// The search ends incomplete at so many states.
    pub limit: u64,
}

impl PeerBounds {
    /// So many servers, nothing late, no faults.
    #[must_use]
    pub fn new(servers: u64) -> Self {
        Self { servers, delays: Some(0), deadlines: 0, crashes: 0, away: 2, flaw: None, limit: u64::MAX }
    }

    /// Sees every behaviour within the bounds, and judges every state of each:
    ///
    /// - *Agreement*: servers that have applied up to one position are in one state there;
    /// - *OneLeaderPerEpoch*: no two servers ever lead a quorum in one epoch;
    /// - *CommittedIsDurable*: the node that the client was told of is for ever on the disks of a quorum;
    /// - *WritesAreAnswered*: the client's write is executed where its session lives;
    /// - *StepsFit*: nothing is asked of a disk that does not fit what is on it;
    /// - *NobodyIsAccused*, *NobodyHalts*: no server, all being correct, finds that another misbehaves, or stops for good;
    /// - *DeadlinesLieAhead*: after each step the next deadline is still to come;
    /// - *PeersComeToLife*: when faults and deviations have ended, all servers come to one leader and one state, and the client's
    ///   write is executed.
    pub fn check(&self) -> ModelReport {
        search(&mut PeerModel::new(self), self.limit)
    }
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Whose turn it is does what it does next.
    Turn(usize),
    /// Its turn passes.
    Delay(usize),
    /// Time passes for all servers alike, until the next deadline.
    Pass,
    /// A server's next deadline comes, though it has not for others.
    Deadline(usize),
    /// A process ends, with so many of the writes under way done.
    Crash { server: usize, kept: usize },
    /// It starts again.
    Boot(usize),
}

/// What is under way on a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Parcel {
    Message(u32),
    /// The process at the other end has ended.
    Gone,
}

/// The only client: what it has come to, with the number of its connection and the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Client {
    /// Its last connection had this number.
    Free(u64),
    Connecting(u64, usize),
    Attached(u64, usize),
    Creating(u64, usize),
    Done(Zxid),
}

/// What nobody knows and must be so.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Ghost {
    /// The digest of the state at each position.
    states: BTreeMap<Zxid, u64>,
    leaders: BTreeMap<Epoch, usize>,
}

struct PeerModel<'a> {
    bounds: &'a PeerBounds,
    processes: Processes,
    clients: Interner<Client>,
    ghosts: Interner<Ghost>,
    queues: Interner<Vec<Parcel>>,
    /// From and to, of each lane of each link; the urgent one stands before the other.
    links: Vec<(usize, usize, Lane)>,
}

/// The places of a state's numbers: servers, then these, then links.
const CLIENT: usize = 0;
const GHOST: usize = 1;
const PASSED: usize = 2;
const DELAYS: usize = 3;
const DEADLINES: usize = 4;
const CRASHES: usize = 5;
/// Whose turn it is: links, then disks, then the client.
const TURN: usize = 6;
const COUNTERS: usize = 7;

impl<'a> PeerModel<'a> {
    fn new(bounds: &'a PeerBounds) -> Self {
        let servers = 0..usize::try_from(bounds.servers).unwrap_or_default();
        let pairs = servers.clone().flat_map(|from| servers.clone().map(move |to| (from, to)));
        let lanes = |(from, to)| [Lane::Urgent, Lane::Bulk].map(|lane| (from, to, lane));
        Self {
            bounds,
            processes: Processes::new(bounds.servers, bounds.flaw),
            clients: Interner::new(),
            ghosts: Interner::new(),
            queues: Interner::new(),
            links: pairs.filter(|(from, to)| from != to).flat_map(lanes).collect(),
        }
    }

    fn servers(&self) -> usize {
        usize::try_from(self.bounds.servers).unwrap_or_default()
    }

    fn process(&self, state: &[u32], server: usize) -> &Process {
        self.processes.state(get(state, server))
    }

    /// The place of a counter in a state.
    fn place(&self, counter: usize) -> usize {
        self.servers() + counter
    }

    fn counter(&self, state: &[u32], counter: usize) -> u32 {
        get(state, self.place(counter))
    }

    fn set_counter(&self, state: &mut [u32], counter: usize, value: u32) {
        set(state, self.place(counter), value);
    }

    /// Takes something off a counter that has something left.
    fn spend(&self, state: &mut [u32], counter: usize) {
        self.set_counter(state, counter, self.counter(state, counter).saturating_sub(1));
    }

    fn client(&self, state: &[u32]) -> Client {
        *self.clients.get(self.counter(state, CLIENT))
    }

    fn set_client(&mut self, state: &mut [u32], client: Client) {
        let number = self.clients.number(client);
        self.set_counter(state, CLIENT, number);
    }

    fn queue(&self, state: &[u32], link: usize) -> &Vec<Parcel> {
        self.queues.get(get(state, self.servers() + COUNTERS + link))
    }

    fn set_queue(&mut self, state: &mut [u32], link: usize, queue: Vec<Parcel>) {
        set(state, self.servers() + COUNTERS + link, self.queues.number(queue));
    }

    fn slots(&self) -> usize {
        self.links.len() + self.servers() + 1
    }

    /// Whether whose turn this is has something to do.
    fn is_ready(&self, state: &[u32], slot: usize) -> bool {
        if let Some((_, _, lane)) = self.links.get(slot) {
            return match self.queue(state, slot).first() {
                // All that it said comes first.
                Some(Parcel::Gone) => *lane == Lane::Urgent || self.queue(state, slot - 1).is_empty(),
                first => first.is_some(),
            };
        }
        let server = slot - self.links.len();
        if server < self.servers() {
            let process = self.process(state, server);
            return process.life.is_some() && !process.writes.is_empty();
        }
        match self.client(state) {
            Client::Free(_) => self.home(state).is_some(),
            Client::Attached(..) => true,
            Client::Connecting(..) | Client::Creating(..) | Client::Done(_) => false,
        }
    }

    /// Where the client goes: to a follower that serves, else to the leader.
    fn home(&self, state: &[u32]) -> Option<usize> {
        let serves = |role: fn(Role) -> bool| {
            (0..self.servers()).find(|server| {
                let life = self.process(state, *server).life.as_ref();
                life.is_some_and(|life| life.serving && role(life.role))
            })
        };
        serves(|role| role == Role::Following).or_else(|| serves(|role| role == Role::Leading))
    }

    fn next_in_turn(&self, state: &[u32]) -> Option<usize> {
        let turn = self.counter(state, TURN) as usize;
        (turn..self.slots()).chain(0..turn).find(|slot| self.is_ready(state, *slot))
    }

    fn set_turn(&self, state: &mut [u32], slot: usize) {
        if self.bounds.delays.is_none() {
            return;
        }
        let turn = slot.checked_rem(self.slots()).unwrap_or_default();
        self.set_counter(state, TURN, u32::try_from(turn).unwrap_or_default());
    }

    /// Whether all servers are there, in one state under one leader, and the client has what it wanted.
    fn is_at_its_goal(&self, state: &[u32]) -> bool {
        let Client::Done(zxid) = self.client(state) else { return false };
        let mut lives = (0..self.servers()).map(|server| self.process(state, server).life.as_ref());
        let Some(Some(first)) = lives.next() else { return false };
        let alike = |life: Option<&super::process::Life>| {
            life.is_some_and(|life| {
                life.serving && life.applied == first.applied && life.epoch == first.epoch
            })
        };
        first.serving && first.applied >= zxid && lives.all(alike)
    }

    /// Lets a server do something, and judges what comes of it.
    fn step(&mut self, state: &mut [u32], server: usize, deed: Deed) -> Result<(), Broken> {
        let step = self.processes.step(get(state, server), deed);
        if let Some(broken) = &step.broken {
            return Err(broken.clone());
        }
        set(state, server, step.next);
        for (to, lane, message) in &step.sends {
            let to = usize::try_from(to - 1).unwrap_or_default();
            if self.process(state, to).life.is_some() {
                self.send(state, (server, to, *lane), Parcel::Message(*message));
            }
        }
        for told in &step.told {
            self.hear(state, *told)?;
        }
        self.judge(state, server)
    }

    fn send(&mut self, state: &mut [u32], link: (usize, usize, Lane), parcel: Parcel) {
        if let Some(link) = self.links.iter().position(|other| *other == link) {
            let mut queue = self.queue(state, link).clone();
            queue.push(parcel);
            self.set_queue(state, link, queue);
        }
    }

    fn hear(&mut self, state: &mut [u32], told: Told) -> Result<(), Broken> {
        let next = match (told, self.client(state)) {
            (Told::Attached(number), Client::Connecting(own, at)) if number == own => {
                Client::Attached(own, at)
            }
            (Told::Created(number, zxid), Client::Creating(own, _)) if number == own => Client::Done(zxid),
            (
                Told::Closed(number),
                Client::Connecting(own, _) | Client::Attached(own, _) | Client::Creating(own, _),
            ) if number == own => Client::Free(own),
            // Of a connection that it has left.
            (Told::Closed(_), _) => return Ok(()),
            (told, client) => {
                return Err(Broken::new(
                    "WritesAreAnswered",
                    format!("{told:?} to a client that is {client:?}"),
                ));
            }
        };
        self.set_client(state, next);
        Ok(())
    }

    fn judge(&mut self, state: &mut [u32], server: usize) -> Result<(), Broken> {
        let process = self.process(state, server);
        let seen = process.life.as_ref().map(|life| {
            let leads = life.role == Role::Leading && life.serving;
            (life.applied, life.digest, leads.then_some(life.epoch))
        });
        if let Some((applied, digest, leads)) = seen {
            let mut ghost = self.ghosts.get(self.counter(state, GHOST)).clone();
            if *ghost.states.entry(applied).or_insert(digest) != digest {
                let what = format!("S{} is in another state at {applied} than others were", server + 1);
                return Err(Broken::new("Agreement", what));
            }
            if let Some(epoch) = leads
                && *ghost.leaders.entry(epoch).or_insert(server) != server
            {
                let what = format!("S{} leads in epoch {epoch}, in which another one led", server + 1);
                return Err(Broken::new("OneLeaderPerEpoch", what));
            }
            let number = self.ghosts.number(ghost);
            self.set_counter(state, GHOST, number);
        }
        if let Client::Done(zxid) = self.client(state) {
            let quorum = Quorum::majority((1..=self.bounds.servers).map(ServerId::new));
            let holds = |voter: ServerId| {
                usize::try_from(voter.number() - 1).is_ok_and(|voter| self.process(state, voter).holds(zxid))
            };
            if !quorum.is_reached(holds) {
                let what = format!("the client was told of {zxid}, which is not on the disks of a quorum");
                return Err(Broken::new("CommittedIsDurable", what));
            }
        }
        Ok(())
    }

    fn take_turn(&mut self, state: &mut [u32], slot: usize) -> Result<(), Broken> {
        self.set_turn(state, slot + 1);
        if let Some((from, to, _)) = self.links.get(slot).copied() {
            let mut queue = self.queue(state, slot).clone();
            if queue.is_empty() {
                return Ok(());
            }
            let from = from as u64 + 1;
            let deed = match queue.remove(0) {
                Parcel::Message(message) => Deed::Hear { from, message },
                Parcel::Gone => Deed::Gone(from),
            };
            self.set_queue(state, slot, queue);
            return self.step(state, to, deed);
        }
        let server = slot - self.links.len();
        if server < self.servers() {
            return self.step(state, server, Deed::Persisted);
        }
        match (self.client(state), self.home(state)) {
            (Client::Free(last), Some(home)) => {
                self.set_client(state, Client::Connecting(last + 1, home));
                self.step(state, home, Deed::Connect(last + 1))
            }
            (Client::Attached(number, home), _) => {
                self.set_client(state, Client::Creating(number, home));
                self.step(state, home, Deed::Create(number))
            }
            _ => Ok(()),
        }
    }

    fn crash(&mut self, state: &mut [u32], server: usize, kept: usize) -> Result<(), Broken> {
        if let Client::Connecting(number, at) | Client::Attached(number, at) | Client::Creating(number, at) =
            self.client(state)
            && at == server
        {
            self.set_client(state, Client::Free(number));
        }
        for (link, (from, to, lane)) in self.links.clone().into_iter().enumerate() {
            if to == server {
                self.set_queue(state, link, Vec::new());
            } else if from == server && lane == Lane::Bulk && self.process(state, to).life.is_some() {
                self.send(state, (from, to, lane), Parcel::Gone);
            }
        }
        self.step(state, server, Deed::Crash { kept })
    }
}

impl Model for PeerModel<'_> {
    type Event = Event;

    fn initial(&mut self) -> Result<Vec<u32>, Broken> {
        let bounds = self.bounds;
        let mut state: Vec<u32> = (1..=bounds.servers).map(|server| self.processes.unborn(server)).collect();
        state.extend([self.clients.number(Client::Free(0)), self.ghosts.number(Ghost::default())]);
        state.extend([0, bounds.delays.unwrap_or_default(), bounds.deadlines, bounds.crashes, 0]);
        let empty = self.queues.number(Vec::new());
        state.resize(state.len() + self.links.len(), empty);
        // All are there before the first says anything.
        for server in 0..self.servers() {
            let step = self.processes.step(get(&state, server), Deed::Boot);
            if let Some(broken) = &step.broken {
                return Err(broken.clone());
            }
            set(&mut state, server, step.next);
            for (to, lane, message) in &step.sends {
                let to = usize::try_from(to - 1).unwrap_or_default();
                self.send(&mut state, (server, to, *lane), Parcel::Message(*message));
            }
        }
        Ok(state)
    }

    fn events(&mut self, state: &[u32], into: &mut Vec<Event>) {
        let running: Vec<bool> =
            (0..self.servers()).map(|server| self.process(state, server).life.is_some()).collect();
        if self.counter(state, CRASHES) > 0 {
            for server in (0..self.servers()).filter(|server| running.get(*server) == Some(&true)) {
                let writes = self.process(state, server).writes.len();
                into.extend((0..=writes).map(|kept| Event::Crash { server, kept }));
            }
        }
        if self.is_at_its_goal(state) {
            return;
        }
        if self.counter(state, DEADLINES) > 0 {
            into.extend(
                (0..self.servers()).filter(|at| running.get(*at) == Some(&true)).map(Event::Deadline),
            );
        }
        if self.bounds.delays.is_none() {
            let before = into.len();
            into.extend((0..self.slots()).filter(|slot| self.is_ready(state, *slot)).map(Event::Turn));
            if into.len() > before {
                return;
            }
        } else if let Some(slot) = self.next_in_turn(state) {
            into.push(Event::Turn(slot));
            if self.counter(state, DELAYS) > 0 {
                into.push(Event::Delay(slot));
            }
            return;
        }
        let down = (0..self.servers()).filter(|server| running.get(*server) == Some(&false));
        into.extend(down.map(Event::Boot));
        if running.iter().all(|runs| *runs) || self.counter(state, PASSED) < self.bounds.away {
            into.push(Event::Pass);
        }
    }

    fn next(&mut self, state: &[u32], event: Event) -> Result<Vec<u32>, Broken> {
        let mut next = state.to_vec();
        match event {
            Event::Turn(slot) => self.take_turn(&mut next, slot)?,
            Event::Delay(slot) => {
                self.spend(&mut next, DELAYS);
                self.set_turn(&mut next, slot + 1);
            }
            Event::Pass => {
                let passed = self.counter(state, PASSED) + 1;
                if passed > PATIENCE {
                    return Err(Broken::new(
                        Self::COMES_TO_REST,
                        format!("time has passed {PATIENCE} times"),
                    ));
                }
                self.set_counter(&mut next, PASSED, passed);
                let rests = (0..self.servers()).filter_map(|server| self.process(state, server).rest());
                let rest = rests.min().unwrap_or_default();
                for server in 0..self.servers() {
                    self.step(&mut next, server, Deed::Pass(rest))?;
                }
            }
            Event::Deadline(server) => {
                self.spend(&mut next, DEADLINES);
                let rest = self.process(state, server).rest().unwrap_or_default();
                self.step(&mut next, server, Deed::Pass(rest))?;
            }
            Event::Crash { server, kept } => {
                self.spend(&mut next, CRASHES);
                self.set_counter(&mut next, PASSED, 0);
                self.crash(&mut next, server, kept)?;
            }
            Event::Boot(server) => {
                self.set_counter(&mut next, PASSED, 0);
                self.step(&mut next, server, Deed::Boot)?;
            }
        }
        Ok(next)
    }

    /// What an undisturbed world does is within the bounds, so the search itself follows it to its goal.
    fn calm(&self, _: &[u32]) -> Option<Event> {
        None
    }

    fn essence(&self, state: &[u32]) -> u128 {
        fingerprint_of_numbers(state)
    }

    const COMES_TO_REST: &'static str = "PeersComeToLife";

    fn tell(&mut self, state: &[u32], event: Event) -> String {
        match event {
            Event::Turn(slot) if slot < self.links.len() => {
                let (from, to, _) = self.links.get(slot).copied().unwrap_or((0, 0, Lane::Bulk));
                let what = match self.queue(state, slot).first() {
                    Some(Parcel::Message(number)) => format!("{:?}", self.processes.message(*number)),
                    other => format!("{other:?}"),
                };
                format!("arrives of S{} to S{}: {what}", from + 1, to + 1)
            }
            Event::Turn(slot) if slot - self.links.len() < self.servers() => {
                format!("S{}: its disk finishes a batch", slot - self.links.len() + 1)
            }
            Event::Turn(_) => format!("the client, {:?}, goes on", self.client(state)),
            Event::Delay(slot) => format!("the turn of {slot} passes"),
            Event::Pass => "time passes".to_owned(),
            Event::Deadline(server) => format!("S{}: a deadline comes", server + 1),
            Event::Crash { server, kept } => format!("S{} crashes, with {kept} writes done", server + 1),
            Event::Boot(server) => format!("S{} starts again", server + 1),
        }
    }

    fn local_states(&self) -> usize {
        self.processes.local_states()
    }
}
