//! A few servers, the links between them, and one virtual clock: enough of a host to let elections run, end and begin again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::election::{Election, ElectionConfig, Notification, Output, ServerState, Vote};
use crate::quorum::Quorum;
use crate::types::{Epoch, SeededRng, ServerId, Time, Zxid};

pub(super) const FINALIZE: Duration = Duration::from_millis(50);
pub(super) const MIN: Duration = Duration::from_millis(50);
pub(super) const MAX: Duration = Duration::from_secs(2);
/// How long a role may fail before its server gives it up.
pub(super) const GIVE_UP: Duration = Duration::from_secs(1);
const CHECK: Duration = Duration::from_millis(100);

pub(super) fn sid(number: u64) -> ServerId {
    ServerId::new(number)
}

pub(super) fn vote(epoch: u32, counter: u32, server: u64) -> Vote {
    Vote { epoch: Epoch::new(epoch), zxid: Zxid::new(Epoch::new(epoch), counter), sid: sid(server) }
}

pub(super) fn config(server: u64, quorum: &Quorum, observers: &[u64]) -> ElectionConfig {
    ElectionConfig {
        server: sid(server),
        quorum: quorum.clone(),
        peers: quorum.voters().chain(observers.iter().copied().map(sid)).collect(),
        finalize_wait: FINALIZE,
        notification_min: MIN,
        notification_max: MAX,
    }
}

#[derive(Debug)]
struct Server {
    election: Option<Election>,
    /// What is on its disk; none if that is suspect.
    history: Option<Vote>,
    /// Since when its role does not work.
    failing_since: Option<Time>,
    /// Whether its role works: as leader it has an epoch, as follower it was brought level.
    settled: bool,
    /// How often it has started: its role's number.
    role: u64,
    /// The number of the role of the leader that it joined.
    joined: u64,
}

/// What can happen to a message, in chances of a hundred.
#[derive(Clone, Copy, Default)]
pub(super) struct Weather {
    pub(super) loss: u64,
    pub(super) duplication: u64,
    /// Added to each message's way: up to so many milliseconds.
    pub(super) delay_millis: u64,
}

pub(super) struct Network {
    pub(super) now: Time,
    pub(super) weather: Weather,
    quorum: Quorum,
    observers: Vec<u64>,
    rng: SeededRng,
    servers: BTreeMap<ServerId, Server>,
    cut: BTreeSet<(ServerId, ServerId)>,
    wire: BTreeMap<(Time, u64), (ServerId, ServerId, Notification)>,
    sent: u64,
    next_check: Time,
    /// All that was put out, in order.
    pub(super) transcript: Vec<(Time, ServerId, Output)>,
    /// Who said for whom it votes, in which round.
    votes_said: BTreeSet<(ServerId, u64, Vote)>,
    /// Who decided to lead in which round.
    led: BTreeSet<(ServerId, u64)>,
}

impl Network {
    pub(super) fn new(seed: u64, quorum: Quorum, observers: &[u64]) -> Self {
        let members = quorum.voters().chain(observers.iter().copied().map(sid));
        let blank = |number: u64| Server {
            election: None,
            history: Some(Vote { epoch: Epoch::ZERO, zxid: Zxid::ZERO, sid: sid(number) }),
            failing_since: None,
            settled: false,
            role: 0,
            joined: 0,
        };
        Self {
            now: Time::ZERO,
            weather: Weather::default(),
            servers: members.map(|server| (server, blank(server.number()))).collect(),
            quorum,
            observers: observers.to_vec(),
            rng: SeededRng::from_number(seed),
            cut: BTreeSet::new(),
            wire: BTreeMap::new(),
            sent: 0,
            next_check: Time::ZERO + CHECK,
            transcript: Vec::new(),
            votes_said: BTreeSet::new(),
            led: BTreeSet::new(),
        }
    }

    /// Voters numbered from 1.
    pub(super) fn of(voters: u64) -> Self {
        Self::new(voters, Quorum::majority((1..=voters).map(sid)), &[])
    }

    pub(super) fn history(&mut self, server: u64, epoch: u32, counter: u32) {
        self.server(server).history = Some(vote(epoch, counter, server));
    }

    pub(super) fn suspect(&mut self, server: u64) {
        self.server(server).history = None;
    }

    pub(super) fn boot(&mut self, server: u64) {
        let seed = self.rng.fork();
        let config = config(server, &self.quorum, &self.observers);
        self.server(server).election = Some(Election::new(config, seed));
        self.start(sid(server));
    }

    pub(super) fn boot_all(&mut self) {
        for server in self.numbers() {
            if self.servers[&sid(server)].election.is_none() {
                self.boot(server);
            }
        }
    }

    pub(super) fn crash(&mut self, server: u64) {
        self.server(server).election = None;
    }

    /// Lets nothing through from `from` to `to`; the other way stays.
    pub(super) fn cut_one_way(&mut self, from: u64, to: u64) {
        self.cut.insert((sid(from), sid(to)));
    }

