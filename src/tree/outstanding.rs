use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use bytes::Bytes;

use crate::types::{Acl, SessionId, WallTime, ZnodePath, Zxid};

use super::node::Kind;
use super::quota::{self, Quota, QuotaLimits, Usage, Verdict};
use super::tree::Tree;

/// What a leader's proposed but not yet applied transactions will have made of the nodes that they touch.
///
/// Each record is absolute: the node as it will be after all of them. So it does no harm that a record outlives the
/// application of its transaction for a while, and a record can be dropped as soon as the last transaction that
/// wrote it has been applied ([`retire`](Self::retire)). A leader begins its reign with an empty one.
#[derive(Debug, Default)]
pub struct Outstanding {
    nodes: BTreeMap<ZnodePath, Pending<View>>,
    /// The recorded nodes that will be ephemerals, by session.
    ephemerals: BTreeMap<SessionId, BTreeSet<ZnodePath>>,
    quotas: BTreeMap<Box<str>, Pending<Quota>>,
    /// What was written when, oldest first.
    written: VecDeque<(Zxid, Subject)>,
    /// While a multi is judged: how to go back to before it.
    undo: Option<Vec<Undo>>,
    soft_quota_exceeded: u64,
}

/// A node or a quota as it will be; `None` if it will not be.
#[derive(Clone, Debug)]
struct Pending<T> {
    state: Option<T>,
    last: Zxid,
}

impl Pending<View> {
    fn kind(&self) -> Option<Kind> {
        self.state.as_ref().map(|view| view.kind)
    }
}

#[derive(Clone, Debug)]
enum Subject {
    Node(ZnodePath),
    Quota(Box<str>),
}

#[derive(Debug)]
enum Undo {
    Node(ZnodePath, Option<Pending<View>>),
    Quota(Box<str>, Option<Pending<Quota>>),
}

/// What the judgement of a write needs to know of a node.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) acl: Acl,
    pub(super) kind: Kind,
    pub(super) version: i32,
    pub(super) aversion: i32,
    pub(super) created: u64,
    pub(super) children: u64,
    pub(super) data_len: usize,
    pub(super) mtime: WallTime,
}

impl Outstanding {
    /// No outstanding transactions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Drops what only transactions up to `applied` wrote. The tree has applied them.
    pub fn retire(&mut self, applied: Zxid) {
        while let Some((zxid, _)) = self.written.front()
            && *zxid <= applied
            && let Some((zxid, subject)) = self.written.pop_front()
        {
            match subject {
                Subject::Node(path) => {
                    if self.nodes.get(&path).is_some_and(|pending| pending.last == zxid) {
                        self.set_node(path, None);
                    }
                }
                Subject::Quota(target) => {
                    if self.quotas.get(&target).is_some_and(|pending| pending.last == zxid) {
                        self.quotas.remove(&target);
                    }
                }
            }
        }
    }

    /// How many nodes have a record.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no node has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many writes were let through although they exceeded a soft quota (or a hard one that is not enforced).
    #[must_use]
    pub fn soft_quota_exceeded(&self) -> u64 {
        self.soft_quota_exceeded
    }

    /// The node at `path` as it will be.
    pub(super) fn view(&self, tree: &Tree, path: &str) -> Option<View> {
        match self.nodes.get(path) {
            Some(pending) => pending.state.clone(),
            None => tree.view(path),
        }
    }

