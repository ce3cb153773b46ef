//! What an established leader promises: order, one answer, confirmation.

use std::time::Duration;

use bytes::Bytes;

use crate::zab::{Body, ForwardError, ProposeError, StandDown};

use super::net::{Net, sid, zx};

#[test]
fn pipelined_proposals_are_committed_in_their_order() {
    for seed in 0..10 {
        let mut net = Net::new(3, 0, seed);
        net.form(1, &[2, 3]);
        let mut all = Vec::new();
        for burst in 1..10 {
            all.extend(net.propose(1, burst));
            net.step();
        }
        net.until("all are applied", |net| {
            (1..=3).all(|number| net.zab(number).delivered() == all[all.len() - 1])
        });
        let applied: Vec<_> = net.server(2).applied.iter().map(|(zxid, _)| *zxid).collect();
        assert_eq!(applied, all);
    }
}

#[test]
fn what_is_proposed_before_outputs_are_drawn_goes_out_together() {
    let mut net = Net::with(3, 0, 1, |config| config.chunk = 1 << 18);
    net.form(1, &[2, 3]);
    net.keep_trace = true;
    net.propose(1, 50);
    let bodies = net.bodies(1, 2);
    let [Body::Propose { entries, .. }] = bodies[..] else { panic!("{bodies:?}") };
    assert_eq!(entries.len(), 50);
    assert_eq!(net.server(1).writes.len(), 1);
}

#[test]
fn a_proposal_is_committed_without_the_slowest_disk_and_shown_by_none_that_lacks_it() {
    let mut net = Net::new(3, 0, 2);
    net.form(1, &[2, 3]);
    let zxid = net.propose(1, 1)[0];
    // The leader's own disk is the slow one.
    let late = net.now + Duration::from_millis(700);
    for write in &mut net.server(1).writes {
        write.0 = late;
    }
    net.until("the followers show it", |net| {
        net.zab(2).delivered() == zxid && net.zab(3).delivered() == zxid
    });
    assert!(net.now < late);
    assert_eq!(net.zab(1).committed(), zxid);
    assert!(net.zab(1).delivered() < zxid, "the leader could still forget it");
    net.until("the leader shows it", |net| net.zab(1).delivered() == zxid);
}

#[test]
fn only_an_established_leader_proposes_and_only_a_level_learner_forwards() {
    let mut net = Net::new(3, 0, 3);
    assert_eq!(net.zab(1).propose(Bytes::new()), Err(ProposeError::NotLeading));
    net.lead(1);
    assert_eq!(net.zab(1).propose(Bytes::new()), Err(ProposeError::NotLeading));
    net.follow(2, 1);
    assert_eq!(net.zab(2).forward(Bytes::new()), Err(ForwardError::NotSynced));
    assert_eq!(net.zab(1).forward(Bytes::new()), Err(ForwardError::NotSynced));
    net.until("they are level", |net| net.zab(2).is_synced());
    assert_eq!(net.zab(2).forward(Bytes::new()), Ok(()));
}

#[test]
fn requests_arrive_in_order_and_answers_behind_what_was_committed_before() {
    let mut net = Net::new(3, 0, 4);
    net.form(1, &[2, 3]);
    net.disk_delay = Duration::from_millis(30);
    for number in 0..20_u8 {
        net.zab(2).forward(Bytes::from(vec![number])).unwrap();
        if number % 3 == 0 {
            net.drain(2);
        }
    }
    net.drain(2);
    net.until("all arrived", |net| net.server(1).forwarded.len() == 20);
    let forwarded = std::mem::take(&mut net.server(1).forwarded);
    for (number, (from, payload)) in forwarded.into_iter().enumerate() {
        assert_eq!((from, &payload[..]), (sid(2), &[number as u8][..]));
        let zxid = net.propose(1, 1)[0];
        if number == 10 {
            net.until("it is committed", |net| net.zab(1).committed() >= zxid);
            // S2's disk may be later than the answer.
            net.zab(1).answer(sid(2), Bytes::from(zxid.to_string()));
            net.drain(1);
        }
    }
    net.until("the answer is there", |net| !net.server(2).answered.is_empty());
    let (delivered, payload) = net.server(2).answered[0].clone();
    assert!(delivered >= zx(1, 11), "the answer came behind {delivered}");
    assert_eq!(payload, "1.11");
}

#[test]
fn an_answer_stands_before_what_is_committed_later_even_if_one_sync_makes_both_durable() {
    let mut net = Net::new(3, 0, 4);
    net.form(1, &[2, 3]);
    let before = net.propose(1, 1)[0];
    net.until("S2 writes it", |net| !net.server(2).writes.is_empty());
    // What follows waits behind it.
    let late = net.now + Duration::from_millis(300);
    net.server(2).writes.iter_mut().for_each(|write| write.0 = late);
    net.until("it is committed", |net| net.zab(1).committed() == before);
    net.zab(1).answer(sid(2), Bytes::from_static(b"denied"));
    net.drain(1);
    let after = net.propose(1, 5);
    net.until("S2 knows that they are committed", |net| net.zab(2).committed() == after[4]);
    assert!(net.zab(2).delivered() < before);
    net.sync_all(2);
    assert_eq!(net.zab(2).delivered(), after[4]);
    assert_eq!(net.server(2).answered, [(before, Bytes::from_static(b"denied"))]);
}

