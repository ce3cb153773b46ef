//! The server's side of one client connection, as a pure state machine.

mod answer;
mod call;
mod options;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::node::{Attach, Delivery};
use crate::peer::{CloseReason, Connected, Reply, Request};
use crate::types::{ErrorCode, Identity, Password, SessionId, Time, WatchEvent, WatchEventKind, Zxid};

use super::activity::{Activity, LastRequest};
use super::record::{
    Call, CallError, ConnectRequest, ConnectResponse, Decoder, Frames, OpCode, Record, ReplyHeader,
    RequestHeader, WatcherEvent, encode_frame, xid,
};
use super::words::Word;

use answer::{Expectation, encode_answer};
use call::{Step, steps};

pub use options::ConnectionOptions;

/// The largest first frame: a [`ConnectRequest`] has 45 bytes.
const MAX_CONNECT_FRAME: usize = 1 << 10;

/// The state that a watch event tells of: connected. A server sends no other.
const SYNC_CONNECTED: i32 = 3;

/// What a connection asks of its host.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// The client asks, before it has a session, for one of the administrator's texts. The host answers with
    /// [`handle_text`](ClientConnection::handle_text).
    Word(Word),
    /// The client wants a session. The host opens a connection to its node and hands over what is delivered on it, or calls
    /// [`close`](ClientConnection::close).
    Attach(Attach),
    /// To be sent on that connection, in this order.
    Request {
        /// The connection's number for it.
        tag: u64,
        /// What is asked.
        request: Request,
    },
}

/// The server's side of one connection of a ZooKeeper client: bytes and deliveries in, events and bytes out.
///
/// It reads no clock, waits for nothing and does no I/O. The same bytes, however they are cut up, and the same deliveries
/// give the same events and the same bytes. What it holds is bounded: what has arrived of one frame, as many
/// requests as [`ConnectionOptions::outstanding`] allows, and output that grows only by what the host hands over.
///
/// A host
///
/// 1. hands over what arrives with [`handle_bytes`](Self::handle_bytes), while [`wants_bytes`](Self::wants_bytes), and what the node
///    delivers with [`handle_delivery`](Self::handle_delivery);
/// 2. then drains [`poll_event`](Self::poll_event);
/// 3. sends what is in [`output`](Self::output), says so with [`handle_sent`](Self::handle_sent), and closes the connection when
///    [`is_closing`](Self::is_closing) and all is sent.
///
/// Bad input has the answers that ZooKeeper gives, but where that is a weakness; the tests beside this file have the table.
pub struct ClientConnection {
    options: Arc<ConnectionOptions>,
    identities: Vec<Identity>,
    frames: Frames,
    phase: Phase,
    /// What the client waits for, in the order of its requests, which is that of the replies.
    waiting: VecDeque<Waiting>,
    /// How many bytes those requests have.
    waiting_len: usize,
    next_tag: u64,
    events: VecDeque<ConnectionEvent>,
    output: BytesMut,
    activity: Activity,
    session: SessionId,
    timeout_millis: u32,
}

/// How far the connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Nothing but a four-letter word or a request for a session may come.
    Fresh,
    /// The administrator's text is awaited.
    Asking,
    /// The node's word is awaited. Whether the client has sent the read-only flag decides whether the answer has it.
    Attaching { flagged: bool },
    /// Requests and replies.
    Open,
    /// As open, but no more requests are taken: with the last reply the connection closes.
    Ending,
    /// What is in the output goes out, nothing more comes.
    Closing,
}

/// A request that is not answered.
#[derive(Debug)]
struct Waiting {
    tag: u64,
    xid: i32,
    op: OpCode,
    len: usize,
    since: Time,
    expectation: Expectation,
}

impl ClientConnection {
    /// A connection on which nothing has arrived. `identities` is what it proves by itself: its address, its certificate.
    #[must_use]
    pub fn new(options: Arc<ConnectionOptions>, identities: Vec<Identity>) -> Self {
        Self {
            frames: Frames::new(options.max_frame.min(MAX_CONNECT_FRAME)),
            options,
            identities,
            phase: Phase::Fresh,
            waiting: VecDeque::new(),
            waiting_len: 0,
            next_tag: 0,
            events: VecDeque::new(),
            output: BytesMut::new(),
            activity: Activity::default(),
            session: SessionId::NONE,
            timeout_millis: 0,
        }
    }

