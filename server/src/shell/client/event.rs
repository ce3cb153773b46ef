use std::fmt;

/// Something that happened to the connection or to a watched node. Shown as zkCli shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The connection changed.
    Connection(ConnectionState),
    /// A watch fired, or was removed.
    Watch {
        /// What happened.
        kind: WatchKind,
        /// To which node.
        path: Box<str>,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(state) => write!(f, "WatchedEvent state:{state} type:None path:null"),
            Self::Watch { kind, path } => {
                write!(f, "WatchedEvent state:SyncConnected type:{kind} path:{path}")
            }
        }
    }
}

/// How the connection stands, as events name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ConnectionState {
    /// There is none; another server is being looked for.
    Disconnected,
    /// To a server of a quorum.
    SyncConnected,
    /// To a server that only reads.
    ConnectedReadOnly,
    /// The credentials were refused; the session is given up.
    AuthFailed,
    /// The session has expired.
    Expired,
    /// The session was closed.
    Closed,
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a watch tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WatchKind {
    NodeCreated,
    NodeDeleted,
    NodeDataChanged,
    NodeChildrenChanged,
    DataWatchRemoved,
    ChildWatchRemoved,
    PersistentWatchRemoved,
}

impl WatchKind {
    /// The kind that a server's event has this number for.
    pub(crate) const fn from_wire(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::NodeCreated,
            2 => Self::NodeDeleted,
            3 => Self::NodeDataChanged,
            4 => Self::NodeChildrenChanged,
            _ => return None,
        })
    }
}

impl fmt::Display for WatchKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
