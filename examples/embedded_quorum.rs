//! The main job: three servers in one process, on files, and what the first minute with them shows.
//!
//! ```text
//! cargo run --release --example embedded_quorum              # data in a temporary directory
//! cargo run --release --example embedded_quorum -- --dir D   # data stays in D, and a second run finds it
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::executor::{ThreadPool, block_on};
use quorate::client::{Client, ClientOptions};
use quorate::node::{Clock, Node, SystemClock, entropy};
use quorate::peer::{Ensemble, PeerConfig, PeerEvent, Role};
use quorate::storage::{FileStorage, FileStorageOptions, IfEmpty};
use quorate::transport::Hub;
use quorate::{ClusterId, ServerId};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const CLUSTER: ClusterId = ClusterId::new(0x7175_6f72_6174_6521);

/// What the three servers share.
struct House {
    dir: PathBuf,
    hub: Hub,
    clock: Arc<dyn Clock>,
    pool: ThreadPool,
    began: Instant,
}

impl House {
    fn say(&self, who: &str, what: &str) {
        println!("{:8.3}s  {who:9} {what}", self.began.elapsed().as_secs_f64());
    }

    /// Starts a server, and prints what happens to it.
    fn start(self: &Arc<Self>, server: u64) -> Result<Node> {
        let id = ServerId::new(server);
        let options = FileStorageOptions::new(CLUSTER, id, IfEmpty::StartNew);
        let storage = FileStorage::open(self.dir.join(format!("server-{server}")), options)?;
        let ensemble = Ensemble::majority([1, 2, 3].map(ServerId::new));
        let config = PeerConfig::new(CLUSTER, id, ensemble, entropy()?);
        let transport = Arc::new(self.hub.join(id));
        let (node, driver) = Node::start(config.into(), transport, Arc::new(storage), self.clock.clone())?;
        let (house, mut events) = (Arc::clone(self), node.events());
        self.pool.spawn_ok(async move {
            while let Some(event) = events.next().await {
                if let Some(line) = tell(&event) {
                    house.say(&format!("server {server}"), &line);
                }
            }
        });
        let house = Arc::clone(self);
        self.pool.spawn_ok(async move {
            match driver.await {
                Ok(()) => house.say(&format!("server {server}"), "stopped"),
                Err(error) => house.say(&format!("server {server}"), &format!("FAILED: {error}")),
            }
        });
        Ok(node)
    }

    /// A client of these servers, attached to the first of them that serves.
    fn client(&self, servers: &[&Node]) -> Result<Client> {
        let options = ClientOptions::new(entropy()?);
        let servers = servers.iter().map(|server| (*server).clone());
        let (client, driver) = Client::new(servers, self.clock.clone(), options)?;
        self.pool.spawn_ok(driver);
        Ok(client)
    }

    async fn leader(&self, nodes: &[Node]) -> Result<usize> {
        loop {
            for (at, node) in nodes.iter().enumerate() {
                if node.status().await.is_ok_and(|status| status.role == Role::Leading && status.serving) {
                    return Ok(at);
                }
            }
            self.clock.sleep_until(self.clock.now().time + Duration::from_millis(5)).await;
        }
    }
}

/// An event, in words; `None` for those of no interest here.
fn tell(event: &PeerEvent) -> Option<String> {
    Some(match event {
        PeerEvent::VoteChanged { candidate, epoch, zxid, because_of } => {
            format!(
                "votes for {candidate}, whose history is (epoch {epoch}, zxid {zxid}); {because_of} said so"
            )
        }
        PeerEvent::Elected { leader, round } => format!("a quorum backs {leader} (round {round})"),
        PeerEvent::RoleChanged { role, leader: Some(_), reason } => format!("now {role:?}: {reason}"),
        PeerEvent::RoleChanged { role, reason, .. } => format!("now {role:?}: {reason}"),
        PeerEvent::LearnerSync { learner, mode, from } => {
            format!("brings {learner} level: {mode} from {from}")
        }
        PeerEvent::RolledBack { from, to } => format!("ROLLS BACK from {from} to {to}: nobody else has it"),
        PeerEvent::Serving { epoch } => format!("answers clients, epoch {epoch}"),
        _ => return None,
    })
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let given = match (args.next().as_deref(), args.next()) {
        (None, _) => None,
        (Some("--dir"), Some(dir)) => Some(PathBuf::from(dir)),
        _ => return Err("usage: embedded_quorum [--dir D]".into()),
    };
    let temporary = std::env::temp_dir().join(format!("quorate-{}", std::process::id()));
    let dir = given.clone().unwrap_or_else(|| temporary.clone());
    let outcome = run(&dir);
    if given.is_none() {
        std::fs::remove_dir_all(&temporary)?;
    }
    outcome
}

