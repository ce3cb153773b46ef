use bytes::{BufMut as _, Bytes, BytesMut};

use crate::types::Stat;

use super::{
    ChildrenResponse, Create2Response, CreateRequest, CreateTtlRequest, DataResponse, DecodeError, Decoder,
    OpCode, PathResponse, ReadRequest, Record, SetDataRequest, VersionedRequest,
};

/// The length of `MultiHeader`: type, done, err.
const HEADER_LEN: usize = 9;

/// One operation of a multi.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum MultiOp {
    /// Create a node; answered with its path.
    Create(CreateRequest),
    /// Create a node; answered with its path and stat.
    Create2(CreateRequest),
    /// Create a container.
    CreateContainer(CreateRequest),
    /// Create a node with a time to live.
    CreateTtl(CreateTtlRequest),
    /// Delete a node.
    Delete(VersionedRequest),
    /// Replace a node's data.
    SetData(SetDataRequest),
    /// Fail unless a node is at a version.
    Check(VersionedRequest),
}

impl MultiOp {
    /// The operation's number.
    #[must_use]
    pub const fn op(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::CREATE,
            Self::Create2(_) => OpCode::CREATE2,
            Self::CreateContainer(_) => OpCode::CREATE_CONTAINER,
            Self::CreateTtl(_) => OpCode::CREATE_TTL,
            Self::Delete(_) => OpCode::DELETE,
            Self::SetData(_) => OpCode::SET_DATA,
            Self::Check(_) => OpCode::CHECK,
        }
    }

    fn decode(op: OpCode, input: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match op {
            OpCode::CREATE => Self::Create(Record::decode(input)?),
            OpCode::CREATE2 => Self::Create2(Record::decode(input)?),
            OpCode::CREATE_CONTAINER => Self::CreateContainer(Record::decode(input)?),
            OpCode::CREATE_TTL => Self::CreateTtl(Record::decode(input)?),
            OpCode::DELETE => Self::Delete(Record::decode(input)?),
            OpCode::SET_DATA => Self::SetData(Record::decode(input)?),
            OpCode::CHECK => Self::Check(Record::decode(input)?),
            other => return Err(DecodeError::Misplaced(other.number())),
        })
    }

    fn encode(&self, output: &mut BytesMut) {
        match self {
            Self::Create(request) | Self::Create2(request) | Self::CreateContainer(request) => {
                request.encode(output);
            }
            Self::CreateTtl(request) => request.encode(output),
            Self::Delete(request) | Self::Check(request) => request.encode(output),
            Self::SetData(request) => request.encode(output),
        }
    }
}

/// The operations of a multi: `{header, operation}*`, and a header that says that this was all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MultiRequest {
    /// The operations, in order.
    pub ops: Vec<MultiOp>,
}

impl Record for MultiRequest {
    const MIN_LEN: usize = HEADER_LEN;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        let mut ops = Vec::new();
        while let Some((op, _)) = next_header(input)? {
            ops.push(MultiOp::decode(op, input)?);
        }
        Ok(Self { ops })
    }

    fn encode(&self, output: &mut BytesMut) {
        for op in &self.ops {
            put_header(output, op.op(), -1);
            op.encode(output);
        }
        put_end(output);
    }
}

/// The operations of a multiRead: getData and getChildren.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MultiReadRequest {
    /// The operations ([`OpCode::GET_DATA`] or [`OpCode::GET_CHILDREN`]), in order.
    pub ops: Vec<(OpCode, ReadRequest)>,
}

impl Record for MultiReadRequest {
    const MIN_LEN: usize = HEADER_LEN;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        let mut ops = Vec::new();
        while let Some((op, _)) = next_header(input)? {
            if !matches!(op, OpCode::GET_DATA | OpCode::GET_CHILDREN) {
                return Err(DecodeError::Misplaced(op.number()));
            }
            ops.push((op, ReadRequest::decode(input)?));
        }
        Ok(Self { ops })
    }

    fn encode(&self, output: &mut BytesMut) {
        for (op, request) in &self.ops {
            put_header(output, *op, -1);
            request.encode(output);
        }
        put_end(output);
    }
}

