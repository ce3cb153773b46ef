use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use crate::codec::CodecError;
use crate::types::ServerId;

/// Why a [`TcpTransport`](super::TcpTransport) could not be started. Nothing was started, and no port is held.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// An address would be open to a network, and nobody has said how peers prove who they are.
    #[error(
        "{0} is not a loopback address: choose Security::MutualTls, or Security::InsecureTrustedNetwork where \
         every machine that can reach it is trusted"
    )]
    Exposed(SocketAddr),
    /// A peer's address is not of the form `host:port`.
    #[error("`{address}`, the address of server {peer}, is not of the form `host:port`; correct it")]
    PeerAddress {
        /// The peer.
        peer: ServerId,
        /// What was given.
        address: String,
    },
    /// A limit is zero, and nothing could work with it.
    #[error("the limit `{0}` is zero; give it at least 1, or a millisecond")]
    ZeroLimit(&'static str),
    /// Two limits contradict each other.
    #[error("{0}; correct the limits")]
    Reversed(&'static str),
    /// The material for TLS cannot be used.
    #[error("{what} cannot be used: {reason}")]
    Tls {
        /// Which part of it.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// This server's own certificate is not one that its peers will accept.
    #[error("the certificate of this server must be for `{expected}` and for no wildcard: {reason}")]
    OwnCertificate {
        /// The name that it must carry.
        expected: String,
        /// What is wrong.
        reason: String,
    },
    /// The port could not be had.
    #[error("could not listen at {address}: {source}; is the port taken, or the address another machine's?")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no tokio runtime here to run the connections.
    #[error("no tokio runtime is entered; call this from within one, or enter its handle first")]
    NoRuntime,
}

/// Why there is no connection to a peer. The transport goes on trying.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The name could not be resolved, or there is nobody at the address.
    #[error("could not connect: {0}; is the peer running, and its address right?")]
    Connect(String),
    /// The name stands for an address that [`Security::LoopbackOnly`](super::Security::LoopbackOnly) forbids.
    #[error("{0} is not a loopback address, and no peer security was chosen for a network")]
    Exposed(SocketAddr),
    /// The other side took too long.
    #[error("the peer did not answer within the limit for {0}")]
    Timeout(&'static str),
    /// TLS failed, or the other side is another server than its address says.
    #[error("TLS with the peer failed: {0}; compare authorities, names and dates of the certificates")]
    Tls(String),
    /// The other side does not speak our protocol.
    #[error("the other side is no quorate server, or the connection broke in the handshake: {0}")]
    Handshake(String),
    /// The other side refused us.
    #[error("the peer refused the connection: {0}")]
    Refused(Refusal),
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Closed(String),
    /// Nothing was heard for too long.
    #[error("nothing was heard from the peer for too long")]
    Silent,
    /// What arrived is no frame.
    #[error("what arrived is no frame: {0}")]
    Frame(CodecError),
}

/// Why a server refused a connection. It changed nothing in the server that refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It speaks another version of the protocol.
    #[error("it speaks another version of the protocol; upgrade the older side")]
    Version,
    /// It belongs to another ensemble.
    #[error("it belongs to another ensemble; correct the cluster id or the address")]
    Cluster,
    /// It is not the server that was asked for.
    #[error("it is another server than the one asked for; correct the addresses")]
    Addressee,
    /// It has the same number as the one that connected.
    #[error("it has the same server id; give each server its own")]
    OwnNumber,
    /// It does not know the server that connected.
    #[error("it does not know this server; add this server to its list of peers")]
    Unknown,
    /// The certificate is another server's.
    #[error("the certificate belongs to another server; use the one made for this server id")]
    Identity,
    /// The handshake made no sense.
    #[error("it did not understand the handshake")]
    Malformed,
}
