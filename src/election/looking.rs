use std::collections::BTreeMap;
use std::time::Duration;

use crate::types::{ServerId, Time};

use super::{ElectionConfig, Notification, ServerState, Vote};

/// How many questions in a row a peer may leave unanswered before what it said is forgotten.
const PATIENCE: u32 = 3;

/// What a server knows while it looks. All of it was said to it since it began to: nothing outlives an election.
#[cfg_attr(any(test, feature = "sim"), derive(Hash))]
#[derive(Clone, Debug)]
pub(super) struct Looking {
    /// The server itself as a candidate; none if it votes for nobody.
    pub(super) candidate: Option<Vote>,
    /// When it entered its present round.
    pub(super) since: Time,
    /// Whether it hears, and is heard by, a quorum of looking voters that could vote for it.
    pub(super) connected: bool,
    heard: BTreeMap<ServerId, Heard>,
    /// The span before the next resend but one.
    pub(super) interval: Duration,
    /// When to say again what was said.
    pub(super) resend_at: Time,
    /// When to lead, if a quorum still backs this server.
    pub(super) lead_at: Option<Time>,
    /// When to believe the word of a leader alone.
    pub(super) join_at: Option<(Vote, Time)>,
    /// When the next candidate's grace ends.
    pub(super) grace_ends_at: Option<Time>,
}

/// What a peer said last.
#[cfg_attr(any(test, feature = "sim"), derive(Hash))]
#[derive(Clone, Debug)]
struct Heard {
    notification: Notification,
    /// Since when it is in the state and the round that it reports.
    since: Time,
    /// How many questions it left unanswered since.
    unanswered: u32,
}

/// A leader that could be joined.
pub(super) struct Found {
    pub(super) vote: Vote,
    pub(super) round: u64,
    /// Whether there is more than its own word.
    pub(super) confirmed: bool,
}

impl Looking {
    pub(super) fn new(now: Time, candidate: Option<Vote>, interval: Duration) -> Self {
        Self {
            candidate,
            since: now,
            connected: false,
            heard: BTreeMap::new(),
            interval,
            resend_at: now,
            lead_at: None,
            join_at: None,
            grace_ends_at: None,
        }
    }

    /// Remembers what `from` said, and whether it is the first that was heard of it.
    pub(super) fn hear(&mut self, now: Time, from: ServerId, notification: Notification) -> bool {
        let before = self.heard.get(&from);
        let goes_on = before.filter(|heard| {
            (heard.notification.state, heard.notification.round) == (notification.state, notification.round)
        });
        let since = goes_on.map_or(now, |heard| heard.since);
        let is_first = before.is_none();
        self.heard.insert(from, Heard { notification, since, unanswered: 0 });
        is_first
    }

    /// Counts a question to `server`, and forgets it if it has left too many unanswered.
    pub(super) fn ask(&mut self, server: ServerId) {
        if let Some(heard) = self.heard.get_mut(&server) {
            heard.unanswered += 1;
            if heard.unanswered > PATIENCE {
                self.heard.remove(&server);
            }
        }
    }

    /// Forgets what `server` said.
    pub(super) fn forget(&mut self, server: ServerId) {
        self.heard.remove(&server);
    }

    pub(super) fn hears(&self, server: ServerId) -> bool {
        self.heard.contains_key(&server)
    }

    /// The servers that are heard.
    pub(super) fn heard(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.heard.keys().copied()
    }

    /// Whether a quorum of servers that look, this one included, hears this one and is heard, and could vote for it: nobody
    /// backs a candidate with an older history than its own, so that one which needs such a vote must not stand in the way
    /// of those that need none. (SCN-28)
    pub(super) fn is_connected(&self, config: &ElectionConfig) -> bool {
        let Some(own) = self.candidate else { return false };
        config.quorum.is_reached(|server| {
            if server == config.server {
                return true;
            }
            self.said(server).is_some_and(|said| {
                let could_back = said.candidate.is_some_and(|vote| vote.freshness() <= own.freshness());
                said.state == ServerState::Looking && said.hears_you && could_back
            })
        })
    }