    /// The paths at and below `path` as they will be, sorted; `None` if there are more than `limit`.
    pub(super) fn subtree(&self, tree: &Tree, path: &str, limit: usize) -> Option<BTreeSet<ZnodePath>> {
        let mut found = BTreeSet::new();
        let below = format!("{}/", if path == "/" { "" } else { path });
        let recorded = self.nodes.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded));
        let recorded = recorded.take_while(|(path, _)| path.as_str().starts_with(&below));
        let top = self.nodes.get_key_value(path);
        for (path, _) in recorded.chain(top).filter(|(_, pending)| pending.state.is_some()) {
            found.insert(path.clone());
            if found.len() > limit {
                return None;
            }
        }
        for id in tree.find(path).into_iter().flat_map(|top| tree.descend(top)) {
            let path = tree.path_of(id);
            if !self.nodes.contains_key(&path) {
                found.insert(path);
                if found.len() > limit {
                    return None;
                }
            }
        }
        Some(found)
    }

    /// The session's ephemerals as they will be, sorted.
    pub(super) fn ephemerals_of(&self, tree: &Tree, session: SessionId) -> Vec<ZnodePath> {
        let mut paths = tree.ephemerals_of(session);
        paths.retain(|path| !self.nodes.contains_key(path));
        paths.extend(self.ephemerals.get(&session).into_iter().flatten().cloned());
        paths.sort_unstable();
        paths
    }

    /// A node will be made below `parent`.
    pub(super) fn record_create(
        &mut self,
        tree: &Tree,
        zxid: Zxid,
        path: &ZnodePath,
        parent: View,
        node: View,
        data: Option<&Bytes>,
    ) {
        let usage = Usage::of_node(node.data_len);
        if let Some(above) = path.parent() {
            let parent = View { created: parent.created + 1, children: parent.children + 1, ..parent };
            self.put(above, zxid, Some(parent));
        }
        self.put(path.clone(), zxid, Some(node));
        self.charge(tree, zxid, path, |used| used.plus(usage));
        self.set_limits(tree, zxid, path, Some(data));
    }

    /// A node, now `node`, will be deleted.
    pub(super) fn record_delete(&mut self, tree: &Tree, zxid: Zxid, path: &ZnodePath, node: &View) {
        self.detach(tree, zxid, path);
        self.record_gone(tree, zxid, path, node);
    }

    /// A node and all below it, `paths`, will be deleted.
    pub(super) fn record_delete_tree(
        &mut self,
        tree: &Tree,
        zxid: Zxid,
        top: &ZnodePath,
        paths: BTreeSet<ZnodePath>,
    ) {
        self.detach(tree, zxid, top);
        for path in paths {
            if let Some(node) = self.view(tree, path.as_str()) {
                self.record_gone(tree, zxid, &path, &node);
            }
        }
    }

    /// A node will have this data; `node` is how it will be otherwise.
    pub(super) fn record_data(
        &mut self,
        tree: &Tree,
        zxid: Zxid,
        path: &ZnodePath,
        node: View,
        data: Option<&Bytes>,
    ) {
        let old = Usage::of_node(node.data_len);
        let data_len = data.map_or(0, Bytes::len);
        self.put(path.clone(), zxid, Some(View { data_len, ..node }));
        self.charge(tree, zxid, path, |used| used.plus(Usage::of_node(data_len)).minus(old));
        self.set_limits(tree, zxid, path, Some(data));
    }

    /// A node will be like this.
    pub(super) fn record_node(&mut self, zxid: Zxid, path: &ZnodePath, node: View) {
        self.put(path.clone(), zxid, Some(node));
    }

    /// How the quotas judge that `growth` is added at `path`.
    pub(super) fn judge_quotas(&self, tree: &Tree, path: &str, growth: Usage) -> Verdict {
        if tree.quotas.is_empty() && self.quotas.is_empty() {
            return Verdict::Within;
        }
        let quotas = quota::charged(path).filter_map(|target| self.quota(tree, target));
        quotas.map(|quota| quota.judge(growth)).max().unwrap_or(Verdict::Within)
    }

    /// Counts a write that went over a quota and was let through.
    pub(super) fn count_soft(&mut self, verdict: Verdict) {
        if verdict != Verdict::Within {
            self.soft_quota_exceeded += 1;
        }
    }

    /// From here on everything can be [rolled back](Self::rollback).
    pub(super) fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// What was recorded since [`begin`](Self::begin) stays.
    pub(super) fn keep(&mut self) {
        self.undo = None;
    }

    /// What was recorded since [`begin`](Self::begin) goes.
    pub(super) fn rollback(&mut self) {
        for undo in self.undo.take().into_iter().flatten().rev() {
            self.written.pop_back();
            match undo {
                Undo::Node(path, before) => self.set_node(path, before),
                Undo::Quota(target, Some(before)) => {
                    self.quotas.insert(target, before);
                }
                Undo::Quota(target, None) => {
                    self.quotas.remove(&target);
                }
            }
        }
    }

    /// The parent of `path` will have one child less.
    fn detach(&mut self, tree: &Tree, zxid: Zxid, path: &ZnodePath) {
        if let Some(above) = path.parent()
            && let Some(parent) = self.view(tree, above.as_str())
        {
            let parent = View { children: parent.children.saturating_sub(1), ..parent };
            self.put(above, zxid, Some(parent));
        }
    }

    fn record_gone(&mut self, tree: &Tree, zxid: Zxid, path: &ZnodePath, node: &View) {
        let usage = Usage::of_node(node.data_len);
        self.put(path.clone(), zxid, None);
        self.charge(tree, zxid, path, |used| used.minus(usage));
        self.set_limits(tree, zxid, path, None);
    }

    fn put(&mut self, path: ZnodePath, zxid: Zxid, state: Option<View>) {
        if let Some(undo) = &mut self.undo {
            undo.push(Undo::Node(path.clone(), self.nodes.get(&path).cloned()));
        }
        self.written.push_back((zxid, Subject::Node(path.clone())));
        let pending = Pending { state, last: zxid };
        match self.nodes.get_mut(&path) {
            // Most often it is a node like any other that stays what it is.
            Some(known) if known.kind() == pending.kind() => *known = pending,
            _ => self.set_node(path, Some(pending)),
        }
    }

    fn set_node(&mut self, path: ZnodePath, pending: Option<Pending<View>>) {
        let after = pending.as_ref().and_then(Pending::kind);
        let before = match pending {
            Some(pending) => self.nodes.insert(path.clone(), pending),
            None => self.nodes.remove(&path),
        };
        let before = before.as_ref().and_then(Pending::kind);
        if before == after {
            return;
        }
        if let Some(Kind::Ephemeral(session)) = before
            && let Some(paths) = self.ephemerals.get_mut(&session)
        {
            paths.remove(&path);
            if paths.is_empty() {
                self.ephemerals.remove(&session);
            }
        }
        if let Some(Kind::Ephemeral(session)) = after {
            self.ephemerals.entry(session).or_default().insert(path);
        }
    }

    fn quota(&self, tree: &Tree, target: &str) -> Option<Quota> {
        match self.quotas.get(target) {
            Some(pending) => pending.state,
            None => tree.quotas.get(target).copied(),
        }
    }

    fn charge(&mut self, tree: &Tree, zxid: Zxid, path: &ZnodePath, change: impl Fn(Usage) -> Usage) {
        if tree.quotas.is_empty() && self.quotas.is_empty() {
            return;
        }
        for target in quota::charged(path.as_str()) {
            if let Some(quota) = self.quota(tree, target) {
                self.put_quota(target, zxid, Some(Quota { usage: change(quota.usage), ..quota }));
            }
        }
    }

    /// If `path` is where a quota's limits stand, they will be those in `data`, or there will be no such node.
    fn set_limits(&mut self, tree: &Tree, zxid: Zxid, path: &ZnodePath, data: Option<Option<&Bytes>>) {
        let Some(target) = quota::limits_target(path.as_str()) else { return };
        let quota = data.map(|data| {
            let known = self.quota(tree, target).map(|quota| quota.usage);
            let usage = known.unwrap_or_else(|| self.usage(tree, target));
            Quota { limits: QuotaLimits::parse(data), usage }
        });
        self.put_quota(target, zxid, quota);
    }

    fn put_quota(&mut self, target: &str, zxid: Zxid, state: Option<Quota>) {
        if let Some(undo) = &mut self.undo {
            undo.push(Undo::Quota(target.into(), self.quotas.get(target).cloned()));
        }
        self.written.push_back((zxid, Subject::Quota(target.into())));
        self.quotas.insert(target.into(), Pending { state, last: zxid });
    }

    fn usage(&self, tree: &Tree, target: &str) -> Usage {
        let paths = self.subtree(tree, target, usize::MAX).unwrap_or_default();
        let counted = paths.iter().filter(|path| quota::charged(path.as_str()).next().is_some());
        counted
            .filter_map(|path| self.view(tree, path.as_str()))
            .fold(Usage::default(), |sum, view| sum.plus(Usage::of_node(view.data_len)))
    }
}
