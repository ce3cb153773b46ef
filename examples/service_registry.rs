//! A registry of services: servers come and go under `/servers`, consumers see them, and send each request to the
//! least loaded one.
//!
//! A server is there as long as its session: its node is ephemeral, and holds its address and its load.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use futures::executor::{ThreadPool, block_on};
use quorate::client::{Client, ClientOptions, WatchItem, WatchStream};
use quorate::node::{Clock, Node, SystemClock, entropy};
use quorate::peer::{Ensemble, PeerConfig};
use quorate::storage::MemoryStorage;
use quorate::transport::Hub;
use quorate::{ClusterId, ErrorCode, ServerId, ZnodePath};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Three servers in this process, in memory, and what their clients need.
struct Quorum {
    nodes: Vec<Node>,
    clock: Arc<dyn Clock>,
    pool: ThreadPool,
}

impl Quorum {
    fn start() -> Result<Self> {
        let (clock, pool) = (Arc::new(SystemClock::new()?), ThreadPool::new()?);
        let (hub, servers) = (Hub::new(ClusterId::new(1)), [1, 2, 3].map(ServerId::new));
        let mut nodes = Vec::new();
        for server in servers {
            let config = PeerConfig::new(hub.cluster(), server, Ensemble::majority(servers), entropy()?);
            let (transport, storage) = (Arc::new(hub.join(server)), Arc::new(MemoryStorage::new()));
            let (node, driver) = Node::start(config.into(), transport, storage, clock.clone())?;
            pool.spawn_ok(async move { driver.await.unwrap_or_else(|error| eprintln!("{error}")) });
            nodes.push(node);
        }
        Ok(Self { nodes, clock, pool })
    }

    /// A client with a session of its own.
    fn client(&self) -> Result<Client> {
        let (client, driver) = Client::new(&self.nodes, self.clock.clone(), ClientOptions::new(entropy()?))?;
        self.pool.spawn_ok(driver);
        Ok(client)
    }
}

/// A server of the service. Its client's session is its life.
struct Server {
    client: Client,
    path: ZnodePath,
    address: String,
    load: u32,
}

impl Server {
    async fn register(client: Client, address: &str, load: u32) -> Result<Self> {
        let made = client.create("/servers/s-", format!("{address} {load}")).ephemeral().sequential().await?;
        Ok(Self { client, path: made.path, address: address.to_owned(), load })
    }

    /// Serves a request, and tells its load.
    async fn serve(&mut self) -> Result<()> {
        self.load += 1;
        self.client.set(&self.path, format!("{} {}", self.address, self.load)).await?;
        Ok(())
    }
}

/// Address and load of each server.
type Servers = BTreeMap<ZnodePath, (String, u32)>;

/// A consumer's picture of the servers.
struct View {
    client: Client,
    changes: WatchStream,
    servers: Servers,
}

impl View {
    /// Takes changes in until the picture is as `wanted`.
    async fn until(&mut self, wanted: impl Fn(&Servers) -> bool) -> Result<()> {
        while !wanted(&self.servers) {
            match self.changes.next().await.ok_or("the session has ended")? {
                WatchItem::Event(event) => self.look(&event.path).await?,
                // So many changes were missed that nobody remembers them: look at everything.
                WatchItem::Lost { .. } => {
                    self.servers.clear();
                    for name in self.client.children("/servers").await?.names {
                        self.look(&format!("/servers/{name}").parse()?).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn look(&mut self, path: &ZnodePath) -> Result<()> {
        match self.client.get(path).await {
            Ok(found) => {
                let text = String::from_utf8(found.bytes().to_vec())?;
                let (address, load) = text.split_once(' ').ok_or("a server tells no load")?;
                if self.servers.insert(path.clone(), (address.to_owned(), load.parse()?)).is_none() {
                    println!("consumer: {address} has come, its load is {load}");
                }
            }
            Err(error) if error.is(ErrorCode::NoNode) => {
                self.servers.remove(path).iter().for_each(|(gone, _)| println!("consumer: {gone} has gone"));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn least_loaded(&self) -> Result<(ZnodePath, u32)> {
        let least = self.servers.iter().min_by_key(|(_, (_, load))| *load).ok_or("no server is there")?;
        Ok((least.0.clone(), least.1.1))
    }
}

async fn run(quorum: Quorum) -> Result<()> {
    let client = quorum.client()?;
    let made = client.create("/servers", "").await?;
    let changes = client.watch("/servers").recursive().from(made.stat.czxid).await?;
    let mut view = View { client, changes, servers: Servers::new() };
    let mut servers = Vec::new();
    for (address, load) in [("10.0.0.1:80", 4), ("10.0.0.2:80", 0), ("10.0.0.3:80", 2)] {
        servers.push(Server::register(quorum.client()?, address, load).await?);
    }
    view.until(|seen| seen.len() == 3).await?;
    for request in 1..=8 {
        if request == 5 {
            println!("-- the second server goes, a fourth one comes --");
            servers.remove(1).client.close().await?;
            servers.push(Server::register(quorum.client()?, "10.0.0.4:80", 3).await?);
            view.until(|seen| seen.len() == 3 && seen.values().any(|(address, _)| address == "10.0.0.4:80"))
                .await?;
        }
        let (path, load) = view.least_loaded()?;
        let server = servers.iter_mut().find(|server| server.path == path).ok_or("the server is ours")?;
        println!("request {request}: to {}, of load {load}", server.address);
        server.serve().await?;
        view.until(|seen| seen.get(&path).is_some_and(|(_, now)| *now > load)).await?;
    }
    Ok(())
}

fn main() -> Result<()> {
    block_on(run(Quorum::start()?))
}
