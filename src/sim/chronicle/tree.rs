use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::types::{
    Acl, Change, ChangeKind, Lifetime, SessionId, Stat, Txn, WallTime, Written, ZnodePath, Zxid,
};

/// A tree that is as simple as can be, and remembers all that it ever was: of every path every version. It shares nothing
/// with the tree that servers have, so that neither can hide the other's mistake.
#[derive(Default)]
pub(super) struct Annals {
    /// The versions of each path, oldest first; of those at one zxid the last counts.
    nodes: BTreeMap<String, Vec<Version>>,
    children: BTreeMap<String, Children>,
    /// The ephemerals that each session has, and those that it had.
    owned: BTreeMap<SessionId, BTreeMap<String, Zxid>>,
    disowned: BTreeMap<SessionId, Vec<(String, Zxid, Zxid)>>,
    population: usize,
    /// How many nodes there were from which zxid on.
    populations: Vec<(Zxid, usize)>,
}

struct Version {
    since: Zxid,
    node: Option<Arc<Plain>>,
}

/// The children that a path has, by their ordinals, and those that it had, with the span of their lives.
#[derive(Default)]
struct Children {
    alive: BTreeMap<u64, (Box<str>, Zxid)>,
    dead: Vec<(u64, Box<str>, Zxid, Zxid)>,
}

/// A node as it was at some time.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) data: Option<Bytes>,
    pub(super) acl: Acl,
    pub(super) lifetime: Lifetime,
    pub(super) stat: Stat,
    /// How many children were ever created below it.
    pub(super) created: u64,
    ordinal: u64,
}

/// Where in the sequence a transaction stands, whose it is, and when it was proposed.
pub(super) struct At {
    pub(super) zxid: Zxid,
    pub(super) session: SessionId,
    pub(super) time: WallTime,
}

