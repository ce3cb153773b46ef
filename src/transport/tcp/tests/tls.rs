//! Who a certificate lets in, and as whom.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::transport::tcp::hello::Hello;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn config(&self, names: &[String]) -> TlsConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        TlsConfig {
            authorities: self.0.pem().into(),
            chain: certificate.pem().into(),
            key: key.serialize_pem().into(),
        }
    }

    fn server(&self, server: ServerId) -> TlsConfig {
        self.config(&[TlsConfig::server_name(CLUSTER, server)])
    }
}

fn start(ports: &Ports, server: ServerId, tls: TlsConfig) -> TcpTransport {
    ports.start_with(ports.config(server, Security::MutualTls(tls)))
}

#[tokio::test]
async fn servers_with_certificates_of_their_authority_reach_each_other() {
    let authority = Authority::new();
    let ports = Ports::of([ONE, TWO]);
    let one = start(&ports, ONE, authority.server(ONE));
    let two = start(&ports, TWO, authority.server(TWO));
    let large = large_frame(3 << 20);
    for lane in [Lane::Urgent, Lane::Bulk] {
        one.send(TWO, lane, large.clone());
        let (from, arrived) = within(two.recv()).await.unwrap();
        assert!(from == ONE && arrived == large);
        two.send(ONE, lane, frame(2));
        assert_eq!(next(&one).await, (TWO, 2));
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_opens_nothing() {
    let ports = Ports::of([ONE, TWO]);
    let one = start(&ports, ONE, Authority::new().server(ONE));
    let two = start(&ports, TWO, Authority::new().server(TWO));
    let refused = |link: &LinkStatus| matches!(link.error, Some(LinkError::Tls(_)));
    until(&one, TWO, refused).await;
    until(&two, ONE, refused).await;
    one.send(TWO, Lane::Urgent, frame(1));
    assert!(one.links().iter().all(|link| !link.connected));
}

/// The transport refuses to start with another server's certificate, so that a liar needs a client of its own.
async fn claim(one: &TcpTransport, tls: &TlsConfig, hello: Hello) -> u8 {
    let liar = Tls::unchecked(tls, CLUSTER);
    let stream = within(TcpStream::connect(one.local_addr())).await.unwrap();
    let mut stream = within(liar.connect(stream, ONE)).await.unwrap();
    stream.write_all(&hello.encode()).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = [0; 11];
    within(stream.read_exact(&mut answer)).await.unwrap();
    answer[10]
}

#[tokio::test]
async fn a_server_cannot_claim_to_be_another() {
    let authority = Authority::new();
    let ports = Ports::of([ONE, TWO, THREE]);
    let one = start(&ports, ONE, authority.server(ONE));
    let hello = Hello { cluster: CLUSTER, from: TWO, to: ONE, lane: Lane::Bulk };
    let identity = 6;
    let elsewhere = authority.config(&[TlsConfig::server_name(ClusterId::new(1), TWO)]);
    let wildcard = authority.config(&["*.00000000000000ab.quorate".to_owned()]);
    assert_eq!(claim(&one, &authority.server(THREE), hello).await, identity);
    assert_eq!(claim(&one, &elsewhere, hello).await, identity);
    assert_eq!(claim(&one, &wildcard, hello).await, identity);
    assert_eq!(claim(&one, &authority.server(TWO), hello).await, 0);
}

#[tokio::test]
async fn a_server_that_listens_at_anothers_address_is_not_taken_for_it() {
    let authority = Authority::new();
    let ports = Ports::of([ONE, TWO, THREE]);
    let one = start(&ports, ONE, authority.server(ONE));
    let mut config = ports.config(THREE, Security::MutualTls(authority.server(THREE)));
    config.peers.insert(TWO, ports.address(ONE).to_string());
    let three = ports.start_with(config);
    until(&three, TWO, |link| matches!(link.error, Some(LinkError::Tls(_)))).await;
    until(&three, ONE, |link| link.connected).await;
    three.send(TWO, Lane::Bulk, frame(1));
    three.send(ONE, Lane::Bulk, frame(2));
    assert_eq!(next(&one).await, (THREE, 2));
}

#[tokio::test]
async fn a_server_with_a_wildcard_is_not_taken_for_any() {
    let authority = Authority::new();
    let wildcard = authority.config(&["*.00000000000000ab.quorate".to_owned()]);
    let liar = Tls::unchecked(&wildcard, CLUSTER);
    let honest = Tls::new(&authority.server(ONE), CLUSTER, ONE).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let stream = within(TcpStream::connect(listener.local_addr().unwrap())).await.unwrap();
    let (accepted, _) = within(listener.accept()).await.unwrap();
    let (_, connected) =
        within(async { tokio::join!(liar.accept(accepted), honest.connect(stream, TWO)) }).await;
    assert_eq!(connected.err(), Some(LinkError::Tls("it is for a wildcard".to_owned())));
}

#[tokio::test]
async fn plaintext_on_a_port_with_tls_is_closed() {
    let authority = Authority::new();
    let ports = Ports::of([ONE, TWO]);
    let one = start(&ports, ONE, authority.server(ONE));
    let two = ports.start(TWO);
    until(&two, ONE, |link| matches!(link.error, Some(LinkError::Handshake(_)))).await;
    until(&one, TWO, |link| matches!(link.error, Some(LinkError::Tls(_)))).await;
    assert!(one.refused() > 0);
}

#[tokio::test]
async fn material_that_cannot_work_is_refused_before_a_port_is_taken() {
    let authority = Authority::new();
    let good = authority.server(ONE);
    let ports = Ports::of([ONE]);
    let try_with = |tls: TlsConfig| {
        let config = ports.config(ONE, Security::MutualTls(tls));
        TcpTransport::from_listener(ports.listener(ONE), config).map(drop)
    };
    try_with(good.clone()).unwrap();
    let rubbish = || Bytes::from_static(b"rubbish");
    for bad in [
        TlsConfig { authorities: rubbish(), ..good.clone() },
        TlsConfig { chain: rubbish(), ..good.clone() },
        TlsConfig { key: rubbish(), ..good.clone() },
        TlsConfig { key: authority.server(ONE).key, ..good.clone() },
    ] {
        assert!(matches!(try_with(bad), Err(TransportError::Tls { .. })));
    }
    let wildcard = authority.config(&["*.00000000000000ab.quorate".to_owned()]);
    for bad in [authority.server(TWO), wildcard] {
        assert!(matches!(try_with(bad), Err(TransportError::OwnCertificate { .. })));
    }
    assert!(!format!("{good:?}").contains("PRIVATE"));
}
