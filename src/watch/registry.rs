use std::collections::{BTreeMap, BTreeSet};

use crate::types::{
    Acl, Change, ChangeKind, ClientId, WatchEvent, WatchEventKind, WatchMode, WatchTarget, ZnodePath,
};

use super::tables::{Kind, Kinds, Table};

/// The watches of the clients that are attached to this server.
///
/// A client has each kind of watch at most once at a path: leaving it again changes nothing. What an event costs
/// depends on the depth of its path and on who hears of it, not on how many other watches there are.
#[derive(Debug)]
pub struct Watches {
    data: Table,
    child: Table,
    persistent: Table,
    recursive: Table,
    clients: BTreeMap<ClientId, Client>,
    count: usize,
    /// Who hears of the current pass, and who heard of the one before; empty between calls.
    hearers: Vec<ClientId>,
    before: Vec<ClientId>,
}

#[derive(Debug, Default)]
struct Client {
    paths: BTreeMap<ZnodePath, Kinds>,
    count: usize,
}

impl Watches {
    /// No watches.
    #[must_use]
    pub fn new() -> Self {
        Self {
            data: Table::default(),
            child: Table::default(),
            persistent: Table::default(),
            recursive: Table::of_subtrees(),
            clients: BTreeMap::new(),
            count: 0,
            hearers: Vec::new(),
            before: Vec::new(),
        }
    }

    /// Leaves a one-shot watch on the data and the existence of a node, which needs not exist: what `get` of a
    /// node that exists and `exists` of any leave.
    pub fn watch_data(&mut self, client: ClientId, path: &ZnodePath) {
        self.add(client, path, Kind::Data);
    }

    /// Leaves a one-shot watch on the list of a node's children: what `get_children` of a node that exists leaves.
    pub fn watch_children(&mut self, client: ClientId, path: &ZnodePath) {
        self.add(client, path, Kind::Child);
    }

    /// Leaves a lasting watch. The node needs not exist, and no ACL is asked: each event is judged when it comes.
    pub fn watch_persistently(&mut self, client: ClientId, path: &ZnodePath, mode: WatchMode) {
        let kind = match mode {
            WatchMode::Persistent => Kind::Persistent,
            WatchMode::PersistentRecursive => Kind::Recursive,
        };
        self.add(client, path, kind);
    }

    /// Removes what `target` names of the client's watches at a path. Returns whether there was any.
    pub fn remove(&mut self, client: ClientId, path: &str, target: WatchTarget) -> bool {
        let removed = self.kinds(client, path).intersection(meant_by(target));
        for kind in removed.iter() {
            self.table_mut(kind).remove(path, client);
        }
        self.forget(client, path, removed);
        !removed.is_empty()
    }

    /// Removes all watches of a client, whose connection has gone.
    pub fn forget_client(&mut self, client: ClientId) {
        let Some(Client { paths, count }) = self.clients.remove(&client) else { return };
        self.count -= count;
        for (path, kinds) in paths {
            for kind in kinds.iter() {
                self.table_mut(kind).remove(path.as_str(), client);
            }
        }
    }

    /// Finds out who hears of the changes of applied transactions, in order, and appends what they hear to
    /// `events`. One-shot watches go with it.
    ///
    /// `permits` says whether a client may READ a node with this ACL. A client that may not hears nothing; its
    /// one-shot watch is consumed all the same, as in ZooKeeper.
    pub fn fire(
        &mut self,
        changes: &[Change],
        permits: &mut dyn FnMut(ClientId, &Acl) -> bool,
        events: &mut Vec<(ClientId, WatchEvent)>,
    ) {
        if self.count == 0 {
            return;
        }
        for change in changes {
            let mut tell = |hearers: &[ClientId], kind, path: &ZnodePath, acl: &Acl| {
                for client in hearers {
                    if permits(*client, acl) {
                        events.push((*client, WatchEvent { zxid: change.zxid, kind, path: path.clone() }));
                    }
                }
            };
            let path = &change.path;
            self.data_pass(path);
            let (kind, parent_acl) = match &change.kind {
                ChangeKind::DataChanged => (WatchEventKind::DataChanged, None),
                ChangeKind::Created { parent_acl } => (WatchEventKind::Created, Some(parent_acl)),
                ChangeKind::Deleted { parent_acl } => (WatchEventKind::Deleted, Some(parent_acl)),
            };
            tell(&self.hearers, kind, path, &change.acl);
            if kind == WatchEventKind::Deleted {
                // Who heard of the deletion by the data table does not hear of it again.
                std::mem::swap(&mut self.hearers, &mut self.before);
                self.child_pass(path.as_str());
                self.hearers.retain(|client| self.before.binary_search(client).is_err());
                tell(&self.hearers, kind, path, &change.acl);
            }
            if let (Some(acl), Some(parent)) = (parent_acl, path.parent_str())
                && let Some(parent) = self.child_pass(parent)
            {
                tell(&self.hearers, WatchEventKind::ChildrenChanged, &parent, acl);
            }
        }
        self.hearers.clear();
        self.before.clear();
    }

    /// Whether the client has any watch at the path that `target` names.
    #[must_use]
    pub fn has(&self, client: ClientId, path: &str, target: WatchTarget) -> bool {
        !self.kinds(client, path).intersection(meant_by(target)).is_empty()
    }

