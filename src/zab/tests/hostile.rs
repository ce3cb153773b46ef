//! What no correct peer sends changes nothing, and costs at most the link of who sent it (SCN-09, SCN-12).

use std::time::Duration;

use bytes::Bytes;

use crate::types::{Epoch, LogEntry, SnapshotChunk, Zxid};
use crate::zab::{
    AckEpoch, Body, Join, LinkId, Message, Note, Promise, Refused, StandDown, SyncMode, message::VERSION,
};

use super::net::{Net, entry, sid, zx};

/// The link of a learner to its leader and how many messages were sent on it in the direction `from` → `to`.
fn link(net: &Net, from: u64, to: u64) -> (LinkId, u64) {
    let of = net.trace.iter().rev().filter(|(a, b, _)| (*a, *b) == (sid(from), sid(to)));
    let mut numbered = of.filter(|(_, _, message)| message.sequence > 0);
    let last = &numbered.next().expect("something was sent").2;
    (last.link, last.sequence)
}

#[test]
fn a_link_is_reset_by_whoever_can_make_nothing_of_what_came_on_it() {
    for (rejecting, peer) in [(1, 2), (2, 1)] {
        let mut net = Net::new(3, 0, 11);
        net.form(1, &[2, 3]);
        net.commit(1, 2, &[1, 2, 3]);
        let (now, lost) = (net.now, net.server(2).links_lost);
        net.zab(rejecting).reject(now, sid(peer), "a riddle".to_owned());
        net.drain(rejecting);
        net.until("the learner is detached", |net| net.server(2).links_lost == lost + 1);
        net.until("it is level again", |net| net.zab(2).is_synced());
        net.commit(1, 1, &[1, 2, 3]);
        assert_eq!(net.server(3).links_lost, 0, "the others go on");
    }
}

fn all_bodies() -> Vec<Body> {
    let far = zx(900, 7);
    let chunk = SnapshotChunk { zxid: far, offset: 3, bytes: Bytes::from_static(b"x"), last: true };
    let join = Join {
        version: VERSION,
        ensemble: 0,
        observer: false,
        suspect: false,
        wants_snapshot: false,
        accepted: Epoch::new(1),
    };
    let ack = |current, tip| AckEpoch { epoch: Epoch::new(1), promise: Promise::Given, current, tip };
    vec![
        Body::Join(join),
        Body::LeaderInfo { epoch: Epoch::new(0), bid: 1 },
        Body::LeaderInfo { epoch: Epoch::new(900), bid: 1 },
        Body::AckEpoch(ack(Epoch::new(900), far)),
        Body::AckEpoch(ack(Epoch::new(1), zx(1, 1))),
        Body::Sync(SyncMode::Diff(far)),
        Body::Sync(SyncMode::Truncate(Zxid::ZERO)),
        Body::Sync(SyncMode::Snapshot(far)),
        Body::Chunk(chunk),
        Body::ChunkSaved { zxid: far, through: u64::MAX },
        Body::Propose { entries: Vec::new(), committed: Zxid::MAX },
        Body::Propose { entries: vec![entry(1, 9)], committed: Zxid::ZERO },
        Body::Propose { entries: vec![entry(900, 1)], committed: Zxid::ZERO },
        Body::Propose { entries: vec![entry(1, 4), entry(1, 6)], committed: Zxid::ZERO },
        Body::Inform { entries: vec![entry(1, 4)] },
        Body::Ack { zxid: far },
        Body::Ack { zxid: Zxid::MAX },
        Body::NewLeader { epoch: Epoch::new(900), tip: far },
        Body::NewLeader { epoch: Epoch::new(1), tip: zx(1, 3) },
        Body::AckNewLeader { epoch: Epoch::new(900) },
        Body::Ping { round: u64::MAX, sent: 0 },
        Body::Pong { round: u64::MAX, sent: 0 },
        Body::Reset,
        Body::NotLeading,
        Body::Refused(Refused::Ensemble),
    ]
}

#[test]
fn scn_09_a_leader_survives_whatever_one_learner_sends() {
    for numbered in [true, false] {
        for body in all_bodies() {
            let mut net = Net::new(3, 0, 9);
            net.keep_trace = true;
            net.form(1, &[2, 3]);
            net.commit(1, 3, &[1, 2, 3]);
            let (id, sent) = link(&net, 3, 1);
            let sequence = if numbered { sent + 1 } else { 0 };
            net.inject(sid(3), sid(1), Message { link: id, sequence, body: body.clone() });
            net.run(Duration::from_millis(100));
            assert!(net.zab(1).is_established(), "{body:?}");
            assert_eq!(net.zab(1).accepted_epoch(), Epoch::new(1), "{body:?}");
            net.commit(1, 1, &[1, 2]);
            let last = net.propose(1, 1)[0];
            net.until("it has all again", |net| {
                // Its election would find the leader.
                if net.zab(3).leader().is_none() {
                    net.follow(3, 1);
                }
                net.zab(3).delivered() == last
            });
            assert_eq!(last, zx(1, 5), "{body:?}");
        }
    }
}

