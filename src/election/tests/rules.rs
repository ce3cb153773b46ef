//! One machine at a time, word for word.

use std::time::Duration;

use super::network::{FINALIZE, GIVE_UP, MAX, MIN, Network, config, sid, vote};
use crate::election::ServerState::{Following, Leading, Looking, Observing};
use crate::election::{Election, Notification, Output, Vote};
use crate::quorum::Quorum;
use crate::types::{SeededRng, ServerId, Time};

const NOW: Time = Time::from_millis(1_000);

fn majority(voters: u64) -> Quorum {
    Quorum::majority((1..=voters).map(sid))
}

/// Server `server` of five, which looks since `NOW` with the history 1.5.
fn looking(server: u64) -> Election {
    started(server, &majority(5), Some(vote(1, 5, server)))
}

fn started(server: u64, quorum: &Quorum, candidate: Option<Vote>) -> Election {
    let mut election = Election::new(config(server, quorum, &[8, 9]), SeededRng::from_number(server));
    election.start(NOW, candidate);
    drain(&mut election);
    election
}

fn drain(election: &mut Election) -> Vec<Output> {
    std::iter::from_fn(|| election.poll_output()).collect()
}

fn sent_to(outputs: &[Output], to: u64) -> Vec<Notification> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send { to: receiver, notification } if *receiver == sid(to) => Some(*notification),
        _ => None,
    });
    sent.collect()
}

/// What a server says that looks, hears the receiver and votes for itself.
fn candidate(candidate: Vote) -> Notification {
    Notification {
        state: Looking,
        round: 1,
        vote: Some(candidate),
        candidate: Some(candidate),
        hears_you: true,
        connected: false,
        ask: false,
    }
}

fn settled(state: crate::election::ServerState, round: u64, vote: Vote) -> Notification {
    Notification {
        state,
        round,
        vote: Some(vote),
        candidate: None,
        hears_you: true,
        connected: false,
        ask: false,
    }
}

fn hear(election: &mut Election, now: Time, from: u64, notification: Notification) -> Vec<Output> {
    election.handle_notification(now, sid(from), notification);
    drain(election)
}

fn decided(outputs: &[Output]) -> Option<(ServerId, u64)> {
    outputs.iter().find_map(|output| match output {
        Output::Decided { leader, round } => Some((*leader, *round)),
        _ => None,
    })
}

#[test]
fn a_start_tells_the_round_the_own_vote_and_asks_every_voter() {
    let mut election = Election::new(config(2, &majority(3), &[9]), SeededRng::from_number(0));
    assert_eq!((election.poll_timeout(), election.poll_output()), (None, None), "it begins idle");
    election.start(NOW, Some(vote(1, 5, 2)));
    let own = vote(1, 5, 2);
    let said = Notification { hears_you: false, ask: true, ..candidate(own) };
    let expected = [
        Output::Started { round: 1 },
        Output::VoteChanged { vote: own, because_of: sid(2) },
        Output::Send { to: sid(1), notification: said },
        Output::Send { to: sid(3), notification: said },
    ];
    assert_eq!(drain(&mut election), expected);
}

#[test]
fn a_server_alone_in_its_ensemble_leads_at_once() {
    let mut election = Election::new(config(1, &majority(1), &[]), SeededRng::from_number(0));
    election.start(NOW, Some(vote(0, 0, 1)));
    assert_eq!(decided(&drain(&mut election)), Some((sid(1), 1)));
    assert_eq!((election.state(), election.poll_timeout()), (Leading, None));
}

#[test]
fn a_better_candidate_gets_the_vote_when_it_hears_this_server() {
    let mut election = looking(3);
    let better = vote(1, 6, 1);
    let outputs = hear(&mut election, NOW, 1, Notification { hears_you: false, ..candidate(better) });
    assert_eq!(election.vote(), Some(vote(1, 5, 3)), "it may be one that cannot hear");
    assert!(sent_to(&outputs, 1)[0].hears_you, "it is told that it is heard");

    let outputs = hear(&mut election, NOW, 1, candidate(better));
    assert!(outputs.contains(&Output::VoteChanged { vote: better, because_of: sid(1) }));
    for voter in [1, 2, 4, 5] {
        assert_eq!(sent_to(&outputs, voter)[0].vote, Some(better), "all voters are told");
    }
    assert!(sent_to(&outputs, 9).is_empty(), "observers are not");
}

#[test]
fn a_candidate_that_others_only_speak_of_gets_no_vote() {
    let mut election = looking(3);
    let talk = Notification { vote: Some(vote(9, 9, 5)), ..candidate(vote(1, 4, 1)) };
    hear(&mut election, NOW, 1, talk);
    assert_eq!(election.vote(), Some(vote(1, 5, 3)));
}

