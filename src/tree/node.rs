use std::sync::Arc;

use bytes::Bytes;

use crate::types::{Lifetime, SessionId, Stat, Ttl, WallTime, Zxid};

use super::acls::AclId;
use super::children::Children;

/// The place of a node in the [`Slab`](super::slab::Slab). Meaningful in one tree only: it never leaves it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct NodeId(pub(super) u32);

impl NodeId {
    /// No node: the parent of the root, and a child that has gone.
    pub(super) const NONE: Self = Self(u32::MAX);
}

/// The ordinal of a parent's first child that a client made. Those below are for the reserved nodes, which
/// ZooKeeper does not count among the created ones either (the first sequential child of the root has number 0).
pub(super) const FIRST_ORDINAL: u64 = 2;

/// What makes a node go, with what it needs for that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A delete.
    Persistent,
    /// The end of this session.
    Ephemeral(SessionId),
    /// The loss of its last child.
    Container,
    /// Time.
    Ttl(Ttl),
}

impl Kind {
    pub(super) fn new(lifetime: Lifetime, session: SessionId) -> Self {
        match lifetime {
            Lifetime::Persistent => Self::Persistent,
            Lifetime::Ephemeral => Self::Ephemeral(session),
            Lifetime::Container => Self::Container,
            Lifetime::Ttl(ttl) => Self::Ttl(ttl),
        }
    }

    /// The session that a client is shown; containers and TTL nodes have none.
    pub(super) fn owner(self) -> SessionId {
        match self {
            Self::Ephemeral(session) => session,
            Self::Persistent | Self::Container | Self::Ttl(_) => SessionId::NONE,
        }
    }

    pub(super) fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral(_))
    }
}

/// A znode.
#[derive(Debug)]
pub(super) struct Node {
    /// The last element of its path.
    pub(super) name: Box<str>,
    /// Its data, in an allocation of its own. No `Bytes`, which would be twice as large here, and larger still once it was shared.
    pub(super) data: Option<Arc<[u8]>>,
    /// Its children; none is `None`.
    pub(super) children: Option<Box<Children>>,
    /// The hash of its path, for the digest.
    pub(super) key: u64,
    pub(super) czxid: Zxid,
    pub(super) mzxid: Zxid,
    pub(super) pzxid: Zxid,
    pub(super) ctime: WallTime,
    pub(super) mtime: WallTime,
    /// How many children were ever created below it.
    pub(super) created: u64,
    /// Its place among its parent's children.
    pub(super) ordinal: u64,
    pub(super) kind: Kind,
    pub(super) version: i32,
    pub(super) aversion: i32,
    pub(super) parent: NodeId,
    pub(super) acl: AclId,
    /// The number of the last snapshot that must not or need not visit it any more.
    pub(super) stamp: u32,
    /// Whether it lies below `/zookeeper/quota` and has no part in the digest.
    pub(super) local: bool,
}

/// How long data is that is rather copied than shared with a reader.
const COPIED_LEN: usize = 1 << 10;

impl Node {
    pub(super) fn child_count(&self) -> usize {
        self.children.as_ref().map_or(0, |children| children.len())
    }

    pub(super) fn data_len(&self) -> usize {
        self.data.as_ref().map_or(0, |data| data.len())
    }

    /// The data for whoever reads it.
    pub(super) fn read_data(&self) -> Option<Bytes> {
        let data = self.data.as_ref()?;
        if data.len() <= COPIED_LEN {
            Some(Bytes::copy_from_slice(data))
        } else {
            Some(Bytes::from_owner(Arc::clone(data)))
        }
    }

    /// The eleven fields as a client sees them. The counters wrap to 32 bits.
    pub(super) fn stat(&self) -> Stat {
        let children = self.child_count();
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            pzxid: self.pzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            // Creates and deletes together: ZooKeeper keeps the creates and derives this.
            cversion: self.created.wrapping_mul(2).wrapping_sub(children as u64) as i32,
            aversion: self.aversion,
            ephemeral_owner: self.kind.owner(),
            data_length: i32::try_from(self.data_len()).unwrap_or(i32::MAX),
            num_children: i32::try_from(children).unwrap_or(i32::MAX),
        }
    }

    /// The node without its children: all that a snapshot says of it.
    pub(super) fn image(&self) -> Self {
        Self { name: self.name.clone(), data: self.data.clone(), children: None, ..*self }
    }
}
