use std::net::{Ipv4Addr, SocketAddr};

use bytes::BytesMut;
use futures::task::noop_waker_ref;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;

use crate::node::{Connection, Delivery, Node, ServerEnd, SystemClock};
use crate::peer::{Answer, CloseReason, Connected, Ensemble, PeerConfig, Reply};
use crate::protocol::record::{
    Call, ConnectRequest, PathRequest, Record as _, RequestHeader, encode_frame, frame_of,
};
use crate::protocol::{ConnectionOptions, ServeOptions};
use crate::storage::MemoryStorage;
use crate::transport::Hub;
use crate::types::{ClientId, ClusterId, Found, Password, ServerId, SessionId, Time, ZnodePath, Zxid};

use super::*;

/// So long it may take until what must happen has happened.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection whose client has its session, and both its ends: the socket's and the node's.
struct World {
    session: Session<DuplexStream>,
    socket: DuplexStream,
    end: ServerEnd,
    registry: Arc<crate::protocol::Registry>,
}

impl World {
    /// The socket holds few bytes, and few requests wait for the node.
    fn new(connection: ConnectionOptions, timeout_millis: u32) -> Self {
        let options = ServeOptions { connection: Arc::new(connection), ..ServeOptions::default() };
        let registry = Arc::clone(&options.registry);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let place = registry.admit(address, false, 0, 0).unwrap();
        let server = Arc::new(Server { node: idle_node(), options });
        let (stream, socket) = tokio::io::duplex(64);
        let mut session = Session::new(server, Arc::default(), place, stream, Vec::new());
        session.connection.handle_bytes(Time::ZERO, &frame_of(&connect_request()));
        assert!(matches!(session.connection.poll_event(), Some(ConnectionEvent::Attach(_))));
        let (connection, end) = Connection::pair(ClientId::new(1), 1, 100);
        session.node = Some(connection.split());
        let connected = Connected {
            client: ClientId::new(1),
            session: SessionId::from_u64(1),
            password: Password::new([7; 16]),
            timeout_millis,
            resumed: false,
        };
        session.connection.handle_delivery(Time::ZERO, Delivery::Connected(connected));
        session.connection.output().clear();
        Self { session, socket, end, registry }
    }

    fn ask(&mut self, calls: impl Iterator<Item = Call>) {
        for (call, xid) in calls.zip(1..) {
            let mut frame = BytesMut::new();
            encode_frame(&mut frame, |output| {
                RequestHeader { xid, op: call.op() }.encode(output);
                call.encode(output);
            });
            self.session.connection.handle_bytes(Time::ZERO, &frame);
        }
    }

    fn reply(&mut self, tag: u64, answer: Answer) {
        let (client, zxid) = (ClientId::new(1), Zxid::ZERO);
        self.end.outbound.deliver(Delivery::Reply(Reply { client, tag, zxid, result: Ok(answer) })).unwrap();
    }

    /// The node's answer fills the output, beyond the bound above which no more deliveries are taken.
    fn fill(&mut self) {
        self.ask(std::iter::once(Call::GetEphemerals(PathRequest { path: "/".into() })));
        let path = ZnodePath::parse(format!("/{}", "n".repeat(FULL_OUTPUT + 10_000))).unwrap();
        self.reply(0, Answer::Found(Found::Ephemerals(vec![path])));
    }
}

/// A node that is not asked anything: its future is gone.
fn idle_node() -> Node {
    let (cluster, server) = (ClusterId::new(1), ServerId::new(1));
    let config = PeerConfig::new(cluster, server, Ensemble::majority([server]), [1; 32]);
    let transport = Arc::new(Hub::new(cluster).join(server));
    let clock = Arc::new(SystemClock::new().unwrap());
    Node::start(config.into(), transport, Arc::new(MemoryStorage::new()), clock).unwrap().0
}

fn connect_request() -> ConnectRequest {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout: 10_000,
        session: SessionId::NONE,
        password: None,
        read_only: None,
    }
}

