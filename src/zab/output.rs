use bytes::Bytes;
use thiserror::Error;

use crate::types::{Epoch, Lane, LogOp, ServerId, SnapshotChunk, Zxid};

use super::Message;
use super::message::Refused;

/// The number of one durable step; later steps have larger numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ticket(pub(super) u64);

/// The number of one read confirmation; later ones have larger numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Confirmation(pub(super) u64);

/// What a [`Zab`](super::Zab) asks of its owner. Outputs are carried out in order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum Output {
    /// Do this durably, behind all steps before it; then say [`handle_persisted`](super::Zab::handle_persisted).
    Persist {
        /// Its number.
        ticket: Ticket,
        /// The step.
        op: LogOp,
    },
    /// Send this, best effort.
    Send {
        /// To whom.
        to: ServerId,
        /// How urgent it is.
        lane: Lane,
        /// What.
        message: Message,
    },
    /// This entry is committed, and durable in the own log. Each is delivered once in a life and in order.
    Deliver {
        /// Its position.
        zxid: Zxid,
        /// The encoded transaction.
        payload: Bytes,
    },
    /// Read entries of the log; answered by [`handle_log_read`](super::Zab::handle_log_read). One at a time.
    ReadLog {
        /// Entries after this one.
        after: Zxid,
        /// At most about this many bytes.
        limit: usize,
    },
    /// Read a piece of a saved snapshot; answered by [`handle_snapshot_read`](super::Zab::handle_snapshot_read).
    /// One at a time for each learner.
    ReadSnapshot {
        /// For whom.
        learner: ServerId,
        /// The snapshot.
        zxid: Zxid,
        /// Where the piece begins.
        offset: u64,
        /// At most this many bytes.
        limit: usize,
    },
    /// Leader: a learner can only be brought level by a snapshot at or after this position, which is delivered, and there
    /// is none. Take one, and say [`handle_own_snapshot`](super::Zab::handle_own_snapshot).
    SnapshotWanted {
        /// The position.
        at_least: Zxid,
    },
    /// Learner: store this piece of a snapshot and feed it to the restorer; then say
    /// [`handle_chunk_saved`](super::Zab::handle_chunk_saved). One at a time. A piece at offset 0 begins anew.
    SaveChunk(SnapshotChunk),
    /// Leader: a synced learner forwards this request. Those of one learner come in order.
    Forwarded {
        /// The learner.
        from: ServerId,
        /// The request.
        payload: Bytes,
    },
    /// Learner: the leader's answer. All that was committed on the leader when it answered has been delivered before.
    Answered {
        /// The answer.
        payload: Bytes,
    },
    /// Leader: a quorum has its history durably; all of it has been delivered; it may propose.
    Established {
        /// The epoch.
        epoch: Epoch,
    },
    /// Learner: all that its leader had committed has been delivered; it may serve and forward.
    Synced {
        /// The epoch.
        epoch: Epoch,
    },
    /// Learner: the link to the leader was reset. What was forwarded and not answered may or may not
    /// happen. It serves again after the next `Synced`.
    LinkLost,
    /// Leader: at some moment after the call of [`confirm`](super::Zab::confirm) no newer leader had a quorum. Says the same of all
    /// smaller numbers.
    Confirmed(Confirmation),
    /// The role ended by itself; the server plays none now.
    StoodDown {
        /// Why.
        reason: StandDown,
    },
    /// Something to log or to show; nothing depends on it.
    Note(Note),
}

/// Why a role ended by itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[non_exhaustive]
pub enum StandDown {
    /// No quorum joined, promised or came level in time.
    #[error("no quorum came together in time")]
    NoQuorum,
    /// The leader has not heard from a quorum of level voters for the sync timeout.
    #[error("the quorum was lost")]
    QuorumLost,
    /// A voter has a more recent history: it should lead.
    #[error("server {0} has a more recent history")]
    LessRecent(ServerId),
    /// The epoch has no counter left; a new one is due.
    #[error("the counter of the epoch is spent; a new epoch begins")]
    CounterSpent,
    /// There is no epoch left.
    #[error("all epochs are spent; the ensemble must be built anew from a snapshot")]
    EpochsSpent,
    /// This server may have lost what it acknowledged, or counts for nothing: it must not lead.
    #[error("this server must not lead")]
    Unfit,
    /// The leader was silent for too long.
    #[error("the leader was silent for too long")]
    LeaderSilent,
    /// The leader's process has gone.
    #[error("the leader's process has gone")]
    LeaderVanished,
    /// The leader says that it does not lead any more.
    #[error("the leader does not lead any more")]
    LeaderGone,
    /// The leader refuses this server.
    #[error("the leader refuses this server: {0:?}")]
    Refused(Refused),
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Note {
    /// The leader began to bring a learner level.
    LearnerSync {
        /// The learner.
        learner: ServerId,
        /// How: `DIFF`, `TRUNC`, `SNAP`.
        mode: &'static str,
        /// From where the history is sent.
        from: Zxid,
    },
    /// The learner removed entries that its leader does not have.
    RolledBack {
        /// The last entry before.
        from: Zxid,
        /// The last entry that was kept.
        to: Zxid,
    },
    /// The leader dropped a learner's link, or the learner its own.
    LinkReset {
        /// The other end.
        peer: ServerId,
        /// Why.
        why: &'static str,
    },
    /// A peer sent what no correct peer sends. The message was dropped, and its link with it if there was one.
    Misbehaved {
        /// Who.
        peer: ServerId,
        /// What.
        what: String,
    },
}

/// Why a proposal was not taken. Nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// This server does not lead, or its epoch is not established.
    #[error("not an established leader; ask again when one is elected")]
    NotLeading,
    /// The epoch has no counter left; the leader is about to stand down.
    #[error("the epoch has no counter left; ask again when the next one is established")]
    CounterSpent,
}

/// Why a request was not forwarded. Nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// This server is not level with a leader.
    #[error("not level with a leader; ask again when it is")]
    NotSynced,
}

/// The part that a server plays.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// None: it is looking for a leader.
    Idle,
    /// It leads, or bids for it.
    Leader,
    /// It follows, or tries to.
    Follower,
    /// It observes, or tries to.
    Observer,
}

/// How far a learner is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LearnerProgress {
    /// The learner.
    pub server: ServerId,
    /// Whether its acknowledgements count.
    pub voting: bool,
    /// Whether it has been brought level.
    pub synced: bool,
    /// The last entry that it acknowledged as durable.
    pub acknowledged: Zxid,
    /// When it was last heard from.
    pub last_heard: crate::types::Time,
}
