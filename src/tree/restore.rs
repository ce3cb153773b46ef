use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hashbrown::HashTable;
use thiserror::Error;

use crate::codec;

use super::acls::AclId;
use super::children::Children;
use super::digest;
use super::limits::TreeLimits;
use super::node::{FIRST_ORDINAL, Node, NodeId};
use super::quota;
use super::record::{self, Record};
use super::tree::Tree;

/// How much longer than its data a record may be: room for a name as long as a frame allows.
const RECORD_OVERHEAD: usize = codec::MAX_BODY_LEN;

/// Why bytes are no snapshot of a tree. The restore is over; another snapshot is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// They do not begin as a snapshot of this version does.
    #[error("the snapshot is not ours or of another version; upgrade the older side")]
    Magic,
    /// A record says that it is longer than any can be.
    #[error("a record of the snapshot says it is {0} bytes long")]
    TooLong(u64),
    /// A record makes no sense.
    #[error("record {0} of the snapshot makes no sense; use an older snapshot")]
    Record(u64),
    /// The end is missing.
    #[error("the snapshot ends too early; use an older snapshot")]
    Truncated,
    /// Something follows the end.
    #[error("the snapshot goes on behind its end")]
    Trailing,
    /// The nodes are no tree: the text says why.
    #[error("the snapshot holds no tree: {0}; use an older snapshot")]
    Structure(&'static str),
    /// The digest or the number of nodes is another than the snapshot says.
    #[error("the snapshot's nodes do not match its digest; use an older snapshot")]
    Digest,
}

/// Makes a [`Tree`] of the chunks of a snapshot.
///
/// It holds no more than a constant times what it was fed, trusts nothing of it, and never recurses.
#[derive(Debug)]
pub struct TreeRestore {
    tree: Tree,
    /// The beginning of a record whose rest has not come yet.
    partial: Vec<u8>,
    begun: bool,
    records: u64,
    /// Where a node of the snapshot has its place now.
    nodes: Translation,
    /// The ACLs' numbers here by their numbers in the snapshot.
    acls: BTreeMap<AclId, AclId>,
    end: Option<(u64, u64)>,
    failed: Option<RestoreError>,
}

impl TreeRestore {
    /// Expects the first chunk. The tree will have these limits.
    #[must_use]
    pub fn new(limits: TreeLimits) -> Self {
        Self {
            tree: Tree::bare(limits),
            partial: Vec::new(),
            begun: false,
            records: 0,
            nodes: Translation::default(),
            acls: BTreeMap::new(),
            end: None,
            failed: None,
        }
    }

