use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::TransportError;
use crate::transport::QueueLimit;
use crate::types::{ClusterId, ServerId};

/// All that a [`TcpTransport`](super::TcpTransport) must be told.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// The ensemble. Connections of every other are refused.
    pub cluster: ClusterId,
    /// This server.
    pub server: ServerId,
    /// Where to listen for the peers; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The other servers, each as `host:port`. A name is resolved anew for every connection. An entry for
    /// this server itself is passed over, so that all servers can share one list.
    pub peers: BTreeMap<ServerId, String>,
    /// How peers prove who they are.
    pub security: Security,
    /// Bounds and spans.
    pub limits: TcpLimits,
}

impl TcpConfig {
    /// A configuration with default limits.
    #[must_use]
    pub fn new(
        cluster: ClusterId,
        server: ServerId,
        listen: SocketAddr,
        peers: BTreeMap<ServerId, String>,
        security: Security,
    ) -> Self {
        Self { cluster, server, listen, peers, security, limits: TcpLimits::default() }
    }

    /// A configuration with default limits for one of `peers`, which listens at its own address there. So all servers
    /// can share one list.
    ///
    /// # Errors
    ///
    /// When `server` is not among `peers`, or its address there is no IP address with a port.
    pub fn among(
        peers: BTreeMap<ServerId, String>,
        cluster: ClusterId,
        server: ServerId,
        security: Security,
    ) -> Result<Self, TransportError> {
        let address = peers.get(&server).cloned().unwrap_or_default();
        let listen = address
            .parse()
            .map_err(|_| TransportError::PeerAddress { peer: server, address: address.clone() })?;
        Ok(Self::new(cluster, server, listen, peers, security))
    }

    /// Judges the configuration without touching the network.
    ///
    /// # Errors
    ///
    /// The first thing that cannot work or is not allowed.
    pub fn validate(&self) -> Result<(), TransportError> {
        self.limits.validate()?;
        self.security.admits(self.listen)?;
        for (&peer, address) in &self.peers {
            let malformed = || TransportError::PeerAddress { peer, address: address.clone() };
            let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
            if host.is_empty() || port.parse::<u16>().map_or(true, |port| port == 0) {
                return Err(malformed());
            }
            if let Ok(address) = address.parse() {
                self.security.admits(address)?;
            }
        }
        Ok(())
    }
}

/// How peers prove who they are. There is no default: whoever can pose as a server of the ensemble can change
/// or destroy all data in it, so this is for a person to decide.
#[derive(Clone, Debug)]
pub enum Security {
    /// TLS 1.3 with certificates on both sides, each bound to one server.
    MutualTls(TlsConfig),
    /// Nothing is encrypted and nobody proves anything. Right only where every machine that can reach the
    /// port is trusted as much as the servers themselves.
    InsecureTrustedNetwork,
    /// As [`InsecureTrustedNetwork`](Self::InsecureTrustedNetwork), for servers on one machine: any
    /// address that is not a loopback address is refused, to listen at and to connect to.
    LoopbackOnly,
}

impl Security {
    pub(super) fn admits(&self, address: SocketAddr) -> Result<(), TransportError> {
        match self {
            Self::LoopbackOnly if !address.ip().to_canonical().is_loopback() => {
                Err(TransportError::Exposed(address))
            }
            _ => Ok(()),
        }
    }
}

/// What mutual TLS needs, in PEM.
///
/// A certificate belongs to a server if it carries the subject alternative name
/// `server-<id>.<cluster>.quorate`, with the server's number in decimal and the ensemble's as 16 hexadecimal digits
/// ([`TlsConfig::server_name`] makes it), and has come from one of the authorities. A wildcard in place
/// of the first label is refused. If a certificate names its purposes, it must name both server and client
/// authentication.
#[derive(Clone)]
pub struct TlsConfig {
    /// The certificates of the authorities that peers' certificates may come from. Use one of its own for
    /// each ensemble.
    pub authorities: Bytes,
    /// This server's certificate, followed by those between it and the authority.
    pub chain: Bytes,
    /// The private key of this server's certificate.
    pub key: Bytes,
}

impl TlsConfig {
    /// The name that the certificate of `server` must carry.
    #[must_use]
    pub fn server_name(cluster: ClusterId, server: ServerId) -> String {
        format!("server-{server}.{:016x}.quorate", cluster.number())
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConfig(..)")
    }
}

/// What may grow how far, and wait how long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TcpLimits {
    /// What may wait for one peer in the urgent lane, on the way out and, separately, on the way in.
    pub urgent: QueueLimit,
    /// What may wait for one peer in the bulk lane, on the way out and, separately, on the way in.
    pub bulk: QueueLimit,
    /// How long a connection may take to be made, the look-up of the name included.
    pub connect: Duration,
    /// How long TLS and the handshake may take.
    pub handshake: Duration,
    /// How often a sign of life is sent when there is nothing else to send.
    pub ping: Duration,
    /// After how long without any byte a connection counts as dead; several times `ping`.
    pub silence: Duration,
    /// The first pause before a connection is tried again; doubles up to `retry_max`.
    pub retry_min: Duration,
    /// The longest such pause.
    pub retry_max: Duration,
    /// How many accepted connections may be in the handshake at once; beyond it the oldest is given up.
    pub handshakes: usize,
}

impl TcpLimits {
    fn validate(&self) -> Result<(), TransportError> {
        for (name, span) in [
            ("connect", self.connect),
            ("handshake", self.handshake),
            ("ping", self.ping),
            ("silence", self.silence),
            ("retry_min", self.retry_min),
            ("retry_max", self.retry_max),
        ] {
            if span < Duration::from_millis(1) {
                return Err(TransportError::ZeroLimit(name));
            }
        }
        if self.handshakes == 0 {
            return Err(TransportError::ZeroLimit("handshakes"));
        }
        if self.ping >= self.silence {
            return Err(TransportError::Reversed("`ping` is not shorter than `silence`"));
        }
        if self.retry_min > self.retry_max {
            return Err(TransportError::Reversed("`retry_min` is longer than `retry_max`"));
        }
        Ok(())
    }
}

impl Default for TcpLimits {
    /// For servers on one network or a few milliseconds apart.
    fn default() -> Self {
        Self {
            urgent: QueueLimit { frames: 256, bytes: 4 << 20 },
            bulk: QueueLimit { frames: 65_536, bytes: 64 << 20 },
            connect: Duration::from_secs(1),
            handshake: Duration::from_secs(2),
            ping: Duration::from_millis(500),
            silence: Duration::from_secs(3),
            retry_min: Duration::from_millis(20),
            retry_max: Duration::from_secs(1),
            handshakes: 128,
        }
    }
}