    /// The candidate to vote for at `now`: of those that are heard and hear, with a history not older than this
    /// server's, the largest vote; where some seem to reach a quorum, those that seem not to after all others.
    pub(super) fn best(&self, config: &ElectionConfig, round: u64, now: Time) -> Option<Vote> {
        let own = self.candidate?;
        let others =
            self.candidates(config, round).filter(|(_, _, vote)| vote.freshness() >= own.freshness());
        let myself = (config.quorum.weight(config.server) > 0).then_some((self.connected, self.since, own));
        let standing: Vec<(bool, Time, Vote)> = others.chain(myself).collect();
        // While none reaches a quorum there is nobody to prefer, and a vote that moves to and fro helps nobody.
        let hopeless = !standing.iter().any(|(connected, ..)| *connected);
        let best = standing
            .into_iter()
            .map(|(connected, since, vote)| (hopeless || connected || now < since + config.grace(), vote))
            .max();
        best.map(|(_, vote)| vote)
    }

    /// The first end after `now` of the grace of a candidate that seems to reach no quorum.
    pub(super) fn next_grace_end(&self, config: &ElectionConfig, round: u64, now: Time) -> Option<Time> {
        let myself = self.candidate.map(|own| (self.connected, self.since, own));
        let doubtful = self.candidates(config, round).chain(myself).filter(|(connected, ..)| !connected);
        doubtful.map(|(_, since, _)| since + config.grace()).filter(|end| *end > now).min()
    }

    /// The other candidates of `round` that hear this server: whether each reaches a quorum, since when it is one, its vote.
    fn candidates<'a>(
        &'a self,
        config: &'a ElectionConfig,
        round: u64,
    ) -> impl Iterator<Item = (bool, Time, Vote)> + 'a {
        self.heard.iter().filter_map(move |(server, heard)| {
            let said = &heard.notification;
            let stands = said.state == ServerState::Looking
                && said.round == round
                && said.hears_you
                && config.quorum.weight(*server) > 0;
            said.candidate.filter(|_| stands).map(|vote| (said.connected, heard.since, vote))
        })
    }

    /// Whether `voter` is known to look and to vote in `round` for `vote`, which is this server's own.
    pub(super) fn backs(&self, config: &ElectionConfig, round: u64, vote: Vote, voter: ServerId) -> bool {
        if voter == config.server {
            return true;
        }
        self.said(voter).is_some_and(|said| {
            said.state == ServerState::Looking
                && said.round == round
                && said.candidate.is_some()
                && said.vote == Some(vote)
        })
    }

    /// The leader to join, if one says itself that it leads and hears this server. One of an earlier epoch than this
    /// server's is deposed, or will have a later epoch before long.
    pub(super) fn leader(&self, config: &ElectionConfig, round: u64, vote: Option<Vote>) -> Option<Found> {
        let epoch = self.candidate.map(|own| own.epoch);
        let leaders = self.heard.iter().filter_map(|(server, heard)| {
            let said = &heard.notification;
            let leads = said.state == ServerState::Leading
                && said.hears_you
                && config.quorum.weight(*server) > 0
                && said.vote.map(|vote| vote.epoch) >= epoch;
            said.vote.filter(|_| leads).map(|vote| (vote, said.round))
        });
        let (leader, leader_round) = leaders.max()?;
        let voted_for_it = round == leader_round && vote == Some(leader);
        let confirmed = voted_for_it
            || config.quorum.is_reached(|server| {
                self.said(server).is_some_and(|said| said.follows(leader, leader_round))
            });
        Some(Found { vote: leader, round: leader_round, confirmed })
    }

    fn said(&self, server: ServerId) -> Option<&Notification> {
        self.heard.get(&server).map(|heard| &heard.notification)
    }
}

#[cfg(any(test, feature = "sim"))]
impl Looking {
    /// Every instant until which something waits.
    pub(super) fn each_deadline(&mut self, mut change: impl FnMut(&mut Time)) {
        change(&mut self.resend_at);
        let join_at = self.join_at.as_mut().map(|(_, at)| at);
        [self.lead_at.as_mut(), join_at, self.grace_ends_at.as_mut()].into_iter().flatten().for_each(change);
    }

    /// Every instant since which something is as it is.
    pub(super) fn each_beginning(&mut self, mut change: impl FnMut(&mut Time)) {
        change(&mut self.since);
        self.heard.values_mut().for_each(|heard| change(&mut heard.since));
    }
}

impl Notification {
    /// Whether the sender is one of those that stand behind `leader`: by its vote in the round that elected it, or, since
    /// rounds and positions differ between those that came at different times, because it is settled with it in the same epoch.
    fn follows(&self, leader: Vote, round: u64) -> bool {
        self.vote.is_some_and(|vote| match self.state {
            ServerState::Looking => vote == leader && self.round == round && self.candidate.is_some(),
            ServerState::Following | ServerState::Leading => {
                (vote.sid, vote.epoch) == (leader.sid, leader.epoch)
            }
            ServerState::Observing => false,
        })
    }
}
