use bytes::Bytes;

use crate::election::{Notification, ServerState, Vote};
use crate::peer::{Message, Role, Status};
use crate::types::{Epoch, LogEntry, LogOp, Recovered, Standing, WriteBatch, Zxid};
use crate::zab::{self, AckEpoch, Body, LinkId, Promise, SyncMode};

use super::*;

mod links;
mod writers;

const A: ServerId = ServerId::new(1);
const B: ServerId = ServerId::new(2);
const C: ServerId = ServerId::new(3);

/// An ensemble of three that does what the test says.
struct Script {
    checker: Checker,
}

impl Script {
    fn new() -> Self {
        let script = Self { checker: Checker::new([A, B, C].map(|server| (server, true))) };
        for server in [A, B, C] {
            script.recovers(server, 0, &[]);
        }
        script.expect_sound();
        script
    }

    fn sees(&self, server: ServerId, seen: &Seen<'_>) {
        self.checker.see(Time::ZERO, server, seen);
    }

    fn recovers(&self, server: ServerId, epoch: u32, log: &[LogEntry]) {
        let recovered = Recovered {
            accepted_epoch: Epoch::new(epoch),
            current_epoch: Epoch::new(epoch),
            snapshot: None,
            log_start: Zxid::ZERO,
            log: log.to_vec(),
            standing: Standing::Whole,
        };
        self.sees(server, &Seen::Recovered(&recovered));
    }

    fn writes(&self, server: ServerId, ops: &[LogOp]) {
        self.sees(server, &Seen::Writing(&WriteBatch { ops: ops.to_vec() }));
    }

    fn persists(&self, server: ServerId, ops: &[LogOp]) {
        self.writes(server, ops);
        self.sees(server, &Seen::Written);
    }

    fn says(&self, server: ServerId, to: ServerId, body: Body) {
        self.says_on(1, server, to, body);
    }

    fn says_on(&self, number: u64, server: ServerId, to: ServerId, body: Body) {
        let link = LinkId { life: 1, number };
        let message = Message::Zab(zab::Message { link, sequence: 1, body });
        self.sees(server, &Seen::Says { to, message: &message });
    }

    fn reports(&self, server: ServerId, role: Role, epoch: u32, committed: Zxid, digest: u64) {
        let status = status(server, role, epoch, committed, digest);
        self.sees(server, &Seen::Status(&status));
    }

    fn reports_applied(&self, server: ServerId, committed: Zxid, applied: Zxid) {
        let status = Status { applied, ..status(server, Role::Following, 1, committed, 7) };
        self.sees(server, &Seen::Status(&status));
    }

    #[track_caller]
    fn expect_sound(&self) {
        assert_eq!(self.checker.failure(), None);
    }

    #[track_caller]
    fn expect_violation(&self, expected: &str) {
        match self.checker.failure() {
            Some(Failure::Violated { invariant, .. }) => assert_eq!(invariant, expected),
            other => panic!("{expected} was not found violated, but {other:?}"),
        }
    }
}

fn status(server: ServerId, role: Role, epoch: u32, committed: Zxid, digest: u64) -> Status {
    Status {
        server,
        role,
        serving: true,
        leader: None,
        epoch: Epoch::new(epoch),
        logged: committed,
        committed,
        applied: committed,
        digest,
        znodes: 0,
        sessions: 0,
        clients: 0,
        watches: 0,
        learners: Vec::new(),
    }
}

fn propose(entries: Vec<LogEntry>) -> Body {
    Body::Propose { entries, committed: Zxid::ZERO }
}

fn promise(epoch: u32, current: u32) -> Body {
    Body::AckEpoch(AckEpoch {
        epoch: Epoch::new(epoch),
        promise: Promise::Given,
        current: Epoch::new(current),
        tip: zxid(1, 1),
    })
}

fn zxid(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch::new(epoch), counter)
}

