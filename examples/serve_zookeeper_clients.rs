//! An embedded quorum that ZooKeeper's clients connect to.
//!
//! Three servers in one process, each with a port for clients:
//!
//! ```text
//! cargo run --example serve_zookeeper_clients --features tokio -- 2181 2182 2183
//! python3 -c "from kazoo.client import KazooClient as K; k = K('127.0.0.1:2181,127.0.0.1:2182'); k.start(); print(k.get_children('/'))"
//! ```
//!
//! In a service of your own each process has one [`Node`], with storage in files and a transport to the others; see the
//! example `three_processes`. What is added for ZooKeeper's clients is `serve`.

use std::error::Error;
use std::sync::Arc;

use quorate::node::{Clock, Node, SystemClock, entropy};
use quorate::peer::{Ensemble, PeerConfig};
use quorate::protocol::words::WordSet;
use quorate::protocol::{ConnectionOptions, ServeOptions, serve};
use quorate::storage::MemoryStorage;
use quorate::transport::Hub;
use quorate::{ClusterId, ServerId};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut ports = Vec::new();
    for argument in std::env::args().skip(1) {
        ports.push(argument.parse::<u16>()?);
    }
    if ports.is_empty() {
        ports = vec![0; 3];
    }
    let cluster = ClusterId::new(0x5eed);
    let servers: Vec<ServerId> = (1..).map(ServerId::new).take(ports.len()).collect();
    let hub = Hub::new(cluster);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new()?);

    let mut running = Vec::new();
    for (server, port) in servers.iter().copied().zip(ports) {
        let config = PeerConfig::new(cluster, server, Ensemble::majority(servers.clone()), entropy()?);
        let (transport, storage) = (Arc::new(hub.join(server)), Arc::new(MemoryStorage::new()));
        let (node, driver) = Node::start(config.into(), transport, storage, Arc::clone(&clock))?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                eprintln!("server {server} stopped: {error}");
            }
        });

        // Everything that ZooKeeper leaves switched off is on here, to try it out.
        let connection =
            ConnectionOptions { words: WordSet::ALL, extended_types: true, ..ConnectionOptions::default() };
        let options = ServeOptions { connection: Arc::new(connection), ..ServeOptions::default() };
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let (service, driver) = serve(&node, listener, options)?;
        tokio::spawn(driver);
        println!("server {server} takes clients at {}", service.local_addr());
        running.push((node, service));
    }
    // Until the process is ended. To end in order: stop the services, then shut the nodes down.
    std::future::pending::<()>().await;
    drop(running);
    Ok(())
}
