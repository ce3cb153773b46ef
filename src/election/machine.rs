use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::types::{SeededRng, ServerId, Time};

use super::looking::Looking;
use super::{ElectionConfig, Notification, ServerState, Vote};

/// One server's part in elections, as a pure state machine.
///
/// Drive it like every machine here: hand it what happens, then drain [`poll_output`](Self::poll_output) to `None`, then
/// wait until [`poll_timeout`](Self::poll_timeout). It begins idle, and looks for a leader from
/// [`start`](Self::start) until it says [`Output::Decided`]; from then on it is settled, and only
/// answers those that look, until it is started again.
///
/// Memory: what each peer said last, and at most one message to each that waits to be polled.
#[cfg_attr(any(test, feature = "sim"), derive(Hash))]
#[derive(Clone, Debug)]
pub struct Election {
    config: ElectionConfig,
    rng: SeededRng,
    state: ServerState,
    round: u64,
    vote: Option<Vote>,
    /// While it looks. Neither looking nor settled is idle.
    looking: Option<Looking>,
    /// Peers whose processes are known to have gone, until they speak again: nobody waits for their word.
    gone: BTreeSet<ServerId>,
    events: VecDeque<Output>,
    /// To whom to speak, and whether to ask. The newest word replaces those not yet polled.
    pending: BTreeMap<ServerId, bool>,
}

/// What an [`Election`] wants done, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum Output {
    /// Send this, best effort and at once: elections do not wait behind bulk.
    Send {
        /// To whom.
        to: ServerId,
        /// What.
        notification: Notification,
    },
    /// The election is over, for this server. If `leader` is this server, it leads; else it follows or, if it has no
    /// vote, observes. Nobody has made sure yet that the leader is established: that is for ZAB.
    Decided {
        /// The leader.
        leader: ServerId,
        /// The round in which it was elected.
        round: u64,
    },
    /// An election began.
    Started {
        /// Its round.
        round: u64,
    },
    /// The server changed its vote; or votes for the first time.
    VoteChanged {
        /// Its vote now.
        vote: Vote,
        /// Whose word made it change.
        because_of: ServerId,
    },
}

impl Election {
    /// An idle machine, in round 0. Rounds are not kept across restarts: a server that restarts adopts that of the others.
    #[must_use]
    pub fn new(mut config: ElectionConfig, rng: SeededRng) -> Self {
        config.peers.retain(|peer| *peer != config.server);
        config.peers.sort_unstable();
        config.peers.dedup();
        Self {
            config,
            rng,
            state: ServerState::Looking,
            round: 0,
            vote: None,
            looking: None,
            gone: BTreeSet::new(),
            events: VecDeque::new(),
            pending: BTreeMap::new(),
        }
    }

    /// Begins an election, in the next round: at start-up, or when the role that the last one gave has ended. What was heard
    /// before is forgotten, so that a leader which died is not elected again by its old votes.
    ///
    /// `candidate` says how fresh this server's durable history is; its `sid` is this server, whatever it says. None for a
    /// server whose disk is suspect: it looks for a leader, proposes nobody, and its vote is never counted. An observer
    /// is treated so in any case.
    pub fn start(&mut self, now: Time, candidate: Option<Vote>) {
        let candidate = candidate.filter(|_| self.config.is_voter());
        let candidate = candidate.map(|candidate| Vote { sid: self.config.server, ..candidate });
        self.state = ServerState::Looking;
        self.round = self.round.saturating_add(1);
        self.vote = None;
        self.looking = Some(Looking::new(now, candidate, self.config.notification_min));
        self.pending.clear();
        self.events.push_back(Output::Started { round: self.round });
        self.ask_again(now);
        self.consider(now, None);
    }

    /// Takes what `from` said; the transport vouches that it was `from`. Words of strangers, of this server itself, and those
    /// that contradict themselves are dropped.
    pub fn handle_notification(&mut self, now: Time, from: ServerId, notification: Notification) {
        if self.config.peers.binary_search(&from).is_err() || !notification.is_sane(from) {
            return;
        }
        self.gone.remove(&from);
        let is_looking = notification.state == ServerState::Looking;
        let Some(looking) = &mut self.looking else {
            if is_looking && self.state != ServerState::Looking {
                self.pending.insert(from, false);
            }
            return;
        };
        let is_first = looking.hear(now, from, notification);
        let is_behind = is_looking && notification.round < self.round;
        let is_ahead = is_looking && notification.round > self.round && self.config.quorum.is_voter(from);
        if is_ahead {
            self.round = notification.round;
            looking.since = now;
            looking.lead_at = None;
        }
        if is_first {
            // Something changed out there: tell and ask with the shortest spans again.
            self.hurry(now);
        }
        if is_ahead {
            self.tell_voters(false);
        }
        if notification.ask || is_behind || (is_first && is_looking) {
            self.tell(from, false);
        }
        self.consider(now, Some(from));
    }

