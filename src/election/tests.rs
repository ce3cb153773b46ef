mod network;
mod partitions;
mod properties;
mod rules;

use std::time::Duration;

use self::network::{FINALIZE, GIVE_UP, Network};
use super::ServerState::{Following, Leading, Looking};

/// Long enough for everything that goes on to come to rest.
const REST: Duration = Duration::from_secs(1);

#[test]
fn first_start_of_five() {
    let mut net = Network::of(5);

    net.boot(1);
    net.run(REST);
    assert_eq!(net.votes(), [(1, 1)], "one vote of five");
    assert_eq!(net.state(1), Looking);

    net.boot(2);
    net.run(REST);
    assert_eq!(net.votes(), [(1, 2), (2, 2)], "1 saw the larger sid and changed; three are needed");
    assert_eq!([1, 2].map(|server| net.state(server)), [Looking, Looking]);

    net.boot(3);
    net.run(REST);
    assert_eq!(net.votes(), [(1, 3), (2, 3), (3, 3)]);
    assert_eq!([1, 2, 3].map(|server| net.state(server)), [Following, Following, Leading]);
    let round = net.election(3).round();

    net.boot(4);
    net.run(REST);
    assert_eq!(net.votes(), [(1, 3), (2, 3), (3, 3), (4, 3)], "the larger sid came too late");
    assert_eq!(net.state(4), Following);

    net.boot(5);
    net.run(REST);
    assert_eq!(net.votes(), [(1, 3), (2, 3), (3, 3), (4, 3), (5, 3)]);
    assert_eq!(
        [1, 2, 3, 4, 5].map(|server| net.state(server)),
        [Following, Following, Leading, Following, Following]
    );
    assert_eq!(net.election(5).round(), round);
    assert_eq!(net.started(), 5, "each began one election: nobody was disturbed");
}

#[test]
fn restart_with_history() {
    let mut net = Network::of(5);
    for (server, counter) in [(1, 8), (2, 8), (3, 8), (4, 7), (5, 7)] {
        net.history(server, 1, counter);
    }
    [1, 2, 3].into_iter().for_each(|server| net.boot(server));
    net.run(REST);
    assert_eq!(net.votes(), [(1, 3), (2, 3), (3, 3)]);
    [4, 5].into_iter().for_each(|server| net.boot(server));
    net.run(REST);
    assert_eq!(net.agreed(), Some(3));

    // As the mission has it: epochs are all 1 and the zxids as above when 3 and 5 fail.
    for (server, counter) in [(1, 8), (2, 8), (4, 7)] {
        net.history(server, 1, counter);
    }
    [3, 5].into_iter().for_each(|server| net.crash(server));
    let took = net.run_until(2 * GIVE_UP, |net| net.agreed() == Some(2));

    assert!(took.is_some(), "2 leads: {:?}", net.votes());
    assert_eq!(net.votes(), [(1, 2), (2, 2), (4, 2)], "(1,8,2) beats (1,8,1) and (1,7,4)");
    assert_eq!([1, 2, 4].map(|server| net.state(server)), [Following, Leading, Following]);
}

#[test]
fn fresher_zxid_beats_larger_sid() {
    let mut net = Network::of(2);
    net.history(1, 1, 10);
    net.history(2, 1, 9);
    net.boot_all();
    net.run(REST);
    assert_eq!(net.votes(), [(1, 1), (2, 1)]);

    // And as the mission tells it: zk1 has 9, zk2 has 10.
    let mut net = Network::of(3);
    net.history(1, 1, 9);
    net.history(2, 1, 10);
    [1, 2].into_iter().for_each(|server| net.boot(server));
    net.run(REST);
    assert_eq!(net.votes(), [(1, 2), (2, 2)]);
    assert_eq!([1, 2].map(|server| net.state(server)), [Following, Leading]);
}

#[test]
fn joining_server_finds_the_leader() {
    let mut net = Network::of(3);
    [1, 2].into_iter().for_each(|server| net.boot(server));
    net.run(REST);
    assert_eq!(net.agreed(), Some(2));
    let before = net.election(2).vote();

    net.boot(3);
    let took = net.run_until(REST, |net| net.state(3) == Following).expect("3 joins");
    assert!(
        took < FINALIZE,
        "leader and follower say the same: there is nothing to wait for, but it took {took:?}"
    );
    assert_eq!(net.votes(), [(1, 2), (2, 2), (3, 2)]);

    // One that loses its link, and looks, disturbs as little.
    net.cut(1, 2);
    net.run(2 * GIVE_UP);
    assert_eq!(net.state(1), Looking, "it hears of the leader from 3, but not from the leader");
    net.mend(1, 2);
    net.mend(2, 1);
    net.run(5 * REST);
    assert_eq!(net.state(1), Following);
    assert_eq!(net.election(2).vote(), before, "the epoch is the same");
    assert_eq!(net.agreed(), Some(2));
}

#[test]
fn a_killed_leader_is_replaced_soon_after_its_followers_give_it_up() {
    let mut net = Network::of(5);
    net.boot_all();
    net.run(REST);
    assert_eq!(net.agreed(), Some(5), "all were there in time, so the largest sid won");
    net.crash(5);
    let took = net.run_until(5 * GIVE_UP, |net| net.agreed() == Some(4)).expect("4 replaces 5");
    assert!(took < GIVE_UP + Duration::from_millis(400), "{took:?}");
}

#[test]
fn scn_28_the_votes_for_a_dead_candidate_do_not_elect_it_and_are_given_up() {
    // SCN-28: the best candidate dies in the middle of the election.
    let mut net = Network::of(5);
    net.boot_all();
    net.run_until(REST, |net| net.votes().iter().all(|(_, vote)| *vote == 5)).expect("all vote for 5");
    assert!([1, 2, 3, 4].iter().all(|server| net.state(*server) == Looking), "before it leads");
    net.crash(5);
    let took = net.run_until(5 * REST, |net| net.agreed() == Some(4)).expect("4 leads");
    assert!(took < 2 * REST, "{took:?}");
    assert_eq!(net.started(), 5, "and nobody even began again");
}

#[test]
fn scn_28_a_leader_that_dies_right_after_it_was_elected_is_replaced() {
    // SCN-28: it decided, its electors follow, and it is gone.
    let mut net = Network::of(5);
    net.boot_all();
    net.run_until(REST, |net| net.state(5) == Leading).expect("5 leads");
    net.run_until(REST, |net| net.state(1) == Following).expect("1 follows");
    net.crash(5);
    let took = net.run_until(10 * GIVE_UP, |net| net.agreed() == Some(4)).expect("4 leads");
    assert!(took < 2 * GIVE_UP, "{took:?}");
    net.boot(5);
    net.run(REST);
    assert_eq!(net.agreed(), Some(4), "5 finds the new leader when it is back");
}

#[test]
fn scn_29_members_of_an_old_ensemble_report_equal_votes_to_one_that_comes_later() {
    // SCN-29: 2 and 3 came to the leader at different times, in rounds that differ.
    let mut net = Network::of(5);
    (1..=3).for_each(|server| net.boot(server));
    net.run(REST);
    net.crash(1);
    net.run(REST / 10);
    net.boot(1);
    net.boot(4);
    net.run(2 * GIVE_UP);
    assert_eq!(net.agreed(), Some(3));
    net.boot(5);
    let took = net.run_until(REST, |net| net.state(5) == Following).expect("5 joins");
    assert!(took < FINALIZE, "it saw a quorum of equal votes at once, not after {took:?}");
}
