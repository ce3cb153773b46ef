//! What the tests of this room share: changes as short calls, events as short lines, and a naive model.

use std::collections::BTreeSet;

use crate::types::{
    Acl, Change, ChangeKind, ClientId, Permissions, WatchEvent, WatchEventKind, WatchMode, WatchTarget,
    ZnodePath, Zxid,
};

use super::Watches;

pub(super) const ANN: ClientId = ClientId::new(1);
pub(super) const BOB: ClientId = ClientId::new(2);

pub(super) fn path(text: &str) -> ZnodePath {
    ZnodePath::parse(text).unwrap()
}

pub(super) fn zxid(counter: u64) -> Zxid {
    Zxid::from_u64(counter)
}

fn parent_acl(text: &str) -> Acl {
    acl_of(path(text).parent_str().unwrap_or("/"))
}

/// Nodes with `secret` in their last element cannot be read by anybody.
pub(super) fn acl_of(text: &str) -> Acl {
    if path(text).name().contains("secret") { Acl::new([]) } else { Acl::open() }
}

pub(super) fn permits(acl: &Acl) -> bool {
    acl.permits(Permissions::READ, &[])
}

pub(super) fn created(at: u64, text: &str) -> Change {
    let kind = ChangeKind::Created { parent_acl: parent_acl(text) };
    Change { zxid: zxid(at), path: path(text), kind, acl: acl_of(text) }
}

pub(super) fn deleted(at: u64, text: &str) -> Change {
    let kind = ChangeKind::Deleted { parent_acl: parent_acl(text) };
    Change { zxid: zxid(at), path: path(text), kind, acl: acl_of(text) }
}

pub(super) fn data_set(at: u64, text: &str) -> Change {
    Change { zxid: zxid(at), path: path(text), kind: ChangeKind::DataChanged, acl: acl_of(text) }
}

pub(super) fn fire(watches: &mut Watches, changes: &[Change]) -> Vec<(ClientId, WatchEvent)> {
    let mut events = Vec::new();
    watches.fire(changes, &mut |_, acl| permits(acl), &mut events);
    events
}

/// Events as lines: `ann Created /a @3`.
pub(super) fn lines(events: &[(ClientId, WatchEvent)]) -> Vec<String> {
    events
        .iter()
        .map(|(client, event)| {
            let name = match *client {
                ANN => "ann".to_owned(),
                BOB => "bob".to_owned(),
                other => other.number().to_string(),
            };
            format!("{name} {:?} {} @{}", event.kind, event.path, event.zxid.as_u64())
        })
        .collect()
}

/// How a model's watch is left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Left {
    Data,
    Child,
    Persistent,
    Recursive,
}

/// The rules of ZooKeeper, read aloud over a set of (client, path, how).
#[derive(Default)]
pub(super) struct Model(pub(super) BTreeSet<(ClientId, String, Left)>);

impl Model {
    pub(super) fn fire(&mut self, changes: &[Change]) -> Vec<(ClientId, WatchEvent)> {
        let mut events = Vec::new();
        for change in changes {
            let mut tell = |who: &BTreeSet<ClientId>, kind, path: &ZnodePath, acl: &Acl| {
                for client in who.iter().filter(|_| permits(acl)) {
                    events.push((*client, WatchEvent { zxid: change.zxid, kind, path: path.clone() }));
                }
            };
            let kind = match change.kind {
                ChangeKind::Created { .. } => WatchEventKind::Created,
                ChangeKind::Deleted { .. } => WatchEventKind::Deleted,
                ChangeKind::DataChanged => WatchEventKind::DataChanged,
            };
            let first = self.pass(&change.path, Left::Data);
            tell(&first, kind, &change.path, &change.acl);
            if let ChangeKind::Deleted { .. } = change.kind {
                let second = self.pass(&change.path, Left::Child);
                tell(&(&second - &first), kind, &change.path, &change.acl);
            }
            if let (ChangeKind::Created { parent_acl } | ChangeKind::Deleted { parent_acl }, Some(parent)) =
                (&change.kind, change.path.parent())
            {
                let third = self.pass(&parent, Left::Child);
                tell(&third, WatchEventKind::ChildrenChanged, &parent, parent_acl);
            }
        }
        events
    }

    fn pass(&mut self, path: &ZnodePath, table: Left) -> BTreeSet<ClientId> {
        let hears = |at: &str, left: Left| match left {
            Left::Data | Left::Child => at == path.as_str() && left == table,
            Left::Persistent => at == path.as_str(),
            Left::Recursive => table == Left::Data && path.is_within(at),
        };
        let hearers =
            self.0.iter().filter(|(_, at, left)| hears(at, *left)).map(|(client, ..)| *client).collect();
        self.0.retain(|(_, at, left)| *left != table || at != path.as_str());
        hearers
    }

    pub(super) fn matching(&self, client: ClientId, path: &str, target: WatchTarget) -> Vec<Left> {
        let meant = |left: Left| match target {
            WatchTarget::Children => left == Left::Child,
            WatchTarget::Data => left == Left::Data,
            WatchTarget::Persistent => left == Left::Persistent,
            WatchTarget::PersistentRecursive => left == Left::Recursive,
            WatchTarget::Any => true,
        };
        let here = self.0.iter().filter(|(who, at, left)| *who == client && at == path && meant(*left));
        here.map(|(.., left)| *left).collect()
    }
}

pub(super) fn leave(watches: &mut Watches, client: ClientId, text: &str, left: Left) {
    let path = path(text);
    match left {
        Left::Data => watches.watch_data(client, &path),
        Left::Child => watches.watch_children(client, &path),
        Left::Persistent => watches.watch_persistently(client, &path, WatchMode::Persistent),
        Left::Recursive => watches.watch_persistently(client, &path, WatchMode::PersistentRecursive),
    }
}
