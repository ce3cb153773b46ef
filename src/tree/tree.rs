use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::types::{Acl, SessionId, Stat, WallTime, ZnodePath, Zxid};

use super::acls::AclTable;
use super::digest;
use super::limits::TreeLimits;
use super::names::NameIndex;
use super::node::{FIRST_ORDINAL, Kind, Node, NodeId};
use super::quota::QuotaTable;
use super::slab::Slab;
use super::snapshot::Cut;

/// The nodes that every tree has and that nobody deletes.
const RESERVED: [&str; 4] = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];

/// The znode tree of one replica.
///
/// Deterministic: trees that applied the same transactions in the same order are equal in all that can be seen of
/// them, the order of children included. Nothing here panics on input or recurses with the depth of a path.
#[derive(Debug)]
pub struct Tree {
    pub(super) limits: TreeLimits,
    pub(super) slab: Slab,
    pub(super) names: NameIndex,
    pub(super) acls: AclTable,
    pub(super) root: NodeId,
    /// `/zookeeper/quota`, below which nodes have no part in the digest.
    pub(super) quota_root: NodeId,
    pub(super) ephemerals: BTreeMap<SessionId, BTreeSet<NodeId>>,
    pub(super) ephemeral_count: usize,
    /// Childless containers and TTL nodes by the moment from which they may go.
    pub(super) due: BTreeSet<(WallTime, NodeId)>,
    pub(super) quotas: QuotaTable,
    pub(super) digest: u64,
    pub(super) bytes: u64,
    /// The running snapshot.
    pub(super) cut: Option<Cut>,
    /// How many snapshots were begun.
    pub(super) cuts: u32,
}

impl Tree {
    /// The tree before the first transaction: `/`, `/zookeeper`, `/zookeeper/quota`, open to everybody, and
    /// `/zookeeper/config`, which everybody may read.
    #[must_use]
    pub fn new(limits: TreeLimits) -> Self {
        let mut tree = Self::bare(limits);
        tree.root = tree.reserve(NodeId::NONE, "", 0, &Acl::open(), 0);
        let zookeeper = tree.reserve(tree.root, "zookeeper", 0, &Acl::open(), 0);
        tree.quota_root = tree.reserve(zookeeper, "quota", 0, &Acl::open(), 0);
        // Its ACL version is what ZooKeeper shows.
        tree.reserve(zookeeper, "config", 1, &Acl::read_only(), -1);
        tree
    }

    /// How many znodes there are, the reserved ones included.
    #[expect(clippy::len_without_is_empty, reason = "a tree is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// About how many bytes the names and the data of all nodes have.
    #[must_use]
    pub fn approximate_data_size(&self) -> u64 {
        self.bytes
    }

    /// How many ephemeral nodes there are.
    #[must_use]
    pub fn ephemeral_count(&self) -> usize {
        self.ephemeral_count
    }

    /// The sessions that have ephemerals, in order, and how many.
    pub fn ephemeral_owners(&self) -> impl ExactSizeIterator<Item = (SessionId, usize)> + '_ {
        self.ephemerals.iter().map(|(session, nodes)| (*session, nodes.len()))
    }

    /// The paths of a session's ephemerals, sorted.
    #[must_use]
    pub fn ephemerals_of(&self, session: SessionId) -> Vec<ZnodePath> {
        let nodes = self.ephemerals.get(&session);
        let mut paths: Vec<ZnodePath> = nodes.into_iter().flatten().map(|id| self.path_of(*id)).collect();
        paths.sort_unstable();
        paths
    }

    /// A number that is equal on two replicas whose trees are equal and, but for one chance in 2^64, different where
    /// they differ; what lies below `/zookeeper/quota` is left out.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Stat and ACL of the node at `path`, whoever asks; for watches that are registered again.
    #[must_use]
    pub fn lookup(&self, path: &str) -> Option<(Stat, Acl)> {
        let node = self.slab.get(self.find(path)?);
        Some((node.stat(), self.acls.get(node.acl).clone()))
    }

    /// Whether nobody may delete `path`.
    pub(super) fn is_reserved(path: &str) -> bool {
        RESERVED.contains(&path)
    }

    /// A tree without any node, not yet fit for use.
    pub(super) fn bare(limits: TreeLimits) -> Self {
        Self {
            slab: Slab::default(),
            names: NameIndex::new(limits.lookup_seed),
            limits,
            acls: AclTable::default(),
            root: NodeId::NONE,
            quota_root: NodeId::NONE,
            ephemerals: BTreeMap::new(),
            ephemeral_count: 0,
            due: BTreeSet::new(),
            quotas: QuotaTable::new(),
            digest: 0,
            bytes: 0,
            cut: None,
            cuts: 0,
        }
    }

    /// The node at `path`. No path that is invalid names one.
    pub(super) fn find(&self, path: &str) -> Option<NodeId> {
        let rest = path.strip_prefix('/')?;
        if rest.is_empty() {
            return Some(self.root);
        }
        rest.split('/').try_fold(self.root, |parent, name| self.names.find(&self.slab, parent, name))
    }

    /// The path of a node.
    #[expect(clippy::expect_used, reason = "every name was part of a valid path when its node was made")]
    pub(super) fn path_of(&self, id: NodeId) -> ZnodePath {
        let mut names = Vec::new();
        let mut at = id;
        while at != self.root {
            let node = self.slab.get(at);
            names.push(&*node.name);
            at = node.parent;
        }
        if names.is_empty() {
            return ZnodePath::root();
        }
        let mut path = String::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names.into_iter().rev() {
            path.push('/');
            path.push_str(name);
        }
        ZnodePath::parse(path).expect("a path of valid names")
    }

    /// Makes a reserved node. It does not count as created, so that a fresh root's sequential children begin at 0.
    #[expect(clippy::expect_used, reason = "there is room for the first four nodes")]
    fn reserve(&mut self, parent: NodeId, name: &str, ordinal: u64, acl: &Acl, aversion: i32) -> NodeId {
        debug_assert!(ordinal < FIRST_ORDINAL);
        let key = if parent == NodeId::NONE {
            digest::ROOT_KEY
        } else {
            digest::child_key(self.slab.get(parent).key, name)
        };
        let node = Node {
            name: name.into(),
            data: Some(Arc::default()),
            children: None,
            key,
            czxid: Zxid::ZERO,
            mzxid: Zxid::ZERO,
            pzxid: Zxid::ZERO,
            ctime: WallTime::default(),
            mtime: WallTime::default(),
            created: 0,
            ordinal,
            kind: Kind::Persistent,
            version: 0,
            aversion,
            parent,
            acl: self.acls.acquire(acl),
            stamp: 0,
            local: false,
        };
        let id = self.slab.insert(node).expect("room for a reserved node");
        self.enter(id);
        if parent != NodeId::NONE {
            self.names.insert(parent, name, id);
            self.slab.get_mut(parent).children.get_or_insert_default().push(ordinal, id);
        }
        id
    }
}