#[test]
fn a_larger_round_is_adopted_and_a_smaller_one_answered_but_not_counted() {
    let mut election = looking(5);
    let backing =
        |round, from| Notification { round, vote: Some(vote(1, 5, 5)), ..candidate(vote(1, 4, from)) };
    hear(&mut election, NOW, 1, backing(1, 1));
    let outputs = hear(&mut election, NOW, 2, backing(7, 2));
    assert_eq!(election.round(), 7);
    assert_eq!(sent_to(&outputs, 4)[0].round, 7, "all are told");
    assert_eq!(decided(&drain_at(&mut election, NOW + FINALIZE)), None, "the vote of 1 was of another round");

    let outputs = hear(&mut election, NOW + FINALIZE, 1, backing(3, 1));
    assert_eq!(sent_to(&outputs, 1)[0].round, 7, "it is answered, though it did not ask");
    assert_eq!(decided(&drain_at(&mut election, NOW + 3 * FINALIZE)), None);

    hear(&mut election, NOW + 3 * FINALIZE, 1, backing(7, 1));
    assert_eq!(decided(&drain_at(&mut election, NOW + 4 * FINALIZE)), Some((sid(5), 7)));
}

fn drain_at(election: &mut Election, now: Time) -> Vec<Output> {
    election.handle_timeout(now);
    drain(election)
}

#[test]
fn a_better_candidate_of_a_smaller_round_gets_no_vote() {
    let mut election = looking(3);
    hear(&mut election, NOW, 1, Notification { round: 2, ..candidate(vote(1, 4, 1)) });
    hear(&mut election, NOW, 5, candidate(vote(1, 6, 5)));
    assert_eq!(election.vote(), Some(vote(1, 5, 3)), "it was said in an election that is over");
    hear(&mut election, NOW, 5, Notification { round: 2, ..candidate(vote(1, 6, 5)) });
    assert_eq!(election.vote(), Some(vote(1, 6, 5)));
}

#[test]
fn a_quorum_waits_the_finalise_wait_for_a_better_vote() {
    let mut election = looking(4);
    let backing = |from| Notification { vote: Some(vote(1, 5, 4)), ..candidate(vote(1, 5, from)) };
    hear(&mut election, NOW, 1, backing(1));
    assert_eq!(decided(&hear(&mut election, NOW, 2, backing(2))), None);
    let just_before = NOW + (FINALIZE - Duration::from_micros(1));
    assert_eq!(decided(&drain_at(&mut election, just_before)), None);
    assert!(election.poll_timeout().is_some_and(|at| at <= NOW + FINALIZE));
    let mut other = election.clone();
    assert_eq!(decided(&drain_at(&mut election, NOW + FINALIZE)), Some((sid(4), 1)));

    hear(&mut other, just_before, 5, candidate(vote(1, 5, 5)));
    assert_eq!(decided(&drain_at(&mut other, NOW + FINALIZE)), None, "a better vote came in time");
    assert_eq!(other.vote(), Some(vote(1, 5, 5)));
}

#[test]
fn a_supporter_that_turns_away_ends_the_wait() {
    let mut election = looking(4);
    let backing = |from| Notification { vote: Some(vote(1, 5, 4)), ..candidate(vote(1, 5, from)) };
    hear(&mut election, NOW, 1, backing(1));
    hear(&mut election, NOW, 2, backing(2));
    hear(&mut election, NOW, 2, candidate(vote(1, 5, 2)));
    assert_eq!(decided(&drain_at(&mut election, NOW + FINALIZE)), None);
    hear(&mut election, NOW + FINALIZE, 2, backing(2));
    assert_eq!(decided(&drain_at(&mut election, NOW + FINALIZE)), None, "the wait began anew");
    assert_eq!(decided(&drain_at(&mut election, NOW + 2 * FINALIZE)), Some((sid(4), 1)));
}

#[test]
fn nobody_needs_to_wait_when_all_voters_agree() {
    let mut election = started(3, &majority(3), Some(vote(1, 5, 3)));
    let backing = |from| Notification { vote: Some(vote(1, 5, 3)), ..candidate(vote(1, 5, from)) };
    hear(&mut election, NOW, 1, backing(1));
    let outputs = hear(&mut election, NOW, 2, backing(2));
    assert_eq!(decided(&outputs), Some((sid(3), 1)));
    for voter in [1, 2] {
        assert_eq!(sent_to(&outputs, voter)[0].state, Leading, "the electors are told at once");
    }
}