    /// The process of `peer` is known to have gone: what it said is forgotten, and a candidate that all others back leads without
    /// the finalise wait, in this election and later ones, until the peer is heard again.
    pub fn handle_peer_gone(&mut self, now: Time, peer: ServerId) {
        if self.config.peers.binary_search(&peer).is_err() {
            return;
        }
        self.gone.insert(peer);
        if let Some(looking) = &mut self.looking {
            looking.forget(peer);
            self.consider(now, None);
        }
    }

    /// Does what is due at `now`. A call without need is harmless.
    pub fn handle_timeout(&mut self, now: Time) {
        let Some(looking) = &self.looking else { return };
        if looking.resend_at <= now {
            self.ask_again(now);
        }
        self.consider(now, None);
    }

    /// After the leader's epoch is established (on the leader), or after UPTODATE (on a learner): the vote to report from now on, with
    /// the new epoch in it, equal on all members. A server that comes later thus finds a quorum of equal votes
    /// (ZOOKEEPER-1732). Without effect while looking.
    pub fn settle(&mut self, vote: Vote) {
        if self.looking.is_none() && self.state != ServerState::Looking {
            self.vote = Some(vote);
        }
    }

    /// The next thing to do; none when all was said.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let (to, ask) = self.pending.pop_first()?;
        Some(Output::Send { to, notification: self.notification(to, ask) })
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next: to ask again, to lead after the finalise wait, to believe a
    /// leader's word, or to look again at candidates that reach no quorum. None when idle or settled. After
    /// `handle_timeout(now)` it lies after `now`. `start`, `handle_notification` and `handle_timeout` change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let looking = self.looking.as_ref()?;
        let join_at = looking.join_at.map(|(_, at)| at);
        [Some(looking.resend_at), looking.lead_at, join_at, looking.grace_ends_at].into_iter().flatten().min()
    }

    /// What the server is doing. [`Looking`](ServerState::Looking) before the first start too.
    #[must_use]
    pub fn state(&self) -> ServerState {
        self.state
    }

    /// The round of the election that runs, or of the one that gave the present leader.
    #[must_use]
    pub fn round(&self) -> u64 {
        self.round
    }

    /// For whom the server votes, or whom it follows.
    #[must_use]
    pub fn vote(&self) -> Option<Vote> {
        self.vote
    }

    /// Whom the server follows, itself if it leads; none while it looks.
    #[must_use]
    pub fn leader(&self) -> Option<ServerId> {
        self.vote.filter(|_| self.state != ServerState::Looking).map(|vote| vote.sid)
    }

    /// Draws the conclusions from all that was heard.
    fn consider(&mut self, now: Time, from: Option<ServerId>) {
        if self.join(now) {
            return;
        }
        let Some(looking) = &mut self.looking else { return };
        let connected = looking.is_connected(&self.config);
        let mut news = connected != looking.connected;
        looking.connected = connected;
        let vote = looking.best(&self.config, self.round, now);
        looking.grace_ends_at = looking.next_grace_end(&self.config, self.round, now);
        if vote != self.vote {
            news = true;
            self.vote = vote;
            if let Some(vote) = vote {
                self.events.push_back(Output::VoteChanged { vote, because_of: from.unwrap_or(vote.sid) });
            }
            self.hurry(now);
        }
        if news {
            self.tell_voters(false);
        }
        self.lead(now);
    }

    /// Joins a leader that is confirmed, or whose word stood alone for a finalise wait.
    fn join(&mut self, now: Time) -> bool {
        let Some(looking) = &mut self.looking else { return false };
        let Some(found) = looking.leader(&self.config, self.round, self.vote) else {
            looking.join_at = None;
            return false;
        };
        let pending = looking.join_at.filter(|(vote, _)| *vote == found.vote);
        let (_, at) =
            *looking.join_at.insert(pending.unwrap_or((found.vote, now + self.config.finalize_wait)));
        let joins = found.confirmed || at <= now;
        if joins {
            let state = if self.config.is_voter() { ServerState::Following } else { ServerState::Observing };
            self.decide(state, found.vote, found.round);
        }
        joins
    }

    /// Leads, if a quorum has backed this server for a finalise wait, or if all voters do.
    fn lead(&mut self, now: Time) {
        let Some(looking) = &mut self.looking else { return };
        let Some(vote) = self.vote.filter(|vote| vote.sid == self.config.server) else {
            looking.lead_at = None;
            return;
        };
        let config = &self.config;
        let backs = |voter| looking.backs(config, self.round, vote, voter);
        if !config.quorum.is_reached(backs) {
            looking.lead_at = None;
            return;
        }
        let is_unanimous = config.quorum.voters().all(|voter| backs(voter) || self.gone.contains(&voter));
        let at = *looking.lead_at.get_or_insert(now + config.finalize_wait);
        if is_unanimous || at <= now {
            self.decide(ServerState::Leading, vote, self.round);
        }
    }

    fn decide(&mut self, state: ServerState, vote: Vote, round: u64) {
        let Some(looking) = self.looking.take() else { return };
        self.state = state;
        self.vote = Some(vote);
        self.round = round;
        self.events.push_back(Output::Decided { leader: vote.sid, round });
        // A settled server speaks to those only that it heard: see `Notification::hears_you`.
        self.pending.retain(|peer, _| looking.hears(*peer));
        if state == ServerState::Leading {
            self.pending.extend(looking.heard().map(|peer| (peer, false)));
        }
    }

    /// Asks all voters, forgets those that have not answered for long, and doubles the span before the next time.
    fn ask_again(&mut self, now: Time) {
        let Some(looking) = &mut self.looking else { return };
        self.config.quorum.voters().for_each(|voter| looking.ask(voter));
        looking.resend_at = now + with_jitter(&mut self.rng, looking.interval);
        looking.interval = looking.interval.saturating_mul(2).min(self.config.notification_max);
        self.tell_voters(true);
    }

    /// Back to the shortest span between resends.
    fn hurry(&mut self, now: Time) {
        let Some(looking) = &mut self.looking else { return };
        looking.interval = self.config.notification_min;
        let soon = now + with_jitter(&mut self.rng, looking.interval);
        looking.resend_at = looking.resend_at.min(soon);
    }

    fn tell_voters(&mut self, ask: bool) {
        for peer in self.config.peers.iter().filter(|peer| self.config.quorum.is_voter(**peer)) {
            *self.pending.entry(*peer).or_default() |= ask;
        }
    }

    fn tell(&mut self, peer: ServerId, ask: bool) {
        *self.pending.entry(peer).or_default() |= ask;
    }

    fn notification(&self, to: ServerId, ask: bool) -> Notification {
        let (state, round, vote) = (self.state, self.round, self.vote);
        let Some(looking) = &self.looking else {
            return Notification {
                state,
                round,
                vote,
                candidate: None,
                hears_you: true,
                connected: false,
                ask: false,
            };
        };
        let hears_you = looking.hears(to);
        Notification {
            state,
            round,
            vote,
            candidate: looking.candidate,
            hears_you,
            connected: looking.connected,
            ask,
        }
    }
}