fn entry(epoch: u32, counter: u32) -> LogEntry {
    LogEntry { zxid: zxid(epoch, counter), payload: Bytes::from(format!("{epoch}.{counter}")) }
}

fn epochs(epoch: u32) -> [LogOp; 2] {
    [LogOp::AcceptedEpoch(Epoch::new(epoch)), LogOp::CurrentEpoch(Epoch::new(epoch))]
}

/// A and B have committed 1.1 in epoch 1, which A leads.
fn committed() -> Script {
    let script = Script::new();
    for server in [A, B] {
        script.persists(server, &epochs(1));
        script.persists(server, &[LogOp::Append(vec![entry(1, 1)])]);
    }
    script.says(A, B, Body::Sync(SyncMode::Diff(Zxid::ZERO)));
    script.says(A, B, propose(vec![entry(1, 1)]));
    script.reports(A, Role::Leading, 1, zxid(1, 1), 7);
    script.reports(B, Role::Following, 1, zxid(1, 1), 7);
    script.expect_sound();
    script
}

#[test]
fn scn_64_a_commit_that_only_a_minority_made_durable_is_found() {
    let script = Script::new();
    script.persists(A, &epochs(1));
    script.persists(A, &[LogOp::Append(vec![entry(1, 1)])]);
    script.writes(B, &epochs(1));
    script.reports(A, Role::Leading, 1, zxid(1, 1), 7);
    script.expect_violation("CommittedDurability");
}

#[test]
fn scn_64_two_leaders_of_one_epoch_are_found_even_if_the_first_is_dead() {
    let script = committed();
    script.sees(A, &Seen::Down);
    script.reports(B, Role::Leading, 1, zxid(1, 1), 7);
    script.expect_violation("Leadership");
}

#[test]
fn scn_64_a_second_leader_that_only_brings_a_learner_level_is_found() {
    let script = Script::new();
    let brings_level = |leader, learner| {
        script.says(leader, learner, Body::Sync(SyncMode::Diff(Zxid::ZERO)));
        script.says(leader, learner, Body::NewLeader { epoch: Epoch::new(1), tip: Zxid::ZERO });
    };
    for server in [A, B, C] {
        script.persists(server, &epochs(1));
    }
    brings_level(A, C);
    script.expect_sound();
    brings_level(B, C);
    script.expect_violation("Leadership");
}

#[test]
fn a_leader_without_a_committed_entry_is_found() {
    let script = committed();
    script.persists(C, &epochs(2));
    script.reports(C, Role::Leading, 2, Zxid::ZERO, 0);
    script.expect_violation("LeaderCompleteness");
}

#[test]
fn a_committed_entry_that_is_cut_off_is_found() {
    let script = committed();
    script.persists(B, &[LogOp::TruncateAfter(Zxid::ZERO)]);
    script.expect_violation("Agreement");
}

#[test]
fn a_leader_that_proposes_without_what_was_committed_before_is_found() {
    let script = committed();
    script.persists(C, &epochs(2));
    script.persists(C, &[LogOp::Append(vec![entry(2, 1)])]);
    script.expect_violation("PrimaryIntegrity");
}

#[test]
fn an_old_transaction_that_is_delivered_after_a_new_epoch_began_without_it_is_found() {
    let script = committed();
    for server in [A, B] {
        script.persists(server, &[LogOp::Append(vec![entry(1, 2)])]);
    }
    script.persists(C, &epochs(1));
    script.persists(C, &[LogOp::Append(vec![entry(1, 1)])]);
    script.persists(C, &epochs(2));
    script.persists(C, &[LogOp::Append(vec![entry(2, 1)])]);
    script.expect_sound();
    script.reports(A, Role::Leading, 1, zxid(1, 2), 7);
    script.expect_violation("PrimaryIntegrity");
}

#[test]
fn a_server_that_applies_more_than_it_knows_to_be_committed_is_found() {
    let script = committed();
    script.persists(C, &epochs(1));
    script.persists(C, &[LogOp::Append(vec![entry(1, 1)])]);
    script.reports_applied(C, zxid(1, 1), zxid(1, 2));
    script.expect_violation("Agreement");
}

