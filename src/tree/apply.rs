//! What every replica does with a committed transaction.

use bytes::Bytes;

use crate::types::{
    Acl, Change, ChangeKind, ErrorCode, Lifetime, Refusal, SessionId, Txn, WallTime, Written, ZnodePath, Zxid,
};

use super::edit::NewNode;
use super::node::{Kind, NodeId};
use super::outstanding::{Outstanding, View};
use super::quota::{self, Quota, QuotaLimits, Usage};
use super::tree::Tree;

impl Tree {
    /// Applies one transaction, whole or not at all, and tells what changed: a change per node, in the order in which
    /// they happened, children before parents where a whole tree goes.
    ///
    /// Transactions that leave the tree as it is ([`Txn::Check`], [`Txn::CreateSession`], [`Txn::Repeated`]), and
    /// [`Txn::CloseSession`], come to [`Written::Checked`].
    ///
    /// # Errors
    ///
    /// For [`Txn::Refused`] the refusal that it carries. Any other error says that the transaction does not fit this
    /// tree, which no correct leader and no correct history bring about: the replica has diverged. In either case the
    /// tree and `changes` are as before.
    pub fn apply(
        &mut self,
        zxid: Zxid,
        session: SessionId,
        time: WallTime,
        txn: &Txn,
        changes: &mut Vec<Change>,
    ) -> Result<Written, Refusal> {
        let mut step = Step { tree: self, zxid, session, time, changes };
        match txn {
            Txn::Refused(refusal) => Err(*refusal),
            Txn::Multi(txns) => {
                // One alone is whole or not at all by itself.
                if txns.len() > 1 {
                    step.rehearse(txns)?;
                }
                let written = txns.iter().zip(0..).map(|(txn, index)| {
                    step.operation(txn).map_err(|code| Refusal { code, operation: Some(index) })
                });
                written.collect::<Result<_, _>>().map(Written::Multi)
            }
            Txn::CloseSession { ephemerals } => step.close(*ephemerals).map_err(Refusal::from),
            Txn::CreateSession { .. } | Txn::Repeated => Ok(Written::Checked),
            txn => step.operation(txn).map_err(Refusal::from),
        }
    }
}

struct Step<'a> {
    tree: &'a mut Tree,
    zxid: Zxid,
    session: SessionId,
    time: WallTime,
    changes: &'a mut Vec<Change>,
}

