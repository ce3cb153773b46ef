//! The TCP transport between two servers on one machine: a round trip, and a stream of bulk.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quorate::transport::Transport as _;
use quorate::transport::tcp::{Security, TcpConfig, TcpTransport, TlsConfig};
use quorate::{ClusterId, Lane, ServerId, codec};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::runtime::Runtime;

const CLUSTER: ClusterId = ClusterId::new(1);
const SERVERS: [ServerId; 2] = [ServerId::new(1), ServerId::new(2)];

/// Frames of one stream; few enough that none is dropped.
const STREAM: usize = 10_000;

fn frame(len: usize) -> Bytes {
    codec::encode_frame(&Bytes::from(vec![7; len])).expect("it is short")
}

fn pair(security: [Security; 2]) -> [TcpTransport; 2] {
    let listeners = SERVERS.map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    let addresses: Vec<SocketAddr> =
        listeners.iter().map(|listener| listener.local_addr().expect("it is bound")).collect();
    let peers: BTreeMap<_, _> =
        SERVERS.into_iter().zip(addresses.iter().map(SocketAddr::to_string)).collect();
    let mut parts = SERVERS.into_iter().zip(addresses).zip(listeners).zip(security);
    SERVERS.map(|_| {
        let (((server, address), listener), security) = parts.next().expect("one of two");
        let config = TcpConfig::new(CLUSTER, server, address, peers.clone(), security);
        TcpTransport::from_listener(listener, config).expect("the configuration is good")
    })
}

fn certificates() -> [Security; 2] {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    SERVERS.map(|server| {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([TlsConfig::server_name(CLUSTER, server)]).expect("a name");
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        Security::MutualTls(TlsConfig {
            authorities: authority.pem().into(),
            chain: certificate.pem().into(),
            key: key.serialize_pem().into(),
        })
    })
}

fn transport(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    for (name, security) in
        [("plain", [Security::LoopbackOnly, Security::LoopbackOnly]), ("tls", certificates())]
    {
        let [one, two] = pair(security);
        let mut group = criterion.benchmark_group(name);
        let small = frame(50);
        group.bench_function("round_trip_of_50_bytes", |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    one.send(SERVERS[1], Lane::Urgent, small.clone());
                    two.recv().await.expect("it is open");
                    two.send(SERVERS[0], Lane::Urgent, small.clone());
                    one.recv().await.expect("it is open");
                });
            });
        });
        for len in [100, 1000, 6000] {
            let bulk = frame(len);
            group.throughput(Throughput::Bytes((bulk.len() * STREAM) as u64));
            group.bench_function(format!("stream_of_10000_frames_of_{len}_bytes"), |bencher| {
                bencher.iter(|| {
                    runtime.block_on(async {
                        for _ in 0..STREAM {
                            one.send(SERVERS[1], Lane::Bulk, bulk.clone());
                        }
                        for _ in 0..STREAM {
                            two.recv().await.expect("it is open");
                        }
                    });
                });
            });
        }
    }
}

criterion_group!(benches, transport);
criterion_main!(benches);
