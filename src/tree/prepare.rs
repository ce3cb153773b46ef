//! The leader's judgement of a write: which error, in ZooKeeper's order, or which transaction.

use bytes::Bytes;

use crate::types::{
    Acl, Caller, CreateMode, ErrorCode, Expected, Permissions, Refusal, RequestPath, SessionId, Txn,
    WallTime, Write, ZnodePath, Zxid,
};

use super::acl_rules;
use super::node::Kind;
use super::outstanding::{Outstanding, View};
use super::quota::Usage;
use super::tree::Tree;

impl Tree {
    /// On the leader: makes a transaction of `write`, to be proposed as `zxid` at `time`, as if all outstanding
    /// transactions had been applied. Its own effect is recorded among them.
    ///
    /// That the caller's session lives is the peer's business.
    ///
    /// # Errors
    ///
    /// The first reason against it, in the order in which ZooKeeper looks for them. Nothing was recorded.
    pub fn prepare(
        &self,
        outstanding: &mut Outstanding,
        caller: &Caller,
        zxid: Zxid,
        time: WallTime,
        write: &Write,
    ) -> Result<Txn, Refusal> {
        let mut judge = Judge { tree: self, outstanding, caller, zxid, time };
        match write {
            Write::Multi(writes) => judge.multi(writes),
            write => judge.single(write).map_err(Refusal::from),
        }
    }

    /// On the leader: the paths of all ephemerals of a session, those of outstanding transactions included, sorted.
    /// That they go with the session, in the transaction `zxid`, is recorded.
    pub fn prepare_close(
        &self,
        outstanding: &mut Outstanding,
        zxid: Zxid,
        session: SessionId,
    ) -> Vec<ZnodePath> {
        let paths = outstanding.ephemerals_of(self, session);
        for path in &paths {
            if let Some(view) = outstanding.view(self, path.as_str()) {
                outstanding.record_delete(self, zxid, path, &view);
            }
        }
        paths
    }

    /// What the judgement needs to know of the node at `path`.
    pub(super) fn view(&self, path: &str) -> Option<View> {
        let node = self.slab.get(self.find(path)?);
        Some(View {
            acl: self.acls.get(node.acl).clone(),
            kind: node.kind,
            version: node.version,
            aversion: node.aversion,
            created: node.created,
            children: node.child_count() as u64,
            data_len: node.data_len(),
            mtime: node.mtime,
        })
    }
}

struct Judge<'a> {
    tree: &'a Tree,
    outstanding: &'a mut Outstanding,
    caller: &'a Caller,
    zxid: Zxid,
    time: WallTime,
}

