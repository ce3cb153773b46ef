//! Three servers in one thread, on a clock that jumps from deadline to deadline: every run is the same run.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::executor::{LocalPool, LocalSpawner};
use futures::future::{AbortHandle, abortable, join_all};
use futures::task::LocalSpawnExt as _;

use super::super::{Client, ClientError, ClientOptions, SessionState, WatchItem};

use crate::node::manual_clock::ManualClock;
use crate::node::{Attach, Clock, Connection, Connector, Node, NodeConfig, NodeError, OpenError};
use crate::peer::{Ensemble, PeerConfig, Role};
use crate::storage::fragile::{Fragile, disk_full};
use crate::transport::Hub;
use crate::types::{ClusterId, CreateMode, ErrorCode, Expected, ServerId, WatchEventKind};

/// A place where a server runs, or will run again.
#[derive(Clone, Default)]
pub(super) struct Place(Arc<Mutex<Option<(Node, AbortHandle)>>>);

impl Place {
    pub(super) fn node(&self) -> Option<Node> {
        self.0.lock().unwrap().as_ref().map(|(node, _)| node.clone())
    }
}

impl Connector for Place {
    fn open(&self, attach: Attach) -> Result<Connection, OpenError> {
        self.node().ok_or(OpenError::Stopped)?.open(attach)
    }
}

pub(super) struct World {
    pool: LocalPool,
    pub(super) spawner: LocalSpawner,
    pub(super) clock: ManualClock,
    hub: Hub,
    pub(super) stores: Vec<Fragile>,
    pub(super) places: Vec<Place>,
    starts: u8,
}

impl World {
    pub(super) fn new(servers: usize) -> Self {
        let pool = LocalPool::new();
        let mut world = Self {
            spawner: pool.spawner(),
            pool,
            clock: ManualClock::default(),
            hub: Hub::new(ClusterId::new(5)),
            stores: (0..servers).map(|_| Fragile::default()).collect(),
            places: (0..servers).map(|_| Place::default()).collect(),
            starts: 0,
        };
        (0..servers).for_each(|index| world.start(index));
        world
    }

    pub(super) fn start(&mut self, index: usize) {
        self.starts += 1;
        let ids = (1..=self.stores.len() as u64).map(ServerId::new);
        let server = ServerId::new(index as u64 + 1);
        let seed = [self.starts; 32];
        let peer = PeerConfig::new(self.hub.cluster(), server, Ensemble::majority(ids), seed);
        let transport = Arc::new(self.hub.join(server));
        let storage = Arc::new(self.stores[index].clone());
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let (node, driver) = Node::start(NodeConfig::new(peer), transport, storage, clock).unwrap();
        let (driver, abort) = abortable(driver);
        let broken = Arc::clone(&self.stores[index].broken);
        let running = async move {
            if let Ok(Err(error)) = driver.await {
                assert!(broken.load(Ordering::Relaxed), "no server stops by itself: {error}");
                assert_eq!(error, NodeError::Storage(disk_full()));
            }
        };
        self.spawner.spawn_local(running).unwrap();
        *self.places[index].0.lock().unwrap() = Some((node, abort));
    }

    /// Stops a server between two of its turns, without a word.
    pub(super) fn crash(&mut self, index: usize) {
        let (_, abort) = self.places[index].0.lock().unwrap().take().expect("it runs");
        abort.abort();
        self.pool.run_until_stalled();
    }

    /// The same, after everybody has had so many turns from now on.
    fn crash_after(&mut self, index: usize, rounds: usize) {
        let place = self.places[index].clone();
        let crash = async move {
            for _ in 0..rounds {
                futures::pending!();
            }
            let (_, abort) = place.0.lock().unwrap().take().expect("it runs");
            abort.abort();
        };
        // Woken again each time it is polled, it comes after all others that are awake.
        let mut crash = Box::pin(crash);
        let awake = std::future::poll_fn(move |context| {
            let turn = crash.as_mut().poll(context);
            context.waker().wake_by_ref();
            turn
        });
        self.spawner.spawn_local(awake).unwrap();
    }

