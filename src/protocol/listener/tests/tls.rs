use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::protocol::record::{AuthPacket, Call, Record, WhoAmIResponse};
use crate::protocol::{ClientTls, ServeOptions, TlsFiles};
use crate::types::Identity;

use super::super::x509;
use super::ensemble::{Client, Servers, connect_request};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate and its key, in PEM.
    fn issue(&self, names: &[(DnType, &str)], host: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn files(&self, host: &str, required: bool) -> TlsFiles {
        let (chain, key) = self.issue(&[(DnType::CommonName, host)], host);
        TlsFiles {
            chain: chain.into(),
            key: key.into(),
            client_authorities: Some(self.0.pem().into()),
            require_client_certificate: required,
        }
    }
}

async fn dial(
    servers: &Servers,
    authority: &Authority,
    own: Option<&(String, String)>,
    host: &'static str,
) -> std::io::Result<Client<TlsStream<TcpStream>>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.0.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    let stream = TcpStream::connect(servers.address(0)).await?;
    let stream =
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host).unwrap(), stream).await?;
    Ok(Client::over(stream))
}

#[tokio::test]
async fn a_certificate_is_an_identity_and_can_be_replaced_while_clients_are_attached() {
    let authority = Authority::new();
    let tls = Arc::new(ClientTls::new(&authority.files("one.test", false)).unwrap());
    let servers =
        Servers::start(1, || ServeOptions { tls: Some(Arc::clone(&tls)), ..ServeOptions::default() }).await;
    let names = [(DnType::OrganizationName, "Example, Inc."), (DnType::CommonName, "ann")];
    let own = authority.issue(&names, "ann.test");

    let mut ann = dial(&servers, &authority, Some(&own), "one.test").await.unwrap();
    ann.connect(&connect_request()).await.unwrap();
    let (_, mut body) = ann.call(&Call::WhoAmI).await;
    let identities = WhoAmIResponse::decode(&mut body).unwrap().identities;
    let subject = Identity::new("x509", "CN=ann,O=Example\\, Inc.");
    assert_eq!(identities, [Identity::new("ip", "127.0.0.1"), subject]);
    let x509 = Call::Auth(AuthPacket { kind: 0, scheme: "x509".into(), auth: None });
    assert_eq!(ann.error_of(&x509).await, 0);

    tls.replace(&authority.files("two.test", true)).unwrap();
    assert!(tls.replace(&TlsFiles { key: "none".into(), ..authority.files("three.test", true) }).is_err());
    assert_eq!(ann.error_of(&Call::Ping).await, 0, "who was there stays");
    assert!(dial(&servers, &authority, Some(&own), "one.test").await.is_err());
    let mut again = dial(&servers, &authority, Some(&own), "two.test").await.unwrap();
    assert!(again.connect(&connect_request()).await.is_some());
    // Without a certificate there is no session any more; how the client hears of it depends on the version of TLS.
    if let Ok(mut nobody) = dial(&servers, &authority, None, "two.test").await {
        assert!(nobody.connect(&connect_request()).await.is_none());
    }
}

#[tokio::test]
async fn the_named_subject_is_the_superuser_and_no_other() {
    let authority = Authority::new();
    let tls = Arc::new(ClientTls::new(&authority.files("one.test", true)).unwrap());
    let servers = Servers::start(1, || ServeOptions {
        tls: Some(Arc::clone(&tls)),
        super_subject: Some("CN=root".into()),
        ..ServeOptions::default()
    })
    .await;
    for (name, is_super) in [("root", true), ("toor", false)] {
        let own = authority.issue(&[(DnType::CommonName, name)], "any.test");
        let mut client = dial(&servers, &authority, Some(&own), "one.test").await.unwrap();
        client.connect(&connect_request()).await.unwrap();
        let (_, mut body) = client.call(&Call::WhoAmI).await;
        let identities = WhoAmIResponse::decode(&mut body).unwrap().identities;
        assert_eq!(identities.iter().any(Identity::is_super), is_super, "{name}");
    }
}

#[tokio::test]
async fn without_tls_nobody_gets_through_the_secure_port() {
    let authority = Authority::new();
    let tls = Arc::new(ClientTls::new(&authority.files("one.test", false)).unwrap());
    let servers =
        Servers::start(1, || ServeOptions { tls: Some(Arc::clone(&tls)), ..ServeOptions::default() }).await;
    let mut plain = Client::dial(servers.address(0)).await;
    // What comes is an alert of TLS or nothing, never a session.
    plain.stream.write_all(&crate::protocol::record::frame_of(&connect_request())).await.unwrap();
    let mut answer = Vec::new();
    let _closed_or_reset = plain.stream.read_to_end(&mut answer).await;
    assert!(answer.len() < 20, "{answer:?}");
}

#[test]
fn clients_cannot_be_required_to_show_certificates_that_nobody_issues() {
    let authority = Authority::new();
    let files = TlsFiles { client_authorities: None, ..authority.files("one.test", true) };
    assert!(ClientTls::new(&files).is_err());
    assert!(!format!("{files:?}").contains("PRIVATE"));
}

#[test]
fn a_subject_is_written_last_part_first_with_its_special_characters_escaped() {
    let authority = Authority::new();
    let rows: [(&[(DnType, &str)], &str); 4] = [
        (&[(DnType::CountryName, "CH"), (DnType::CommonName, "a+b=c")], "CN=a\\+b=c,C=CH"),
        (&[(DnType::CommonName, " #lead and trail ")], "CN=\\ #lead and trail\\ "),
        (&[(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 2]), "x")], "1.2.840.113549.1.9.2=#0c0178"),
        (&[], ""),
    ];
    for (names, text) in rows {
        let (pem, _) = authority.issue(names, "x.test");
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert_eq!(x509::subject(&der).as_deref(), Some(text));
    }
}

#[test]
fn bytes_that_are_no_certificate_have_no_subject() {
    let (pem, _) = Authority::new().issue(&[(DnType::CommonName, "ann")], "ann.test");
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let whole = x509::subject(&der);
    for length in 0..der.len() {
        let cut = x509::subject(&der[..length]);
        assert!(cut.is_none() || cut == whole);
    }
    for at in 0..der.len() {
        let mut damaged = der.to_vec();
        damaged[at] ^= 0xff;
        let _none_or_another = x509::subject(&damaged);
    }
}
