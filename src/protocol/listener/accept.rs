use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::types::Identity;

use super::Server;
use super::registry::Place;
use super::session::Session;

/// How long to wait when the system gives no connection, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes in connections, each for a task of its own.
pub(super) struct Acceptor {
    server: Arc<Server>,
    listener: TcpListener,
    stopped: watch::Receiver<bool>,
    /// Tells the tasks to end.
    ending: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Acceptor {
    pub(super) fn new(server: Arc<Server>, listener: TcpListener, stopped: watch::Receiver<bool>) -> Self {
        Self { server, listener, stopped, ending: Arc::default(), tasks: JoinSet::new() }
    }

    /// Runs until it is told to stop, or nobody is left who could.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                () = told(&mut self.stopped) => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, address)) => self.welcome(stream, address),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept connections of clients now");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = self.tasks.join_next() => {}
            }
        }
        drop(self.listener);
        self.ending.store(true, Ordering::Release);
        self.server.options.registry.wake_all();
        let all_gone = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(self.server.options.farewell, all_gone).await.is_err() {
            self.tasks.shutdown().await;
        }
    }

    fn welcome(&mut self, stream: TcpStream, address: SocketAddr) {
        // An IPv4 client of a socket that takes both is known by its IPv4 address.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let options = &self.server.options;
        let is_secure = options.tls.is_some();
        let place =
            options.registry.admit(address, is_secure, options.connections_per_address, options.connections);
        let Some(place) = place else {
            // Counted, and not loudly: whoever does this does it often.
            tracing::debug!(%address, "one connection too many was refused");
            return;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "a client's connection ended before it began");
            return;
        }
        let identities = vec![Identity::ip(address.ip())];
        let (server, ending) = (Arc::clone(&self.server), Arc::clone(&self.ending));
        if is_secure {
            self.tasks.spawn(Box::pin(encrypted(server, ending, place, stream, address, identities)));
        } else {
            self.tasks.spawn(Session::new(server, ending, place, stream, identities));
        }
    }
}

/// Until the listener is to stop; that nobody could tell it any more is the same.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _told_or_alone = stopped.wait_for(|stopped| *stopped).await;
}

async fn encrypted(
    server: Arc<Server>,
    ending: Arc<AtomicBool>,
    place: Place,
    stream: TcpStream,
    address: SocketAddr,
    mut identities: Vec<Identity>,
) {
    let Some(tls) = &server.options.tls else { return };
    match timeout(server.options.handshake, tls.accept(stream)).await {
        Ok(Ok((stream, identity))) => {
            let superuser = server.options.super_subject.as_deref();
            let is_super = identity.as_ref().is_some_and(|identity| Some(&*identity.id) == superuser);
            identities.extend(is_super.then(|| Identity::new("super", "")));
            identities.extend(identity);
            Session::new(server, ending, place, stream, identities).await;
        }
        Ok(Err(error)) => tracing::info!(%address, %error, "a client's TLS handshake failed"),
        Err(_) => tracing::info!(%address, "a client did not finish its TLS handshake"),
    }
}
