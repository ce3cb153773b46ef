use crate::types::Lane;
use crate::zab::Role;

use super::ghost::Ghost;
use super::intern::{Interner, fingerprint_of_numbers};
use super::replica::{Input, Replica, Replicas};
use super::search::{Broken, Model, get, set};
use super::zab_bounds::ZabBounds;

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Take(usize, Input),
    /// The next message of a queue arrives.
    Arrive(usize),
    /// It arrives, and will again.
    Repeat(usize),
    /// It is lost.
    Lose(usize),
    /// A server is cut off.
    Cut(usize),
    Mend,
}

/// The servers, the network and what nobody knows, within bounds.
pub(super) struct ZabModel<'a> {
    bounds: &'a ZabBounds,
    pub(super) replicas: Replicas,
    ghosts: Interner<Ghost>,
    pub(super) queues: Interner<Vec<u32>>,
    /// From, to and lane of each queue of messages.
    pub(super) lines: Vec<(u64, u64, Lane)>,
}

/// The places of a state's numbers: servers, then these, then queues.
pub(super) const GHOST: usize = 0;
pub(super) const CUT: usize = 1;
pub(super) const LEADS: usize = 2;
pub(super) const FOLLOWS: usize = 3;
pub(super) const PROPOSALS: usize = 4;
pub(super) const CRASHES: usize = 5;
pub(super) const PARTITIONS: usize = 6;
pub(super) const IMPATIENCE: usize = 7;
pub(super) const TICKS: usize = 8;
pub(super) const LOSSES: usize = 9;
pub(super) const REPEATS: usize = 10;
pub(super) const COUNTERS: usize = 11;

/// The number of the empty queue, which is the first that gets one.
const NO_MESSAGES: u32 = 0;

impl<'a> ZabModel<'a> {
    pub(super) fn new(bounds: &'a ZabBounds) -> Self {
        let servers = 1..=bounds.servers;
        let pairs = servers.clone().flat_map(|from| servers.clone().map(move |to| (from, to)));
        let lines = pairs.filter(|(from, to)| from != to);
        let lines = lines.flat_map(|(from, to)| [(from, to, Lane::Urgent), (from, to, Lane::Bulk)]);
        Self {
            bounds,
            replicas: Replicas::new(bounds.servers, bounds.flaw),
            ghosts: Interner::new(),
            queues: Interner::new(),
            lines: lines.collect(),
        }
    }

    pub(super) fn servers(&self) -> usize {
        usize::try_from(self.bounds.servers).unwrap_or_default()
    }

    pub(super) fn counter(&self, state: &[u32], counter: usize) -> u32 {
        get(state, self.servers() + counter)
    }

    /// Takes one off a counter; none is left of what the bounds did not give, and of what heals.
    fn spend(&self, state: &mut [u32], counter: usize) {
        let left = self.counter(state, counter).saturating_sub(1);
        set(state, self.servers() + counter, left);
    }

    pub(super) fn queue(&self, state: &[u32], line: usize) -> Vec<u32> {
        self.queues.get(get(state, self.servers() + COUNTERS + line)).clone()
    }

    pub(super) fn set_queue(&mut self, state: &mut [u32], line: usize, queue: Vec<u32>) {
        let place = self.servers() + COUNTERS + line;
        set(state, place, self.queues.number(queue));
    }

    pub(super) fn is_empty(&self, state: &[u32], line: usize) -> bool {
        get(state, self.servers() + COUNTERS + line) == NO_MESSAGES
    }

    pub(super) fn replica(&self, state: &[u32], server: usize) -> &Replica {
        self.replicas.state(get(state, server))
    }

    fn is_cut(&self, state: &[u32], one: u64, other: u64) -> bool {
        let cut = u64::from(self.counter(state, CUT));
        cut == one || cut == other
    }

