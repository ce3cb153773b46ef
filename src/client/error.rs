use thiserror::Error;

use crate::types::{ErrorCode, InvalidTtl, Refusal};

/// Why a call came to nothing.
///
/// There is no "connection lost" among these: a call waits through it. A write has a number in its session, so that it is
/// sent again without harm and gets the answer of its only execution; a read is asked again.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The quorum refused. Nothing changed; the code says why.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The session has ended: its ephemerals and watches are gone. A write that was under way may have been
    /// executed before the end, and never will be after it. Open another client.
    #[error("the session has ended, its ephemerals and watches are gone; open another client")]
    SessionExpired,
    /// The client was closed. A write that was under way when its session could not be reached again may
    /// have been executed.
    #[error("the client was closed; open another one")]
    Closed,
    /// The client's future was dropped, or its executor has gone. Nothing is known of the calls under way;
    /// the session expires by itself.
    #[error("the client's future was dropped; spawn it, and keep its executor running")]
    Stopped,
    /// The time that the call was given is over. Where it had not been issued it never will be; a write that had been
    /// may be executed nevertheless, and the calls issued before and after it go on.
    #[error("no answer came in time; a write may be executed nevertheless")]
    TimedOut,
    /// The client was given no server. Nothing was started.
    #[error("no server was named; name at least one")]
    NoServers,
    /// An option cannot work. Nothing was started.
    #[error("the option `{0}` is zero; give it at least 1, or a millisecond")]
    ZeroOption(&'static str),
    /// The time to live is none; nothing was sent.
    #[error(transparent)]
    InvalidTtl(#[from] InvalidTtl),
    /// The scheme of the credentials is not known here; nothing was sent.
    #[error("credentials of scheme `{0}` cannot be proved to the servers; use `digest`")]
    UnknownScheme(String),
    /// The server answered something else than was asked. A write was executed.
    #[error("the server's answer does not belong to the request; client and server must be of one version")]
    Mismatched,
}

impl ClientError {
    /// The quorum's reason, where it was the quorum that refused.
    #[must_use]
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::SessionExpired => Some(ErrorCode::SessionExpired),
            _ => None,
        }
    }

    /// Whether the quorum refused for this reason.
    #[must_use]
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code() == Some(code)
    }
}

impl From<ErrorCode> for ClientError {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code.into())
    }
}
