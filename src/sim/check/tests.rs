use bytes::Bytes;

use crate::peer::{Role, Status};
use crate::types::{Epoch, LogEntry, LogOp, Recovered, Standing, WriteBatch, Zxid};

use super::*;

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

    fn reports(&self, server: ServerId, role: Role, epoch: u32, committed: Zxid, digest: u64) {
        let status = Status {
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
        };
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
    script.reports(A, Role::Leading, 1, zxid(1, 1), 7);
    script.reports(B, Role::Following, 1, zxid(1, 1), 7);
    script.expect_sound();
    script
}

#[test]
fn a_commit_that_only_a_minority_made_durable_is_found() {
    let script = Script::new();
    script.persists(A, &epochs(1));
    script.persists(A, &[LogOp::Append(vec![entry(1, 1)])]);
    script.writes(B, &epochs(1));
    script.reports(A, Role::Leading, 1, zxid(1, 1), 7);
    script.expect_violation("CommittedDurability");
}

#[test]
fn two_leaders_of_one_epoch_are_found_even_if_the_first_is_dead() {
    let script = committed();
    script.sees(A, &Seen::Down);
    script.reports(B, Role::Leading, 1, zxid(1, 1), 7);
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
fn two_commits_at_one_place_are_found() {
    let script = committed();
    script.persists(C, &epochs(1));
    script.persists(C, &epochs(2));
    script.persists(C, &[LogOp::Append(vec![entry(2, 1)])]);
    script.reports(C, Role::Following, 2, zxid(2, 1), 7);
    script.expect_violation("Agreement");
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
    script.writes(B, &[LogOp::Append(vec![entry(1, 2)])]);
    script.sees(B, &Seen::Down);
    script.recovers(B, 1, &[entry(1, 1)]);
    script.expect_sound();
}

#[test]
fn states_that_differ_at_one_position_are_found() {
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
