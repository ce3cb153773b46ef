use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use crate::types::{ClusterId, ServerId};

/// The largest data, and the largest piece of a snapshot: a message that carries one fits in a frame with room to spare.
const MAX_DATA_LEN: usize = 4 << 20;

/// A server's part in the ensemble's votes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct Member {
    /// Whether it votes; otherwise it is an observer.
    pub voting: bool,
    /// How much its vote weighs. A voter of weight 0 votes but never counts.
    pub weight: u32,
    /// Its group, where quorums are of groups.
    pub group: u32,
}

/// The servers that make up the quorum.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Ensemble {
    members: BTreeMap<ServerId, Member>,
}

impl Ensemble {
    /// An ensemble in which each of `voters` has one vote.
    pub fn majority(voters: impl IntoIterator<Item = ServerId>) -> Self {
        Self::default().with_members(voters, Member { voting: true, weight: 1, group: 0 })
    }

    /// The same ensemble with these observers besides.
    #[must_use]
    pub fn with_observers(self, observers: impl IntoIterator<Item = ServerId>) -> Self {
        self.with_members(observers, Member { voting: false, weight: 0, group: 0 })
    }

    /// The same ensemble with each of these servers as `member` says. A server named twice keeps the later
    /// word.
    #[must_use]
    pub fn with_members(mut self, servers: impl IntoIterator<Item = ServerId>, member: Member) -> Self {
        self.members.extend(servers.into_iter().map(|server| (server, member)));
        self
    }

    /// The servers, in order.
    pub fn members(&self) -> impl Iterator<Item = (ServerId, Member)> + '_ {
        self.members.iter().map(|(server, member)| (*server, *member))
    }

    /// What the ensemble knows of `server`.
    #[must_use]
    pub fn member(&self, server: ServerId) -> Option<Member> {
        self.members.get(&server).copied()
    }
}

impl Default for Ensemble {
    /// No servers.
    fn default() -> Self {
        Self { members: BTreeMap::new() }
    }
}

/// The spans that elections, heartbeats and sessions are measured with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timing {
    /// The unit that ZooKeeper's limits are counted in. Heartbeats go out every half tick.
    pub tick: Duration,
    /// How many ticks a learner may take to be brought level, while nothing arrives.
    pub init_limit: u32,
    /// How many ticks a peer may be silent before it is given up.
    pub sync_limit: u32,
    /// How long a server waits for a better vote before it takes an election for decided.
    pub finalize_wait: Duration,
    /// The first span after which an unanswered vote is sent again; doubles up to `notification_max`.
    pub notification_min: Duration,
    /// The largest such span.
    pub notification_max: Duration,
    /// The shortest session timeout that a client can get.
    pub session_min: Duration,
    /// The longest session timeout that a client can get.
    pub session_max: Duration,
}

impl Default for Timing {
    /// For servers on one network: a leader that was killed is missed after a second, and replaced soon after.
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(200),
            init_limit: 10,
            sync_limit: 5,
            finalize_wait: Duration::from_millis(50),
            notification_min: Duration::from_millis(50),
            notification_max: Duration::from_secs(2),
            session_min: Duration::from_millis(400),
            session_max: Duration::from_secs(60),
        }
    }
}

/// What may grow how far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The largest data of a node, and of all data of a multi together, in bytes; at most 4 MiB.
    pub data_len: usize,
    /// How many requests of one client may wait.
    pub requests_per_client: usize,
    /// How many requests may wait at a leader before it refuses more with `Throttled`.
    pub outstanding: usize,
    /// How many bytes of them, after which it refuses more too. A server also keeps back at most so much of what its
    /// clients write behind a read that waits for the leader's word.
    pub outstanding_len: usize,
    /// How many sessions there may be in the whole ensemble; when there are as many, a leader opens no more and the
    /// client is refused as [`NotServing`](super::CloseReason::NotServing). Its own configuration counts.
    pub sessions: usize,
    /// How much the answers of one moment may cost, in visited nodes; the reads that are left have to wait for the next moment, so
    /// that heartbeats are heard between. 10,000 take about a millisecond, or are 2,000 small answers.
    pub portion: u64,
    /// How many identities one client may have.
    pub identities_per_client: usize,
    /// How many watches one client may have.
    pub watches_per_client: usize,
    /// How many recent changes are remembered for watches that are resumed.
    pub remembered_changes: usize,
    /// How many entries ZAB keeps in memory for learners that come back.
    pub log_window: usize,
    /// After how many transactions a snapshot is taken.
    pub snapshot_every: u64,
    /// The size of the pieces of a snapshot, in bytes; at most 4 MiB.
    pub snapshot_chunk: usize,
    /// How many zxids' digests are remembered for comparison with the leader's.
    pub remembered_digests: usize,
    /// From which counter on a leader begins its epoch's zxids to be spent; for tests of the roll-over.
    pub last_counter: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            data_len: 1 << 20,
            requests_per_client: 1024,
            outstanding: 100_000,
            outstanding_len: 64 << 20,
            sessions: 1_000_000,
            portion: 10_000,
            identities_per_client: 64,
            watches_per_client: 100_000,
            remembered_changes: 10_000,
            log_window: 10_000,
            snapshot_every: 100_000,
            snapshot_chunk: 1 << 18,
            remembered_digests: 128,
            last_counter: u32::MAX,
        }
    }
}

