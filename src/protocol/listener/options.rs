use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::ConnectionOptions;
use crate::protocol::words::{HostFacts, NoHostFacts};

use super::{ClientTls, Registry};

/// What [`serve`](super::serve) must be told.
#[derive(Clone)]
pub struct ServeOptions {
    /// What each connection is judged by.
    pub connection: Arc<ConnectionOptions>,
    /// How many connections may come from one address; 0 for any number. ZooKeeper's `maxClientCnxns`.
    pub connections_per_address: usize,
    /// How many connections there may be; 0 for any number. ZooKeeper's `maxCnxns`.
    pub connections: usize,
    /// How long a client may take until it has a session; and before that as long for the handshake of TLS.
    pub handshake: Duration,
    /// How long a connection that is being closed may take to send what it still has to.
    pub farewell: Duration,
    /// TLS, and certificates that clients prove themselves with. Without it nothing is encrypted.
    pub tls: Option<Arc<ClientTls>>,
    /// The subject of the certificate that makes a client the superuser, as in ZooKeeper's
    /// `X509AuthenticationProvider.superUser`. Without it none does.
    pub super_subject: Option<Box<str>>,
    /// Where connections are counted. Listeners that share it share its limits too.
    pub registry: Arc<Registry>,
    /// What only the program around the node knows.
    pub host: Arc<dyn HostFacts>,
}

impl Default for ServeOptions {
    /// As ZooKeeper: 60 connections from one address, any number of them together, no TLS.
    fn default() -> Self {
        Self {
            connection: Arc::default(),
            connections_per_address: 60,
            connections: 0,
            handshake: Duration::from_secs(10),
            farewell: Duration::from_secs(2),
            tls: None,
            super_subject: None,
            registry: Arc::default(),
            host: Arc::new(NoHostFacts),
        }
    }
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions")
            .field("connection", &self.connection)
            .field("connections_per_address", &self.connections_per_address)
            .field("connections", &self.connections)
            .field("handshake", &self.handshake)
            .field("farewell", &self.farewell)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}
