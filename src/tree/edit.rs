//! The steps that every change is made of. Each keeps the digest, the indexes and a running snapshot right.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;

use crate::types::{Acl, WallTime, Zxid};

use super::children::Children;
use super::digest;
use super::node::{FIRST_ORDINAL, Kind, Node, NodeId};
use super::tree::Tree;

/// What a new node is made of.
pub(super) struct NewNode<'a> {
    pub(super) name: &'a str,
    pub(super) data: Option<&'a Bytes>,
    pub(super) acl: &'a Acl,
    pub(super) kind: Kind,
    pub(super) zxid: Zxid,
    pub(super) time: WallTime,
}

impl Tree {
    /// Makes a node. The caller has seen that the name is free and that the parent may have children. `None`, and
    /// nothing happened, if there are as many nodes as there can be.
    pub(super) fn insert(&mut self, parent: NodeId, new: NewNode<'_>) -> Option<NodeId> {
        let above = self.slab.get(parent);
        let ordinal = above.created.saturating_add(FIRST_ORDINAL);
        let node = Node {
            name: new.name.into(),
            data: own(new.data),
            children: None,
            key: digest::child_key(above.key, new.name),
            czxid: new.zxid,
            mzxid: new.zxid,
            pzxid: new.zxid,
            ctime: new.time,
            mtime: new.time,
            created: 0,
            ordinal,
            kind: new.kind,
            version: 0,
            aversion: 0,
            parent,
            acl: self.acls.acquire(new.acl),
            // A running snapshot began without it.
            stamp: self.cuts,
            local: above.local || parent == self.quota_root,
        };
        let acl = node.acl;
        let Some(id) = self.slab.insert(node) else {
            self.acls.release(acl);
            return None;
        };
        self.names.insert(parent, new.name, id);
        self.enter(id);
        self.edit(parent, |parent| {
            parent.created = parent.created.saturating_add(1);
            parent.pzxid = new.zxid;
            parent.children.get_or_insert_with(|| Box::new(Children::new())).push(ordinal, id);
        });
        Some(id)
    }

    /// Removes a node that has no children and is not reserved.
    pub(super) fn remove(&mut self, id: NodeId, zxid: Zxid) {
        self.preserve(id);
        self.leave(id);
        let Some(node) = self.slab.remove(id) else { return };
        self.names.remove(node.parent, &node.name, id);
        self.acls.release(node.acl);
        self.edit(node.parent, |parent| {
            parent.pzxid = zxid;
            if let Some(children) = &mut parent.children {
                children.remove(node.ordinal);
                if children.len() == 0 {
                    parent.children = None;
                }
            }
        });
    }

    /// Replaces a node's data.
    pub(super) fn replace_data(
        &mut self,
        id: NodeId,
        data: Option<&Bytes>,
        version: i32,
        zxid: Zxid,
        time: WallTime,
    ) {
        self.replace_content(id, data, Some(zxid));
        self.edit(id, |node| {
            node.version = version;
            node.mtime = time;
        });
    }

    /// Replaces the data of a stats node, which every replica writes by itself: its stat does not change.
    pub(super) fn replace_local_data(&mut self, id: NodeId, data: String) {
        self.replace_content(id, Some(&Bytes::from(data)), None);
    }

    /// Replaces a node's ACL.
    pub(super) fn replace_acl(&mut self, id: NodeId, acl: &Acl, version: i32) {
        let new = self.acls.acquire(acl);
        let old = self.slab.get(id).acl;
        self.edit(id, |node| {
            node.acl = new;
            node.aversion = version;
        });
        self.acls.release(old);
    }

    /// Takes a new node, already in the slab, into the digest and the indexes by lifetime.
    pub(super) fn enter(&mut self, id: NodeId) {
        let node = self.slab.get(id);
        self.bytes += (node.name.len() + node.data_len()) as u64;
        if !node.local {
            self.digest =
                self.digest.wrapping_add(digest::content_hash(node)).wrapping_add(self.stat_hash(node));
        }
        if let Some(due) = node.due_at() {
            self.due.insert((due, id));
        }
        if let Kind::Ephemeral(session) = node.kind
            && self.ephemerals.entry(session).or_default().insert(id)
        {
            self.ephemeral_count += 1;
        }
    }

    /// The counterpart of [`enter`](Self::enter).
    fn leave(&mut self, id: NodeId) {
        let node = self.slab.get(id);
        self.bytes -= (node.name.len() + node.data_len()) as u64;
        if !node.local {
            self.digest =
                self.digest.wrapping_sub(digest::content_hash(node)).wrapping_sub(self.stat_hash(node));
        }
        if let Some(due) = node.due_at() {
            self.due.remove(&(due, id));
        }
        if let Kind::Ephemeral(session) = node.kind
            && let Entry::Occupied(mut nodes) = self.ephemerals.entry(session)
            && nodes.get_mut().remove(&id)
        {
            self.ephemeral_count -= 1;
            if nodes.get().is_empty() {
                nodes.remove();
            }
        }
    }

    /// Changes anything of a node but its data, its `mzxid` and its place.
    fn edit(&mut self, id: NodeId, change: impl FnOnce(&mut Node)) {
        self.preserve(id);
        let node = self.slab.get_mut(id);
        let due_before = node.due_at();
        let before = digest::stat_hash(node, self.acls.hash(node.acl));
        change(node);
        let due_after = node.due_at();
        if !node.local {
            let after = digest::stat_hash(node, self.acls.hash(node.acl));
            self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        }
        if due_before != due_after {
            if let Some(due) = due_before {
                self.due.remove(&(due, id));
            }
            if let Some(due) = due_after {
                self.due.insert((due, id));
            }
        }
    }

    /// Changes a node's data and, unless the change is local, its `mzxid`.
    fn replace_content(&mut self, id: NodeId, data: Option<&Bytes>, mzxid: Option<Zxid>) {
        self.preserve(id);
        let node = self.slab.get_mut(id);
        if !node.local {
            self.digest = self.digest.wrapping_sub(digest::content_hash(node));
        }
        self.bytes -= node.data_len() as u64;
        node.data = own(data);
        node.mzxid = mzxid.unwrap_or(node.mzxid);
        self.bytes += node.data_len() as u64;
        if !node.local {
            self.digest = self.digest.wrapping_add(digest::content_hash(node));
        }
    }

    /// Keeps the node's present form for the running snapshot, if that has not come to it yet.
    fn preserve(&mut self, id: NodeId) {
        if let Some(cut) = &mut self.cut {
            cut.preserve(id, self.slab.get_mut(id), self.cuts);
        }
    }

    fn stat_hash(&self, node: &Node) -> u64 {
        digest::stat_hash(node, self.acls.hash(node.acl))
    }
}

/// A copy of exactly the data: what arrived is a piece of a network buffer, which it would keep alive as a whole.
fn own(data: Option<&Bytes>) -> Option<Arc<[u8]>> {
    data.map(|data| owned(data))
}

/// The same, of data that is there. All that is empty is one.
pub(super) fn owned(data: &[u8]) -> Arc<[u8]> {
    if data.is_empty() { Arc::default() } else { Arc::from(data) }
}