    /// Lets a server take a step, and looks after what comes of it.
    fn step(&mut self, state: &mut [u32], server: usize, input: Input) -> Result<(), Broken> {
        let before = get(state, server);
        let step = self.replicas.step(get(state, server), input);
        if let Some(broken) = &step.broken {
            return Err(broken.clone());
        }
        set(state, server, step.next);
        let sid = server as u64 + 1;
        for (to, lane, message) in &step.sends {
            if self.is_cut(state, sid, *to) {
                continue;
            }
            if let Some(line) = self.lines.iter().position(|line| *line == (sid, *to, *lane)) {
                let mut queue = self.queue(state, line);
                queue.push(*message);
                self.set_queue(state, line, queue);
            }
        }
        let place = self.servers() + GHOST;
        let news = step.proposed.is_some()
            || step.begins.is_some()
            || step.established.is_some()
            || step.entered.is_some()
            || !step.applied.is_empty();
        let (before, after) = (self.replicas.state(before), self.replicas.state(step.next));
        if news {
            let mut ghost = self.ghosts.get(get(state, place)).clone();
            if let Some(entry) = &step.proposed
                && ghost.proposed.insert(entry.zxid, entry.clone()).is_some()
            {
                return Err(Broken::new("Agreement", format!("{} is proposed twice", entry.zxid)));
            }
            if let Some(epoch) = step.begins {
                ghost.initial.entry(epoch).or_insert_with(|| after.log.clone());
            }
            for (index, entry) in &step.applied {
                ghost.apply(sid, *index, entry)?;
            }
            if let Some(epoch) = step.established {
                ghost.establish(sid, epoch, after)?;
            }
            if let Some(epoch) = step.entered {
                ghost.enter(sid, epoch, after)?;
            }
            set(state, place, self.ghosts.number(ghost));
        }
        if news || before.log != after.log {
            self.judge_disks(state)?;
        }
        Ok(())
    }

    fn judge_disks(&self, state: &[u32]) -> Result<(), Broken> {
        let ghost = self.ghosts.get(self.counter(state, GHOST));
        let replicas: Vec<_> = (0..self.servers()).map(|server| self.replica(state, server)).collect();
        for (index, entry) in ghost.committed.iter().enumerate() {
            let holders = replicas.iter().filter(|replica| replica.log.get(index) == Some(entry)).count();
            if holders <= replicas.len() / 2 {
                let what = format!("{} is applied and on {holders} disks only", entry.zxid);
                return Err(Broken::new("CommittedIsDurable", what));
            }
        }
        for (number, one) in replicas.iter().enumerate() {
            for other in replicas.iter().skip(number + 1) {
                let shared = one.log.iter().rposition(|entry| other.log.iter().any(|e| e.zxid == entry.zxid));
                let Some(shared) = shared else { continue };
                if one.log.get(..=shared) != other.log.get(..=shared) {
                    let what = format!("{:?} and {:?}", one.log, other.log);
                    return Err(Broken::new("LogsAgree", what));
                }
            }
        }
        Ok(())
    }

    /// Whether a server has lost what its role rests on, so that its patience may end.
    fn is_deserted(&self, state: &[u32], server: usize) -> bool {
        let sid = server as u64 + 1;
        let replica = self.replica(state, server);
        match replica.role() {
            Role::Idle => false,
            Role::Leader => {
                let followers = (0..self.servers()).filter(|other| {
                    let follower = self.replica(state, *other);
                    let follows = *other != server && follower.leader() == Some(sid);
                    follows && !self.is_cut(state, sid, *other as u64 + 1)
                });
                followers.count() < self.servers() / 2
            }
            Role::Follower | Role::Observer => {
                let Some(leader) = replica.leader() else { return false };
                let leads = usize::try_from(leader - 1)
                    .is_ok_and(|leader| self.replica(state, leader).role() == Role::Leader);
                !leads || self.is_cut(state, sid, leader)
            }
        }
    }

    fn arrive(&mut self, state: &mut [u32], line: usize, again: bool) -> Result<(), Broken> {
        let Some((from, to, _)) = self.lines.get(line).copied() else { return Ok(()) };
        let mut queue = self.queue(state, line);
        let Some(message) = queue.first().copied() else { return Ok(()) };
        if !again {
            queue.remove(0);
            self.set_queue(state, line, queue);
        }
        let server = usize::try_from(to - 1).unwrap_or_default();
        self.step(state, server, Input::Arrive { from, message })
    }

    /// Whether one leads, and all others are level with it.
    fn is_level(&self, replicas: &[&Replica]) -> bool {
        let Some(leader) = replicas.iter().find(|replica| replica.is_established()) else { return false };
        replicas.iter().all(|replica| {
            let same = replica.log == leader.log && replica.applied == leader.log.len();
            same && (replica.is_established() || replica.is_synced())
        })
    }
}

