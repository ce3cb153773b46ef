use std::time::Duration;

use hashbrown::HashMap;

use crate::election::{Election, ElectionConfig, Notification, Output, ServerState, Vote};
use crate::quorum::Quorum;
use crate::types::{Epoch, SeededRng, ServerId, Time, Zxid};

use super::intern::Interner;
use super::search::Broken;

/// The instant at which every server always is: its machine is moved back to it after each step.
const NOW: Time = Time::from_millis(1_000);

/// The epoch of a leader that is established: larger than that of any history.
const ESTABLISHED: Epoch = Epoch::new(1_000);

/// The servers of an election, each in every state that it was ever seen in.
///
/// The real machine takes each step once, for each state of one server and each input; after that the answer is looked up.
pub(super) struct Voters {
    votes: Vec<Vote>,
    flaw: Option<ElectionFlaw>,
    machines: Interner<Option<Voter>>,
    notes: Interner<Notification>,
    steps: HashMap<(u32, Input), VoterStep>,
}

/// One server that runs.
#[derive(Clone, Hash)]
pub(super) struct Voter {
    server: u64,
    pub(super) machine: Election,
}

/// Something wrong with the servers of a model, so that it can be seen that the checker sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElectionFlaw {
    /// Server 1 says that its history is fresher than it is.
    BoastfulCandidate,
    /// Server 1 believes that it alone is a quorum.
    LonelyQuorum,
}

/// What happens to one server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Input {
    /// The process starts, and looks for a leader.
    Boot(u64),
    /// The process ends.
    Crash,
    /// Its role has ended: it looks for a leader again.
    Start,
    /// The leader that it follows, or it itself, is established.
    Settle,
    /// A notification arrives.
    Hear { from: u64, note: u32 },
    /// So many microseconds pass.
    Wait(u64),
}

/// What comes of it.
#[derive(Clone, Debug, Default)]
pub(super) struct VoterStep {
    /// The server's state afterwards.
    pub(super) next: u32,
    pub(super) sends: Vec<(u64, u32)>,
    /// Leader and round.
    pub(super) decided: Option<(u64, u64)>,
    pub(super) broken: Option<Broken>,
}

impl Voters {
    /// Servers numbered from 1, with histories of these epochs and counters.
    pub(super) fn new(histories: &[(u32, u32)], flaw: Option<ElectionFlaw>) -> Self {
        let votes = (1..).zip(histories).map(|(sid, (epoch, counter))| Vote {
            epoch: Epoch::new(*epoch),
            zxid: Zxid::new(Epoch::new(*epoch), *counter),
            sid: ServerId::new(sid),
        });
        let votes = votes.collect();
        Self { votes, flaw, machines: Interner::new(), notes: Interner::new(), steps: HashMap::new() }
    }

    pub(super) fn local_states(&self) -> usize {
        self.machines.len()
    }

    /// The number of the state of a server that is down.
    pub(super) fn down(&mut self) -> u32 {
        self.machines.number(None)
    }

    /// What a server is doing, and whom it follows; none of one that is down.
    pub(super) fn standing(&self, state: u32) -> Option<(ServerState, Option<u64>)> {
        let voter = self.machines.value(state);
        let machine = &voter.as_ref().as_ref()?.machine;
        Some((machine.state(), machine.leader().map(ServerId::number)))
    }

    pub(super) fn note(&self, number: u32) -> Notification {
        *self.notes.value(number)
    }

    pub(super) fn quorum(&self) -> Quorum {
        Quorum::majority(self.votes.iter().map(|vote| vote.sid))
    }

    /// How fresh a server's history is.
    pub(super) fn freshness(&self, server: u64) -> Option<(Epoch, Zxid)> {
        self.vote(server).map(|vote| (vote.epoch, vote.zxid))
    }

    /// Whether a server knows that its leader is established.
    pub(super) fn is_established(&self, state: u32) -> bool {
        let voter = self.machines.value(state);
        let vote = voter.as_ref().as_ref().and_then(|voter| voter.machine.vote());
        vote.is_some_and(|vote| vote.epoch == ESTABLISHED)
    }

    /// For how many microseconds nothing happens in this state by itself.
    pub(super) fn rest(&self, state: u32) -> Option<u64> {
        let voter = self.machines.value(state);
        let at = voter.as_ref().as_ref()?.machine.poll_timeout()?;
        u64::try_from(at.since(NOW).as_micros()).ok()
    }