    /// How many watches there are: one for each client, path and kind.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many watches a client has, counted as [`count`](Self::count) does.
    #[must_use]
    pub fn count_of(&self, client: ClientId) -> usize {
        self.clients.get(&client).map_or(0, |client| client.count)
    }

    /// The clients that have watches, in order, each with the paths it watches, in order.
    pub fn by_client(&self) -> impl Iterator<Item = (ClientId, impl Iterator<Item = &ZnodePath>)> {
        self.clients.iter().map(|(client, state)| (*client, state.paths.keys()))
    }

    /// The paths that are watched, in order, each with the clients that watch it, in order. Collected at the
    /// call.
    pub fn by_path(&self) -> impl Iterator<Item = (&ZnodePath, BTreeSet<ClientId>)> {
        let mut paths: BTreeMap<&ZnodePath, BTreeSet<ClientId>> = BTreeMap::new();
        for (client, watched) in self.by_client() {
            for path in watched {
                paths.entry(path).or_default().insert(client);
            }
        }
        paths.into_iter()
    }

    fn add(&mut self, client: ClientId, path: &ZnodePath, kind: Kind) {
        // Clients that watch the same path share its text.
        let path = self.table(kind).key(path.as_str()).unwrap_or(path).clone();
        let state = self.clients.entry(client).or_default();
        let kinds = state.paths.entry(path.clone()).or_default();
        if kinds.contains(kind) {
            return;
        }
        *kinds = kinds.with(kind);
        state.count += 1;
        self.count += 1;
        self.table_mut(kind).insert(path, client);
    }

    /// Leaves in `hearers` those who hear of an event of the data table, in order, and removes their one-shot
    /// watches.
    fn data_pass(&mut self, path: &ZnodePath) {
        self.hearers.clear();
        let text = path.as_str();
        take(&mut self.hearers, &self.data, text);
        for client in &self.hearers {
            forget(&mut self.clients, &mut self.count, *client, text, Kinds::NONE.with(Kind::Data));
        }
        self.data.remove_all(text);
        take(&mut self.hearers, &self.persistent, text);
        self.hearers.extend(self.recursive.subtrees(text));
        order(&mut self.hearers);
    }

    /// The same for an event of the child table. Returns a copy of the path, if anybody hears.
    fn child_pass(&mut self, path: &str) -> Option<ZnodePath> {
        self.hearers.clear();
        let key = self.child.key(path).or_else(|| self.persistent.key(path))?.clone();
        take(&mut self.hearers, &self.child, path);
        for client in &self.hearers {
            forget(&mut self.clients, &mut self.count, *client, path, Kinds::NONE.with(Kind::Child));
        }
        self.child.remove_all(path);
        take(&mut self.hearers, &self.persistent, path);
        order(&mut self.hearers);
        Some(key)
    }

    fn kinds(&self, client: ClientId, path: &str) -> Kinds {
        self.clients.get(&client).and_then(|client| client.paths.get(path)).copied().unwrap_or_default()
    }

    fn forget(&mut self, client: ClientId, path: &str, kinds: Kinds) {
        forget(&mut self.clients, &mut self.count, client, path, kinds);
    }

    fn table(&self, kind: Kind) -> &Table {
        match kind {
            Kind::Data => &self.data,
            Kind::Child => &self.child,
            Kind::Persistent => &self.persistent,
            Kind::Recursive => &self.recursive,
        }
    }

    fn table_mut(&mut self, kind: Kind) -> &mut Table {
        match kind {
            Kind::Data => &mut self.data,
            Kind::Child => &mut self.child,
            Kind::Persistent => &mut self.persistent,
            Kind::Recursive => &mut self.recursive,
        }
    }
}

impl Default for Watches {
    fn default() -> Self {
        Self::new()
    }
}

/// The kinds that a client means when it removes or looks for watches.
fn meant_by(target: WatchTarget) -> Kinds {
    match target {
        WatchTarget::Children => Kinds::NONE.with(Kind::Child),
        WatchTarget::Data => Kinds::NONE.with(Kind::Data),
        WatchTarget::Persistent => Kinds::NONE.with(Kind::Persistent),
        WatchTarget::PersistentRecursive => Kinds::NONE.with(Kind::Recursive),
        WatchTarget::Any => Kind::ALL.into_iter().fold(Kinds::NONE, Kinds::with),
    }
}

fn take(hearers: &mut Vec<ClientId>, table: &Table, path: &str) {
    hearers.extend(table.get(path).into_iter().flatten());
}

fn order(hearers: &mut Vec<ClientId>) {
    hearers.sort_unstable();
    hearers.dedup();
}

fn forget(
    clients: &mut BTreeMap<ClientId, Client>,
    count: &mut usize,
    client: ClientId,
    path: &str,
    gone: Kinds,
) {
    let Some(state) = clients.get_mut(&client) else { return };
    let Some(kinds) = state.paths.get_mut(path) else { return };
    let gone = kinds.intersection(gone);
    *count -= gone.count();
    state.count -= gone.count();
    *kinds = kinds.without(gone);
    if kinds.is_empty() {
        state.paths.remove(path);
    }
    if state.paths.is_empty() {
        clients.remove(&client);
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
