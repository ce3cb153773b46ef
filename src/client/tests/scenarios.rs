//! What went wrong elsewhere, seen from a client of a whole ensemble.

use std::future::{Future as _, IntoFuture as _};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use futures::task::LocalSpawnExt as _;

use super::super::{Client, ClientOptions, SessionState, WatchItem};
use super::ensemble::World;

use crate::node::{Clock as _, Connector, NodeStopped};
use crate::types::{WatchEventKind, Zxid};

#[test]
fn scn_46_a_leader_whose_disk_fails_stops_at_once_and_another_takes_over() {
    let mut world = World::new(3);
    let leader = world.leader();
    let client = world.client((leader + 1) % 3, 16);
    let writer = client.clone();
    world.run(async move { writer.create("/n", "0").await }).unwrap();
    world.stores[leader].broken.store(true, Ordering::Relaxed);
    let (writer, clock) = (client.clone(), world.clock.clone());
    let took = world.run(async move {
        let since = clock.now().time;
        writer.set("/n", "1").await.unwrap();
        clock.now().time.since(since)
    });
    // It does not go on as a leader that can commit nothing: its process has ended, with the cause.
    let node = world.places[leader].node().unwrap();
    assert_eq!(world.run(async move { node.status().await.map(drop) }), Err(NodeStopped));
    assert_ne!(world.leader(), leader);
    assert!(took < Duration::from_secs(3), "{took:?}");
    // With room on the disk it starts again.
    world.stores[leader].broken.store(false, Ordering::Relaxed);
    world.start(leader);
    let reader = world.client(leader, 16);
    let value = world.run(async move { reader.get("/n").linearizable().await });
    assert_eq!(value.unwrap().text(), Ok("1"));
}

#[test]
fn scn_57_a_megabyte_of_watches_moves_to_another_server() {
    let mut world = World::new(3);
    let leader = world.leader();
    let client = world.client((leader + 1) % 3, 256);
    let parent = format!("/{}", "w".repeat(500));
    let (watcher, below) = (client.clone(), parent.clone());
    let watches = world.run(async move {
        watcher.create(below.as_str(), "").await.unwrap();
        let watch = |number| watcher.exists(format!("{below}/{}-{number}", "x".repeat(500))).watch();
        try_join_all((0..1_500).map(watch)).await.unwrap()
    });
    let mut states = client.states();
    world.crash((leader + 1) % 3);
    let writer = world.client(leader, 256);
    let told = world.run(async move {
        while states.next().await != Some(SessionState::Connected) {}
        for number in 0..1_500 {
            let path = format!("{parent}/{}-{number}", "x".repeat(500));
            writer.create(path, "").await.unwrap();
        }
        let told = join_all(watches.into_iter().map(|watched| watched.watch)).await;
        // It was not thrown out again and again for what it asked.
        assert!(futures::poll!(Box::pin(states.next())).is_pending());
        told
    });
    assert!(told.iter().all(|event| event.as_ref().unwrap().kind == WatchEventKind::Created));
}

#[test]
fn a_window_wider_than_the_servers_limit_is_kept_within_it() {
    let mut world = World::new(3);
    let client = world.client(0, 5_000);
    let writer = client.clone();
    let mut states = client.states();
    world.run(async move {
        writer.create("/n", "").await.unwrap();
        while states.next().await != Some(SessionState::Connected) {}
        let stats = try_join_all((0..3_000).map(|_| writer.set("/n", "x").into_future())).await.unwrap();
        assert!((1..).zip(stats).all(|(version, stat)| stat.version == version));
        // More lasting watches than a server takes requests at a time, too.
        let watches = (0..1_500).map(|number| writer.watch(format!("/w{number}")).into_future());
        let watches = try_join_all(watches).await.unwrap();
        assert!(futures::poll!(Box::pin(states.next())).is_pending(), "it was closed as overloaded");
        drop(watches);
    });
}