#[test]
fn an_elector_joins_when_its_candidate_says_that_it_leads_and_not_before() {
    let mut election = looking(3);
    let leader = vote(1, 5, 5);
    hear(&mut election, NOW, 5, candidate(leader));
    for voter in [1, 2, 4] {
        hear(&mut election, NOW, voter, Notification { vote: Some(leader), ..candidate(vote(1, 5, voter)) });
    }
    drain_at(&mut election, NOW + FINALIZE);
    assert_eq!(election.state(), Looking, "5 may be dead");
    let outputs = hear(&mut election, NOW + FINALIZE, 5, settled(Leading, 1, leader));
    assert_eq!(decided(&outputs), Some((sid(5), 1)));
    assert_eq!((election.state(), election.leader()), (Following, Some(sid(5))));
}

#[test]
fn a_settled_quorum_is_not_followed_unless_the_leader_itself_says_that_it_leads() {
    let mut election = looking(3);
    let leader = vote(4, 5, 5);
    for voter in [1, 2, 4] {
        hear(&mut election, NOW, voter, settled(Following, 9, leader));
    }
    drain_at(&mut election, NOW + FINALIZE);
    assert_eq!(election.state(), Looking);
    let other_position = Vote { zxid: vote(4, 1, 5).zxid, ..leader };
    let outputs = hear(&mut election, NOW + FINALIZE, 5, settled(Leading, 12, other_position));
    assert_eq!(
        decided(&outputs),
        Some((sid(5), 12)),
        "rounds and positions of settled servers are not compared"
    );
    assert_eq!(election.round(), 12);
}

#[test]
fn the_word_of_a_leader_alone_is_believed_after_the_finalise_wait() {
    let mut election = looking(3);
    assert_eq!(decided(&hear(&mut election, NOW, 5, settled(Leading, 4, vote(2, 5, 5)))), None);
    assert_eq!(decided(&drain_at(&mut election, NOW + FINALIZE)), Some((sid(5), 4)));

    let mut election = looking(3);
    hear(&mut election, NOW, 5, settled(Leading, 4, vote(2, 5, 5)));
    hear(&mut election, NOW, 5, candidate(vote(1, 5, 5)));
    assert_eq!(decided(&drain_at(&mut election, NOW + FINALIZE)), None, "it stepped down meanwhile");
}

#[test]
fn a_leader_of_an_earlier_epoch_or_one_that_does_not_hear_this_server_is_not_joined() {
    let mut election = started(3, &majority(5), Some(vote(3, 1, 3)));
    hear(&mut election, NOW, 5, settled(Leading, 4, vote(2, 5, 5)));
    let deaf = Notification { hears_you: false, ..settled(Leading, 5, vote(4, 5, 4)) };
    hear(&mut election, NOW, 4, deaf);
    assert_eq!(decided(&drain_at(&mut election, NOW + FINALIZE)), None);
}

#[test]
fn a_settled_server_answers_those_that_look_and_ignores_all_else() {
    let mut election = looking(3);
    let leader = vote(1, 5, 5);
    hear(&mut election, NOW, 5, candidate(leader));
    hear(&mut election, NOW, 5, settled(Leading, 1, leader));
    election.settle(vote(2, 5, 5));

    let outputs = hear(&mut election, NOW, 1, Notification { round: 99, ..candidate(vote(9, 9, 1)) });
    assert_eq!(outputs, [Output::Send { to: sid(1), notification: settled(Following, 1, vote(2, 5, 5)) }]);
    for notification in [settled(Leading, 99, vote(9, 9, 4)), settled(Following, 99, vote(9, 9, 1))] {
        assert_eq!(hear(&mut election, NOW, 4, notification), []);
    }
    assert_eq!((election.state(), election.leader(), election.round()), (Following, Some(sid(5)), 1));
    assert_eq!(drain_at(&mut election, NOW + GIVE_UP), []);
}

#[test]
fn strangers_and_words_that_contradict_themselves_are_dropped() {
    let mut election = looking(3);
    let better = candidate(vote(9, 9, 5));
    for (from, notification) in [
        (3, candidate(vote(9, 9, 3))),
        (77, candidate(vote(9, 9, 77))),
        (4, better),
        (4, settled(Leading, 9, vote(9, 9, 5))),
        (5, settled(Following, 9, vote(9, 9, 5))),
        (5, Notification { vote: None, ..settled(Leading, 9, vote(9, 9, 5)) }),
    ] {
        assert_eq!(hear(&mut election, NOW, from, notification), [], "{from}: {notification:?}");
    }
    assert_eq!((election.vote(), election.round()), (Some(vote(1, 5, 3)), 1));
}

