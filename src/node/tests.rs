use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::executor::LocalPool;
use futures::future::RemoteHandle;
use futures::task::LocalSpawnExt as _;
use futures::{FutureExt as _, StreamExt as _};

use super::manual_clock::ManualClock;
use super::{
    Attach, Clock, Connection, Connector as _, Delivery, Node, NodeConfig, NodeError, NodeStopped, Observer,
    OpenError,
};

use crate::codec;
use crate::election::{Notification, ServerState, Vote};
use crate::peer::{
    Answer, CloseReason, ConfigError, Ensemble, Input, Message, Output, PeerConfig, PeerEvent, ReadLevel,
    Request, Role, Status, WatchRequest,
};
use crate::storage::fragile::{Fragile, disk_full};
use crate::storage::{MemoryStorage, Storage as _};
use crate::transport::{Hub, HubTransport, Transport as _};
use crate::types::{
    ClientId, ClusterId, Epoch, Expected, Lane, Now, Read, RequestPath, ServerId, WatchEvent, WatchEventKind,
    WatchMode, Write, Written, Zxid,
};

/// A quorum of one.
struct World {
    pool: LocalPool,
    clock: ManualClock,
    node: Node,
    end: RemoteHandle<Result<(), NodeError>>,
    transport: Arc<HubTransport>,
    storage: Fragile,
}

fn config() -> NodeConfig {
    let server = ServerId::new(1);
    NodeConfig::new(PeerConfig::new(ClusterId::new(1), server, Ensemble::majority([server]), [3; 32]))
}

impl World {
    fn new(config: NodeConfig) -> Self {
        Self::on(config, Fragile::default())
    }

    /// A server to which every request costs `cost`, and what its turns took.
    fn laborious(config: NodeConfig, cost: Duration) -> (Self, Arc<Labour>) {
        let (pool, clock, storage) = (LocalPool::new(), ManualClock::default(), Fragile::default());
        let transport = Arc::new(Hub::new(ClusterId::new(1)).join(ServerId::new(1)));
        let labour = Arc::new(Labour { clock: clock.clone(), cost, turns: Mutex::default() });
        let (node, driver) = Node::start_observed(
            config,
            Arc::clone(&transport) as _,
            Arc::new(storage.clone()),
            Arc::new(clock.clone()),
            Arc::clone(&labour) as _,
        )
        .unwrap();
        let end = pool.spawner().spawn_local_with_handle(driver).unwrap();
        let mut world = Self { pool, clock, node, end, transport, storage };
        world.settle();
        (world, labour)
    }

    fn on(config: NodeConfig, storage: Fragile) -> Self {
        let pool = LocalPool::new();
        let clock = ManualClock::default();
        let transport = Arc::new(Hub::new(ClusterId::new(1)).join(ServerId::new(1)));
        let shared_clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let (node, driver) =
            Node::start(config, Arc::clone(&transport) as _, Arc::new(storage.clone()), shared_clock)
                .unwrap();
        let end = pool.spawner().spawn_local_with_handle(driver).unwrap();
        let mut world = Self { pool, clock, node, end, transport, storage };
        world.settle();
        world
    }

    /// Lets everything run, and two seconds go by.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.pool.run_until_stalled();
            self.clock.advance(Duration::from_millis(10));
        }
        self.pool.run_until_stalled();
    }

    fn connect(&mut self) -> Connection {
        let attach =
            Attach { resume: None, timeout_millis: 30_000, last_seen: Zxid::ZERO, identities: Vec::new() };
        let mut connection = self.node.open(attach).unwrap();
        self.pool.run_until_stalled();
        let first = connection.next().now_or_never();
        assert!(matches!(first, Some(Some(Delivery::Connected(_)))), "{first:?}");
        connection
    }

    fn send(&mut self, connection: &mut Connection, tag: u64, request: Request) {
        connection.send(tag, request).now_or_never().expect("there is room").unwrap();
        self.pool.run_until_stalled();
    }

    fn end(&mut self) -> Option<Result<(), NodeError>> {
        self.pool.run_until_stalled();
        (&mut self.end).now_or_never()
    }
}

