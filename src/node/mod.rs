//! Layer 6: [`Node`], one server of an ensemble, driven.
//!
//! [`Node::start`] takes a [`Transport`], a [`Storage`] and a [`Clock`] and gives a handle and a future. The
//! future is the server: spawn it on any executor, or block on it. It owns the
//! [`Peer`](crate::peer::Peer), feeds it what arrives, and carries out what it asks.

mod clock;
mod config;
mod connection;
mod driver;
#[cfg(feature = "tokio")]
mod embed;
mod entropy;
mod error;
mod events;
#[cfg(test)]
pub(crate) mod manual_clock;
mod observe;
mod recovery;
#[cfg(test)]
mod tests;
mod weight;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures::channel::{mpsc, oneshot};

pub use clock::{Clock, Sleep, SystemClock};
pub use config::NodeConfig;
pub use connection::{
    Attach, Connection, Connector, Deliveries, Delivery, Disconnected, Inbound, OpenError, Outbound,
    Requests, ServerEnd, Undeliverable,
};
#[cfg(feature = "tokio")]
pub use embed::EmbedError;
pub use entropy::entropy;
pub use error::{NodeError, NodeStopped};
pub use events::Events;
pub use observe::Observer;

use driver::{Command, Driver};

use crate::peer::{ConfigError, Detail, Ensemble, Inspection, Limits, Status};
use crate::storage::Storage;
use crate::transport::Transport;
use crate::types::{ClientId, SeededRng, ServerId};

/// A handle to a running server. Cheap to clone.
///
/// The server runs until its future ends: by [`shutdown`](Self::shutdown), by an error, or because the last
/// handle was dropped, which shuts it down likewise. Connections do not keep it alive, nor does a
/// [`Client`](crate::client::Client) that was made with `&node` or with its [`connector`](Self::connector); one that
/// was given the `Node` itself holds that handle.
#[derive(Clone, Debug)]
pub struct Node {
    commands: Arc<mpsc::Sender<Command>>,
    shared: Arc<Shared>,
}

/// A way to a server that does not keep it running; what a [`Client`](crate::client::Client) of `&node` holds. Cheap
/// to clone.
///
/// When the server has stopped, as by the drop of its last [`Node`], every [`open`](Connector::open) fails with
/// [`Stopped`](OpenError::Stopped), and a client goes to another of its servers.
#[derive(Clone, Debug)]
pub struct NodeConnector {
    commands: Weak<mpsc::Sender<Command>>,
    shared: Arc<Shared>,
}

/// What handles and the future share.
struct Shared {
    next_client: AtomicU64,
    open_connections: AtomicUsize,
    config: NodeConfig,
    clock: Arc<dyn Clock>,
}

impl Node {
    /// Prepares a server; it runs as soon as the future is polled.
    ///
    /// The future opens the storage, restores the state from the snapshot and the log, and then serves. It
    /// ends with `Ok` after [`shutdown`](Self::shutdown), and with the cause when the storage fails: a
    /// storage that failed once is not tried again. However it ends, all clients are disconnected; their sessions go on.
    /// Dropping the future stops the server as a crash would: safely.
    ///
    /// # Errors
    ///
    /// When the configuration cannot work. Nothing was started.
    pub fn start(
        config: NodeConfig,
        transport: Arc<dyn Transport>,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, NodeDriver), ConfigError> {
        Self::start_with(config, transport, storage, clock, None)
    }

