//! Whoever is told to lead, and whatever crashes or is lost: the histories stay one.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::zab::{Note, Role, StandDown};

use super::net::{Faults, Net, sid};

/// One run: `rounds` of trouble, then all is healed and must come to work.
fn run(seed: u64, seen: &mut BTreeSet<&'static str>) {
    let voters = [3, 3, 5, 1, 4][seed as usize % 5];
    let observers = seed % 2;
    let all = voters + observers;
    let mut net = Net::with(voters, observers, seed, |config| {
        config.window = 1 + (seed % 7) as usize;
        config.chunk = 40 + (seed % 200) as usize;
        config.last_counter = if seed.is_multiple_of(3) { 7 } else { u32::MAX };
    });
    net.disk_delay = Duration::from_micros([50, 1_000, 20_000][seed as usize % 3]);
    for _ in 0..100 {
        let number = 1 + net.rng.below(all);
        match net.rng.below(20) {
            0 | 1 if net.is_up(number) => net.crash(number),
            0..=3 if !net.is_up(number) => net.start(number),
            4 => {
                let lose = [0, 0, 20, 200][net.rng.below(4) as usize];
                let jitter = [0, 0, 3_000, 300_000][net.rng.below(4) as usize];
                net.faults = Faults { lose, double: lose, jitter };
            }
            5 => net.isolate(number),
            6 => {
                let other = 1 + net.rng.below(all);
                net.cut.insert((sid(number), sid(other)));
            }
            7 | 8 => net.heal(),
            9..=12 if net.is_up(number) => net.snapshot(number),
            13 => {
                // A leader that proposes more than it can tell anybody.
                let leader =
                    (1..=voters).find(|number| net.is_up(*number) && net.zab(*number).next_zxid().is_some());
                if let Some(leader) = leader {
                    net.isolate(leader);
                    net.propose(leader, 1);
                    net.run(Duration::from_millis(100));
                    net.crash(leader);
                    net.heal();
                }
            }
            14 if net.is_up(number) => net.stand_down(number),
            15 if net.is_up(number) && seed.is_multiple_of(4) && number > 1 && voters > 1 => {
                net.want_snapshot(number);
            }
            16 if net.is_up(number) => {
                // A hint that may be wrong.
                let (now, other) = (net.now, sid(1 + net.rng.below(all)));
                net.zab(number).handle_peer_gone(now, other);
                net.drain(number);
            }
            _ => {}
        }
        assign(&mut net, all, voters, false);
        let span = [1, 5, 20, 50, 100, 400][net.rng.below(6) as usize];
        for _ in 0..4 {
            for leader in 1..=voters {
                if net.is_up(leader) && net.zab(leader).next_zxid().is_some() {
                    let room = 1 + net.rng.below(5) as usize;
                    for _ in 0..room {
                        if net.zab(leader).next_zxid().is_some() {
                            net.propose(leader, 1);
                        }
                    }
                }
            }
            net.run(Duration::from_millis(span));
        }
    }
    net.heal();
    net.faults = Faults::default();
    for number in 1..=all {
        if !net.is_up(number) {
            net.start(number);
        }
    }
    let end = net.now + Duration::from_secs(120);
    loop {
        assert!(net.now < end, "seed {seed}: no progress after all was healed\n{}", net.describe());
        assign(&mut net, all, voters, true);
        net.run(Duration::from_millis(50));
        // Snapshots that were asked for are taken, as an owner does.
        for number in 1..=all {
            if net.is_up(number)
                && let Some(wanted) = net.server(number).snapshots_wanted.pop()
            {
                assert!(net.zab(number).delivered() >= wanted);
                net.snapshot(number);
            }
        }
        let Some(leader) = (1..=voters).find(|number| net.zab(*number).next_zxid().is_some()) else {
            continue;
        };
        if (1..=all).all(|number| number == leader || net.zab(number).is_synced()) {
            let last = net.propose(leader, 1)[0];
            net.run(Duration::from_millis(500));
            if (1..=all).all(|number| net.zab(number).delivered() >= last) {
                break;
            }
        }
    }
    for server in net.servers.values() {
        for note in &server.notes {
            match note {
                Note::LearnerSync { mode, .. } => seen.insert(*mode),
                Note::LinkReset { why, .. } => seen.insert(*why),
                Note::RolledBack { .. } => seen.insert("rolled back"),
                Note::Misbehaved { what, .. } => {
                    panic!("seed {seed}: {server:?} was accused: {what}", server = server.config.server)
                }
            };
        }
        for ended in &server.ended {
            seen.insert(match ended {
                StandDown::NoQuorum => "no quorum",
                StandDown::QuorumLost => "quorum lost",
                StandDown::LessRecent(_) => "less recent",
                StandDown::CounterSpent => "counter spent",
                StandDown::LeaderSilent => "leader silent",
                StandDown::LeaderGone => "leader gone",
                StandDown::LeaderVanished => "leader vanished",
                other => panic!("seed {seed}: {other:?}"),
            });
        }
    }
    let truth = net.ghost.committed.clone();
    for number in 1..=all {
        assert_eq!(net.server(number).applied, truth, "seed {seed}: S{number}");
    }
}

/// Plays the election: anybody who is idle is told something. When `wise`, the best candidate leads and the
/// others follow it; otherwise anybody may be told to lead.
fn assign(net: &mut Net, all: u64, voters: u64, wise: bool) {
    let leading: Vec<_> =
        (1..=voters).filter(|number| net.is_up(*number) && net.zab(*number).role() == Role::Leader).collect();
    let best = (1..=voters)
        .filter_map(|number| {
            let zab = net.servers[&sid(number)].zab.as_ref()?;
            zab.candidate().map(|candidate| (candidate, number))
        })
        .max();
    for number in 1..=all {
        if !net.is_up(number) || net.zab(number).role() != Role::Idle || !net.zab(number).is_settled() {
            continue;
        }
        let chosen = if wise {
            let established = leading.iter().find(|leader| net.zab(**leader).is_established());
            established.copied().or(best.map(|(_, number)| number))
        } else {
            match net.rng.below(6) {
                0 => Some(1 + net.rng.below(voters)),
                1 | 2 => best.map(|(_, number)| number),
                _ => leading.last().copied().or(best.map(|(_, number)| number)),
            }
        };
        let Some(chosen) = chosen else { continue };
        if number > voters {
            net.observe(number, chosen);
        } else if number == chosen {
            net.lead(number);
        } else {
            net.follow(number, chosen);
        }
    }
}

/// Sixty seeds, or as many as `QUORATE_SEEDS` says.
#[test]
fn histories_stay_one_whatever_happens_and_the_healed_quorum_works() {
    let seeds = std::env::var("QUORATE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60);
    let mut seen = BTreeSet::new();
    for seed in 0..seeds {
        run(seed, &mut seen);
    }
    let expected = [
        "DIFF",
        "TRUNC",
        "SNAP",
        "rolled back",
        "no quorum",
        "quorum lost",
        "less recent",
        "counter spent",
        "leader silent",
        "leader gone",
        "a message of the leader is missing",
        "a message of the learner is missing",
        "the learner does not acknowledge",
        "the test wants a snapshot",
    ];
    for what in expected {
        assert!(seen.contains(what), "no seed has met: {what}; all were {seen:?}");
    }
}