/// Lets time go by with every request, and remembers whose requests each turn took.
struct Labour {
    clock: ManualClock,
    cost: Duration,
    turns: Mutex<Vec<Vec<ClientId>>>,
}

impl Observer for Labour {
    fn input(&self, _now: Now, input: &Input) {
        let Input::Request(request) = input else { return };
        self.clock.advance(self.cost);
        let mut turns = self.turns.lock().unwrap();
        if turns.is_empty() {
            turns.push(Vec::new());
        }
        turns.last_mut().unwrap().push(request.client);
    }

    fn output(&self, _now: Now, _output: &Output) {}

    fn turn(&self, _now: Now, _status: &Status) {
        self.turns.lock().unwrap().push(Vec::new());
    }
}

impl Labour {
    /// The turns since the last look that took requests.
    fn turns(&self) -> Vec<Vec<ClientId>> {
        let mut turns = std::mem::take(&mut *self.turns.lock().unwrap());
        turns.retain(|turn| !turn.is_empty());
        turns
    }
}

fn deliveries(connection: &mut Connection) -> Vec<Delivery> {
    std::iter::from_fn(|| connection.next().now_or_never().flatten()).collect()
}

fn create(path: &str) -> Request {
    Request::Write { write: creation(path), number: None }
}

fn creation(path: &str) -> Write {
    Write::Create {
        path: path.into(),
        data: None,
        acl: crate::types::Acl::open(),
        mode: crate::types::CreateMode::PERSISTENT,
    }
}

fn multi(writes: impl Iterator<Item = Write>) -> Request {
    Request::Write { write: Write::Multi(writes.collect()), number: None }
}

#[test]
fn a_quorum_of_one_leads_and_answers() {
    let mut world = World::new(config());
    let mut connection = world.connect();
    world.send(&mut connection, 7, create("/a"));
    let answers = deliveries(&mut connection);
    assert!(
        matches!(&answers[..], [Delivery::Reply(reply)]
            if reply.tag == 7 && matches!(reply.result, Ok(Answer::Written(Written::Created { .. })))),
        "{answers:?}"
    );
    let node = world.node.clone();
    let status = world.pool.run_until(async move { node.status().await }).unwrap();
    assert_eq!((status.role, status.serving, status.clients), (Role::Leading, true, 1));
}

#[test]
fn a_storage_that_fails_stops_the_server_with_its_cause() {
    let mut world = World::new(config());
    let mut connection = world.connect();
    world.storage.broken.store(true, Ordering::Relaxed);
    world.send(&mut connection, 1, create("/a"));
    assert_eq!(world.end(), Some(Err(NodeError::Storage(disk_full()))));
    assert_eq!(deliveries(&mut connection), [Delivery::Closed(CloseReason::NotServing)]);
    let node = world.node.clone();
    assert_eq!(world.pool.run_until(async move { node.status().await }), Err(NodeStopped));
    let attach = Attach { resume: None, timeout_millis: 1, last_seen: Zxid::ZERO, identities: Vec::new() };
    assert_eq!(world.node.open(attach).unwrap_err(), OpenError::Stopped);
}

#[test]
fn a_shutdown_ends_well_and_tells_the_clients() {
    let mut world = World::new(config());
    let mut connection = world.connect();
    world.node.shutdown();
    world.node.shutdown();
    assert_eq!(world.end(), Some(Ok(())));
    assert_eq!(deliveries(&mut connection), [Delivery::Closed(CloseReason::NotServing)]);
    world.node.shutdown();
}

