//! What the server of a client and the leader say to each other over a ZAB link.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Caller, ClientId, ErrorCode, NumberedRequest, Password, SessionId, Write, Zxid};

/// From a server to its leader, in the order in which its clients asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Forward {
    /// A client wants a new session.
    Open { client: ClientId, number: u64, timeout_millis: u32 },
    /// A client wants its session back.
    Resume { client: ClientId, session: SessionId, password: Password },
    /// A client writes.
    Write(ForwardedWrite),
    /// A client ends its session.
    Close { client: ClientId, number: u64, session: SessionId },
    /// These sessions were heard from since the last time.
    Touch(Vec<SessionId>),
    /// Which position must be applied for a read to be linearizable?
    ReadIndex { token: u64 },
}

/// The sessions that a forwarded request tells were heard from: for who looks on from outside.
#[cfg(any(test, feature = "sim"))]
pub(crate) fn heard_in(payload: &[u8]) -> Vec<SessionId> {
    match crate::codec::decode(payload) {
        Ok(Forward::Touch(sessions)) => sessions,
        _ => Vec::new(),
    }
}

/// A forwarded request that tells that these sessions were heard from.
#[cfg(test)]
pub(crate) fn hearing_of(sessions: Vec<SessionId>) -> bytes::Bytes {
    crate::codec::encode(&Forward::Touch(sessions)).expect("a few numbers can be encoded")
}

/// A write on its way to the leader.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct ForwardedWrite {
    pub(super) client: ClientId,
    /// The place of the request among those of that connection.
    pub(super) number: u64,
    pub(super) caller: Arc<Caller>,
    pub(super) write: Write,
    pub(super) request: Option<NumberedRequest>,
}

/// From a leader to a server, in order with the commits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Back {
    /// Heed it once this position is applied.
    pub(super) after: Zxid,
    pub(super) word: Word,
}

/// What a leader says that is no transaction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// The client has its session back, with this timeout.
    Resumed { client: ClientId, session: SessionId, password: Password, timeout_millis: u32 },
    /// There is no such session (any more), or the password is wrong.
    NotResumed { client: ClientId },
    /// No session can be opened now.
    NotOpened { client: ClientId },
    /// The session is attached elsewhere now.
    Moved { client: ClientId },
    /// The write was not proposed.
    Denied { client: ClientId, number: u64, code: ErrorCode },
    /// What is applied by now is recent enough for the reads of this token.
    ReadIndex { token: u64 },
}
