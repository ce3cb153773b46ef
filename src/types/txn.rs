use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Acl, ClientId, Lifetime, Password, Refusal, RequestId, ServerId, SessionId, WallTime, ZnodePath, Zxid,
};

/// One entry of the history: a [`Txn`], who asked for it and when. Its zxid stands beside it in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Transaction {
    /// The session that asked, or [`SessionId::NONE`] where the quorum acts by itself.
    pub session: SessionId,
    /// The wall clock of the leader.
    pub time: WallTime,
    /// Who waits for the answer.
    pub origin: Option<Origin>,
    /// The session's number for this write, where it numbers its writes.
    pub request: Option<NumberedRequest>,
    /// What the leader's state was at an earlier position: every replica, and every replay of the log,
    /// compares.
    pub witness: Option<Witness>,
    /// What happens.
    pub txn: Txn,
}

/// The connection that waits for the answer to a transaction. Only that server looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// The server the client is attached to.
    pub server: ServerId,
    /// The connection there.
    pub client: ClientId,
    /// The place of the request among those of that connection.
    pub number: u64,
}

/// A write's number within its session, and how far the client has its answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct NumberedRequest {
    /// The number of this write.
    pub id: RequestId,
    /// Every write numbered below has been answered, so that its answer can be forgotten.
    pub answered_below: RequestId,
}

/// The digest of the replicated state at a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Witness {
    /// The position.
    pub zxid: Zxid,
    /// The digest of the state after it was applied.
    pub digest: u64,
}

/// A state change in the form in which it is logged and applied: decided by the leader, the same on
/// every replica, absolute where a request was relative.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Txn {
    /// A node is made. The parent's creation counter grows by one.
    Create {
        /// Its full path.
        path: ZnodePath,
        /// Its data.
        #[serde(deserialize_with = "super::shared::maybe_bytes")]
        data: Option<Bytes>,
        /// Its ACL, in final form.
        acl: Acl,
        /// What makes it go; an ephemeral's owner is the transaction's session.
        lifetime: Lifetime,
    },
    /// A node is deleted.
    Delete {
        /// The node.
        path: ZnodePath,
    },
    /// A node and all below it are deleted.
    DeleteTree {
        /// The top node.
        path: ZnodePath,
    },
    /// A node's data is replaced.
    SetData {
        /// The node.
        path: ZnodePath,
        /// The new data.
        #[serde(deserialize_with = "super::shared::maybe_bytes")]
        data: Option<Bytes>,
        /// The data version afterwards.
        version: i32,
    },
    /// A node's ACL is replaced.
    SetAcl {
        /// The node.
        path: ZnodePath,
        /// The new ACL, in final form.
        acl: Acl,
        /// The ACL version afterwards.
        version: i32,
    },
    /// A check held; nothing changes.
    Check,
    /// All of these, at one zxid.
    Multi(#[serde(deserialize_with = "super::flat::flat")] Vec<Txn>),
    /// A session begins. Its id is this transaction's zxid.
    CreateSession {
        /// Its timeout in milliseconds.
        timeout_millis: u32,
        /// What it is taken up again with.
        password: Password,
    },
    /// The transaction's session ends; its ephemerals go with it. They are not listed, as in ZooKeeper: a replica applies every
    /// transaction to the same state as the leader, so it knows them, and a session may have more than a frame holds.
    CloseSession {
        /// How many ephemerals go. Another number elsewhere is a diverged replica.
        ephemerals: u64,
    },
    /// A write was refused; nothing changes. It stands in the log so that the answer has its place in
    /// the order.
    Refused(Refusal),
    /// A write that its session sent a second time; nothing changes, and its first answer is given again.
    Repeated,
}
