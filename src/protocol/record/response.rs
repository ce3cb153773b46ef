use bytes::Bytes;

use crate::types::{Acl, Identity, Stat};

use super::field::records;

records! {
    /// A watch event: `WatcherEvent`.
    pub struct WatcherEvent {
        /// 1 created, 2 deleted, 3 data changed, 4 children changed.
        kind: i32,
        /// Always 3: connected.
        state: i32,
        /// The node.
        path: Box<str>,
    }

    /// `CreateResponse` and `SyncResponse`.
    pub struct PathResponse {
        /// The path.
        path: Box<str>,
    }

    /// `Create2Response`.
    pub struct Create2Response {
        /// The node's path, with its number where it has one.
        path: Box<str>,
        /// Its stat.
        stat: Stat,
    }

    /// `GetDataResponse`. `ExistsResponse`, `SetDataResponse` and `SetACLResponse` are a [`Stat`] alone.
    pub struct DataResponse {
        /// The data.
        data: Option<Bytes>,
        /// The node's stat.
        stat: Stat,
    }

    /// `GetACLResponse`.
    pub struct AclResponse {
        /// The ACL.
        acl: Acl,
        /// The node's stat.
        stat: Stat,
    }

    /// `GetChildrenResponse`.
    pub struct ChildrenResponse {
        /// The children's names.
        children: Vec<Box<str>>,
    }

    /// `GetChildren2Response`.
    pub struct Children2Response {
        /// The children's names.
        children: Vec<Box<str>>,
        /// The stat of their parent.
        stat: Stat,
    }

    /// `GetEphemeralsResponse`.
    pub struct EphemeralsResponse {
        /// The paths.
        ephemerals: Vec<Box<str>>,
    }

    /// `GetAllChildrenNumberResponse`.
    pub struct CountResponse {
        /// How many nodes there are below.
        total: i32,
    }

    /// `WhoAmIResponse`.
    pub struct WhoAmIResponse {
        /// The connection's identities; of a digest the user alone.
        identities: Vec<Identity>,
    }

    /// `ErrorResponse`: what addWatch is answered with, and a failed operation in a multi.
    pub struct ErrorResponse {
        /// 0, or an error code.
        err: i32,
    }

    /// `SetSASLResponse`.
    pub struct SaslResponse {
        /// The server's token.
        token: Option<Bytes>,
    }
}
