//! Each way to bring a learner level, and who counts while it is brought level.

use std::time::Duration;

use crate::types::{LogOp, Zxid};
use crate::zab::{Body, Note, Promise, SyncMode};

use super::disk::Disk;
use super::net::{Faults, Net, entry, sid, zx};

fn modes(net: &mut Net, leader: u64, learner: u64) -> Vec<(&'static str, Zxid)> {
    let notes = net.server(leader).notes.iter();
    let mode = |note: &Note| match note {
        Note::LearnerSync { learner: server, mode, from } if *server == sid(learner) => Some((*mode, *from)),
        _ => None,
    };
    notes.filter_map(mode).collect()
}

fn assert_shows_all(net: &mut Net, number: u64) {
    let truth = net.ghost.committed.clone();
    assert_eq!(net.server(number).applied, truth, "S{number}");
}

#[test]
fn an_equal_learner_gets_an_empty_diff() {
    let mut net = Net::new(3, 0, 1);
    for number in 1..=3 {
        net.give(number, 4, 4, &[entry(4, 1), entry(4, 2)]);
    }
    net.keep_trace = true;
    net.form(3, &[1, 2]);
    assert_eq!(modes(&mut net, 3, 1), [("DIFF", zx(4, 2))]);
    assert!(!net.bodies(3, 1).iter().any(|body| matches!(body, Body::Propose { .. })));
}

#[test]
fn a_learner_behind_gets_what_it_lacks_from_memory_or_from_the_log() {
    for window in [2, 100] {
        let mut net = Net::with(3, 0, 2, |config| config.window = window);
        net.form(1, &[2, 3]);
        net.commit(1, 2, &[1, 2, 3]);
        net.crash(3);
        net.commit(1, 40, &[1, 2]);
        net.start(3);
        net.follow(3, 1);
        net.until("it is level", |net| net.zab(3).is_synced());
        assert_eq!(modes(&mut net, 1, 3), [("DIFF", Zxid::ZERO), ("DIFF", zx(1, 2))]);
        assert_shows_all(&mut net, 3);
    }
}

#[test]
fn a_learner_ahead_is_cut_back_and_gets_the_rest() {
    let mut net = Net::new(3, 0, 3);
    net.give(1, 5, 1, &[entry(1, 1), entry(1, 2), entry(1, 3)]);
    net.give(2, 5, 5, &[entry(1, 1), entry(4, 1), entry(5, 1)]);
    net.give(3, 5, 5, &[entry(1, 1), entry(4, 1)]);
    net.form(2, &[1, 3]);
    assert_eq!(modes(&mut net, 2, 1), [("TRUNC", zx(1, 1))]);
    assert_eq!(modes(&mut net, 2, 3), [("DIFF", zx(4, 1))]);
    for number in 1..=3 {
        assert_eq!(net.server(number).applied.len(), 3);
    }
}

#[test]
fn a_learner_far_behind_gets_a_snapshot_in_pieces_and_then_entries() {
    let mut net = Net::with(3, 1, 4, |config| config.window = 2);
    net.form(1, &[2]);
    for _ in 0..3 {
        net.commit(1, 30, &[1, 2]);
        net.snapshot(1);
    }
    net.commit(1, 10, &[1, 2]);
    assert!(net.server(1).disk.log_start > Zxid::ZERO, "the log was purged");
    net.keep_trace = true;
    net.follow(3, 1);
    net.observe(4, 1);
    net.until("they are level", |net| net.zab(3).is_synced() && net.zab(4).is_synced());
    for number in [3, 4] {
        assert_eq!(modes(&mut net, 1, number), [("SNAP", zx(1, 90))]);
        assert_shows_all(&mut net, number);
        let pieces = net.bodies(1, number).iter().filter(|body| matches!(body, Body::Chunk(_))).count();
        assert!(pieces > 5);
        // What it got is durable, and stays when it starts again.
        net.crash_hard(number);
        net.start(number);
        assert_eq!(net.zab(number).tip(), zx(1, 100));
    }
}

