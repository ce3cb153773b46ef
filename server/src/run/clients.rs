use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use quorate::node::Node;
use quorate::protocol::{ClientTls, ConnectionOptions, Registry, ServeOptions, Service, TlsFiles, serve};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::Failure;
use super::host::Host;
use super::load::read;
use crate::config::{ClientAuth, Clients, Listen, SecureListen, ZooCfg};

/// Opens the ports for clients, each of which is open as long as its handle is held. What is counted is of both together.
pub(super) async fn open(
    node: &Node,
    cfg: &ZooCfg,
    clients: &Clients,
    host: Host,
    tasks: &mut JoinSet<()>,
) -> Result<Vec<Service>, Failure> {
    let connection = ConnectionOptions {
        max_frame: usize::try_from(clients.max_buffer).unwrap_or(usize::MAX),
        extended_types: cfg.extended_types,
        super_digest: cfg.super_digest.as_deref().map(Into::into),
        words: cfg.words,
        ..ConnectionOptions::default()
    };
    let options = ServeOptions {
        connection: Arc::new(connection),
        connections_per_address: usize::try_from(clients.per_address).unwrap_or(usize::MAX),
        connections: usize::try_from(clients.total).unwrap_or(usize::MAX),
        super_subject: cfg.super_subject.as_deref().map(Into::into),
        registry: Arc::new(Registry::new()),
        host: Arc::new(host),
        ..ServeOptions::default()
    };
    let mut services = Vec::new();
    if let Some(listen) = &clients.plain {
        services
            .push(start(node, "the client port", (listen, clients.backlog), options.clone(), tasks).await?);
    }
    if let Some(secure) = &clients.secure {
        let tls = Arc::new(ClientTls::new(&files(secure)?)?);
        let options = ServeOptions { tls: Some(Arc::clone(&tls)), ..options };
        services.push(
            start(node, "the secure client port", (&secure.listen, clients.backlog), options, tasks).await?,
        );
        reload(tls, secure.clone());
    }
    Ok(services)
}

async fn start(
    node: &Node,
    what: &'static str,
    (listen, backlog): (&Listen, u32),
    options: ServeOptions,
    tasks: &mut JoinSet<()>,
) -> Result<Service, Failure> {
    let listener = bind(listen, backlog).await.map_err(|source| {
        let host = listen.host.as_deref().unwrap_or("every address");
        Failure::Listen { what, address: format!("{host}, port {}", listen.port), source }
    })?;
    let machine = |source| Failure::Machine { what: "listener", source };
    let (service, driver) = serve(node, listener, options).map_err(machine)?;
    tracing::info!("{what} is open at {}", service.local_addr());
    tasks.spawn(driver);
    Ok(service)
}

/// Without a host at every address of the machine: of both kinds where the machine has both.
async fn bind(listen: &Listen, backlog: u32) -> io::Result<TcpListener> {
    let Some(host) = &listen.host else {
        return match open_at((Ipv6Addr::UNSPECIFIED, listen.port).into(), backlog) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                open_at((Ipv4Addr::UNSPECIFIED, listen.port).into(), backlog)
            }
            opened => opened,
        };
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in tokio::net::lookup_host((host.as_str(), listen.port)).await? {
        match open_at(address, backlog) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn open_at(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A server that restarts must not wait until the system has forgotten its older connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

fn files(secure: &SecureListen) -> Result<TlsFiles, Failure> {
    let keys = Bytes::from(read(&secure.keys.keys)?);
    let asked = secure.keys.authorities.as_ref().filter(|_| secure.client_auth != ClientAuth::None);
    let client_authorities = asked.map(|file| read(file)).transpose()?.map(Bytes::from);
    let require_client_certificate = secure.client_auth == ClientAuth::Need;
    Ok(TlsFiles { chain: keys.clone(), key: keys, client_authorities, require_client_certificate })
}

/// Reads the certificates again at SIGHUP; new connections have them.
fn reload(tls: Arc<ClientTls>, secure: SecureListen) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::error!("SIGHUP cannot be waited for: {error}"),
    };
    // It ends with the process, whose signal it is.
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let replaced = files(&secure).and_then(|files| Ok(tls.replace(&files)?));
            match replaced {
                Ok(()) => tracing::info!("the certificates for clients were read again"),
                Err(failure) => tracing::error!("the certificates for clients stay as they were: {failure}"),
            }
        }
    });
}
