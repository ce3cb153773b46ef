//! The scenarios of recovery that real systems failed in (SCN-01 … SCN-25): what is on which disk when the power goes.

use std::time::Duration;

use crate::types::{LogEntry, LogOp, Zxid};
use crate::zab::{Body, Note, Promise, StandDown};

use super::net::{Net, entry, sid, zx};

fn log(entries: &[(u32, u32)]) -> Vec<LogEntry> {
    entries.iter().map(|(epoch, counter)| entry(*epoch, *counter)).collect()
}

fn rolled_back(net: &mut Net, number: u64) -> Vec<(Zxid, Zxid)> {
    let notes = net.server(number).notes.iter();
    notes
        .filter_map(|note| if let Note::RolledBack { from, to } = note { Some((*from, *to)) } else { None })
        .collect()
}

/// All servers of `on` hold and show the same, and still do after a power cut.
fn assert_level(net: &mut Net, on: &[u64]) {
    let truth = net.ghost.committed.clone();
    for number in on {
        assert_eq!(net.server(*number).applied, truth, "S{number} shows something else");
        assert_eq!(net.server(*number).disk.history(), truth, "S{number} holds something else");
    }
}

#[test]
fn scn_01_a_server_that_was_not_restarted_tells_of_its_log_not_of_its_tree() {
    let mut net = Net::new(3, 0, 1);
    net.form(1, &[2, 3]);
    net.commit(1, 2, &[1, 2, 3]);
    net.isolate(1);
    let alone = net.propose(1, 1)[0];
    net.until("the quorum is missed", |net| net.server(1).ended == [StandDown::QuorumLost]);
    assert_eq!(
        net.zab(1).candidate().map(|(_, tip)| tip),
        Some(alone),
        "it tells of what its tree does not show"
    );
    assert_eq!(net.zab(1).delivered(), zx(1, 2));
    net.form(2, &[3]);
    net.heal();
    net.follow(1, 2);
    net.until("the server is level", |net| net.zab(1).is_synced());
    assert_eq!(rolled_back(&mut net, 1), [(alone, zx(1, 2))]);
    net.commit(2, 1, &[1, 2, 3]);
    net.crash(1);
    net.start(1);
    assert!(!net.server(1).disk.history().iter().any(|(zxid, _)| *zxid == alone));
    assert_level(&mut net, &[2, 3]);
}

#[test]
fn scn_02_an_epoch_without_entries_outranks_an_entry_of_an_older_epoch() {
    let mut net = Net::new(3, 0, 2);
    net.form(2, &[1]);
    net.commit(2, 2, &[1, 2]);
    net.follow(3, 2);
    net.until("all hold 1.2", |net| net.zab(3).is_synced());
    for number in 1..=3 {
        net.stand_down(number);
    }
    net.until("all is durable", |net| (1..=3).all(|number| net.zab(number).is_settled()));
    net.form(2, &[1]);
    net.isolate(2);
    let lost = net.propose(2, 1)[0];
    net.run(Duration::from_millis(50));
    assert_eq!(lost, zx(2, 1));
    assert_eq!(net.server(2).disk.tip(), lost);
    net.crash(2);
    net.stand_down(1);
    net.run(Duration::from_millis(50));
    net.form(1, &[3]);
    net.crash(1);
    net.stand_down(3);
    net.heal();
    net.start(2);
    net.run(Duration::from_millis(50));
    assert!(net.zab(3).candidate() > net.zab(2).candidate(), "epoch 3 counts, though its log ends with 1.2");
    net.form(3, &[2]);
    assert_eq!(rolled_back(&mut net, 2), [(lost, zx(1, 2))]);
    net.commit(3, 1, &[2, 3]);
    assert_level(&mut net, &[2, 3]);
}

#[test]
fn scn_03_a_tip_within_the_leaders_range_but_not_in_its_history_is_cut_off() {
    for common in 0..5_u32 {
        for stray in 1..4_u32 {
            for newer in 0..4_u32 {
                let mut net = Net::new(3, 0, 3);
                let shared: Vec<_> = (1..=common).map(|counter| entry(7, counter)).collect();
                let ahead: Vec<_> = (1..=common + stray).map(|counter| entry(7, counter)).collect();
                net.give(1, 7, 7, &ahead);
                net.give(2, 7, 7, &shared);
                net.give(3, 7, 7, &shared);
                net.form(3, &[2]);
                if newer > 0 {
                    net.commit(3, newer as usize, &[2, 3]);
                }
                net.follow(1, 3);
                net.until("the server is level", |net| net.zab(1).is_synced());
                let kept = if common == 0 { Zxid::ZERO } else { zx(7, common) };
                assert_eq!(rolled_back(&mut net, 1), [(zx(7, common + stray), kept)]);
                net.commit(3, 1, &[1, 2, 3]);
                assert_level(&mut net, &[1, 2, 3]);
            }
        }
    }
}

