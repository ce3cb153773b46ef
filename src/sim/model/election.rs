use std::collections::BTreeSet;

use hashbrown::HashSet;

use crate::election::ServerState;
use crate::types::ServerId;

use super::intern::{Interner, fingerprint};
use super::search::{Broken, Model, ModelReport, search};
use super::voter::{ElectionFlaw, Input, Voters};

/// The bounds within which every behaviour of an election is seen.
///
/// The servers are the production [`Election`](crate::election::Election). All of them begin to look at once. Messages between
/// two servers arrive in any order, early or late; deadlines come at any moment, at each server independently of all
/// others, so that clocks may differ by any amount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ElectionBounds {
    /// The history of each server, numbered from 1: the epoch that it is complete for, and its last counter.
    pub histories: Vec<(u32, u32)>,
    /// How many messages may be under way from one server to another; one more, and the oldest is lost.
    pub flight: usize,
    /// How many deadlines may come, of all servers together.
    pub deadlines: u32,
    /// How many messages may be lost, beside those that overflow.
    pub losses: u32,
    /// How many messages may arrive twice.
    pub repeats: u32,
    /// How many processes may crash.
    pub crashes: u32,
    /// How many crashed processes may start again.
    pub restarts: u32,
    /// How often a settled server's role may end, for no reason that the election knows.
    pub ends: u32,
    /// Whether to demand also what is *not* promised: that at most one server decides to lead in one round.
    pub demand_one_leader_per_round: bool,
    /// Something wrong with the servers, to see that it is found.
    pub flaw: Option<ElectionFlaw>,
    /// The search ends incomplete at so many states.
    pub limit: u64,
}

impl ElectionBounds {
    /// No faults, no deadlines; one message under way in each direction.
    #[must_use]
    pub fn new(histories: impl IntoIterator<Item = (u32, u32)>) -> Self {
        Self {
            histories: histories.into_iter().collect(),
            flight: 1,
            deadlines: 0,
            losses: 0,
            repeats: 0,
            crashes: 0,
            restarts: 0,
            ends: 0,
            demand_one_leader_per_round: false,
            flaw: None,
            limit: u64::MAX,
        }
    }

    /// Sees every behaviour within the bounds, and judges every state of each:
    ///
    /// - *VotesAreHonest*: what a server says of itself is true, and what it says of another, that one says;
    /// - *LeadersAreBacked*: who decides to lead was told so, in its round, by a quorum;
    /// - *LeadersAreFresh*: its history is at least as fresh as those of a quorum;
    /// - *LeadersAreHeard*: who decides to follow, follows one that decided to lead in that round;
    /// - *SettledStays*: who has decided looks again only when its role ends;
    /// - *DeadlinesLieAhead*: after each step the next deadline is still to come;
    /// - *ElectionsEnd*: from every state, once the network is quiet, one leader is elected that all who run follow.
    pub fn check(&self) -> ModelReport {
        let mut model = ElectionModel::new(self);
        search(&mut model, self.limit)
    }
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The message at this place of a link arrives.
    Arrive { link: usize, at: usize },
    /// It arrives, and will again.
    Repeat { link: usize, at: usize },
    /// It is lost.
    Lose { link: usize, at: usize },
    Deadline(usize),
    Crash(usize),
    Boot(usize),
    End(usize),
}

/// What nobody knows and must be so.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Ghost {
    /// Who has told anyone in which round for whom it votes.
    told: BTreeSet<(u64, u64, u64)>,
    /// Who decided to lead in which round.
    led: BTreeSet<(u64, u64)>,
}

struct ElectionModel<'a> {
    bounds: &'a ElectionBounds,
    voters: Voters,
    ghosts: Interner<Ghost>,
    queues: Interner<Vec<u32>>,
    /// From and to, of each link.
    links: Vec<(u64, u64)>,
    /// What the servers and links were in states from which elections are known to end.
    ending: HashSet<u128>,
}

/// The places of a state's numbers: servers, then these, then links.
const GHOST: usize = 0;
const DEADLINES: usize = 1;
const LOSSES: usize = 2;
const REPEATS: usize = 3;
const CRASHES: usize = 4;
const RESTARTS: usize = 5;
const ENDS: usize = 6;
const COUNTERS: usize = 7;

