//! Partial partitions that never heal (reliability.md, SCN-34 to SCN-38).

use std::time::Duration;

use super::network::{GIVE_UP, Network};
use crate::election::ServerState::{Leading, Looking};
use crate::quorum::Quorum;

const LONG: Duration = Duration::from_secs(120);
/// The bar that OmniPaxos sets: recovery within four election timeouts.
const BAR: Duration = Duration::from_secs(4);

const STAR_AROUND_3: [(u64, u64); 4] = [(3, 1), (3, 2), (3, 4), (3, 5)];

/// Five servers that follow 5.
fn five() -> Network {
    let mut net = Network::of(5);
    net.boot_all();
    net.run(GIVE_UP);
    assert_eq!(net.agreed(), Some(5));
    net
}

#[test]
fn a_hub_that_alone_reaches_a_majority_comes_to_lead() {
    // SCN-34, quorum loss: the leader keeps its link to the hub, and the hub its links to all.
    let mut net = five();
    net.only_links(&STAR_AROUND_3);
    let took = net.run_until(LONG, |net| net.agreed() == Some(3)).expect("3 leads");
    assert!(took < BAR, "{took:?}");
    let started = net.started();
    net.run(LONG);
    assert_eq!(net.agreed(), Some(3));
    assert_eq!(net.started(), started, "and it stays so");
}

#[test]
fn scn_35_a_hub_leads_over_a_fresher_leaf_when_a_quorum_is_not_fresher_than_the_hub() {
    // SCN-35, where the hub lacks only what no quorum has.
    let mut net = Network::of(5);
    (1..=5).for_each(|server| net.history(server, 1, 7));
    net.history(5, 1, 9);
    net.only_links(&STAR_AROUND_3);
    net.boot_all();
    let took = net.run_until(LONG, |net| net.state(3) == Leading).expect("3 leads");
    assert!(took < BAR, "{took:?}");
}

#[test]
fn scn_35_a_hub_that_lacks_what_a_quorum_has_is_not_elected_and_rounds_do_not_grow() {
    // SCN-35 proper. What the four have may be committed: to elect 3 would be to ask ZAB to lose it.
    let mut net = Network::of(5);
    (1..=5).for_each(|server| net.history(server, 1, 9));
    net.history(3, 1, 7);
    net.only_links(&STAR_AROUND_3);
    net.boot_all();
    net.run(LONG);
    assert!((1..=5).all(|server| net.state(server) == Looking));
    assert_eq!(net.started(), 5);
    let sent = net.sent();
    net.run(LONG);
    assert!(net.sent() - sent < 60 * 40, "they ask at the slowest pace: {}", net.sent() - sent);

    net.mend(4, 5);
    net.mend(5, 4);
    net.mend(1, 5);
    net.mend(5, 1);
    let took = net.run_until(LONG, |net| net.state(5) == Leading).expect("5 reaches 1, 3 and 4 now");
    assert!(took < BAR, "{took:?}");
}

#[test]
fn scn_35_a_candidate_that_the_freshest_of_its_quorum_cannot_back_gives_way_to_one_that_needs_it_not() {
    // 1, 2 and 3 reach each other. 5 reaches 3 and 4, and so a quorum too, but 4 is fresher and reaches nobody else: it can
    // neither back 5 nor lead.
    let mut net = Network::of(5);
    (1..=5).for_each(|server| net.history(server, 1, 3));
    net.history(4, 2, 1);
    net.only_links(&[(1, 2), (1, 3), (2, 3), (3, 5), (4, 5)]);
    net.boot_all();
    let took = net.run_until(LONG, |net| net.state(3) == Leading).expect("3 leads with 1, 2 and 5");
    assert!(took < BAR, "{took:?}");
    let started = net.started();
    net.run(LONG);
    assert!(net.is_led());
    assert_eq!((net.state(4), net.started()), (Looking, started));
}

#[test]
fn a_line_of_three_has_one_leader_and_its_epochs_do_not_grow() {
    // SCN-36, chained: 1 - 2 - 3.
    for leader_first in [1, 2, 3] {
        let mut net = Network::of(3);
        net.history(leader_first, 1, 9);
        net.boot_all();
        net.run(GIVE_UP);
        assert_eq!(net.agreed(), Some(leader_first));
        net.cut(1, 3);
        net.run(BAR);
        let leaders: Vec<u64> = (1..=3).filter(|server| net.state(*server) == Leading).collect();
        assert_eq!(leaders, [leader_first], "it still reaches 2, and that is a quorum");
        let vote = net.election(2).vote();
        let started = net.started();
        net.run(LONG);
        assert_eq!(net.election(2).vote(), vote, "the same leader, the same epoch");
        assert_eq!(net.started(), started, "the one at the end looks, and disturbs nobody");
    }
}

#[test]
fn a_line_of_three_elects_in_the_first_place() {
    for best in [1, 2, 3] {
        let mut net = Network::of(3);
        net.history(best, 1, 9);
        net.cut(1, 3);
        net.boot_all();
        let took =
            net.run_until(LONG, |net| net.state(best) == Leading && net.election(2).leader().is_some());
        assert!(took.is_some_and(|took| took < BAR), "{took:?}");
    }
}

#[test]
fn a_server_that_sends_and_cannot_hear_deposes_nobody() {
    // SCN-37, permanent: all that goes to 5 is lost.
    let mut net = five();
    (1..=4).for_each(|server| net.cut_one_way(server, 5));
    net.run(3 * GIVE_UP);
    assert_eq!(net.state(5), Looking, "a leader that hears nobody steps down");
    assert_eq!(net.state(4), Leading);
    let (vote, started) = (net.election(4).vote(), net.started());
    net.run(LONG);
    assert_eq!(net.election(4).vote(), vote);
    assert_eq!(net.started(), started);
}

