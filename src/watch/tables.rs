use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

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
#[derive(Default)]
pub(super) struct Table {
    // Look-ups only; listings are sorted.
    watchers: HashMap<ZnodePath, Watchers>,
    /// How many of the paths are so long, in a table that is asked for ancestors.
    lengths: Option<BTreeMap<usize, usize>>,
}

/// By path: what is equal prints alike.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { watchers, lengths } = self;
        let watchers: BTreeMap<_, _> = watchers.iter().collect();
        f.debug_struct("Table").field("watchers", &watchers).field("lengths", lengths).finish()
    }
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
    /// A table that answers [`subtrees`](Self::subtrees).
    pub(super) fn of_subtrees() -> Self {
        Self { lengths: Some(BTreeMap::new()), ..Self::default() }
    }

    /// The watchers of `path` and of its ancestors.
    ///
    /// Ancestors as long as no watched path are passed over: what a deep path costs is its depth, not that times
    /// its length.
    pub(super) fn subtrees(&self, path: &str) -> impl Iterator<Item = ClientId> {
        let lengths = self.lengths.iter().filter(|lengths| !lengths.is_empty());
        lengths.flat_map(move |lengths| {
            upwards(path)
                .filter(|ancestor| lengths.contains_key(&ancestor.len()))
                .filter_map(|ancestor| self.get(ancestor))
                .flatten()
        })
    }

    /// The watchers of `path`, in order.
    pub(super) fn get(&self, path: &str) -> Option<impl Iterator<Item = ClientId>> {
        self.watchers.get(path).map(Watchers::iter)
    }

    /// The table's own copy of a path that is watched.
    pub(super) fn key(&self, path: &str) -> Option<&ZnodePath> {
        self.watchers.get_key_value(path).map(|(path, _)| path)
    }

    pub(super) fn insert(&mut self, path: ZnodePath, client: ClientId) {
        if let Some(watchers) = self.watchers.get_mut(&path) {
            watchers.insert(client);
            return;
        }
        if let Some(lengths) = &mut self.lengths {
            *lengths.entry(path.as_str().len()).or_default() += 1;
        }
        self.watchers.insert(path, Watchers::One(client));
    }

    pub(super) fn remove(&mut self, path: &str, client: ClientId) {
        let Some(watchers) = self.watchers.get_mut(path) else { return };
        if watchers.remove(client) {
            self.remove_all(path);
        }
    }

    pub(super) fn remove_all(&mut self, path: &str) {
        if self.watchers.remove(path).is_none() {
            return;
        }
        if let Some(lengths) = &mut self.lengths
            && let Some(count) = lengths.get_mut(&path.len())
        {
            *count -= 1;
            if *count == 0 {
                lengths.remove(&path.len());
            }
        }
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

/// `path` and the paths of its ancestors, up to the root.
fn upwards(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rsplit_once('/') {
        _ if *path == "/" => None,
        Some(("", _)) => Some("/"),
        Some((parent, _)) => Some(parent),
        None => None,
    })
}