impl Step<'_> {
    /// Goes through a multi without changing anything.
    fn rehearse(&self, txns: &[Txn]) -> Result<(), Refusal> {
        let mut rehearsal = Outstanding::new();
        for (txn, index) in txns.iter().zip(0..) {
            self.rehearse_one(&mut rehearsal, txn)
                .map_err(|code| Refusal { code, operation: Some(index) })?;
        }
        Ok(())
    }

    fn rehearse_one(&self, rehearsal: &mut Outstanding, txn: &Txn) -> Result<(), ErrorCode> {
        let tree = &*self.tree;
        let find = |rehearsal: &Outstanding, path: &ZnodePath| {
            rehearsal.view(tree, path.as_str()).ok_or(ErrorCode::NoNode)
        };
        match txn {
            Txn::Create { path, data, acl, lifetime } => {
                let parent = path.parent().ok_or(ErrorCode::NodeExists)?;
                let parent = find(rehearsal, &parent)?;
                if find(rehearsal, path).is_ok() {
                    return Err(ErrorCode::NodeExists);
                }
                if parent.kind.is_ephemeral() {
                    return Err(ErrorCode::NoChildrenForEphemerals);
                }
                let node = View::fresh(acl, Kind::new(*lifetime, self.session), data.as_ref(), self.time);
                rehearsal.record_create(tree, self.zxid, path, parent, node, data.as_ref());
            }
            Txn::Delete { path } => {
                let node = find(rehearsal, path)?;
                if Tree::is_reserved(path.as_str()) {
                    return Err(ErrorCode::BadArguments);
                }
                if node.children > 0 {
                    return Err(ErrorCode::NotEmpty);
                }
                rehearsal.record_delete(tree, self.zxid, path, &node);
            }
            Txn::DeleteTree { path } => {
                find(rehearsal, path)?;
                if Tree::is_reserved(path.as_str()) {
                    return Err(ErrorCode::BadArguments);
                }
                let paths = rehearsal.subtree(tree, path.as_str(), usize::MAX).unwrap_or_default();
                rehearsal.record_delete_tree(tree, self.zxid, path, paths);
            }
            Txn::SetData { path, .. } | Txn::SetAcl { path, .. } => {
                find(rehearsal, path)?;
            }
            Txn::Check => {}
            Txn::Multi(_)
            | Txn::CreateSession { .. }
            | Txn::CloseSession { .. }
            | Txn::Refused(_)
            | Txn::Repeated => return Err(ErrorCode::MarshallingError),
        }
        Ok(())
    }

    fn operation(&mut self, txn: &Txn) -> Result<Written, ErrorCode> {
        match txn {
            Txn::Create { path, data, acl, lifetime } => self.create(path, data.as_ref(), acl, *lifetime),
            Txn::Delete { path } => self.delete(path),
            Txn::DeleteTree { path } => self.delete_tree(path),
            Txn::SetData { path, data, version } => self.set_data(path, data.as_ref(), *version),
            Txn::SetAcl { path, acl, version } => {
                let id = self.find(path)?;
                self.tree.replace_acl(id, acl, *version);
                Ok(Written::AclSet(self.tree.slab.get(id).stat()))
            }
            Txn::Check => Ok(Written::Checked),
            Txn::Multi(_)
            | Txn::CreateSession { .. }
            | Txn::CloseSession { .. }
            | Txn::Refused(_)
            | Txn::Repeated => Err(ErrorCode::MarshallingError),
        }
    }

    fn create(
        &mut self,
        path: &ZnodePath,
        data: Option<&Bytes>,
        acl: &Acl,
        lifetime: Lifetime,
    ) -> Result<Written, ErrorCode> {
        let tree = &mut *self.tree;
        let parent = path.parent_str().ok_or(ErrorCode::NodeExists)?;
        let parent = tree.find(parent).ok_or(ErrorCode::NoNode)?;
        if tree.names.find(&tree.slab, parent, path.name()).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        let above = tree.slab.get(parent);
        if above.kind.is_ephemeral() {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let parent_acl = tree.acls.get(above.acl).clone();
        let kind = Kind::new(lifetime, self.session);
        let new = NewNode { name: path.name(), data, acl, kind, zxid: self.zxid, time: self.time };
        let id = tree.insert(parent, new).ok_or(ErrorCode::Throttled)?;
        let node = tree.slab.get(id);
        let (stat, usage) = (node.stat(), Usage::of_node(node.data_len()));
        tree.charge(path.as_str(), |used| used.plus(usage));
        tree.set_limits(path.as_str(), Some(data));
        self.tell(path.clone(), ChangeKind::Created { parent_acl }, acl.clone());
        Ok(Written::Created { path: path.clone(), stat })
    }

    fn delete(&mut self, path: &ZnodePath) -> Result<Written, ErrorCode> {
        let id = self.deletable(path)?;
        if self.tree.slab.get(id).child_count() > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        self.remove(id, path.clone());
        Ok(Written::Deleted)
    }

    fn delete_tree(&mut self, path: &ZnodePath) -> Result<Written, ErrorCode> {
        let top = self.deletable(path)?;
        let mut nodes: Vec<NodeId> = self.tree.descend(top).collect();
        // The walk takes the younger child first and the parent before both; backwards it is the order to delete in.
        nodes.reverse();
        let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        for id in nodes {
            let path = self.tree.path_of(id);
            self.remove(id, path);
        }
        Ok(Written::TreeDeleted { count })
    }

    fn set_data(
        &mut self,
        path: &ZnodePath,
        data: Option<&Bytes>,
        version: i32,
    ) -> Result<Written, ErrorCode> {
        let id = self.find(path)?;
        let tree = &mut *self.tree;
        let old = Usage::of_node(tree.slab.get(id).data_len());
        tree.replace_data(id, data, version, self.zxid, self.time);
        let node = tree.slab.get(id);
        let (stat, new) = (node.stat(), Usage::of_node(node.data_len()));
        let acl = tree.acls.get(node.acl).clone();
        tree.charge(path.as_str(), |used| used.plus(new).minus(old));
        tree.set_limits(path.as_str(), Some(data));
        self.tell(path.clone(), ChangeKind::DataChanged, acl);
        Ok(Written::DataSet(stat))
    }

    /// The list must be what the session has: an ephemeral that outlives its session would stay for ever.
    fn close(&mut self, count: u64) -> Result<Written, ErrorCode> {
        let ephemerals = self.tree.ephemerals_of(self.session);
        if ephemerals.len() as u64 != count {
            return Err(ErrorCode::RuntimeInconsistency);
        }
        for path in ephemerals {
            if let Some(id) = self.tree.find(path.as_str()) {
                self.remove(id, path);
            }
        }
        Ok(Written::Checked)
    }

    fn remove(&mut self, id: NodeId, path: ZnodePath) {
        let tree = &mut *self.tree;
        let node = tree.slab.get(id);
        let acl = tree.acls.get(node.acl).clone();
        let parent_acl = tree.acls.get(tree.slab.get(node.parent).acl).clone();
        let usage = Usage::of_node(node.data_len());
        tree.remove(id, self.zxid);
        tree.charge(path.as_str(), |used| used.minus(usage));
        tree.set_limits(path.as_str(), None);
        self.tell(path, ChangeKind::Deleted { parent_acl }, acl);
    }

    fn find(&self, path: &ZnodePath) -> Result<NodeId, ErrorCode> {
        self.tree.find(path.as_str()).ok_or(ErrorCode::NoNode)
    }

    fn deletable(&self, path: &ZnodePath) -> Result<NodeId, ErrorCode> {
        let id = self.find(path)?;
        if Tree::is_reserved(path.as_str()) { Err(ErrorCode::BadArguments) } else { Ok(id) }
    }

    fn tell(&mut self, path: ZnodePath, kind: ChangeKind, acl: Acl) {
        self.changes.push(Change { zxid: self.zxid, path, kind, acl });
    }
}