/// How many steps an election may take once the network is quiet.
const PATIENCE: usize = 2_000;

impl<'a> ElectionModel<'a> {
    fn new(bounds: &'a ElectionBounds) -> Self {
        let servers = 1..=bounds.histories.len() as u64;
        let links = servers.clone().flat_map(|from| servers.clone().map(move |to| (from, to)));
        Self {
            voters: Voters::new(&bounds.histories, bounds.flaw),
            bounds,
            ghosts: Interner::new(),
            queues: Interner::new(),
            links: links.filter(|(from, to)| from != to).collect(),
            ending: HashSet::new(),
        }
    }

    fn servers(&self) -> usize {
        self.bounds.histories.len()
    }

    /// The place of a counter in a state.
    fn place(&self, counter: usize) -> usize {
        self.servers() + counter
    }

    fn queue_place(&self, link: usize) -> usize {
        self.servers() + COUNTERS + link
    }

    fn queue(&self, state: &[u32], link: usize) -> Vec<u32> {
        self.queues.value(get(state, self.queue_place(link))).as_ref().clone()
    }

    fn set_queue(&mut self, state: &mut [u32], link: usize, queue: Vec<u32>) {
        let place = self.queue_place(link);
        set(state, place, self.queues.number(queue));
    }

    /// Takes something off a counter that has something left.
    fn spend(&self, state: &mut [u32], counter: usize) {
        let place = self.place(counter);
        set(state, place, get(state, place).saturating_sub(1));
    }

    fn has(&self, state: &[u32], counter: usize) -> bool {
        get(state, self.place(counter)) > 0
    }

    /// Lets a server take a step.
    fn step(&mut self, state: &mut [u32], server: usize, input: Input) -> Result<(), Broken> {
        let before = get(state, server);
        let step = self.voters.step(before, input);
        if let Some(broken) = step.broken {
            return Err(broken);
        }
        let settled = |standing: Option<(ServerState, _)>| {
            standing.is_some_and(|(doing, _)| doing != ServerState::Looking)
        };
        let ended = matches!(input, Input::Start | Input::Crash | Input::Boot(_));
        if settled(self.voters.standing(before)) && !settled(self.voters.standing(step.next)) && !ended {
            return Err(Broken::new("SettledStays", format!("S{} looks again", server + 1)));
        }
        set(state, server, step.next);
        let sid = server as u64 + 1;
        let place = self.place(GHOST);
        let mut ghost = self.ghosts.value(get(state, place)).as_ref().clone();
        for (to, note) in &step.sends {
            let note_sent = self.voters.note(*note);
            if let Some(vote) = note_sent.vote.filter(|_| note_sent.state == ServerState::Looking) {
                ghost.told.insert((sid, note_sent.round, vote.sid.number()));
            }
            if let Some(link) = self.links.iter().position(|link| *link == (sid, *to)) {
                let mut queue = self.queue(state, link);
                queue.push(*note);
                if queue.len() > self.bounds.flight {
                    queue.remove(0);
                }
                self.set_queue(state, link, queue);
            }
        }
        if let Some((leader, round)) = step.decided {
            self.judge_decision(&mut ghost, sid, leader, round)?;
        }
        set(state, place, self.ghosts.number(ghost));
        Ok(())
    }

    fn judge_decision(&self, ghost: &mut Ghost, server: u64, leader: u64, round: u64) -> Result<(), Broken> {
        if server != leader {
            let led = ghost.led.contains(&(leader, round));
            let what = || format!("S{server} follows S{leader} in round {round}, in which that one never led");
            return if led { Ok(()) } else { Err(Broken::new("LeadersAreHeard", what())) };
        }
        let quorum = self.voters.quorum();
        let backs = |voter: ServerId| {
            voter.number() == server || ghost.told.contains(&(voter.number(), round, server))
        };
        if !quorum.is_reached(backs) {
            let what = format!("S{server} leads in round {round}; all that was told: {:?}", ghost.told);
            return Err(Broken::new("LeadersAreBacked", what));
        }
        let own = self.voters.freshness(server);
        if !quorum.is_reached(|voter| self.voters.freshness(voter.number()) <= own) {
            return Err(Broken::new("LeadersAreFresh", format!("S{server} leads with {own:?}")));
        }
        ghost.led.insert((server, round));
        let others = ghost.led.iter().filter(|(_, of)| *of == round).count();
        if self.bounds.demand_one_leader_per_round && others > 1 {
            return Err(Broken::new("OneLeaderPerRound", format!("in round {round}: {:?}", ghost.led)));
        }
        Ok(())
    }