/// For model checking: elections that differ in nothing but when they happened are one state.
#[cfg(any(test, feature = "sim"))]
impl Election {
    /// Moves the machine from `now` to `to`, a fixed instant that is not before the end of a grace span: every deadline
    /// stays as far ahead as it was, and what is too old to matter becomes just so old that it does not matter. The
    /// machine behaves afterwards as it would have before, but for chance: the generator, which draws the jitter of
    /// the spans and nothing else, starts anew. So this is exact where the spans are too short for any jitter.
    pub(crate) fn rebase(&mut self, now: Time, to: Time) {
        let grace = self.config.grace();
        self.rng = SeededRng::from_number(0);
        let Some(looking) = &mut self.looking else { return };
        looking.each_deadline(|time| *time = to + time.since(now));
        looking.each_beginning(|time| {
            let age = now.since(*time).min(grace);
            *time = Time::ZERO + to.since(Time::ZERO + age);
        });
    }
}

/// `span`, and up to half of it more, so that servers that failed together do not speak together for ever.
fn with_jitter(rng: &mut SeededRng, span: Duration) -> Duration {
    let half = u64::try_from(span.as_micros() / 2).unwrap_or(u64::MAX);
    // At least a microsecond, so that a deadline always lies ahead.
    span.max(Duration::from_micros(1)) + Duration::from_micros(rng.below(half))
}