/// The quotas of the tree itself. Their usage is exact, and the stats nodes, where a client made them, show it.
impl Tree {
    fn charge(&mut self, path: &str, change: impl Fn(Usage) -> Usage) {
        if self.quotas.is_empty() {
            return;
        }
        for target in quota::charged(path) {
            if let Some(quota) = self.quotas.get_mut(target) {
                let usage = change(quota.usage);
                if usage != quota.usage {
                    quota.usage = usage;
                    self.show_usage(target, usage);
                }
            }
        }
    }

    /// If `path` is where a quota's limits stand, they are now those in `data`, or there is no such node any more.
    pub(super) fn set_limits(&mut self, path: &str, data: Option<Option<&Bytes>>) {
        if !path.starts_with(quota::ROOT) {
            return;
        }
        if let Some(target) = quota::limits_target(path) {
            match data {
                Some(data) => {
                    let known = self.quotas.get(target).map(|quota| quota.usage);
                    let usage = known.unwrap_or_else(|| self.usage(target));
                    self.quotas.insert(target.into(), Quota { limits: QuotaLimits::parse(data), usage });
                    self.show_usage(target, usage);
                }
                None => {
                    self.quotas.remove(target);
                }
            }
        }
        if let Some(target) = quota::stats_target(path)
            && data.is_some()
            && let Some(quota) = self.quotas.get(target)
        {
            self.show_usage(target, quota.usage);
        }
    }

    fn show_usage(&mut self, target: &str, usage: Usage) {
        if let Some(id) = self.find(&quota::stats_path(target)) {
            self.replace_local_data(id, usage.text());
        }
    }

    fn usage(&self, target: &str) -> Usage {
        let reserved = self.find("/zookeeper");
        let Some(top) = self.find(target).filter(|_| quota::charged(target).next().is_some()) else {
            return Usage::default();
        };
        // Below the root, ZooKeeper's own nodes do not count.
        let own = reserved.filter(|_| top == self.root).map(|own| self.descend(own));
        let sum = |nodes: &mut dyn Iterator<Item = NodeId>| {
            nodes.fold(Usage::default(), |sum, id| sum.plus(Usage::of_node(self.slab.get(id).data_len())))
        };
        let all = sum(&mut self.descend(top));
        own.map_or(all, |mut own| all.minus(sum(&mut own)))
    }
}

impl View {
    /// A node as a transaction makes it.
    fn fresh(acl: &Acl, kind: Kind, data: Option<&Bytes>, mtime: WallTime) -> Self {
        let data_len = data.map_or(0, Bytes::len);
        Self { acl: acl.clone(), kind, version: 0, aversion: 0, created: 0, children: 0, data_len, mtime }
    }
}
