//! A fair lock: who came first has it first, and only one is woken when it is free.
//!
//! Each contender makes an ephemeral node with a number under `/lock`. The lowest holds the lock; every other waits
//! for the end of the one in front of it. Who dies loses its place by itself.
//!
//! No lock of this kind can stop a holder that was asleep and does not know yet that its session has ended. The
//! fencing token can: what the lock protects refuses a token smaller than one that it has seen. The zxid that
//! created the place, `czxid`, is such a token: it grows with the order of the places.

use std::{error::Error, sync::Arc};

use futures::executor::{ThreadPool, block_on};
use futures::future::try_join_all;
use futures::lock::Mutex;
use quorate::client::{Client, ClientOptions};
use quorate::node::{Clock, Node, SystemClock, entropy};
use quorate::peer::{Ensemble, PeerConfig};
use quorate::storage::MemoryStorage;
use quorate::transport::Hub;
use quorate::{ClusterId, ServerId, ZnodePath, Zxid};

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

/// A place in the queue; the first of them holds the lock.
struct Place {
    client: Client,
    path: ZnodePath,
    token: Zxid,
}

impl Place {
    async fn take(client: Client) -> Result<Self> {
        let made = client.create("/lock/n-", "").ephemeral().sequential().await?;
        Ok(Self { client, path: made.path, token: made.stat.czxid })
    }

    /// Waits for the lock.
    async fn hold(&self, name: &str) -> Result<()> {
        loop {
            // In the order of their creation.
            let names = self.client.children("/lock").await?.names;
            let mine = names.iter().position(|other| **other == *self.path.name());
            let Some(before) = mine.ok_or("the place is lost with its session")?.checked_sub(1) else {
                return Ok(());
            };
            let in_front = format!("/lock/{}", names[before]);
            let watched = self.client.exists(&in_front).watch().await?;
            if watched.value.is_some() {
                println!("{name}: waits for {in_front}");
                watched.watch.await?;
            }
        }
    }

    async fn release(self) -> Result<()> {
        Ok(self.client.delete(&self.path).await?)
    }
}

/// What the lock protects. It lives outside of the quorum, and knows nothing of it but tokens.
#[derive(Default)]
struct Ledger {
    largest: Zxid,
}

impl Ledger {
    fn write(&mut self, name: &str, token: Zxid) -> bool {
        let fresh = token >= self.largest;
        self.largest = self.largest.max(token);
        println!(
            "{name}: writes with token {token}: {}",
            if fresh { "done" } else { "REFUSED, it is stale" }
        );
        fresh
    }
}

/// The life of a contender.
async fn contend(name: &'static str, place: Place, ledger: &Mutex<Ledger>) -> Result<()> {
    if name == "cid" {
        println!("cid: leaves the queue; nobody gets the lock by that");
        return Ok(place.client.close().await?);
    }
    place.hold(name).await?;
    println!("{name}: holds the lock");
    ledger.lock().await.write(name, place.token);
    if name == "bob" {
        println!("bob: loses its session and does not notice");
        return Ok(place.client.close().await?);
    }
    place.release().await
}

async fn run(quorum: Quorum) -> Result<()> {
    quorum.client()?.create("/lock", "").await?;
    let ledger = Mutex::new(Ledger::default());
    let (mut contenders, mut token_of_bob) = (Vec::new(), Zxid::ZERO);
    for name in ["ann", "bob", "cid", "dee", "eve"] {
        let place = Place::take(quorum.client()?).await?;
        println!("{name}: has the place {} and the token {}", place.path, place.token);
        if name == "bob" {
            token_of_bob = place.token;
        }
        contenders.push(contend(name, place, &ledger));
    }
    try_join_all(contenders).await?;
    if ledger.lock().await.write("bob, awake again", token_of_bob) {
        return Err("a stale token was taken".into());
    }
    Ok(())
}

fn main() -> Result<()> {
    block_on(run(Quorum::start()?))
}
