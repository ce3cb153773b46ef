//! Random worlds from a fixed list of seeds: safety under faults, then liveness after a majority is healed. Every failure
//! names its seed; `examples/soak.rs` runs it again with a trace.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use quorate::sim::{self, FaultKind, Mode, Shape, Swarm, World, WorldConfig};

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
    let demanded = [
        "partition",
        "partition_oneway",
        "hold",
        "release",
        "repair",
        "reset",
        "link",
        "crash",
        "restart",
        "bounce",
        "pause",
        "resume",
        "power_loss",
        "clock_jump",
        "clock_rate",
        "wall_jump",
        "disk_full",
        "io_error",
        "fsync_error",
        "torn_write",
        "bit_flip",
        "wipe_disk",
        "swap_disks",
        "disconnect",
        "expire_session",
        "reconnect",
    ];
    let swarm = Swarm { span: Duration::from_secs(2), ..Swarm::default() };
    let (mut drawn, mut done, mut compared) = (Vec::new(), BTreeSet::new(), (0, 0));
    let (mut lost, mut doubled, mut overtaken) = (false, false, false);
    for seed in 1_000.. {
        let report = swarm.run(seed);
        assert!(report.failure.is_none(), "seed {seed}: {:?}", report.failure);
        done.extend(report.counters.faults.iter().filter(|(_, count)| **count > 0).map(|(name, _)| *name));
        drawn.extend(report.kinds);
        let network = report.counters.network;
        lost |= network.dropped > 0;
        doubled |= network.duplicated > 0;
        overtaken |= network.reordered > 0;
        compared.0 += report.counters.oracle.reads + report.counters.oracle.writes;
        compared.1 += report.counters.oracle.events;
        let all_drawn = FaultKind::ALL.iter().all(|kind| drawn.contains(kind));
        let all_done = demanded.iter().all(|name| done.contains(name));
        if all_drawn && all_done && lost && doubled && overtaken && compared.0 > 1_000 && compared.1 > 100 {
            break;
        }
        assert!(seed < 1_040, "only {done:?}, {compared:?}");
    }
}

#[test]
fn a_core_lives_and_comes_to_rest_whatever_is_broken_around_it_for_good() {
    let swarm = Swarm { span: Duration::from_secs(2), ..Swarm::new(Mode::Liveness) };
    let mut shapes = Vec::new();
    for seed in 1..5 {
        let report = swarm.run(seed);
        let left = report.aftermath.expect("a state that the world is left in");
        assert_eq!(report.failure, None, "seed {seed}, {left:?}");
        shapes.push(left.shape);
    }
    assert!(shapes.contains(&Shape::Clique));
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

fn five_servers() -> WorldConfig {
    WorldConfig { voters: 5, ..WorldConfig::default() }
}

/// Cuts every link between servers but those that `kept` says.
fn keep_links(world: &World, kept: impl Fn(&sim::Server, &sim::Server) -> bool) {
    let servers = world.servers();
    for (index, a) in servers.iter().enumerate() {
        for b in servers.iter().skip(index + 1) {
            if !kept(a, b) {
                a.partition(b);
            }
        }
    }
}

/// SCN-34: only the hub has a quorum, and the old leader still reaches the hub. It must give way.
#[test]
fn scn_34_a_leader_that_only_reaches_the_hub_gives_way_to_it() {
    sim::check_with(0..2, &five_servers(), async |world: World| {
        let old = world.leader().await;
        world.client().create("/before", "").await.unwrap();
        let hub = world.servers().into_iter().find(|server| server.id() != old.id()).unwrap();
        keep_links(&world, |a, b| a.id() == hub.id() || b.id() == hub.id());
        world.sleep(Duration::from_secs(10)).await;
        assert_eq!(world.leader().await.id(), hub.id());
        world.client().create("/after", "").await.unwrap();
    });
}

/// SCN-36: servers on a line, each of which sees its neighbours only, do not take leadership from each other for ever.
#[test]
fn scn_36_servers_on_a_line_settle_on_one_leader() {
    sim::check_with(0..2, &five_servers(), async |world: World| {
        world.leader().await;
        keep_links(&world, |a, b| a.id().number().abs_diff(b.id().number()) == 1);
        world.sleep(Duration::from_secs(15)).await;
        let settled = world.leader().await.status().unwrap();
        world.client().create("/on-a-line", "").await.unwrap();
        world.sleep(Duration::from_secs(30)).await;
        let still = world.leader().await.status().unwrap();
        assert_eq!((still.server, still.epoch), (settled.server, settled.epoch));
    });
}

/// SCN-37: a server that is heard and does not hear looks for a leader for ever; the others keep theirs.
#[test]
fn scn_37_a_server_that_hears_nobody_disturbs_nobody() {
    sim::check_with(0..2, &WorldConfig::default(), async |world: World| {
        let leader = world.leader().await;
        let before = leader.status().unwrap();
        let deaf = world.servers().into_iter().find(|server| server.id() != leader.id()).unwrap();
        for other in world.servers() {
            if other.id() != deaf.id() {
                world.apply(sim::Fault::PartitionOneway(other.id(), deaf.id()));
            }
        }
        world.sleep(Duration::from_secs(30)).await;
        let after = world.leader().await.status().unwrap();
        assert_eq!((after.server, after.epoch), (before.server, before.epoch));
        assert!(!deaf.status().unwrap().serving);
    });
}
