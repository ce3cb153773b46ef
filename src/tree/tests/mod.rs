mod model;
mod properties;
mod quotas;
mod reaping;
mod rules;
mod snapshots;

use bytes::Bytes;

use crate::types::{
    Acl, Caller, Change, CreateMode, Epoch, ErrorCode, Expected, Found, Identity, Read, Refusal, SessionId,
    Stat, Transaction, Txn, WallTime, Write, Written, ZnodePath, Zxid,
};

use super::{Outstanding, Tree, TreeLimits, TreeRestore};

/// A tree that is its own leader: every write is prepared and applied at once.
struct Lone {
    tree: Tree,
    outstanding: Outstanding,
    zxid: Zxid,
    time: WallTime,
    changes: Vec<Change>,
}

impl Lone {
    fn new() -> Self {
        Self::with_limits(TreeLimits::default())
    }

    fn with_limits(limits: TreeLimits) -> Self {
        Self {
            tree: Tree::new(limits),
            outstanding: Outstanding::new(),
            zxid: zxid(0),
            time: WallTime::from_millis(1_000),
            changes: Vec::new(),
        }
    }

    fn write_as(&mut self, caller: &Caller, write: &Write) -> Result<Written, Refusal> {
        self.step();
        let txn = self.tree.prepare(&mut self.outstanding, caller, self.zxid, self.time, write)?;
        self.apply(caller.session, &txn)
    }

    fn write(&mut self, write: &Write) -> Result<Written, Refusal> {
        self.write_as(&anyone(), write)
    }

    fn close(&mut self, session: SessionId) -> Vec<ZnodePath> {
        self.step();
        let ephemerals = self.tree.prepare_close(&mut self.outstanding, self.zxid, session);
        self.apply(session, &Txn::CloseSession { ephemerals: ephemerals.len() as u64 }).unwrap();
        ephemerals
    }

    fn create(&mut self, path: &str) -> Stat {
        match self.write(&create(path, CreateMode::PERSISTENT)) {
            Ok(Written::Created { stat, .. }) => stat,
            other => panic!("{path}: {other:?}"),
        }
    }

    fn refused(&mut self, write: &Write) -> ErrorCode {
        self.write(write).unwrap_err().code
    }

    fn read(&self, read: &Read) -> Result<Found, ErrorCode> {
        self.tree.read(&anyone(), read)
    }

    fn stat(&self, path: &str) -> Stat {
        self.tree.lookup(path).unwrap_or_else(|| panic!("{path} exists")).0
    }

    fn has(&self, path: &str) -> bool {
        self.tree.lookup(path).is_some()
    }

    fn step(&mut self) {
        self.zxid = self.zxid.next().unwrap();
        self.time = WallTime::from_millis(self.time.as_millis() + 10);
    }

    fn apply(&mut self, session: SessionId, txn: &Txn) -> Result<Written, Refusal> {
        let written = self.tree.apply(self.zxid, session, self.time, txn, &mut self.changes);
        self.outstanding.retire(self.zxid);
        assert!(self.outstanding.is_empty());
        written
    }
}

fn zxid(counter: u32) -> Zxid {
    Zxid::new(Epoch::new(1), counter)
}

fn session(number: u64) -> SessionId {
    SessionId::from_u64(number)
}

fn path(path: &str) -> ZnodePath {
    ZnodePath::parse(path).unwrap()
}

/// Somebody without a name, with session 7.
fn anyone() -> Caller {
    Caller { session: session(7), identities: vec![Identity::new("ip", "10.0.0.1")] }
}

fn digest_caller(number: u64, id: &str) -> Caller {
    Caller { session: session(number), identities: vec![Identity::new("digest", id)] }
}

fn create(path: &str, mode: CreateMode) -> Write {
    Write::Create { path: path.into(), data: Some(Bytes::new()), acl: Acl::open(), mode }
}

fn create_with(path: &str, data: &'static str) -> Write {
    let data = Some(Bytes::from_static(data.as_bytes()));
    Write::Create { path: path.into(), data, acl: Acl::open(), mode: CreateMode::PERSISTENT }
}

fn delete(path: &str) -> Write {
    Write::Delete { path: path.into(), expected: Expected::Any }
}

fn delete_tree(path: &str, limit: u32) -> Write {
    Write::DeleteTree { path: path.into(), limit }
}

fn set(path: &str, data: &'static str) -> Write {
    let data = Some(Bytes::from_static(data.as_bytes()));
    Write::SetData { path: path.into(), data, expected: Expected::Any }
}

fn set_acl(path: &str, acl: Acl) -> Write {
    Write::SetAcl { path: path.into(), acl, expected: Expected::Any }
}

fn check(path: &str, expected: Expected) -> Write {
    Write::Check { path: path.into(), expected }
}

/// A snapshot of the tree as it is, in chunks of `max` bytes.
fn snapshot(tree: &mut Tree, max: usize) -> Vec<u8> {
    tree.begin_snapshot();
    let mut bytes = Vec::new();
    while let Some(chunk) = tree.next_snapshot_chunk(max) {
        assert!(!chunk.is_empty() && chunk.len() <= max);
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

fn restore(bytes: &[u8]) -> Tree {
    let mut restore = TreeRestore::new(TreeLimits::default());
    restore.feed(bytes).unwrap();
    restore.finish().unwrap()
}

/// All that can be seen of a node.
type Shown = (ZnodePath, Option<Bytes>, Stat, Acl, Vec<Box<str>>);

/// Everything that can be seen of a tree, in order.
fn contents(tree: &Tree) -> Vec<Shown> {
    let root = Caller { session: SessionId::NONE, identities: vec![Identity::new("super", "")] };
    let mut nodes: Vec<_> = tree
        .descend(tree.root)
        .map(|id| {
            let path = tree.path_of(id);
            let Ok(Found::Data { data, stat }) = tree.read(&root, &Read::Get { path: (&path).into() }) else {
                panic!("{path} is there")
            };
            let Ok(Found::Children { names, .. }) =
                tree.read(&root, &Read::Children { path: (&path).into() })
            else {
                panic!("{path} is there")
            };
            let acl = tree.lookup(path.as_str()).unwrap().1;
            (path, data, stat, acl, names)
        })
        .collect();
    nodes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    nodes
}

/// The digest computed from nothing, by way of a snapshot whose restore adds up every node.
fn digest_from_scratch(tree: &mut Tree) -> u64 {
    restore(&snapshot(tree, 1 << 16)).digest()
}

fn transaction(session: SessionId, time: WallTime, txn: Txn) -> Transaction {
    Transaction { session, time, origin: None, request: None, witness: None, txn }
}