/// All that a [`Peer`](super::Peer) must be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerConfig {
    /// The ensemble's number; equal on all its servers.
    pub cluster: ClusterId,
    /// This server.
    pub server: ServerId,
    /// All servers; equal on all of them.
    pub ensemble: Ensemble,
    /// Spans.
    pub timing: Timing,
    /// Bounds.
    pub limits: Limits,
    /// What chance is drawn from: fresh entropy at every start in production, a fixed seed in a test.
    pub seed: [u8; 32],
}

impl PeerConfig {
    /// The configuration of `server` in `ensemble`, with defaults for the rest.
    #[must_use]
    pub fn new(cluster: ClusterId, server: ServerId, ensemble: Ensemble, seed: [u8; 32]) -> Self {
        Self { cluster, server, ensemble, timing: Timing::default(), limits: Limits::default(), seed }
    }

    /// Judges the configuration.
    ///
    /// # Errors
    ///
    /// The first thing that cannot work.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.ensemble.member(self.server).is_none() {
            return Err(ConfigError::NotAMember(self.server));
        }
        if !self.ensemble.members().any(|(_, member)| member.voting && member.weight > 0) {
            return Err(ConfigError::NoVoters);
        }
        let timing = &self.timing;
        for (name, span) in [
            ("tick", timing.tick),
            ("finalize_wait", timing.finalize_wait),
            ("notification_min", timing.notification_min),
            ("session_min", timing.session_min),
        ] {
            if span < Duration::from_millis(1) {
                return Err(ConfigError::ZeroSpan(name));
            }
        }
        for (name, ticks) in [("init_limit", timing.init_limit), ("sync_limit", timing.sync_limit)] {
            if ticks == 0 {
                return Err(ConfigError::ZeroSpan(name));
            }
        }
        if timing.session_max < timing.session_min {
            return Err(ConfigError::Reversed("session_min", "session_max"));
        }
        if timing.notification_max < timing.notification_min {
            return Err(ConfigError::Reversed("notification_min", "notification_max"));
        }
        let limits = &self.limits;
        for (name, limit) in [
            ("requests_per_client", limits.requests_per_client),
            ("outstanding", limits.outstanding),
            ("outstanding_len", limits.outstanding_len),
            ("sessions", limits.sessions),
            ("portion", usize::try_from(limits.portion).unwrap_or(usize::MAX)),
            ("snapshot_every", usize::try_from(limits.snapshot_every).unwrap_or(usize::MAX)),
            ("log_window", limits.log_window),
            ("snapshot_chunk", limits.snapshot_chunk),
            ("last_counter", limits.last_counter as usize),
        ] {
            if limit == 0 {
                return Err(ConfigError::ZeroLimit(name));
            }
        }
        for (name, limit) in [("data_len", limits.data_len), ("snapshot_chunk", limits.snapshot_chunk)] {
            if limit > MAX_DATA_LEN {
                return Err(ConfigError::LargeLimit(name));
            }
        }
        Ok(())
    }
}

/// Why a configuration cannot work. Nothing was started.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The server is not in its own ensemble.
    #[error("server {0} is not a member of the ensemble; add it, or correct the server id")]
    NotAMember(ServerId),
    /// Nobody could ever win.
    #[error("the ensemble has no voter of weight above 0; make at least one member a voter")]
    NoVoters,
    /// A span is zero.
    #[error("`{0}` is zero; give it at least a millisecond or one tick")]
    ZeroSpan(&'static str),
    /// A limit is zero.
    #[error("the limit `{0}` is zero; give it at least 1")]
    ZeroLimit(&'static str),
    /// A limit is larger than a message between servers can carry.
    #[error("the limit `{0}` is too large; give it at most {MAX_DATA_LEN} bytes")]
    LargeLimit(&'static str),
    /// A smaller bound is above the larger one.
    #[error("`{0}` is larger than `{1}`; exchange them")]
    Reversed(&'static str, &'static str),
}
