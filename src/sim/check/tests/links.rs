//! What leaders send and learners acknowledge, link by link.

use crate::types::SnapshotChunk;

use super::*;

fn appends(epoch: u32, counter: u32) -> LogOp {
    LogOp::Append(vec![entry(epoch, counter)])
}

fn new_leader(epoch: u32, tip: Zxid) -> Body {
    Body::NewLeader { epoch: Epoch::new(epoch), tip }
}

fn ack(epoch: u32, counter: u32) -> Body {
    Body::Ack { zxid: zxid(epoch, counter) }
}

#[test]
fn what_was_sent_on_the_link_and_is_durable_may_be_acknowledged_in_any_portions() {
    let script = committed();
    script.says(B, A, ack(1, 1));
    for counter in 2..=4 {
        script.persists(A, &[appends(1, counter)]);
        script.says(A, B, propose(vec![entry(1, counter)]));
        script.persists(B, &[appends(1, counter)]);
    }
    script.says(B, A, ack(1, 2));
    script.says(B, A, ack(1, 4));
    script.expect_sound();
}

#[test]
fn an_acknowledgement_of_what_the_leader_did_not_send_is_found() {
    let script = committed();
    for server in [A, B] {
        script.persists(server, &[appends(1, 2)]);
    }
    script.says(B, A, ack(1, 2));
    script.expect_violation("AckConsistent");
    // On another link than that on which it was sent.
    let script = committed();
    script.says_on(2, B, A, ack(1, 1));
    script.expect_violation("AckConsistent");
}

#[test]
fn an_entry_of_an_older_leader_between_those_that_are_acknowledged_is_found() {
    for has_ghost in [false, true] {
        let script = committed();
        script.persists(A, &[appends(1, 2)]);
        script.says(A, B, propose(vec![entry(1, 2)]));
        script.persists(C, &epochs(1));
        script.persists(C, &[appends(1, 1)]);
        script.persists(C, &epochs(2));
        script.says_on(2, C, B, Body::Sync(SyncMode::Truncate(zxid(1, 1))));
        script.says_on(2, C, B, new_leader(2, zxid(1, 1)));
        script.persists(B, &epochs(2));
        if has_ghost {
            script.persists(B, &[appends(1, 2)]);
        }
        script.says_on(2, B, C, Body::AckNewLeader { epoch: Epoch::new(2) });
        script.persists(C, &[appends(2, 1)]);
        script.says_on(2, C, B, propose(vec![entry(2, 1)]));
        script.persists(B, &[appends(2, 1)]);
        script.expect_sound();
        script.says_on(2, B, C, ack(2, 1));
        if has_ghost {
            script.expect_violation("AckConsistent");
        } else {
            script.expect_sound();
        }
    }
}

#[test]
fn an_acknowledgement_of_newleader_without_all_that_was_sent_before_it_is_found() {
    let script = committed();
    script.persists(C, &epochs(1));
    script.says(A, C, Body::Sync(SyncMode::Diff(Zxid::ZERO)));
    script.says(A, C, propose(vec![entry(1, 1)]));
    script.says(A, C, new_leader(1, zxid(1, 1)));
    script.expect_sound();
    script.says(C, A, Body::AckNewLeader { epoch: Epoch::new(1) });
    script.expect_violation("AckConsistent");
}

#[test]
fn an_acknowledgement_of_other_bytes_than_were_sent_is_found() {
    let script = committed();
    script.sees(B, &Seen::Damaged);
    script.sees(B, &Seen::Down);
    let recovered = Recovered {
        accepted_epoch: Epoch::new(1),
        current_epoch: Epoch::new(1),
        snapshot: None,
        log_start: Zxid::ZERO,
        log: vec![LogEntry { payload: Bytes::from_static(b"rotten"), ..entry(1, 1) }],
        standing: Standing::Suspect("rotten".to_owned()),
    };
    script.sees(B, &Seen::Recovered(&recovered));
    script.expect_sound();
    script.says(B, A, ack(1, 1));
    script.expect_violation("AckConsistent");
}

#[test]
fn a_learner_that_keeps_what_it_has_to_itself_is_found_unless_it_serves_nobody() {
    for (acks, serves) in [(true, true), (false, true), (false, false)] {
        let script = committed();
        script.says(B, A, ack(1, 1));
        script.persists(A, &[appends(1, 2)]);
        script.says(A, B, propose(vec![entry(1, 2)]));
        script.persists(B, &[appends(1, 2)]);
        if acks {
            script.says(B, A, ack(1, 2));
        }
        for _ in 0..9 {
            let status = Status { serving: serves, ..status(B, Role::Following, 1, zxid(1, 1), 7) };
            script.sees(B, &Seen::Status(&status));
        }
        if serves && !acks {
            script.expect_violation("AckOwed");
        } else {
            script.expect_sound();
        }
    }
}

#[test]
fn a_proposal_that_leaves_one_out_is_found() {
    for is_written in [true, false] {
        let script = committed();
        if is_written {
            script.persists(A, &[LogOp::Append(vec![entry(1, 2), entry(1, 3)])]);
        }
        script.says(A, B, propose(vec![entry(1, 3)]));
        script.expect_violation("ProposalConsistent");
    }
}

#[test]
fn a_synchronisation_that_begins_where_the_leader_has_nothing_is_found() {
    let script = committed();
    script.persists(C, &epochs(2));
    script.persists(C, &[LogOp::Append(vec![entry(1, 1), entry(2, 1)])]);
    script.expect_sound();
    script.says(C, B, Body::Sync(SyncMode::Truncate(zxid(1, 2))));
    script.expect_violation("ProposalConsistent");
}

#[test]
fn entries_before_the_synchronisation_are_found() {
    let script = committed();
    script.says(A, C, propose(vec![entry(1, 1)]));
    script.expect_violation("ProposalConsistent");
}

#[test]
fn newleader_before_the_end_of_what_the_epoch_begins_with_is_found() {
    let script = committed();
    script.says(A, C, Body::Sync(SyncMode::Diff(Zxid::ZERO)));
    script.says(A, C, new_leader(1, zxid(1, 1)));
    script.expect_violation("ProposalConsistent");
}

#[test]
fn newleader_before_the_end_of_the_snapshot_is_found() {
    for last in [true, false] {
        let script = committed();
        script.says(A, C, Body::Sync(SyncMode::Snapshot(zxid(1, 1))));
        let chunk = SnapshotChunk { zxid: zxid(1, 1), offset: 0, bytes: Bytes::new(), last };
        script.says(A, C, Body::Chunk(chunk));
        script.says(A, C, new_leader(1, zxid(1, 1)));
        if last {
            script.expect_sound();
        } else {
            script.expect_violation("ProposalConsistent");
        }
    }
}
