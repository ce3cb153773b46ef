//! Membership of a group, and a master: each member is an ephemeral node under `/group`, the lowest number is
//! master, and when it goes the next one takes over.

use std::{error::Error, sync::Arc, time::Duration};

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::executor::{ThreadPool, block_on};
use futures::future::{AbortHandle, abortable};
use futures::{FutureExt as _, StreamExt as _};
use quorate::client::{Client, ClientError, ClientOptions};
use quorate::node::{Clock, Node, SystemClock, entropy};
use quorate::peer::{Ensemble, PeerConfig};
use quorate::storage::MemoryStorage;
use quorate::transport::Hub;
use quorate::{ClusterId, ErrorCode, ServerId};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

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

    /// A client with a session of its own, which expires when it is not heard from for half a second; and the
    /// handle by which it crashes.
    fn client(&self) -> Result<(Client, AbortHandle)> {
        let mut options = ClientOptions::new(entropy()?);
        options.session_timeout = Duration::from_millis(500);
        let (client, driver) = Client::new(&self.nodes, self.clock.clone(), options)?;
        let (process, crash) = abortable(driver);
        self.pool.spawn_ok(process.map(drop));
        Ok((client, crash))
    }
}

/// What a member knows of the group.
struct View {
    of: &'static str,
    members: Vec<String>,
}

/// The life of a member: it joins, and tells its view of the group whenever that changes.
async fn live(name: &'static str, client: Client, views: UnboundedSender<View>) -> Result<(), ClientError> {
    client.create("/group/m-", name).ephemeral().sequential().await?;
    let mut changes = client.watch("/group").await?;
    loop {
        let mut members = Vec::new();
        // In the order of their creation: the master first.
        for node in client.children("/group").await?.names {
            match client.get(format!("/group/{node}")).await {
                Ok(found) => members.push(String::from_utf8_lossy(&found.bytes()).into_owned()),
                // It went meanwhile, which the watch tells.
                Err(error) if error.is(ErrorCode::NoNode) => {}
                Err(error) => return Err(error),
            }
        }
        println!("{name}: the group is {}; the first leads", members.join(", "));
        if views.unbounded_send(View { of: name, members }).is_err() || changes.next().await.is_none() {
            return Ok(());
        }
    }
}

/// Waits until all `members` know that they are the group.
async fn settled(views: &mut UnboundedReceiver<View>, members: &[&str]) -> Result<()> {
    let mut waiting = members.to_vec();
    while !waiting.is_empty() {
        let view = views.next().await.ok_or("all members have gone")?;
        if view.members == members {
            waiting.retain(|member| *member != view.of);
        }
    }
    Ok(())
}

async fn run(quorum: Quorum) -> Result<()> {
    quorum.client()?.0.create("/group", "").await?;
    let (sender, mut views) = unbounded();
    let mut members = Vec::new();
    let names = ["ann", "bob", "cid"];
    for (at, name) in names.into_iter().enumerate() {
        println!("-- {name} comes --");
        let (client, process) = quorum.client()?;
        quorum.pool.spawn_ok(live(name, client.clone(), sender.clone()).map(move |end| match end {
            Ok(()) | Err(ClientError::Stopped | ClientError::Closed) => println!("{name}: is no more"),
            Err(error) => println!("{name}: {error}"),
        }));
        members.push((client, process));
        settled(&mut views, &names[..=at]).await?;
    }
    println!("-- ann crashes: its session expires a moment later --");
    members[0].1.abort();
    settled(&mut views, &names[1..]).await?;
    println!("-- bob leaves --");
    members[1].0.close().await?;
    settled(&mut views, &names[2..]).await
}

fn main() -> Result<()> {
    block_on(run(Quorum::start()?))
}
