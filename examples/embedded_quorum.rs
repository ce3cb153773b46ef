//! The main job: three servers in one process, on files, and what the first minute with them shows.
//!
//! `cargo run --release --example embedded_quorum` keeps its data in a temporary directory; with `-- --dir D` the data stays
//! in D, and a second run finds it.

use std::{error::Error, fmt::Display, path::PathBuf, sync::Arc};

use futures::StreamExt as _;
use futures::executor::{ThreadPool, block_on};
use futures::future::{join, join_all, try_join_all};
use quorate::client::{Client, ClientOptions};
use quorate::node::{Clock, Node, SystemClock, entropy};
use quorate::peer::{Ensemble, PeerConfig, PeerEvent};
use quorate::storage::{FileStorage, FileStorageOptions, IfEmpty};
use quorate::transport::Hub;
use quorate::{ClusterId, ServerId};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What the three servers share.
struct House {
    dir: PathBuf,
    hub: Hub,
    clock: Arc<dyn Clock>,
    pool: ThreadPool,
}

impl House {
    /// Prints a line: when, which server (none is the story itself), what.
    fn say(&self, who: impl Display, what: impl Display) {
        println!("{:7.3}s {who:>2}  {what}", self.clock.now().time.as_micros() as f64 / 1e6);
    }

    /// Prints an event of a server, if it is of interest here.
    fn tell(&self, me: ServerId, event: &PeerEvent) {
        use PeerEvent::{Elected, LearnerSync, RoleChanged, RolledBack, Serving, VoteChanged};
        let line = match event {
            VoteChanged { candidate, epoch, zxid, because_of } => {
                format!("votes for {candidate} of (epoch {epoch}, zxid {zxid}), on the word of {because_of}")
            }
            Elected { leader, round } => format!("a quorum backs {leader} (round {round})"),
            RoleChanged { role, reason, .. } => format!("now {role:?}: {reason}"),
            LearnerSync { learner, mode, from } => format!("brings {learner} level: {mode} from {from}"),
            RolledBack { from, to } => format!("ROLLS BACK from {from} to {to}: nobody else has it"),
            Serving { epoch } => format!("answers clients, epoch {epoch}"),
            _ => return,
        };
        self.say(me, line);
    }

    fn data(&self, me: ServerId) -> (PathBuf, FileStorageOptions) {
        (self.dir.join(me.to_string()), FileStorageOptions::new(self.hub.cluster(), me, IfEmpty::Refuse))
    }

    fn start(self: &Arc<Self>, server: ServerId) -> Result<Node> {
        let ensemble = Ensemble::majority([1, 2, 3].map(ServerId::new));
        let config = PeerConfig::new(self.hub.cluster(), server, ensemble, entropy()?);
        let (dir, options) = self.data(server);
        let (transport, storage) = (self.hub.join(server), FileStorage::open(dir, options)?);
        let (node, driver) =
            Node::start(config.into(), Arc::new(transport), Arc::new(storage), self.clock.clone())?;
        let (house, events) = (self.clone(), node.events());
        self.pool.spawn_ok(async move {
            let (end, ()) = join(driver, events.map(|event| house.tell(server, &event)).collect()).await;
            let told = end.as_ref().map_or_else(|error| format!("FAILED: {error}"), |()| "stopped".into());
            house.say(server, told);
            end.unwrap_or_else(|_| std::process::exit(1));
        });
        Ok(node)
    }

    /// A client of these servers, attached to the first of them that serves.
    fn client(&self, servers: &[Node]) -> Result<Client> {
        let (client, driver) = Client::new(servers, self.clock.clone(), ClientOptions::new(entropy()?))?;
        self.pool.spawn_ok(driver);
        Ok(client)
    }
}