    /// As [`start`](Self::start), with somebody who looks on.
    ///
    /// # Errors
    ///
    /// When the configuration cannot work. Nothing was started.
    pub fn start_observed(
        config: NodeConfig,
        transport: Arc<dyn Transport>,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Result<(Self, NodeDriver), ConfigError> {
        Self::start_with(config, transport, storage, clock, Some(observer))
    }

    fn start_with(
        config: NodeConfig,
        transport: Arc<dyn Transport>,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<(Self, NodeDriver), ConfigError> {
        config.validate()?;
        // Transactions of this server's last life may still be on their way, with the connections of that
        // life in them. Seed and wall clock together keep the numbers apart.
        let first_client =
            SeededRng::new(config.peer.seed).next_u64() ^ ((clock.now().wall.as_millis() as u64) << 20);
        let (commands, receiver) = mpsc::channel(config.connections);
        let shared = Arc::new(Shared {
            next_client: AtomicU64::new(first_client),
            open_connections: AtomicUsize::new(0),
            config,
            clock: Arc::clone(&clock),
        });
        let node = Self { commands: Arc::new(commands), shared: Arc::clone(&shared) };
        let run = async move {
            let peer = recovery::recover(&shared.config, storage.as_ref(), clock.as_ref()).await?;
            Driver::new(peer, shared, transport, storage, clock, receiver, observer).await
        };
        Ok((node, NodeDriver(Box::pin(run))))
    }

    /// The server's number.
    #[must_use]
    pub fn server(&self) -> ServerId {
        self.shared.config.peer.server
    }

    /// The clock that the server was started with, for its clients.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.clock)
    }

    /// A way to this server that does not keep it running.
    ///
    /// ```
    /// # use quorate::client::{Client, ClientError, ClientOptions};
    /// # use quorate::node::Node;
    /// /// A client that may outlive the server: what the server's owner does is up to the owner.
    /// fn client_of(node: &Node, seed: [u8; 32]) -> Result<Client, ClientError> {
    ///     // `[node]` says the same: a reference is turned into a connector.
    ///     let (client, driver) = Client::new([node.connector()], node.clock(), ClientOptions::new(seed))?;
    ///     std::thread::spawn(move || futures::executor::block_on(driver));
    ///     Ok(client)
    /// }
    /// ```
    #[must_use]
    pub fn connector(&self) -> NodeConnector {
        NodeConnector { commands: Arc::downgrade(&self.commands), shared: Arc::clone(&self.shared) }
    }

    /// How the server is doing; waits until it has recovered its storage.
    ///
    /// # Errors
    ///
    /// When the server has stopped.
    pub async fn status(&self) -> Result<Status, NodeStopped> {
        let (sender, receiver) = oneshot::channel();
        self.command(Command::Status(sender))?;
        receiver.await.map_err(|_| NodeStopped)
    }

    /// Waits until the server's status is as asked for; gives that status.
    ///
    /// The status is looked at now and after every turn of the server in which anything happened, so that nothing is
    /// polled. What lasts for one moment only may go by unseen.
    ///
    /// ```
    /// # use quorate::node::{Node, NodeStopped};
    /// # use quorate::peer::Role;
    /// # async fn example(node: &Node) -> Result<(), NodeStopped> {
    /// let status = node.until(|status| status.serving).await?;
    /// println!("in epoch {} under {:?}", status.epoch, status.leader);
    /// node.until(|status| status.role == Role::Leading).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the server has stopped.
    pub async fn until(&self, mut is_so: impl FnMut(&Status) -> bool) -> Result<Status, NodeStopped> {
        let mut status = self.status().await?;
        while !is_so(&status) {
            let (sender, receiver) = oneshot::channel();
            self.command(Command::NextStatus { after: Box::new(status), answer: sender })?;
            status = receiver.await.map_err(|_| NodeStopped)?;
        }
        Ok(status)
    }

    /// What the server holds; waits until it has recovered its storage.
    ///
    /// # Errors
    ///
    /// When the server has stopped.
    pub async fn inspect(&self, detail: Detail) -> Result<Inspection, NodeStopped> {
        let (sender, receiver) = oneshot::channel();
        self.command(Command::Inspect(detail, sender))?;
        receiver.await.map_err(|_| NodeStopped)
    }

    /// The servers that make up the quorum, as this one was told.
    #[must_use]
    pub fn ensemble(&self) -> &Ensemble {
        &self.shared.config.peer.ensemble
    }

    /// The bounds that the server was given.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared.config.peer.limits
    }