    /// Whether all that run follow one of them.
    fn is_over(&self, state: &[u32]) -> bool {
        let standings = (0..self.servers()).filter_map(|server| self.voters.standing(get(state, server)));
        let mut leaders: Vec<_> = standings.map(|(_, leader)| leader).collect();
        leaders.dedup();
        let [Some(leader)] = leaders.as_slice() else { return false };
        let own = usize::try_from(*leader).map_or(0, |leader| get(state, leader - 1));
        matches!(self.voters.standing(own), Some((ServerState::Leading, _)))
    }

    /// What a quiet world does next: what is under way arrives, in order; roles that cannot last end; time passes for all alike.
    fn calm_step(&mut self, state: &mut [u32]) -> Result<(), Broken> {
        for link in 0..self.links.len() {
            if !self.queue(state, link).is_empty() {
                return self.arrive(state, link, 0, false);
            }
        }
        let standings: Vec<_> =
            (0..self.servers()).map(|server| self.voters.standing(get(state, server))).collect();
        let is_looking = standings.iter().flatten().any(|(doing, _)| *doing == ServerState::Looking);
        let followed = |leader: u64| {
            let count = standings.iter().flatten().filter(|(_, of)| *of == Some(leader)).count();
            count > standings.len() / 2
        };
        let leads = |leader: u64| {
            let at = usize::try_from(leader - 1).ok().and_then(|at| standings.get(at));
            matches!(at, Some(Some((ServerState::Leading, _))))
        };
        for (server, standing) in standings.iter().enumerate() {
            let Some((_, Some(leader))) = standing else { continue };
            if !leads(*leader) || (!is_looking && !followed(*leader)) {
                return self.step(state, server, Input::Start);
            }
        }
        let rest = (0..self.servers()).filter_map(|server| self.voters.rest(get(state, server))).min();
        let Some(rest) = rest else {
            return Err(Broken::new("ElectionsEnd", "nothing can happen any more".to_owned()));
        };
        for server in 0..self.servers() {
            self.step(state, server, Input::Wait(rest))?;
        }
        Ok(())
    }

    fn arrive(&mut self, state: &mut [u32], link: usize, at: usize, again: bool) -> Result<(), Broken> {
        let Some((from, to)) = self.links.get(link).copied() else { return Ok(()) };
        let mut queue = self.queue(state, link);
        let note = if again { queue.get(at).copied() } else { Some(queue.remove(at)) };
        self.set_queue(state, link, queue);
        let Some(note) = note else { return Ok(()) };
        let server = usize::try_from(to - 1).unwrap_or_default();
        self.step(state, server, Input::Hear { from, note })
    }

    /// What counts for the question whether an election ends: neither what was counted nor what nobody knows.
    fn essence(&self, state: &[u32]) -> u128 {
        let (servers, rest) = state.split_at(self.servers().min(state.len()));
        fingerprint(&(servers, rest.get(COUNTERS..)))
    }
}