/// Who holds what when a follower is brought level in each of the ways.
fn before_sync(mode: &str, seed: u64) -> Net {
    let mut net = Net::with(3, 0, seed, |config| config.chunk = 60);
    let (follower, leader) = match mode {
        "DIFF" => (log(&[(1, 1)]), log(&[(1, 1), (1, 2), (1, 3), (1, 4)])),
        "TRUNC" => (log(&[(1, 1), (1, 2), (1, 3)]), log(&[(1, 1)])),
        "TRUNC+DIFF" => (log(&[(1, 1), (1, 2), (1, 3)]), log(&[(1, 1), (2, 1), (2, 2), (3, 1)])),
        _ => (log(&[(1, 1)]), log(&[(1, 1), (1, 2), (1, 3), (1, 4)])),
    };
    let epoch = leader.last().unwrap().zxid.epoch().number().max(2);
    net.give(1, epoch, epoch, &leader);
    net.give(3, epoch, epoch, &leader);
    net.give(2, 1, 1, &follower);
    if mode == "SNAP" {
        // The leader has a snapshot and no log before it.
        net.form(1, &[3]);
        net.commit(1, 3, &[1, 3]);
        net.snapshot(1);
        net.commit(1, 2, &[1, 3]);
        net.snapshot(1);
        net.commit(1, 2, &[1, 3]);
        for number in [1, 3] {
            net.run(Duration::from_millis(50));
            net.crash(number);
            net.start(number);
        }
    }
    // Only S2 can help S1 now.
    net.crash(3);
    net
}

fn mode_of(net: &mut Net, leader: u64, learner: u64) -> Vec<&'static str> {
    let notes = net.server(leader).notes.iter();
    let mode = |note: &Note| match note {
        Note::LearnerSync { learner: server, mode, .. } if *server == sid(learner) => Some(*mode),
        _ => None,
    };
    notes.filter_map(mode).collect()
}

#[test]
fn scn_04_06_25_who_acknowledges_newleader_has_all_of_it_on_disk() {
    for mode in ["DIFF", "TRUNC", "TRUNC+DIFF", "SNAP"] {
        let mut net = before_sync(mode, 4);
        let history = net.server(1).disk.history();
        net.keep_trace = true;
        // A slow disk: whatever was acknowledged early would be missing.
        net.disk_delay = Duration::from_millis(80);
        net.lead(1);
        net.follow(2, 1);
        net.until("NEWLEADER is acknowledged", |net| {
            net.bodies(2, 1).iter().any(|body| matches!(body, Body::AckNewLeader { .. }))
        });
        assert_eq!(mode_of(&mut net, 1, 2), [mode.split('+').next().unwrap()]);
        let epoch = net.zab(1).epoch().unwrap();
        assert_eq!(
            (net.server(2).disk.current, net.server(2).disk.history()),
            (epoch, history.clone()),
            "{mode}"
        );
        // The leader and its only follower lose their power the moment the leader is established.
        net.until("the leader is established", |net| net.zab(1).is_established());
        net.crash_hard(1);
        net.crash_hard(2);
        net.start(2);
        net.start(3);
        assert!(net.zab(2).candidate() > net.zab(3).candidate());
        net.form(2, &[3]);
        assert_eq!(net.server(2).applied[..history.len()], history[..], "{mode}");
        assert_level(&mut net, &[2, 3]);
    }
}

