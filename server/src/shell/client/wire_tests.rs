use std::sync::mpsc;

use bytes::{Bytes, BytesMut};
use quorate::protocol::record::{
    AuthPacket, Call, ConnectRequest, ConnectResponse, Decoder, Frames, OpCode, ReadRequest, Record,
    ReplyHeader, RequestHeader, WatcherEvent, WatchesRequest, xid,
};
use quorate::{SessionId, Zxid};

use super::code::KeeperCode;
use super::event::{ConnectionState, Event, WatchKind};
use super::watches::WatchTarget;
use super::wire::{Greeting, ProtocolError, Wire};

/// A server made of what a test says, at the other end of a [`Wire`].
struct Scripted {
    wire: Wire,
}

impl Scripted {
    fn greeted() -> Self {
        let mut scripted = Self { wire: Wire::new() };
        scripted.connect();
        scripted
    }

    /// One connection: the client's hello, and what it sends once it is greeted.
    fn connect(&mut self) -> (ConnectRequest, Vec<(i32, Call)>) {
        self.wire.hello(30_000, false);
        let mut hello = self.frames();
        assert_eq!(hello.len(), 1);
        let hello = ConnectRequest::decode(&mut Decoder::new(hello.remove(0))).unwrap();
        let response = ConnectResponse {
            protocol_version: 0,
            timeout: 10_000,
            session: SessionId::from_u64(0x77),
            password: Some(Bytes::from_static(b"0123456789abcdef")),
            read_only: Some(false),
        };
        let greeting = self.wire.greeting(body(&response)).unwrap();
        assert_eq!(greeting, Greeting::Connected { timeout: 10_000, read_only: false });
        (hello, self.calls())
    }

    fn ask(&mut self, call: Call) -> mpsc::Receiver<Result<Bytes, KeeperCode>> {
        let (answer, receiver) = mpsc::channel();
        self.wire.submit(call, answer);
        receiver
    }

    fn reply(&mut self, xid: i32, zxid: u64, err: i32) -> Result<Vec<Event>, ProtocolError> {
        let events = self.wire.frame(body(&ReplyHeader { xid, zxid: Zxid::from_u64(zxid), err }));
        self.wire.answer();
        events
    }

    fn event(&mut self, kind: i32, path: &str) -> Vec<Event> {
        let mut bytes = BytesMut::new();
        ReplyHeader { xid: xid::NOTIFICATION, zxid: Zxid::from_u64(u64::MAX), err: 0 }.encode(&mut bytes);
        WatcherEvent { kind, state: 3, path: path.into() }.encode(&mut bytes);
        self.wire.frame(bytes.freeze()).unwrap()
    }

    fn calls(&mut self) -> Vec<(i32, Call)> {
        self.frames()
            .into_iter()
            .map(|frame| {
                let mut input = Decoder::new(frame);
                let header = RequestHeader::decode(&mut input).unwrap();
                (header.xid, Call::decode(header.op, &mut input).unwrap())
            })
            .collect()
    }

    fn frames(&mut self) -> Vec<Bytes> {
        let mut frames = Frames::new(1 << 20);
        frames.push(&self.wire.output().split());
        std::iter::from_fn(|| frames.next_frame().unwrap()).collect()
    }
}

fn body(record: &impl Record) -> Bytes {
    let mut bytes = BytesMut::new();
    record.encode(&mut bytes);
    bytes.freeze()
}

fn get(path: &str, watch: bool) -> Call {
    Call::GetData(ReadRequest { path: path.into(), watch })
}

#[test]
fn answers_go_to_those_who_asked_in_order() {
    let mut server = Scripted::greeted();
    let first = server.ask(get("/a", false));
    let second = server.ask(get("/b", false));
    assert_eq!(server.calls(), [(1, get("/a", false)), (2, get("/b", false))]);
    server.reply(1, 5, 0).unwrap();
    server.reply(2, 6, -101).unwrap();
    assert_eq!(first.try_recv().unwrap(), Ok(Bytes::new()));
    assert_eq!(second.try_recv().unwrap(), Err(KeeperCode::NO_NODE));
}

#[test]
fn an_answer_out_of_turn_breaks_the_connection() {
    let mut server = Scripted::greeted();
    let _first = server.ask(get("/a", false));
    assert_eq!(server.reply(2, 5, 0), Err(ProtocolError));
    assert_eq!(Scripted::greeted().reply(1, 5, 0), Err(ProtocolError), "nothing was asked");
}

#[test]
fn pings_and_credentials_are_answered_ahead_of_calls() {
    let mut server = Scripted::greeted();
    let call = server.ask(get("/a", false));
    server.wire.ping();
    let auth = server.ask(Call::Auth(AuthPacket { kind: 0, scheme: "digest".into(), auth: None }));
    let sent: Vec<i32> = server.calls().into_iter().map(|(xid, _)| xid).collect();
    assert_eq!(sent, [1, xid::PING, xid::AUTH]);
    server.reply(xid::AUTH, 0, 0).unwrap();
    server.reply(xid::PING, 0, 0).unwrap();
    server.reply(1, 5, 0).unwrap();
    assert!(auth.try_recv().unwrap().is_ok());
    assert!(call.try_recv().unwrap().is_ok());
}

