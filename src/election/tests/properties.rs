use std::time::Duration;

use proptest::prelude::*;

use super::network::{Network, Weather, config, sid, vote};
use crate::election::{Election, Notification, Output, ServerState};
use crate::quorum::Quorum;
use crate::types::{SeededRng, Time};

/// Within which time after the last fault all follow one leader: the slowest question, a role given up, and an election.
const HEALED: Duration = Duration::from_secs(8);

/// Twenty seconds of everything: loss, duplication, delay and so reordering, cuts in one and in both directions, crashes, restarts.
/// The network checks what is promised at every output.
fn chaos(seed: u64) -> Network {
    let mut rng = SeededRng::from_number(seed);
    let voters = [2, 3, 4, 5, 7][rng.below(5) as usize];
    let observers: &[u64] = if rng.chance(1, 3) { &[9] } else { &[] };
    let quorum = if rng.chance(1, 3) {
        // Weights from 0 to 2, and always somebody with one.
        let weights: Vec<u32> =
            (1..=voters).map(|server| if server == 1 { 1 } else { rng.below(3) as u32 }).collect();
        Quorum::hierarchical((1..=voters).zip(weights).map(|(server, weight)| (sid(server), weight, 0)))
    } else {
        Quorum::majority((1..=voters).map(sid))
    };
    let mut net = Network::new(seed, quorum, observers);
    let servers = net.numbers();
    for server in &servers {
        net.history(*server, 1 + rng.below(2) as u32, rng.below(4) as u32);
    }
    let pick = |rng: &mut SeededRng| servers[rng.below(servers.len() as u64) as usize];
    for _ in 0..60 {
        let (one, other) = (pick(&mut rng), pick(&mut rng));
        match rng.below(9) {
            0 | 1 if one != other => net.cut_one_way(one, other),
            2 if one != other => net.cut(one, other),
            3 | 4 => net.mend(one, other),
            5 => net.crash(one),
            6 | 7 if !net.is_up(one) => net.boot(one),
            8 => {
                net.weather =
                    Weather { loss: rng.below(40), duplication: rng.below(40), delay_millis: rng.below(300) };
            }
            _ => {}
        }
        net.run(Duration::from_millis(rng.below(700)));
    }
    net
}

fn any_notification() -> impl Strategy<Value = (u64, Notification)> {
    let state = prop_oneof![
        4 => Just(ServerState::Looking),
        1 => Just(ServerState::Following),
        1 => Just(ServerState::Leading),
        1 => Just(ServerState::Observing),
    ];
    let round = prop_oneof![4 => 0..4u64, 1 => Just(u64::MAX)];
    let any_vote = || {
        prop::option::of((0..3u32, 0..3u32, 0..8u64).prop_map(|(epoch, zxid, sid)| vote(epoch, zxid, sid)))
    };
    (0..8u64, state, round, any_vote(), any_vote(), any::<[bool; 4]>()).prop_map(
        |(from, state, round, vote, candidate, [hears_you, connected, ask, honest])| {
            let candidate = candidate
                .map(|own| if honest { crate::election::Vote { sid: sid(from), ..own } } else { own });
            (from, Notification { state, round, vote, candidate, hears_you, connected, ask })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn after_any_faults_all_find_one_leader_in_bounded_time(seed: u64) {
        let mut net = chaos(seed);
        net.heal();
        net.boot_all();
        let took = net.run_until(HEALED, |net| net.agreed().is_some());
        prop_assert!(took.is_some(), "after {:?}: {:?}", HEALED, net.votes());
        let (leader, started) = (net.agreed(), net.started());
        net.run(Duration::from_secs(30));
        prop_assert_eq!((net.agreed(), net.started()), (leader, started), "and stay with it");
    }

    /// The others are down, or reach whom they happen to reach, for good.
    #[test]
    fn scn_28_a_quorum_that_reaches_itself_has_a_leader_in_bounded_time_whatever_was(seed: u64) {
        let mut net = chaos(seed);
        net.weather = Weather::default();
        let core = net.draw_core();
        for one in &core {
            core.iter().for_each(|other| net.mend(*one, *other));
            if !net.is_up(*one) {
                net.boot(*one);
            }
        }
        let took = net.run_until(HEALED, Network::is_led);
        prop_assert!(took.is_some(), "{:?} has no leader after {:?}: {:?}", core, HEALED, net.votes());
        net.run(Duration::from_secs(30));
        prop_assert!(net.is_led(), "and keeps one");
    }

    #[test]
    fn over_links_that_stay_as_they_are_whoever_reaches_a_quorum_can_win(
        voters in 3..=7u64,
        cuts in prop::collection::vec((1..=7u64, 1..=7u64), 0..30),
        is_running: bool,
    ) {
        // All histories are equal; for those that are not see `partitions`.
        let mut net = Network::of(voters);
        let is_cut = |from: u64, to: u64| cuts.contains(&(from, to));
        let mut reaches = |one| {
            let links = (1..=voters).filter(|other| one == *other || !is_cut(one, *other) && !is_cut(*other, one));
            links.count() as u64 > voters / 2
        };
        if is_running {
            net.boot_all();
            net.run(Duration::from_secs(1));
        }
        cuts.iter().filter(|(from, to)| *from.max(to) <= voters).for_each(|(from, to)| net.cut_one_way(*from, *to));
        net.boot_all();
        let can_win = (1..=voters).any(&mut reaches);
        net.run(Duration::from_secs(20));
        let leaders: Vec<u64> = (1..=voters).filter(|server| net.state(*server) == ServerState::Leading).collect();
        prop_assert_eq!(leaders.len(), usize::from(can_win), "{:?}", leaders);
        prop_assert!(leaders.into_iter().all(&mut reaches));
        let started = net.started();
        net.run(Duration::from_secs(60));
        prop_assert_eq!(net.started(), started, "and there is no election after that");
    }

    #[test]
    fn the_same_seed_gives_the_same_outputs(seed: u64) {
        prop_assert_eq!(chaos(seed).transcript, chaos(seed).transcript);
    }

    #[test]
    fn scn_30_no_words_make_a_server_panic_flood_or_forget_a_deadline(
        words in prop::collection::vec((any_notification(), 0..200u64), 0..200),
    ) {
        let quorum = Quorum::majority((1..=5).map(sid));
        let mut election = Election::new(config(3, &quorum, &[6]), SeededRng::from_number(0));
        let mut now = Time::ZERO;
        election.start(now, Some(vote(1, 1, 3)));
        let mut before = election.state();
        for ((from, notification), millis) in words {
            now += Duration::from_millis(millis);
            let was_settled = election.leader().is_some();
            election.handle_notification(now, sid(from), notification);
            election.handle_timeout(now);
            let outputs: Vec<Output> = std::iter::from_fn(|| election.poll_output()).collect();
            prop_assert!(outputs.len() <= 8, "{:?}", outputs);
            prop_assert!(election.poll_timeout().is_none_or(|at| at > now));
            prop_assert_eq!(election.poll_timeout().is_none(), election.leader().is_some());
            if was_settled {
                prop_assert_eq!(election.state(), before, "only a start ends a role");
                let answers = |output: &Output| matches!(output, Output::Send { to, .. } if *to == sid(from));
                prop_assert!(outputs.iter().all(answers));
            }
            before = election.state();
        }
    }
}
