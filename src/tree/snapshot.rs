use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::acls::{AclId, AclTable};
use super::node::{Node, NodeId};
use super::record;
use super::tree::Tree;

/// How much work one chunk is, at most, in places looked at: where many are vacant, or nodes are small, the chunk is short
/// rather than late.
const WORK: usize = 1 << 14;

/// How many places could be looked at while one node is written: its parts lie all over the memory.
const NODE_WORK: usize = 6;

/// For how much of a chunk room is made at once.
const ROOM: usize = 1 << 20;

/// A running snapshot. Places below `next` were written, those from `end` on did not exist when it began; a node in
/// between that is about to change or go is kept in `saved` as it was, and stamped, so that this happens once.
#[derive(Debug)]
pub(super) struct Cut {
    next: u32,
    end: u32,
    saved: VecDeque<(NodeId, Node)>,
    /// Which ACLs were written.
    acls: Vec<bool>,
    /// What is written but not handed out.
    out: BytesMut,
    nodes: u64,
    digest: u64,
    ended: bool,
}

impl Tree {
    /// Begins a snapshot of the state at this moment, in constant time. At most one runs: another one is dropped.
    pub fn begin_snapshot(&mut self) {
        self.abandon_snapshot();
        self.cuts = self.cuts.wrapping_add(1);
        self.acls.hold();
        self.cut = Some(Cut {
            next: 0,
            end: self.slab.slots(),
            saved: VecDeque::new(),
            acls: Vec::new(),
            out: BytesMut::from(&record::MAGIC[..]),
            nodes: self.slab.len() as u64,
            digest: self.digest,
            ended: false,
        });
    }

    /// The next piece of the running snapshot, of at most `max` bytes (at least one is taken) and never empty; `None`
    /// after the last, and when none is running. A piece is shorter where much has to be looked at for it: more should be asked
    /// for later. What is applied between two calls does not appear in it.
    #[must_use]
    pub fn next_snapshot_chunk(&mut self, max: usize) -> Option<Bytes> {
        let cut = self.cut.as_mut()?;
        let max = max.max(1);
        let mut work = 0;
        if !cut.ended {
            cut.out.reserve(max.min(ROOM).saturating_sub(cut.out.len()));
        }
        while cut.out.len() < max && !cut.ended {
            if work >= WORK {
                if cut.out.is_empty() {
                    record::put_padding(&mut cut.out);
                }
                break;
            }
            work += 1;
            if let Some((id, node)) = cut.saved.pop_front() {
                cut.write(id, &node, &self.acls);
                work += NODE_WORK;
            } else if cut.next < cut.end {
                let id = NodeId(cut.next);
                cut.next += 1;
                if let Some(node) = self.slab.peek(id).filter(|node| node.stamp != self.cuts) {
                    cut.write(id, node, &self.acls);
                    work += NODE_WORK;
                }
            } else {
                record::put_end(&mut cut.out, cut.nodes, cut.digest);
                cut.ended = true;
            }
        }
        if cut.out.is_empty() {
            self.abandon_snapshot();
            return None;
        }
        let len = cut.out.len().min(max);
        Some(cut.out.split_to(len).freeze())
    }

    /// Drops the running snapshot, if there is one.
    pub fn abandon_snapshot(&mut self) {
        if self.cut.take().is_some() {
            self.acls.unhold();
        }
    }
}

impl Cut {
    /// Keeps a node that is about to change. `number` is that of this snapshot.
    pub(super) fn preserve(&mut self, id: NodeId, node: &mut Node, number: u32) {
        if id.0 >= self.next && id.0 < self.end && node.stamp != number {
            node.stamp = number;
            self.saved.push_back((id, node.image()));
        }
    }

    fn write(&mut self, id: NodeId, node: &Node, acls: &AclTable) {
        let AclId(acl) = node.acl;
        let acl = acl as usize;
        if acl >= self.acls.len() {
            self.acls.resize(acl + 1, false);
        }
        if let Some(written) = self.acls.get_mut(acl)
            && !*written
        {
            *written = true;
            record::put_acl(&mut self.out, node.acl, acls.get(node.acl));
        }
        record::put_node(&mut self.out, id, node);
    }
}
