use std::collections::BTreeSet;

use crate::election::ServerState;
use crate::types::ServerId;

use super::intern::{Interner, fingerprint};
use super::search::{Broken, Model, ModelReport, get, search, set};
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
    /// None: messages arrive in any order. Else every link in turn delivers its oldest one, but for so many turns that are
    /// passed over. (Delay-bounded scheduling: Emmi, Qadeer, Rakamarić, 2011.)
    pub delays: Option<u32>,
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
            delays: None,
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
    Arrive {
        link: usize,
        at: usize,
    },
    /// It arrives, and will again.
    Repeat {
        link: usize,
        at: usize,
    },
    /// It is lost.
    Lose {
        link: usize,
        at: usize,
    },
    /// Its turn to arrive passes.
    Delay {
        link: usize,
    },
    Deadline(usize),
    /// Time passes for all servers alike, until the next deadline.
    Pass,
    /// A leader is established, in an epoch larger than all before; it and its followers say so from now on.
    Establish(usize),
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
}

/// The places of a state's numbers: servers, then these, then links.
const GHOST: usize = 0;
const DEADLINES: usize = 1;
const LOSSES: usize = 2;
const REPEATS: usize = 3;
const CRASHES: usize = 4;
const RESTARTS: usize = 5;
const ENDS: usize = 6;
const DELAYS: usize = 7;
/// The link whose turn it is, where messages arrive in turn.
const TURN: usize = 8;
const COUNTERS: usize = 9;

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

    /// The link whose turn it is, of those on which something is under way.
    fn next_in_turn(&self, state: &[u32]) -> Option<usize> {
        let turn = get(state, self.place(TURN)) as usize;
        let waits = |link: &usize| !self.queue(state, *link).is_empty();
        (turn..self.links.len()).chain(0..turn).find(waits)
    }

    fn set_turn(&self, state: &mut [u32], link: usize) {
        if self.bounds.delays.is_some() {
            let turn = link.checked_rem(self.links.len()).unwrap_or_default();
            set(state, self.place(TURN), u32::try_from(turn).unwrap_or_default());
        }
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
            let what =
                || format!("S{server} follows S{leader} in round {round}, in which that one never led");
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

    fn arrive(&mut self, state: &mut [u32], link: usize, at: usize, again: bool) -> Result<(), Broken> {
        let Some((from, to)) = self.links.get(link).copied() else { return Ok(()) };
        let mut queue = self.queue(state, link);
        let note = if again { queue.get(at).copied() } else { Some(queue.remove(at)) };
        self.set_queue(state, link, queue);
        self.set_turn(state, link + 1);
        let Some(note) = note else { return Ok(()) };
        let server = usize::try_from(to - 1).unwrap_or_default();
        self.step(state, server, Input::Hear { from, note })
    }
}

impl Model for ElectionModel<'_> {
    type Event = Event;

    fn initial(&mut self) -> Result<Vec<u32>, Broken> {
        let empty = self.queues.number(Vec::new());
        let down = self.voters.down();
        let mut state = vec![down; self.servers()];
        let bounds = self.bounds;
        state.push(self.ghosts.number(Ghost::default()));
        state.extend([bounds.deadlines, bounds.losses, bounds.repeats]);
        state.extend([bounds.crashes, bounds.restarts, bounds.ends, bounds.delays.unwrap_or_default(), 0]);
        state.resize(state.len() + self.links.len(), empty);
        for server in 0..self.servers() {
            self.step(&mut state, server, Input::Boot(server as u64 + 1))?;
        }
        Ok(state)
    }

    fn events(&mut self, state: &[u32], into: &mut Vec<Event>) {
        let links = match self.bounds.delays {
            None => (0..self.links.len()).collect(),
            Some(_) => Vec::from_iter(self.next_in_turn(state)),
        };
        for link in links {
            let waiting = self.queue(state, link).len();
            let open = if self.bounds.delays.is_some() { waiting.min(1) } else { waiting };
            for at in 0..open {
                into.push(Event::Arrive { link, at });
                if self.has(state, REPEATS) {
                    into.push(Event::Repeat { link, at });
                }
                if self.has(state, LOSSES) {
                    into.push(Event::Lose { link, at });
                }
            }
            if self.has(state, DELAYS) {
                into.push(Event::Delay { link });
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
            Event::Delay { link } => {
                self.spend(&mut next, DELAYS);
                self.set_turn(&mut next, link + 1);
            }
            Event::Pass => {
                let rests = (0..self.servers()).filter_map(|server| self.voters.rest(get(state, server)));
                let rest = rests.min().unwrap_or_default();
                for server in 0..self.servers() {
                    self.step(&mut next, server, Input::Wait(rest))?;
                }
            }
            Event::Establish(server) => {
                let leader = server as u64 + 1;
                for follower in 0..self.servers() {
                    let standing = self.voters.standing(get(state, follower));
                    if standing.is_some_and(|(_, of)| of == Some(leader)) {
                        self.step(&mut next, follower, Input::Settle)?;
                    }
                }
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

    /// What is under way arrives, in order; roles that cannot last end; time passes for all alike.
    fn calm(&self, state: &[u32]) -> Option<Event> {
        if let Some(link) = (0..self.links.len()).find(|link| !self.queue(state, *link).is_empty()) {
            return Some(Event::Arrive { link, at: 0 });
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
        let in_vain = standings.iter().position(|standing| {
            let Some((_, Some(leader))) = standing else { return false };
            !leads(*leader) || (!is_looking && !followed(*leader))
        });
        if let Some(server) = in_vain {
            return Some(Event::End(server));
        }
        let established = |server: &usize| {
            matches!(standings.get(*server), Some(Some((ServerState::Leading, Some(leader)))) if followed(*leader))
                && !self.voters.is_established(get(state, *server))
        };
        if let Some(leader) = (0..self.servers()).find(established).filter(|_| is_looking) {
            return Some(Event::Establish(leader));
        }
        is_looking.then_some(Event::Pass)
    }

    fn essence(&self, state: &[u32]) -> u128 {
        let (servers, rest) = state.split_at(self.servers().min(state.len()));
        fingerprint(&(servers, rest.get(COUNTERS..)))
    }

    const COMES_TO_REST: &'static str = "ElectionsEnd";

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
            Event::Delay { link } => format!("is delayed {}", message(link, 0)),
            Event::Pass => "time passes".to_owned(),
            Event::Establish(server) => format!("S{} is established", server + 1),
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
