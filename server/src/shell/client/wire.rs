use std::collections::VecDeque;
use std::sync::mpsc;

use bytes::{Bytes, BytesMut};
use quorate::protocol::record::{
    AuthPacket, Call, ConnectRequest, ConnectResponse, Decoder, Record as _, ReplyHeader, RequestHeader,
    WatcherEvent, encode_frame, xid,
};
use quorate::{SessionId, Zxid};
use thiserror::Error;

use super::code::KeeperCode;
use super::event::{ConnectionState, Event, WatchKind};
use super::watches::{WatchTarget, Watches};

/// Where the body of a reply goes, or why there is none.
pub(super) type Answer = mpsc::Sender<Result<Bytes, KeeperCode>>;

/// The client's side of one session: what was asked, what is watched, what was seen. Pure: frames in, bytes, answers and
/// events out.
pub(super) struct Wire {
    session: SessionId,
    password: Bytes,
    seen: Zxid,
    last_xid: i32,
    pending: VecDeque<Pending>,
    /// Who waits for the answers to credentials, in order; those that were sent again have nobody.
    proving: VecDeque<Option<Answer>>,
    watches: Watches,
    credentials: Vec<AuthPacket>,
    /// Answers that wait until the events before them are told.
    due: Vec<(Answer, Result<Bytes, KeeperCode>)>,
    output: BytesMut,
}

struct Pending {
    xid: i32,
    call: Call,
    answer: Option<Answer>,
    removal: Option<WatchTarget>,
}

/// What a server says to a client that wants a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Greeting {
    /// The session is there, with this timeout in milliseconds.
    Connected { timeout: i32, read_only: bool },
    /// It was there, and is no more.
    Expired,
}

/// The server does not keep to the protocol. The connection is of no use any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the server does not keep to ZooKeeper's protocol")]
pub(super) struct ProtocolError;

impl Wire {
    /// No session yet.
    pub(super) fn new() -> Self {
        Self {
            session: SessionId::NONE,
            password: Bytes::from_static(&[0; 16]),
            seen: Zxid::ZERO,
            last_xid: 0,
            pending: VecDeque::new(),
            proving: VecDeque::new(),
            watches: Watches::default(),
            credentials: Vec::new(),
            due: Vec::new(),
            output: BytesMut::new(),
        }
    }