    pub(super) fn cut(&mut self, one: u64, other: u64) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    pub(super) fn mend(&mut self, from: u64, to: u64) {
        self.cut.remove(&(sid(from), sid(to)));
    }

    /// Leaves these links, both ways, and no others.
    pub(super) fn only_links(&mut self, links: &[(u64, u64)]) {
        for one in self.numbers() {
            for other in self.numbers() {
                if one != other && !links.contains(&(one, other)) && !links.contains(&(other, one)) {
                    self.cut(one, other);
                }
            }
        }
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.weather = Weather::default();
    }

    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
    }

    /// Runs until `done`, and says how long that took; none if it is not done within `limit`.
    pub(super) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Option<Duration> {
        let begin = self.now;
        while !done(self) {
            if !self.step(begin + limit) {
                return None;
            }
        }
        Some(self.now.since(begin))
    }

    pub(super) fn election(&self, server: u64) -> &Election {
        self.servers[&sid(server)].election.as_ref().expect("the server is up")
    }

    pub(super) fn state(&self, server: u64) -> ServerState {
        self.election(server).state()
    }

    /// For whom each server that is up votes, or whom it follows: `(server, vote)`.
    pub(super) fn votes(&self) -> Vec<(u64, u64)> {
        let votes =
            self.servers.iter().filter_map(|(server, is)| Some((server, is.election.as_ref()?.vote()?)));
        votes.map(|(server, vote)| (server.number(), vote.sid.number())).collect()
    }

    /// The leader that all servers which are up follow and report with one and the same vote, if there is one and it is established.
    pub(super) fn agreed(&self) -> Option<u64> {
        let mut up = self.servers.iter().filter(|(_, is)| is.election.is_some());
        let leader = up.clone().find_map(|(_, is)| is.election.as_ref()?.leader())?;
        let vote = self.servers[&leader].election.as_ref()?.vote();
        let agree = up.all(|(server, is)| {
            is.settled
                && self.follows(*server, leader)
                && is.election.as_ref().and_then(Election::vote) == vote
        });
        (agree && self.is_established(leader)).then_some(leader.number())
    }

    /// Whether somebody leads, and a quorum that it reaches follows it.
    pub(super) fn is_led(&self) -> bool {
        self.servers.keys().any(|server| self.is_established(*server))
    }

    /// Voters that make a quorum, none of them too many; which, is drawn.
    pub(super) fn draw_core(&mut self) -> Vec<u64> {
        let mut core: Vec<ServerId> = self.quorum.voters().collect();
        let mut left = core.clone();
        while !left.is_empty() {
            let one = left.swap_remove(usize::try_from(self.rng.below(left.len() as u64)).unwrap());
            if self.quorum.is_reached(|server| server != one && core.contains(&server)) {
                core.retain(|server| *server != one);
            }
        }
        core.into_iter().map(ServerId::number).collect()
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.servers.keys().map(|server| server.number()).collect()
    }

    pub(super) fn is_up(&self, server: u64) -> bool {
        self.servers[&sid(server)].election.is_some()
    }

    /// Elections that were begun so far.
    pub(super) fn started(&self) -> usize {
        self.transcript.iter().filter(|(_, _, output)| matches!(output, Output::Started { .. })).count()
    }

    fn server(&mut self, server: u64) -> &mut Server {
        self.servers.get_mut(&sid(server)).expect("a member")
    }

    fn start(&mut self, server: ServerId) {
        let now = self.now;
        let is = self.server(server.number());
        is.failing_since = None;
        is.settled = false;
        is.role += 1;
        let history = is.history;
        is.election.as_mut().expect("the server is up").start(now, history);
        self.drain(server);
    }

    fn step(&mut self, end: Time) -> bool {
        let timer = self.servers.values().filter_map(|server| server.election.as_ref()?.poll_timeout()).min();
        let message = self.wire.keys().next().map(|(at, _)| *at);
        let next = [Some(self.next_check), timer, message].into_iter().flatten().min().expect("checks go on");
        if next > end {
            self.now = end;
            return false;
        }
        self.now = self.now.max(next);
        if message.is_some_and(|at| at <= self.now) {
            let (_, (from, to, notification)) = self.wire.pop_first().expect("there is one");
            if let Some(election) = &mut self.server(to.number()).election {
                election.handle_notification(next, from, notification);
                self.drain(to);
            }
        } else if timer.is_some_and(|at| at <= self.now) {
            for server in self.servers.keys().copied().collect::<Vec<_>>() {
                let Some(election) = &mut self.server(server.number()).election else { continue };
                election.handle_timeout(next);
                self.drain(server);
                let timer = self.election(server.number()).poll_timeout();
                assert!(timer.is_none_or(|at| at > self.now), "a deadline that is due stayed armed");
            }
        } else {
            self.next_check = self.now + CHECK;
            self.check_roles();
        }
        true
    }

    fn drain(&mut self, server: ServerId) {
        let mut outputs = 0;
        while let Some(output) =
            self.servers.get_mut(&server).and_then(|is| is.election.as_mut()?.poll_output())
        {
            outputs += 1;
            if let Output::Decided { leader, .. } = output {
                self.server(server.number()).joined = self.servers[&leader].role;
            }
            assert!(
                outputs <= 4 + self.servers.len(),
                "more than one word to each, and a few events, for one input"
            );
            self.judge(server, output);
            self.transcript.push((self.now, server, output));
            if let Output::Send { to, notification } = output {
                self.post(server, to, notification);
            }
        }
    }

    fn post(&mut self, from: ServerId, to: ServerId, notification: Notification) {
        self.sent += 1;
        if self.cut.contains(&(from, to)) || self.rng.chance(self.weather.loss, 100) {
            return;
        }
        let copies = 1 + u64::from(self.rng.chance(self.weather.duplication, 100));
        for copy in 0..copies {
            let delay = 1_000 + self.rng.below(1_000 * self.weather.delay_millis + 1);
            let at = self.now + Duration::from_micros(delay);
            self.wire.insert((at, 2 * self.sent + copy), (from, to, notification));
        }
    }

    /// Holds every output against what elections promise.
    fn judge(&mut self, server: ServerId, output: Output) {
        match output {
            Output::Send { notification, .. } => {
                if let (ServerState::Looking, Some(vote)) = (notification.state, notification.vote) {
                    let own = notification.candidate.expect("who votes is a candidate itself, or could be");
                    assert!((vote.epoch, vote.zxid) >= (own.epoch, own.zxid), "a vote for an older history");
                    self.votes_said.insert((server, notification.round, vote));
                }
            }
            Output::Decided { leader, round } if leader == server => {
                let vote = self.election(server.number()).vote().expect("it leads");
                assert!(self.quorum.weight(server) > 0, "a server without weight leads");
                let backs = |voter| voter == server || self.votes_said.contains(&(voter, round, vote));
                assert!(
                    self.quorum.is_reached(backs),
                    "{server:?} leads without a quorum of votes in round {round}"
                );
                self.led.insert((server, round));
            }
            Output::Decided { leader, round } => {
                assert!(
                    self.led.contains(&(leader, round)),
                    "{server:?} follows {leader:?}, which never led"
                );
            }
            Output::Started { .. } | Output::VoteChanged { .. } => {}
        }
    }

    fn is_linked(&self, one: ServerId, other: ServerId) -> bool {
        one == other || !self.cut.contains(&(one, other)) && !self.cut.contains(&(other, one))
    }

    /// Whether `server` follows what `leader` is now, and not what it was before it started again.
    fn follows(&self, server: ServerId, leader: ServerId) -> bool {
        let (is, leads) = (&self.servers[&server], &self.servers[&leader]);
        let knows = is.election.as_ref().and_then(Election::leader) == Some(leader);
        knows && is.joined == leads.role && leads.election.is_some() && self.is_linked(server, leader)
    }

    /// Whether `leader` leads, and a quorum that it reaches follows it.
    fn is_established(&self, leader: ServerId) -> bool {
        self.follows(leader, leader) && self.quorum.is_reached(|server| self.follows(server, leader))
    }

    /// What ZAB would find: a leader without a quorum and a follower without a leader give up; others have a new epoch.
    fn check_roles(&mut self) {
        for server in self.servers.keys().copied().collect::<Vec<_>>() {
            let Some(election) = &self.servers[&server].election else { continue };
            let Some(leader) = election.leader() else { continue };
            let works = if leader == server {
                self.is_established(server)
            } else {
                self.follows(leader, leader) && self.follows(server, leader)
            };
            let now = self.now;
            if works {
                self.server(server.number()).failing_since = None;
                self.settle(server, leader);
            } else if now.since(*self.server(server.number()).failing_since.get_or_insert(now)) >= GIVE_UP {
                self.start(server);
            }
        }
    }

    fn settle(&mut self, server: ServerId, leader: ServerId) {
        if self.servers[&server].settled {
            return;
        }
        let led = self.election(leader.number()).vote().expect("it leads");
        let settled = if server == leader {
            let followers = self.servers.iter().filter(|(other, _)| self.follows(**other, leader));
            let last =
                followers.filter_map(|(_, is)| Some(is.history?.epoch)).max().expect("it has one itself");
            Vote { epoch: last.next().expect("few epochs"), ..led }
        } else if self.servers[&leader].settled {
            led
        } else {
            return;
        };
        let is = self.server(server.number());
        is.settled = true;
        is.election.as_mut().expect("it is up").settle(settled);
        is.history = is.history.map(|history| Vote { epoch: settled.epoch, zxid: settled.zxid, ..history });
    }
}
