use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use quorate::node::NodeConfig;
use quorate::transport::tcp::{Security, TcpConfig, TcpTransport, TlsConfig};
use quorate::transport::{Hub, Transport};

use super::Failure;
use super::load::read;
use crate::config::{KeyFiles, PeerPlan, PlannedSecurity};

/// Opens the way to the other servers; for a server alone one that leads to nobody.
pub(super) async fn open(node: &NodeConfig, plan: Option<&PeerPlan>) -> Result<Arc<dyn Transport>, Failure> {
    let (cluster, server) = (node.peer.cluster, node.peer.server);
    let Some(plan) = plan else { return Ok(Arc::new(Hub::new(cluster).join(server))) };
    let listen = resolve(&plan.listen.host, plan.listen.port).await?;
    let security = match &plan.security {
        PlannedSecurity::Loopback => Security::LoopbackOnly,
        PlannedSecurity::TrustedNetwork => Security::InsecureTrustedNetwork,
        PlannedSecurity::Tls(files) => Security::MutualTls(tls(files)?),
    };
    let config = TcpConfig::new(cluster, server, listen, plan.addresses.clone(), security);
    config.validate()?;
    Ok(Arc::new(TcpTransport::bind(config)?))
}

/// The first address that a name stands for.
pub(super) async fn resolve(host: &str, port: u16) -> Result<SocketAddr, Failure> {
    let unresolved = |reason: String| Failure::Unresolved { host: host.to_owned(), reason };
    let mut addresses =
        tokio::net::lookup_host((host, port)).await.map_err(|error| unresolved(error.to_string()))?;
    addresses.next().ok_or_else(|| unresolved("the name is known, and has no address".to_owned()))
}

/// The file of keys holds the chain too, as ZooKeeper's PEM stores do.
fn tls(files: &KeyFiles) -> Result<TlsConfig, Failure> {
    let keys = Bytes::from(read(&files.keys)?);
    let authorities = match &files.authorities {
        Some(authorities) => Bytes::from(read(authorities)?),
        None => Bytes::new(),
    };
    Ok(TlsConfig { authorities, chain: keys.clone(), key: keys })
}