#[test]
fn a_transaction_that_its_leader_never_proposed_is_found() {
    let script = committed();
    script.writes(B, &[LogOp::Append(vec![entry(1, 2)])]);
    script.expect_violation("Integrity");
}

#[test]
fn a_vote_for_a_history_that_is_not_durable_is_found() {
    let script = committed();
    let tell = |zxid| {
        let vote = Vote { epoch: Epoch::new(1), zxid, sid: A };
        let told = Notification {
            state: ServerState::Looking,
            round: 1,
            vote: Some(vote),
            candidate: Some(vote),
            hears_you: true,
            connected: true,
            ask: false,
        };
        script.sees(A, &Seen::Says { to: B, message: &Message::Election(told) });
    };
    tell(zxid(1, 1));
    script.expect_sound();
    script.writes(A, &[LogOp::Append(vec![entry(1, 2)])]);
    tell(zxid(1, 2));
    script.expect_violation("VoteHonesty");
}

#[test]
fn a_promise_that_boasts_of_a_newer_history_is_found() {
    let script = committed();
    script.persists(B, &[LogOp::AcceptedEpoch(Epoch::new(2))]);
    script.says(B, C, promise(2, 2));
    script.expect_violation("VoteHonesty");
}

#[test]
fn an_acknowledgement_of_what_is_not_durable_is_found() {
    for (body, expected) in [
        (Body::Ack { zxid: zxid(1, 2) }, "AckDurable"),
        (Body::AckNewLeader { epoch: Epoch::new(2) }, "AckDurable"),
        (promise(2, 1), "AckDurable"),
        (Body::LeaderInfo { epoch: Epoch::new(2), bid: 7 }, "AckDurable"),
    ] {
        let script = committed();
        script.says(B, A, Body::Ack { zxid: zxid(1, 1) });
        script.expect_sound();
        // Asked for, but not confirmed.
        let ops = [LogOp::AcceptedEpoch(Epoch::new(2)), LogOp::CurrentEpoch(Epoch::new(2))];
        script.writes(B, &ops);
        script.says(B, A, body);
        script.expect_violation(expected);
    }
}

#[test]
fn a_promise_to_two_leaders_of_one_epoch_is_found_even_across_a_restart() {
    let script = committed();
    script.persists(B, &[LogOp::AcceptedEpoch(Epoch::new(2))]);
    script.says(B, A, promise(2, 1));
    script.says(B, A, promise(2, 1));
    script.expect_sound();
    script.sees(B, &Seen::Down);
    script.says(B, C, promise(2, 1));
    script.expect_violation("PromiseOnce");
}

#[test]
fn an_epoch_that_is_made_current_before_its_history_is_there_is_found() {
    let script = committed();
    script.persists(A, &epochs(2));
    script.persists(C, &epochs(1));
    script.persists(C, &[LogOp::AcceptedEpoch(Epoch::new(2))]);
    script.expect_sound();
    let ops = [LogOp::CurrentEpoch(Epoch::new(2)), LogOp::Append(vec![entry(1, 1)])];
    script.writes(C, &ops);
    script.expect_violation("HistoryBeforeEpoch");
}

#[test]
fn an_epoch_may_be_made_current_behind_its_history_in_one_batch() {
    let script = committed();
    script.persists(A, &epochs(2));
    script.persists(C, &epochs(1));
    script.persists(
        C,
        &[
            LogOp::AcceptedEpoch(Epoch::new(2)),
            LogOp::Append(vec![entry(1, 1)]),
            LogOp::CurrentEpoch(Epoch::new(2)),
        ],
    );
    script.expect_sound();
}

