use crate::types::{
    ClientId, Identity, LogEntry, NumberedRequest, Password, PersistId, Read, RequestPath, ServerId,
    SessionId, SnapshotChunk, WatchMode, WatchTarget, Write, Zxid,
};

use super::Message;

/// What a host tells its [`Peer`](super::Peer).
#[derive(Clone, Debug)]
pub enum Input {
    /// A message arrived.
    Message {
        /// From this server, as the transport vouches.
        from: ServerId,
        /// The message.
        message: Message,
    },
    /// This server's process is known to have gone; its messages were all handed over before. A hint: a leader that has gone is
    /// replaced at once and not after its silence. Harmless when it is wrong.
    PeerGone(ServerId),
    /// The batch of this number is durable, and with it all before it.
    Persisted(PersistId),
    /// The answer to [`Output::ReadLog`](super::Output::ReadLog): entries after the position asked for.
    LogRead {
        /// The position that was asked for.
        after: Zxid,
        /// The entries, as a storage reads them; none when the log does not reach back so far any more.
        entries: Vec<LogEntry>,
    },
    /// The answer to [`Output::ReadSnapshot`](super::Output::ReadSnapshot).
    SnapshotRead {
        /// For whom it was asked.
        learner: ServerId,
        /// The piece; none when the snapshot is gone.
        chunk: Option<SnapshotChunk>,
    },
    /// The chunk of [`Output::SaveSnapshot`](super::Output::SaveSnapshot) that began here was taken, and is
    /// durable with the whole snapshot if it was the last.
    SnapshotSaved {
        /// The snapshot.
        zxid: Zxid,
        /// Where the chunk began.
        offset: u64,
    },
    /// The storage could not take that chunk and has dropped the snapshot; it is otherwise sound.
    SnapshotNotSaved {
        /// The snapshot.
        zxid: Zxid,
        /// Where the chunk began.
        offset: u64,
    },
    /// A client wants to open a session or to take one up again.
    Connect(Connect),
    /// An attached client asks for something.
    Request(ClientRequest),
    /// A connected client's connection broke. Its session goes on until it expires.
    Disconnect(ClientId),
}

/// A client's wish for a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connect {
    /// The connection; the host never uses the number twice.
    pub client: ClientId,
    /// The session to take up again, or none for a new one.
    pub resume: Option<(SessionId, Password)>,
    /// The session timeout that the client asks for, in milliseconds; it gets one within the bounds.
    pub timeout_millis: u32,
    /// The largest zxid that the client has seen. A server that is behind it refuses.
    pub last_seen: Zxid,
    /// What the connection proves by itself, such as its address.
    pub identities: Vec<Identity>,
}

/// A request of an attached client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientRequest {
    /// Who asks.
    pub client: ClientId,
    /// The client's own number for it, which the reply repeats. Replies come in the order of requests, but for
    /// those to [`Local`](ReadLevel::Local) reads, which wait for nothing.
    pub tag: u64,
    /// What is asked.
    pub request: Request,
}

/// What an attached client can ask.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Request {
    /// A change. With a number the answer is given exactly once however often it is sent.
    Write {
        /// The change.
        write: Write,
        /// The session's number for it.
        number: Option<NumberedRequest>,
    },
    /// A look at the tree.
    Read {
        /// What to look at.
        read: Read,
        /// How recent the answer must be.
        level: ReadLevel,
        /// Whether to leave a one-shot watch where ZooKeeper would: on data for `Get`, on data or creation
        /// for `Exists`, on the children for `Children`.
        watch: bool,
    },
    /// Changes to the client's watches.
    Watch(WatchRequest),
    /// Wait until this server has applied all that was committed when the quorum confirmed this request.
    Sync,
    /// Nothing but a sign of life.
    Ping,
    /// A further identity that the connection has proved.
    AddIdentity(Identity),
    /// The identities that the connection has.
    WhoAmI,
    /// End the session; its ephemerals go with it.
    CloseSession,
}

/// How recent the answer to a read must be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ReadLevel {
    /// What this server has now; does not wait even for the session's own writes.
    Local,
    /// In the session's order: after its own earlier writes, and never before what it saw.
    #[default]
    Session,
    /// All that was acknowledged to anybody before the read was asked; costs a round to a quorum, no log write.
    Linearizable,
}

/// A change to a client's watches.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum WatchRequest {
    /// Leave a lasting watch. The node needs not exist.
    Add {
        /// Where.
        path: RequestPath,
        /// How far.
        mode: WatchMode,
    },
    /// Remove watches; [`NoWatcher`](crate::ErrorCode::NoWatcher) if there are none.
    Remove {
        /// Where.
        path: RequestPath,
        /// Which.
        target: WatchTarget,
    },
    /// [`NoWatcher`](crate::ErrorCode::NoWatcher) unless there are such watches.
    Check {
        /// Where.
        path: RequestPath,
        /// Which.
        target: WatchTarget,
    },
    /// After a reconnect: leave these watches again, and say at once what happened since `since`.
    Restore {
        /// The last zxid that the client saw.
        since: Zxid,
        /// One-shot watches on data.
        data: Vec<RequestPath>,
        /// One-shot watches on nodes that did not exist.
        exist: Vec<RequestPath>,
        /// One-shot watches on children.
        child: Vec<RequestPath>,
        /// Lasting watches; re-armed only, as ZooKeeper does.
        persistent: Vec<RequestPath>,
        /// Lasting watches on whole subtrees; re-armed only, as ZooKeeper does.
        recursive: Vec<RequestPath>,
    },
    /// Leave a lasting watch and replay what it missed after `since`, from the ring of recent changes. Answers
    /// with [`Answer::Compacted`](super::Answer::Compacted), and leaves no watch, when the ring does not reach back so far.
    Resume {
        /// Where.
        path: RequestPath,
        /// How far.
        mode: WatchMode,
        /// The last zxid that the watch's owner has seen the events of.
        since: Zxid,
    },
}