#[test]
fn servers_without_a_vote_are_answered_and_otherwise_ignored() {
    let mut election = looking(3);
    let outputs =
        hear(&mut election, NOW, 9, Notification { round: 50, ask: true, ..candidate(vote(9, 9, 9)) });
    assert_eq!(outputs.len(), 1);
    assert_eq!(sent_to(&outputs, 9)[0].vote, Some(vote(1, 5, 3)));
    assert_eq!((election.vote(), election.round()), (Some(vote(1, 5, 3)), 1));
    hear(&mut election, NOW, 8, settled(Leading, 9, vote(9, 9, 8)));
    assert_eq!(decided(&drain_at(&mut election, NOW + FINALIZE)), None, "nor can they lead");
}

#[test]
fn a_voter_of_weight_zero_votes_and_never_wins() {
    let quorum = Quorum::hierarchical((1..=4).map(|server| (sid(server), u32::from(server != 4), 0)));
    let mut net = Network::new(3, quorum.clone(), &[]);
    net.history(4, 1, 9);
    (1..=3).for_each(|server| net.history(server, 1, 2));
    [1, 2, 4].into_iter().for_each(|server| net.boot(server));
    net.run(GIVE_UP);
    assert_eq!(net.agreed(), Some(2), "not 4, whose vote is by far the best");

    let election = started(4, &quorum, Some(vote(1, 9, 4)));
    assert_eq!(election.vote(), None, "it does not even propose itself");
}

#[test]
fn an_observer_learns_who_leads_and_is_never_counted() {
    let mut net = Network::new(3, majority(3), &[8]);
    net.history(8, 9, 9);
    [1, 8].into_iter().for_each(|server| net.boot(server));
    net.run(GIVE_UP);
    assert_eq!(net.votes(), [(1, 1)], "an observer does not vote, and gives no majority");
    net.boot(2);
    net.run(GIVE_UP);
    assert_eq!(net.agreed(), Some(2));
    assert_eq!(net.state(8), Observing);
    net.crash(8);
    net.boot(8);
    let took = net.run_until(GIVE_UP, |net| net.state(8) == Observing).expect("it is told");
    assert!(took < FINALIZE);
}

#[test]
fn a_server_with_a_suspect_disk_neither_wins_nor_counts_but_can_follow() {
    let mut net = Network::of(3);
    net.suspect(3);
    [1, 3].into_iter().for_each(|server| net.boot(server));
    net.run(2 * GIVE_UP);
    assert_eq!([1, 3].map(|server| net.state(server)), [Looking, Looking], "one vote that counts, of three");
    net.boot(2);
    net.run(3 * GIVE_UP);
    assert_eq!(net.agreed(), Some(2));
    assert_eq!(net.state(3), Following);
}

#[test]
fn what_was_heard_before_a_start_elects_nobody() {
    // SCN-28: the leader died; its old votes and its old word must not count.
    let mut election = looking(3);
    let leader = vote(1, 5, 5);
    hear(&mut election, NOW, 5, candidate(leader));
    hear(&mut election, NOW, 5, settled(Leading, 1, leader));
    assert_eq!(election.state(), Following);
    election.start(NOW + GIVE_UP, Some(vote(1, 5, 3)));
    assert_eq!((election.round(), election.vote()), (2, Some(vote(1, 5, 3))));
    for follower in [1, 2, 4] {
        hear(&mut election, NOW + GIVE_UP, follower, settled(Following, 1, leader));
    }
    drain_at(&mut election, NOW + GIVE_UP + FINALIZE);
    assert_eq!((election.state(), election.vote()), (Looking, Some(vote(1, 5, 3))));
}

#[test]
fn a_candidate_that_falls_silent_loses_the_vote() {
    let mut election = looking(3);
    hear(&mut election, NOW, 5, candidate(vote(1, 5, 5)));
    assert_eq!(election.vote(), Some(vote(1, 5, 5)));
    let mut now = NOW;
    while election.vote() == Some(vote(1, 5, 5)) {
        now = election.poll_timeout().expect("it looks");
        drain_at(&mut election, now);
    }
    assert_eq!(election.vote(), Some(vote(1, 5, 3)));
    let silent_for = now.since(NOW);
    assert!(silent_for > 6 * MIN && silent_for < 30 * MIN, "{silent_for:?}");
}