#[test]
fn a_commit_that_is_told_before_a_majority_has_it_is_found() {
    let script = committed();
    script.says(A, C, Body::Commit { zxid: zxid(1, 1) });
    script.persists(A, &[LogOp::Append(vec![entry(1, 2)])]);
    script.writes(B, &[LogOp::Append(vec![entry(1, 2)])]);
    script.expect_sound();
    script.says(A, C, Body::Propose { entries: vec![], committed: zxid(1, 2) });
    script.expect_violation("CommitLegal");
}

#[test]
fn one_zxid_with_two_contents_is_found_before_it_is_committed() {
    let script = committed();
    script.persists(C, &epochs(1));
    let forged = LogEntry { payload: Bytes::from_static(b"forged"), ..entry(1, 1) };
    script.writes(C, &[LogOp::Append(vec![forged])]);
    script.expect_violation("Integrity");
}

#[test]
fn a_gap_in_a_history_is_found() {
    let script = committed();
    script.writes(A, &[LogOp::Append(vec![entry(1, 3)])]);
    script.expect_violation("PrimaryOrder");
}

#[test]
fn an_entry_of_an_older_epoch_behind_one_of_a_newer_is_found() {
    let script = committed();
    script.persists(C, &epochs(2));
    script.persists(C, &[LogOp::Append(vec![entry(1, 1), entry(2, 1)])]);
    script.expect_sound();
    script.writes(C, &[LogOp::Append(vec![entry(1, 2)])]);
    script.expect_violation("PrimaryOrder");
}

#[test]
fn two_servers_that_take_different_transactions_for_committed_are_found() {
    let script = committed();
    script.persists(A, &[LogOp::Append(vec![entry(1, 2)])]);
    script.persists(C, &[LogOp::Append(vec![entry(1, 1)])]);
    for server in [C, B] {
        script.persists(server, &epochs(2));
    }
    script.persists(C, &[LogOp::Append(vec![entry(2, 1)])]);
    script.persists(B, &[LogOp::Append(vec![entry(2, 1)])]);
    script.reports(C, Role::Leading, 2, zxid(2, 1), 8);
    script.expect_sound();
    script.reports(A, Role::Following, 1, zxid(1, 2), 9);
    script.expect_violation("Agreement");
}

#[test]
fn an_epoch_that_goes_back_is_found() {
    let script = Script::new();
    script.persists(A, &epochs(2));
    script.writes(A, &[LogOp::AcceptedEpoch(Epoch::new(1))]);
    script.expect_violation("EpochDurable");
}

#[test]
fn a_storage_that_forgets_what_it_confirmed_is_found() {
    let script = committed();
    script.sees(B, &Seen::Down);
    script.recovers(B, 1, &[]);
    script.expect_violation("RecoveryHonest");
}

#[test]
fn a_storage_may_forget_what_it_never_confirmed() {
    let script = committed();
    script.writes(A, &[LogOp::Append(vec![entry(1, 2)])]);
    script.writes(B, &[LogOp::Append(vec![entry(1, 2)])]);
    script.sees(B, &Seen::Down);
    script.recovers(B, 1, &[entry(1, 1)]);
    script.expect_sound();
}

#[test]
fn scn_64_states_that_differ_at_one_position_are_found() {
    let script = committed();
    script.persists(C, &epochs(1));
    script.persists(C, &[LogOp::Append(vec![entry(1, 1)])]);
    script.reports(C, Role::Following, 1, zxid(1, 1), 8);
    script.expect_violation("ReplicaEquality");
}

#[test]
fn a_server_that_goes_back_is_found() {
    let script = committed();
    script.reports(B, Role::Following, 1, Zxid::ZERO, 0);
    script.expect_violation("AppliedMonotonic");
}

#[test]
fn a_learner_that_serves_before_its_leader_is_established_is_found() {
    for established in [false, true] {
        let script = committed();
        if established {
            script.reports(A, Role::Leading, 2, zxid(1, 1), 7);
        }
        script.reports(B, Role::Following, 2, zxid(1, 1), 7);
        if established {
            script.expect_sound();
        } else {
            script.expect_violation("ServesAfterLeader");
        }
    }
}
