use bytes::Bytes;
use quorate::protocol::record::{
    AclResponse, AddWatchRequest, AuthPacket, Call, Children2Response, CountResponse, Create2Response,
    CreateRequest, CreateTtlRequest, DataResponse, EphemeralsResponse, ErrorResponse, PathRequest,
    PathResponse, ReadRequest, ReconfigRequest, SetAclRequest, SetDataRequest, VersionedRequest,
    WatchesRequest, WhoAmIResponse,
};
use quorate::{Acl, Identity, Stat};
use std::sync::mpsc;

use super::code::KeeperCode;
use super::driver::Order;
use super::path::{BadPath, check_path};
use super::watches::WatchTarget;
use super::{Client, Pending};

/// Where an ensemble keeps its configuration; no chroot applies to it.
const CONFIG_NODE: &str = "/zookeeper/config";

/// Why a call has no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The path is none; nothing was sent.
    Path(BadPath),
    /// The server refused, or there was no answer, about this path as the user knows it.
    Refused { code: KeeperCode, path: Option<String> },
}

impl Fault {
    /// The error code of a refusal.
    pub(crate) fn code(&self) -> Option<KeeperCode> {
        match self {
            Self::Path(_) => None,
            Self::Refused { code, .. } => Some(*code),
        }
    }
}

impl From<BadPath> for Fault {
    fn from(error: BadPath) -> Self {
        Self::Path(error)
    }
}

/// What kind of node to create.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CreateKind {
    Persistent { sequential: bool },
    Ephemeral { sequential: bool },
    Container,
    Ttl { sequential: bool, millis: i64 },
}

impl CreateKind {
    const fn is_sequential(self) -> bool {
        match self {
            Self::Persistent { sequential }
            | Self::Ephemeral { sequential }
            | Self::Ttl { sequential, .. } => sequential,
            Self::Container => false,
        }
    }

    const fn flags(self) -> i32 {
        let (base, sequential) = match self {
            Self::Persistent { sequential } => (0, if sequential { 2 } else { 0 }),
            Self::Ephemeral { sequential } => (1, if sequential { 2 } else { 0 }),
            Self::Container => (4, 0),
            Self::Ttl { sequential, .. } => (5, if sequential { 1 } else { 0 }),
        };
        base + sequential
    }
}

/// The calls, each with paths as the user knows them. All wait for their answer.
impl Client {
    /// The node's stat, if it exists.
    pub(crate) fn exists(&self, path: &str, watch: bool) -> Result<Option<Stat>, Fault> {
        let request = ReadRequest { path: self.outer(path)?, watch };
        match self.submit(Call::Exists(request)).record() {
            Ok(stat) => Ok(Some(stat)),
            Err(KeeperCode::NO_NODE) => Ok(None),
            Err(code) => Err(about(path, code)),
        }
    }

    /// The node's data and stat.
    pub(crate) fn data(&self, path: &str, watch: bool) -> Result<DataResponse, Fault> {
        let request = ReadRequest { path: self.outer(path)?, watch };
        self.submit(Call::GetData(request)).record().map_err(|code| about(path, code))
    }

    /// The ensemble's configuration.
    pub(crate) fn configuration(&self, watch: bool) -> Result<DataResponse, Fault> {
        let request = ReadRequest { path: CONFIG_NODE.into(), watch };
        self.submit(Call::GetData(request)).record().map_err(|code| about(CONFIG_NODE, code))
    }

    /// The names of the node's children, sorted, and its stat.
    pub(crate) fn children(&self, path: &str, watch: bool) -> Result<Children2Response, Fault> {
        let request = ReadRequest { path: self.outer(path)?, watch };
        let mut response: Children2Response =
            self.submit(Call::GetChildren2(request)).record().map_err(|code| about(path, code))?;
        response.children.sort();
        Ok(response)
    }

    /// Creates a node and returns its path, with its number if it got one.
    pub(crate) fn create(
        &self,
        path: &str,
        data: Option<Bytes>,
        acl: Acl,
        kind: CreateKind,
    ) -> Result<String, Fault> {
        // The number makes a name of what would be none.
        check_path(&if kind.is_sequential() { format!("{path}1") } else { path.to_owned() })?;
        let outer = self.connect.chroot.outer(path);
        if acl.entries().is_empty() {
            return Err(Fault::Refused { code: KeeperCode::INVALID_ACL, path: None });
        }
        let flags = kind.flags();
        let created = match kind {
            CreateKind::Ttl { millis, .. } => self
                .submit(Call::CreateTtl(CreateTtlRequest { path: outer, data, acl, flags, ttl: millis }))
                .record::<Create2Response>()
                .map(|response| response.path),
            CreateKind::Container => self
                .submit(Call::CreateContainer(CreateRequest { path: outer, data, acl, flags }))
                .record::<Create2Response>()
                .map(|response| response.path),
            _ => self
                .submit(Call::Create(CreateRequest { path: outer, data, acl, flags }))
                .record::<PathResponse>()
                .map(|response| response.path),
        };
        created
            .map(|created| self.connect.chroot.inner(&created).to_owned())
            .map_err(|code| about(path, code))
    }

    /// Replaces the node's data, if it is at this version or that is -1.
    pub(crate) fn set_data(&self, path: &str, data: Option<Bytes>, version: i32) -> Result<Stat, Fault> {
        let request = SetDataRequest { path: self.outer(path)?, data, version };
        self.submit(Call::SetData(request)).record().map_err(|code| about(path, code))
    }

    /// Deletes the node, if it is at this version or that is -1.
    pub(crate) fn delete(&self, path: &str, version: i32) -> Result<(), Fault> {
        self.begin_delete(path, version)?.wait().map(drop).map_err(|code| about(path, code))
    }