fn run(dir: &Path) -> Result<()> {
    let house = Arc::new(House {
        dir: dir.to_owned(),
        hub: Hub::new(CLUSTER),
        clock: Arc::new(SystemClock::new()?),
        pool: ThreadPool::new()?,
        began: Instant::now(),
    });
    block_on(first_minute(&house))
}

async fn first_minute(house: &Arc<House>) -> Result<()> {
    let say = |what: &str| house.say("", what);
    say("== three servers start and elect ==");
    let mut nodes = [house.start(1)?, house.start(2)?, house.start(3)?];
    let leader = house.leader(&nodes).await?;
    let (follower, other) = ((leader + 1) % 3, (leader + 2) % 3);

    say("== a client writes through a follower ==");
    let client = house.client(&[&nodes[follower]])?;
    if let Some(stat) = client.exists("/app").await? {
        say(&format!("found /app of an earlier run, created at zxid {}: deleting it", stat.czxid));
        client.delete_tree("/app").await?;
    }
    let created = client.create("/app", "v1").await?;
    say(&format!(
        "created {} at zxid {} through server {}",
        created.path,
        created.stat.czxid,
        nodes[follower].server()
    ));

    say("== a watch fires once ==");
    let watched = client.get("/app").watch().await?;
    client.set("/app", "v2").await?;
    client.set("/app", "v3").await?;
    let event = watched.watch.await?;
    say(&format!(
        "{:?} of {} at zxid {}; the second change told nothing more",
        event.kind, event.path, event.zxid
    ));

    say("== an ephemeral goes with its session ==");
    let guest = house.client(&[&nodes[other]])?;
    guest.create("/app/guest", "here").ephemeral().await?;
    client.sync().await?;
    say(&format!("there: {:?}", client.children("/app").await?.names));
    guest.close().await?;
    client.sync().await?;
    say(&format!("session closed: {:?}", client.children("/app").await?.names));

    say("== the leader is cut off, logs a write that nobody gets, and stops ==");
    let lonely = house.client(&[&nodes[leader]])?;
    lonely.connected().await?;
    for peer in [follower, other] {
        house.hub.disconnect(nodes[leader].server(), nodes[peer].server());
    }
    let before = nodes[leader].status().await?.logged;
    let lost = lonely.create("/app/lost", "");
    house.pool.spawn_ok(async move { drop(lost.await) });
    while nodes[leader].status().await?.logged == before {
        house.clock.sleep_until(house.clock.now().time + Duration::from_millis(1)).await;
    }
    nodes[leader].shutdown();
    drop(lonely);
    let survivors = [nodes[follower].clone(), nodes[other].clone()];
    let next = house.leader(&survivors).await?;
    say(&format!("server {} leads now", survivors[next].server()));
    client.create("/app/after", "the new epoch").await?;
    say("the client goes on, with the same session");

    say("== the old leader comes back and is rolled back ==");
    for peer in [follower, other] {
        house.hub.reconnect(nodes[leader].server(), nodes[peer].server());
    }
    nodes[leader] = house.start(nodes[leader].server().number())?;
    let reader = house.client(&[&nodes[leader]])?;
    reader.sync().await?;
    say(&format!("it shows {:?}: the lost write is nowhere", reader.children("/app").await?.names));

    say("== everything stops, starts again from disk, and is there ==");
    let before = reader.get("/app").linearizable().await?;
    drop((client, reader));
    for node in &nodes {
        node.shutdown();
    }
    while nodes[0].status().await.is_ok()
        || nodes[1].status().await.is_ok()
        || nodes[2].status().await.is_ok()
    {
        house.clock.sleep_until(house.clock.now().time + Duration::from_millis(5)).await;
    }
    let nodes = [house.start(1)?, house.start(2)?, house.start(3)?];
    house.leader(&nodes).await?;
    let client = house.client(&[&nodes[0], &nodes[1], &nodes[2]])?;
    let after = client.get("/app").linearizable().await?;
    assert_eq!(before, after);
    say(&format!("/app is {:?}, its stat to the letter the same", String::from_utf8_lossy(&after.bytes())));
    let digests = loop {
        let mut digests = Vec::new();
        for node in &nodes {
            let status = node.status().await?;
            digests.push((status.applied, status.digest));
        }
        if digests.iter().all(|digest| *digest == digests[0]) {
            break digests;
        }
        house.clock.sleep_until(house.clock.now().time + Duration::from_millis(5)).await;
    };
    say(&format!("all three at zxid {} with digest {:016x}", digests[0].0, digests[0].1));
    client.close().await?;
    Ok(())
}
