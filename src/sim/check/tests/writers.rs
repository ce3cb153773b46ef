//! Who writes, and what is left of it later.

use super::*;

fn recovers_with_snapshot(script: &Script, snapshot: Option<Zxid>, standing: Standing) {
    let recovered = Recovered {
        accepted_epoch: Epoch::new(1),
        current_epoch: Epoch::new(1),
        snapshot,
        log_start: Zxid::ZERO,
        log: Vec::new(),
        standing,
    };
    script.sees(B, &Seen::Recovered(&recovered));
    script.expect_sound();
}

#[test]
fn a_write_beside_another_is_found() {
    let script = committed();
    script.writes(A, &[LogOp::Append(vec![entry(1, 2)])]);
    script.expect_sound();
    script.writes(A, &[LogOp::Append(vec![entry(1, 3)])]);
    script.expect_violation("NoGhostWriter");
}

#[test]
fn a_write_of_a_process_that_has_ended_is_found() {
    let appends = [LogOp::Append(vec![entry(1, 2)])];
    let script = committed();
    script.sees(A, &Seen::Down);
    script.writes(A, &appends);
    script.expect_violation("NoGhostWriter");
    // The write had begun before, and ends when another process has recovered the log.
    let script = committed();
    script.writes(A, &appends);
    script.sees(A, &Seen::Down);
    script.recovers(A, 1, &[entry(1, 1)]);
    script.expect_sound();
    script.sees(A, &Seen::Written);
    script.expect_violation("NoGhostWriter");
}

#[test]
fn a_server_that_begins_with_less_than_its_snapshot_is_found() {
    for applied in [zxid(1, 1), Zxid::ZERO] {
        let script = committed();
        script.sees(B, &Seen::SnapshotSaved(zxid(1, 1)));
        script.sees(B, &Seen::Down);
        recovers_with_snapshot(&script, Some(zxid(1, 1)), Standing::Whole);
        script.reports_applied(B, zxid(1, 1), applied);
        if applied == zxid(1, 1) {
            script.expect_sound();
        } else {
            script.expect_violation("AppliedMonotonic");
        }
    }
}

/// B has lost what was committed, and was taken for level again without it.
fn committed_on_one() -> Script {
    let script = committed();
    script.sees(B, &Seen::Damaged);
    script.sees(B, &Seen::Down);
    recovers_with_snapshot(&script, None, Standing::Suspect("wiped".to_owned()));
    script.checker.finish(Time::ZERO);
    script.expect_sound();
    script.persists(B, &epochs(1));
    script.expect_sound();
    script
}

#[test]
fn a_committed_entry_that_only_a_minority_still_has_is_found_at_the_end() {
    let script = committed_on_one();
    script.checker.finish(Time::ZERO);
    script.expect_violation("CommittedDurability");
}

#[test]
fn a_committed_entry_that_only_a_minority_still_has_is_found_in_time() {
    let script = committed_on_one();
    for _ in 0..1_000 {
        script.reports(A, Role::Leading, 1, zxid(1, 1), 7);
    }
    script.expect_violation("CommittedDurability");
}

#[test]
fn a_committed_entry_that_is_purged_before_a_snapshot_holds_it_is_found() {
    for has_snapshot in [true, false] {
        let script = committed();
        for server in [A, B] {
            if has_snapshot {
                script.sees(server, &Seen::SnapshotSaved(zxid(1, 1)));
            }
            script.persists(server, &[LogOp::PurgeUpTo(zxid(1, 1))]);
        }
        script.checker.finish(Time::ZERO);
        if has_snapshot {
            script.expect_sound();
        } else {
            script.expect_violation("CommittedDurability");
        }
    }
}

#[test]
fn a_committed_entry_that_outlasted_its_purge_is_held_though_the_snapshot_is_damaged() {
    let script = committed();
    for server in [A, B] {
        script.sees(server, &Seen::SnapshotSaved(zxid(1, 1)));
        script.persists(server, &[LogOp::PurgeUpTo(zxid(1, 1))]);
    }
    script.sees(B, &Seen::Damaged);
    script.sees(B, &Seen::Down);
    script.recovers(B, 1, &[entry(1, 1)]);
    script.persists(B, &epochs(1));
    script.checker.finish(Time::ZERO);
    script.expect_sound();
}

#[test]
fn a_server_whose_reset_did_not_come_to_pass_still_has_what_it_had_before_its_snapshot() {
    let script = committed();
    script.sees(B, &Seen::SnapshotSaved(zxid(1, 1)));
    script.sees(B, &Seen::SnapshotSaved(zxid(1, 2)));
    script.writes(B, &[LogOp::ResetTo(zxid(1, 2))]);
    script.sees(B, &Seen::Down);
    recovers_with_snapshot(&script, Some(zxid(1, 1)), Standing::Whole);
    script.sees(B, &Seen::Damaged);
    script.sees(B, &Seen::Down);
    script.recovers(B, 1, &[entry(1, 1)]);
    script.expect_sound();
}
