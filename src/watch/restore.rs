use std::collections::BTreeSet;

use crate::types::{Acl, ClientId, Stat, WatchEvent, WatchEventKind, WatchMode, ZnodePath, Zxid};

use super::Watches;

/// The watches that a client had when it lost its connection, as it says itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LostWatches {
    /// The last zxid that the client saw.
    pub since: Zxid,
    /// One-shot watches on the data of nodes that existed.
    pub data: Vec<ZnodePath>,
    /// One-shot watches on nodes that did not exist.
    pub exist: Vec<ZnodePath>,
    /// One-shot watches on lists of children.
    pub child: Vec<ZnodePath>,
    /// Lasting watches.
    pub persistent: Vec<ZnodePath>,
    /// Lasting watches on whole subtrees.
    pub recursive: Vec<ZnodePath>,
}

impl Watches {
    /// After a reconnect: decides for each one-shot watch whether it fires now, for what happened since the client
    /// last saw the tree, or is left again; lasting watches are left again. (ZooKeeper, `SetWatches2`.)
    ///
    /// `look` shows the node of a path, if it exists. A node that was deleted and created again shows as one
    /// change, or for a watch on existence as none.
    ///
    /// `permits` says whether the client may READ a node with this ACL. A client that may not hears nothing, so
    /// that a list of guessed paths tells it nothing (ZooKeeper tells); its watch is consumed all the same. Of a node
    /// that is gone no ACL is left, and the deletion is told. Events carry [`Zxid::ZERO`].
    pub fn restore(
        &mut self,
        client: ClientId,
        lost: &LostWatches,
        look: &dyn Fn(&str) -> Option<(Stat, Acl)>,
        permits: &mut dyn FnMut(ClientId, &Acl) -> bool,
        events: &mut Vec<(ClientId, WatchEvent)>,
    ) {
        let mut tell = |kind, path: &ZnodePath, acl: Option<&Acl>| {
            if acl.is_none_or(|acl| permits(client, acl)) {
                events.push((client, WatchEvent { zxid: Zxid::ZERO, kind, path: path.clone() }));
            }
        };
        for path in distinct(&lost.data) {
            match look(path.as_str()) {
                None => tell(WatchEventKind::Deleted, path, None),
                Some((stat, acl)) if stat.mzxid > lost.since => {
                    tell(WatchEventKind::DataChanged, path, Some(&acl));
                }
                Some(_) => self.watch_data(client, path),
            }
        }
        for path in distinct(&lost.exist) {
            match look(path.as_str()) {
                Some((_, acl)) => tell(WatchEventKind::Created, path, Some(&acl)),
                None => self.watch_data(client, path),
            }
        }
        for path in distinct(&lost.child) {
            match look(path.as_str()) {
                None => tell(WatchEventKind::Deleted, path, None),
                Some((stat, acl)) if stat.pzxid > lost.since => {
                    tell(WatchEventKind::ChildrenChanged, path, Some(&acl));
                }
                Some(_) => self.watch_children(client, path),
            }
        }
        for path in &lost.persistent {
            self.watch_persistently(client, path, WatchMode::Persistent);
        }
        for path in &lost.recursive {
            self.watch_persistently(client, path, WatchMode::PersistentRecursive);
        }
    }
}

/// The paths in the order given, each once: a client has a watch once, however often it names it.
fn distinct(paths: &[ZnodePath]) -> impl Iterator<Item = &ZnodePath> {
    let mut seen = BTreeSet::new();
    paths.iter().filter(move |path| seen.insert(*path))
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