    /// Deletes nodes in this order, so many underway at a time, and says how many are still there. One that has gone
    /// already is no failure.
    pub(crate) fn delete_all(&self, paths: &[String], at_a_time: usize) -> Result<usize, Fault> {
        let mut left = 0;
        for batch in paths.chunks(at_a_time.max(1)) {
            let underway: Vec<Pending> =
                batch.iter().map(|path| self.begin_delete(path, -1)).collect::<Result<_, _>>()?;
            for (path, pending) in batch.iter().zip(underway) {
                match pending.wait() {
                    Ok(_) | Err(KeeperCode::NO_NODE) => {}
                    Err(code @ (KeeperCode::CONNECTION_LOSS | KeeperCode::SESSION_EXPIRED)) => {
                        return Err(about(path, code));
                    }
                    Err(_) => left += 1,
                }
            }
        }
        Ok(left)
    }

    /// The node's ACL and stat.
    pub(crate) fn acl(&self, path: &str) -> Result<AclResponse, Fault> {
        self.submit(Call::GetAcl(self.path_request(path)?)).record().map_err(|code| about(path, code))
    }

    /// Replaces the node's ACL, if that is at this version or it is -1.
    pub(crate) fn set_acl(&self, path: &str, acl: Acl, version: i32) -> Result<Stat, Fault> {
        let request = SetAclRequest { path: self.outer(path)?, acl, version };
        if request.acl.entries().is_empty() {
            return Err(Fault::Refused { code: KeeperCode::INVALID_ACL, path: None });
        }
        self.submit(Call::SetAcl(request)).record().map_err(|code| about(path, code))
    }

    /// Waits until the server has caught up with its leader.
    pub(crate) fn sync(&self, path: &str) -> Result<(), Fault> {
        let request = self.path_request(path)?;
        self.submit(Call::Sync(request)).wait().map(drop).map_err(|code| about(path, code))
    }

    /// The ephemeral nodes of this session whose paths begin with `prefix`, sorted.
    pub(crate) fn ephemerals(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        let response: EphemeralsResponse = self
            .submit(Call::GetEphemerals(self.path_request(prefix)?))
            .record()
            .map_err(|code| about(prefix, code))?;
        let mut paths: Vec<String> =
            response.ephemerals.iter().map(|path| self.connect.chroot.inner(path).to_owned()).collect();
        paths.sort();
        Ok(paths)
    }

    /// How many nodes are below the node.
    pub(crate) fn descendants(&self, path: &str) -> Result<i32, Fault> {
        self.submit(Call::GetAllChildrenNumber(self.path_request(path)?))
            .record::<CountResponse>()
            .map(|response| response.total)
            .map_err(|code| about(path, code))
    }

    /// The identities that the server knows of this client.
    pub(crate) fn identities(&self) -> Result<Vec<Identity>, Fault> {
        self.submit(Call::WhoAmI)
            .record::<WhoAmIResponse>()
            .map(|response| response.identities)
            .map_err(|code| Fault::Refused { code, path: None })
    }

    /// Proves an identity. A refusal ends the session.
    pub(crate) fn add_auth(&self, scheme: &str, auth: Option<Bytes>) -> Result<(), Fault> {
        self.submit(Call::Auth(AuthPacket { kind: 0, scheme: scheme.into(), auth }))
            .wait()
            .map(drop)
            .map_err(|code| about(scheme, code))
    }

    /// Leaves a lasting watch.
    pub(crate) fn add_watch(&self, path: &str, recursive: bool) -> Result<(), Fault> {
        let request = AddWatchRequest { path: self.outer(path)?, mode: i32::from(recursive) };
        self.submit(Call::AddWatch(request))
            .record::<ErrorResponse>()
            .map(drop)
            .map_err(|code| about(path, code))
    }

    /// Removes watches that this client has left; with `local` even where the server cannot be told.
    pub(crate) fn remove_watches(&self, path: &str, target: WatchTarget, local: bool) -> Result<(), Fault> {
        let request = WatchesRequest { path: self.outer(path)?, kind: target.number() };
        let outcome = self.remove(Call::RemoveWatches(request.clone()), target, false);
        let outcome = match outcome {
            Err(code) if local && code != KeeperCode::NO_WATCHER => {
                self.remove(Call::RemoveWatches(request), target, true)
            }
            outcome => outcome,
        };
        outcome.map_err(|code| about(path, code))
    }

    /// Asks for another ensemble and returns the configuration that was agreed on.
    pub(crate) fn reconfigure(&self, request: ReconfigRequest) -> Result<DataResponse, Fault> {
        self.submit(Call::Reconfig(request)).record().map_err(|code| Fault::Refused { code, path: None })
    }

    fn remove(&self, call: Call, target: WatchTarget, local: bool) -> Result<(), KeeperCode> {
        let (answer, receiver) = mpsc::channel();
        // An order that cannot be sent is dropped with its answer, which tells the receiver.
        let _ = self.orders.send(Order::RemoveWatches { call, target, local, answer });
        Pending(receiver).wait().map(drop)
    }

    fn begin_delete(&self, path: &str, version: i32) -> Result<Pending, Fault> {
        Ok(self.submit(Call::Delete(VersionedRequest { path: self.outer(path)?, version })))
    }

    fn path_request(&self, path: &str) -> Result<PathRequest, Fault> {
        Ok(PathRequest { path: self.outer(path)? })
    }

    fn outer(&self, path: &str) -> Result<Box<str>, BadPath> {
        check_path(path)?;
        Ok(self.connect.chroot.outer(path))
    }
}

fn about(path: &str, code: KeeperCode) -> Fault {
    Fault::Refused { code, path: Some(path.to_owned()) }
}
