use std::sync::Arc;

use bytes::Bytes;
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::link::Stream;
use super::{LinkError, TlsConfig, TransportError};
use crate::types::{ClusterId, ServerId};

/// Mutual TLS, set up once for all connections.
///
/// Sessions are never resumed: every connection shows its certificates, so that one that has run out is noticed.
pub(super) struct Tls {
    cluster: ClusterId,
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl Tls {
    pub(super) fn new(
        config: &TlsConfig,
        cluster: ClusterId,
        server: ServerId,
    ) -> Result<Self, TransportError> {
        let chain = certificates("the chain of certificates", &config.chain)?;
        check_own(&chain, cluster, server)?;
        Self::with_chain(config, chain, cluster)
    }

    fn with_chain(
        config: &TlsConfig,
        chain: Vec<CertificateDer<'static>>,
        cluster: ClusterId,
    ) -> Result<Self, TransportError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(authorities(&config.authorities)?);
        let key = PrivateKeyDer::from_pem_slice(&config.key).map_err(unusable("the private key"))?;

        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(unusable("the authorities"))?;
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable("TLS 1.3"))?
            .with_webpki_verifier(verifier)
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(unusable("the certificate with its key"))?;
        client.resumption = Resumption::disabled();

        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(unusable("the authorities"))?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable("TLS 1.3"))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(unusable("the certificate with its key"))?;
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        server.send_tls13_tickets = 0;

        Ok(Self { cluster, connector: Arc::new(client).into(), acceptor: Arc::new(server).into() })
    }

    /// With a certificate that may be anybody's.
    #[cfg(test)]
    pub(super) fn unchecked(config: &TlsConfig, cluster: ClusterId) -> Self {
        Self::with_chain(config, certificates("", &config.chain).unwrap(), cluster).unwrap()
    }

    /// Encrypts a connection that we made, and makes sure that the other side is `peer`.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        peer: ServerId,
    ) -> Result<Box<dyn Stream>, LinkError> {
        let name = server_name(TlsConfig::server_name(self.cluster, peer))
            .map_err(|error| LinkError::Tls(error.to_string()))?;
        let stream =
            self.connector.connect(name, stream).await.map_err(|error| LinkError::Tls(error.to_string()))?;
        check_identity(end_entity(stream.get_ref().1.peer_certificates()), self.cluster, peer)
            .map_err(LinkError::Tls)?;
        Ok(Box::new(stream))
    }

    /// Encrypts a connection that was made to us. The other side holds a certificate of one of the
    /// authorities; whose it is remains to be asked.
    pub(super) async fn accept(&self, stream: TcpStream) -> Result<(Box<dyn Stream>, Identity), LinkError> {
        let stream = self.acceptor.accept(stream).await.map_err(|error| LinkError::Tls(error.to_string()))?;
        let certificate =
            end_entity(stream.get_ref().1.peer_certificates()).map(|der| der.clone().into_owned());
        Ok((Box::new(stream), Identity { cluster: self.cluster, certificate }))
    }
}

/// What one that connected has proved.
pub(super) struct Identity {
    cluster: ClusterId,
    certificate: Option<CertificateDer<'static>>,
}

impl Identity {
    /// Whether it is `server`.
    pub(super) fn is(&self, server: ServerId) -> bool {
        check_identity(self.certificate.as_ref(), self.cluster, server).is_ok()
    }
}

fn end_entity<'a>(chain: Option<&'a [CertificateDer<'static>]>) -> Option<&'a CertificateDer<'static>> {
    chain.and_then(<[_]>::first)
}

/// Whether a certificate is for `server`, and not for every server at once.
fn check_identity(
    certificate: Option<&CertificateDer<'_>>,
    cluster: ClusterId,
    server: ServerId,
) -> Result<(), String> {
    let certificate = certificate.ok_or("there is none")?;
    let parsed = ParsedCertificate::try_from(certificate).map_err(|error| error.to_string())?;
    let name = server_name(TlsConfig::server_name(cluster, server)).map_err(|error| error.to_string())?;
    verify_server_name(&parsed, &name).map_err(|error| error.to_string())?;
    // No server has this name, so that only a wildcard is for it.
    let nobody = format!("server-any.{:016x}.quorate", cluster.number());
    let nobody = server_name(nobody).map_err(|error| error.to_string())?;
    if verify_server_name(&parsed, &nobody).is_ok() {
        return Err("it is for a wildcard".to_owned());
    }
    Ok(())
}

fn check_own(
    chain: &[CertificateDer<'static>],
    cluster: ClusterId,
    server: ServerId,
) -> Result<(), TransportError> {
    check_identity(chain.first(), cluster, server).map_err(|reason| TransportError::OwnCertificate {
        expected: TlsConfig::server_name(cluster, server),
        reason,
    })
}

fn server_name(name: String) -> Result<ServerName<'static>, impl std::error::Error> {
    ServerName::try_from(name)
}

fn authorities(pem: &Bytes) -> Result<RootCertStore, TransportError> {
    let what = "the certificates of the authorities";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(what, pem)? {
        roots.add(certificate).map_err(unusable(what))?;
    }
    Ok(roots)
}

fn certificates(what: &'static str, pem: &Bytes) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(unusable(what))?;
    if certificates.is_empty() {
        return Err(unusable(what)(pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn unusable<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> TransportError {
    move |error| TransportError::Tls { what, reason: error.to_string() }
}