#[test]
fn a_candidate_that_reaches_no_quorum_gives_way_after_its_grace() {
    let mut election = looking(3);
    let (lonely, hub) = (vote(1, 5, 5), vote(1, 5, 4));
    hear(&mut election, NOW, 5, candidate(lonely));
    hear(&mut election, NOW, 4, Notification { connected: true, ..candidate(hub) });
    assert_eq!(election.vote(), Some(lonely));
    drain_at(&mut election, NOW + 4 * MIN);
    assert_eq!(election.vote(), Some(hub));
    hear(&mut election, NOW + 4 * MIN, 5, Notification { connected: true, ..candidate(lonely) });
    assert_eq!(election.vote(), Some(lonely), "it does reach one after all");
}

#[test]
fn an_unanswered_server_asks_ever_more_rarely() {
    let mut election = looking(1);
    let mut asked = Vec::new();
    let mut now = NOW;
    while now < NOW + Duration::from_secs(60) {
        now = election.poll_timeout().expect("it looks");
        if !sent_to(&drain_at(&mut election, now), 2).is_empty() {
            asked.push(now);
        }
    }
    assert!((20..=36).contains(&asked.len()), "{asked:?}");
    let spans: Vec<Duration> = asked.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(spans.iter().all(|span| *span >= MIN && *span <= MAX + MAX / 2));
    assert!(spans[4] > 3 * spans[1]);
    let last = &spans[spans.len() - 5..];
    assert!(last.iter().any(|span| *span != last[0]), "chance keeps servers from speaking in step: {last:?}");
}

#[test]
fn words_that_were_not_polled_are_replaced_by_newer_ones() {
    let mut election = looking(3);
    for _ in 0..1_000 {
        election.handle_notification(NOW, sid(1), Notification { ask: true, ..candidate(vote(1, 4, 1)) });
    }
    assert!(drain(&mut election).len() <= 4);
}

#[test]
fn a_timeout_before_its_time_does_nothing() {
    let mut election = looking(3);
    assert_eq!(drain_at(&mut election, NOW), []);
    let mut idle = Election::new(config(1, &majority(3), &[]), SeededRng::from_number(0));
    assert_eq!(drain_at(&mut idle, NOW), []);
    assert_eq!(hear(&mut idle, NOW, 2, candidate(vote(1, 1, 2))), [], "nor does an idle machine answer");
}

#[test]
fn rounds_and_epochs_at_their_end_do_no_harm() {
    let mut election = looking(3);
    hear(&mut election, NOW, 1, Notification { round: u64::MAX, ..candidate(vote(u32::MAX, u32::MAX, 1)) });
    assert_eq!(election.round(), u64::MAX);
    election.start(NOW, Some(vote(1, 5, 3)));
    assert_eq!(election.round(), u64::MAX, "the last round is as good as any");
    let mut last = Election::new(config(1, &majority(3), &[]), SeededRng::from_number(0));
    last.start(Time::from_micros(u64::MAX), Some(vote(1, 1, 1)));
    assert!(last.poll_timeout().is_some());
}

#[test]
fn a_notification_survives_its_encoding() {
    let said = Notification { ask: true, connected: true, ..candidate(vote(3, 4, 5)) };
    let bytes = crate::codec::encode(&said).expect("it is small");
    assert!(bytes.len() < 64, "{}", bytes.len());
    assert_eq!(crate::codec::decode::<Notification>(&bytes), Ok(said));
}

#[test]
fn nobody_waits_for_the_word_of_a_peer_that_has_gone_until_it_speaks_again() {
    for speaks_again in [false, true] {
        let mut election = started(2, &majority(3), Some(vote(1, 5, 2)));
        election.handle_peer_gone(NOW, sid(3));
        assert_eq!(decided(&drain(&mut election)), None, "one is no quorum");
        if speaks_again {
            hear(&mut election, NOW, 3, Notification { hears_you: false, ..candidate(vote(1, 5, 3)) });
        }
        let backs = Notification { vote: Some(vote(1, 5, 2)), ..candidate(vote(1, 5, 1)) };
        let outputs = hear(&mut election, NOW, 1, backs);
        assert_eq!(decided(&outputs), (!speaks_again).then_some((sid(2), 1)));
    }
}

#[test]
fn the_vote_for_a_candidate_that_has_gone_goes_to_the_next() {
    let mut election = looking(3);
    hear(&mut election, NOW, 5, candidate(vote(1, 6, 5)));
    hear(&mut election, NOW, 4, candidate(vote(1, 6, 4)));
    assert_eq!(election.vote(), Some(vote(1, 6, 5)));
    election.handle_peer_gone(NOW, sid(5));
    assert_eq!(election.vote(), Some(vote(1, 6, 4)));
}
