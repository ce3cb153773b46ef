use super::{ZnodePath, Zxid};

/// How far a lasting watch sees.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WatchMode {
    /// The node itself and its list of children.
    Persistent,
    /// The node and everything below it; no events about lists of children.
    PersistentRecursive,
}

/// Which watches of a path to remove or to look for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WatchTarget {
    /// One-shot watches on children.
    Children,
    /// One-shot watches on data.
    Data,
    /// All.
    Any,
    /// [`WatchMode::Persistent`].
    Persistent,
    /// [`WatchMode::PersistentRecursive`].
    PersistentRecursive,
}

/// What a watch tells. The new data is to be read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WatchEvent {
    /// The transaction that caused it; [`Zxid::ZERO`] where it was found out after a reconnect.
    pub zxid: Zxid,
    /// What happened.
    pub kind: WatchEventKind,
    /// To which node.
    pub path: ZnodePath,
}

/// What a watch can tell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WatchEventKind {
    /// The node was created.
    Created,
    /// The node was deleted.
    Deleted,
    /// The node's data was set.
    DataChanged,
    /// A child of the node was created or deleted.
    ChildrenChanged,
}