impl Judge<'_> {
    /// Each operation sees what those before it will have done. One that fails takes all back.
    fn multi(&mut self, writes: &[Write]) -> Result<Txn, Refusal> {
        if writes.len() > self.tree.limits.multi_ops {
            return Err(ErrorCode::BadArguments.into());
        }
        self.outstanding.begin();
        let mut txns = Vec::with_capacity(writes.len());
        let mut room = self.tree.limits.data_len;
        for (index, write) in writes.iter().enumerate() {
            let data = match write {
                Write::Create { data, .. } | Write::SetData { data, .. } => {
                    data.as_ref().map_or(0, Bytes::len)
                }
                _ => 0,
            };
            let txn = match room.checked_sub(data) {
                Some(left) => {
                    room = left;
                    self.single(write)
                }
                None => Err(ErrorCode::BadArguments),
            };
            match txn {
                Ok(txn) => txns.push(txn),
                Err(code) => {
                    self.outstanding.rollback();
                    return Err(Refusal { code, operation: u32::try_from(index).ok() });
                }
            }
        }
        self.outstanding.keep();
        Ok(Txn::Multi(txns))
    }

    fn single(&mut self, write: &Write) -> Result<Txn, ErrorCode> {
        match write {
            Write::Create { path, data, acl, mode } => self.create(path, data.as_ref(), acl, *mode),
            Write::Delete { path, expected } => self.delete(path, *expected),
            Write::DeleteTree { path, limit } => self.delete_tree(path, *limit),
            Write::SetData { path, data, expected } => self.set_data(path, data.as_ref(), *expected),
            Write::SetAcl { path, acl, expected } => self.set_acl(path, acl, *expected),
            Write::Check { path, expected } => self.check(path, *expected),
            // A multi in a multi is no request of ZooKeeper's.
            Write::Multi(_) => Err(ErrorCode::MarshallingError),
        }
    }

    fn create(
        &mut self,
        path: &RequestPath,
        data: Option<&Bytes>,
        acl: &Acl,
        mode: CreateMode,
    ) -> Result<Txn, ErrorCode> {
        self.admit_data(data)?;
        let parent = path.parent_str().filter(|_| !path.as_str().contains('\0'));
        let parent = parent.ok_or(ErrorCode::BadArguments)?;
        let acl = self.finish_acl(acl)?;
        let above = self.view(parent)?;
        self.require(&above, Permissions::CREATE)?;
        let path = if mode.sequential {
            // ZooKeeper's counter has 32 bits and goes below zero.
            ZnodePath::parse(format!("{}{:010}", path.as_str(), above.created as i32))
        } else {
            path.parse()
        };
        let path = path.map_err(|_| ErrorCode::BadArguments)?;
        if self.outstanding.view(self.tree, path.as_str()).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if above.kind.is_ephemeral() {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let data_len = data.map_or(0, Bytes::len);
        self.admit_growth(path.as_str(), Usage::of_node(data_len))?;
        let node = View {
            acl: acl.clone(),
            kind: Kind::new(mode.lifetime, self.caller.session),
            version: 0,
            aversion: 0,
            created: 0,
            children: 0,
            data_len,
            mtime: self.time,
        };
        self.outstanding.record_create(self.tree, self.zxid, &path, above, node, data);
        Ok(Txn::Create { path, data: data.cloned(), acl, lifetime: mode.lifetime })
    }

    fn delete(&mut self, path: &RequestPath, expected: Expected) -> Result<Txn, ErrorCode> {
        let (path, node) = self.deletable(path)?;
        if !expected.admits(node.version) {
            return Err(ErrorCode::BadVersion);
        }
        if node.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        self.outstanding.record_delete(self.tree, self.zxid, &path, &node);
        Ok(Txn::Delete { path })
    }

    /// Needs what a client would need that deleted one node after the other.
    fn delete_tree(&mut self, path: &RequestPath, limit: u32) -> Result<Txn, ErrorCode> {
        let (path, _) = self.deletable(path)?;
        let paths = self.outstanding.subtree(self.tree, path.as_str(), limit as usize);
        let paths = paths.ok_or(ErrorCode::BadArguments)?;
        for path in &paths {
            let node = self.view(path.as_str())?;
            if node.children > 0 {
                self.require(&node, Permissions::DELETE)?;
            }
        }
        self.outstanding.record_delete_tree(self.tree, self.zxid, &path, paths);
        Ok(Txn::DeleteTree { path })
    }

    fn set_data(
        &mut self,
        path: &RequestPath,
        data: Option<&Bytes>,
        expected: Expected,
    ) -> Result<Txn, ErrorCode> {
        self.admit_data(data)?;
        let path = path.parse().map_err(|_| ErrorCode::BadArguments)?;
        let node = self.view(path.as_str())?;
        self.require(&node, Permissions::WRITE)?;
        let growth = Usage::of_node(data.map_or(0, Bytes::len)).minus(Usage::of_node(node.data_len));
        let verdict = self.outstanding.judge_quotas(self.tree, path.as_str(), growth);
        verdict.refusal(self.tree.limits.enforce_quota)?;
        if !expected.admits(node.version) {
            return Err(ErrorCode::BadVersion);
        }
        self.outstanding.count_soft(verdict);
        let version = node.version.wrapping_add(1);
        let node = View { version, mtime: self.time, ..node };
        self.outstanding.record_data(self.tree, self.zxid, &path, node, data);
        Ok(Txn::SetData { path, data: data.cloned(), version })
    }

    fn set_acl(&mut self, path: &RequestPath, acl: &Acl, expected: Expected) -> Result<Txn, ErrorCode> {
        let path = path.parse().map_err(|_| ErrorCode::BadArguments)?;
        let acl = self.finish_acl(acl)?;
        let node = self.view(path.as_str())?;
        self.require(&node, Permissions::ADMIN)?;
        if !expected.admits(node.aversion) {
            return Err(ErrorCode::BadVersion);
        }
        let aversion = node.aversion.wrapping_add(1);
        let node = View { acl: acl.clone(), aversion, ..node };
        self.outstanding.record_node(self.zxid, &path, node);
        Ok(Txn::SetAcl { path, acl, version: aversion })
    }

    fn check(&self, path: &RequestPath, expected: Expected) -> Result<Txn, ErrorCode> {
        let path = path.parse().map_err(|_| ErrorCode::BadArguments)?;
        let node = self.view(path.as_str())?;
        self.require(&node, Permissions::READ)?;
        if expected.admits(node.version) { Ok(Txn::Check) } else { Err(ErrorCode::BadVersion) }
    }

    /// The node that a delete names, if the caller may delete it.
    fn deletable(&self, path: &RequestPath) -> Result<(ZnodePath, View), ErrorCode> {
        let path = path.parse().map_err(|_| ErrorCode::BadArguments)?;
        let parent = path.parent_str().filter(|_| !Tree::is_reserved(path.as_str()));
        let parent = self.view(parent.ok_or(ErrorCode::BadArguments)?)?;
        self.require(&parent, Permissions::DELETE)?;
        let node = self.view(path.as_str())?;
        Ok((path, node))
    }

    fn view(&self, path: &str) -> Result<View, ErrorCode> {
        self.outstanding.view(self.tree, path).ok_or(ErrorCode::NoNode)
    }

    fn require(&self, node: &View, wanted: Permissions) -> Result<(), ErrorCode> {
        if node.acl.permits(wanted, &self.caller.identities) { Ok(()) } else { Err(ErrorCode::NoAuth) }
    }

    fn finish_acl(&self, acl: &Acl) -> Result<Acl, ErrorCode> {
        acl_rules::finish(acl, &self.caller.identities, self.tree.limits.acl_entries)
    }

    fn admit_data(&self, data: Option<&Bytes>) -> Result<(), ErrorCode> {
        let fits = data.is_none_or(|data| data.len() <= self.tree.limits.data_len);
        if fits { Ok(()) } else { Err(ErrorCode::BadArguments) }
    }

    fn admit_growth(&mut self, path: &str, growth: Usage) -> Result<(), ErrorCode> {
        let verdict = self.outstanding.judge_quotas(self.tree, path, growth);
        verdict.refusal(self.tree.limits.enforce_quota)?;
        self.outstanding.count_soft(verdict);
        Ok(())
    }
}