#[test]
fn scn_05_07_14_15_a_power_cut_between_any_two_steps_of_a_synchronisation_loses_nothing() {
    for mode in ["DIFF", "TRUNC", "TRUNC+DIFF", "SNAP"] {
        let mut steps = 0;
        loop {
            let mut net = before_sync(mode, 5);
            let complete = net.server(1).disk.history();
            net.lead(1);
            net.follow(2, 1);
            let mut done = 0;
            let mut waiting = net.server(2).writes.len();
            while done < steps && !net.zab(2).is_synced() {
                net.step();
                // A step was carried out when there are fewer, or a new snapshot is there.
                let now = net.server(2).writes.len();
                done += waiting.saturating_sub(now);
                waiting = now;
            }
            let finished = net.zab(2).is_synced();
            net.crash_hard(2);
            let disk = net.server(2).disk.clone();
            for pair in disk.log.windows(2) {
                assert!(pair[1].zxid.follows(pair[0].zxid), "{mode}: a gap on disk");
            }
            if disk.current == net.zab(1).epoch().unwrap_or_default() {
                assert_eq!(disk.history(), complete, "{mode}: epoch before history");
            }
            net.crash_hard(1);
            // S2 and S3 are left: whoever of them knows more leads, and nothing committed is missing.
            net.start(2);
            net.start(3);
            let (best, other) = if net.zab(2).candidate() > net.zab(3).candidate() { (2, 3) } else { (3, 2) };
            net.form(best, &[other]);
            net.commit(best, 1, &[2, 3]);
            assert_level(&mut net, &[2, 3]);
            if finished {
                break;
            }
            steps += 1;
        }
        assert!(steps >= 2, "{mode}: there were steps to be cut between: {steps}");
    }
}

#[test]
fn scn_08_19_24_what_is_proposed_while_a_learner_joins_reaches_it_once() {
    for window in [1, 3, 50] {
        for seed in 0..20 {
            let mut net = Net::with(3, 1, seed, |config| config.window = window);
            net.disk_delay = Duration::from_micros(100 * seed);
            net.form(1, &[2]);
            net.commit(1, 20, &[1, 2]);
            net.follow(3, 1);
            net.observe(4, 1);
            net.until("the learners are level", |net| {
                if net.rng.below(4) == 0 {
                    net.propose(1, 1);
                }
                net.zab(3).is_synced() && net.zab(4).is_synced()
            });
            let last = net.commit(1, 1, &[1, 2, 3, 4]);
            assert!(last[0].counter() > 21, "something was proposed meanwhile");
            assert_level(&mut net, &[1, 2, 3, 4]);
            assert_eq!(net.server(3).notes, [], "no learner had to begin anew");
            assert_eq!(net.server(4).notes, [], "no learner had to begin anew");
        }
    }
}

#[test]
fn scn_10_a_learner_serves_only_what_includes_all_that_was_committed() {
    let mut net = Net::new(3, 0, 10);
    net.form(1, &[2]);
    net.commit(1, 30, &[1, 2]);
    net.disk_delay = Duration::from_millis(40);
    net.follow(3, 1);
    let committed = net.zab(1).committed();
    net.until("the server is level", |net| net.zab(3).is_synced());
    assert!(net.zab(3).delivered() >= committed);
}

#[test]
fn scn_11_writes_of_an_earlier_role_that_end_late_change_nothing() {
    let mut net = Net::new(3, 0, 11);
    net.form(1, &[2, 3]);
    net.commit(1, 2, &[1, 2, 3]);
    // S3's disk becomes slow; S1's proposals reach only S3.
    net.disk_delay = Duration::from_millis(300);
    net.cut.insert((sid(1), sid(2)));
    net.propose(1, 3);
    net.until("S3 has them in memory", |net| net.zab(3).tip() == zx(1, 5));
    assert!(!net.zab(3).is_settled());
    assert_eq!(net.zab(3).candidate(), None, "what is not durable is not told of");
    net.isolate(1);
    net.stand_down(2);
    net.stand_down(3);
    // S3 follows while its old writes are still on their way.
    net.keep_trace = true;
    net.lead(2);
    net.follow(3, 2);
    net.until("S3 promises", |net| net.bodies(3, 2).iter().any(|body| matches!(body, Body::AckEpoch(_))));
    assert_eq!(net.server(3).disk.tip(), zx(1, 5), "the old writes were durable before it spoke");
    net.until("one of them leads or gives up", |net| {
        net.zab(2).is_established() || !net.server(2).ended.is_empty()
    });
    assert_eq!(net.server(2).ended, [StandDown::LessRecent(sid(3))], "it said what it really has");
    net.stand_down(3);
    net.until("all is durable", |net| net.zab(2).is_settled() && net.zab(3).is_settled());
    net.form(3, &[2]);
    assert_level(&mut net, &[2, 3]);
    net.stand_down(1);
    net.heal();
    net.follow(1, 3);
    net.until("S1 is level", |net| net.zab(1).is_synced());
    net.commit(3, 1, &[1, 2, 3]);
    assert_level(&mut net, &[1, 2, 3]);
}