#[test]
fn a_server_without_handles_shuts_down() {
    let world = World::new(config());
    let World { mut pool, node, mut end, .. } = world;
    let other = node.clone();
    drop(node);
    pool.run_until_stalled();
    assert!((&mut end).now_or_never().is_none());
    drop(other);
    pool.run_until_stalled();
    assert_eq!(end.now_or_never(), Some(Ok(())));
}

#[test]
fn a_connector_reaches_the_server_and_does_not_keep_it_running() {
    let mut world = World::new(config());
    let connector = world.node.connector();
    let attach =
        || Attach { resume: None, timeout_millis: 1_000, last_seen: Zxid::ZERO, identities: Vec::new() };
    let mut connection = connector.open(attach()).unwrap();
    world.pool.run_until_stalled();
    assert!(matches!(connection.next().now_or_never(), Some(Some(Delivery::Connected(_)))));
    let World { mut pool, node, end, .. } = world;
    drop(node);
    pool.run_until_stalled();
    assert_eq!(end.now_or_never(), Some(Ok(())));
    assert_eq!(connector.open(attach()).unwrap_err(), OpenError::Stopped);
}

#[test]
fn whoever_waits_for_a_status_is_woken_by_the_change_alone() {
    let mut world = World::new(config());
    let node = world.node.clone();
    let serving = world.pool.run_until(async move { node.until(|status| status.serving).await }).unwrap();
    assert_eq!((serving.role, serving.clients), (Role::Leading, 0));

    let node = world.node.clone();
    let waiting = async move { node.until(|status| status.clients == 2).await };
    let mut waiting = world.pool.spawner().spawn_local_with_handle(waiting).unwrap();
    let _one = world.connect();
    world.pool.run_until_stalled();
    assert!((&mut waiting).now_or_never().is_none());
    let _two = world.connect();
    world.pool.run_until_stalled();
    assert_eq!(waiting.now_or_never().unwrap().unwrap().clients, 2);

    let node = world.node.clone();
    let in_vain = async move { node.until(|status| status.clients == 3).await };
    let in_vain = world.pool.spawner().spawn_local_with_handle(in_vain).unwrap();
    let node = world.node.clone();
    let stopped = world.pool.spawner().spawn_local_with_handle(async move { node.stop().await }).unwrap();
    world.pool.run_until_stalled();
    assert_eq!(stopped.now_or_never(), Some(()));
    assert_eq!(in_vain.now_or_never(), Some(Err(NodeStopped)));
    assert_eq!(world.end(), Some(Ok(())));
    assert_eq!(world.node.stop().now_or_never(), Some(()), "it has stopped");
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let mut world = World::new(config());
    let mut connection = world.connect();
    world.send(&mut connection, 1, create("/a"));
    assert_eq!(deliveries(&mut connection).len(), 1);
    let mut world = World::on(config(), world.storage.clone());
    let mut connection = world.connect();
    world.send(&mut connection, 1, create("/a"));
    let answers = deliveries(&mut connection);
    assert!(matches!(&answers[..], [Delivery::Reply(reply)] if reply.result.is_err()), "{answers:?}");
}

#[test]
fn the_state_is_restored_from_a_snapshot_that_comes_in_pieces() {
    let mut config = config();
    config.peer.limits.snapshot_every = 20;
    config.peer.limits.snapshot_chunk = 100;
    let mut world = World::new(config.clone());
    let mut connection = world.connect();
    for tag in 0..50 {
        world.send(&mut connection, tag, create(&format!("/{tag}")));
    }
    world.settle();
    let recovered = futures::executor::block_on(world.storage.recover()).unwrap();
    assert!(recovered.snapshot.is_some(), "a snapshot was saved");
    let digest = |world: &mut World| {
        let node = world.node.clone();
        let status = world.pool.run_until(async move { node.status().await }).unwrap();
        status.znodes
    };
    let before = digest(&mut world);
    let mut world = World::on(config, world.storage.clone());
    assert_eq!(digest(&mut world), before);
}

