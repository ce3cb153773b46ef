use std::collections::BTreeSet;

use hashbrown::HashMap;

use crate::types::{ClientId, ZnodePath};

/// The kinds of watch that one client can have at one path, side by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// One-shot, in the data table.
    Data,
    /// One-shot, in the child table.
    Child,
    /// Lasting, in both tables.
    Persistent,
    /// Lasting, in the data table, for the node and all below it.
    Recursive,
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Kinds(u8);

/// Who watches a path in one way, of all paths that are watched so.
#[derive(Debug, Default)]
pub(super) struct Table {
    // Look-ups only; listings are sorted.
    watchers: HashMap<ZnodePath, Watchers>,
}

/// The clients at one path, in order. Most paths have one, which takes no memory of its own.
#[derive(Debug)]
enum Watchers {
    One(ClientId),
    #[expect(clippy::box_collection, reason = "the common case stays at 16 bytes")]
    Many(Box<BTreeSet<ClientId>>),
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Data, Self::Child, Self::Persistent, Self::Recursive];
}

impl Kinds {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl Table {
    /// The watchers of `path`, in order, and the table's own copy of the path.
    pub(super) fn get(&self, path: &str) -> Option<(&ZnodePath, impl Iterator<Item = ClientId>)> {
        let (path, watchers) = self.watchers.get_key_value(path)?;
        Some((path, watchers.iter()))
    }

    /// The table's own copy of a path that is watched.
    pub(super) fn key(&self, path: &str) -> Option<&ZnodePath> {
        self.watchers.get_key_value(path).map(|(path, _)| path)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    pub(super) fn insert(&mut self, path: ZnodePath, client: ClientId) {
        match self.watchers.get_mut(&path) {
            Some(watchers) => watchers.insert(client),
            None => {
                self.watchers.insert(path, Watchers::One(client));
            }
        }
    }

    pub(super) fn remove(&mut self, path: &str, client: ClientId) {
        let Some(watchers) = self.watchers.get_mut(path) else { return };
        if watchers.remove(client) {
            self.watchers.remove(path);
        }
    }

    pub(super) fn remove_all(&mut self, path: &str) {
        self.watchers.remove(path);
    }
}

impl Watchers {
    fn insert(&mut self, client: ClientId) {
        match self {
            Self::One(only) if *only == client => {}
            Self::One(only) => *self = Self::Many(Box::new(BTreeSet::from([*only, client]))),
            Self::Many(clients) => {
                clients.insert(client);
            }
        }
    }

    /// Returns whether nobody is left.
    fn remove(&mut self, client: ClientId) -> bool {
        match self {
            Self::One(only) => *only == client,
            Self::Many(clients) => {
                clients.remove(&client);
                if let (1, Some(only)) = (clients.len(), clients.first()) {
                    *self = Self::One(*only);
                }
                false
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = ClientId> {
        let (one, many) = match self {
            Self::One(only) => (Some(*only), None),
            Self::Many(clients) => (None, Some(clients.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}
