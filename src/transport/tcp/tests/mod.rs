mod handshake;
mod link;
mod tls;

use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::transport::{QueueLimit, conformance};

const CLUSTER: ClusterId = ClusterId::new(0xab);
const ONE: ServerId = ServerId::new(1);
const TWO: ServerId = ServerId::new(2);
const THREE: ServerId = ServerId::new(3);

/// Ports of this machine that nobody else has.
struct Ports(BTreeMap<ServerId, (std::net::TcpListener, SocketAddr)>);

impl Ports {
    fn of(servers: impl IntoIterator<Item = ServerId>) -> Self {
        let host = own_host();
        let port = |server| {
            let listener = std::net::TcpListener::bind((host, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            (server, (listener, address))
        };
        Self(servers.into_iter().map(port).collect())
    }

    fn config(&self, server: ServerId, security: Security) -> TcpConfig {
        let peers = self.0.iter().map(|(&peer, (_, address))| (peer, address.to_string())).collect();
        TcpConfig::new(CLUSTER, server, self.address(server), peers, security)
    }

    fn address(&self, server: ServerId) -> SocketAddr {
        self.0[&server].1
    }

    fn listener(&self, server: ServerId) -> std::net::TcpListener {
        self.0[&server].0.try_clone().unwrap()
    }

    /// Starts a server on its port; the port stays taken.
    fn start(&self, server: ServerId) -> TcpTransport {
        self.start_with(self.config(server, Security::LoopbackOnly))
    }

    fn start_with(&self, config: TcpConfig) -> TcpTransport {
        TcpTransport::from_listener(self.listener(config.server), config).unwrap()
    }

    /// Gives the ports back to the system, for servers that bind them by themselves.
    fn release(&mut self) -> BTreeMap<ServerId, SocketAddr> {
        std::mem::take(&mut self.0).into_iter().map(|(server, (_, address))| (server, address)).collect()
    }
}

/// An address of this machine on which no other test listens, so that a port that was given back stays free.
#[cfg(target_os = "linux")]
fn own_host() -> Ipv4Addr {
    static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Other systems know one such address only.
#[cfg(not(target_os = "linux"))]
fn own_host() -> Ipv4Addr {
    Ipv4Addr::LOCALHOST
}

fn frame(number: u64) -> Bytes {
    codec::encode_frame(&number).unwrap()
}

/// A frame of about this length.
fn large_frame(len: usize) -> Bytes {
    codec::encode_frame(&vec![7_u8; len]).unwrap()
}

/// Fails the test when something that must happen does not.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it did not happen")
}

async fn next(transport: &TcpTransport) -> (ServerId, u64) {
    let (from, frame) = within(transport.recv()).await.expect("it is closed");
    (from, codec::decode_frame(&frame).unwrap())
}

/// Waits until the links to `peer` are as `wish` says.
async fn until(transport: &TcpTransport, peer: ServerId, wish: impl Fn(&LinkStatus) -> bool) {
    within(async {
        while !transport.links().iter().filter(|link| link.peer == peer).all(&wish) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[test]
fn a_network_is_not_touched_before_someone_has_chosen_how_peers_prove_themselves() {
    let peers = |address: &str| BTreeMap::from([(TWO, address.to_owned())]);
    let config = |listen: &str, peer| {
        TcpConfig::new(CLUSTER, ONE, listen.parse().unwrap(), peers(peer), Security::LoopbackOnly)
    };
    for (listen, peer) in [
        ("0.0.0.0:0", "127.0.0.1:1"),
        ("10.1.2.3:0", "127.0.0.1:1"),
        ("[::]:0", "[::1]:1"),
        ("127.0.0.1:0", "10.1.2.3:1"),
        ("127.0.0.1:0", "[::ffff:10.1.2.3]:1"),
    ] {
        let error = config(listen, peer).validate().unwrap_err();
        assert!(matches!(error, TransportError::Exposed(_)), "{listen} {peer}: {error}");
        let open = TcpConfig { security: Security::InsecureTrustedNetwork, ..config(listen, peer) };
        open.validate().unwrap();
    }
    config("127.0.0.1:0", "[::ffff:127.0.0.1]:1").validate().unwrap();
    config("[::1]:0", "localhost:1").validate().unwrap();
}

#[test]
fn what_cannot_work_is_refused_with_its_name() {
    let config = TcpConfig::new(
        CLUSTER,
        ONE,
        (Ipv4Addr::LOCALHOST, 0).into(),
        BTreeMap::new(),
        Security::LoopbackOnly,
    );
    for address in ["", "host", "host:", ":1", "host:0", "host:65536", "host:x"] {
        let config = TcpConfig { peers: BTreeMap::from([(TWO, address.to_owned())]), ..config.clone() };
        assert!(matches!(config.validate(), Err(TransportError::PeerAddress { peer: TWO, .. })), "{address}");
    }
    let limits = |change: fn(&mut TcpLimits)| {
        let mut config = config.clone();
        change(&mut config.limits);
        config.validate()
    };
    assert!(matches!(limits(|it| it.connect = Duration::ZERO), Err(TransportError::ZeroLimit("connect"))));
    assert!(matches!(limits(|it| it.handshakes = 0), Err(TransportError::ZeroLimit("handshakes"))));
    assert!(matches!(limits(|it| it.ping = it.silence), Err(TransportError::Reversed(_))));
    assert!(matches!(limits(|it| it.retry_min = it.retry_max * 2), Err(TransportError::Reversed(_))));
    assert!(matches!(TcpTransport::bind(config), Err(TransportError::NoRuntime)));
}

#[tokio::test]
async fn a_port_that_is_taken_is_reported() {
    let ports = Ports::of([ONE]);
    let taken = TcpTransport::bind(ports.config(ONE, Security::LoopbackOnly)).unwrap_err();
    assert!(matches!(taken, TransportError::Listen { address, .. } if address == ports.address(ONE)));
}

#[tokio::test]
async fn a_name_that_stands_for_a_network_address_is_not_connected_to() {
    let ports = Ports::of([ONE]);
    let mut config = ports.config(ONE, Security::LoopbackOnly);
    // A name as far as the configuration can tell; the resolver reads it as an address.
    config.peers.insert(TWO, "0x0a010203:1".to_owned());
    config.validate().unwrap();
    let one = ports.start_with(config);
    until(&one, TWO, |link| link.error.is_some()).await;
    let expected = LinkError::Exposed("10.1.2.3:1".parse().unwrap());
    assert!(one.links().iter().all(|link| link.error == Some(expected.clone())), "{one:?}");
}

/// Servers 1, 2 and 3 on ports of their own; they are bound anew at every start.
struct Loopback(BTreeMap<ServerId, TcpConfig>);

#[async_trait]
impl conformance::Network for Loopback {
    async fn start(&self, server: ServerId) -> Box<dyn Transport> {
        Box::new(TcpTransport::bind(self.0[&server].clone()).unwrap())
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_conforms() {
    let mut ports = Ports::of([ONE, TWO, THREE]);
    let config = |server| (server, ports.config(server, Security::LoopbackOnly));
    let network = Loopback([ONE, TWO, THREE].map(config).into());
    ports.release();
    conformance::check(&network).await.unwrap();
}

/// A transport whose queues on both sides hold `frames` frames in each lane.
fn narrow(config: TcpConfig, frames: usize) -> TcpConfig {
    let limit = QueueLimit { frames, bytes: 1 << 30 };
    TcpConfig { limits: TcpLimits { urgent: limit, bulk: limit, ..config.limits }, ..config }
}