impl Model for ElectionModel<'_> {
    type Event = Event;

    fn initial(&mut self) -> Vec<u32> {
        let empty = self.queues.number(Vec::new());
        let down = self.voters.down();
        let mut state = vec![down; self.servers()];
        let bounds = self.bounds;
        state.push(self.ghosts.number(Ghost::default()));
        state.extend([bounds.deadlines, bounds.losses, bounds.repeats]);
        state.extend([bounds.crashes, bounds.restarts, bounds.ends]);
        state.resize(state.len() + self.links.len(), empty);
        for server in 0..self.servers() {
            // The first steps violate nothing: a server alone decides nothing, or is found out by its next step.
            let _ = self.step(&mut state, server, Input::Boot(server as u64 + 1));
        }
        state
    }

    fn events(&mut self, state: &[u32], into: &mut Vec<Event>) {
        for link in 0..self.links.len() {
            for at in 0..self.queue(state, link).len() {
                into.push(Event::Arrive { link, at });
                if self.has(state, REPEATS) {
                    into.push(Event::Repeat { link, at });
                }
                if self.has(state, LOSSES) {
                    into.push(Event::Lose { link, at });
                }
            }
        }
        for server in 0..self.servers() {
            let Some((doing, _)) = self.voters.standing(get(state, server)) else {
                if self.has(state, RESTARTS) {
                    into.push(Event::Boot(server));
                }
                continue;
            };
            if self.has(state, DEADLINES) && doing == ServerState::Looking {
                into.push(Event::Deadline(server));
            }
            if self.has(state, CRASHES) {
                into.push(Event::Crash(server));
            }
            if self.has(state, ENDS) && doing != ServerState::Looking {
                into.push(Event::End(server));
            }
        }
    }

    fn next(&mut self, state: &[u32], event: Event) -> Result<Vec<u32>, Broken> {
        let mut next = state.to_vec();
        match event {
            Event::Arrive { link, at } => self.arrive(&mut next, link, at, false)?,
            Event::Repeat { link, at } => {
                self.spend(&mut next, REPEATS);
                self.arrive(&mut next, link, at, true)?;
            }
            Event::Lose { link, at } => {
                self.spend(&mut next, LOSSES);
                let mut queue = self.queue(state, link);
                queue.remove(at);
                self.set_queue(&mut next, link, queue);
            }
            Event::Deadline(server) => {
                self.spend(&mut next, DEADLINES);
                let rest = self.voters.rest(get(state, server)).unwrap_or_default();
                self.step(&mut next, server, Input::Wait(rest))?;
            }
            Event::Crash(server) => {
                self.spend(&mut next, CRASHES);
                self.step(&mut next, server, Input::Crash)?;
            }
            Event::Boot(server) => {
                self.spend(&mut next, RESTARTS);
                self.step(&mut next, server, Input::Boot(server as u64 + 1))?;
            }
            Event::End(server) => {
                self.spend(&mut next, ENDS);
                self.step(&mut next, server, Input::Start)?;
            }
        }
        Ok(next)
    }

    fn judge(&mut self, state: &[u32], _is_end: bool) -> Result<(), Broken> {
        let mut state = state.to_vec();
        let mut passed = Vec::new();
        while !self.is_over(&state) {
            let essence = self.essence(&state);
            if self.ending.contains(&essence) {
                break;
            }
            passed.push(essence);
            if passed.len() > PATIENCE {
                let what = format!("no end after {PATIENCE} quiet steps");
                return Err(Broken::new("ElectionsEnd", what));
            }
            self.calm_step(&mut state)?;
        }
        self.ending.extend(passed);
        Ok(())
    }

    fn tell(&mut self, state: &[u32], event: Event) -> String {
        let message = |link: usize, at: usize| {
            let (from, to) = self.links.get(link).copied().unwrap_or_default();
            let note = self.queue(state, link).get(at).map(|note| self.voters.note(*note));
            format!("of S{from} to S{to}: {note:?}")
        };
        match event {
            Event::Arrive { link, at } => format!("arrives {}", message(link, at)),
            Event::Repeat { link, at } => format!("arrives, and will again, {}", message(link, at)),
            Event::Lose { link, at } => format!("is lost {}", message(link, at)),
            Event::Deadline(server) => format!("S{}: a deadline comes", server + 1),
            Event::Crash(server) => format!("S{} crashes", server + 1),
            Event::Boot(server) => format!("S{} starts again", server + 1),
            Event::End(server) => format!("S{}: its role ends", server + 1),
        }
    }

    fn local_states(&self) -> usize {
        self.voters.local_states()
    }
}

fn get(state: &[u32], place: usize) -> u32 {
    state.get(place).copied().unwrap_or_default()
}

fn set(state: &mut [u32], place: usize, value: u32) {
    if let Some(slot) = state.get_mut(place) {
        *slot = value;
    }
}
