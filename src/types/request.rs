//! What a client can ask of the tree, and what it can be told.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Acl, CreateMode, ErrorCode, Identity, RequestPath, SessionId, Stat, ZnodePath};

/// The version of a node that a write is conditional on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Expected {
    /// No condition; -1 in ZooKeeper's protocol.
    #[default]
    Any,
    /// The write is refused with [`BadVersion`](ErrorCode::BadVersion) unless this is the version.
    Version(i32),
}

impl Expected {
    /// Whether a node at `version` meets the condition.
    #[must_use]
    pub const fn admits(self, version: i32) -> bool {
        match self {
            Self::Any => true,
            Self::Version(expected) => expected == version,
        }
    }
}

/// A change that a client asks for. The leader turns it into a [`Txn`](super::Txn).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Write {
    /// Make a node.
    Create {
        /// Its path, or the prefix of it when the mode is sequential.
        path: RequestPath,
        /// Its data; none and empty are told apart.
        #[serde(deserialize_with = "super::shared::maybe_bytes")]
        data: Option<Bytes>,
        /// Its ACL, as the client wrote it.
        acl: Acl,
        /// Its kind.
        mode: CreateMode,
    },
    /// Delete a node that has no children.
    Delete {
        /// The node.
        path: RequestPath,
        /// Only at this version.
        expected: Expected,
    },
    /// Delete a node and all below it, in one transaction.
    DeleteTree {
        /// The top node.
        path: RequestPath,
        /// Refuse with [`BadArguments`](ErrorCode::BadArguments) if more nodes than this would go.
        limit: u32,
    },
    /// Replace a node's data.
    SetData {
        /// The node.
        path: RequestPath,
        /// The new data.
        #[serde(deserialize_with = "super::shared::maybe_bytes")]
        data: Option<Bytes>,
        /// Only at this data version.
        expected: Expected,
    },
    /// Replace a node's ACL.
    SetAcl {
        /// The node.
        path: RequestPath,
        /// The new ACL, as the client wrote it.
        acl: Acl,
        /// Only at this ACL version.
        expected: Expected,
    },
    /// Change nothing, but fail unless the node exists at this version; the condition of a multi.
    Check {
        /// The node.
        path: RequestPath,
        /// Only at this data version.
        expected: Expected,
    },
    /// All of these or none, at one zxid; each is judged against the effect of those before it.
    Multi(#[serde(deserialize_with = "super::flat::flat")] Vec<Write>),
}

/// What a write came to.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Written {
    /// The node was made.
    Created {
        /// Its path, with its sequence number where it has one.
        path: ZnodePath,
        /// Its stat.
        stat: Stat,
    },
    /// The node was deleted.
    Deleted,
    /// The node and all below it were deleted.
    TreeDeleted {
        /// How many nodes went.
        count: u32,
    },
    /// The data was replaced.
    DataSet(Stat),
    /// The ACL was replaced.
    AclSet(Stat),
    /// The check held.
    Checked,
    /// The results of a multi, in order.
    Multi(#[serde(deserialize_with = "super::flat::flat")] Vec<Written>),
}

/// Why a write was not executed. Nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error, Serialize, Deserialize)]
#[error("{code}")]
pub struct Refusal {
    /// The reason.
    pub code: ErrorCode,
    /// In a multi: the index of the operation that failed. Those before it would have succeeded, those
    /// after it were not tried.
    pub operation: Option<u32>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, operation: None }
    }
}

/// A look at the tree.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Read {
    /// Data and stat of a node.
    Get {
        /// The node.
        path: RequestPath,
    },
    /// The stat of a node, if there is one.
    Exists {
        /// The node.
        path: RequestPath,
    },
    /// The names of all children, in the order of their creation, and the node's stat.
    Children {
        /// The node.
        path: RequestPath,
    },
    /// A page of the names of children, in the order of their creation.
    ChildrenPage {
        /// The node.
        path: RequestPath,
        /// Where the last page ended; none for the first.
        after: Option<ChildCursor>,
        /// At most this many names.
        limit: u32,
    },
    /// ACL and stat of a node.
    Acl {
        /// The node.
        path: RequestPath,
    },
    /// The session's own ephemerals whose path starts with `prefix`.
    Ephemerals {
        /// A plain prefix of the text.
        prefix: RequestPath,
    },
    /// How many nodes there are below a node.
    CountDescendants {
        /// The node.
        path: RequestPath,
    },
    /// Several reads of one state; each succeeds or fails by itself, but when there are too many, or they find too
    /// much together, all is refused as `BadArguments`.
    Many(#[serde(deserialize_with = "super::flat::flat")] Vec<Read>),
}

/// A position among the children of a node. It is kept by the replicated state, so that it means the
/// same on every server; a page after it misses no child that was there all the time and shows none twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ChildCursor(u64);

impl ChildCursor {
    /// The position behind the parent's `ordinal`-th created child.
    #[must_use]
    pub const fn new(ordinal: u64) -> Self {
        Self(ordinal)
    }

    /// The ordinal.
    #[must_use]
    pub const fn ordinal(self) -> u64 {
        self.0
    }
}

/// What a read found.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Found {
    /// Data and stat.
    Data {
        /// The data; none and empty are told apart.
        #[serde(deserialize_with = "super::shared::maybe_bytes")]
        data: Option<Bytes>,
        /// The stat.
        stat: Stat,
    },
    /// The stat, for [`Read::Exists`].
    Stat(Stat),
    /// The children and the node's stat.
    Children {
        /// The names, in the order of creation.
        names: Vec<Box<str>>,
        /// The stat of the parent.
        stat: Stat,
    },
    /// A page of children.
    ChildrenPage {
        /// The names, in the order of creation.
        names: Vec<Box<str>>,
        /// Where to go on; none when this was the last page.
        next: Option<ChildCursor>,
        /// The stat of the parent.
        stat: Stat,
    },
    /// ACL and stat. Without ADMIN the hashes of digest identities are hidden.
    Acl {
        /// The ACL.
        acl: Acl,
        /// The stat.
        stat: Stat,
    },
    /// The paths of the session's ephemerals, in order.
    Ephemerals(Vec<ZnodePath>),
    /// How many nodes there are below.
    Count(u64),
    /// The results of [`Read::Many`], in order.
    Many(#[serde(deserialize_with = "super::flat::flat")] Vec<Result<Found, ErrorCode>>),
}

/// Who asks: the session, and what its connection has proved to be.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Caller {
    /// The session.
    pub session: SessionId,
    /// Its identities; `world:anyone` needs not be among them.
    pub identities: Vec<Identity>,
}