    /// Takes what has arrived. Nothing is taken once the connection is closing.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        if matches!(self.phase, Phase::Asking | Phase::Ending | Phase::Closing) {
            return;
        }
        self.frames.push(bytes);
        self.take_frames(now);
    }

    /// Takes what the node delivers.
    pub fn handle_delivery(&mut self, now: Time, delivery: Delivery) {
        match (delivery, self.phase) {
            (_, Phase::Fresh | Phase::Asking | Phase::Closing) => {}
            (Delivery::Connected(connected), Phase::Attaching { flagged }) => {
                self.attached(now, &connected, flagged);
            }
            (Delivery::Closed(CloseReason::Expired), Phase::Attaching { flagged }) => self.expired(flagged),
            (Delivery::Reply(reply), Phase::Open | Phase::Ending) => self.answer(now, reply),
            (Delivery::Watch(event), Phase::Open | Phase::Ending) => self.tell(&event),
            // A session that is said to be attached twice, or a reply before it is: the node and we do not agree.
            (Delivery::Connected(_) | Delivery::Reply(_) | Delivery::Watch(_) | Delivery::Closed(_), _) => {
                self.close();
            }
        }
    }

    /// Goes on, after some of the output was sent, with requests that had to wait for that. To be called before more bytes
    /// are read; new events may follow.
    pub fn handle_sent(&mut self, now: Time) {
        if self.phase == Phase::Open {
            self.take_frames(now);
        }
    }

    /// Sends the administrator's text, and closes.
    pub fn handle_text(&mut self, text: &str) {
        if self.phase == Phase::Asking {
            self.output.extend_from_slice(text.as_bytes());
            self.activity.sent += 1;
            self.close();
        }
    }

    /// Closes when the output is sent. Requests that wait are not answered; whether they are executed is not known.
    pub fn close(&mut self) {
        self.phase = Phase::Closing;
        self.waiting = VecDeque::new();
        self.waiting_len = 0;
        self.events = VecDeque::new();
        self.frames = Frames::new(0);
    }

    /// The next thing that the host has to do; to be called until there is nothing more.
    pub fn poll_event(&mut self) -> Option<ConnectionEvent> {
        let event = self.events.pop_front();
        if event.is_none() {
            self.events = VecDeque::new();
        }
        event
    }

    /// What goes to the client; the host takes it off the front as it is sent.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// What has happened since this was last asked.
    pub fn take_activity(&mut self) -> Activity {
        std::mem::take(&mut self.activity)
    }

    /// Whether to go on reading. When not, what arrives is left with the network, which slows the client down.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        match self.phase {
            Phase::Fresh => true,
            Phase::Open => self.has_room(),
            Phase::Asking | Phase::Attaching { .. } | Phase::Ending | Phase::Closing => false,
        }
    }

    /// Whether the connection is to be closed as soon as the output is sent.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Whether the client has a session.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Ending)
    }

    /// The client's session, or [`SessionId::NONE`] while it has none.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The session timeout that was agreed, in milliseconds.
    #[must_use]
    pub fn timeout_millis(&self) -> u32 {
        self.timeout_millis
    }

    /// How many requests wait for their answer.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.waiting.len()
    }

    /// How many bytes it holds for the client: of an unfinished frame, and unsent.
    #[must_use]
    pub fn held(&self) -> usize {
        self.frames.waiting() + self.output.len()
    }

    /// Whether one more request may wait: a client that does not take its replies is not given more of them.
    fn has_room(&self) -> bool {
        self.waiting.len() < self.options.outstanding
            && self.waiting_len < self.options.outstanding_len
            && self.output.len() < self.options.unsent
    }

    fn take_frames(&mut self, now: Time) {
        if self.phase == Phase::Fresh
            && let Some(first) = self.frames.peek::<4>()
            && let Some(word) = Word::parse(*first)
        {
            self.activity.received += 1;
            return self.ask(word);
        }
        while self.phase == Phase::Fresh || (self.phase == Phase::Open && self.has_room()) {
            match self.frames.next_frame() {
                Ok(Some(frame)) => self.take_frame(now, frame),
                Ok(None) => return,
                // There is no telling where the next frame would begin.
                Err(_) => return self.end(),
            }
        }
    }

    fn take_frame(&mut self, now: Time, frame: Bytes) {
        self.activity.received += 1;
        let len = frame.len();
        let mut input = Decoder::new(frame);
        if self.phase == Phase::Fresh {
            return match ConnectRequest::decode(&mut input) {
                Ok(request) => self.connect(&request),
                Err(_) => self.close(),
            };
        }
        let Ok(header) = RequestHeader::decode(&mut input) else { return self.end() };
        let (list, is_last) = match Call::decode(header.op, &mut input) {
            Ok(call) => steps(call, &self.identities, &self.options),
            Err(CallError::Unknown(_)) => (vec![Step::refuse(ErrorCode::Unimplemented)], true),
            // Whoever cannot say who they are is shown out.
            Err(CallError::Malformed { op: OpCode::AUTH, .. }) => {
                (vec![Step::refuse(ErrorCode::AuthFailed)], true)
            }
            Err(CallError::Malformed { .. }) => (vec![Step::refuse(ErrorCode::MarshallingError)], false),
        };
        for Step { request, expectation } in list {
            let tag = self.next_tag;
            self.next_tag = tag.wrapping_add(1);
            let RequestHeader { xid, op } = header;
            self.waiting.push_back(Waiting { tag, xid, op, len, since: now, expectation });
            self.waiting_len += len;
            self.events.push_back(ConnectionEvent::Request { tag, request });
        }
        if is_last {
            self.end();
        }
    }

    /// Takes no more requests, and closes when those that there are have been answered.
    fn end(&mut self) {
        if self.waiting.is_empty() {
            return self.close();
        }
        self.phase = Phase::Ending;
        self.frames = Frames::new(0);
    }

    fn ask(&mut self, word: Word) {
        self.frames = Frames::new(0);
        self.phase = Phase::Asking;
        if self.options.words.allows(word) {
            self.events.push_back(ConnectionEvent::Word(word));
        } else {
            self.handle_text(&word.refusal());
        }
    }

    fn connect(&mut self, request: &ConnectRequest) {
        let flagged = request.read_only.is_some();
        let password = request.password.as_deref().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        let resume = match (request.session, password) {
            (SessionId::NONE, _) => None,
            (session, Some(password)) => Some((session, Password::new(password))),
            // No session has a password of another length.
            (_, None) => return self.expired(flagged),
        };
        self.phase = Phase::Attaching { flagged };
        self.events.push_back(ConnectionEvent::Attach(Attach {
            resume,
            timeout_millis: u32::try_from(request.timeout).unwrap_or(0),
            last_seen: u64::try_from(request.last_zxid_seen).map_or(Zxid::ZERO, Zxid::from_u64),
            identities: self.identities.clone(),
        }));
    }

    fn attached(&mut self, now: Time, connected: &Connected, flagged: bool) {
        self.session = connected.session;
        self.timeout_millis = connected.timeout_millis;
        self.phase = Phase::Open;
        // What arrived meanwhile stays.
        self.frames.set_limit(self.options.max_frame);
        self.respond(&ConnectResponse {
            protocol_version: 0,
            timeout: i32::try_from(connected.timeout_millis).unwrap_or(i32::MAX),
            session: connected.session,
            password: Some(Bytes::copy_from_slice(connected.password.as_bytes())),
            read_only: flagged.then_some(false),
        });
        self.take_frames(now);
    }

    fn expired(&mut self, flagged: bool) {
        self.respond(&ConnectResponse::expired(flagged.then_some(false)));
        self.close();
    }

    fn respond(&mut self, response: &ConnectResponse) {
        encode_frame(&mut self.output, |output| response.encode(output));
        self.activity.sent += 1;
    }

    fn tell(&mut self, event: &WatchEvent) {
        let kind = match event.kind {
            WatchEventKind::Created => 1,
            WatchEventKind::Deleted => 2,
            WatchEventKind::DataChanged => 3,
            WatchEventKind::ChildrenChanged => 4,
        };
        // What was found out after a reconnect has no position of its own.
        let zxid = if event.zxid == Zxid::ZERO { Zxid::MAX } else { event.zxid };
        encode_frame(&mut self.output, |output| {
            ReplyHeader { xid: xid::NOTIFICATION, zxid, err: 0 }.encode(output);
            WatcherEvent { kind, state: SYNC_CONNECTED, path: event.path.as_str().into() }.encode(output);
        });
        self.activity.sent += 1;
    }

    fn answer(&mut self, now: Time, reply: Reply) {
        let Some(waiting) = self.waiting.pop_front().filter(|waiting| waiting.tag == reply.tag) else {
            return self.close();
        };
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        let Waiting { xid, op, len, since, expectation, .. } = waiting;
        self.waiting_len -= len;
        let zxid = reply.zxid;
        // As ZooKeeper: no answer, so that the client connects again and asks again what may be asked again.
        if reply.result.as_ref().is_err_and(|refusal| refusal.code == ErrorCode::SessionMoved) {
            return self.close();
        }
        if expectation.is_silent() && reply.result.is_ok() {
            return;
        }
        let fails = expectation.is_identity() && reply.result.is_err();
        self.activity.auth_failed += u64::from(fails || expectation.is_refusal_of_identity());
        encode_answer(&mut self.output, xid, reply, expectation);
        self.activity.sent += 1;
        self.activity.latency.record(now.since(since));
        self.activity.last = Some(LastRequest { op, xid, zxid, answered: now });
        if fails || (self.phase == Phase::Ending && self.waiting.is_empty()) {
            return self.close();
        }
        self.take_frames(now);
    }
}

/// Shows nothing of what is said on it: passwords are.
impl fmt::Debug for ClientConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConnection")
            .field("phase", &self.phase)
            .field("session", &self.session)
            .field("outstanding", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