#[test]
fn scn_13_newleader_comes_behind_the_whole_snapshot_and_all_entries() {
    let mut net = before_sync("SNAP", 13);
    net.keep_trace = true;
    net.form(1, &[2]);
    let bodies = net.bodies(1, 2);
    let at = |is: &dyn Fn(&Body) -> bool| bodies.iter().position(|body| is(body)).unwrap();
    let last_piece = at(&|body| matches!(body, Body::Chunk(chunk) if chunk.last));
    let new_leader = at(&|body| matches!(body, Body::NewLeader { .. }));
    let sync = at(&|body| matches!(body, Body::Sync(_)));
    let first_entries = at(&|body| matches!(body, Body::Propose { .. }));
    assert!(sync < last_piece && last_piece < first_entries && first_entries < new_leader);
    assert_eq!(bodies.iter().filter(|body| matches!(body, Body::NewLeader { .. })).count(), 1);
    assert!(bodies.iter().filter(|body| matches!(body, Body::Chunk(_))).count() > 1, "it came in pieces");
}

#[test]
fn scn_14_a_server_that_crashed_within_a_snapshot_is_what_it_was() {
    let mut net = before_sync("SNAP", 14);
    net.keep_trace = true;
    net.lead(1);
    net.follow(2, 1);
    net.until("a first piece is stored", |net| {
        net.bodies(2, 1).iter().any(|body| matches!(body, Body::ChunkSaved { .. }))
    });
    net.crash(2);
    let disk = net.server(2).disk.clone();
    assert_eq!((disk.tip(), disk.snapshots.len()), (zx(1, 1), 0));
    net.start(2);
    net.stand_down(1);
    net.start(3);
    net.run(Duration::from_millis(50));
    // Another leader, which has the log, brings it level by it.
    net.form(3, &[2]);
    assert_eq!(mode_of(&mut net, 3, 2), ["DIFF"]);
    assert_level(&mut net, &[2, 3]);
}

#[test]
fn scn_18_a_promise_is_durable_before_it_is_told() {
    let mut net = Net::new(3, 0, 18);
    net.disk_delay = Duration::from_millis(50);
    net.keep_trace = true;
    net.lead(1);
    net.follow(2, 1);
    net.until("the epoch is told", |net| {
        net.bodies(1, 2).iter().any(|body| matches!(body, Body::LeaderInfo { .. }))
    });
    let epoch = net.zab(1).epoch().unwrap();
    assert_eq!(net.server(1).disk.accepted, epoch);
    net.until("it is promised", |net| net.bodies(2, 1).iter().any(|body| matches!(body, Body::AckEpoch(_))));
    let epoch = net.zab(1).epoch().unwrap();
    assert_eq!(net.server(2).disk.accepted, epoch);
    // Power cuts do not make the epoch be used twice.
    let used = net.zab(1).epoch().unwrap();
    net.crash_hard(1);
    net.stand_down(2);
    net.form(2, &[3]);
    assert!(net.zab(2).epoch().unwrap() > used);
}

#[test]
fn scn_20_a_new_leader_begins_with_its_own_log_committed_and_delivered() {
    let mut net = Net::new(5, 0, 20);
    let all = log(&[(1, 1), (1, 2), (1, 3)]);
    net.give(1, 1, 1, &all);
    net.give(2, 1, 1, &all[..1]);
    assert_eq!(net.zab(1).delivered(), Zxid::ZERO, "what is only logged may still be undone");
    net.form(1, &[2, 3]);
    assert_eq!(net.ghost.committed.len(), 3);
    assert_level(&mut net, &[1, 2, 3]);
    net.follow(5, 1);
    net.until("a new server is level", |net| net.zab(5).is_synced());
    assert_level(&mut net, &[5]);
}

#[test]
fn scn_33_a_spent_counter_brings_a_new_epoch_and_loses_nothing() {
    let mut net = Net::with(3, 0, 33, |config| config.last_counter = 5);
    net.form(1, &[2, 3]);
    let first = net.propose(1, 5);
    assert_eq!(net.zab(1).next_zxid(), None);
    assert!(net.zab(1).propose(bytes::Bytes::new()).is_err());
    net.until("the leader stands down", |net| net.server(1).ended == [StandDown::CounterSpent]);
    assert_eq!(net.zab(1).delivered(), first[4], "all was committed before");
    net.until("so do its followers, at once", |net| {
        [2, 3].iter().all(|number| net.server(*number).ended == [StandDown::LeaderGone])
    });
    net.form(1, &[2, 3]);
    assert_eq!(net.commit(1, 1, &[1, 2, 3]), [zx(2, 1)]);
    assert_level(&mut net, &[1, 2, 3]);
}