fn sync() -> Call {
    Call::Sync(PathRequest { path: "/".repeat(300).into() })
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_a_whole_session_timeout_is_let_go() {
    let mut world = World::new(ConnectionOptions::default(), 50);
    world.fill();
    let World { session, socket, end, registry } = world;
    // That its session has ended stands behind what it does not take.
    end.outbound.close(CloseReason::Expired);
    assert_eq!(registry.len(), 1);
    assert_eq!(timeout(PATIENCE, session).await, Ok(()), "it is kept for ever");
    assert!(registry.is_empty());
    drop(socket);
}

#[tokio::test]
async fn a_client_whose_last_requests_are_answered_is_let_go_too_when_it_takes_nothing() {
    let mut world = World::new(ConnectionOptions::default(), 50);
    world.fill();
    world.ask(std::iter::once(sync()));
    // With a frame that cannot be, no more is taken.
    world.session.connection.handle_bytes(Time::ZERO, &[0xff; 4]);
    assert!(world.session.connection.is_open() && !world.session.connection.wants_bytes());
    assert_eq!(timeout(PATIENCE, world.session).await, Ok(()), "it is kept for ever");
    drop(world.socket);
}

#[tokio::test]
async fn the_time_of_a_client_that_takes_a_little_begins_anew() {
    let mut world = World::new(ConnectionOptions::default(), 60_000);
    let mut context = Context::from_waker(noop_waker_ref());
    let mut deadline = |session: &mut Session<DuplexStream>| {
        assert!(Pin::new(&mut *session).poll(&mut context).is_pending());
        session.stalled.as_ref().map(|stalled| stalled.deadline())
    };
    assert_eq!(deadline(&mut world.session), None);
    world.fill();
    let first = deadline(&mut world.session).expect("the output is full");
    assert_eq!(deadline(&mut world.session), Some(first));
    world.socket.read_exact(&mut [0; 32]).await.unwrap();
    assert!(deadline(&mut world.session).expect("the output is full still") > first);
    world.session.connection.output().advance(20_000);
    assert_eq!(deadline(&mut world.session), None);
}

#[tokio::test]
async fn requests_that_waited_for_the_output_are_taken_when_it_is_sent() {
    let options = ConnectionOptions { unsent: 100, outstanding: 1, ..ConnectionOptions::default() };
    let mut world = World::new(options, 10_000);
    world.ask([sync(), sync()].into_iter());
    world.reply(0, Answer::Done);
    let World { session, mut socket, mut end, .. } = world;
    let mut session = Box::pin(session);
    let mut context = Context::from_waker(noop_waker_ref());
    assert!(session.as_mut().poll(&mut context).is_pending());
    assert_eq!(end.inbound.next().now_or_never().unwrap().unwrap().0, 0);
    assert!(end.inbound.next().now_or_never().is_none(), "the second waits");
    let _session = tokio::spawn(session);
    timeout(PATIENCE, socket.read_exact(&mut [0; 320])).await.unwrap().unwrap();
    let second = timeout(PATIENCE, end.inbound.next()).await.expect("the second is never taken");
    assert_eq!(second.unwrap().0, 1);
}

#[tokio::test]
async fn the_socket_is_read_again_when_the_node_has_room() {
    let mut world = World::new(ConnectionOptions::default(), 10_000);
    let mut context = Context::from_waker(noop_waker_ref());
    // As many as there is room for, and one that has to wait.
    let mut asked = 0;
    while world.session.delayed.is_none() {
        world.ask(std::iter::once(sync()));
        asked += 1;
        world.session.carry_out(&mut context);
        assert!(asked < 10, "the node has no bound");
    }
    world.socket.write_all(&[0]).await.unwrap();
    assert!(!world.session.turn(&mut context).unwrap(), "nothing is read meanwhile");
    assert!(world.end.inbound.next().now_or_never().is_some());
    assert!(world.session.turn(&mut context).unwrap(), "nothing was done");
    assert!(world.session.turn(&mut context).unwrap(), "what arrived is not read");
    assert!(!world.session.turn(&mut context).unwrap());
}