#[test]
fn a_server_that_hears_and_cannot_send_deposes_nobody() {
    // SCN-37, the other way: all that 5 sends is lost.
    let mut net = five();
    (1..=4).for_each(|server| net.cut_one_way(5, server));
    net.run(3 * GIVE_UP);
    assert_eq!(net.state(4), Leading);
    let (vote, started) = (net.election(4).vote(), net.started());
    net.run(LONG);
    assert_eq!(net.election(4).vote(), vote);
    assert_eq!(
        (net.state(5), net.started()),
        (Looking, started),
        "it hears of the leader, which does not hear it"
    );
}

#[test]
fn a_one_way_server_with_the_best_vote_does_not_stall_an_election() {
    // SCN-37 at the start: blind in one direction, and the freshest of all.
    for deaf in [true, false] {
        let mut net = Network::of(5);
        net.history(5, 3, 9);
        for server in 1..=4 {
            if deaf { net.cut_one_way(server, 5) } else { net.cut_one_way(5, server) }
        }
        net.boot_all();
        let took = net.run_until(LONG, |net| net.state(4) == Leading).expect("4 leads");
        assert!(took < BAR, "{took:?}");
        net.run(LONG);
        assert_eq!(net.started(), 5, "5 neither leads nor makes others begin again");
        assert_eq!(net.state(5), Looking);
    }
}

#[test]
fn scn_38_a_bridge_elects_what_its_halves_cannot() {
    // SCN-38: two halves, and 3 in both.
    let mut net = five();
    net.only_links(&[(1, 2), (1, 3), (2, 3), (3, 4), (3, 5), (4, 5)]);
    net.run(BAR);
    let leaders: Vec<u64> = (1..=5).filter(|server| net.state(*server) == Leading).collect();
    assert_eq!(leaders, [5], "5 keeps 3 and 4");
    let started = net.started();
    net.run(LONG);
    assert_eq!(net.started(), started);
}

#[test]
fn scn_38_a_ring_elects_a_leader_and_keeps_it() {
    // SCN-38, every server sees a different majority: each reaches its two neighbours.
    let mut net = Network::of(5);
    net.only_links(&[(1, 2), (2, 3), (3, 4), (4, 5), (5, 1)]);
    net.boot_all();
    let took = net.run_until(LONG, |net| net.state(5) == Leading).expect("5 leads with 4 and 1");
    assert!(took < BAR, "{took:?}");
    let started = net.started();
    net.run(LONG);
    assert_eq!((net.state(5), net.started()), (Leading, started));
}

#[test]
fn scn_38_a_blind_node_and_one_to_which_all_are_blind_cost_one_election_at_most() {
    // Keeper's "blind node" hears nobody, to its "blind others" nobody listens: each of the five in turn, the leader among them.
    for (one, is_blind) in (1..=5).flat_map(|one| [(one, true), (one, false)]) {
        let mut net = five();
        let started = net.started();
        for other in (1..=5).filter(|other| *other != one) {
            if is_blind { net.cut_one_way(other, one) } else { net.cut_one_way(one, other) }
        }
        net.run(3 * GIVE_UP);
        let leader = if one == 5 { 4 } else { 5 };
        let leading: Vec<u64> = (1..=5).filter(|server| net.state(*server) == Leading).collect();
        assert_eq!(leading, [leader], "{one} blind: {is_blind}");
        let follow = (1..=5).filter(|server| net.election(*server).vote() == net.election(leader).vote());
        assert!(follow.filter(|server| *server != one).count() == 4, "all others follow it");
        // The leader that is lost costs each of the others one election; any other server only itself.
        let began = net.started() - started;
        assert_eq!(began, if one == 5 { 5 } else { 1 }, "{one} blind: {is_blind}");

        let (vote, started) = (net.election(leader).vote(), net.started());
        net.run(LONG);
        assert_eq!((net.election(leader).vote(), net.started()), (vote, started), "and then it is quiet");
        assert_eq!(net.state(one), Looking);
        net.heal();
        let took = net.run_until(LONG, |net| net.agreed() == Some(leader)).expect("all follow it");
        assert!(took < BAR, "{took:?}");
        assert_eq!(net.election(leader).vote(), vote, "in the same epoch");
    }
}

#[test]
fn a_minority_never_disturbs_a_majority_and_joins_it_when_the_links_heal() {
    let mut net = five();
    net.only_links(&[(5, 4), (5, 3), (4, 3), (1, 2)]);
    net.run(LONG);
    let vote = net.election(5).vote();
    assert_eq!([1, 2].map(|server| net.state(server)), [Looking; 2]);
    net.heal();
    let took = net.run_until(LONG, |net| net.agreed() == Some(5)).expect("all follow 5");
    assert!(took < BAR, "{took:?}");
    assert_eq!(net.election(5).vote(), vote, "in the same epoch");
}

#[test]
fn groups_and_weights_elect_too() {
    // Three groups of three; the third is down, and 6 votes without weight.
    let weight = |server| u32::from(server != 6);
    let members =
        (1..=9).map(|server| (super::network::sid(server), weight(server), (server as u32 - 1) / 3));
    let mut net = Network::new(1, Quorum::hierarchical(members), &[]);
    [1, 2, 4, 5, 6].into_iter().for_each(|server| net.boot(server));
    net.run(GIVE_UP);
    assert_eq!(net.agreed(), Some(5), "6 has no weight");
}