    /// A client that tries server `first` first.
    pub(super) fn client(&mut self, first: usize, window: usize) -> Client {
        let mut places = self.places.clone();
        places.rotate_left(first);
        let places = places.into_iter().map(|place| Arc::new(place) as Arc<dyn Connector>);
        let options = ClientOptions { window, ..ClientOptions::new([9; 32]) };
        let (client, driver) = Client::new(places, Arc::new(self.clock.clone()), options).unwrap();
        self.spawner.spawn_local(driver).unwrap();
        client
    }

    /// Lets time go by until the future is done.
    pub(super) fn run<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> T {
        let done = Arc::new(Mutex::new(None));
        let told = Arc::clone(&done);
        self.spawner.spawn_local(async move { *told.lock().unwrap() = Some(future.await) }).unwrap();
        let begin = self.clock.now().time;
        loop {
            self.pool.run_until_stalled();
            if let Some(outcome) = done.lock().unwrap().take() {
                return outcome;
            }
            assert!(self.clock.now().time.since(begin) < Duration::from_secs(120), "nothing comes of it");
            self.clock.advance_to_next();
        }
    }

    pub(super) fn run_for(&mut self, span: Duration) {
        let sleep = self.clock.sleep_until(self.clock.now().time + span);
        self.run(sleep);
    }

    /// The server that leads and serves.
    pub(super) fn leader(&mut self) -> usize {
        for _ in 0..1_000 {
            for index in 0..self.places.len() {
                let Some(node) = self.places[index].node() else { continue };
                let status = self.run(async move { node.status().await }).unwrap();
                if status.role == Role::Leading && status.serving {
                    return index;
                }
            }
            self.run_for(Duration::from_millis(10));
        }
        panic!("nobody leads");
    }
}

#[test]
fn three_servers_elect_a_leader_and_any_of_them_answers() {
    let mut world = World::new(3);
    let leader = world.leader();
    for first in 0..3 {
        let client = world.client(first, 16);
        let outcome = world.run(async move {
            let path = format!("/by-{first}");
            let created = client.create(path.as_str(), "one").await?;
            assert_eq!(created.path.as_str(), path);
            let stat = client.set(path.as_str(), "two").version(0).await?;
            assert_eq!(stat.version, 1);
            let stale = client.set(path.as_str(), "three").version(0).await.unwrap_err();
            assert!(stale.is(ErrorCode::BadVersion));
            let data = client.get(path.as_str()).linearizable().await?;
            assert_eq!(data.bytes(), "two");
            assert_eq!(client.exists("/nowhere").await?, None);
            let multi = client.multi().check(path.as_str(), Expected::Version(1)).create(
                "/m",
                "",
                CreateMode::PERSISTENT,
            );
            assert_eq!(multi.await?.len(), 2);
            client.delete("/m").await?;
            assert!(client.children("/").await?.names.iter().any(|name| **name == path[1..]));
            client.close().await
        });
        assert_eq!(outcome, Ok(()), "server {first}, leader {leader}");
    }
    let digests: Vec<_> = (0..3)
        .map(|index| {
            let node = world.places[index].node().unwrap();
            let status = world.run(async move { node.status().await }).unwrap();
            (status.applied, status.digest)
        })
        .collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[test]
fn a_node_is_made_with_all_above_it_and_only_if_it_is_not_there() {
    let mut world = World::new(3);
    let client = world.client(0, 16);
    let outcome = world.run(async move {
        let made = client.create("/a/b/c/n-", "x").sequential().with_parents().await?;
        assert_eq!(made.path.as_str(), "/a/b/c/n-0000000000");
        assert_eq!(client.get("/a/b").await?.data, None);
        // The second time they are there, and nothing else is written.
        let again = client.create("/a/b/c/n-", "x").sequential().with_parents().await?;
        assert_eq!(Some(again.stat.czxid), made.stat.czxid.next());

        assert!(client.create("/d/e", "one").if_absent().with_parents().await?.is_some());
        assert_eq!(client.create("/d/e", "two").with_parents().if_absent().await?, None);
        assert_eq!(client.get("/d/e").await?.text().unwrap(), "one");
        let refused = client.create("/x/../y/z", "").with_parents().if_absent().await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::NoNode));
        assert_eq!(client.exists("/x").await?, None, "of a path that cannot be, nothing is made");
        let within = client.within(Duration::from_secs(30));
        assert!(within.create("/f/g", "").with_parents().if_absent().await?.is_some());
        Ok::<_, ClientError>(())
    });
    assert_eq!(outcome, Ok(()));
}