impl Model for ZabModel<'_> {
    type Event = Event;

    fn initial(&mut self) -> Result<Vec<u32>, Broken> {
        let bounds = self.bounds;
        let empty = self.queues.number(Vec::new());
        let mut state: Vec<_> = (1..=bounds.servers).map(|server| self.replicas.unborn(server)).collect();
        state.extend([self.ghosts.number(Ghost::default()), 0, bounds.leads, bounds.follows]);
        state.extend([bounds.proposals, bounds.crashes, bounds.partitions, bounds.impatience]);
        state.extend([bounds.ticks, bounds.losses, bounds.repeats]);
        state.resize(state.len() + self.lines.len(), empty);
        for server in 0..self.servers() {
            self.step(&mut state, server, Input::Boot)?;
        }
        Ok(state)
    }

    fn events(&mut self, state: &[u32], into: &mut Vec<Event>) {
        if self.bounds.reduced
            && let Some(enough) = self.enough(state)
        {
            into.extend(enough);
            return;
        }
        let has = |counter| self.counter(state, counter) > 0;
        for server in 0..self.servers() {
            let sid = server as u64 + 1;
            let replica = self.replica(state, server);
            let take = |input| Event::Take(server, input);
            if replica.is_husk() {
                continue;
            }
            if !replica.is_up() {
                into.push(take(Input::Boot));
                continue;
            }
            if has(CRASHES) {
                into.extend((0..=replica.writes()).map(|kept| take(Input::Crash { kept })));
            }
            if replica.writes() > 0 {
                into.push(take(Input::Persisted));
            }
            if replica.is_free() {
                let first = self.counter(state, LEADS) == self.bounds.leads;
                if has(LEADS) && (!first || sid == 1) {
                    into.push(take(Input::Lead));
                }
                let first = self.counter(state, FOLLOWS) == self.bounds.follows;
                for leader in (1..=self.bounds.servers).filter(|leader| *leader != sid) {
                    let other = usize::try_from(leader - 1).unwrap_or_default();
                    let leads = self.replica(state, other).role() == Role::Leader;
                    if has(FOLLOWS) && leads && !self.is_cut(state, sid, leader) && (!first || sid == 2) {
                        into.push(take(Input::Follow(leader)));
                    }
                }
            }
            if has(PROPOSALS) && replica.zab.as_ref().is_some_and(|zab| zab.next_zxid().is_some()) {
                into.push(take(Input::Propose(self.counter(state, PROPOSALS))));
            }
            if replica.role() != Role::Idle {
                if has(IMPATIENCE) || self.is_deserted(state, server) {
                    into.push(take(Input::TimeOut));
                }
                if has(TICKS) && (replica.role() == Role::Leader || replica.retries()) {
                    into.push(take(Input::Tick));
                }
            }
            if has(PARTITIONS) && self.counter(state, CUT) == 0 {
                into.push(Event::Cut(server));
            }
        }
        if self.counter(state, CUT) != 0 {
            into.push(Event::Mend);
        }
        for line in 0..self.lines.len() {
            if self.is_empty(state, line) {
                continue;
            }
            into.push(Event::Arrive(line));
            if has(REPEATS) {
                into.push(Event::Repeat(line));
            }
            if has(LOSSES) {
                into.push(Event::Lose(line));
            }
        }
    }

    fn next(&mut self, state: &[u32], event: Event) -> Result<Vec<u32>, Broken> {
        let mut next = state.to_vec();
        match event {
            Event::Take(server, input) => {
                match input {
                    Input::Lead => self.spend(&mut next, LEADS),
                    Input::Follow(_) => self.spend(&mut next, FOLLOWS),
                    Input::Propose(_) => self.spend(&mut next, PROPOSALS),
                    Input::Crash { .. } => self.spend(&mut next, CRASHES),
                    Input::Tick => self.spend(&mut next, TICKS),
                    Input::TimeOut if !self.is_deserted(state, server) => self.spend(&mut next, IMPATIENCE),
                    _ => {}
                }
                if matches!(input, Input::Crash { .. }) {
                    self.lose_all(&mut next, |_, to| to == server as u64 + 1);
                }
                self.step(&mut next, server, input)?;
            }
            Event::Arrive(line) => self.arrive(&mut next, line, false)?,
            Event::Repeat(line) => {
                self.spend(&mut next, REPEATS);
                self.arrive(&mut next, line, true)?;
            }
            Event::Lose(line) => {
                self.spend(&mut next, LOSSES);
                let mut queue = self.queue(state, line);
                queue.remove(0);
                self.set_queue(&mut next, line, queue);
            }
            Event::Cut(server) => {
                let sid = server as u32 + 1;
                self.spend(&mut next, PARTITIONS);
                let place = self.servers() + CUT;
                set(&mut next, place, sid);
                self.lose_all(&mut next, |from, to| from == u64::from(sid) || to == u64::from(sid));
            }
            Event::Mend => {
                let place = self.servers() + CUT;
                set(&mut next, place, 0);
            }
        }
        Ok(next)
    }

    fn tidy(&mut self, state: &mut [u32]) -> Result<(), Broken> {
        if self.bounds.reduced { self.normalise(state) } else { Ok(()) }
    }

    /// It mends, starts, delivers and writes; roles that lead nowhere end; the best is elected, and followed.
    fn calm(&self, state: &[u32]) -> Option<Event> {
        if self.counter(state, CUT) != 0 {
            return Some(Event::Mend);
        }
        if let Some(line) = (0..self.lines.len()).find(|line| !self.is_empty(state, *line)) {
            return Some(Event::Arrive(line));
        }
        let replicas: Vec<_> = (0..self.servers()).map(|server| self.replica(state, server)).collect();
        let first = |is: &dyn Fn(&Replica) -> bool, input: Input| {
            let server = replicas.iter().position(|replica| is(replica));
            server.map(|server| Event::Take(server, input))
        };
        let due = first(&|replica| !replica.is_up(), Input::Boot)
            .or_else(|| first(&|replica| replica.writes() > 0, Input::Persisted));
        if due.is_some() {
            return due;
        }
        let mut leaders = replicas.iter().filter(|replica| replica.role() == Role::Leader);
        if let (Some(leader), None) = (leaders.next().and_then(|one| one.leader()), leaders.next()) {
            let history = |replica: &Replica| (replica.current, replica.tip());
            let leading = replicas.iter().find(|replica| replica.role() == Role::Leader);
            let fresher = |replica: &Replica| {
                replica.role() == Role::Idle
                    && leading.is_some_and(|leading| history(replica) > history(leading))
            };
            if replicas.iter().any(|replica| fresher(replica)) {
                // It will not follow, and without it there was no quorum.
                return first(&|replica| replica.role() == Role::Leader, Input::TimeOut);
            }
            let stands = first(&|replica| replica.role() == Role::Idle, Input::Follow(leader))
                .or_else(|| first(&|replica| replica.leader() != Some(leader), Input::TimeOut))
                .or_else(|| {
                    first(&|replica| replica.role() == Role::Follower && replica.retries(), Input::Tick)
                });
            if stands.is_some() {
                return stands;
            }
            if self.is_level(&replicas) {
                return None;
            }
            if replicas.iter().any(|replica| replica.is_established()) {
                let behind =
                    first(&|replica| !replica.is_established() && !replica.is_synced(), Input::TimeOut);
                // Else it leads in vain: what they acknowledge does not count, or got lost.
                return behind.or_else(|| first(&|replica| replica.is_established(), Input::TimeOut));
            }
        }
        let useless =
            first(&|replica| replica.role() == Role::Leader && !replica.is_established(), Input::TimeOut)
                .or_else(|| first(&|replica| replica.role() != Role::Idle, Input::TimeOut));
        useless.or_else(|| {
            let history =
                |server: &usize| replicas.get(*server).map(|replica| (replica.current, replica.tip()));
            (0..replicas.len()).max_by_key(history).map(|best| Event::Take(best, Input::Lead))
        })
    }

    fn essence(&self, state: &[u32]) -> u128 {
        let (servers, rest) = state.split_at(self.servers().min(state.len()));
        let mut essence = servers.to_vec();
        essence.push(self.counter(state, CUT));
        essence.extend(rest.iter().skip(COUNTERS));
        fingerprint_of_numbers(&essence)
    }

    const COMES_TO_REST: &'static str = "RecoveryEnds";

    fn tell(&mut self, state: &[u32], event: Event) -> String {
        let message = |line: usize| {
            let (from, to) = self.lines.get(line).map_or((0, 0), |(from, to, _)| (*from, *to));
            let body =
                self.queue(state, line).first().map(|first| self.replicas.message(*first).body.clone());
            format!("of S{from} to S{to}: {body:?}")
        };
        match event {
            Event::Take(server, input) => format!("S{}: {input:?}", server + 1),
            Event::Arrive(line) => format!("arrives {}", message(line)),
            Event::Repeat(line) => format!("arrives, and will again, {}", message(line)),
            Event::Lose(line) => format!("is lost {}", message(line)),
            Event::Cut(server) => format!("S{} is cut off", server + 1),
            Event::Mend => "all servers reach each other again".to_owned(),
        }
    }

    fn local_states(&self) -> usize {
        self.replicas.local_states()
    }
}

impl ZabModel<'_> {
    /// Loses what is under way from and to these.
    pub(super) fn lose_all(&mut self, state: &mut [u32], lost: impl Fn(u64, u64) -> bool) {
        for line in 0..self.lines.len() {
            if self.lines.get(line).is_some_and(|(from, to, _)| lost(*from, *to)) {
                self.set_queue(state, line, Vec::new());
            }
        }
    }
}