/// What no correct leader proposes: the rule, and how it was broken.
pub(super) type Broken = (&'static str, String);

impl Annals {
    /// The tree before the first transaction.
    pub(super) fn new() -> Self {
        let mut annals = Self::default();
        let reserved =
            [("/", Acl::open(), 0), ("/zookeeper", Acl::open(), 0), ("/zookeeper/quota", Acl::open(), 0)];
        let config = ("/zookeeper/config", Acl::read_only(), 1);
        for (path, acl, ordinal) in reserved.into_iter().chain([config]) {
            let children = match path {
                "/" => 1,
                "/zookeeper" => 2,
                _ => 0,
            };
            let stat = Stat {
                czxid: Zxid::ZERO,
                mzxid: Zxid::ZERO,
                pzxid: Zxid::ZERO,
                ctime: WallTime::default(),
                mtime: WallTime::default(),
                version: 0,
                // The reserved children do not count as created, only as there.
                cversion: -children,
                aversion: 0,
                ephemeral_owner: SessionId::NONE,
                data_length: 0,
                num_children: children,
            };
            let (data, lifetime) = (Some(Bytes::new()), Lifetime::Persistent);
            annals.put(path, Zxid::ZERO, Some(Plain { data, acl, lifetime, stat, created: 0, ordinal }));
            if let Some((parent, name)) = split(path) {
                let children = annals.children.entry(parent.to_owned()).or_default();
                children.alive.insert(ordinal, (name.into(), Zxid::ZERO));
            }
        }
        annals
    }

    /// How many nodes there are now.
    pub(super) fn population(&self) -> usize {
        self.population
    }

    /// The node at `path`, now.
    pub(super) fn now(&self, path: &str) -> Option<&Arc<Plain>> {
        self.nodes.get(path)?.last()?.node.as_ref()
    }

    /// The node at `path` when `zxid` was the last transaction.
    pub(super) fn at(&self, path: &str, zxid: Zxid) -> Option<&Arc<Plain>> {
        let versions = self.nodes.get(path)?;
        let index = versions.partition_point(|version| version.since <= zxid).checked_sub(1)?;
        versions.get(index)?.node.as_ref()
    }

    /// The children of `path` at `zxid`, in the order of their creation, with their ordinals.
    pub(super) fn children_at(&self, path: &str, zxid: Zxid) -> Vec<(u64, Box<str>)> {
        let Some(children) = self.children.get(path) else { return Vec::new() };
        let alive = children.alive.iter().filter(|(_, (_, born))| *born <= zxid);
        let mut found: Vec<_> = alive.map(|(ordinal, (name, _))| (*ordinal, name.clone())).collect();
        // Without a change since then none that has died was alive.
        if self.now(path).is_none_or(|node| node.stat.pzxid > zxid) {
            let dead = children.dead.iter().filter(|(_, _, born, died)| *born <= zxid && zxid < *died);
            found.extend(dead.map(|(ordinal, name, _, _)| (*ordinal, name.clone())));
            found.sort_unstable();
        }
        found
    }

    /// The ephemerals of a session at `zxid`, sorted.
    pub(super) fn ephemerals_at(&self, session: SessionId, zxid: Zxid) -> BTreeSet<&str> {
        let owned = self.owned.get(&session).into_iter().flatten();
        let owned = owned.filter(|(_, born)| **born <= zxid).map(|(path, _)| path.as_str());
        let disowned = self.disowned.get(&session).into_iter().flatten();
        let disowned = disowned.filter(|(_, born, died)| *born <= zxid && zxid < *died);
        owned.chain(disowned.map(|(path, _, _)| path.as_str())).collect()
    }

    /// How many nodes there were below `path` at `zxid`.
    pub(super) fn count_below(&self, path: &str, zxid: Zxid) -> usize {
        if path == "/" {
            let index = self.populations.partition_point(|(since, _)| *since <= zxid).checked_sub(1);
            let all = index.and_then(|index| self.populations.get(index));
            return all.map_or(0, |(_, all)| all.saturating_sub(1));
        }
        self.below(path).filter(|below| self.at(below, zxid).is_some()).count()
    }

    /// How much data the nodes at and below `path` had at `zxid`.
    pub(super) fn bytes_within(&self, path: &str, zxid: Zxid) -> i64 {
        let all = self.below(path).chain([path]).filter_map(|path| self.at(path, zxid));
        all.map(|node| i64::from(node.stat.data_length)).sum()
    }

    /// Does what a transaction says, and tells what came of it. Children go before their parents.
    pub(super) fn apply(&mut self, at: &At, txn: &Txn, changes: &mut Vec<Change>) -> Result<Written, Broken> {
        match txn {
            Txn::Create { path, data, acl, lifetime } => {
                self.create(at, path, data.as_ref(), acl, *lifetime, changes)
            }
            Txn::Delete { path } => {
                self.delete(at, path, changes)?;
                Ok(Written::Deleted)
            }
            Txn::DeleteTree { path } => {
                let mut paths: Vec<String> = self.below(path.as_str()).map(str::to_owned).collect();
                paths.retain(|path| self.now(path).is_some());
                // In reverse order a path comes before all that it begins with.
                let below: Vec<_> = paths.iter().rev().filter_map(|path| path.parse().ok()).collect();
                for path in below.iter().chain([path]) {
                    self.delete(at, path, changes)?;
                }
                Ok(Written::TreeDeleted { count: u32::try_from(below.len() + 1).unwrap_or(u32::MAX) })
            }
            Txn::SetData { path, data, version } => {
                let mut node = self.expect(path)?;
                // The version that means "any" is left out when the counter wraps.
                let follows = node.stat.version.wrapping_add(1);
                if *version != follows && !(follows == -1 && *version == 0) {
                    let what = format!("{path} goes from version {} to {version}", node.stat.version);
                    return Err(("StatRules", what));
                }
                node.data.clone_from(data);
                node.stat.version = *version;
                node.stat.mzxid = at.zxid;
                node.stat.mtime = at.time;
                node.stat.data_length = length(data.as_ref());
                let (stat, acl) = (node.stat, node.acl.clone());
                self.put(path.as_str(), at.zxid, Some(node));
                changes.push(Change {
                    zxid: at.zxid,
                    path: path.clone(),
                    kind: ChangeKind::DataChanged,
                    acl,
                });
                Ok(Written::DataSet(stat))
            }
            Txn::SetAcl { path, acl, version } => {
                let mut node = self.expect(path)?;
                let follows = node.stat.aversion.wrapping_add(1);
                if *version != follows && !(follows == -1 && *version == 0) {
                    let what = format!("{path} goes from ACL version {} to {version}", node.stat.aversion);
                    return Err(("StatRules", what));
                }
                node.acl = acl.clone();
                node.stat.aversion = *version;
                let stat = node.stat;
                self.put(path.as_str(), at.zxid, Some(node));
                Ok(Written::AclSet(stat))
            }
            Txn::Check => Ok(Written::Checked),
            Txn::Multi(txns) => {
                let results = txns.iter().map(|txn| self.apply(at, txn, changes));
                results.collect::<Result<_, _>>().map(Written::Multi)
            }
            Txn::CloseSession { ephemerals } => {
                let owned = self.owned.get(&at.session);
                let paths: Vec<_> =
                    owned.into_iter().flat_map(BTreeMap::keys).filter_map(|path| path.parse().ok()).collect();
                if paths.len() as u64 != *ephemerals {
                    let what = format!(
                        "session {} ends with {ephemerals} ephemerals, and has {paths:?}",
                        at.session
                    );
                    return Err(("EphemeralsEnd", what));
                }
                for path in &paths {
                    self.delete(at, path, changes)?;
                }
                Ok(Written::Checked)
            }
            Txn::CreateSession { .. } | Txn::Refused(_) | Txn::Repeated => Ok(Written::Checked),
        }
    }

    fn create(
        &mut self,
        at: &At,
        path: &ZnodePath,
        data: Option<&Bytes>,
        acl: &Acl,
        lifetime: Lifetime,
        changes: &mut Vec<Change>,
    ) -> Result<Written, Broken> {
        let parent = path.parent().ok_or_else(|| ("TreeRules", "the root is created".to_owned()))?;
        if self.now(path.as_str()).is_some() {
            return Err(("TreeRules", format!("{path} is created, and exists")));
        }
        let mut above = self.expect(&parent)?;
        if above.lifetime == Lifetime::Ephemeral {
            return Err(("TreeRules", format!("{path} is created below an ephemeral node")));
        }
        above.created += 1;
        above.stat.cversion = above.stat.cversion.wrapping_add(1);
        above.stat.num_children += 1;
        above.stat.pzxid = at.zxid;
        let ordinal = above.created + 1;
        let parent_acl = above.acl.clone();
        self.put(parent.as_str(), at.zxid, Some(above));
        let owner = if lifetime == Lifetime::Ephemeral { at.session } else { SessionId::NONE };
        let stat = Stat {
            czxid: at.zxid,
            mzxid: at.zxid,
            pzxid: at.zxid,
            ctime: at.time,
            mtime: at.time,
            version: 0,
            cversion: 0,
            aversion: 0,
            ephemeral_owner: owner,
            data_length: length(data),
            num_children: 0,
        };
        let node = Plain { data: data.cloned(), acl: acl.clone(), lifetime, stat, created: 0, ordinal };
        self.put(path.as_str(), at.zxid, Some(node));
        let siblings = self.children.entry(parent.as_str().to_owned()).or_default();
        siblings.alive.insert(ordinal, (path.name().into(), at.zxid));
        if lifetime == Lifetime::Ephemeral {
            self.owned.entry(owner).or_default().insert(path.as_str().to_owned(), at.zxid);
        }
        let kind = ChangeKind::Created { parent_acl };
        changes.push(Change { zxid: at.zxid, path: path.clone(), kind, acl: acl.clone() });
        Ok(Written::Created { path: path.clone(), stat })
    }

    fn delete(&mut self, at: &At, path: &ZnodePath, changes: &mut Vec<Change>) -> Result<(), Broken> {
        let node = self.expect(path)?;
        let parent = path.parent().ok_or_else(|| ("TreeRules", "the root is deleted".to_owned()))?;
        if node.stat.num_children > 0 {
            return Err(("TreeRules", format!("{path} is deleted, and has children")));
        }
        let mut above = self.expect(&parent)?;
        above.stat.cversion = above.stat.cversion.wrapping_add(1);
        above.stat.num_children -= 1;
        above.stat.pzxid = at.zxid;
        let parent_acl = above.acl.clone();
        self.put(parent.as_str(), at.zxid, Some(above));
        self.put(path.as_str(), at.zxid, None);
        if let Some(siblings) = self.children.get_mut(parent.as_str())
            && let Some((name, born)) = siblings.alive.remove(&node.ordinal)
        {
            siblings.dead.push((node.ordinal, name, born, at.zxid));
        }
        let owner = node.stat.ephemeral_owner;
        if let Some(born) = self.owned.get_mut(&owner).and_then(|owned| owned.remove(path.as_str())) {
            self.disowned.entry(owner).or_default().push((path.as_str().to_owned(), born, at.zxid));
        }
        let kind = ChangeKind::Deleted { parent_acl };
        changes.push(Change { zxid: at.zxid, path: path.clone(), kind, acl: node.acl });
        Ok(())
    }

    fn expect(&self, path: &ZnodePath) -> Result<Plain, Broken> {
        let node = self.now(path.as_str()).map(|node| Plain::clone(node));
        node.ok_or_else(|| ("TreeRules", format!("{path} is changed, and does not exist")))
    }

    fn put(&mut self, path: &str, since: Zxid, node: Option<Plain>) {
        let node = node.map(Arc::new);
        let before = self.now(path).is_some();
        self.population = self.population + usize::from(node.is_some()) - usize::from(before);
        match self.populations.last_mut() {
            Some((at, population)) if *at == since => *population = self.population,
            _ if node.is_some() != before => self.populations.push((since, self.population)),
            _ => {}
        }
        if let Some(versions) = self.nodes.get_mut(path) {
            match versions.last_mut() {
                Some(last) if last.since == since => last.node = node,
                _ => versions.push(Version { since, node }),
            }
        } else {
            self.nodes.insert(path.to_owned(), vec![Version { since, node }]);
        }
    }

    /// All paths that ever were below `path`, in order.
    fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let from = std::ops::Bound::Excluded(prefix.as_str());
        let range = self.nodes.range::<str, _>((from, std::ops::Bound::Unbounded));
        range.map(|(path, _)| path.as_str()).take_while(move |path| path.starts_with(&prefix))
    }
}

fn split(path: &str) -> Option<(&str, &str)> {
    match path.rsplit_once('/')? {
        (_, "") => None,
        ("", name) => Some(("/", name)),
        parts => Some(parts),
    }
}

fn length(data: Option<&Bytes>) -> i32 {
    data.map_or(0, |data| i32::try_from(data.len()).unwrap_or(i32::MAX))
}
