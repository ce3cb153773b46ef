use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::types::Identity;

use super::x509;

/// Why there is no TLS from these files. What was in use before stays in use.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{part} cannot be used for TLS: {cause}")]
pub struct TlsError {
    /// Which part it is about.
    pub part: &'static str,
    /// What is wrong with it.
    pub cause: String,
}

/// What TLS with clients needs, in PEM.
#[derive(Clone)]
pub struct TlsFiles {
    /// This server's certificate, followed by those between it and its authority.
    pub chain: Bytes,
    /// The private key of this server's certificate.
    pub key: Bytes,
    /// The authorities that clients' certificates may come from; none where clients show none.
    pub client_authorities: Option<Bytes>,
    /// Whether clients must show a certificate; otherwise they may.
    pub require_client_certificate: bool,
}

/// Shows no key.
impl fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFiles")
            .field("client_authorities", &self.client_authorities.is_some())
            .field("require_client_certificate", &self.require_client_certificate)
            .finish_non_exhaustive()
    }
}

/// TLS with clients: 1.2 and 1.3. Its certificates can be replaced while it is in use.
///
/// A client that shows a certificate of one of the authorities has the identity `x509:` with the certificate's subject, in the form
/// of RFC 2253, as ZooKeeper has it: `CN=ann,OU=dev,O=example`.
pub struct ClientTls {
    current: RwLock<Arc<ServerConfig>>,
}

impl ClientTls {
    /// TLS with these certificates.
    ///
    /// # Errors
    ///
    /// When one of the files is not what it should be.
    pub fn new(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { current: RwLock::new(Arc::new(config(files)?)) })
    }

    /// Uses these certificates from the next connection on. Connections that there are stay as they are.
    ///
    /// # Errors
    ///
    /// When one of the files is not what it should be; then nothing changes.
    pub fn replace(&self, files: &TlsFiles) -> Result<(), TlsError> {
        let config = Arc::new(config(files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Encrypts a connection; with it what its client has proved.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(Box<TlsStream<TcpStream>>, Option<Identity>)> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let identity = certificate
            .and_then(|certificate| x509::subject(certificate))
            .map(|subject| Identity::new("x509", &subject));
        Ok((Box::new(stream), identity))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

fn config(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable("the versions of TLS"))?;
    let builder = match &files.client_authorities {
        None if files.require_client_certificate => {
            return Err(TlsError {
                part: "the requirement of client certificates",
                cause: "no authorities are named that they may come from".to_owned(),
            });
        }
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("the authorities", authorities)? {
                roots.add(certificate).map_err(unusable("the authorities"))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier =
                if files.require_client_certificate { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(unusable("the authorities"))?)
        }
    };
    let chain = certificates("the chain of certificates", &files.chain)?;
    let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(unusable("the private key"))?;
    builder.with_single_cert(chain, key).map_err(unusable("the certificate with its key"))
}

fn certificates(part: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(unusable(part))?;
    if all.is_empty() {
        return Err(TlsError { part, cause: "there is no certificate in it".to_owned() });
    }
    Ok(all)
}

fn unusable<E: fmt::Display>(part: &'static str) -> impl FnOnce(E) -> TlsError {
    move |cause| TlsError { part, cause: cause.to_string() }
}