#[test]
fn a_client_that_takes_nothing_is_closed_as_overloaded_and_the_others_go_on() {
    let mut config = config();
    config.outbound = 8;
    let mut world = World::new(config);
    let mut greedy = world.connect();
    let mut modest = world.connect();
    for tag in 0..20 {
        world.send(&mut greedy, tag, Request::Ping);
    }
    let taken = deliveries(&mut greedy);
    assert_eq!(taken.last(), Some(&Delivery::Closed(CloseReason::Overloaded)));
    assert!(taken.len() <= 8 + 2, "{} deliveries waited", taken.len());
    world.send(&mut modest, 1, Request::Ping);
    assert!(matches!(&deliveries(&mut modest)[..], [Delivery::Reply(_)]));
}

#[test]
fn a_client_that_asks_for_long_lists_and_takes_none_is_closed_as_overloaded() {
    let mut config = config();
    config.outbound_len = 100_000;
    let mut world = World::new(config);
    let mut greedy = world.connect();
    // 1,000 names of 100 bytes are more than may wait, and still a list that can be asked for.
    world.send(&mut greedy, 0, multi((0..1_000).map(|number| creation(&format!("/{number:0100}")))));
    let mut deliveries_of = |tags: std::ops::Range<u64>| {
        for tag in tags {
            let read = Read::Children { path: "/".into() };
            let request = Request::Read { read, level: ReadLevel::Session, watch: false };
            world.send(&mut greedy, tag, request);
        }
        deliveries(&mut greedy)
    };
    assert_eq!(deliveries_of(1..1).len(), 1);
    for tag in 1..4 {
        let list = deliveries_of(tag..tag + 1);
        assert!(matches!(&list[..], [Delivery::Reply(reply)] if reply.result.is_ok()), "{}", list.len());
    }
    let lists = deliveries_of(4..14);
    assert!(
        matches!(&lists[..], [Delivery::Reply(_), Delivery::Closed(CloseReason::Overloaded)]),
        "{} deliveries waited",
        lists.len()
    );
}

#[test]
fn a_client_hears_all_of_a_large_transaction_and_of_many_watches_at_once() {
    let mut world = World::new(config());
    let mut writer = world.connect();
    let mut watcher = world.connect();
    let paths = || (0..2_500).map(|number| format!("/{number}"));
    let deleted = |deliveries: &[Delivery]| {
        let is_it = |delivery: &&Delivery| {
            matches!(delivery, Delivery::Watch(WatchEvent { kind: WatchEventKind::Deleted, .. }))
        };
        deliveries.iter().filter(is_it).count()
    };
    world.send(&mut writer, 1, multi(paths().map(|path| creation(&path))));
    let watch = WatchRequest::Add { path: "/".into(), mode: WatchMode::PersistentRecursive };
    world.send(&mut watcher, 1, Request::Watch(watch));
    assert_eq!(deliveries(&mut watcher).len(), 1);
    let delete = |path: String| Write::Delete { path: path.as_str().into(), expected: Expected::Any };
    world.send(&mut writer, 2, multi(paths().map(delete)));
    let heard = deliveries(&mut watcher);
    assert_eq!((heard.len(), deleted(&heard)), (2_500, 2_500), "{:?}", heard.last());

    // Another one had watches on all of them, and was away.
    let mut late = world.connect();
    let restore = WatchRequest::Restore {
        since: Zxid::ZERO,
        data: paths().map(|path| RequestPath::from(path.as_str())).collect(),
        exist: Vec::new(),
        child: Vec::new(),
        persistent: Vec::new(),
        recursive: Vec::new(),
    };
    world.send(&mut late, 1, Request::Watch(restore));
    let heard = deliveries(&mut late);
    assert_eq!((heard.len(), deleted(&heard)), (2_501, 2_500), "{:?}", heard.last());
}