    /// Takes the next bytes, however they are cut.
    ///
    /// # Errors
    ///
    /// As soon as they can be no snapshot. Every later call fails likewise.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let fed = self.take(bytes);
        self.failed = fed.err();
        fed
    }

    /// The tree, after the last chunk.
    ///
    /// # Errors
    ///
    /// When the bytes were no whole snapshot, or no tree.
    pub fn finish(mut self) -> Result<Tree, RestoreError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let Some((count, digest)) = self.end.filter(|_| self.partial.is_empty()) else {
            return Err(RestoreError::Truncated);
        };
        self.link()?;
        self.walk()?;
        let mut tree = self.tree;
        for id in self.acls.into_values() {
            // The restore's own hold on each.
            tree.acls.release(id);
        }
        if tree.digest != digest || tree.len() as u64 != count {
            return Err(RestoreError::Digest);
        }
        let Some(quota_root) = tree.find(quota::ROOT).filter(|_| tree.find("/zookeeper/config").is_some())
        else {
            return Err(RestoreError::Structure("a reserved node is missing"));
        };
        tree.quota_root = quota_root;
        tree.gather_quotas();
        Ok(tree)
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), RestoreError> {
        // First what completes the record that is already here in part.
        while !self.partial.is_empty() && !bytes.is_empty() {
            let missing = self.missing(&self.partial)?;
            let (now, rest) = bytes.split_at(missing.clamp(1, bytes.len()));
            self.partial.extend_from_slice(now);
            bytes = rest;
            if self.missing(&self.partial)? == 0 {
                let whole = std::mem::take(&mut self.partial);
                self.record(&whole)?;
            }
        }
        while !bytes.is_empty() {
            let missing = self.missing(bytes)?;
            if missing > 0 {
                self.partial.extend_from_slice(bytes);
                return Ok(());
            }
            let (record, rest) = bytes.split_at(self.extent(bytes)?.unwrap_or(bytes.len()).min(bytes.len()));
            self.record(record)?;
            bytes = rest;
        }
        Ok(())
    }

    /// How many bytes the record lacks that begins with `bytes`; at least one if not even its length is known.
    fn missing(&self, bytes: &[u8]) -> Result<usize, RestoreError> {
        Ok(self.extent(bytes)?.map_or(1, |extent| extent.saturating_sub(bytes.len())))
    }

    /// How many bytes the record that begins with `bytes` has, its length included, if that is known yet.
    fn extent(&self, bytes: &[u8]) -> Result<Option<usize>, RestoreError> {
        if self.end.is_some() {
            return Err(RestoreError::Trailing);
        }
        if !self.begun {
            return Ok(Some(record::MAGIC.len()));
        }
        let Some((len, before)) = record::read_len(bytes) else { return Ok(None) };
        let limit = self.tree.limits.data_len.max(codec::MAX_BODY_LEN).saturating_add(RECORD_OVERHEAD);
        match usize::try_from(len) {
            Ok(len) if len <= limit => Ok(Some(before + len)),
            _ => Err(RestoreError::TooLong(len)),
        }
    }

    fn record(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        if !self.begun {
            self.begun = true;
            return if bytes == record::MAGIC { Ok(()) } else { Err(RestoreError::Magic) };
        }
        let number = self.records;
        self.records += 1;
        let body = record::read_len(bytes).and_then(|(_, before)| bytes.get(before..));
        match body.and_then(record::read).ok_or(RestoreError::Record(number))? {
            Record::Padding => Ok(()),
            Record::Acl(id, acl) => match self.acls.entry(id) {
                Entry::Occupied(_) => Err(RestoreError::Structure("two ACLs have the same number")),
                Entry::Vacant(vacant) => {
                    vacant.insert(self.tree.acls.acquire(&acl));
                    Ok(())
                }
            },
            Record::Node(id, node) => self.node(id, node),
            Record::End { nodes, digest } => {
                self.end = Some((nodes, digest));
                Ok(())
            }
        }
    }

    fn node(&mut self, id: NodeId, mut node: Node) -> Result<(), RestoreError> {
        let Some(acl) = self.acls.get(&node.acl) else {
            return Err(RestoreError::Structure("a node has an unknown ACL"));
        };
        node.acl = self.tree.acls.acquire_again(*acl);
        let is_root = node.parent == NodeId::NONE;
        if is_root != node.name.is_empty() || !(is_root || is_element(&node.name)) {
            return Err(RestoreError::Structure("a node has an invalid name"));
        }
        let Some(here) = self.tree.slab.insert(node) else {
            return Err(RestoreError::Structure("it has more nodes than a tree can have"));
        };
        if is_root && self.tree.root != NodeId::NONE {
            return Err(RestoreError::Structure("it has two roots"));
        }
        if is_root {
            self.tree.root = here;
        }
        if self.nodes.insert(id, here) {
            Ok(())
        } else {
            Err(RestoreError::Structure("two nodes have the same number"))
        }
    }

    /// Hangs every node below its parent.
    fn link(&mut self) -> Result<(), RestoreError> {
        let tree = &mut self.tree;
        tree.names.reserve(tree.slab.len());
        for id in (0..tree.slab.slots()).map(NodeId).filter(|id| *id != tree.root) {
            let node = tree.slab.get(id);
            let Some(parent) = self.nodes.find(node.parent) else {
                return Err(RestoreError::Structure("a node's parent is missing"));
            };
            if tree.names.find(&tree.slab, parent, &node.name).is_some() {
                return Err(RestoreError::Structure("two children have the same name"));
            }
            let ordinal = node.ordinal;
            tree.names.insert(parent, &node.name, id);
            tree.slab.get_mut(id).parent = parent;
            let above = tree.slab.get_mut(parent);
            if above.kind.is_ephemeral() {
                return Err(RestoreError::Structure("an ephemeral node has children"));
            }
            if ordinal >= above.created.saturating_add(FIRST_ORDINAL) {
                return Err(RestoreError::Structure("a parent has created fewer children than it has"));
            }
            above.children.get_or_insert_with(|| Box::new(Children::new())).push_unsorted(ordinal, id);
        }
        for id in (0..tree.slab.slots()).map(NodeId) {
            if let Some(children) = &mut tree.slab.get_mut(id).children
                && !children.sort()
            {
                return Err(RestoreError::Structure("two children have the same place"));
            }
        }
        Ok(())
    }

    /// Goes down from the root, computes what depends on the path, and sees whether that reaches every node.
    fn walk(&mut self) -> Result<(), RestoreError> {
        let tree = &mut self.tree;
        if tree.root == NodeId::NONE {
            return Err(RestoreError::Structure("it has no root"));
        }
        tree.slab.get_mut(tree.root).key = digest::ROOT_KEY;
        let quotas = tree.find(quota::ROOT);
        let mut waiting = vec![tree.root];
        let mut reached = 0;
        while let Some(id) = waiting.pop() {
            reached += 1;
            tree.enter(id);
            let node = tree.slab.get(id);
            let (key, local) = (node.key, node.local || Some(id) == quotas);
            let first = waiting.len();
            waiting.extend(node.children.iter().flat_map(|children| children.iter()).map(|(_, child)| child));
            for child in waiting.iter().skip(first) {
                let child = tree.slab.get_mut(*child);
                child.key = digest::child_key(key, &child.name);
                child.local = local;
            }
        }
        // A node that is below itself is below no root.
        if reached == tree.slab.len() { Ok(()) } else { Err(RestoreError::Structure("it has a cycle")) }
    }
}

impl Tree {
    /// Reads the quotas from the nodes that hold them and counts what they hold.
    fn gather_quotas(&mut self) {
        let limits: Vec<NodeId> =
            self.descend(self.quota_root).filter(|id| *self.slab.get(*id).name == *quota::LIMITS).collect();
        for id in limits {
            let path = self.path_of(id);
            let data = self.slab.get(id).read_data();
            self.set_limits(path.as_str(), Some(data.as_ref()));
        }
    }
}

/// From the numbers in a snapshot to those in the tree.
#[derive(Debug, Default)]
struct Translation(HashTable<(NodeId, NodeId)>);

impl Translation {
    /// False if `from` is known already.
    fn insert(&mut self, from: NodeId, to: NodeId) -> bool {
        if self.find(from).is_some() {
            return false;
        }
        self.0.insert_unique(spread(from), (from, to), |(from, _)| spread(*from));
        true
    }

    fn find(&self, from: NodeId) -> Option<NodeId> {
        self.0.find(spread(from), |(known, _)| *known == from).map(|(_, to)| *to)
    }
}

fn spread(id: NodeId) -> u64 {
    u64::from(id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Whether a name can be an element of a path.
fn is_element(name: &str) -> bool {
    let plain = name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'/');
    if plain {
        !matches!(name, "." | "..")
    } else {
        !name.contains('/') && crate::types::ZnodePath::parse(format!("/{name}")).is_ok()
    }
}
