//! The listener: takes in ZooKeeper clients for a node, under tokio.

mod accept;
mod options;
mod registry;
mod session;
#[cfg(test)]
mod tests;
mod tls;
mod x509;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::net::TcpListener;

use crate::node::Node;

use super::ConnectionOptions;
use super::words::{self, Needs, ServerReport, Word};

pub use options::ServeOptions;
pub use registry::Registry;
pub use tls::{ClientTls, TlsError, TlsFiles};

use accept::Acceptor;

/// Takes in ZooKeeper clients at `listener` and attaches them to `node`.
///
/// The future does the work: spawn it on tokio. It ends after [`Service::stop`], or when the last [`Service`] is dropped. While
/// the node has no quorum, or has stopped, clients are closed without an answer, which sends them to another server.
/// Nothing is global: a process may serve several nodes, each at several listeners (one plain, one with TLS) that share
/// [`ServeOptions::registry`].
///
/// A connection that waits costs a task of about a kilobyte, its socket, and no buffers. What a client can make the server hold
/// is bounded by [`ConnectionOptions`](super::ConnectionOptions) and by the limits of the node.
///
/// # Errors
///
/// When the listener has no address. Nothing was started.
pub fn serve(
    node: &Node,
    listener: TcpListener,
    options: ServeOptions,
) -> io::Result<(Service, ServiceDriver)> {
    let address = listener.local_addr()?;
    let mut options = options;
    // A client is slowed down before it meets the node's limit, which would end its connection.
    let most = node.limits().requests_per_client.saturating_sub(1).max(1);
    if options.connection.outstanding > most {
        let connection = ConnectionOptions { outstanding: most, ..(*options.connection).clone() };
        options.connection = Arc::new(connection);
    }
    let server = Arc::new(Server { node: node.clone(), options });
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let acceptor = Acceptor::new(Arc::clone(&server), listener, stopped);
    let service = Service { address, server, stop: Arc::new(stop) };
    Ok((service, ServiceDriver(Box::pin(acceptor.run()))))
}

/// A handle to a running listener. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    address: SocketAddr,
    server: Arc<Server>,
    stop: Arc<tokio::sync::watch::Sender<bool>>,
}

impl Service {
    /// Where clients connect to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The connections and what happens on them, of all listeners that share the registry.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.server.options.registry
    }

    /// Takes no more clients, sends those there are what waits for them, and disconnects them. Their sessions go on. Calling
    /// it again does nothing.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// What the text of a four-letter word is made of, for other ways to show it: status, counters, and the lists and the
    /// inspection as far as the text shows them.
    pub async fn report(&self, word: Word) -> ServerReport {
        self.server.report(word).await
    }

    /// The text of a four-letter word, whether clients may ask for it or not.
    pub async fn word(&self, word: Word) -> String {
        self.server.word(word).await
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({})", self.address)
    }
}

/// The work of a listener, as a future to spawn on tokio; resolves when the listener has stopped.
#[must_use = "a listener does nothing unless its driver is spawned"]
pub struct ServiceDriver(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Future for ServiceDriver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for ServiceDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceDriver")
    }
}

/// What all connections of a listener share.
struct Server {
    node: Node,
    options: ServeOptions,
}

impl Server {
    async fn word(&self, word: Word) -> String {
        match word {
            Word::Crst => self.options.registry.reset_connections(),
            Word::Srst => self.options.registry.reset(),
            _ => {}
        }
        let report = match word.needs() {
            Needs::Nothing => ServerReport::stopped(),
            Needs::Status => {
                ServerReport { status: self.node.status().await.ok(), ..ServerReport::stopped() }
            }
            Needs::Connections | Needs::Inspection => self.report(word).await,
        };
        words::answer(word, &report, self.options.host.as_ref())
    }

    async fn report(&self, word: Word) -> ServerReport {
        let mut report = ServerReport::stopped();
        let Ok(status) = self.node.status().await else { return report };
        if word.needs() >= Needs::Inspection {
            let Ok(inspection) = self.node.inspect(word.detail()).await else { return report };
            report.inspection = inspection;
        }
        let members = || self.node.ensemble().members();
        report.status = Some(status);
        report.servers = members().count();
        report.voters = members().filter(|(_, member)| member.voting).count();
        self.options.registry.fill(&mut report, word.lists_connections());
        report
    }
}
