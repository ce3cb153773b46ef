//! Every behaviour of the production election, of the production ZAB and of whole peers within bounds that take seconds here;
//! `examples/model_check.rs` has larger ones, and docs/model-checking.md what they gave.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use quorate::sim::model::{
    ElectionBounds, ElectionFlaw, ModelReport, PeerBounds, PeerFlaw, ZabBounds, ZabFlaw,
};
use quorate::sim::{Point, Sweep, SweepReport, World, life_of_a_quorum, life_of_learners};

#[track_caller]
fn holds(report: &ModelReport, at_least: u64) {
    if let Some(violation) = &report.violation {
        panic!("{violation}");
    }
    assert!(report.complete);
    assert!(report.states >= at_least, "{} states are fewer than there were", report.states);
}

#[track_caller]
fn breaks(report: &ModelReport, property: &str) {
    let violation = report.violation.as_ref().expect("the flaw is found");
    assert_eq!(violation.property, property, "{violation}");
}

fn three() -> ElectionBounds {
    ElectionBounds::new([(1, 1), (1, 1), (1, 1)])
}

fn two_elections() -> ZabBounds {
    ZabBounds { leads: 2, follows: 4, proposals: 1, ..ZabBounds::new(3) }
}

#[test]
fn elections_of_three_hold_in_every_order_of_messages() {
    holds(&three().check(), 2_000);
}

#[test]
fn elections_of_three_with_different_histories_hold_when_a_deadline_comes_at_any_moment() {
    let bounds = ElectionBounds { deadlines: 1, ..ElectionBounds::new([(2, 1), (1, 5), (1, 3)]) };
    holds(&bounds.check(), 1_000);
}

#[test]
fn elections_of_three_hold_when_a_server_crashes_at_any_moment() {
    holds(&ElectionBounds { crashes: 1, ..three() }.check(), 3_000);
}

#[test]
fn elections_of_five_hold_whichever_message_is_late() {
    let bounds = ElectionBounds { flight: 4, delays: Some(1), ..ElectionBounds::new(vec![(1, 1); 5]) };
    holds(&bounds.check(), 2_000);
}

#[test]
fn two_servers_may_decide_to_lead_in_one_round_which_is_why_zab_discovers() {
    let bounds = ElectionBounds { deadlines: 2, demand_one_leader_per_round: true, ..three() };
    breaks(&bounds.check(), "OneLeaderPerRound");
}

#[test]
fn a_candidate_that_boasts_is_found() {
    let bounds = ElectionBounds { flaw: Some(ElectionFlaw::BoastfulCandidate), ..three() };
    breaks(&bounds.check(), "VotesAreHonest");
}

#[test]
fn a_server_that_takes_itself_for_a_quorum_is_found() {
    let bounds = ElectionBounds { flaw: Some(ElectionFlaw::LonelyQuorum), ..three() };
    breaks(&bounds.check(), "LeadersAreBacked");
}

#[test]
fn zab_holds_with_two_leaders_at_odds() {
    holds(&two_elections().check(), 1_000);
}

#[test]
fn zab_holds_with_two_transactions_in_one_epoch() {
    holds(&ZabBounds { proposals: 2, ..ZabBounds::new(3) }.check(), 3_000);
}

#[test]
fn zab_holds_when_a_server_crashes_at_any_moment() {
    holds(&ZabBounds { proposals: 1, crashes: 1, follows: 3, ..ZabBounds::new(3) }.check(), 5_000);
}

#[test]
fn zab_holds_when_a_server_is_cut_off_at_any_moment() {
    holds(&ZabBounds { proposals: 1, partitions: 1, follows: 3, ..ZabBounds::new(3) }.check(), 5_000);
}

#[test]
fn zab_holds_when_a_server_crashes_and_one_is_cut_off_at_any_moment() {
    let faults = ZabBounds { proposals: 1, crashes: 1, partitions: 1, ..ZabBounds::new(3) };
    holds(&faults.check(), 5_000);
}