#[test]
fn scn_12_a_learner_logs_nothing_that_does_not_follow() {
    for numbered in [true, false] {
        for body in all_bodies() {
            let mut net = Net::new(3, 0, 12);
            net.keep_trace = true;
            net.form(1, &[2, 3]);
            net.commit(1, 3, &[1, 2, 3]);
            let log = net.server(3).disk.history();
            let (id, sent) = link(&net, 1, 3);
            let sequence = if numbered { sent + 1 } else { 0 };
            net.inject(sid(1), sid(3), Message { link: id, sequence, body: body.clone() });
            net.run(Duration::from_millis(50));
            assert_eq!(net.server(3).disk.history(), log, "{body:?}");
            assert_eq!(net.server(3).disk.accepted, Epoch::new(1), "{body:?}");
            if net.zab(3).leader().is_none() {
                net.follow(3, 1);
            }
            net.until("it is level", |net| net.zab(3).is_synced());
            net.commit(1, 1, &[1, 2, 3]);
        }
    }
}

#[test]
fn messages_of_others_and_of_earlier_links_change_nothing() {
    let mut net = Net::new(3, 0, 13);
    net.keep_trace = true;
    net.form(1, &[2, 3]);
    net.commit(1, 3, &[1, 2, 3]);
    let (id, sent) = link(&net, 1, 3);
    let forged = |body: &Body| Message { link: id, sequence: sent + 1, body: body.clone() };
    for body in all_bodies() {
        // From a server that is not the leader, and from one that is no member.
        net.inject(sid(2), sid(3), forged(&body));
        net.inject(sid(77), sid(3), forged(&body));
        net.inject(sid(77), sid(1), forged(&body));
    }
    let old = net.trace.clone();
    for (from, to, message) in old {
        // All that was ever said, once more.
        net.inject(from, to, message);
    }
    net.run(Duration::from_millis(30));
    net.commit(1, 3, &[1, 2, 3]);
    assert_eq!((net.server(2).links_lost, net.server(3).links_lost), (0, 0));
    assert_eq!(net.zab(1).epoch(), Some(Epoch::new(1)));
    assert!(net.zab(1).learners().count() == 2);
}

#[test]
fn a_leader_refuses_strangers_other_ensembles_and_absurd_epochs() {
    for (from, change, refused) in [
        (3, (|join: &mut Join| join.version += 1) as fn(&mut Join), Refused::Version),
        (3, |join| join.ensemble += 1, Refused::Ensemble),
        (3, |join| join.accepted = Epoch::new(u32::MAX), Refused::Epoch),
        (3, |join| join.accepted = Epoch::new(1 << 25), Refused::Epoch),
        (4, |_| (), Refused::NotAMember),
        (9, |_| (), Refused::NotAMember),
    ] {
        let mut net = Net::new(3, 1, 14);
        net.keep_trace = true;
        net.lead(1);
        let mut join = Join {
            version: VERSION,
            ensemble: 0,
            observer: false,
            suspect: false,
            wants_snapshot: false,
            accepted: Epoch::ZERO,
        };
        change(&mut join);
        let id = LinkId { life: 5, number: 1 };
        net.inject(sid(from), sid(1), Message { link: id, sequence: 1, body: Body::Join(join) });
        net.run(Duration::from_millis(50));
        assert_eq!(net.zab(1).epoch(), None, "{refused:?} does not help to choose an epoch");
        assert!(net.bodies(1, from).contains(&&Body::Refused(refused)));
        assert!(net.server(1).notes.iter().any(|note| matches!(note, Note::Misbehaved { .. })));
        net.form(1, &[2]);
        assert_eq!(net.zab(1).epoch(), Some(Epoch::new(1)));
    }
}

#[test]
fn scn_32_servers_of_different_ensembles_do_not_link() {
    let mut net = Net::new(3, 0, 15);
    net.crash(3);
    net.server(3).config.ensemble = 4;
    net.start(3);
    net.form(1, &[2]);
    net.follow(3, 1);
    net.until("it is refused", |net| net.server(3).ended == [StandDown::Refused(Refused::Ensemble)]);
}

#[test]
fn a_more_recent_observer_or_server_that_does_not_count_does_not_unseat_a_bid() {
    let mut net = Net::new(3, 1, 16);
    net.give(4, 1, 1, &[entry(1, 1), entry(1, 2)]);
    net.lead(1);
    net.observe(4, 1);
    net.follow(2, 1);
    net.until("all are level", |net| net.zab(1).is_established() && net.zab(4).is_synced());
    assert_eq!(net.zab(4).tip(), Zxid::ZERO);
}

#[test]
fn a_server_whose_log_has_a_gap_may_have_lost_something() {
    let mut net = Net::new(1, 0, 17);
    let recovered = crate::types::Recovered {
        accepted_epoch: Epoch::new(1),
        current_epoch: Epoch::new(1),
        snapshot: None,
        log_start: Zxid::ZERO,
        log: vec![entry(1, 1), LogEntry { zxid: zx(1, 3), payload: Bytes::new() }],
        standing: crate::types::Standing::Whole,
    };
    let config = net.server(1).config.clone();
    let zab = crate::zab::Zab::new(config, recovered, crate::types::SeededRng::from_number(1));
    assert_eq!((zab.tip(), zab.candidate()), (zx(1, 1), None));
}
