//! TCP between servers, with mutual TLS; feature `tokio`.

mod absence;
mod accept;
mod config;
mod dial;
mod error;
mod hello;
mod link;
mod outbox;
mod tls;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use self::absence::Absence;
use self::accept::Acceptor;
use self::dial::Dialler;
use self::outbox::Outbox;
use self::tls::Tls;
use super::Transport;
use super::inbox::Inbox;
use crate::codec;
use crate::types::{ClusterId, Lane, ServerId};

pub use self::config::{Security, TcpConfig, TcpLimits, TlsConfig};
pub use self::error::{LinkError, Refusal, TransportError};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// The other servers, over TCP.
///
/// Every server makes two connections to each peer, one for each lane, and sends on those; it receives on the
/// ones that its peers make. So urgent frames never wait for bulk, a peer that is slow, away or behind a
/// black hole costs the others nothing, and it does not matter who came first.
///
/// A connection begins with a handshake that names the ensemble, the two servers and the lane. Whoever is not expected
/// is refused before anything changes; a second connection of the same peer and lane replaces the first. Both
/// sides send signs of life, so that a connection whose other end vanished is noticed and made anew: the first time at once,
/// then after pauses that double up to a second.
///
/// What waits for a peer is bounded. When the bound is reached, the urgent lane drops its oldest frame and the bulk lane
/// the new one. What was under way when a connection broke is lost.
///
/// It runs its connections on the tokio runtime in which it was made, and can be used from any executor.
/// Dropping it closes everything; the port is free again at once.
pub struct TcpTransport {
    shared: Arc<Shared>,
    local: SocketAddr,
    tasks: Vec<AbortHandle>,
}

/// How the connection is doing on which one lane is sent to one peer.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LinkStatus {
    /// The peer.
    pub peer: ServerId,
    /// The lane.
    pub lane: Lane,
    /// Whether there is a connection.
    pub connected: bool,
    /// How many frames wait to be sent.
    pub waiting_frames: usize,
    /// How many bytes are in them.
    pub waiting_bytes: usize,
    /// How many frames were dropped so far, for want of room or because the peer was away for long. Frames
    /// that were under way when a connection broke are not among them.
    pub dropped: u64,
    /// Why there is no connection, where there is none.
    pub error: Option<LinkError>,
}

/// What the connections share.
struct Shared {
    cluster: ClusterId,
    server: ServerId,
    security: Security,
    limits: TcpLimits,
    tls: Option<Tls>,
    peers: BTreeMap<ServerId, Lanes>,
    inbox: Inbox,
    listener: Mutex<Option<TcpListener>>,
    refused: AtomicU64,
    absence: Arc<Absence>,
}

struct Lanes {
    urgent: Arc<Outbox>,
    bulk: Arc<Outbox>,
}

impl TcpTransport {
    /// Listens at the configured address and begins to connect to the peers. Call it within a tokio runtime that
    /// has I/O and time enabled.
    ///
    /// # Errors
    ///
    /// When the configuration cannot work or is not allowed, or the port cannot be had.
    pub fn bind(config: TcpConfig) -> Result<Self, TransportError> {
        let address = config.listen;
        let tls = prepare(&config)?;
        let listen = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A server that restarts must not wait until the kernel has forgotten its older connections. On
            // Windows the option means another thing, and is not needed.
            #[cfg(not(windows))]
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        let listener = listen().map_err(|source| TransportError::Listen { address, source })?;
        Self::start(config, tls, listener)
    }

    /// As [`bind`](Self::bind), with a listener that exists already; `listen` of the configuration is not used.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn from_listener(listener: std::net::TcpListener, config: TcpConfig) -> Result<Self, TransportError> {
        let tls = prepare(&config)?;
        let failed = |source| TransportError::Listen { address: config.listen, source };
        config.security.admits(listener.local_addr().map_err(failed)?)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        Self::start(config, tls, listener)
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// How the connections to the peers are doing, in the order of peers and lanes.
    #[must_use]
    pub fn links(&self) -> Vec<LinkStatus> {
        let lanes = |(&peer, lanes): (&ServerId, &Lanes)| {
            [(Lane::Urgent, lanes.urgent.status()), (Lane::Bulk, lanes.bulk.status())].map(
                |(lane, status)| LinkStatus {
                    peer,
                    lane,
                    connected: status.connected,
                    waiting_frames: status.waiting.frames,
                    waiting_bytes: status.waiting.bytes,
                    dropped: status.dropped,
                    error: status.error,
                },
            )
        };
        self.shared.peers.iter().flat_map(lanes).collect()
    }