#[test]
fn scn_33_the_last_counters_of_all_do_not_run_over() {
    let mut net = Net::new(3, 0, 34);
    let near = |counter: u32| entry(9, counter);
    // A log that begins far up in its epoch, behind a snapshot there.
    let snapshot = zx(9, u32::MAX - 3);
    for number in 1..=3 {
        net.crash(number);
        let disk = &mut net.server(number).disk;
        disk.accepted = crate::Epoch::new(9);
        disk.current = crate::Epoch::new(9);
        disk.log_start = snapshot;
        let before = vec![(snapshot, bytes::Bytes::from_static(b"all before"))];
        disk.snapshots.insert(snapshot, crate::codec::encode(&before).unwrap());
        disk.apply(LogOp::Append((0..3).map(|step| near(u32::MAX - 2 + step)).collect()));
        for entry in net.server(number).disk.log.clone() {
            net.ghost_proposed(&entry);
        }
        net.ghost.committed = before;
        net.start(number);
    }
    net.form(1, &[2, 3]);
    assert_eq!(net.zab(1).delivered(), zx(9, u32::MAX));
    assert_eq!(net.commit(1, 1, &[1, 2, 3]), [zx(10, 1)]);
}

#[test]
fn scn_33_without_an_epoch_left_nobody_leads() {
    let mut net = Net::new(1, 0, 35);
    net.give(1, u32::MAX, 7, &[]);
    net.lead(1);
    net.until("it gives up", |net| net.server(1).ended == [StandDown::EpochsSpent]);
}

#[test]
fn scn_34_a_leader_that_hears_one_follower_only_stands_down() {
    let mut net = Net::new(5, 0, 34);
    net.form(1, &[2, 3, 4, 5]);
    for number in [3, 4, 5] {
        net.cut.insert((sid(number), sid(1)));
    }
    let cut = net.now;
    net.until("the leader stands down", |net| net.server(1).ended == [StandDown::QuorumLost]);
    let limit = net.server(1).config.sync_timeout + 2 * net.server(1).config.heartbeat;
    assert!(net.now.since(cut) <= limit);
}

#[test]
fn returning_leader_rolls_back() {
    let mut net = Net::new(3, 0, 36);
    net.form(2, &[1, 3]);
    net.commit(2, 3, &[1, 2, 3]);
    net.isolate(2);
    let lost = net.propose(2, 1)[0];
    net.run(Duration::from_millis(20));
    assert_eq!(net.server(2).disk.tip(), lost);
    net.crash(2);
    net.heal();
    net.stand_down(1);
    net.stand_down(3);
    net.run(Duration::from_millis(20));
    net.form(3, &[1]);
    net.commit(3, 2, &[1, 3]);
    net.start(2);
    net.follow(2, 3);
    net.until("it is level", |net| net.zab(2).is_synced());
    assert_eq!(rolled_back(&mut net, 2), [(lost, zx(1, 3))]);
    assert_eq!(net.zab(2).tip(), zx(2, 2));
    assert_level(&mut net, &[1, 2, 3]);
    assert!(net.ghost.committed.iter().all(|(zxid, _)| *zxid != lost), "it is visible nowhere");
}

#[test]
fn two_bids_for_one_epoch_do_not_share_a_promise() {
    let mut net = Net::new(5, 0, 37);
    // S5 chooses epoch 1 with S3 and S4, but S3 turns to S1 before it is told.
    net.lead(5);
    net.follow(4, 5);
    net.follow(3, 5);
    net.until("S5 chooses its epoch", |net| net.zab(5).epoch().is_some());
    net.keep_trace = true;
    net.lead(1);
    net.follow(2, 1);
    net.follow(3, 1);
    net.until("S3 promises", |net| net.bodies(3, 1).iter().any(|body| matches!(body, Body::AckEpoch(_))));
    assert_eq!(net.zab(1).epoch(), net.zab(5).epoch());
    net.follow(3, 5);
    net.until("S5 gives up", |net| net.server(5).ended == [StandDown::NoQuorum]);
    let standing = net
        .bodies(3, 5)
        .into_iter()
        .any(|body| matches!(body, Body::AckEpoch(ack) if ack.promise == Promise::Standing));
    assert!(standing, "S3 said what it had promised");
}
