//! An ensemble as its users see it: three servers in one process, on the machine's clock.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures::executor::{LocalPool, LocalSpawner};
use futures::future::{AbortHandle, abortable};
use futures::task::LocalSpawnExt as _;
use quorate::client::{Client, ClientOptions, WatchItem};
use quorate::node::{Clock, Node, NodeConfig, SystemClock};
use quorate::peer::{Ensemble, PeerConfig};
use quorate::storage::MemoryStorage;
use quorate::transport::Hub;
use quorate::{ClusterId, ServerId, WatchEventKind};

fn start(
    spawner: &LocalSpawner,
    hub: &Hub,
    clock: &Arc<dyn Clock>,
    server: u64,
    storage: &MemoryStorage,
) -> (Node, AbortHandle) {
    let server = ServerId::new(server);
    let ensemble = Ensemble::majority((1..=3).map(ServerId::new));
    let config =
        NodeConfig::new(PeerConfig::new(hub.cluster(), server, ensemble, [server.number() as u8; 32]));
    let transport = Arc::new(hub.join(server));
    let (node, driver) =
        Node::start(config, transport, Arc::new(storage.clone()), Arc::clone(clock)).unwrap();
    let (driver, abort) = abortable(driver);
    // Stopped from outside or by shutdown: both are how a test ends a server.
    spawner.spawn_local(async move { drop(driver.await) }).unwrap();
    (node, abort)
}

#[test]
fn three_servers_elect_create_read_watch_and_survive_a_restart() {
    let mut pool = LocalPool::new();
    let spawner = pool.spawner();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new().unwrap());
    let hub = Hub::new(ClusterId::new(1));
    let stores: Vec<MemoryStorage> = (0..3).map(|_| MemoryStorage::new()).collect();
    let servers: Vec<(Node, AbortHandle)> =
        (1..).zip(&stores).map(|(server, store)| start(&spawner, &hub, &clock, server, store)).collect();

    let nodes = servers.iter().map(|(node, _)| node);
    let (client, driver) = Client::new(nodes, Arc::clone(&clock), ClientOptions::new([1; 32])).unwrap();
    spawner.spawn_local(driver).unwrap();
    let spawn = spawner.clone();
    let restarted = clock.clone();
    pool.run_until(async move {
        let first = client.create("/servers", "").await.unwrap();
        let mut changes = client.watch("/servers").recursive().from(first.stat.czxid).await.unwrap();
        let one = client.create("/servers/n-", "one").ephemeral().sequential().await.unwrap();
        assert_eq!(one.path.as_str(), "/servers/n-0000000000");
        assert_eq!(client.get(&one.path).await.unwrap().bytes(), "one");

        // The first server is the one that the client is attached to.
        servers[0].1.abort();
        client.create("/servers/n-", "two").ephemeral().sequential().await.unwrap();
        let (again, _) = start(&spawn, &hub, &restarted, 1, &stores[0]);
        client.create("/servers/n-", "three").ephemeral().sequential().await.unwrap();
        for number in 0..3 {
            let Some(WatchItem::Event(event)) = changes.next().await else { panic!("an event was lost") };
            assert_eq!(event.kind, WatchEventKind::Created);
            assert_eq!(event.path.as_str(), format!("/servers/n-{number:010}"));
        }

        // The restarted server has caught up: a client of it alone reads everything.
        let (late, driver) = Client::new([&again], restarted, ClientOptions::new([2; 32])).unwrap();
        spawn.spawn_local(driver).unwrap();
        late.sync().await.unwrap();
        assert_eq!(late.children("/servers").await.unwrap().names.len(), 3);
        client.close().await.unwrap();
        late.sync().await.unwrap();
        assert!(late.children("/servers").await.unwrap().names.is_empty());
        late.close().await.unwrap();
    });
}