    /// How many connections were refused so far. If it grows, somebody uses the wrong address, the wrong
    /// certificate, or ought not to be there.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Closes all connections and the port. [`recv`](Transport::recv) then gives `None`, and what is sent is dropped.
    pub fn close(&self) {
        self.shared.inbox.close();
        for task in &self.tasks {
            task.abort();
        }
        for lanes in self.shared.peers.values() {
            lanes.urgent.close();
            lanes.bulk.close();
        }
        // The tasks end when the runtime comes to them; the port is free now.
        drop(self.shared.listener().take());
    }

    fn start(config: TcpConfig, tls: Option<Tls>, listener: TcpListener) -> Result<Self, TransportError> {
        let TcpConfig { cluster, server, listen, mut peers, security, limits } = config;
        peers.remove(&server);
        let local =
            listener.local_addr().map_err(|source| TransportError::Listen { address: listen, source })?;
        let shared = Arc::new(Shared {
            cluster,
            server,
            security,
            tls,
            peers: peers.keys().map(|&peer| (peer, Lanes::new(&limits))).collect(),
            inbox: Inbox::new(limits.urgent, limits.bulk),
            limits,
            listener: Mutex::new(Some(listener)),
            refused: AtomicU64::new(0),
            absence: Arc::default(),
        });
        let mut tasks = vec![tokio::spawn(Acceptor::new(Arc::clone(&shared)).run()).abort_handle()];
        for (peer, lanes) in &shared.peers {
            let Some(address) = peers.get(peer) else { continue };
            for (lane, outbox) in [(Lane::Urgent, &lanes.urgent), (Lane::Bulk, &lanes.bulk)] {
                let dialler = Dialler {
                    shared: Arc::clone(&shared),
                    outbox: Arc::clone(outbox),
                    peer: *peer,
                    address: address.clone(),
                    lane,
                };
                tasks.push(tokio::spawn(dialler.run()).abort_handle());
            }
        }
        Ok(Self { shared, local, tasks })
    }
}

#[async_trait]
impl Transport for TcpTransport {
    /// A frame to a server that is not among the peers, or that is not one whole frame of [`codec`], is dropped.
    fn send(&self, to: ServerId, lane: Lane, frame: Bytes) {
        let Some(outbox) = self.shared.peers.get(&to).map(|lanes| lanes.outbox(lane)) else { return };
        // Anything else would cost the connection, and with it the good frames.
        if codec::frame_len(&frame) != Ok(frame.len()) {
            outbox.count_dropped();
            tracing::warn!(peer = %to, ?lane, len = frame.len(), "dropped what is not one whole frame");
            return;
        }
        outbox.offer(frame);
    }

    async fn recv(&self) -> Option<(ServerId, Bytes)> {
        self.shared.inbox.recv().await
    }

    /// A peer that had a connection, has none any more, and whose address refuses new ones.
    async fn gone(&self) -> ServerId {
        self.shared.absence.next().await
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpTransport")
            .field("cluster", &self.shared.cluster)
            .field("server", &self.shared.server)
            .field("local", &self.local)
            .field("links", &self.links())
            .finish()
    }
}

impl Shared {
    fn listener(&self) -> MutexGuard<'_, Option<TcpListener>> {
        // Nothing panics while it is held.
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_reachable(&self, peer: ServerId) {
        if let Some(lanes) = self.peers.get(&peer) {
            lanes.urgent.set_reachable();
            lanes.bulk.set_reachable();
        }
    }

    fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl Lanes {
    fn new(limits: &TcpLimits) -> Self {
        Self {
            urgent: Arc::new(Outbox::new(Lane::Urgent, limits.urgent)),
            bulk: Arc::new(Outbox::new(Lane::Bulk, limits.bulk)),
        }
    }

    fn outbox(&self, lane: Lane) -> &Outbox {
        match lane {
            Lane::Urgent => &self.urgent,
            Lane::Bulk => &self.bulk,
        }
    }
}

/// All that can be judged before a port is taken.
fn prepare(config: &TcpConfig) -> Result<Option<Tls>, TransportError> {
    config.validate()?;
    Handle::try_current().map_err(|_| TransportError::NoRuntime)?;
    match &config.security {
        Security::MutualTls(tls) => Tls::new(tls, config.cluster, config.server).map(Some),
        Security::InsecureTrustedNetwork | Security::LoopbackOnly => Ok(None),
    }
}
