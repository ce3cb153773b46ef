use std::sync::Arc;

use bytes::Bytes;
use quorate::node::Node;
use quorate::protocol::{ClientTls, ConnectionOptions, Registry, ServeOptions, Service, TlsFiles, serve};
use tokio::net::TcpListener;
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
        registry: Arc::new(Registry::new()),
        host: Arc::new(host),
        ..ServeOptions::default()
    };
    let mut services = Vec::new();
    if let Some(listen) = &clients.plain {
        services.push(start(node, "the client port", listen, options.clone(), tasks).await?);
    }
    if let Some(secure) = &clients.secure {
        let tls = Arc::new(ClientTls::new(&files(secure)?)?);
        let options = ServeOptions { tls: Some(Arc::clone(&tls)), ..options };
        services.push(start(node, "the secure client port", &secure.listen, options, tasks).await?);
        reload(tls, secure.clone());
    }
    Ok(services)
}

async fn start(
    node: &Node,
    what: &'static str,
    listen: &Listen,
    options: ServeOptions,
    tasks: &mut JoinSet<()>,
) -> Result<Service, Failure> {
    let listener = bind(listen).await.map_err(|source| {
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
async fn bind(listen: &Listen) -> std::io::Result<TcpListener> {
    if let Some(host) = &listen.host {
        return TcpListener::bind((host.as_str(), listen.port)).await;
    }
    match TcpListener::bind(("::", listen.port)).await {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            TcpListener::bind(("0.0.0.0", listen.port)).await
        }
        bound => bound,
    }
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
