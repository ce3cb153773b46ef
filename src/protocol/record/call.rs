use bytes::BytesMut;
use thiserror::Error;

use super::{
    AddWatchRequest, AuthPacket, CreateRequest, CreateTtlRequest, DecodeError, Decoder, MultiReadRequest,
    MultiRequest, OpCode, PathRequest, ReadRequest, ReconfigRequest, Record, SaslRequest, SetAclRequest,
    SetDataRequest, SetWatches, SetWatches2, VersionedRequest, WatchesRequest,
};

/// All that a client can ask once it has a session; each with its record.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is named as the operation in `OpCode`, which says what it is")]
pub enum Call {
    Create(CreateRequest),
    Delete(VersionedRequest),
    Exists(ReadRequest),
    GetData(ReadRequest),
    SetData(SetDataRequest),
    GetAcl(PathRequest),
    SetAcl(SetAclRequest),
    GetChildren(ReadRequest),
    Sync(PathRequest),
    Ping,
    GetChildren2(ReadRequest),
    Multi(MultiRequest),
    Create2(CreateRequest),
    Reconfig(ReconfigRequest),
    CheckWatches(WatchesRequest),
    RemoveWatches(WatchesRequest),
    CreateContainer(CreateRequest),
    CreateTtl(CreateTtlRequest),
    MultiRead(MultiReadRequest),
    Auth(AuthPacket),
    SetWatches(SetWatches),
    Sasl(SaslRequest),
    GetEphemerals(PathRequest),
    GetAllChildrenNumber(PathRequest),
    SetWatches2(SetWatches2),
    AddWatch(AddWatchRequest),
    WhoAmI,
    CloseSession,
}

/// Why a request is none. Nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum CallError {
    /// There is no such operation for a client.
    #[error("there is no operation {0:?} for a client; is the client newer than this server?")]
    Unknown(OpCode),
    /// Its record cannot be decoded.
    #[error("the record of {op:?} cannot be decoded: {cause}")]
    Malformed {
        /// The operation.
        op: OpCode,
        /// What is wrong.
        #[source]
        cause: DecodeError,
    },
}

impl From<CallError> for DecodeError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unknown(op) => Self::Misplaced(op.number()),
            CallError::Malformed { cause, .. } => cause,
        }
    }
}

impl Call {
    /// The request of operation `op`, behind its header.
    ///
    /// # Errors
    ///
    /// When there is no such operation, or the record is malformed. `check` stands only in a multi, and `deleteContainer` is no
    /// client's business (ZooKeeper takes it from anybody, without a look at ACLs): both are unknown here.
    pub fn decode(op: OpCode, input: &mut Decoder) -> Result<Self, CallError> {
        Self::decode_known(op, input)
            .map_err(|cause| CallError::Malformed { op, cause })?
            .ok_or(CallError::Unknown(op))
    }

    /// Appends the record, without header.
    pub fn encode(&self, output: &mut BytesMut) {
        match self {
            Self::Create(request) | Self::Create2(request) | Self::CreateContainer(request) => {
                request.encode(output);
            }
            Self::CreateTtl(request) => request.encode(output),
            Self::Delete(request) => request.encode(output),
            Self::Exists(request)
            | Self::GetData(request)
            | Self::GetChildren(request)
            | Self::GetChildren2(request) => request.encode(output),
            Self::SetData(request) => request.encode(output),
            Self::GetAcl(request)
            | Self::Sync(request)
            | Self::GetEphemerals(request)
            | Self::GetAllChildrenNumber(request) => request.encode(output),
            Self::SetAcl(request) => request.encode(output),
            Self::Multi(request) => request.encode(output),
            Self::MultiRead(request) => request.encode(output),
            Self::Reconfig(request) => request.encode(output),
            Self::CheckWatches(request) | Self::RemoveWatches(request) => request.encode(output),
            Self::Auth(packet) => packet.encode(output),
            Self::SetWatches(request) => request.encode(output),
            Self::SetWatches2(request) => request.encode(output),
            Self::AddWatch(request) => request.encode(output),
            Self::Sasl(request) => request.encode(output),
            Self::Ping | Self::WhoAmI | Self::CloseSession => {}
        }
    }