#[test]
fn what_need_not_be_looked_at_is_not_looked_at() {
    let reduced = two_elections();
    let whole = ZabBounds { reduced: false, ..two_elections() };
    let (reduced, whole) = (reduced.check(), whole.check());
    holds(&reduced, 1_000);
    holds(&whole, 5_000);
    assert!(reduced.states < whole.states);
}

#[test]
fn a_disk_that_says_too_early_that_it_is_done_is_found() {
    let bounds = ZabBounds { flaw: Some(ZabFlaw::EarlyDisk), ..two_elections() };
    breaks(&bounds.check(), "AcknowledgedIsDurable");
}

#[test]
fn a_disk_that_writes_epochs_before_their_history_is_found() {
    let bounds = ZabBounds { flaw: Some(ZabFlaw::HastyEpochs), ..two_elections() };
    breaks(&bounds.check(), "AppliedIsDurable");
}

#[test]
fn a_quorum_of_one_is_found() {
    let bounds = ZabBounds { flaw: Some(ZabFlaw::SingleQuorum), ..two_elections() };
    breaks(&bounds.check(), "OneLeaderPerEpoch");
}

#[test]
fn whole_peers_hold_whoever_is_late_twice() {
    holds(&PeerBounds { delays: Some(2), ..PeerBounds::new(3) }.check(), 2_000);
}

#[test]
fn whole_peers_hold_when_a_deadline_comes_early_at_any_moment() {
    holds(&PeerBounds { deadlines: 1, ..PeerBounds::new(3) }.check(), 1_500);
}

#[test]
fn whole_peers_hold_when_one_crashes_at_any_moment() {
    holds(&PeerBounds { crashes: 1, ..PeerBounds::new(3) }.check(), 2_500);
}

#[test]
fn a_search_of_whole_peers_finds_the_same_states_each_time() {
    let bounds = PeerBounds { crashes: 1, delays: Some(1), ..PeerBounds::new(3) };
    let [one, other] = [bounds.check(), bounds.check()];
    assert_eq!((one.states, one.events), (other.states, other.events));
}

#[test]
fn five_whole_peers_hold_whoever_is_late() {
    holds(&PeerBounds { delays: Some(1), ..PeerBounds::new(5) }.check(), 2_000);
}

#[test]
fn a_disk_that_says_too_early_to_a_whole_peer_that_it_is_done_is_found() {
    let bounds = PeerBounds { crashes: 2, flaw: Some(PeerFlaw::EarlyDisk), ..PeerBounds::new(3) };
    breaks(&bounds.check(), "CommittedIsDurable");
}

#[test]
fn peers_that_never_come_to_life_are_found() {
    let bounds = PeerBounds { flaw: Some(PeerFlaw::SilentDisk), ..PeerBounds::new(3) };
    breaks(&bounds.check(), "PeersComeToLife");
}

#[test]
fn a_quorum_survives_faults_at_points_all_through_its_life() {
    let sweep = Sweep { stride: 211, ..Sweep::default() };
    survives(&sweep.run(life_of_a_quorum).expect("it works without a fault"));
}

#[test]
fn learners_survive_faults_at_points_all_through_their_lives() {
    let mut sweep = Sweep { stride: 211, ..Sweep::default() };
    sweep.config.observers = 1;
    let world = World::with(sweep.seed, sweep.config.clone());
    world.run(life_of_learners(world.clone())).expect("it works without a fault");
    let reached =
        |wanted| world.counters().coverage.iter().any(|(point, hits)| *point == wanted && *hits > 0);
    assert!(reached(Point::SyncSnapshot) && reached(Point::SyncDiff) && reached(Point::JoinSuspect));
    world.end();
    survives(&sweep.run(life_of_learners).expect("it works without a fault"));
}

#[track_caller]
fn survives(report: &SweepReport) {
    if let Some((point, failure)) = report.failures.first() {
        panic!("{point}: {failure}");
    }
    assert!(report.points >= 10, "{report:?}");
    assert_eq!(report.reached, report.points, "{report:?}");
}