#[test]
fn a_composed_call_is_in_time_as_a_whole() {
    let mut world = World::new(3);
    world.leader();
    let client = world.client(0, 16);
    let first = client.clone();
    world.run(async move { first.connected().await }).unwrap();
    // Without a quorum nothing is answered.
    world.crash(1);
    world.crash(2);
    let clock = world.clock.clone();
    let (outcome, took) = world.run(async move {
        let since = clock.now().time;
        let outcome = client.within(Duration::from_secs(2)).create("/a/b", "").with_parents().await;
        (outcome, clock.now().time.since(since))
    });
    assert_eq!(outcome, Err(ClientError::TimedOut));
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_client_does_not_keep_a_server_running_that_its_owner_lets_go() {
    let mut world = World::new(1);
    let node = world.places[0].node().unwrap();
    let options = ClientOptions::new([8; 32]);
    let (client, driver) = Client::new([&node], node.clock(), options.clone()).unwrap();
    world.spawner.spawn_local(driver).unwrap();
    let first = client.clone();
    world.run(async move { first.connected().await }).unwrap();
    drop(node);
    drop(world.places[0].0.lock().unwrap().take());
    world.pool.run_until_stalled();
    assert_eq!(client.state(), SessionState::Disconnected);

    // One that is given the handle holds it.
    let mut world = World::new(1);
    let (node, _abort) = world.places[0].0.lock().unwrap().take().unwrap();
    let clock = node.clock();
    let (client, driver) = Client::new([node], clock, options).unwrap();
    world.spawner.spawn_local(driver).unwrap();
    let first = client.clone();
    world.run(async move { first.create("/held", "").await }).unwrap();
    assert_eq!(client.state(), SessionState::Connected);
}

#[test]
fn writes_under_way_while_a_server_crashes_are_executed_once_each_and_in_order() {
    // The crash comes later and later, at the leader or at the other server that has a client; among the moments
    // are those at which writes are committed and not answered.
    for rounds in 0..40 {
        let mut world = World::new(3);
        let leader = world.leader();
        let attached = [leader, (leader + 1) % 3];
        let clients = attached.map(|server| world.client(server, 64));
        for (index, client) in clients.iter().enumerate() {
            let client = client.clone();
            world.run(async move { client.create(format!("/q{index}"), "").await }).unwrap();
        }
        world.crash_after(attached[rounds % 2], rounds / 2);
        let outcome = world.run(async move {
            join_all(clients.iter().enumerate().map(|(index, client)| {
                join_all((0..20).map(move |_| {
                    let create = client.create(format!("/q{index}/n-"), "").sequential();
                    async move { create.await.unwrap().path.name().to_owned() }
                }))
            }))
            .await
        });
        // No number is missing, none was used twice, and each answer is that of its own write.
        let expected: Vec<String> = (0..20).map(|number| format!("n-{number:010}")).collect();
        for names in outcome {
            assert_eq!(names, expected, "after {rounds} rounds");
        }
    }
}

#[test]
fn what_was_acknowledged_and_its_session_survive_the_crash_of_all_servers() {
    let mut world = World::new(3);
    let client = world.client(0, 16);
    let writer = client.clone();
    let session = world.run(async move {
        writer.create("/kept", "data").await.unwrap();
        writer.create("/mine", "").ephemeral().await.unwrap();
        writer.connected().await.unwrap()
    });
    (0..3).for_each(|index| world.crash(index));
    assert_eq!(client.state(), SessionState::Disconnected);
    (0..3).for_each(|index| world.start(index));
    let reader = client.clone();
    let (data, owner) = world.run(async move {
        let data = reader.get("/kept").await.unwrap();
        (data.bytes(), reader.exists("/mine").await.unwrap().unwrap().ephemeral_owner)
    });
    assert_eq!(data, "data");
    assert_eq!(owner, session);
    assert_eq!(client.session_id(), Some(session));
}

#[test]
fn watches_miss_nothing_while_their_server_is_replaced() {
    let mut world = World::new(3);
    let leader = world.leader();
    let away = (leader + 1) % 3;
    let watcher = world.client(away, 16);
    let writer = world.client(leader, 16);
    let (mut lasting, one_shot) = {
        let (watcher, writer) = (watcher.clone(), writer.clone());
        world.run(async move {
            writer.create("/w", "").await.unwrap();
            let lasting = watcher.watch("/w").recursive().await.unwrap();
            let one_shot = watcher.get("/w").watch().await.unwrap().watch;
            (lasting, one_shot)
        })
    };
    for round in 0..30 {
        let path = format!("/w/{round}");
        let writer = writer.clone();
        world.run(async move { writer.create(path, "").await.unwrap() });
        if round == 10 {
            world.crash(away);
        }
    }
    let writer = writer.clone();
    world.run(async move { writer.set("/w", "x").await.unwrap() });
    let fired = world.run(one_shot).unwrap();
    assert_eq!((fired.kind, fired.path.as_str()), (WatchEventKind::DataChanged, "/w"));
    let seen = world.run(async move {
        let mut seen = Vec::new();
        loop {
            match lasting.next().await {
                Some(WatchItem::Event(event)) if event.path.as_str() == "/w" => return seen,
                Some(WatchItem::Event(event)) => seen.push((event.kind, event.path.name().to_owned())),
                other => panic!("{other:?}"),
            }
        }
    });
    let expected: Vec<_> = (0..30).map(|round| (WatchEventKind::Created, round.to_string())).collect();
    assert_eq!(seen, expected);
}

#[test]
fn sessions_end_when_they_are_closed_and_when_nobody_can_be_reached() {
    let mut world = World::new(3);
    let owner = world.client(0, 16);
    let silent = world.client(1, 16);
    let reader = world.client(2, 16);
    let (closed, silent_owner) = (owner.clone(), silent.clone());
    world.run(async move {
        closed.create("/closed", "").ephemeral().await.unwrap();
        silent_owner.create("/silent", "").ephemeral().await.unwrap();
        let gone = reader.exists("/closed").watch().await.unwrap();
        assert!(gone.value.is_some());
        closed.close().await.unwrap();
        assert_eq!(gone.watch.await.unwrap().kind, WatchEventKind::Deleted);
    });
    assert_eq!(owner.state(), SessionState::Closed);
    // A client that reaches nobody any more learns by itself that its session is over, and not before the
    // quorum could have said so.
    let mut states = silent.states();
    (0..3).for_each(|index| world.crash(index));
    let cut_off_at = world.clock.now().time;
    let clock = world.clock.clone();
    let expired_at = world.run(async move {
        while states.next().await != Some(SessionState::Expired) {}
        clock.now().time
    });
    assert!(expired_at.since(cut_off_at) >= Duration::from_secs(10));
    let late = world.run(async move { silent.get("/silent").await });
    assert_eq!(late, Err(ClientError::SessionExpired));
}

#[test]
fn an_ephemeral_of_a_client_that_is_gone_without_a_word_is_deleted_when_its_session_expires() {
    let mut world = World::new(3);
    let clock = world.clock.clone();
    let places = world.places.iter().map(|place| Arc::new(place.clone()) as Arc<dyn Connector>);
    let options = ClientOptions::new([1; 32]);
    let (client, driver) = Client::new(places, Arc::new(clock.clone()), options).unwrap();
    let (driver, abort) = abortable(driver);
    world.spawner.spawn_local(driver.map(|end| assert!(end.is_err(), "it is stopped from outside"))).unwrap();
    let other = world.client(1, 16);
    let gone = world.run(async move {
        client.create("/e", "").ephemeral().await.unwrap();
        let watched = other.exists("/e").watch().await.unwrap();
        // As when its process is killed.
        abort.abort();
        let since = clock.now().time;
        let event = watched.watch.await.unwrap();
        (event.kind, clock.now().time.since(since))
    });
    assert_eq!(gone.0, WatchEventKind::Deleted);
    let span = gone.1;
    assert!(span > Duration::from_secs(6) && span < Duration::from_secs(12), "{span:?}");
}