    /// The operation's number.
    #[must_use]
    pub const fn op(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::CREATE,
            Self::Delete(_) => OpCode::DELETE,
            Self::Exists(_) => OpCode::EXISTS,
            Self::GetData(_) => OpCode::GET_DATA,
            Self::SetData(_) => OpCode::SET_DATA,
            Self::GetAcl(_) => OpCode::GET_ACL,
            Self::SetAcl(_) => OpCode::SET_ACL,
            Self::GetChildren(_) => OpCode::GET_CHILDREN,
            Self::Sync(_) => OpCode::SYNC,
            Self::Ping => OpCode::PING,
            Self::GetChildren2(_) => OpCode::GET_CHILDREN2,
            Self::Multi(_) => OpCode::MULTI,
            Self::Create2(_) => OpCode::CREATE2,
            Self::Reconfig(_) => OpCode::RECONFIG,
            Self::CheckWatches(_) => OpCode::CHECK_WATCHES,
            Self::RemoveWatches(_) => OpCode::REMOVE_WATCHES,
            Self::CreateContainer(_) => OpCode::CREATE_CONTAINER,
            Self::CreateTtl(_) => OpCode::CREATE_TTL,
            Self::MultiRead(_) => OpCode::MULTI_READ,
            Self::Auth(_) => OpCode::AUTH,
            Self::SetWatches(_) => OpCode::SET_WATCHES,
            Self::Sasl(_) => OpCode::SASL,
            Self::GetEphemerals(_) => OpCode::GET_EPHEMERALS,
            Self::GetAllChildrenNumber(_) => OpCode::GET_ALL_CHILDREN_NUMBER,
            Self::SetWatches2(_) => OpCode::SET_WATCHES2,
            Self::AddWatch(_) => OpCode::ADD_WATCH,
            Self::WhoAmI => OpCode::WHO_AM_I,
            Self::CloseSession => OpCode::CLOSE_SESSION,
        }
    }

    fn decode_known(op: OpCode, input: &mut Decoder) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match op {
            OpCode::CREATE => Self::Create(Record::decode(input)?),
            OpCode::DELETE => Self::Delete(Record::decode(input)?),
            OpCode::EXISTS => Self::Exists(Record::decode(input)?),
            OpCode::GET_DATA => Self::GetData(Record::decode(input)?),
            OpCode::SET_DATA => Self::SetData(Record::decode(input)?),
            OpCode::GET_ACL => Self::GetAcl(Record::decode(input)?),
            OpCode::SET_ACL => Self::SetAcl(Record::decode(input)?),
            OpCode::GET_CHILDREN => Self::GetChildren(Record::decode(input)?),
            OpCode::SYNC => Self::Sync(Record::decode(input)?),
            OpCode::PING => Self::Ping,
            OpCode::GET_CHILDREN2 => Self::GetChildren2(Record::decode(input)?),
            OpCode::MULTI => Self::Multi(Record::decode(input)?),
            OpCode::CREATE2 => Self::Create2(Record::decode(input)?),
            OpCode::RECONFIG => Self::Reconfig(Record::decode(input)?),
            OpCode::CHECK_WATCHES => Self::CheckWatches(Record::decode(input)?),
            OpCode::REMOVE_WATCHES => Self::RemoveWatches(Record::decode(input)?),
            OpCode::CREATE_CONTAINER => Self::CreateContainer(Record::decode(input)?),
            OpCode::CREATE_TTL => Self::CreateTtl(Record::decode(input)?),
            OpCode::MULTI_READ => Self::MultiRead(Record::decode(input)?),
            OpCode::AUTH => Self::Auth(Record::decode(input)?),
            OpCode::SET_WATCHES => Self::SetWatches(Record::decode(input)?),
            OpCode::SASL => Self::Sasl(Record::decode(input)?),
            OpCode::GET_EPHEMERALS => Self::GetEphemerals(Record::decode(input)?),
            OpCode::GET_ALL_CHILDREN_NUMBER => Self::GetAllChildrenNumber(Record::decode(input)?),
            OpCode::SET_WATCHES2 => Self::SetWatches2(Record::decode(input)?),
            OpCode::ADD_WATCH => Self::AddWatch(Record::decode(input)?),
            OpCode::WHO_AM_I => Self::WhoAmI,
            OpCode::CLOSE_SESSION => Self::CloseSession,
            _ => return Ok(None),
        }))
    }
}
