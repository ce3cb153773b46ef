//! What a client asks, as requests to the node.

use std::time::Duration;

use bytes::Bytes;
use subtle::ConstantTimeEq as _;

use crate::client::digest_identity;
use crate::peer::{ReadLevel, Request, WatchRequest};
use crate::protocol::record::{
    AuthPacket, Call, CreateRequest, CreateTtlRequest, MultiOp, OpCode, ReadRequest, SetWatches2,
    VersionedRequest, WatchesRequest,
};
use crate::types::{
    Acl, CreateMode, ErrorCode, Expected, Identity, Lifetime, Read, RequestPath, Ttl, WatchMode, WatchTarget,
    Write,
};

use super::ConnectionOptions;
use super::answer::Expectation;

/// One request to the node, and what its answer becomes.
///
/// What is refused here and now goes to the node too, as a ping: so the refusal takes its place among the replies, shows the
/// node's position, and keeps the session alive, as any other request does.
pub(super) struct Step {
    pub(super) request: Request,
    pub(super) expectation: Expectation,
}

impl Step {
    pub(super) fn refuse(code: ErrorCode) -> Self {
        Self { request: Request::Ping, expectation: Expectation::Refusal(code) }
    }

    fn write(write: Write, expectation: Expectation) -> Self {
        Self { request: Request::Write { write, number: None }, expectation }
    }

    fn read(read: Read, watch: bool, expectation: Expectation) -> Self {
        Self { request: Request::Read { read, level: ReadLevel::Session, watch }, expectation }
    }

    fn watch(request: WatchRequest, expectation: Expectation) -> Self {
        Self { request: Request::Watch(request), expectation }
    }
}

/// What to ask of the node for a call, and whether the call is the last that is taken.
pub(super) fn steps(call: Call, own: &[Identity], options: &ConnectionOptions) -> (Vec<Step>, bool) {
    let step = match call {
        Call::Create(request) => create(request, OpCode::CREATE, Expectation::Path, options),
        Call::Create2(request) => create(request, OpCode::CREATE2, Expectation::PathAndStat, options),
        Call::CreateContainer(request) => {
            create(request, OpCode::CREATE_CONTAINER, Expectation::PathAndStat, options)
        }
        Call::CreateTtl(request) => match ttl_write(request, options) {
            Ok(write) => Step::write(write, Expectation::PathAndStat),
            Err(code) => Step::refuse(code),
        },
        Call::Delete(request) => Step::write(delete(&request), Expectation::Nothing),
        Call::SetData(request) => {
            Step::write(set_data(&request.path, request.data, request.version), Expectation::Stat)
        }
        Call::SetAcl(request) => {
            let expected = expected(request.version);
            let write = Write::SetAcl { path: path(&request.path), acl: request.acl, expected };
            Step::write(write, Expectation::Stat)
        }
        Call::Multi(request) => multi(request.ops, options),
        Call::Exists(ReadRequest { path: at, watch }) => {
            Step::read(Read::Exists { path: path(&at) }, watch, Expectation::Stat)
        }
        Call::GetData(ReadRequest { path: at, watch }) => {
            Step::read(Read::Get { path: path(&at) }, watch, Expectation::Data)
        }
        Call::GetChildren(ReadRequest { path: at, watch }) => {
            Step::read(Read::Children { path: path(&at) }, watch, Expectation::Children)
        }
        Call::GetChildren2(ReadRequest { path: at, watch }) => {
            Step::read(Read::Children { path: path(&at) }, watch, Expectation::ChildrenAndStat)
        }
        Call::GetAcl(request) => Step::read(Read::Acl { path: path(&request.path) }, false, Expectation::Acl),
        Call::GetEphemerals(request) => {
            // As in ZooKeeper what is blank means all.
            let prefix = request.path.trim_matches(|character| character <= ' ');
            let prefix = path(if prefix.is_empty() || prefix == "/" { "/" } else { &request.path });
            Step::read(Read::Ephemerals { prefix }, false, Expectation::Ephemerals)
        }
        Call::GetAllChildrenNumber(request) => {
            let path = path(&request.path);
            Step::read(Read::CountDescendants { path }, false, Expectation::Count)
        }
        Call::MultiRead(request) => {
            let reads = request.ops.iter().map(|(op, ReadRequest { path: at, .. })| match *op {
                OpCode::GET_DATA => Read::Get { path: path(at) },
                _ => Read::Children { path: path(at) },
            });
            Step::read(Read::Many(reads.collect()), false, Expectation::MultiRead)
        }
        Call::Sync(request) => Step { request: Request::Sync, expectation: Expectation::Echo(request.path) },
        Call::Ping => Step { request: Request::Ping, expectation: Expectation::Ping },
        Call::WhoAmI => Step { request: Request::WhoAmI, expectation: Expectation::Identities },
        Call::CheckWatches(request) => watches(&request, |path, target| WatchRequest::Check { path, target }),
        Call::RemoveWatches(request) => {
            watches(&request, |path, target| WatchRequest::Remove { path, target })
        }
        Call::AddWatch(request) => match watch_mode(request.mode) {
            Some(mode) => {
                Step::watch(WatchRequest::Add { path: path(&request.path), mode }, Expectation::NoError)
            }
            None => Step::refuse(ErrorCode::MarshallingError),
        },
        Call::SetWatches(request) => set_watches(SetWatches2 {
            since: request.since,
            data: request.data,
            exist: request.exist,
            child: request.child,
            persistent: Vec::new(),
            recursive: Vec::new(),
        }),
        Call::SetWatches2(request) => set_watches(request),
        Call::Reconfig(_) => Step::refuse(ErrorCode::ReconfigDisabled),
        Call::Auth(packet) => return authenticate(&packet, own, options),
        // No mechanism is offered.
        Call::Sasl(_) => return (vec![Step::refuse(ErrorCode::AuthFailed)], true),
        Call::CloseSession => {
            let step = Step { request: Request::CloseSession, expectation: Expectation::Nothing };
            return (vec![step], true);
        }
    };
    (vec![step], false)
}

