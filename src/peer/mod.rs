//! Layer 4: [`Peer`], the one composition of all the parts: the machine that a host drives.
//!
//! | file | what of the peer is in it |
//! |---|---|
//! | `mod` | what a host calls |
//! | `protocol` | election and ZAB: roles, messages, the log |
//! | `reign` | what only a leader does: judge writes, expire sessions, remove nodes that are due |
//! | `serving` | clients: attaching, requests, answers |
//! | `backlog` | answers that would make a step too long, and the transactions that must not overtake them |
//! | `watching` | watches: what a client asks of the registry, and what it missed |
//! | `deliver` | committed transactions become state, events and answers |
//! | `inspect` | what an operator wants to know beyond the status |
//! | `saving` | snapshots: its own, and those a leader sends |

mod backlog;
mod clients;
mod config;
mod deliver;
mod forward;
mod gate;
mod input;
mod inspect;
mod leading;
mod message;
mod output;
mod protocol;
mod reign;
mod saving;
mod serving;
mod size;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod watching;

use std::collections::{BTreeMap, VecDeque};

use thiserror::Error;

use crate::codec::Encoder;
use crate::election::Election;
use crate::types::{Change, ClientId, Now, Recovered, SeededRng, Time, Zxid};
use crate::watch::{RecentChanges, Watches};
use crate::zab::Zab;

use backlog::Backlog;
use clients::Clients;
use forward::Back;
use gate::Gate;
use leading::Leading;
use saving::Saving;

#[cfg(any(test, feature = "sim"))]
pub(crate) use forward::heard_in;
#[cfg(test)]
pub(crate) use forward::hearing_of;

pub use config::{ConfigError, Ensemble, Limits, Member, PeerConfig, Timing};
pub use input::{ClientRequest, Connect, Input, ReadLevel, Request, WatchRequest};
pub use inspect::{Detail, Inspection, SessionReport, WatchReport};
pub use message::Message;
pub use output::{Answer, CloseReason, Connected, Halt, LearnerLag, Output, PeerEvent, Reply, Role, Status};
pub use snapshot::{RestoreError, StateRestore};
pub use state::State;

/// One server of the quorum, as a pure state machine.
///
/// A host tells it what happened ([`handle_input`](Self::handle_input), [`handle_timeout`](Self::handle_timeout)) and carries out
/// what it asks for ([`poll_output`](Self::poll_output)), in order, until there is nothing more. It never reads a
/// clock, draws entropy, touches a file or waits. The same inputs with the same configuration give the same outputs,
/// byte for byte.
///
/// What it sends never runs ahead of what is durable: a message that rests on a write is not put out
/// before [`Input::Persisted`] has come for that write.
#[derive(Debug)]
pub struct Peer {
    config: PeerConfig,
    now: Now,
    election: Election,
    zab: Zab,
    state: State,
    role: Role,
    /// Stood down: an election begins when the log is settled.
    wants_election: bool,
    serving: bool,
    halted: bool,
    leading: Option<Leading>,
    clients: Clients,
    watches: Watches,
    recent: RecentChanges,
    /// What the transaction at hand changes; empty between two.
    changes: Vec<Change>,
    /// Words of the leader that wait for a position to be applied.
    backs: VecDeque<Back>,
    backlog: Backlog,
    /// Requests that wait for the answer to a question about the read index, by its token.
    asked: BTreeMap<u64, Vec<(ClientId, u64)>>,
    /// The token under which reads are being gathered for the next question.
    gathering: Option<u64>,
    next_token: u64,
    gate: Gate,
    saving: Saving,
    digests: VecDeque<(Zxid, u64)>,
    next_tick: Option<Time>,
    rng: SeededRng,
    /// For what becomes part of the log, which lasts.
    entries: Encoder,
    /// For what is said once. Apart, so that it does not take up memory for as long as the entries last.
    words: Encoder,
    outputs: VecDeque<Output>,
}

/// Why a peer cannot be made. Nothing was started.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The configuration cannot work.
    #[error("the configuration cannot work: {0}")]
    Config(#[from] ConfigError),
    /// The state is not the one that the storage's newest snapshot holds.
    #[error("the storage's newest snapshot is {expected:?}, the state given is of {found:?}")]
    State {
        /// The position of the newest snapshot.
        expected: Option<Zxid>,
        /// The position of the state.
        found: Option<Zxid>,
    },
}

