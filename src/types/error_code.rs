use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why the quorum refused a request: ZooKeeper's error codes, those that a server answers.
///
/// A refused request changed nothing. The same answer is given by every server and, for a write, stands
/// in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Error, Serialize, Deserialize)]
#[repr(i32)]
#[non_exhaustive]
pub enum ErrorCode {
    /// Another operation of the same multi failed.
    #[error("not executed because another operation of the same multi failed")]
    RuntimeInconsistency = -2,
    /// The record could not be decoded.
    #[error("the request could not be decoded")]
    MarshallingError = -5,
    /// No such operation.
    #[error("the operation is not implemented")]
    Unimplemented = -6,
    /// An argument is wrong: an invalid path, mode or time to live, or a reserved node.
    #[error("an argument is wrong: an invalid path, mode, time to live or limit, or a reserved node")]
    BadArguments = -8,
    /// The node does not exist.
    #[error("no such node")]
    NoNode = -101,
    /// The ACL does not allow it.
    #[error("the ACL does not allow it")]
    NoAuth = -102,
    /// The node's version is another than the expected one.
    #[error("the version is not the expected one; read again")]
    BadVersion = -103,
    /// Ephemeral nodes have no children.
    #[error("an ephemeral node has no children")]
    NoChildrenForEphemerals = -108,
    /// The node exists already.
    #[error("the node exists already")]
    NodeExists = -110,
    /// The node has children.
    #[error("the node has children; delete them first, or the whole subtree")]
    NotEmpty = -111,
    /// The session has ended; its ephemerals are gone.
    #[error("the session has ended; open a new one")]
    SessionExpired = -112,
    /// The ACL is empty or has an unknown scheme or an invalid identity.
    #[error("the ACL is empty or has an unknown scheme or an invalid identity")]
    InvalidAcl = -114,
    /// The credentials were not accepted.
    #[error("the credentials were not accepted")]
    AuthFailed = -115,
    /// The session is attached to another server now.
    #[error("the session has moved to another connection")]
    SessionMoved = -118,
    /// This server serves reads only.
    #[error("this server is read-only at present")]
    NotReadOnly = -119,
    /// No such watch.
    #[error("there is no such watch")]
    NoWatcher = -121,
    /// Changing the ensemble is switched off.
    #[error("changing the ensemble is switched off")]
    ReconfigDisabled = -123,
    /// A quota would be exceeded.
    #[error("a quota would be exceeded")]
    QuotaExceeded = -125,
    /// Too many requests are waiting.
    #[error("too many requests are waiting; slow down")]
    Throttled = -127,
}

impl ErrorCode {
    /// The number in ZooKeeper's protocol.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }
}