/// The result of one operation of a multi or a multiRead.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum MultiResult {
    /// A node was created.
    Created {
        /// Its path.
        path: Box<str>,
    },
    /// A node was created by create2, createContainer or createTTL.
    Created2 {
        /// Its path.
        path: Box<str>,
        /// Its stat.
        stat: Stat,
    },
    /// A node was deleted.
    Deleted,
    /// A node's data was replaced.
    DataSet(Stat),
    /// A check held.
    Checked,
    /// A node's data and stat.
    Data {
        /// The data.
        data: Option<Bytes>,
        /// The stat.
        stat: Stat,
    },
    /// A node's children.
    Children(Vec<Box<str>>),
    /// The operation failed, with this error code; 0 for one that would have succeeded, -2 for one that was not tried.
    Failed(i32),
}

/// The results of a multi or a multiRead, in the order of the operations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MultiResponse {
    /// The results.
    pub results: Vec<MultiResult>,
}

impl Record for MultiResponse {
    const MIN_LEN: usize = HEADER_LEN;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        let mut results = Vec::new();
        while let Some((op, _)) = next_header(input)? {
            results.push(match op {
                OpCode::CREATE => MultiResult::Created { path: PathResponse::decode(input)?.path },
                OpCode::CREATE2 => {
                    let Create2Response { path, stat } = Record::decode(input)?;
                    MultiResult::Created2 { path, stat }
                }
                OpCode::DELETE => MultiResult::Deleted,
                OpCode::SET_DATA => MultiResult::DataSet(Record::decode(input)?),
                OpCode::CHECK => MultiResult::Checked,
                OpCode::GET_DATA => {
                    let DataResponse { data, stat } = Record::decode(input)?;
                    MultiResult::Data { data, stat }
                }
                OpCode::GET_CHILDREN => MultiResult::Children(ChildrenResponse::decode(input)?.children),
                OpCode::ERROR => MultiResult::Failed(input.int()?),
                other => return Err(DecodeError::Misplaced(other.number())),
            });
        }
        Ok(Self { results })
    }

    fn encode(&self, output: &mut BytesMut) {
        for result in &self.results {
            match result {
                MultiResult::Created { path } => {
                    put_header(output, OpCode::CREATE, 0);
                    path.encode(output);
                }
                MultiResult::Created2 { path, stat } => {
                    put_header(output, OpCode::CREATE2, 0);
                    path.encode(output);
                    stat.encode(output);
                }
                MultiResult::Deleted => put_header(output, OpCode::DELETE, 0),
                MultiResult::DataSet(stat) => {
                    put_header(output, OpCode::SET_DATA, 0);
                    stat.encode(output);
                }
                MultiResult::Checked => put_header(output, OpCode::CHECK, 0),
                MultiResult::Data { data, stat } => {
                    put_header(output, OpCode::GET_DATA, 0);
                    data.encode(output);
                    stat.encode(output);
                }
                MultiResult::Children(names) => {
                    put_header(output, OpCode::GET_CHILDREN, 0);
                    names.encode(output);
                }
                MultiResult::Failed(err) => {
                    put_header(output, OpCode::ERROR, *err);
                    output.put_i32(*err);
                }
            }
        }
        put_end(output);
    }
}

/// The header of the next operation: its number and error; none at the end.
fn next_header(input: &mut Decoder) -> Result<Option<(OpCode, i32)>, DecodeError> {
    let (op, done, err) = (OpCode::decode(input)?, input.boolean()?, input.int()?);
    Ok(if done { None } else { Some((op, err)) })
}

fn put_header(output: &mut BytesMut, op: OpCode, err: i32) {
    op.encode(output);
    output.put_u8(0);
    output.put_i32(err);
}

fn put_end(output: &mut BytesMut) {
    output.put_i32(-1);
    output.put_u8(1);
    output.put_i32(-1);
}