#[test]
fn connections_are_counted_while_they_last() {
    let mut config = config();
    config.connections = 2;
    let mut world = World::new(config);
    let _one = world.connect();
    let two = world.connect();
    let attach = Attach { resume: None, timeout_millis: 1, last_seen: Zxid::ZERO, identities: Vec::new() };
    assert_eq!(world.node.open(attach).unwrap_err(), OpenError::Full);
    drop(two);
    world.pool.run_until_stalled();
    let _three = world.connect();
}

#[test]
fn events_tell_how_the_server_came_to_lead() {
    let mut world = World::new(config());
    let mut events = world.node.events();
    world.node.shutdown();
    world.pool.run_until_stalled();
    assert_eq!(events.next().now_or_never(), Some(None), "nothing happened since, and the server is gone");

    let storage = Fragile::default();
    let pool = LocalPool::new();
    let clock = ManualClock::default();
    let transport = Arc::new(Hub::new(ClusterId::new(1)).join(ServerId::new(1)));
    let (node, driver) =
        Node::start(config(), transport, Arc::new(storage.clone()), Arc::new(clock.clone())).unwrap();
    let events = node.events();
    let end = pool.spawner().spawn_local_with_handle(driver).unwrap();
    let transport = Arc::clone(&world.transport);
    let mut world = World { pool, clock, node, end, transport, storage };
    world.settle();
    world.node.shutdown();
    world.pool.run_until_stalled();
    let events: Vec<PeerEvent> = futures::executor::block_on(events.collect());
    assert!(events.iter().any(|event| matches!(event, PeerEvent::Serving { .. })), "{events:?}");
}

#[test]
fn a_transport_that_is_closed_under_the_server_stops_it() {
    let hub = Hub::new(ClusterId::new(1));
    let transport = Arc::new(hub.join(ServerId::new(1)));
    let storage = Arc::new(MemoryStorage::new());
    let clock = Arc::new(ManualClock::default());
    let (_node, driver) = Node::start(config(), transport, storage, clock).unwrap();
    // Joining a second time closes the first transport.
    let _second = hub.join(ServerId::new(1));
    assert_eq!(futures::executor::block_on(driver), Err(NodeError::TransportClosed));
}

