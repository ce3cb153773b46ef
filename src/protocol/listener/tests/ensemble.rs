//! Three servers in one process, each with a listener, and a client that speaks through a bare socket.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::node::{Clock, Node, SystemClock};
use crate::peer::{Ensemble, PeerConfig, PeerEvent};
use crate::protocol::record::{
    Call, ConnectRequest, ConnectResponse, CreateRequest, Decoder, Record, ReplyHeader, RequestHeader,
    encode_frame, frame_of,
};
use crate::protocol::{ServeOptions, Service, serve};
use crate::storage::MemoryStorage;
use crate::transport::Hub;
use crate::types::{Acl, ClusterId, ServerId, SessionId};

pub(super) struct Servers {
    pub(super) nodes: Vec<Node>,
    pub(super) services: Vec<Service>,
    _hub: Hub,
}

impl Servers {
    pub(super) async fn start(count: u64, options: impl Fn() -> ServeOptions) -> Self {
        let cluster = ClusterId::new(7);
        let hub = Hub::new(cluster);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new().unwrap());
        let servers: Vec<ServerId> = (1..=count).map(ServerId::new).collect();
        let (mut nodes, mut services, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for server in servers.clone() {
            let seed = [server.number() as u8; 32];
            let mut config = PeerConfig::new(cluster, server, Ensemble::majority(servers.clone()), seed);
            config.limits.requests_per_client = 16;
            let (transport, storage) = (Arc::new(hub.join(server)), Arc::new(MemoryStorage::new()));
            let (node, driver) = Node::start(config.into(), transport, storage, Arc::clone(&clock)).unwrap();
            events.push(node.events());
            tokio::spawn(driver);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (service, driver) = serve(&node, listener, options()).unwrap();
            tokio::spawn(driver);
            nodes.push(node);
            services.push(service);
        }
        for mut events in events {
            while !matches!(events.next().await.unwrap(), PeerEvent::Serving { .. }) {}
        }
        Self { nodes, services, _hub: hub }
    }

    pub(super) fn address(&self, server: usize) -> SocketAddr {
        self.services[server].local_addr()
    }

    pub(super) async fn client(&self, server: usize) -> Client<TcpStream> {
        let mut client = Client::dial(self.address(server)).await;
        client.connect(&connect_request()).await.unwrap();
        client
    }
}

/// A client with a session, or on the way to one.
pub(super) struct Client<S> {
    pub(super) stream: S,
    pub(super) session: SessionId,
    pub(super) password: Bytes,
    pub(super) timeout: i32,
    next: i32,
}

/// The answer to a call, or an event: header and what follows it.
pub(super) type Answer = (ReplyHeader, Decoder);

impl Client<TcpStream> {
    pub(super) async fn dial(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(super) fn over(stream: S) -> Self {
        Self { stream, session: SessionId::NONE, password: Bytes::new(), timeout: 0, next: 1 }
    }

    /// The session, or what came instead; `None` where the server closes.
    pub(super) async fn connect(&mut self, request: &ConnectRequest) -> Option<ConnectResponse> {
        self.stream.write_all(&frame_of(request)).await.unwrap();
        let response = ConnectResponse::decode(&mut Decoder::new(self.frame().await?)).unwrap();
        self.session = response.session;
        self.password = response.password.clone().unwrap();
        self.timeout = response.timeout;
        Some(response)
    }

    pub(super) async fn send(&mut self, call: &Call) -> i32 {
        let xid = self.next;
        self.next += 1;
        let mut frame = BytesMut::new();
        encode_frame(&mut frame, |output| {
            RequestHeader { xid, op: call.op() }.encode(output);
            call.encode(output);
        });
        self.stream.write_all(&frame).await.unwrap();
        xid
    }

    pub(super) async fn call(&mut self, call: &Call) -> Answer {
        self.send(call).await;
        self.answer().await.unwrap()
    }

    /// The next reply or event; `None` where the server has closed.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        let mut input = Decoder::new(self.frame().await?);
        let header = ReplyHeader::decode(&mut input).unwrap();
        Some((header, input))
    }

    /// The error of the answer to a call.
    pub(super) async fn error_of(&mut self, call: &Call) -> i32 {
        self.call(call).await.0.err
    }

    async fn frame(&mut self) -> Option<Bytes> {
        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix).await.ok()?;
        let mut frame = vec![0; u32::from_be_bytes(prefix) as usize];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(frame.into())
    }
}

pub(super) fn connect_request() -> ConnectRequest {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout: 10_000,
        session: SessionId::NONE,
        password: None,
        read_only: Some(false),
    }
}

pub(super) fn create(path: &str, flags: i32) -> Call {
    Call::Create(CreateRequest {
        path: path.into(),
        data: Some(Bytes::from_static(b"x")),
        acl: Acl::open(),
        flags,
    })
}