    /// What the real machine does.
    pub(super) fn step(&mut self, state: u32, input: Input) -> VoterStep {
        if let Some(step) = self.steps.get(&(state, input)) {
            return step.clone();
        }
        let step = self.work_out(state, input);
        self.steps.insert((state, input), step.clone());
        step
    }

    fn work_out(&mut self, state: u32, input: Input) -> VoterStep {
        let mut step = VoterStep::default();
        let mut voter = self.machines.value(state).as_ref().clone();
        let mut now = NOW;
        match (input, &mut voter) {
            (Input::Crash, _) => voter = None,
            (Input::Boot(server), _) => {
                let mut machine = Election::new(self.config(server), SeededRng::from_number(0));
                machine.start(NOW, self.vote(server));
                voter = Some(Voter { server, machine });
            }
            (Input::Start, Some(voter)) => voter.machine.start(NOW, self.vote(voter.server)),
            (Input::Settle, Some(voter)) => {
                if let Some(vote) = voter.machine.vote() {
                    voter.machine.settle(Vote { epoch: ESTABLISHED, ..vote });
                }
            }
            (Input::Hear { from, note }, Some(voter)) => {
                voter.machine.handle_notification(NOW, ServerId::new(from), *self.notes.value(note));
            }
            (Input::Wait(micros), Some(voter)) => {
                now = NOW + Duration::from_micros(micros);
                voter.machine.handle_timeout(now);
            }
            (_, None) => {}
        }
        if let Some(voter) = &mut voter {
            while let Some(output) = voter.machine.poll_output() {
                match output {
                    Output::Send { to, notification } => {
                        step.broken = step.broken.or_else(|| self.dishonest(voter, &notification));
                        let notification = self.spoil(voter, notification);
                        step.sends.push((to.number(), self.notes.number(notification)));
                    }
                    Output::Decided { leader, round } => step.decided = Some((leader.number(), round)),
                    Output::Started { .. } | Output::VoteChanged { .. } => {}
                }
            }
            if voter.machine.poll_timeout().is_some_and(|next| next <= now) {
                let what = format!("S{} is to be called again at once", voter.server);
                step.broken = Some(Broken::new("DeadlinesLieAhead", what));
            }
            voter.machine.rebase(now, NOW);
        }
        step.next = self.machines.number(voter);
        step
    }

    /// What a server says of itself is true; what it says of others, they said.
    fn dishonest(&self, voter: &Voter, said: &Notification) -> Option<Broken> {
        let own = said.candidate.is_none_or(|candidate| Some(candidate) == self.vote(voter.server));
        let is_established = said.state != ServerState::Looking;
        let vote = said.vote.is_none_or(|vote| {
            let known = self.vote(vote.sid.number());
            Some(vote) == known || (is_established && vote.epoch == ESTABLISHED)
        });
        let settled =
            said.state == ServerState::Looking || said.vote.map(|vote| vote.sid) == voter.machine.leader();
        let honest = own && vote && settled;
        (!honest).then(|| Broken::new("VotesAreHonest", format!("S{} says {said:?}", voter.server)))
    }

    fn spoil(&self, voter: &Voter, mut notification: Notification) -> Notification {
        if self.flaw == Some(ElectionFlaw::BoastfulCandidate) && voter.server == 1 {
            let boast = |vote: Vote| {
                if vote.sid.number() == 1 { Vote { epoch: Epoch::new(9), ..vote } } else { vote }
            };
            notification.candidate = notification.candidate.map(boast);
            notification.vote = notification.vote.map(boast);
        }
        notification
    }

    fn config(&self, server: u64) -> ElectionConfig {
        let lonely = self.flaw == Some(ElectionFlaw::LonelyQuorum) && server == 1;
        ElectionConfig {
            server: ServerId::new(server),
            quorum: if lonely { Quorum::majority([ServerId::new(1)]) } else { self.quorum() },
            peers: self.votes.iter().map(|vote| vote.sid).collect(),
            // Of spans this short no jitter is left, so no chance.
            finalize_wait: Duration::from_micros(1),
            notification_min: Duration::from_micros(2),
            notification_max: Duration::from_micros(2),
        }
    }

    fn vote(&self, server: u64) -> Option<Vote> {
        self.votes.iter().copied().find(|vote| vote.sid.number() == server)
    }
}