impl Peer {
    /// A peer with this durable state, which begins to look for a leader. `state` is what
    /// [`StateRestore`] made of the snapshot that `recovered` names, and `None` where it names none.
    ///
    /// # Errors
    ///
    /// When the configuration cannot work, or the state is not the one of the snapshot.
    pub fn new(
        config: PeerConfig,
        recovered: Recovered,
        state: Option<State>,
        now: Now,
    ) -> Result<Self, PeerError> {
        config.validate()?;
        let found = state.as_ref().map(State::applied);
        if recovered.snapshot != found {
            return Err(PeerError::State { expected: recovered.snapshot, found });
        }
        let mut rng = SeededRng::new(config.seed);
        let state = state.unwrap_or_else(|| State::new(&config));
        let mut recent = RecentChanges::new(config.limits.remembered_changes);
        recent.reset(state.applied);
        let mut peer = Self {
            now,
            election: Election::new(protocol::election_config(&config), rng.fork()),
            zab: Zab::new(protocol::zab_config(&config), recovered, rng.fork()),
            saving: Saving::new(),
            state,
            role: Role::Looking,
            wants_election: true,
            serving: false,
            halted: false,
            leading: None,
            clients: Clients::default(),
            watches: Watches::new(),
            recent,
            changes: Vec::new(),
            backs: VecDeque::new(),
            backlog: Backlog::new(now.time, config.limits.portion),
            asked: BTreeMap::new(),
            gathering: None,
            next_token: rng.next_u64() >> 1,
            gate: Gate::new(),
            digests: VecDeque::new(),
            next_tick: None,
            rng,
            entries: Encoder::new(),
            words: Encoder::new(),
            config,
            outputs: VecDeque::new(),
        };
        peer.begin_election();
        Ok(peer)
    }

    /// Takes note of something that happened.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.now = now;
        if self.halted {
            return;
        }
        match input {
            Input::Message { from, message } => self.handle_message(from, message),
            Input::PeerGone(peer) => {
                self.election.handle_peer_gone(now.time, peer);
                self.zab.handle_peer_gone(now.time, peer);
            }
            Input::Persisted(id) => {
                if let Some(ticket) = self.gate.persisted(id) {
                    self.zab.handle_persisted(now.time, ticket);
                }
            }
            Input::LogRead { after, entries } => self.zab.handle_log_read(now.time, after, entries),
            Input::SnapshotRead { learner, chunk } => self.zab.handle_snapshot_read(now.time, learner, chunk),
            Input::SnapshotSaved { zxid, offset } => self.handle_snapshot_saved(zxid, offset),
            Input::SnapshotNotSaved { zxid, offset } => self.handle_snapshot_not_saved(zxid, offset),
            Input::Connect(connect) => self.handle_connect(connect),
            Input::Request(request) => self.handle_request(request),
            Input::Disconnect(client) => self.handle_disconnect(client),
        }
    }

    /// Does what is due at `now`, and goes on with what was put off. A spurious call is harmless.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        if self.halted {
            return;
        }
        self.election.handle_timeout(now.time);
        self.zab.handle_timeout(now.time);
        self.expire_sessions();
        if self.next_tick.is_some_and(|tick| tick <= now.time) {
            self.tick();
        }
        self.catch_up();
    }

    /// The next thing that the host has to do. To be called until there is nothing more after every
    /// `handle_` call, or after several: the more inputs come before it, the larger the batches.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if self.halted {
            return None;
        }
        self.work();
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. Only a `handle_` call, or draining the outputs, can change it. After a
    /// call at `now` and a drain it lies after `now`: by a microsecond where answers are left over that would have made the
    /// step too long. A host that has other inputs by then gives them first.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.halted {
            return None;
        }
        // With its counter spent a leader ends no session; the next one does.
        let leading = self.leading.as_ref().filter(|_| self.zab.next_zxid().is_some());
        let expiry = leading.and_then(Leading::next_expiry);
        [self.election.poll_timeout(), self.zab.poll_timeout(), self.next_tick, expiry, self.backlog.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// How the server is doing.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        Status {
            server: self.config.server,
            role: self.role,
            serving: self.serving,
            leader: if self.role == Role::Looking { None } else { self.zab.leader() },
            epoch: self.zab.current_epoch(),
            logged: self.zab.durable_tip(),
            committed: self.zab.committed(),
            applied: self.state.applied,
            digest: self.state.digest(),
            znodes: self.state.tree.len() as u64,
            sessions: self.state.sessions.len() as u64,
            clients: self.clients.len() as u64,
            watches: self.watches.count() as u64,
            learners: self.learner_lags(now),
        }
    }

    /// The replicated state, to look at.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn event(&mut self, event: PeerEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    fn halt(&mut self, why: Halt) {
        self.backlog = Backlog::new(self.now.time, self.config.limits.portion);
        self.stop_serving();
        self.halted = true;
        self.outputs.push_back(Output::Halt(why));
    }
}
