use super::super::{Fault, Swarm};
use super::*;

#[test]
fn what_a_seed_draws_is_the_same_when_it_was_written_down() {
    for mode in [Mode::Safety, Mode::Liveness] {
        for seed in 0..300 {
            let case = Swarm::new(mode).case(seed);
            assert_eq!(case.to_string().parse::<Case>(), Ok(case), "seed {seed}");
        }
    }
}

#[test]
fn a_case_that_was_written_down_does_the_same() {
    let swarm = Swarm { span: Duration::from_secs(1), ..Swarm::default() };
    let case = swarm.case(11);
    let again: Case = case.to_string().parse().unwrap();
    assert_eq!(case.run(Keep::Nothing).hash, again.run(Keep::Nothing).hash);
}

#[test]
fn a_case_may_be_written_by_hand() {
    let text = "# a note\nquorate case 1\n\nseed 3\nclients 2  # two\nfault 2.5 crash S1\nfault 1.5 hold S1 S2\ncore S2 S3\n";
    let case: Case = text.parse().unwrap();
    assert_eq!((case.seed, case.clients), (3, 2));
    let (one, two) = (ServerId::new(1), ServerId::new(2));
    let expected =
        [(Time::from_millis(1_500), Fault::Hold(one, two)), (Time::from_millis(2_500), Fault::Crash(one))];
    assert_eq!(case.plan.faults, expected);
}

#[test]
fn a_line_that_makes_no_sense_is_named() {
    let refused = |lines: &str| format!("{HEAD}\n{lines}").parse::<Case>().unwrap_err().to_string();
    assert_eq!(refused("seed x"), "line 2: `x` is no seed");
    assert_eq!(refused("seed 1\nvoter 3"), "line 3: a case has no `voter`");
    assert_eq!(
        refused("voters 0"),
        "line 2: a world has 1 to 100 servers, one of them voting, and at most 10,000 clients"
    );
    assert_eq!(refused("core S9"), "line 2: the core has S9, which is not there");
    assert_eq!(refused("outage S3 leaf S4"), "line 2: the world is left with S4, which is not there");
    assert_eq!(refused("shape hub S4"), "line 2: the world is left with S4, which is not there");
    assert_eq!(refused("fault 1.0 crash S4"), "line 2: `crash S4` names a server that is not there");
    assert_eq!(refused("fault 1.0 crash S1 S2"), "line 2: `S2` is too much");
    assert_eq!(refused("kinds Rain"), "line 2: `Rain` is no kind of faults");
    assert_eq!("".parse::<Case>().unwrap_err().line, 1);
}