fn path(text: &str) -> RequestPath {
    RequestPath::from(text)
}

fn expected(version: i32) -> Expected {
    if version == -1 { Expected::Any } else { Expected::Version(version) }
}

fn delete(request: &VersionedRequest) -> Write {
    Write::Delete { path: path(&request.path), expected: expected(request.version) }
}

fn set_data(at: &str, data: Option<Bytes>, version: i32) -> Write {
    Write::SetData { path: path(at), data, expected: expected(version) }
}

fn create(request: CreateRequest, op: OpCode, expectation: Expectation, options: &ConnectionOptions) -> Step {
    match create_write(request, op, options) {
        Ok(write) => Step::write(write, expectation),
        Err(code) => Step::refuse(code),
    }
}

fn create_write(request: CreateRequest, op: OpCode, options: &ConnectionOptions) -> Result<Write, ErrorCode> {
    let CreateRequest { path: at, data, acl, flags } = request;
    let mut mode = mode(flags, None, options)?;
    match op {
        // As in ZooKeeper the operation makes the container, whatever the flags say of that.
        OpCode::CREATE_CONTAINER => mode.lifetime = Lifetime::Container,
        // And by any other operation the flag for one makes an ordinary node.
        _ if mode.lifetime == Lifetime::Container => mode.lifetime = Lifetime::Persistent,
        _ => {}
    }
    Ok(write_of(&at, data, acl, mode))
}

/// ZooKeeper takes a node without a time to live by this operation, and its log then stops every server that reads it.
fn ttl_write(request: CreateTtlRequest, options: &ConnectionOptions) -> Result<Write, ErrorCode> {
    let CreateTtlRequest { path: at, data, acl, flags, ttl } = request;
    Ok(write_of(&at, data, acl, mode(flags, Some(ttl), options)?))
}

fn write_of(at: &str, data: Option<Bytes>, acl: Acl, mode: CreateMode) -> Write {
    Write::Create { path: path(at), data, acl, mode }
}

/// The kind of node that `flags` mean.
fn mode(flags: i32, ttl: Option<i64>, options: &ConnectionOptions) -> Result<CreateMode, ErrorCode> {
    let (lifetime, sequential) = match flags {
        0 | 2 => (Lifetime::Persistent, flags == 2),
        1 | 3 => (Lifetime::Ephemeral, flags == 3),
        4 => (Lifetime::Container, false),
        5 | 6 if !options.extended_types => return Err(ErrorCode::Unimplemented),
        5 | 6 => {
            let millis = ttl.and_then(|millis| u64::try_from(millis).ok()).ok_or(ErrorCode::BadArguments)?;
            let ttl = Ttl::new(Duration::from_millis(millis)).map_err(|_| ErrorCode::BadArguments)?;
            return Ok(CreateMode { lifetime: Lifetime::Ttl(ttl), sequential: flags == 6 });
        }
        _ => return Err(ErrorCode::BadArguments),
    };
    // A time to live for a node that has none.
    if ttl.is_some() { Err(ErrorCode::BadArguments) } else { Ok(CreateMode { lifetime, sequential }) }
}

