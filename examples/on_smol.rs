//! The same library on another runtime: `smol` runs the servers and the client, and keeps the time too.
//!
//! The library brings no runtime. It asks for somebody who polls its futures, and for a [`Clock`], which is two
//! methods: `quorate::node::SystemClock` works everywhere, and this one is made of smol's own timers.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::FutureExt as _;
use quorate::client::{Client, ClientOptions};
use quorate::node::{Clock, Node, Sleep, entropy};
use quorate::peer::{Ensemble, PeerConfig, PeerEvent};
use quorate::storage::MemoryStorage;
use quorate::transport::Hub;
use quorate::{ClusterId, Now, ServerId, Time, WallTime};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

struct SmolClock {
    zero: Instant,
}

impl SmolClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all else is given")]
    fn new() -> Self {
        Self { zero: Instant::now() }
    }
}

impl Clock for SmolClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all else is given")]
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            time: Time::from_micros(self.zero.elapsed().as_micros() as u64),
            wall: WallTime::from_millis(wall.as_millis() as i64),
        }
    }

    fn sleep_until(&self, deadline: Time) -> Sleep {
        let at = self.zero + Duration::from_micros(deadline.as_micros());
        Box::pin(smol::Timer::at(at).map(|_| ()))
    }
}

async fn run() -> Result<()> {
    let (clock, hub) = (Arc::new(SmolClock::new()), Hub::new(ClusterId::new(1)));
    let servers = [1, 2, 3].map(ServerId::new);
    let mut nodes = Vec::new();
    for server in servers {
        let config = PeerConfig::new(hub.cluster(), server, Ensemble::majority(servers), entropy()?);
        let (transport, storage) = (Arc::new(hub.join(server)), Arc::new(MemoryStorage::new()));
        let (node, driver) = Node::start(config.into(), transport, storage, clock.clone())?;
        let mut events = node.events();
        smol::spawn(async move {
            while let Some(event) = events.next().await {
                if let PeerEvent::RoleChanged { role, reason, .. } = event {
                    println!("server {server}: now {role:?}: {reason}");
                }
            }
        })
        .detach();
        smol::spawn(async move { driver.await.unwrap_or_else(|error| eprintln!("{error}")) }).detach();
        nodes.push(node);
    }
    let (client, driver) = Client::new(&nodes, clock, ClientOptions::new(entropy()?))?;
    smol::spawn(driver).detach();

    let made = client.create("/app", "v1").await?;
    println!("client: made {} at zxid {}", made.path, made.stat.czxid);
    let leader = nodes[0].status().await?.leader.ok_or("a server that serves knows a leader")?;
    println!("client: server {leader} leads; it is told to stop");
    nodes.iter().filter(|node| node.server() == leader).for_each(Node::shutdown);
    let stat = client.set("/app", "v2").await?;
    println!("client: replaced its data at zxid {}, in the same session", stat.mzxid);
    Ok(client.close().await?)
}

fn main() -> Result<()> {
    smol::block_on(run())
}
