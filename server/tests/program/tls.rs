use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate::transport::tcp::TlsConfig;
use quorate::{ClusterId, ServerId};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::client::Client;
use super::harness::{Dir, Site, ports, until};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn write(&self, dir: &Path) -> PathBuf {
        let file = dir.join("ca.pem");
        fs::write(&file, self.0.pem()).unwrap();
        file
    }

    /// Key and certificate in one file, as ZooKeeper's PEM stores are.
    fn issue(&self, name: &str, file: &Path) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        fs::write(file, format!("{}{}", key.serialize_pem(), certificate.pem())).unwrap();
        certificate.der().to_vec()
    }
}

#[tokio::test]
async fn three_servers_know_each_other_by_their_certificates() {
    let dir = Dir::new();
    let authority = Authority::new();
    let ca = authority.write(&dir.0);
    let mut sites = Site::three(&dir, "sslQuorum=true\nclusterId=7\n");
    for (site, number) in sites.iter().zip(1..) {
        let file = site.data.join("peer.pem");
        authority.issue(&TlsConfig::server_name(ClusterId::new(7), ServerId::new(number)), &file);
        site.add(&format!(
            "ssl.quorum.keyStore.location={}\nssl.quorum.trustStore.location={}\n",
            file.display(),
            ca.display()
        ));
    }
    sites.iter_mut().for_each(Site::run);
    for site in &sites {
        site.mode().await;
    }
    let mut client = Client::connect(sites[0].client).await;
    assert_eq!(client.create("/x", b"1").await, Some(0));

    // A certificate of another server is of no use.
    sites[2].kill().await;
    let other = TlsConfig::server_name(ClusterId::new(7), ServerId::new(1));
    authority.issue(&other, &sites[2].data.join("peer.pem"));
    sites[2].run();
    assert_eq!(sites[2].exit().await, Some(1));
    assert!(sites[2].log().contains("must be for `server-3.0000000000000007.quorate`"), "{}", sites[2].log());
}

#[tokio::test]
async fn clients_come_in_by_tls_and_certificates_are_read_again_at_sighup() {
    let dir = Dir::new();
    let [secure] = ports();
    let authority = Authority::new();
    let (ca, server, own) = (authority.write(&dir.0), dir.0.join("server.pem"), dir.0.join("own.pem"));
    let first = authority.issue("localhost", &server);
    authority.issue("ann", &own);
    let more = format!(
        "secureClientPort={secure}\nsecureClientPortAddress=127.0.0.1\nssl.keyStore.location={}\nssl.trustStore.location={}\n",
        server.display(),
        ca.display()
    );
    let mut site = Site::alone(&dir, &more);
    site.run();
    site.mode().await;

    let (shown, text) = ask(secure, &ca, Some(&own)).await.expect("a client with a certificate is answered");
    assert!(text.contains("Mode: standalone"), "{text}");
    assert_eq!(shown, first);
    assert!(ask(secure, &ca, None).await.is_none(), "one without is not");

    let second = authority.issue("localhost", &server);
    assert_ne!(first, second);
    site.signal(rustix::process::Signal::HUP);
    until("the new certificate is shown", || async {
        let (shown, _) = ask(secure, &ca, Some(&own)).await?;
        (shown == second).then_some(())
    })
    .await;
    fs::write(&server, "no certificate").unwrap();
    site.signal(rustix::process::Signal::HUP);
    until("the log says that they stay", || async {
        site.log().contains("the certificates for clients stay as they were").then_some(())
    })
    .await;
    assert!(ask(secure, &ca, Some(&own)).await.is_some());
    assert_eq!(site.terminate().await, Some(0));
}

/// Asks `srvr` over TLS; gives the server's certificate and the answer.
async fn ask(port: u16, ca: &Path, own: Option<&Path>) -> Option<(Vec<u8>, String)> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let config = match own {
        Some(own) => {
            let chain = vec![CertificateDer::from_pem_file(own).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(own).unwrap()).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    stream.write_all(b"srvr").await.ok()?;
    let mut text = String::new();
    // The server may close without TLS's farewell.
    let _ = stream.read_to_string(&mut text).await;
    text.contains("Mode").then_some((shown, text))
}
