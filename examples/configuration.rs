//! Configuration for many: one publishes, all subscribers have it a moment later, and none misses a change.
//!
//! Several values that change together are one transaction: nobody ever reads half of it. And a publisher says which
//! version it replaces, so that none undoes the work of another unseen.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use futures::executor::{ThreadPool, block_on};
use futures::future::{try_join, try_join_all};
use quorate::client::{Client, ClientOptions, WatchItem, WatchStream};
use quorate::node::{Clock, Node, SystemClock, entropy};
use quorate::peer::{Ensemble, PeerConfig};
use quorate::storage::MemoryStorage;
use quorate::transport::Hub;
use quorate::{ClusterId, ErrorCode, Expected, ServerId, Stat, ZnodePath};

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

/// One of many that need the configuration.
struct Subscriber {
    name: &'static str,
    client: Client,
    changes: WatchStream,
    config: BTreeMap<ZnodePath, String>,
}

impl Subscriber {
    async fn new(name: &'static str, client: Client) -> Result<Self> {
        // First the watch, then the state: what changes in between is told, and read again.
        let changes = client.watch("/config").recursive().await?;
        let mut subscriber = Self { name, client, changes, config: BTreeMap::new() };
        subscriber.read_all().await?;
        Ok(subscriber)
    }

    /// Follows the changes until `/config/mode` is `off`; gives the configuration then.
    async fn follow(mut self) -> Result<BTreeMap<ZnodePath, String>> {
        while !self.config.iter().any(|(path, value)| path.name() == "mode" && value == "off") {
            match self.changes.next().await.ok_or("the session has ended")? {
                WatchItem::Event(event) => self.read(event.path).await?,
                // It was away for so long that the servers have forgotten what changed.
                WatchItem::Lost { .. } => self.read_all().await?,
            }
        }
        Ok(self.config)
    }

    async fn read_all(&mut self) -> Result<()> {
        self.config.clear();
        for name in self.client.children("/config").await?.names {
            self.read(format!("/config/{name}").parse()?).await?;
        }
        Ok(())
    }

    async fn read(&mut self, path: ZnodePath) -> Result<()> {
        match self.client.get(&path).await {
            Ok(found) => {
                let value = String::from_utf8(found.bytes().to_vec())?;
                let Stat { version, mzxid, .. } = found.stat;
                println!("{}: {path} = {value} (version {version}, of zxid {mzxid})", self.name);
                self.config.insert(path, value);
            }
            Err(error) if error.is(ErrorCode::NoNode) => drop(self.config.remove(&path)),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

async fn publish(publisher: Client, rival: Client) -> Result<()> {
    println!("publisher: one value");
    publisher.set("/config/limit", "20").await?;
    println!("publisher: two values at once");
    let both = publisher.multi().set("/config/limit", "50", Expected::Any);
    both.set("/config/mode", "fast", Expected::Any).await?;

    let seen = rival.get("/config/limit").linearizable().await?.stat.version;
    println!("publisher: replaces version {seen}, which its rival has just read");
    publisher.set("/config/limit", "60").version(seen).await?;
    match rival.set("/config/limit", "10").version(seen).await {
        Ok(_) => return Err("the rival undid a change that it had not seen".into()),
        Err(error) => println!("rival: would replace version {seen} too: {error}"),
    }
    publisher.set("/config/mode", "off").await?;
    Ok(())
}

async fn run(quorum: Quorum) -> Result<()> {
    let publisher = quorum.client()?;
    for (path, value) in [("/config", ""), ("/config/limit", "10"), ("/config/mode", "safe")] {
        publisher.create(path, value).await?;
    }
    let mut subscribers = Vec::new();
    for name in ["ann", "bob", "cid"] {
        subscribers.push(Subscriber::new(name, quorum.client()?).await?);
    }
    let followed = try_join_all(subscribers.into_iter().map(Subscriber::follow));
    let (configs, ()) = try_join(followed, publish(publisher, quorum.client()?)).await?;
    if configs.iter().any(|config| *config != configs[0]) {
        return Err("the subscribers do not have the same configuration".into());
    }
    println!("all subscribers have the same: {:?}", configs[0]);
    Ok(())
}

fn main() -> Result<()> {
    block_on(run(Quorum::start()?))
}