    /// Begins a connection: asks for a session, or for the old one. What waited to be sent on an earlier one is dropped.
    pub(super) fn hello(&mut self, timeout: i32, read_only: bool) {
        self.output.clear();
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: i64::from_be_bytes(self.seen.as_u64().to_be_bytes()),
            timeout,
            session: self.session,
            password: Some(self.password.clone()),
            read_only: Some(read_only),
        };
        encode_frame(&mut self.output, |output| request.encode(output));
    }

    /// Takes the first frame of a connection; with a session, credentials and watches are sent again.
    pub(super) fn greeting(&mut self, frame: Bytes) -> Result<Greeting, ProtocolError> {
        let response = ConnectResponse::decode(&mut Decoder::new(frame)).map_err(|_| ProtocolError)?;
        if response.timeout <= 0 || response.session == SessionId::NONE {
            return Ok(Greeting::Expired);
        }
        self.session = response.session;
        self.password = response.password.unwrap_or_default();
        for packet in self.credentials.clone() {
            self.put(xid::AUTH, &Call::Auth(packet));
            self.proving.push_back(None);
        }
        for call in self.watches.renewals(self.seen) {
            self.push(xid::SET_WATCHES, call, None, None);
        }
        Ok(Greeting::Connected { timeout: response.timeout, read_only: response.read_only == Some(true) })
    }

    /// Sends a call.
    pub(super) fn submit(&mut self, call: Call, answer: Answer) {
        if let Call::Auth(packet) = &call {
            self.credentials.push(packet.clone());
            self.put(xid::AUTH, &call);
            self.proving.push_back(Some(answer));
            return;
        }
        let xid = self.next_xid();
        self.push(xid, call, Some(answer), None);
    }

    /// Removes watches: here alone if `local`, else at the server first. What to tell comes back at once or with the reply.
    pub(super) fn remove_watches(
        &mut self,
        call: Call,
        target: WatchTarget,
        local: bool,
        answer: Answer,
    ) -> Vec<Event> {
        let Call::RemoveWatches(request) = &call else { return Vec::new() };
        if !self.watches.has(&request.path, target) {
            self.due.push((answer, Err(KeeperCode::NO_WATCHER)));
            return Vec::new();
        }
        if local {
            let events = self.removed(&request.path.clone(), target);
            self.due.push((answer, Ok(Bytes::new())));
            return events;
        }
        let xid = self.next_xid();
        self.push(xid, call, Some(answer), Some(target));
        Vec::new()
    }

    /// Sends a sign of life.
    pub(super) fn ping(&mut self) {
        self.put(xid::PING, &Call::Ping);
    }

    /// Asks to end the session.
    pub(super) fn close_session(&mut self) {
        let xid = self.next_xid();
        self.push(xid, Call::CloseSession, None, None);
    }

    /// Takes a frame of a connection that has been greeted, and says what is to be told. Once it is, [`answer`](Self::answer):
    /// who gets an answer finds all told that came before it.
    pub(super) fn frame(&mut self, frame: Bytes) -> Result<Vec<Event>, ProtocolError> {
        let mut input = Decoder::new(frame.clone());
        let header = ReplyHeader::decode(&mut input).map_err(|_| ProtocolError)?;
        if header.xid == xid::NOTIFICATION {
            let event = WatcherEvent::decode(&mut input).map_err(|_| ProtocolError)?;
            let kind = WatchKind::from_wire(event.kind).ok_or(ProtocolError)?;
            self.see(header.zxid);
            let heard = self.watches.fired(kind, &event.path);
            return Ok(if heard { vec![Event::Watch { kind, path: event.path }] } else { Vec::new() });
        }
        let result = if header.err == 0 { Ok(()) } else { Err(KeeperCode(header.err)) };
        let body = frame.slice(frame.len() - input.remaining()..);
        // A server answers these two when they come, ahead of what it still works on.
        match header.xid {
            xid::PING => return Ok(Vec::new()),
            xid::AUTH => {
                if let Some(answer) = self.proving.pop_front().ok_or(ProtocolError)? {
                    self.due.push((answer, result.map(|()| body)));
                }
                let refused = Event::Connection(ConnectionState::AuthFailed);
                return Ok(if result.is_ok() { Vec::new() } else { vec![refused] });
            }
            _ => {}
        }
        let pending =
            self.pending.pop_front().filter(|pending| pending.xid == header.xid).ok_or(ProtocolError)?;
        self.see(header.zxid);
        self.watches.answered(&pending.call, result);
        let events = match (&pending.call, pending.removal, result) {
            (Call::RemoveWatches(request), Some(target), Ok(())) => self.removed(&request.path, target),
            _ => Vec::new(),
        };
        if let Some(answer) = pending.answer {
            self.due.push((answer, result.map(|()| body)));
        }
        Ok(events)
    }

    /// Gives the answers that have come.
    pub(super) fn answer(&mut self) {
        for (answer, result) in self.due.drain(..) {
            // Whoever asked has gone if nobody listens.
            let _ = answer.send(result);
        }
    }

    /// Gives the answers that have come, and tells all others who wait that there will be no answer. Whether a write was carried out is then not known.
    pub(super) fn fail(&mut self, code: KeeperCode) {
        self.answer();
        let asked = self.pending.drain(..).filter_map(|pending| pending.answer);
        for answer in asked.chain(self.proving.drain(..).flatten()) {
            let _ = answer.send(Err(code));
        }
    }

    /// What is to be sent; taken off its front as it goes.
    pub(super) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    fn next_xid(&mut self) -> i32 {
        self.last_xid = self.last_xid.checked_add(1).unwrap_or(1);
        self.last_xid
    }

    fn push(&mut self, xid: i32, call: Call, answer: Option<Answer>, removal: Option<WatchTarget>) {
        self.put(xid, &call);
        self.pending.push_back(Pending { xid, call, answer, removal });
    }

    fn put(&mut self, xid: i32, call: &Call) {
        encode_frame(&mut self.output, |output| {
            RequestHeader { xid, op: call.op() }.encode(output);
            call.encode(output);
        });
    }

    fn see(&mut self, zxid: Zxid) {
        // Events found out after a reconnect carry -1, which is no zxid.
        if zxid.as_u64() <= i64::MAX.unsigned_abs() {
            self.seen = self.seen.max(zxid);
        }
    }

    fn removed(&mut self, path: &str, target: WatchTarget) -> Vec<Event> {
        self.watches
            .remove(path, target)
            .into_iter()
            .map(|kind| Event::Watch { kind, path: path.into() })
            .collect()
    }
}