    /// What happens in the server from now on. What is not taken in time is dropped, and counted.
    ///
    /// The stream ends with the server.
    #[must_use]
    pub fn events(&self) -> Events {
        let (events, sink) = events::channel(self.shared.config.events);
        // Of a server that has stopped there are no events: the stream ends at once.
        if self.command(Command::Subscribe(sink)).is_err() {
            tracing::debug!(server = %self.server(), "events of a stopped server were asked for");
        }
        events
    }

    /// Asks the server to stop. It takes no more requests, waits for the storage to finish what is being
    /// written, disconnects its clients and resolves its future with `Ok`.
    ///
    /// Calling it twice, or after the server has stopped, does nothing.
    pub fn shutdown(&self) {
        if self.command(Command::Shutdown).is_err() {
            tracing::debug!(server = %self.server(), "a stopped server was asked to stop");
        }
    }

    /// Asks the server to stop, as [`shutdown`](Self::shutdown), and waits until its future has ended and its storage
    /// is free to be opened again. Returns at once if it has.
    ///
    /// Its future must be polled meanwhile; one that nobody polls never ends.
    pub async fn stop(&self) {
        self.shutdown();
        // It is answered when the server, its storage included, is dropped.
        while self.until(|_| false).await.is_ok() {}
    }

    /// Opens a connection that asks for a session; what [`Client`](crate::client::Client) and the listeners
    /// of client protocols use.
    ///
    /// # Errors
    ///
    /// When the server has stopped or has as many connections as it may.
    pub fn open(&self, attach: Attach) -> Result<Connection, OpenError> {
        self.shared.open(&self.commands, attach)
    }

    fn command(&self, command: Command) -> Result<(), NodeStopped> {
        send(&self.commands, command)
    }
}

impl Shared {
    fn open(&self, commands: &mpsc::Sender<Command>, attach: Attach) -> Result<Connection, OpenError> {
        let config = &self.config;
        let free = |open| (open < config.connections).then_some(open + 1);
        if self.open_connections.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).is_err() {
            return Err(OpenError::Full);
        }
        let client = ClientId::new(self.next_client.fetch_add(1, Ordering::Relaxed));
        let (connection, end) =
            Connection::pair_within(client, config.inbound, config.outbound, config.outbound_len);
        send(commands, Command::Open { attach, end }).map_err(|_| OpenError::Stopped)?;
        Ok(connection.with_limit(config.peer.limits.requests_per_client))
    }
}

/// Each command rides on a sender of its own, which has room for one, so that none is ever refused for want of
/// room. What can wait is bounded by the number of connections and of callers.
fn send(commands: &mpsc::Sender<Command>, command: Command) -> Result<(), NodeStopped> {
    commands.clone().try_send(command).map_err(|_| NodeStopped)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The work of a [`Node`], as a future to spawn on any executor; resolves when the server has stopped, and
/// says why.
#[must_use = "a server does nothing unless its driver is spawned"]
pub struct NodeDriver(Pin<Box<dyn Future<Output = Result<(), NodeError>> + Send>>);

impl Future for NodeDriver {
    type Output = Result<(), NodeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for NodeDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeDriver")
    }
}

impl Connector for Node {
    fn open(&self, attach: Attach) -> Result<Connection, OpenError> {
        Self::open(self, attach)
    }
}

impl Connector for NodeConnector {
    fn open(&self, attach: Attach) -> Result<Connection, OpenError> {
        let commands = self.commands.upgrade().ok_or(OpenError::Stopped)?;
        self.shared.open(&commands, attach)
    }
}

/// Gives the handle away: the server runs as long as whoever takes it.
impl From<Node> for Arc<dyn Connector> {
    fn from(node: Node) -> Self {
        Arc::new(node)
    }
}

/// The node's [`connector`](Node::connector): the server does not run any longer for it.
impl From<&Node> for Arc<dyn Connector> {
    fn from(node: &Node) -> Self {
        Arc::new(node.connector())
    }
}

impl From<NodeConnector> for Arc<dyn Connector> {
    fn from(connector: NodeConnector) -> Self {
        Arc::new(connector)
    }
}
