use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::peer::WatchRequest;
use crate::types::{
    Acl, Change, ChangeKind, ClientId, ErrorCode, Found, Identity, Permissions, Read, RequestPath, Stat,
    WatchEvent, WatchEventKind, WatchMode, WatchTarget, Zxid,
};

/// What the watches of one server's clients must tell: a plain list of registrations, run over every change. (ZooKeeper:
/// a one-shot watch fires once, and before its client sees the new state; none is lost.)
#[derive(Default)]
pub(super) struct WatchOracle {
    clients: BTreeMap<ClientId, Watching>,
}

#[derive(Default)]
struct Watching {
    watches: BTreeSet<(String, Kind)>,
    /// What it must be told, oldest first.
    expected: VecDeque<WatchEvent>,
    /// What it was told of the time before this connection.
    late: Vec<WatchEvent>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Data,
    Child,
    Persistent,
    Recursive,
}

type Judged = Result<(), (&'static str, String)>;

impl WatchOracle {
    /// Whether nobody watches anything here, nor waits for an event.
    pub(super) fn is_empty(&self) -> bool {
        self.clients.values().all(|watching| watching.watches.is_empty() && watching.expected.is_empty())
    }

    pub(super) fn forget(&mut self, client: ClientId) {
        self.clients.remove(&client);
    }

    /// A read was answered, and asked for a watch.
    pub(super) fn read(&mut self, client: ClientId, read: &Read, found: &Result<Found, ErrorCode>) {
        let (path, kind) = match (read, found) {
            (Read::Get { path }, Ok(_)) | (Read::Exists { path }, Ok(_) | Err(ErrorCode::NoNode)) => {
                (path, Kind::Data)
            }
            (Read::Children { path }, Ok(_)) => (path, Kind::Child),
            _ => return,
        };
        self.add(client, path, kind);
    }

    /// A request about watches was answered with success, in a state in which nodes are as `lookup` says. The last `added` of
    /// the identities may have counted, or not yet.
    pub(super) fn asked<'a>(
        &mut self,
        client: ClientId,
        identities: &[Identity],
        added: usize,
        request: &WatchRequest,
        lookup: impl Fn(&str) -> Option<(Stat, &'a Acl)>,
        changes_since: impl Fn(Zxid) -> Vec<&'a Change>,
    ) -> Judged {
        match request {
            WatchRequest::Add { path, mode } => self.add(client, path, lasting(*mode)),
            WatchRequest::Resume { path, mode, since } => {
                let changes = changes_since(*since);
                let missed_by = |identities: &[Identity]| {
                    let mut alone = Watching::default();
                    alone.watches.insert((path.as_str().to_owned(), lasting(*mode)));
                    for change in &changes {
                        alone.expect(change, identities);
                    }
                    alone.expected
                };
                let late = std::mem::take(&mut self.watching(client).late);
                let (restored, told): (Vec<_>, Vec<_>) =
                    late.into_iter().partition(|event| event.zxid == Zxid::ZERO);
                self.watching(client).late = restored;
                self.add(client, path, lasting(*mode));
                // In which order the children of one node go is nobody's business.
                let sorted = |mut events: Vec<WatchEvent>| {
                    events
                        .sort_by_key(|event| (event.zxid, event.path.as_str().to_owned(), event.kind as u8));
                    events
                };
                let told = sorted(told);
                let missed = sorted(missed_by(identities).into());
                let all = |fewer| told != sorted(missed_by(fewer).into());
                if told != missed && fewer(identities, added).all(all) {
                    let what = format!("{client:?} missed {missed:?} since {since} and was told {told:?}");
                    return Err(("WatchNotLost", what));
                }
            }
            WatchRequest::Remove { path, target } => {
                let kinds: &[Kind] = match target {
                    WatchTarget::Data => &[Kind::Data],
                    WatchTarget::Children => &[Kind::Child],
                    WatchTarget::Persistent => &[Kind::Persistent],
                    WatchTarget::PersistentRecursive => &[Kind::Recursive],
                    WatchTarget::Any => &[Kind::Data, Kind::Child, Kind::Persistent, Kind::Recursive],
                };
                for kind in kinds {
                    self.watching(client).watches.remove(&(path.as_str().to_owned(), *kind));
                }
            }
            WatchRequest::Restore { since, data, exist, child, persistent, recursive } => {
                for path in data {
                    if lookup(path.as_str()).is_some_and(|(stat, _)| stat.mzxid <= *since) {
                        self.add(client, path, Kind::Data);
                    }
                }
                for path in exist {
                    if lookup(path.as_str()).is_none() {
                        self.add(client, path, Kind::Data);
                    }
                }
                for path in child {
                    if lookup(path.as_str()).is_some_and(|(stat, _)| stat.pzxid <= *since) {
                        self.add(client, path, Kind::Child);
                    }
                }
                for path in persistent {
                    self.add(client, path, Kind::Persistent);
                }
                for path in recursive {
                    self.add(client, path, Kind::Recursive);
                }
                let late = std::mem::take(&mut self.watching(client).late);
                let told: BTreeSet<_> = late
                    .iter()
                    .filter(|event| event.zxid == Zxid::ZERO)
                    .map(|event| (event.path.as_str().to_owned(), event.kind as u8))
                    .collect();
                let missed_by = |identities: &[Identity]| {
                    let data = data.iter().map(|path| (path, WatchEventKind::DataChanged));
                    let exist = exist.iter().map(|path| (path, WatchEventKind::Created));
                    let child = child.iter().map(|path| (path, WatchEventKind::ChildrenChanged));
                    let missed = data.chain(exist).chain(child).filter_map(|(path, kind)| {
                        let (kind, acl) = match (kind, lookup(path.as_str())) {
                            (WatchEventKind::Created, None) => return None,
                            (_, None) => (WatchEventKind::Deleted, None),
                            (WatchEventKind::DataChanged, Some((stat, _))) if stat.mzxid <= *since => {
                                return None;
                            }
                            (WatchEventKind::ChildrenChanged, Some((stat, _))) if stat.pzxid <= *since => {
                                return None;
                            }
                            (kind, Some((_, acl))) => (kind, Some(acl)),
                        };
                        // Whoever may not read a node hears nothing of it.
                        let hears = acl.is_none_or(|acl| acl.permits(Permissions::READ, identities));
                        hears.then(|| (path.as_str().to_owned(), kind as u8))
                    });
                    missed.collect::<BTreeSet<_>>()
                };
                let missed = missed_by(identities);
                if told != missed && fewer(identities, added).all(|fewer| told != missed_by(fewer)) {
                    let what =
                        format!("after a reconnect {client:?} missed {missed:?} and was told {told:?}");
                    return Err(("WatchNotLost", what));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The committed history goes on: who must be told what.
    pub(super) fn expect<'a>(&mut self, changes: &[Change], identities: impl Fn(ClientId) -> &'a [Identity]) {
        for (client, watching) in &mut self.clients {
            if watching.watches.is_empty() {
                continue;
            }
            for change in changes {
                watching.expect(change, identities(*client));
            }
        }
    }

    /// An event was sent to a client; false if it is none that was expected.
    pub(super) fn came(&mut self, client: ClientId, event: &WatchEvent) -> Judged {
        let watching = self.watching(client);
        let Some(place) = watching.expected.iter().position(|expected| expected == event) else {
            return Err((
                "WatchHasCause",
                format!("{client:?} is told {event:?}, which no watch of it explains"),
            ));
        };
        if let Some(earlier) = watching.expected.front().filter(|first| first.zxid < event.zxid) {
            return Err(("WatchOrder", format!("{client:?} is told {event:?} before {earlier:?}")));
        }
        watching.expected.remove(place);
        Ok(())
    }

    pub(super) fn expects(&self, client: ClientId, event: &WatchEvent) -> bool {
        self.clients.get(&client).is_some_and(|watching| watching.expected.contains(event))
    }

    /// An event of the time before the connection was sent to a client.
    pub(super) fn told_late(&mut self, client: ClientId, event: &WatchEvent) {
        self.watching(client).late.push(event.clone());
    }

    /// A client is about to see the state at `zxid`: it must have been told everything up to there.
    pub(super) fn none_before(&self, client: ClientId, zxid: Zxid) -> Judged {
        let first = self.clients.get(&client).and_then(|watching| watching.expected.front());
        match first.filter(|event| event.zxid <= zxid) {
            Some(event) => {
                Err(("WatchBeforeData", format!("{client:?} sees {zxid} and was not told {event:?}")))
            }
            None => Ok(()),
        }
    }

    /// The server has told all that it had to tell: nobody may still be waiting to be told of `zxid` or before.
    pub(super) fn none_left(&self, zxid: Zxid) -> Judged {
        self.clients.keys().try_for_each(|client| self.none_before(*client, zxid))
    }

    fn add(&mut self, client: ClientId, path: &RequestPath, kind: Kind) {
        self.watching(client).watches.insert((path.as_str().to_owned(), kind));
    }

    fn watching(&mut self, client: ClientId) -> &mut Watching {
        self.clients.entry(client).or_default()
    }
}

impl Watching {
    fn expect(&mut self, change: &Change, identities: &[Identity]) {
        let path = change.path.as_str();
        let (kind, parent_acl) = match &change.kind {
            ChangeKind::DataChanged => (WatchEventKind::DataChanged, None),
            ChangeKind::Created { parent_acl } => (WatchEventKind::Created, Some(parent_acl)),
            ChangeKind::Deleted { parent_acl } => (WatchEventKind::Deleted, Some(parent_acl)),
        };
        let mut hears = self.take(path, Kind::Data);
        hears |= self.has(path, Kind::Persistent);
        hears |= ancestors(path).any(|ancestor| self.has(ancestor, Kind::Recursive));
        if kind == WatchEventKind::Deleted {
            hears |= self.take(path, Kind::Child);
        }
        if hears {
            self.tell(change.zxid, kind, path, &change.acl, identities);
        }
        let parent = ancestors(path).nth(1);
        if let (Some(acl), Some(parent)) = (parent_acl, parent) {
            let hears = self.take(parent, Kind::Child) | self.has(parent, Kind::Persistent);
            if hears {
                self.tell(change.zxid, WatchEventKind::ChildrenChanged, parent, acl, identities);
            }
        }
    }

    fn tell(&mut self, zxid: Zxid, kind: WatchEventKind, path: &str, acl: &Acl, identities: &[Identity]) {
        if !acl.permits(Permissions::READ, identities) {
            return;
        }
        if let Ok(path) = path.parse() {
            self.expected.push_back(WatchEvent { zxid, kind, path });
        }
    }

    fn has(&self, path: &str, kind: Kind) -> bool {
        self.watches.contains(&(path.to_owned(), kind))
    }

    fn take(&mut self, path: &str, kind: Kind) -> bool {
        self.watches.remove(&(path.to_owned(), kind))
    }
}

/// The identities without the last one, without the last two, and so on for those that were added.
fn fewer(identities: &[Identity], added: usize) -> impl Iterator<Item = &[Identity]> {
    let all = identities.len();
    (all.saturating_sub(added)..all).filter_map(|known| identities.get(..known))
}

fn lasting(mode: WatchMode) -> Kind {
    match mode {
        WatchMode::Persistent => Kind::Persistent,
        WatchMode::PersistentRecursive => Kind::Recursive,
    }
}

/// The path itself, its parent, and so on up to the root.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rfind('/') {
        _ if *path == "/" => None,
        Some(0) => Some("/"),
        Some(slash) => path.get(..slash),
        None => None,
    })
}