#[test]
fn heartbeats_and_proposals_go_on_while_a_snapshot_is_sent() {
    let mut net = Net::with(3, 0, 5, |config| {
        config.window = 2;
        config.chunk = 16;
    });
    net.form(1, &[2]);
    net.commit(1, 300, &[1, 2]);
    net.snapshot(1);
    net.commit(1, 300, &[1, 2]);
    net.snapshot(1);
    net.follow(3, 1);
    let mut most = Duration::ZERO;
    let mut before = net.now;
    net.until("it is level", |net| {
        if net.now.since(before) > Duration::from_millis(10) {
            let start = net.now;
            net.commit(1, 1, &[1, 2]);
            most = most.max(net.now.since(start));
            before = net.now;
            net.snapshot(1);
        }
        net.zab(3).is_synced()
    });
    assert_eq!(modes(&mut net, 1, 3).len(), 1, "snapshots that are taken meanwhile do not disturb it");
    assert!(most < Duration::from_millis(20), "commits took up to {most:?}");
    assert_eq!(net.server(1).ended, []);
}

#[test]
fn a_snapshot_that_does_not_restore_is_tried_again() {
    let mut net = Net::with(3, 0, 6, |config| config.window = 2);
    net.form(1, &[2]);
    for _ in 0..2 {
        net.commit(1, 30, &[1, 2]);
        net.snapshot(1);
    }
    net.keep_trace = true;
    net.follow(3, 1);
    net.until("a piece is on its way to the disk", |net| {
        net.bodies(1, 3).iter().any(|body| matches!(body, Body::Chunk(_))) && !net.zab(3).is_settled()
    });
    let now = net.now;
    net.until("it is being saved", |net| !net.zab(3).is_settled());
    net.zab(3).handle_snapshot_refused(now);
    net.drain(3);
    net.until("it is level", |net| net.zab(3).is_synced());
    assert_shows_all(&mut net, 3);
    assert_eq!(modes(&mut net, 1, 3).len(), 2);
}

#[test]
fn a_learner_that_cannot_use_the_log_gets_the_whole_state_when_there_is_one() {
    let mut net = Net::new(3, 0, 7);
    net.form(1, &[2, 3]);
    net.commit(1, 5, &[1, 2, 3]);
    net.want_snapshot(3);
    net.until("the leader asks for a snapshot", |net| net.server(1).snapshots_wanted == [zx(1, 5)]);
    assert_eq!(net.server(3).links_lost, 1);
    net.run(Duration::from_millis(500));
    assert!(!net.zab(3).is_synced());
    net.commit(1, 1, &[1, 2]);
    net.snapshot(1);
    net.until("it is level", |net| net.zab(3).is_synced());
    assert_eq!(modes(&mut net, 1, 3).last(), Some(&("SNAP", zx(1, 6))));
    assert_shows_all(&mut net, 3);
}

#[test]
fn an_observer_gets_committed_entries_only_and_never_counts() {
    let mut net = Net::new(3, 2, 8);
    net.keep_trace = true;
    net.form(1, &[2, 3]);
    net.observe(4, 1);
    net.observe(5, 1);
    net.until("they are level", |net| net.zab(4).is_synced() && net.zab(5).is_synced());
    net.commit(1, 20, &[1, 2, 3, 4, 5]);
    for number in [4, 5] {
        let bodies = net.bodies(1, number);
        assert!(bodies.iter().any(|body| matches!(body, Body::Inform { .. })));
        assert!(!bodies.iter().any(|body| matches!(body, Body::Propose { .. })));
    }
    // With observers alone nothing is committed, and the leader does not stay.
    net.isolate(2);
    net.isolate(3);
    let committed = net.ghost.committed.len();
    net.propose(1, 1);
    net.until("the leader stands down", |net| !net.server(1).ended.is_empty());
    assert_eq!(net.ghost.committed.len(), committed);
    assert_eq!(net.zab(4).tip(), zx(1, 20), "what is not committed is not in an observer's log");
}

#[test]
fn an_observer_that_comes_first_waits_for_the_quorum() {
    let mut net = Net::new(3, 1, 9);
    net.lead(1);
    net.observe(4, 1);
    net.run(Duration::from_millis(300));
    assert!(!net.zab(1).is_established() && !net.zab(4).is_synced());
    net.follow(2, 1);
    net.until("all are level", |net| net.zab(2).is_synced() && net.zab(4).is_synced());
}