#[test]
fn refused_credentials_are_told() {
    let mut server = Scripted::greeted();
    let auth = server.ask(Call::Auth(AuthPacket { kind: 0, scheme: "none".into(), auth: None }));
    assert_eq!(server.reply(xid::AUTH, 0, -115).unwrap(), [Event::Connection(ConnectionState::AuthFailed)]);
    assert_eq!(auth.try_recv().unwrap(), Err(KeeperCode::AUTH_FAILED));
}

#[test]
fn a_lost_connection_is_taken_up_with_session_credentials_and_watches() {
    let mut server = Scripted::greeted();
    let _auth = server.ask(Call::Auth(AuthPacket { kind: 0, scheme: "digest".into(), auth: None }));
    let _watch = server.ask(get("/a", true));
    let lost = server.ask(get("/b", false));
    server.calls();
    server.reply(xid::AUTH, 0, 0).unwrap();
    server.reply(1, 0x2a, 0).unwrap();
    server.wire.fail(KeeperCode::CONNECTION_LOSS);
    assert_eq!(lost.try_recv().unwrap(), Err(KeeperCode::CONNECTION_LOSS));

    let (hello, calls) = server.connect();
    assert_eq!(hello.session, SessionId::from_u64(0x77));
    assert_eq!(hello.password.as_deref(), Some(&b"0123456789abcdef"[..]));
    assert_eq!(hello.last_zxid_seen, 0x2a);
    let [(xid::AUTH, Call::Auth(_)), (xid::SET_WATCHES, Call::SetWatches(watches))] = &*calls else {
        panic!("{calls:?}");
    };
    assert_eq!(watches.since, Zxid::from_u64(0x2a));
    assert_eq!(watches.data, ["/a".into()]);

    // An event found out after the reconnect carries no zxid that would count.
    server.reply(xid::AUTH, 0, 0).unwrap();
    assert_eq!(server.event(3, "/a"), [Event::Watch { kind: WatchKind::NodeDataChanged, path: "/a".into() }]);
    server.reply(xid::SET_WATCHES, 0x30, 0).unwrap();
    server.wire.fail(KeeperCode::CONNECTION_LOSS);
    let (hello, calls) = server.connect();
    assert_eq!(hello.last_zxid_seen, 0x30);
    assert!(matches!(&*calls, [(xid::AUTH, _)]), "the watch has fired: {calls:?}");
}

#[test]
fn an_event_that_no_watch_waits_for_is_not_told() {
    let mut server = Scripted::greeted();
    assert_eq!(server.event(1, "/a"), []);
    assert_eq!(
        server.wire.frame(body(&ReplyHeader { xid: -1, zxid: Zxid::ZERO, err: 0 })),
        Err(ProtocolError)
    );
}

#[test]
fn watches_are_removed_at_the_server_first_and_told_with_its_answer() {
    let mut server = Scripted::greeted();
    let _watch = server.ask(get("/a", true));
    server.calls();
    server.reply(1, 1, 0).unwrap();

    let request = |kind| Call::RemoveWatches(WatchesRequest { path: "/a".into(), kind });
    let (answer, none) = mpsc::channel();
    assert_eq!(server.wire.remove_watches(request(1), WatchTarget::Children, false, answer), []);
    server.wire.answer();
    assert_eq!(none.try_recv().unwrap(), Err(KeeperCode::NO_WATCHER));
    assert_eq!(server.calls(), [], "a watch that is not there is no business of the server's");

    let (answer, removed) = mpsc::channel();
    assert_eq!(server.wire.remove_watches(request(3), WatchTarget::Any, false, answer), []);
    assert!(matches!(&*server.calls(), [(2, call)] if call.op() == OpCode::REMOVE_WATCHES));
    let told = Event::Watch { kind: WatchKind::DataWatchRemoved, path: "/a".into() };
    assert_eq!(server.reply(2, 1, 0).unwrap(), [told]);
    assert!(removed.try_recv().unwrap().is_ok());
}

#[test]
fn an_answer_waits_until_the_events_before_it_are_told() {
    let mut server = Scripted::greeted();
    let asked = server.ask(get("/a", false));
    server.wire.frame(body(&ReplyHeader { xid: 1, zxid: Zxid::ZERO, err: 0 })).unwrap();
    assert!(asked.try_recv().is_err());
    server.wire.answer();
    assert!(asked.try_recv().is_ok());
}

#[test]
fn an_expired_session_is_recognised_by_its_answer() {
    let mut wire = Wire::new();
    wire.hello(1000, true);
    assert_eq!(wire.greeting(body(&ConnectResponse::expired(Some(false)))), Ok(Greeting::Expired));
    assert_eq!(wire.greeting(Bytes::from_static(b"short")), Err(ProtocolError));
}
