use super::super::check::{Cluster, Invariant, Kind, Seen};
use super::super::{FaultKind, Keep, Mode, Swarm, SwarmReport};
use super::*;

fn violated(invariant: &'static str) -> Failure {
    Failure::Violated { at: Time::from_millis(9_000), invariant, what: "S1: planted".to_owned() }
}

fn has(case: &Case, fault: Fault) -> bool {
    case.plan.faults.iter().any(|(_, other)| *other == fault)
}

const ONE: ServerId = ServerId::new(1);
const TWO: ServerId = ServerId::new(2);

/// A case with much in it that plays no part.
fn crowded() -> Case {
    let mut case = (0..).map(|seed| Swarm::default().case(seed)).find(|case| {
        case.config.voters == 7
            && case.clients == 4
            && case.plan.faults.len() > 100
            && !case.unusual().is_empty()
    });
    let case = case.as_mut().unwrap();
    case.plan.faults.push((Time::from_millis(3_000), Fault::Hold(ONE, TWO)));
    case.plan.faults.push((Time::from_millis(4_000), Fault::PowerLossOfAll));
    case.plan.faults.sort_by_key(|(at, _)| *at);
    case.clone()
}

#[test]
fn what_plays_no_part_is_removed() {
    let needed = |case: &Case| {
        let fails = case.config.voters >= 2
            && case.clients >= 1
            && case.config.limits.log_window == 3
            && case.workload.steps >= 5
            && has(case, Fault::Hold(ONE, TWO))
            && has(case, Fault::PowerLossOfAll);
        fails.then(|| violated("Planted"))
    };
    let mut case = crowded();
    case.config.limits.log_window = 3;
    let shrunk = Shrink::default().shrink(&case, &violated("Planted"), needed, || false);
    assert!(shrunk.complete, "after {} attempts", shrunk.attempts);
    let small = &shrunk.case;
    assert_eq!((small.config.voters, small.config.observers, small.clients), (2, 0, 1));
    assert_eq!(small.workload.steps, 8);
    assert_eq!(small.plan.faults.len(), 2, "{small}");
    assert_eq!(small.plan.links, LinkFaults::default());
    let unusual: Vec<_> = small.unusual().into_iter().map(|(name, _)| name).collect();
    let left = ["voters", "clients", "until", "work_until", "workload.steps", "limits.log_window"];
    assert!(unusual.iter().all(|name| left.contains(name) || name.starts_with("workload.")), "{small}");
    assert_eq!(small.to_string().parse(), Ok(small.clone()));
}

#[test]
fn another_failure_is_not_taken_for_the_same() {
    let run = |case: &Case| Some(violated(if case.config.voters < 5 { "Other" } else { "Planted" }));
    let shrunk = Shrink::default().shrink(&crowded(), &violated("Planted"), run, || false);
    assert_eq!(shrunk.case.config.voters, 5);
    assert!(is_same(&shrunk.failure, &violated("Planted")));
    assert!(shrunk.case.plan.faults.is_empty());
}

#[test]
fn it_stops_when_it_is_told_to_and_after_its_attempts() {
    let mut runs = 0;
    let never = |_: &Case| {
        runs += 1;
        None
    };
    let shrink = Shrink { attempts: 7, ..Shrink::default() };
    let shrunk = shrink.shrink(&crowded(), &violated("Planted"), never, || false);
    assert_eq!((shrunk.attempts, shrunk.complete, runs), (7, false, 7));
    let shrunk = shrink.shrink(&crowded(), &violated("Planted"), |_| panic!("it was told to stop"), || true);
    assert_eq!((shrunk.attempts, shrunk.complete), (0, false));
}

#[test]
fn damage_stays_within_its_budget_when_servers_go() {
    for seed in 0..200 {
        let case = Swarm::default().case(seed);
        for voters in 1..case.config.voters {
            let small = with_servers(&case, voters, 0);
            let majority = usize::try_from(voters / 2 + 1).unwrap();
            assert!(small.plan.victims.len() < majority);
            assert_eq!(small.aftermath.core.len(), majority, "seed {seed}: {small}");
            assert!(small.aftermath.core.iter().all(|server| !small.plan.victims.contains(server)));
            assert_eq!(small.to_string().parse(), Ok(small));
        }
    }
}

#[test]
fn what_stays_wrong_for_good_is_lessened_and_speaks_of_servers_that_are_there() {
    for seed in 0..200 {
        let case = Swarm::new(Mode::Liveness).case(seed);
        for voters in 1..case.config.voters {
            let small = with_servers(&case, voters, 0);
            assert_eq!(small.to_string().parse(), Ok(small));
        }
    }
    let is_needed = |case: &Case| case.aftermath.outages.iter().any(|(server, _)| *server == TWO);
    let case = (0..)
        .map(|seed| Swarm::new(Mode::Liveness).case(seed))
        .find(|case| is_needed(case) && case.aftermath.outages.len() > 2);
    let run = |case: &Case| is_needed(case).then(|| violated("StableLeader"));
    let shrunk = Shrink::default().shrink(&case.unwrap(), &violated("StableLeader"), run, || false);
    assert_eq!(shrunk.case.aftermath.outages.len(), 1, "{}", shrunk.case);
    assert_eq!(shrunk.case.mode, Mode::Liveness);
}

/// Nobody may commit anything after server 2 was down. Of course it does.
#[derive(Default)]
struct Planted {
    was_down: bool,
    committed: crate::types::Zxid,
}

impl Invariant for Planted {
    fn name(&self) -> &'static str {
        "Planted"
    }

    fn heeds(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Down | Kind::Status)
    }

    fn after(&mut self, server: ServerId, seen: &Seen<'_>, _cluster: &mut Cluster) -> Result<(), String> {
        match seen {
            Seen::Down if server == TWO => self.was_down = true,
            Seen::Status(status) if status.committed > self.committed => {
                self.committed = status.committed;
                if self.was_down {
                    return Err(format!("{} was committed after S2 was down", status.committed));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn planted(case: &Case) -> SwarmReport {
    case.run_watched(Keep::Nothing, |world| world.inner().checker().plant(Box::<Planted>::default()))
}

#[test]
fn a_world_that_breaks_a_planted_invariant_shrinks_to_the_one_fault_that_breaks_it() {
    use FaultKind::{Bounce, Crash, Disconnect, Hold, Loss, Partition, Pause};
    let kinds = vec![Bounce, Crash, Disconnect, Hold, Loss, Partition, Pause];
    let swarm = Swarm { kinds, span: Duration::from_secs(3), ..Swarm::default() };
    let (case, failure) = (0..)
        .map(|seed| swarm.case(seed))
        .filter(|case| case.config.voters >= 3 && case.plan.faults.len() >= 10)
        .find_map(|case| planted(&case).failure.map(|failure| (case, failure)))
        .unwrap();
    let shrunk = Shrink::default().shrink(&case, &failure, |case| planted(case).failure, || false);
    assert!(shrunk.complete, "after {} attempts", shrunk.attempts);
    let small = &shrunk.case;
    assert_eq!(small.config.voters, 2, "{small}");
    assert_eq!(small.clients, 0, "the write that must succeed in the end is enough: {small}");
    let [(_, Fault::Crash(TWO) | Fault::Bounce(TWO))] = small.plan.faults[..] else { panic!("{small}") };
    // What was found is found again from its text.
    let again: Case = small.to_string().parse().unwrap();
    assert_eq!(planted(&again).failure, Some(shrunk.failure));
}
