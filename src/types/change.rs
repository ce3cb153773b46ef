use super::{Acl, ZnodePath, Zxid};

/// What happened to one node. Transactions become changes, changes become watch events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The transaction.
    pub zxid: Zxid,
    /// The node.
    pub path: ZnodePath,
    /// What happened to it.
    pub kind: ChangeKind,
    /// The node's ACL, or the one it had when it was deleted: whoever may not READ hears nothing.
    pub acl: Acl,
}

/// What can happen to a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// It was created; its parent's children changed.
    Created {
        /// The ACL of the parent.
        parent_acl: Acl,
    },
    /// It was deleted; its parent's children changed.
    Deleted {
        /// The ACL of the parent.
        parent_acl: Acl,
    },
    /// Its data was set.
    DataChanged,
}
