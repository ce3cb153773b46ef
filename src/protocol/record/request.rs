use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::types::{Acl, Zxid};

use super::field::records;
use super::{DecodeError, Decoder, Record};

records! {
    /// `CreateRequest`: of create, create2 and createContainer.
    pub struct CreateRequest {
        /// The node, or the prefix of its path where the kind is sequential.
        path: Box<str>,
        /// Its data.
        data: Option<Bytes>,
        /// Its ACL.
        acl: Acl,
        /// Its kind: 0 persistent, 1 ephemeral, 2 and 3 the same and sequential, 4 a container.
        flags: i32,
    }

    /// `CreateTTLRequest`.
    pub struct CreateTtlRequest {
        /// The node, or the prefix of its path where the kind is sequential.
        path: Box<str>,
        /// Its data.
        data: Option<Bytes>,
        /// Its ACL.
        acl: Acl,
        /// Its kind: 5, or 6 for a sequential one.
        flags: i32,
        /// The time to live in milliseconds.
        ttl: i64,
    }

    /// `DeleteRequest` and `CheckVersionRequest`.
    pub struct VersionedRequest {
        /// The node.
        path: Box<str>,
        /// Only at this version; -1 for any.
        version: i32,
    }

    /// `SetDataRequest`.
    pub struct SetDataRequest {
        /// The node.
        path: Box<str>,
        /// The new data.
        data: Option<Bytes>,
        /// Only at this version; -1 for any.
        version: i32,
    }

    /// `SetACLRequest`.
    pub struct SetAclRequest {
        /// The node.
        path: Box<str>,
        /// The new ACL.
        acl: Acl,
        /// Only at this version of the ACL; -1 for any.
        version: i32,
    }

    /// `ExistsRequest`, `GetDataRequest`, `GetChildrenRequest` and `GetChildren2Request`.
    pub struct ReadRequest {
        /// The node.
        path: Box<str>,
        /// Whether to leave a one-shot watch.
        watch: bool,
    }

    /// Requests that have a path and nothing else: getACL, sync, getEphemerals (a prefix), getAllChildrenNumber.
    pub struct PathRequest {
        /// The path.
        path: Box<str>,
    }

    /// `CheckWatchesRequest` and `RemoveWatchesRequest`.
    pub struct WatchesRequest {
        /// Where.
        path: Box<str>,
        /// Which: 1 children, 2 data, 3 any, 4 persistent, 5 persistent and recursive.
        kind: i32,
    }

    /// `AddWatchRequest`.
    pub struct AddWatchRequest {
        /// Where.
        path: Box<str>,
        /// 0 persistent, 1 persistent and recursive.
        mode: i32,
    }

    /// `SetWatches`: one-shot watches, left again after a reconnect.
    pub struct SetWatches {
        /// The last zxid that the client saw.
        since: Zxid,
        /// Watches on data.
        data: Vec<Box<str>>,
        /// Watches on nodes that did not exist.
        exist: Vec<Box<str>>,
        /// Watches on children.
        child: Vec<Box<str>>,
    }

    /// `SetWatches2`: the same, with lasting watches.
    pub struct SetWatches2 {
        /// The last zxid that the client saw.
        since: Zxid,
        /// Watches on data.
        data: Vec<Box<str>>,
        /// Watches on nodes that did not exist.
        exist: Vec<Box<str>>,
        /// Watches on children.
        child: Vec<Box<str>>,
        /// Lasting watches.
        persistent: Vec<Box<str>>,
        /// Lasting watches on whole subtrees.
        recursive: Vec<Box<str>>,
    }

    /// `ReconfigRequest`.
    pub struct ReconfigRequest {
        /// Servers to add.
        joining: Option<Box<str>>,
        /// Servers to remove.
        leaving: Option<Box<str>>,
        /// Or: all servers there shall be.
        members: Option<Box<str>>,
        /// Only if this is the present configuration; -1 for any.
        current: i64,
    }

    /// `GetSASLRequest`.
    pub struct SaslRequest {
        /// The client's token.
        token: Option<Bytes>,
    }
}

/// `AuthPacket`. What it proves with never appears in `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthPacket {
    /// Always 0.
    pub kind: i32,
    /// The scheme: `digest`, …
    pub scheme: Box<str>,
    /// What it proves with, such as `user:password`.
    pub auth: Option<Bytes>,
}

impl Record for AuthPacket {
    const MIN_LEN: usize = 12;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { kind: input.int()?, scheme: Record::decode(input)?, auth: input.buffer()? })
    }

    fn encode(&self, output: &mut BytesMut) {
        self.kind.encode(output);
        self.scheme.encode(output);
        self.auth.encode(output);
    }
}

impl fmt::Debug for AuthPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthPacket({}, ..)", self.scheme)
    }
}
