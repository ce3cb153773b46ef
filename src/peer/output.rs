use std::time::Duration;

use thiserror::Error;

use crate::types::{
    ClientId, Epoch, Found, Identity, Lane, Password, PersistId, Refusal, ServerId, SessionId, SnapshotChunk,
    WatchEvent, WriteBatch, Written, Zxid,
};

use super::Message;

/// What a [`Peer`](super::Peer) asks of its host. Outputs are carried out in order.
#[derive(Clone, Debug)]
#[must_use]
pub enum Output {
    /// Make this durable, then say [`Input::Persisted`](super::Input::Persisted). There is at most one of them at a time: what
    /// the peer wants to persist meanwhile becomes the next batch.
    Persist {
        /// Its number.
        id: PersistId,
        /// The steps.
        batch: WriteBatch,
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
    /// Read entries of the log, for a learner that is far behind; answered by [`Input::LogRead`](super::Input::LogRead).
    ReadLog {
        /// Entries after this one.
        after: Zxid,
        /// At most about this many bytes.
        limit: usize,
    },
    /// Read a piece of a saved snapshot, for a learner; answered by [`Input::SnapshotRead`](super::Input::SnapshotRead).
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
    /// Save a piece of a snapshot; answered by [`Input::SnapshotSaved`](super::Input::SnapshotSaved) or
    /// [`Input::SnapshotNotSaved`](super::Input::SnapshotNotSaved). There is at most one at a time, and it may run beside a
    /// `Persist`.
    SaveSnapshot(SnapshotChunk),
    /// A client is attached.
    Connected(Connected),
    /// The answer to a request.
    Reply(Reply),
    /// A watch fired. It stands before any reply that shows the new state.
    Watch {
        /// Whose watch.
        client: ClientId,
        /// What happened.
        event: WatchEvent,
    },
    /// A client is detached, or was never attached; nothing more will come for it.
    Closed {
        /// Which.
        client: ClientId,
        /// Why.
        reason: CloseReason,
    },
    /// Something to log or to show.
    Event(PeerEvent),
    /// The peer has stopped for good; it does nothing more. The host tells its owner why.
    Halt(Halt),
}

/// Why a peer stops for good.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Halt {
    /// This server's state is another than the leader's at the same position: a fault of the software or of
    /// the machine's memory.
    #[error(
        "the state at {zxid} is not the leader's; keep the data directory for examination and start the \
         server with an empty one"
    )]
    Diverged {
        /// The position.
        zxid: Zxid,
    },
    /// A committed transaction cannot be decoded: it was written by a newer version, or damaged before it
    /// was written.
    #[error("the transaction at {zxid} cannot be decoded ({cause}); is this the newest version?")]
    Undecodable {
        /// The position.
        zxid: Zxid,
        /// What the codec said.
        cause: String,
    },
}

/// A client is attached: it has a session.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Connected {
    /// The connection.
    pub client: ClientId,
    /// Its session.
    pub session: SessionId,
    /// What it is taken up again with.
    pub password: Password,
    /// The session timeout that was agreed, in milliseconds.
    pub timeout_millis: u32,
    /// Whether the session existed before.
    pub resumed: bool,
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reply {
    /// Whom it is for.
    pub client: ClientId,
    /// The client's number for the request.
    pub tag: u64,
    /// For a write its own position, or that of its repetition; for a read the position of the state that was read.
    pub zxid: Zxid,
    /// What came of it.
    pub result: Result<Answer, Refusal>,
}

/// What can come of a request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// A write was executed.
    Written(Written),
    /// A read found this.
    Found(Found),
    /// Done, with nothing to tell.
    Done,
    /// The identities of the connection.
    Identities(Vec<Identity>),
    /// A watch cannot be resumed: the oldest change that is remembered is the one after this position.
    Compacted {
        /// The last position that is forgotten.
        through: Zxid,
    },
}

/// Why a client was detached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// This server has no quorum at present; try again here or elsewhere. The session goes on.
    NotServing,
    /// This server is behind what the client has seen; try another.
    Behind,
    /// The session has ended.
    Expired,
    /// The session was taken up by another connection.
    Moved,
    /// The client closed its session.
    ClosedByClient,
    /// The client did not keep to the protocol, or has more requests waiting than the limit.
    Overloaded,
}

/// The part that a server plays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// It is looking for a leader.
    Looking,
    /// It follows: votes and acknowledges.
    Following,
    /// It leads.
    Leading,
    /// It observes: receives what is committed, answers reads, forwards writes.
    Observing,
}

/// Something that happened in a peer, to be logged or shown. Events tell; nothing depends on them.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PeerEvent {
    /// An election began.
    ElectionStarted {
        /// Its round.
        round: u64,
    },
    /// The server changed its vote.
    VoteChanged {
        /// For whom it votes now.
        candidate: ServerId,
        /// That candidate's epoch.
        epoch: Epoch,
        /// That candidate's last position.
        zxid: Zxid,
        /// Whose vote convinced it; itself at the start.
        because_of: ServerId,
    },
    /// A quorum backs this leader.
    Elected {
        /// The leader.
        leader: ServerId,
        /// The round.
        round: u64,
    },
    /// The server plays another part.
    RoleChanged {
        /// The part.
        role: Role,
        /// The leader, where there is one.
        leader: Option<ServerId>,
        /// Why.
        reason: String,
    },
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
        /// The last entry that was kept.
        to: Zxid,
        /// The last entry before.
        from: Zxid,
    },
    /// The link between a leader and a learner was lost; it is opened again and the learner brought level.
    LinkReset {
        /// The other end.
        peer: ServerId,
        /// Why.
        why: &'static str,
    },
    /// The server answers clients.
    Serving {
        /// The epoch.
        epoch: Epoch,
    },
    /// The server does not answer clients any more.
    NotServing,
    /// A snapshot is durable.
    SnapshotSaved {
        /// Its position.
        zxid: Zxid,
        /// Its size.
        bytes: u64,
    },
    /// A snapshot could not be saved and was given up; the log goes on. Another is taken in due time.
    SnapshotNotSaved {
        /// Its position.
        zxid: Zxid,
    },
    /// A session's time ran out.
    SessionExpired {
        /// The session.
        session: SessionId,
    },
    /// A peer sent something that no correct peer sends; the message was dropped.
    PeerMisbehaved {
        /// Who.
        peer: ServerId,
        /// What.
        what: String,
    },
}

/// How a server is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The server.
    pub server: ServerId,
    /// Its part.
    pub role: Role,
    /// Whether it answers clients.
    pub serving: bool,
    /// The leader it knows.
    pub leader: Option<ServerId>,
    /// The epoch its history is complete for.
    pub epoch: Epoch,
    /// The last entry of its durable log.
    pub logged: Zxid,
    /// The last transaction that is known to be committed.
    pub committed: Zxid,
    /// The last transaction that it applied to its tree.
    pub applied: Zxid,
    /// The digest of its state at `applied`.
    pub digest: u64,
    /// How many znodes there are.
    pub znodes: u64,
    /// How many sessions there are.
    pub sessions: u64,
    /// How many clients are attached.
    pub clients: u64,
    /// How many watches its clients have.
    pub watches: u64,
    /// On a leader: the learners.
    pub learners: Vec<LearnerLag>,
}

/// How far a learner is behind its leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LearnerLag {
    /// The learner.
    pub server: ServerId,
    /// Whether it votes.
    pub voting: bool,
    /// Whether it has been brought level.
    pub synced: bool,
    /// The last entry that it acknowledged.
    pub acknowledged: Zxid,
    /// How long ago it was last heard from.
    pub silent_for: Duration,
}