#[test]
fn scn_30_frames_that_are_no_messages_are_dropped_and_the_server_is_not_deaf_afterwards() {
    let hub = Hub::new(ClusterId::new(1));
    let [one, two] = [1, 2].map(ServerId::new);
    let (mut pool, clock) = (LocalPool::new(), ManualClock::default());
    let start = |server| {
        let ensemble = Ensemble::majority([one, two]);
        let peer = PeerConfig::new(ClusterId::new(1), server, ensemble, [3; 32]);
        let (transport, storage) = (Arc::new(hub.join(server)), Arc::new(MemoryStorage::new()));
        Node::start(NodeConfig::new(peer), transport, storage, Arc::new(clock.clone())).unwrap()
    };
    let (node, driver) = start(one);
    let mut end = pool.spawner().spawn_local_with_handle(driver).unwrap();

    let vote = Vote { epoch: Epoch::ZERO, zxid: Zxid::ZERO, sid: two };
    let (vote, candidate, state) = (Some(vote), Some(vote), ServerState::Looking);
    let told = Notification { state, round: 1, vote, candidate, hears_you: true, connected: true, ask: true };
    let sound = codec::encode_frame(&Message::Election(told)).unwrap();
    let garbled = (0..sound.len()).map(|at| {
        let mut bytes = sound.to_vec();
        bytes[at] ^= 0x55;
        Bytes::from(bytes)
    });
    let foreign = [codec::encode_frame(&u64::MAX).unwrap(), codec::encode_frame(&"no message").unwrap()];
    let peer = hub.join(two);
    for frame in (0..sound.len()).map(|at| sound.slice(..at)).chain(garbled).chain(foreign) {
        peer.send(one, Lane::Urgent, frame);
        pool.run_until_stalled();
        assert!((&mut end).now_or_never().is_none());
    }
    assert_eq!(hub.dropped(), 0, "all of them were taken");

    let (_other, driver) = start(two);
    let _runs = pool.spawner().spawn_local_with_handle(driver).unwrap();
    for _ in 0..200 {
        pool.run_until_stalled();
        clock.advance(Duration::from_millis(10));
    }
    let status = pool.run_until(async move { node.status().await }).unwrap();
    assert!(status.serving && status.leader.is_some(), "{status:?}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let mut config = config();
    config.outbound = 0;
    assert_eq!(config.validate(), Err(ConfigError::ZeroLimit("outbound")));
    config.outbound = 1;
    config.outbound_len = 0;
    assert_eq!(config.validate(), Err(ConfigError::ZeroLimit("outbound_len")));
}

#[test]
fn costly_requests_are_spread_over_turns_and_no_client_is_left_behind() {
    let (mut world, labour) = World::laborious(config(), Duration::from_millis(2));
    let mut connections = [world.connect(), world.connect()];
    for tag in 0..30 {
        for connection in &mut connections {
            connection.send(tag, Request::Ping).now_or_never().expect("there is room").unwrap();
        }
    }
    world.pool.run_until_stalled();
    // Five milliseconds are over with the third; then frames and timeouts have their turn.
    let turns = labour.turns();
    assert_eq!(turns.iter().map(Vec::len).collect::<Vec<_>>(), [3; 20]);
    for turn in turns {
        assert!(turn.iter().any(|client| *client != turn[0]), "one client had all of a turn: {turn:?}");
    }
    for connection in &mut connections {
        assert_eq!(deliveries(connection).len(), 30, "nobody has to wake the server for the rest");
    }
}

#[test]
fn a_request_that_costs_more_than_a_turn_may_take_is_answered_all_the_same() {
    let (mut world, labour) = World::laborious(config(), Duration::from_millis(50));
    let mut connection = world.connect();
    for tag in 0..10 {
        connection.send(tag, Request::Ping).now_or_never().expect("there is room").unwrap();
    }
    world.pool.run_until_stalled();
    assert_eq!(labour.turns().iter().map(Vec::len).collect::<Vec<_>>(), [1; 10]);
    assert_eq!(deliveries(&mut connection).len(), 10);
}

#[test]
fn requests_that_cost_no_time_are_taken_in_one_turn() {
    let (mut world, labour) = World::laborious(config(), Duration::ZERO);
    let mut connection = world.connect();
    for tag in 0..60 {
        connection.send(tag, Request::Ping).now_or_never().expect("there is room").unwrap();
    }
    world.pool.run_until_stalled();
    assert_eq!(labour.turns().iter().map(Vec::len).collect::<Vec<_>>(), [60]);
}

#[test]
fn costly_reads_behind_a_write_need_nothing_but_time_to_be_answered() {
    let mut world = World::new(config());
    let mut connection = world.connect();
    // To count so many nodes is more than the peer does in one step.
    let paths = std::iter::once("/a".to_owned()).chain((0..10_001).map(|number| format!("/a/{number}")));
    world.send(&mut connection, 0, multi(paths.map(|path| creation(&path))));
    world.settle();
    assert_eq!(deliveries(&mut connection).len(), 1);
    connection.send(1, create("/b")).now_or_never().expect("there is room").unwrap();
    for tag in 2..12 {
        let read = Read::CountDescendants { path: "/a".into() };
        let request = Request::Read { read, level: ReadLevel::Session, watch: false };
        connection.send(tag, request).now_or_never().expect("there is room").unwrap();
    }
    world.pool.run_until_stalled();
    let mut answered = deliveries(&mut connection).len();
    assert_eq!(answered, 2, "the write, and what fits in one moment");
    while answered < 11 {
        world.clock.advance(Duration::from_micros(1));
        world.pool.run_until_stalled();
        let more = deliveries(&mut connection).len();
        assert_eq!(more, 1, "after {answered}");
        answered += more;
    }
}