#[test]
fn a_confirmation_needs_a_quorum_that_answers_after_it_was_asked_for() {
    let mut net = Net::new(5, 0, 5);
    net.form(1, &[2, 3, 4, 5]);
    let now = net.now;
    let first = net.zab(1).confirm(now);
    let second = net.zab(1).confirm(now);
    net.keep_trace = true;
    net.drain(1);
    assert_eq!(net.bodies(1, 2).len(), 1, "one heartbeat serves both");
    assert_eq!(net.server(1).confirmed, []);
    net.until("it is confirmed", |net| net.server(1).confirmed == [second]);
    assert!(net.now.since(now) < Duration::from_millis(5), "at once, not with the next regular heartbeat");
    assert!(second > first);
    for number in [3, 4, 5] {
        net.isolate(number);
    }
    let now = net.now;
    net.zab(1).confirm(now);
    net.drain(1);
    net.until("the leader stands down", |net| !net.server(1).ended.is_empty());
    assert_eq!(net.server(1).confirmed, [second], "two of five confirm nothing");
}

#[test]
fn a_lost_heartbeat_only_delays_a_confirmation() {
    let mut net = Net::new(3, 0, 6);
    net.form(1, &[2, 3]);
    net.isolate(1);
    let now = net.now;
    let asked = net.zab(1).confirm(now);
    net.drain(1);
    net.heal();
    // What was sent before the healing is on the wire still; drop it by waiting with the cut in place.
    net.isolate(1);
    net.run(Duration::from_millis(10));
    assert_eq!(net.server(1).confirmed, []);
    net.heal();
    net.until("it is confirmed", |net| net.server(1).confirmed == [asked]);
    assert_eq!(net.server(1).ended, []);
}

#[test]
fn one_server_alone_is_a_quorum_of_one() {
    let mut net = Net::new(1, 1, 7);
    net.form(1, &[]);
    net.commit(1, 3, &[1]);
    let now = net.now;
    let asked = net.zab(1).confirm(now);
    net.drain(1);
    assert_eq!(net.server(1).confirmed, [asked]);
    assert_eq!(net.now, now);
    net.observe(2, 1);
    net.until("the observer is level", |net| net.zab(2).is_synced());
    net.crash_hard(1);
    net.start(1);
    assert_eq!(net.zab(1).tip(), zx(1, 3));
    net.form(1, &[]);
    assert_eq!(net.ghost.committed.len(), 3);
}

#[test]
fn a_follower_that_acknowledges_nothing_is_dropped_and_does_not_hold_up_the_others() {
    let mut net = Net::with(3, 0, 8, |config| config.window = 4);
    net.form(1, &[2, 3]);
    net.propose(1, 1);
    net.until("S3 has it", |net| net.zab(3).tip() == zx(1, 1));
    let late = net.now + Duration::from_secs(5);
    for write in &mut net.server(3).writes {
        write.0 = late;
    }
    net.until("S3 is dropped", |net| {
        !net.zab(1).learners().any(|learner| learner.server == sid(3) && learner.synced)
    });
    assert!(net.now < late);
    net.commit(1, 50, &[1, 2]);
    net.until("S3 is level in the end", |net| net.zab(3).delivered() == zx(1, 51));
    assert_eq!(net.server(1).ended, []);
}

#[test]
fn the_same_seed_gives_the_same_messages() {
    let run = || {
        let mut net = Net::new(3, 1, 9);
        net.faults.jitter = 1_000;
        net.keep_trace = true;
        net.form(1, &[2, 3]);
        net.observe(4, 1);
        for _ in 0..5 {
            net.propose(1, 3);
            net.run(Duration::from_millis(40));
        }
        net.trace
    };
    assert_eq!(run(), run());
}

#[test]
fn who_hears_that_its_leader_has_gone_stands_down_at_once_and_nobody_does_for_another() {
    let mut net = Net::new(3, 0, 12);
    net.form(1, &[2, 3]);
    net.crash(1);
    let now = net.now;
    net.zab(2).handle_peer_gone(now, sid(3));
    net.drain(2);
    assert_eq!(net.server(2).ended, []);
    net.zab(2).handle_peer_gone(now, sid(1));
    net.drain(2);
    assert_eq!(net.server(2).ended, [StandDown::LeaderVanished]);
    assert_eq!(net.server(3).ended, []);
}

#[test]
fn a_leader_leads_on_when_its_followers_are_gone_for_a_moment() {
    let mut net = Net::new(3, 0, 13);
    net.form(1, &[2, 3]);
    for number in [2, 3] {
        net.crash(number);
        let now = net.now;
        net.zab(1).handle_peer_gone(now, sid(number));
        net.drain(1);
    }
    assert_eq!(net.zab(1).learners().count(), 0);
    assert!(net.zab(1).is_established());
    net.start(2);
    net.follow(2, 1);
    let zxid = net.propose(1, 1)[0];
    net.until("it is level again", |net| net.zab(2).delivered() == zxid);
}