fn multi(ops: Vec<MultiOp>, options: &ConnectionOptions) -> Step {
    let codes: Box<[OpCode]> = ops.iter().map(MultiOp::op).collect();
    let mut writes = Vec::with_capacity(ops.len());
    for (index, op) in ops.into_iter().enumerate() {
        let write = match op {
            MultiOp::Create(request) => create_write(request, OpCode::CREATE, options),
            MultiOp::Create2(request) => create_write(request, OpCode::CREATE2, options),
            MultiOp::CreateContainer(request) => create_write(request, OpCode::CREATE_CONTAINER, options),
            MultiOp::CreateTtl(request) => ttl_write(request, options),
            MultiOp::Delete(request) => Ok(delete(&request)),
            MultiOp::SetData(request) => Ok(set_data(&request.path, request.data, request.version)),
            MultiOp::Check(request) => {
                Ok(Write::Check { path: path(&request.path), expected: expected(request.version) })
            }
        };
        match write {
            Ok(write) => writes.push(write),
            // An operation before it may fail, and is then the one that is told. So the node has to judge; that the root
            // may not be deleted is what it answers this with.
            Err(ErrorCode::BadArguments) => {
                writes.push(Write::Delete { path: path("/"), expected: Expected::Any });
            }
            Err(code) => {
                let expectation = Expectation::FailedMulti { failed: index, code, of: codes.len() };
                return Step { request: Request::Ping, expectation };
            }
        }
    }
    Step::write(Write::Multi(writes), Expectation::Multi(codes))
}

fn watches(request: &WatchesRequest, make: impl FnOnce(RequestPath, WatchTarget) -> WatchRequest) -> Step {
    let target = match request.kind {
        1 => WatchTarget::Children,
        2 => WatchTarget::Data,
        3 => WatchTarget::Any,
        4 => WatchTarget::Persistent,
        5 => WatchTarget::PersistentRecursive,
        _ => return Step::refuse(ErrorCode::MarshallingError),
    };
    Step::watch(make(path(&request.path), target), Expectation::Nothing)
}

fn watch_mode(mode: i32) -> Option<WatchMode> {
    match mode {
        0 => Some(WatchMode::Persistent),
        1 => Some(WatchMode::PersistentRecursive),
        _ => None,
    }
}

fn set_watches(request: SetWatches2) -> Step {
    let paths = |texts: &[Box<str>]| texts.iter().map(|text| path(text)).collect();
    let restore = WatchRequest::Restore {
        since: request.since,
        data: paths(&request.data),
        exist: paths(&request.exist),
        child: paths(&request.child),
        persistent: paths(&request.persistent),
        recursive: paths(&request.recursive),
    };
    Step::watch(restore, Expectation::Nothing)
}

fn authenticate(packet: &AuthPacket, own: &[Identity], options: &ConnectionOptions) -> (Vec<Step>, bool) {
    let identity = |identity, expectation| Step { request: Request::AddIdentity(identity), expectation };
    let known = || Step { request: Request::Ping, expectation: Expectation::Identity };
    let steps = match &*packet.scheme {
        "digest" => {
            let credentials = String::from_utf8_lossy(packet.auth.as_deref().unwrap_or_default());
            let digest = digest_identity(&credentials);
            let is_super = options
                .super_digest
                .as_ref()
                .is_some_and(|expected| bool::from(expected.as_bytes().ct_eq(digest.id.as_bytes())));
            let superuser =
                is_super.then(|| identity(Identity::new("super", ""), Expectation::FirstIdentity));
            superuser.into_iter().chain([identity(digest, Expectation::Identity)]).collect()
        }
        // The connection proves its address, and its certificate, by itself.
        "ip" => vec![known()],
        "x509" if own.iter().any(|identity| &*identity.scheme == "x509") => vec![known()],
        _ => return (vec![Step::refuse(ErrorCode::AuthFailed)], true),
    };
    (steps, false)
}
