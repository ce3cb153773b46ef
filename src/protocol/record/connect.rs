use bytes::{Bytes, BytesMut};

use crate::types::{SessionId, Zxid};

use super::field::records;
use super::{DecodeError, Decoder, OpCode, Record};

/// Numbers of requests and replies that mean something of their own. A client numbers its requests from 1.
pub mod xid {
    /// A watch event.
    pub const NOTIFICATION: i32 = -1;
    /// A ping and its reply.
    pub const PING: i32 = -2;
    /// An auth packet and its reply.
    pub const AUTH: i32 = -4;
    /// SetWatches, SetWatches2 and their replies.
    pub const SET_WATCHES: i32 = -8;
}

records! {
    /// What stands before every request.
    pub struct RequestHeader {
        /// The client's number for it, which the reply repeats.
        xid: i32,
        /// What is asked.
        op: OpCode,
    }

    /// What stands before every reply. The response follows only where `err` is 0.
    pub struct ReplyHeader {
        /// The number of the request, or [`xid::NOTIFICATION`].
        xid: i32,
        /// The last transaction that the server has applied.
        zxid: Zxid,
        /// 0, or an error code; see [`ErrorCode::number`](crate::ErrorCode::number).
        err: i32,
    }
}

/// The first frame from a client: it wants a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectRequest {
    /// Always 0.
    pub protocol_version: i32,
    /// The largest zxid that the client has seen.
    pub last_zxid_seen: i64,
    /// The timeout that the client wishes for, in milliseconds.
    pub timeout: i32,
    /// The session to take up again, or [`SessionId::NONE`] for a new one.
    pub session: SessionId,
    /// That session's password; 16 bytes, any of them for a new session.
    pub password: Option<Bytes>,
    /// Whether the client would be content with a server that only reads; clients before 3.4 do not send it.
    pub read_only: Option<bool>,
}

impl Record for ConnectRequest {
    const MIN_LEN: usize = 28;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: input.int()?,
            last_zxid_seen: input.long()?,
            timeout: input.int()?,
            session: Record::decode(input)?,
            password: input.buffer()?,
            read_only: flag(input)?,
        })
    }

    fn encode(&self, output: &mut BytesMut) {
        self.protocol_version.encode(output);
        self.last_zxid_seen.encode(output);
        self.timeout.encode(output);
        self.session.encode(output);
        self.password.encode(output);
        put_flag(self.read_only, output);
    }
}

/// The answer to a [`ConnectRequest`]. With no session and a timeout of 0 it says that the session has expired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectResponse {
    /// Always 0.
    pub protocol_version: i32,
    /// The timeout that was agreed, in milliseconds.
    pub timeout: i32,
    /// The session.
    pub session: SessionId,
    /// What it is taken up again with.
    pub password: Option<Bytes>,
    /// Whether the server only reads; sent to a client that has sent the flag.
    pub read_only: Option<bool>,
}

impl ConnectResponse {
    /// The session has expired, or the password is not its own.
    #[must_use]
    pub fn expired(read_only: Option<bool>) -> Self {
        Self {
            protocol_version: 0,
            timeout: 0,
            session: SessionId::NONE,
            password: Some(Bytes::from_static(&[0; 16])),
            read_only,
        }
    }
}

impl Record for ConnectResponse {
    const MIN_LEN: usize = 20;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: input.int()?,
            timeout: input.int()?,
            session: Record::decode(input)?,
            password: input.buffer()?,
            read_only: flag(input)?,
        })
    }

    fn encode(&self, output: &mut BytesMut) {
        self.protocol_version.encode(output);
        self.timeout.encode(output);
        self.session.encode(output);
        self.password.encode(output);
        put_flag(self.read_only, output);
    }
}

fn flag(input: &mut Decoder) -> Result<Option<bool>, DecodeError> {
    if input.remaining() == 0 { Ok(None) } else { input.boolean().map(Some) }
}

fn put_flag(flag: Option<bool>, output: &mut BytesMut) {
    if let Some(flag) = flag {
        flag.encode(output);
    }
}
