use hashbrown::HashTable;
use twox_hash::XxHash3_64;

use super::node::NodeId;
use super::slab::Slab;

/// Many small tables instead of one, so that the one that must grow is small: growing never makes a long pause.
const SHARD_BITS: u32 = 6;

/// Finds a child by its parent and its name.
#[derive(Debug)]
pub(super) struct NameIndex {
    seed: u64,
    shards: Vec<HashTable<Entry>>,
}

/// A node, with 32 bits of its hash, so that a table grows without looking at a node.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    id: NodeId,
}

impl NameIndex {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, shards: std::iter::repeat_with(HashTable::new).take(1 << SHARD_BITS).collect() }
    }

    /// Makes room for about this many more nodes.
    pub(super) fn reserve(&mut self, nodes: usize) {
        for shard in &mut self.shards {
            shard.reserve(nodes >> SHARD_BITS, |entry| spread(entry.hash));
        }
    }

    /// Enters a node that is not there yet.
    pub(super) fn insert(&mut self, parent: NodeId, name: &str, id: NodeId) {
        let (shard, hash) = self.place(parent, name);
        if let Some(table) = self.shards.get_mut(shard) {
            table.insert_unique(spread(hash), Entry { hash, id }, |entry| spread(entry.hash));
        }
    }

    /// Removes a node.
    pub(super) fn remove(&mut self, parent: NodeId, name: &str, id: NodeId) {
        let (shard, hash) = self.place(parent, name);
        if let Some(table) = self.shards.get_mut(shard)
            && let Ok(entry) = table.find_entry(spread(hash), |entry| entry.id == id)
        {
            entry.remove();
        }
    }

    /// The child of `parent` with this name.
    pub(super) fn find(&self, slab: &Slab, parent: NodeId, name: &str) -> Option<NodeId> {
        let (shard, hash) = self.place(parent, name);
        let entry = self.shards.get(shard)?.find(spread(hash), |entry| {
            entry.hash == hash && {
                let node = slab.get(entry.id);
                node.parent == parent && *node.name == *name
            }
        })?;
        Some(entry.id)
    }

    fn place(&self, parent: NodeId, name: &str) -> (usize, u32) {
        let seed = self.seed ^ u64::from(parent.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = XxHash3_64::oneshot_with_seed(seed, name.as_bytes());
        ((hash >> (64 - SHARD_BITS)) as usize, hash as u32)
    }
}

/// 64 bits from 32: the table takes its place from the low end and a tag from the high end.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