async fn first_minute(house: &Arc<House>) -> Result<()> {
    let say = |what: &str| house.say("", what);
    say("== three servers elect: the newest epoch wins, then the longest history, then the number ==");
    let servers = [1, 2, 3].map(ServerId::new);
    if !house.data(servers[0]).0.exists() {
        let mut data = servers.into_iter().map(|server| house.data(server));
        data.try_for_each(|(dir, options)| FileStorage::format(dir, &options))?;
    }
    let mut nodes = [house.start(servers[0])?, house.start(servers[1])?, house.start(servers[2])?];
    house.client(&nodes[..1])?.connected().await?;
    let old = nodes[0].status().await?.leader.ok_or("a server that serves knows a leader")?;
    nodes.sort_by_key(|node| node.server() != old); // The leader first.
    say("== a client writes through a follower ==");
    let client = house.client(&nodes[1..2])?;
    if let Some(stat) = client.exists("/app").await? {
        say(&format!("found /app of an earlier run, of zxid {}, version {}", stat.czxid, stat.version));
        client.delete_tree("/app").await?;
    }
    let zxid = client.create("/app", "v1").await?.stat.czxid;
    say(&format!("created /app at zxid {zxid} through server {}", nodes[1].server()));
    say("== a watch fires once ==");
    let watch = client.get("/app").watch().await?.watch;
    client.set("/app", "v2").await?;
    client.set("/app", "v3").await?;
    say(&format!("{:?}; of the second change it tells nothing", watch.await?));
    say("== an ephemeral goes with its session ==");
    let guest = house.client(&nodes[2..])?;
    guest.create("/app/guest", "here").ephemeral().await?;
    say(&format!("there: {:?}", client.children("/app").linearizable().await?.names));
    guest.close().await?;
    say(&format!("session closed: {:?}", client.children("/app").linearizable().await?.names));
    say("== the leader is cut off, logs a write that nobody gets, and stops ==");
    let lonely = house.client(&nodes[..1])?;
    lonely.connected().await?;
    nodes[1..].iter().for_each(|node| house.hub.disconnect(old, node.server()));
    let before = nodes[0].status().await?.logged;
    house.pool.spawn_ok(async move { drop(lonely.create("/app/lost", "").await) });
    nodes[0].until(|status| status.logged > before).await?;
    nodes[0].stop().await;
    client.create("/app/after", "the new epoch").await?;
    let new = nodes[1].status().await?.leader.ok_or("a server that serves knows a leader")?;
    say(&format!("server {new} leads; the client goes on in its session"));
    say("== the old leader comes back and is rolled back ==");
    nodes[1..].iter().for_each(|node| house.hub.reconnect(old, node.server()));
    nodes[0] = house.start(old)?;
    let reader = house.client(&nodes[..1])?;
    let names = reader.children("/app").linearizable().await?.names;
    say(&format!("it has {names:?}: the lost write is nowhere"));
    say("== everything stops, starts again from disk, and is there ==");
    let before = reader.get("/app").linearizable().await?;
    join_all(nodes.iter().map(Node::stop)).await;
    let nodes = [house.start(servers[0])?, house.start(servers[1])?, house.start(servers[2])?];
    let client = house.client(&nodes)?;
    let after = client.get("/app").linearizable().await?;
    assert_eq!(before, after, "data and stat are those from before");
    say(&format!("/app is {:?} at version {}, as before", after.bytes(), after.stat.version));
    let zxid = client.sync().await?;
    let all = try_join_all(nodes.iter().map(|node| node.until(|status| status.applied >= zxid))).await?;
    let states = all.iter().map(|status| format!("{} with digest {:016x}", status.applied, status.digest));
    states.for_each(|state| say(&format!("at zxid {state}")));
    Ok(())
}

fn main() -> Result<()> {
    let given = std::env::args().skip_while(|arg| arg != "--dir").nth(1).map(PathBuf::from);
    let temporary = std::env::temp_dir().join(format!("quorate-{}", std::process::id()));
    let dir = given.clone().unwrap_or_else(|| temporary.clone());
    let (hub, clock, pool) = (Hub::new(ClusterId::new(7)), Arc::new(SystemClock::new()?), ThreadPool::new()?);
    block_on(first_minute(&Arc::new(House { dir, hub, clock, pool })))?;
    Ok(given.map_or_else(|| std::fs::remove_dir_all(temporary), |_| Ok(()))?)
}
