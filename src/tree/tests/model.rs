//! The tree as one would write it without a thought for speed: a map from paths to nodes, copied before every write.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::types::{
    Acl, AclEntry, Caller, CreateMode, ErrorCode, Expected, Found, Lifetime, Permissions, Read, Refusal,
    RequestPath, SessionId, Stat, WallTime, Write, Written, ZnodePath, Zxid,
};

#[derive(Clone)]
struct Node {
    data: Option<Bytes>,
    acl: Acl,
    lifetime: Lifetime,
    owner: SessionId,
    /// Its place among all nodes ever made.
    place: u64,
    created: u64,
    stat: Stat,
}

#[derive(Clone)]
pub(super) struct Model {
    nodes: BTreeMap<String, Node>,
    made: u64,
}

impl Model {
    pub(super) fn new() -> Self {
        let mut model = Self { nodes: BTreeMap::new(), made: 0 };
        for (path, acl) in [
            ("/", Acl::open()),
            ("/zookeeper", Acl::open()),
            ("/zookeeper/quota", Acl::open()),
            ("/zookeeper/config", Acl::read_only()),
        ] {
            model.make(
                path,
                Some(Bytes::new()),
                acl,
                Lifetime::Persistent,
                SessionId::NONE,
                Zxid::ZERO,
                WallTime::default(),
            );
        }
        // As ZooKeeper shows it.
        model.nodes.entry("/zookeeper/config".into()).and_modify(|node| node.stat.aversion = -1);
        model
    }

    pub(super) fn write(
        &mut self,
        by: &Caller,
        z: Zxid,
        t: WallTime,
        write: &Write,
    ) -> Result<Written, Refusal> {
        let before = self.clone();
        let result = match write {
            Write::Multi(writes) => {
                let mut done = Vec::new();
                let mut failed = None;
                for (index, write) in writes.iter().enumerate() {
                    match self.one(by, z, t, write) {
                        Ok(written) => done.push(written),
                        Err(code) => {
                            failed = Some(Refusal { code, operation: Some(index as u32) });
                            break;
                        }
                    }
                }
                failed.map_or(Ok(Written::Multi(done)), Err)
            }
            write => self.one(by, z, t, write).map_err(Refusal::from),
        };
        if result.is_err() {
            *self = before;
        }
        result
    }