#[test]
fn a_server_that_may_have_lost_something_counts_only_when_it_is_level_with_an_established_leader() {
    let mut net = Net::new(3, 0, 10);
    net.crash(3);
    net.server(3).disk.suspect = true;
    net.start(3);
    assert_eq!(net.zab(3).candidate(), None);
    net.lead(3);
    assert_eq!(net.server(3).ended, [crate::zab::StandDown::Unfit]);
    net.lead(1);
    net.follow(3, 1);
    net.until("the bid fails", |net| net.server(1).ended == [crate::zab::StandDown::NoQuorum]);
    net.form(1, &[2]);
    net.commit(1, 3, &[1, 2]);
    if net.zab(3).leader().is_none() {
        net.follow(3, 1);
    }
    net.until("it is level", |net| net.zab(3).is_synced());
    assert!(net.zab(3).candidate().is_some(), "it is whole again");
    net.crash(2);
    net.commit(1, 1, &[1, 3]);
}

#[test]
fn scn_16_a_server_that_lost_its_disk_does_not_help_a_leader_that_was_replaced_with_its_help() {
    let mut net = Net::new(3, 0, 13);
    net.form(3, &[1, 2]);
    net.commit(3, 2, &[1, 2, 3]);
    // 1 and 2 begin a newer epoch; the old leader does not hear of it.
    net.isolate(3);
    net.stand_down(1);
    net.stand_down(2);
    net.form(1, &[2]);
    let newer = net.zab(1).epoch();
    net.crash(2);
    net.server(2).disk = Disk { suspect: true, ..Disk::default() };
    net.start(2);
    net.heal();
    net.isolate(1);
    assert!(net.zab(3).is_established() && newer > net.zab(3).epoch());
    net.follow(2, 3);
    net.propose(3, 1);
    net.until("the old leader stands down", |net| !net.server(3).ended.is_empty());
    assert!(!net.zab(2).is_synced());
    assert_eq!(net.ghost.committed.len(), 2, "nothing was committed");
    // With one that has lost nothing the newer leader makes it whole.
    net.heal();
    for server in [1, 2] {
        net.stand_down(server);
    }
    net.form(1, &[3]);
    net.follow(2, 1);
    net.until("it is level", |net| net.zab(2).is_synced());
    net.crash(3);
    net.commit(1, 1, &[1, 2]);
}

#[test]
fn a_learner_that_promised_a_newer_epoch_receives_and_does_not_count() {
    let mut net = Net::new(3, 0, 11);
    net.form(1, &[2]);
    net.commit(1, 2, &[1, 2]);
    let epoch = net.zab(1).epoch().unwrap();
    net.give(3, epoch.number() + 4, 0, &[]);
    net.keep_trace = true;
    net.follow(3, 1);
    net.until("it is level", |net| net.zab(3).is_synced());
    assert!(
        net.bodies(3, 1)
            .iter()
            .any(|body| matches!(body, Body::AckEpoch(ack) if ack.promise == Promise::Newer))
    );
    net.crash(2);
    net.propose(1, 1);
    net.until("the leader stands down", |net| !net.server(1).ended.is_empty());
    assert_eq!(net.ghost.committed.len(), 2, "its acknowledgement did not commit anything");
    net.run(Duration::from_secs(2));
    net.form(1, &[3]);
    assert_eq!(net.zab(1).epoch().unwrap().number(), epoch.number() + 5);
}

#[test]
fn a_deposed_leader_cannot_take_back_what_a_newer_one_gave() {
    let mut net = Net::new(3, 0, 12);
    net.form(1, &[2, 3]);
    net.commit(1, 1, &[1, 2, 3]);
    net.isolate(1);
    net.stand_down(2);
    net.stand_down(3);
    net.form(3, &[2]);
    net.commit(3, 2, &[2, 3]);
    net.heal();
    assert!(net.zab(1).is_established(), "it does not know yet");
    let now = net.now;
    net.zab(2).follow(now, sid(1));
    net.drain(2);
    net.until("it refuses", |net| net.server(2).ended == [crate::zab::StandDown::LeaderGone]);
    assert_eq!(net.zab(2).tip(), zx(2, 2));
}

#[test]
fn a_learner_waits_for_a_leader_that_decides_a_little_later() {
    let mut net = Net::new(3, 0, 13);
    net.follow(2, 1);
    net.run(Duration::from_millis(700));
    net.lead(1);
    net.until("they find each other", |net| net.zab(2).is_synced());
    net.follow(3, 2);
    net.until("it gives up", |net| net.server(3).ended == [crate::zab::StandDown::LeaderSilent]);
}

