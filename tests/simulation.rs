//! Random worlds from a fixed list of seeds: safety under faults, then liveness after a majority is healed. Every failure
//! names its seed; `examples/soak.rs` runs it again with a trace.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use quorate::sim::{self, FaultKind, Swarm, World, WorldConfig};

fn survives(swarm: &Swarm, seeds: impl IntoIterator<Item = u64>) {
    let mut committed = 0;
    for seed in seeds {
        let report = swarm.run(seed);
        assert!(
            report.failure.is_none(),
            "seed {seed}, {:?}: {}",
            report.kinds,
            report.failure.map(|failure| failure.to_string()).unwrap_or_default()
        );
        committed += report.counters.committed;
    }
    assert!(committed > 0, "no world committed anything");
}

#[test]
fn worlds_with_bad_networks_stay_safe_and_come_back_to_life() {
    use FaultKind::{
        Disconnect, Duplication, ExpireSession, Hold, Loss, Partition, Reordering, Reset, SlowNetwork,
        StaleFrames,
    };
    let kinds = vec![
        Partition,
        Hold,
        Reset,
        Loss,
        Duplication,
        Reordering,
        StaleFrames,
        SlowNetwork,
        Disconnect,
        ExpireSession,
    ];
    let swarm = Swarm { kinds, span: Duration::from_secs(4), ..Swarm::default() };
    survives(&swarm, 1..6);
}

#[test]
fn worlds_with_crashes_and_power_cuts_stay_safe_and_come_back_to_life() {
    use FaultKind::{Bounce, Crash, FsyncError, IoError, Pause, PowerLoss, PowerLossOfAll, TornWrite};
    let kinds = vec![Bounce, Crash, FsyncError, IoError, Pause, PowerLoss, PowerLossOfAll, TornWrite];
    let swarm = Swarm { kinds, span: Duration::from_secs(4), ..Swarm::default() };
    survives(&swarm, 100..105);
}

/// A list of faults says nothing of what happens: each of them must have been done to some world.
#[test]
fn scn_66_the_worlds_meet_every_kind_of_fault_and_clients_read_write_and_watch_in_them() {
    let swarm = Swarm { span: Duration::from_secs(2), ..Swarm::default() };
    let (mut drawn, mut done, mut compared) = (Vec::new(), BTreeSet::new(), (0, 0));
    for seed in 1_000.. {
        let report = swarm.run(seed);
        assert!(report.failure.is_none(), "seed {seed}: {:?}", report.failure);
        done.extend(report.counters.faults.iter().filter(|(_, count)| **count > 0).map(|(name, _)| *name));
        drawn.extend(report.kinds);
        compared.0 += report.counters.oracle.reads + report.counters.oracle.writes;
        compared.1 += report.counters.oracle.events;
        if FaultKind::ALL.iter().all(|kind| drawn.contains(kind)) && compared.0 > 1_000 && compared.1 > 100 {
            break;
        }
        assert!(seed < 1_040, "only {done:?}, {compared:?}");
    }
    for name in
        ["partition", "hold", "crash", "power_loss", "pause", "fsync_error", "bit_flip", "expire_session"]
    {
        assert!(done.contains(name), "no world met `{name}`: {done:?}");
    }
}

#[test]
fn one_seed_makes_one_trace() {
    let swarm = Swarm { span: Duration::from_secs(2), ..Swarm::default() };
    let (first, second) = (swarm.run(5), swarm.run(5));
    assert_eq!(first.hash, second.hash);
    assert_eq!(first.counters, second.counters);
    assert_ne!(first.hash, swarm.run(6).hash);
}

async fn ten_writes(world: World) {
    let client = world.client();
    for number in 0..10 {
        client.create(format!("/node-{number}").as_str(), "").await.unwrap();
    }
}

#[test]
fn a_test_of_a_user_repeats_from_its_seed() {
    let config = WorldConfig::default();
    let hash = sim::same_twice(3, &config, ten_writes).unwrap();
    assert_ne!(hash, sim::same_twice(4, &config, ten_writes).unwrap());
}

#[test]
fn what_is_acknowledged_survives_a_power_cut_of_all_servers() {
    sim::check(0..5, async |world: World| {
        let client = world.client();
        client.create("/kept", "safe").await.unwrap();
        for server in world.servers() {
            server.power_loss();
        }
        world.sleep(Duration::from_secs(1)).await;
        for server in world.servers() {
            server.restart();
        }
        assert_eq!(client.get("/kept").await.unwrap().bytes(), "safe");
    });
}

#[test]
fn a_leader_that_is_cut_off_stops_serving_and_the_others_go_on() {
    sim::check(0..5, async |world: World| {
        let old = world.leader().await;
        old.isolate();
        let client = world.client();
        client.create("/goes-on", "").await.unwrap();
        world.sleep(Duration::from_secs(5)).await;
        let now = world.leader().await;
        assert_ne!(now.id(), old.id());
        assert!(!old.status().unwrap().serving);
    });
}

#[test]
fn a_server_whose_disk_was_replaced_is_brought_level() {
    sim::check(0..5, async |world: World| {
        let client = world.client();
        client.create("/before", "").await.unwrap();
        let leader = world.leader().await;
        let follower = world.servers().into_iter().find(|server| server.id() != leader.id()).unwrap();
        follower.wipe_disk();
        client.create("/meanwhile", "").await.unwrap();
        follower.restart();
        while follower.status().is_none_or(|status| !status.serving) {
            world.sleep(Duration::from_millis(100)).await;
        }
        let status = follower.status().unwrap();
        assert_eq!(status.znodes, leader.status().unwrap().znodes);
    });
}
