use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quorate::protocol::record::{
    Call, ConnectRequest, ConnectResponse, DataResponse, Decoder, OpCode, ReadRequest, Record, ReplyHeader,
    RequestHeader, encode_frame, xid,
};
use quorate::{SessionId, Zxid};

use super::code::KeeperCode;
use super::event::{ConnectionState, Event};
use super::{Client, State};

/// How long anything may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
const SESSION: SessionId = SessionId::from_u64(0x77);

/// Servers that do what a test says, and a client of theirs.
struct Stage {
    servers: Vec<TcpListener>,
    client: Client,
    events: mpsc::Receiver<Event>,
}

impl Stage {
    fn with(servers: usize) -> Self {
        let servers: Vec<_> = (0..servers).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<String> =
            servers.iter().map(|server| server.local_addr().unwrap().to_string()).collect();
        let (tell, events) = mpsc::channel();
        let listener = Arc::new(move |event: &Event| tell.send(event.clone()).unwrap_or_default());
        let client =
            Client::open(addresses.join(",").parse().unwrap(), Duration::from_secs(10), false, listener)
                .unwrap();
        Self { servers, client, events }
    }

    /// Takes a connection at this server, up to the client's hello.
    fn accept(&self, server: usize) -> (Conn, ConnectRequest) {
        let (stream, _) = self.servers[server].accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut conn = Conn(stream);
        let hello = ConnectRequest::decode(&mut Decoder::new(conn.frame().unwrap())).unwrap();
        (conn, hello)
    }

    /// Takes a connection and gives it its session.
    fn greet(&self, server: usize, timeout: i32) -> (Conn, ConnectRequest) {
        let (mut conn, hello) = self.accept(server);
        conn.send(&ConnectResponse {
            protocol_version: 0,
            timeout,
            session: SESSION,
            password: Some(Bytes::from_static(b"0123456789abcdef")),
            read_only: Some(false),
        });
        (conn, hello)
    }

    #[track_caller]
    fn hears(&self, state: ConnectionState) {
        assert_eq!(self.events.recv_timeout(DEADLINE).unwrap(), Event::Connection(state));
    }
}

struct Conn(TcpStream);

impl Conn {
    /// The next frame; none at the end of the stream.
    fn frame(&mut self) -> Option<Bytes> {
        let mut len = [0; 4];
        self.0.read_exact(&mut len).ok()?;
        let mut body = vec![0; usize::try_from(u32::from_be_bytes(len)).unwrap()];
        self.0.read_exact(&mut body).ok()?;
        Some(body.into())
    }

    fn request(&mut self) -> Option<(i32, Call)> {
        let mut input = Decoder::new(self.frame()?);
        let header = RequestHeader::decode(&mut input).unwrap();
        Some((header.xid, Call::decode(header.op, &mut input).unwrap()))
    }

    fn send(&mut self, record: &impl Record) {
        let mut bytes = BytesMut::new();
        encode_frame(&mut bytes, |output| record.encode(output));
        self.0.write_all(&bytes).unwrap();
    }

    fn reply(&mut self, xid: i32) {
        self.send(&ReplyHeader { xid, zxid: Zxid::from_u64(1), err: 0 });
    }
}

fn get(path: &str) -> Call {
    Call::GetData(ReadRequest { path: path.into(), watch: false })
}

#[test]
fn a_session_that_has_expired_meanwhile_ends_the_client() {
    let stage = Stage::with(1);
    let (conn, hello) = stage.greet(0, 10_000);
    assert_eq!(hello.session, SessionId::NONE);
    stage.hears(ConnectionState::SyncConnected);
    drop(conn);
    stage.hears(ConnectionState::Disconnected);

    let waiting = stage.client.submit(get("/a"));
    let (mut conn, hello) = stage.accept(0);
    assert_eq!(hello.session, SESSION);
    conn.send(&ConnectResponse::expired(Some(false)));
    stage.hears(ConnectionState::Expired);
    assert_eq!(waiting.wait(), Err(KeeperCode::SESSION_EXPIRED));
    assert_eq!(stage.client.await_connection(DEADLINE), State::Closed);
}

#[test]
fn a_server_that_falls_silent_is_left_for_the_next() {
    let stage = Stage::with(2);
    let (mut silent, _) = stage.greet(0, 600);
    stage.hears(ConnectionState::SyncConnected);
    let waiting = stage.client.submit(get("/a"));
    let mut sent = Vec::new();
    while let Some((xid, _)) = silent.request() {
        sent.push(xid);
    }
    assert!(sent.starts_with(&[1, xid::PING]), "asked, then pinged: {sent:?}");
    stage.hears(ConnectionState::Disconnected);
    assert_eq!(waiting.wait(), Err(KeeperCode::CONNECTION_LOSS));

    let (_conn, hello) = stage.greet(1, 600);
    assert_eq!(hello.session, SESSION);
    stage.hears(ConnectionState::SyncConnected);
}

#[test]
fn a_server_that_talks_nonsense_is_left() {
    let stage = Stage::with(1);
    let (mut conn, _) = stage.greet(0, 10_000);
    stage.hears(ConnectionState::SyncConnected);
    conn.reply(99);
    stage.hears(ConnectionState::Disconnected);
    let (mut conn, _) = stage.greet(0, 10_000);
    stage.hears(ConnectionState::SyncConnected);
    conn.0.write_all(&[0xff; 4]).unwrap();
    stage.hears(ConnectionState::Disconnected);
}

#[test]
fn a_server_that_takes_nobody_in_is_passed_over() {
    let stage = Stage::with(2);
    let (conn, _) = stage.accept(0);
    let waiting = stage.client.submit(get("/a"));
    drop(conn);
    let (mut conn, _) = stage.greet(1, 10_000);
    stage.hears(ConnectionState::SyncConnected);
    let (xid, call) = conn.request().unwrap();
    assert_eq!(call, get("/a"), "what was asked before there was a connection is sent on the first");
    conn.reply(xid);
    assert_eq!(
        waiting.record::<DataResponse>(),
        Err(KeeperCode::MARSHALLING_ERROR),
        "the answer has no data"
    );
}

#[test]
fn closing_ends_the_session_at_the_server() {
    let stage = Stage::with(1);
    let (mut conn, _) = stage.greet(0, 10_000);
    stage.hears(ConnectionState::SyncConnected);
    std::thread::scope(|scope| {
        scope.spawn(|| stage.client.close());
        let (xid, call) = conn.request().unwrap();
        assert_eq!(call.op(), OpCode::CLOSE_SESSION);
        conn.reply(xid);
        drop(conn);
    });
    stage.hears(ConnectionState::Closed);
    assert_eq!(stage.client.state(), State::Closed);
    assert_eq!(stage.client.submit(get("/a")).wait(), Err(KeeperCode::CONNECTION_LOSS));
}