    pub(super) fn close(&mut self, session: SessionId, z: Zxid) -> Vec<ZnodePath> {
        let gone: Vec<String> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.owner == session)
            .map(|(path, _)| path.clone())
            .collect();
        for path in &gone {
            self.drop(path, z);
        }
        gone.iter().map(|path| ZnodePath::parse(path).unwrap()).collect()
    }

    pub(super) fn due(&self, now: WallTime) -> Vec<String> {
        let due = self.nodes.iter().filter(|(path, node)| {
            self.children(path).is_empty()
                && match node.lifetime {
                    Lifetime::Container => node.created > 0,
                    Lifetime::Ttl(ttl) => {
                        now.as_millis() - node.stat.mtime.as_millis() > ttl.as_millis() as i64
                    }
                    _ => false,
                }
        });
        due.map(|(path, _)| path.clone()).collect()
    }

    pub(super) fn reap(&mut self, path: &str, now: WallTime, z: Zxid) -> bool {
        let due = self.due(now).iter().any(|due| due == path);
        if due {
            self.drop(path, z);
        }
        due
    }

    pub(super) fn read(&self, by: &Caller, read: &Read) -> Result<Found, ErrorCode> {
        Ok(match read {
            Read::Get { path } => {
                let node = self.readable(by, path.as_str(), Permissions::READ)?;
                Found::Data { data: node.data.clone(), stat: self.stat(path.as_str()) }
            }
            Read::Exists { path } => {
                self.readable(by, path.as_str(), Permissions::READ)?;
                Found::Stat(self.stat(path.as_str()))
            }
            Read::Children { path } => {
                self.readable(by, path.as_str(), Permissions::READ)?;
                Found::Children { names: self.children(path.as_str()), stat: self.stat(path.as_str()) }
            }
            Read::CountDescendants { path } => {
                self.readable(by, path.as_str(), Permissions::READ)?;
                Found::Count(self.within(path.as_str()).len() as u64 - 1)
            }
            Read::Ephemerals { prefix } => Found::Ephemerals(
                self.nodes
                    .iter()
                    .filter(|(path, node)| node.owner == by.session && path.starts_with(prefix.as_str()))
                    .map(|(path, _)| ZnodePath::parse(path).unwrap())
                    .collect(),
            ),
            Read::Many(reads) => Found::Many(reads.iter().map(|read| self.read(by, read)).collect()),
            other => panic!("the model does not know {other:?}"),
        })
    }

    fn one(&mut self, by: &Caller, z: Zxid, t: WallTime, write: &Write) -> Result<Written, ErrorCode> {
        match write {
            Write::Create { path, data, acl, mode } => self.create(by, z, t, path, data, acl, *mode),
            Write::Delete { path, expected } => {
                let path = self.deletable(by, path)?;
                version(*expected, self.nodes[&path].stat.version)?;
                if !self.children(&path).is_empty() {
                    return Err(ErrorCode::NotEmpty);
                }
                self.drop(&path, z);
                Ok(Written::Deleted)
            }
            Write::DeleteTree { path, limit } => {
                let path = self.deletable(by, path)?;
                let mut gone = self.within(&path);
                if gone.len() > *limit as usize {
                    return Err(ErrorCode::BadArguments);
                }
                for inner in gone.iter().filter(|inner| !self.children(inner).is_empty()) {
                    permitted(by, &self.nodes[inner].acl, Permissions::DELETE)?;
                }
                gone.reverse();
                gone.iter().for_each(|path| self.drop(path, z));
                Ok(Written::TreeDeleted { count: gone.len() as u32 })
            }
            Write::SetData { path, data, expected } => {
                let path = valid(path)?;
                let node = self.nodes.get_mut(&path).ok_or(ErrorCode::NoNode)?;
                permitted(by, &node.acl, Permissions::WRITE)?;
                version(*expected, node.stat.version)?;
                node.data = data.clone();
                node.stat.version += 1;
                node.stat.mzxid = z;
                node.stat.mtime = t;
                Ok(Written::DataSet(self.stat(&path)))
            }
            Write::SetAcl { path, acl, expected } => {
                let path = valid(path)?;
                let acl = finished(by, acl)?;
                let node = self.nodes.get_mut(&path).ok_or(ErrorCode::NoNode)?;
                permitted(by, &node.acl, Permissions::ADMIN)?;
                version(*expected, node.stat.aversion)?;
                node.acl = acl;
                node.stat.aversion += 1;
                Ok(Written::AclSet(self.stat(&path)))
            }
            Write::Check { path, expected } => {
                let node = self.nodes.get(&valid(path)?).ok_or(ErrorCode::NoNode)?;
                permitted(by, &node.acl, Permissions::READ)?;
                version(*expected, node.stat.version)?;
                Ok(Written::Checked)
            }
            Write::Multi(_) => Err(ErrorCode::MarshallingError),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a create has this many parts")]
    fn create(
        &mut self,
        by: &Caller,
        z: Zxid,
        t: WallTime,
        path: &RequestPath,
        data: &Option<Bytes>,
        acl: &Acl,
        mode: CreateMode,
    ) -> Result<Written, ErrorCode> {
        let parent = path.parent_str().ok_or(ErrorCode::BadArguments)?.to_owned();
        let acl = finished(by, acl)?;
        let above = self.nodes.get(&parent).ok_or(ErrorCode::NoNode)?.clone();
        permitted(by, &above.acl, Permissions::CREATE)?;
        let suffix = if mode.sequential { format!("{:010}", above.created) } else { String::new() };
        let path = valid(&format!("{}{suffix}", path.as_str()).into())?;
        if self.nodes.contains_key(&path) {
            return Err(ErrorCode::NodeExists);
        }
        if above.owner != SessionId::NONE {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let owner = if mode.lifetime == Lifetime::Ephemeral { by.session } else { SessionId::NONE };
        self.make(&path, data.clone(), acl, mode.lifetime, owner, z, t);
        let above = self.nodes.get_mut(&parent).unwrap();
        above.created += 1;
        above.stat.pzxid = z;
        Ok(Written::Created { path: ZnodePath::parse(&path).unwrap(), stat: self.stat(&path) })
    }

    #[expect(clippy::too_many_arguments, reason = "a node has this many parts")]
    fn make(
        &mut self,
        path: &str,
        data: Option<Bytes>,
        acl: Acl,
        lifetime: Lifetime,
        owner: SessionId,
        z: Zxid,
        t: WallTime,
    ) {
        let stat = Stat {
            czxid: z,
            mzxid: z,
            pzxid: z,
            ctime: t,
            mtime: t,
            version: 0,
            cversion: 0,
            aversion: 0,
            ephemeral_owner: owner,
            data_length: 0,
            num_children: 0,
        };
        self.made += 1;
        self.nodes
            .insert(path.into(), Node { data, acl, lifetime, owner, place: self.made, created: 0, stat });
    }

    fn drop(&mut self, path: &str, z: Zxid) {
        self.nodes.remove(path);
        let parent = RequestPath::from(path).parent_str().unwrap().to_owned();
        self.nodes.get_mut(&parent).unwrap().stat.pzxid = z;
    }

    fn stat(&self, path: &str) -> Stat {
        let node = &self.nodes[path];
        let children = self.children(path).len();
        Stat {
            cversion: 2 * node.created as i32 - children as i32,
            data_length: node.data.as_ref().map_or(0, Bytes::len) as i32,
            num_children: children as i32,
            ..node.stat
        }
    }

    fn children(&self, path: &str) -> Vec<Box<str>> {
        let is_child = |other: &str| other != "/" && RequestPath::from(other).parent_str() == Some(path);
        let mut children: Vec<_> = self.nodes.iter().filter(|(other, _)| is_child(other)).collect();
        children.sort_by_key(|(_, node)| node.place);
        children.iter().map(|(path, _)| path.rsplit('/').next().unwrap().into()).collect()
    }

    fn within(&self, path: &str) -> Vec<String> {
        self.nodes.keys().filter(|other| ZnodePath::parse(other).unwrap().is_within(path)).cloned().collect()
    }

    fn readable(&self, by: &Caller, path: &str, wanted: Permissions) -> Result<&Node, ErrorCode> {
        let node = self.nodes.get(path).ok_or(ErrorCode::NoNode)?;
        permitted(by, &node.acl, wanted)?;
        Ok(node)
    }

    fn deletable(&self, by: &Caller, path: &RequestPath) -> Result<String, ErrorCode> {
        let path = valid(path)?;
        if ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"].contains(&&*path) {
            return Err(ErrorCode::BadArguments);
        }
        let parent = RequestPath::from(&path).parent_str().unwrap().to_owned();
        permitted(by, &self.nodes.get(&parent).ok_or(ErrorCode::NoNode)?.acl, Permissions::DELETE)?;
        if self.nodes.contains_key(&path) { Ok(path) } else { Err(ErrorCode::NoNode) }
    }
}

fn valid(path: &RequestPath) -> Result<String, ErrorCode> {
    path.parse().map(|path| path.as_str().to_owned()).map_err(|_| ErrorCode::BadArguments)
}

fn permitted(by: &Caller, acl: &Acl, wanted: Permissions) -> Result<(), ErrorCode> {
    if acl.permits(wanted, &by.identities) { Ok(()) } else { Err(ErrorCode::NoAuth) }
}

fn version(expected: Expected, actual: i32) -> Result<(), ErrorCode> {
    if expected.admits(actual) { Ok(()) } else { Err(ErrorCode::BadVersion) }
}

/// Knows only lists of one entry, and callers of one identity.
fn finished(by: &Caller, acl: &Acl) -> Result<Acl, ErrorCode> {
    match acl.entries() {
        [] => Err(ErrorCode::InvalidAcl),
        [AclEntry { permissions, identity }] if &*identity.scheme == "auth" => match &by.identities[..] {
            [one] if &*one.scheme == "digest" => {
                Ok(Acl::new([AclEntry { permissions: *permissions, identity: one.clone() }]))
            }
            _ => Err(ErrorCode::InvalidAcl),
        },
        _ => Ok(acl.clone()),
    }
}