#[test]
fn scn_63_a_watch_never_goes_back_and_never_loses_a_change_in_silence() {
    let mut world = World::new(3);
    let leader = world.leader();
    let (watcher, writer) = (world.client((leader + 1) % 3, 16), world.client(leader, 16));
    let (first, made) = (watcher.clone(), writer.clone());
    let mut stream = world.run(async move {
        made.create("/w", "").await.unwrap();
        first.watch("/w").recursive().await.unwrap()
    });
    let mut expected = Vec::new();
    for round in 0..60 {
        // Its server goes, and comes back without a part of the history; then the next one.
        let server = (leader + 1 + round / 20) % 3;
        match round % 20 {
            5 => world.crash(server),
            15 => world.start(server),
            _ => {}
        }
        let writer = writer.clone();
        expected.push(world.run(async move { writer.set("/w", "x").await }).unwrap().mzxid);
    }
    let count = expected.len();
    let told = world.run(async move {
        let mut told = Vec::new();
        while told.len() < count {
            match stream.next().await {
                Some(WatchItem::Event(event)) => told.push(event.zxid),
                other => panic!("{other:?}"),
            }
        }
        told
    });
    assert_eq!(told, expected, "each once, in order, none from before");

    // From a position that is yet to come nothing older is told.
    let newest = *expected.last().unwrap();
    let future = Zxid::new(newest.epoch(), newest.counter() + 3);
    let after = world.run(async move {
        let mut ahead = watcher.watch("/w").from(future).await.unwrap();
        let mut zxid = Zxid::ZERO;
        while zxid <= future {
            zxid = writer.set("/w", "y").await.unwrap().mzxid;
        }
        match ahead.next().await {
            Some(WatchItem::Event(event)) => (event.zxid, future),
            other => panic!("{other:?}"),
        }
    });
    assert!(after.0 > after.1, "{after:?}");
}

#[test]
fn scn_65_who_wrongly_believes_to_hold_a_lock_is_told_by_the_fencing_token() {
    /// What the lock protects, somewhere else: it takes no order from before the newest that it has seen.
    #[derive(Default)]
    struct Resource(Zxid);
    impl Resource {
        fn take(&mut self, token: Zxid) -> bool {
            let newest = token >= self.0;
            self.0 = self.0.max(token);
            newest
        }
    }
    let mut world = World::new(3);
    world.leader();
    let mut resource = Resource::default();
    let clock = world.clock.clone();
    let places = world.places.iter().map(|place| Arc::new(place.clone()) as Arc<dyn Connector>);
    let (first, driver) = Client::new(places, Arc::new(clock), ClientOptions::new([1; 32])).unwrap();
    // It stands still as a whole, as in a long pause for its memory to be tidied up.
    let paused = Arc::new(Mutex::new(false));
    let pause = Arc::clone(&paused);
    let mut driver = Box::pin(driver);
    let driver = std::future::poll_fn(move |context| {
        if *pause.lock().unwrap() { Poll::Pending } else { driver.as_mut().poll(context) }
    });
    world.spawner.spawn_local(driver).unwrap();
    let owner = first.clone();
    let lock = world.run(async move { owner.create("/lock", "first").ephemeral().await }).unwrap();
    assert!(resource.take(lock.stat.czxid));
    *paused.lock().unwrap() = true;

    let second = world.client(1, 16);
    let taken = world.run(async move {
        loop {
            match second.exists("/lock").watch().await?.watch.await {
                Ok(_) => match second.create("/lock", "second").ephemeral().if_absent().await? {
                    Some(lock) => return Ok(lock),
                    None => continue,
                },
                Err(error) => return Err(error),
            }
        }
    });
    let taken = taken.unwrap();
    // Two believe to hold it: nobody could tell the first, which goes on where it stood.
    assert_eq!(first.state(), SessionState::Connected);
    assert!(taken.stat.czxid > lock.stat.czxid);
    assert!(resource.take(taken.stat.czxid));
    assert!(!resource.take(lock.stat.czxid), "the late order of the first is refused");
    assert!(resource.take(taken.stat.czxid));
}
