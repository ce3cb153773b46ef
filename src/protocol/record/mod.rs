//! The records of ZooKeeper's client protocol, both directions: what a server needs to read requests and write
//! replies, and what a client, a test or a fuzzer needs for the reverse.
//!
//! The encoding is ZooKeeper's *jute*: fields one after another without tags; numbers big-endian; a buffer, a string
//! and a vector each behind a 32-bit length, where -1 stands for null. On the wire every record, or header with record,
//! is behind a 32-bit length of its own: [`Frames`] takes a stream apart, [`encode_frame`] puts one frame together.
//!
//! Decoding allocates in proportion to what has arrived and never by what a length claims. Data is a slice of the frame
//! ([`Bytes`]), not a copy. Bytes behind a record are left alone, as ZooKeeper does.
//!
//! ```
//! use quorate::protocol::record::{Call, Decoder, OpCode, ReadRequest, Record, RequestHeader};
//!
//! let call = Call::GetData(ReadRequest { path: "/app".into(), watch: true });
//! let mut bytes = bytes::BytesMut::new();
//! RequestHeader { xid: 1, op: call.op() }.encode(&mut bytes);
//! call.encode(&mut bytes);
//!
//! let mut input = Decoder::new(bytes.freeze());
//! let header = RequestHeader::decode(&mut input)?;
//! assert_eq!(header.op, OpCode::GET_DATA);
//! assert_eq!(Call::decode(header.op, &mut input)?, call);
//! # Ok::<(), quorate::protocol::record::DecodeError>(())
//! ```

mod call;
mod connect;
mod decoder;
mod field;
mod frame;
mod multi;
mod op_code;
mod request;
mod response;
#[cfg(test)]
pub(in crate::protocol) mod tests;

use bytes::{BufMut as _, Bytes, BytesMut};

pub use call::{Call, CallError};
pub use connect::{ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader, xid};
pub use decoder::{DecodeError, Decoder};
pub use frame::{FrameTooLong, Frames};
pub use multi::{MultiOp, MultiReadRequest, MultiRequest, MultiResponse, MultiResult};
pub use op_code::OpCode;
pub use request::{
    AddWatchRequest, AuthPacket, CreateRequest, CreateTtlRequest, PathRequest, ReadRequest, ReconfigRequest,
    SaslRequest, SetAclRequest, SetDataRequest, SetWatches, SetWatches2, VersionedRequest, WatchesRequest,
};
pub use response::{
    AclResponse, Children2Response, ChildrenResponse, CountResponse, Create2Response, DataResponse,
    EphemeralsResponse, ErrorResponse, PathResponse, SaslResponse, WatcherEvent, WhoAmIResponse,
};

/// The largest frame that ZooKeeper takes unless it is configured otherwise (`jute.maxbuffer`).
pub const DEFAULT_MAX_FRAME: usize = 0xf_ffff;

/// Something that the protocol encodes: a record, or a field of one.
pub trait Record: Sized {
    /// The fewest bytes that one takes.
    const MIN_LEN: usize;

    /// Takes one off the front of `input`.
    ///
    /// # Errors
    ///
    /// When the bytes are no such record. How much of `input` was taken is not said.
    fn decode(input: &mut Decoder) -> Result<Self, DecodeError>;

    /// Appends it to `output`.
    fn encode(&self, output: &mut BytesMut);
}

/// The bytes that `fill` writes, behind their length: one frame.
pub fn encode_frame(output: &mut BytesMut, fill: impl FnOnce(&mut BytesMut)) {
    let start = output.len();
    output.put_i32(0);
    fill(output);
    let len = output.len() - start - 4;
    // A frame beyond 2 GiB is none that any peer takes; its length says so.
    let len = i32::try_from(len).unwrap_or(i32::MAX);
    if let Some(prefix) = output.get_mut(start..start + 4) {
        prefix.copy_from_slice(&len.to_be_bytes());
    }
}

/// One record as a frame of its own.
#[must_use]
pub fn frame_of(record: &impl Record) -> Bytes {
    let mut output = BytesMut::new();
    encode_frame(&mut output, |output| record.encode(output));
    output.freeze()
}