#[test]
fn a_lost_last_message_is_found_out_by_the_heartbeats() {
    let mut net = Net::new(3, 0, 14);
    net.form(1, &[2, 3]);
    net.cut.insert((sid(1), sid(3)));
    let zxid = net.propose(1, 1)[0];
    net.run(Duration::from_millis(20));
    net.heal();
    net.until("it is there", |net| net.zab(3).delivered() == zxid);
    assert_eq!(net.server(3).links_lost, 1);
    assert_eq!((net.server(1).ended.len(), net.server(3).ended.len()), (0, 0), "no election was needed");
    // And the other way: an acknowledgement that is lost.
    net.until("it is level again", |net| net.zab(3).is_synced());
    net.isolate(2);
    net.cut.insert((sid(3), sid(1)));
    let zxid = net.propose(1, 1)[0];
    net.run(Duration::from_millis(20));
    net.heal();
    net.isolate(2);
    net.until("it is committed", |net| net.zab(1).delivered() == zxid);
    assert_eq!(net.server(1).ended, []);
}

#[test]
fn links_survive_doubled_messages_and_are_made_anew_after_reordered_ones() {
    for seed in 0..10 {
        let mut net = Net::new(3, 0, seed);
        net.faults = Faults { lose: 0, double: 300, jitter: 0 };
        net.form(1, &[2, 3]);
        net.commit(1, 10, &[1, 2, 3]);
        assert_eq!((net.server(2).links_lost, net.server(3).links_lost), (0, 0));
        net.faults = Faults { lose: 10, double: 100, jitter: 2_000 };
        let mut committed = 0;
        for _ in 0..30 {
            if net.zab(1).next_zxid().is_some() {
                net.propose(1, 2);
                committed += 2;
            }
            net.run(Duration::from_millis(30));
        }
        net.faults = Faults::default();
        assert_eq!(committed, 60, "the leader leads on");
        let last = net.propose(1, 1)[0];
        net.until("all have all", |net| (1..=3).all(|number| net.zab(number).delivered() == last));
    }
}

#[test]
fn a_second_way_of_synchronisation_follows_when_the_log_is_cut_meanwhile() {
    let mut net = Net::with(3, 0, 15, |config| {
        config.window = 1;
        config.chunk = 40;
    });
    net.form(1, &[2]);
    net.commit(1, 100, &[1, 2]);
    net.snapshot(1);
    net.keep_trace = true;
    net.follow(3, 1);
    net.until("it catches up", |net| net.zab(3).tip() > zx(1, 10));
    // The log is gone without the leader's doing, as an operator might do it.
    net.server(1).disk.apply(LogOp::PurgeUpTo(zx(1, 100)));
    net.until("it is level", |net| net.zab(3).is_synced());
    let syncs = net.bodies(1, 3).into_iter().filter_map(|body| match body {
        Body::Sync(mode) => Some(*mode),
        _ => None,
    });
    assert_eq!(syncs.collect::<Vec<_>>(), [SyncMode::Diff(Zxid::ZERO), SyncMode::Snapshot(zx(1, 100))]);
    net.commit(1, 1, &[1, 2, 3]);
}

#[test]
fn what_becomes_durable_together_with_the_epoch_is_acknowledged_too() {
    let mut net = Net::new(3, 0, 11);
    net.keep_trace = true;
    net.form(1, &[3]);
    net.commit(1, 2, &[1, 3]);
    // A slow disk: what is proposed behind NEWLEADER waits beside the epoch, and one sync makes both durable.
    net.disk_delay = Duration::from_millis(80);
    net.follow(2, 1);
    let waits =
        |net: &mut Net, wanted: fn(&LogOp) -> bool| net.server(2).writes.iter().any(|(.., op)| wanted(op));
    net.until("the epoch waits", |net| waits(net, |op| matches!(op, LogOp::CurrentEpoch(_))));
    let last = *net.propose(1, 1).last().unwrap();
    net.until("a proposal waits", |net| net.zab(2).tip() == last);
    assert!(waits(&mut net, |op| matches!(op, LogOp::CurrentEpoch(_))));

    net.sync_all(2);
    assert!(net.bodies(2, 1).iter().any(|body| matches!(body, Body::Ack { zxid } if *zxid == last)));
}
