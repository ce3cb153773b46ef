//! A node that agrees to everything, and a client's view of what comes back.

use bytes::{Bytes, BytesMut};

use crate::peer::Answer;
use crate::protocol::record::frame_of;
use crate::types::{Acl, ClientId, Found, Read, Refusal, Stat, WallTime, Write, Written, ZnodePath};

use super::super::*;

pub(super) const SESSION: SessionId = SessionId::from_u64(0x1_0000_0001);
pub(super) const PASSWORD: [u8; 16] = *b"sixteen bytes ok";
pub(super) const ZXID: Zxid = Zxid::from_u64(0x1_0000_0042);

/// Hosts one connection: answers what it asks at once, and keeps what it asked and sent.
pub(super) struct Host {
    pub(super) connection: ClientConnection,
    pub(super) asked: Vec<ConnectionEvent>,
    pub(super) sent: Vec<u8>,
    /// What the node refuses instead of answering.
    pub(super) refusal: Option<Refusal>,
    pub(super) is_silent: bool,
}

/// A reply as a client sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    pub(super) xid: i32,
    pub(super) err: i32,
    pub(super) body: Bytes,
}

impl Host {
    pub(super) fn new(options: ConnectionOptions) -> Self {
        let identities = vec![Identity::new("ip", "127.0.0.1")];
        Self {
            connection: ClientConnection::new(Arc::new(options), identities),
            asked: Vec::new(),
            sent: Vec::new(),
            refusal: None,
            is_silent: false,
        }
    }

    /// A host whose client has its session; what was asked and sent for that is forgotten.
    pub(super) fn open() -> Self {
        Self::open_with(ConnectionOptions::default())
    }

    pub(super) fn open_with(options: ConnectionOptions) -> Self {
        let mut host = Self::new(options);
        host.feed(&frame_of(&connect_request()));
        assert!(host.connection.is_open());
        host.asked.clear();
        host.sent.clear();
        host
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.connection.handle_bytes(Time::ZERO, bytes);
        self.settle();
    }

    pub(super) fn call(&mut self, xid: i32, call: &Call) {
        self.feed(&request_frame(xid, call));
    }

    pub(super) fn deliver(&mut self, delivery: Delivery) {
        self.connection.handle_delivery(Time::ZERO, delivery);
        self.settle();
    }

    pub(super) fn reply(&mut self, tag: u64, result: Result<Answer, Refusal>) {
        self.deliver(Delivery::Reply(Reply { client: ClientId::new(1), tag, zxid: ZXID, result }));
    }

    /// The replies and events that were sent after the answer to the connect request.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let mut frames = Frames::new(usize::MAX >> 1);
        frames.push(&self.sent);
        let mut all = Vec::new();
        while let Some(frame) = frames.next_frame().unwrap() {
            let mut input = Decoder::new(frame.clone());
            let ReplyHeader { xid, err, .. } = ReplyHeader::decode(&mut input).unwrap();
            all.push(Seen { xid, err, body: frame.slice(16..) });
        }
        assert_eq!(frames.waiting(), 0);
        all
    }

    /// The same without bodies.
    pub(super) fn headers(&self) -> Vec<(i32, i32)> {
        self.seen().into_iter().map(|seen| (seen.xid, seen.err)).collect()
    }

    fn settle(&mut self) {
        loop {
            self.carry_out();
            let output = std::mem::take(self.connection.output());
            if output.is_empty() {
                return;
            }
            self.sent.extend_from_slice(&output);
            self.connection.handle_sent(Time::ZERO);
        }
    }

    fn carry_out(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            self.asked.push(event.clone());
            if self.is_silent {
                continue;
            }
            match event {
                ConnectionEvent::Word(word) => self.connection.handle_text(word.as_str()),
                ConnectionEvent::Attach(attach) => {
                    let session = attach.resume.map_or(SESSION, |(session, _)| session);
                    self.connection.handle_delivery(Time::ZERO, connected(session, attach.timeout_millis));
                }
                ConnectionEvent::Request { tag, request } => {
                    let ends = request == Request::CloseSession;
                    let result = match self.refusal {
                        Some(refusal) if request != Request::Ping => Err(refusal),
                        _ => Ok(agree(&request)),
                    };
                    let reply = Reply { client: ClientId::new(1), tag, zxid: ZXID, result };
                    self.connection.handle_delivery(Time::ZERO, Delivery::Reply(reply));
                    if ends {
                        let closed = Delivery::Closed(CloseReason::ClosedByClient);
                        self.connection.handle_delivery(Time::ZERO, closed);
                    }
                }
            }
        }
    }
}

pub(super) fn connect_request() -> ConnectRequest {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout: 10_000,
        session: SessionId::NONE,
        password: Some(Bytes::from_static(&[0; 16])),
        read_only: Some(false),
    }
}

pub(super) fn connected(session: SessionId, timeout_millis: u32) -> Delivery {
    Delivery::Connected(Connected {
        client: ClientId::new(1),
        session,
        password: Password::new(PASSWORD),
        timeout_millis,
        resumed: false,
    })
}

pub(super) fn request_frame(xid: i32, call: &Call) -> BytesMut {
    let mut frame = BytesMut::new();
    encode_frame(&mut frame, |output| {
        RequestHeader { xid, op: call.op() }.encode(output);
        call.encode(output);
    });
    frame
}

/// A frame with this header and any bytes behind it.
pub(super) fn raw_frame(xid: i32, op: i32, body: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    encode_frame(&mut frame, |output| {
        RequestHeader { xid, op: OpCode::new(op) }.encode(output);
        output.extend_from_slice(body);
    });
    frame
}

pub(super) fn stat() -> Stat {
    Stat {
        czxid: ZXID,
        mzxid: ZXID,
        pzxid: ZXID,
        ctime: WallTime::from_millis(1),
        mtime: WallTime::from_millis(1),
        version: 0,
        cversion: 0,
        aversion: 0,
        ephemeral_owner: SessionId::NONE,
        data_length: 0,
        num_children: 0,
    }
}

fn agree(request: &Request) -> Answer {
    match request {
        Request::Write { write, .. } => Answer::Written(written(write)),
        Request::Read { read, .. } => Answer::Found(found(read)),
        Request::WhoAmI => Answer::Identities(vec![Identity::new("digest", "ann:hash")]),
        _ => Answer::Done,
    }
}

fn written(write: &Write) -> Written {
    match write {
        Write::Create { path, .. } => {
            Written::Created { path: path.parse().unwrap_or_else(|_| ZnodePath::root()), stat: stat() }
        }
        Write::SetData { .. } => Written::DataSet(stat()),
        Write::SetAcl { .. } => Written::AclSet(stat()),
        Write::Check { .. } => Written::Checked,
        Write::Multi(writes) => Written::Multi(writes.iter().map(written).collect()),
        _ => Written::Deleted,
    }
}

fn found(read: &Read) -> Found {
    match read {
        Read::Exists { .. } => Found::Stat(stat()),
        Read::Children { .. } => Found::Children { names: vec!["a".into(), "b".into()], stat: stat() },
        Read::Acl { .. } => Found::Acl { acl: Acl::open(), stat: stat() },
        Read::Ephemerals { .. } => Found::Ephemerals(vec![ZnodePath::parse("/e").unwrap()]),
        Read::CountDescendants { .. } => Found::Count(7),
        Read::Many(reads) => Found::Many(reads.iter().map(|read| Ok(found(read))).collect()),
        _ => Found::Data { data: Some(Bytes::from_static(b"data")), stat: stat() },
    }
}
