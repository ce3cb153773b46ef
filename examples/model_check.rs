//! Sees every behaviour of the production election, of the production ZAB and of whole peers within stated bounds (of five servers:
//! every delay-bounded schedule): `cargo run --release --features sim --example model_check`. Words given behind it choose the cases whose names hold one of
//! them; a search that takes more than 9 GB is among them only if its whole name is given. Exits 0 only if nothing is violated,
//! all searches are complete, and every flaw that is planted is found.
//!
//! What the properties are, and what was measured: docs/model-checking.md.

use std::process::ExitCode;
use std::time::Instant;

use quorate::sim::model::{
    ElectionBounds, ElectionFlaw, ModelReport, PeerBounds, PeerFlaw, ZabBounds, ZabFlaw,
};

enum Bounds {
    Election(ElectionBounds),
    Zab(ZabBounds),
    Peer(PeerBounds),
}

struct Case {
    name: &'static str,
    bounds: Bounds,
    flawed: bool,
    /// Takes so much memory that it is run only where its whole name is given.
    vast: bool,
}

impl Case {
    fn is_chosen(&self, words: &[String]) -> bool {
        if self.vast {
            return words.iter().any(|word| word == self.name);
        }
        words.is_empty() || words.iter().any(|word| self.name.contains(word.as_str()))
    }
}

fn elections() -> Vec<Case> {
    let equal = |servers| ElectionBounds::new(vec![(1, 1); servers]);
    let three = || equal(3);
    let five = || ElectionBounds { flight: 4, delays: Some(1), ..equal(5) };
    let mixed = || ElectionBounds { histories: vec![(2, 1), (1, 5), (1, 3), (2, 1), (1, 5)], ..five() };
    let case = |name, bounds: ElectionBounds| Case {
        name,
        flawed: bounds.flaw.is_some() || bounds.demand_one_leader_per_round,
        bounds: Bounds::Election(bounds),
        vast: false,
    };
    vec![
        case("election of 3: 2 deadlines", ElectionBounds { deadlines: 2, ..three() }),
        case(
            "election of 3: 1 deadline, 1 crash, 1 restart",
            ElectionBounds { deadlines: 1, crashes: 1, restarts: 1, ..three() },
        ),
        case(
            "election of 3: 1 deadline, 1 loss, 1 repeat",
            ElectionBounds { deadlines: 1, losses: 1, repeats: 1, ..three() },
        ),
        case("election of 3: 1 deadline, 2 roles end", ElectionBounds { deadlines: 1, ends: 2, ..three() }),
        case("election of 5: 2 delays", ElectionBounds { delays: Some(2), ..five() }),
        case("election of 5: 2 delays, histories differ", ElectionBounds { delays: Some(2), ..mixed() }),
        case("election of 5: 1 delay, 1 deadline", ElectionBounds { deadlines: 1, ..five() }),
        case(
            "flawed election: one leader in each round",
            ElectionBounds { deadlines: 2, demand_one_leader_per_round: true, ..three() },
        ),
        case(
            "flawed election: a boastful candidate",
            ElectionBounds { flaw: Some(ElectionFlaw::BoastfulCandidate), ..three() },
        ),
        case(
            "flawed election: a lonely quorum",
            ElectionBounds { flaw: Some(ElectionFlaw::LonelyQuorum), ..three() },
        ),
    ]
}

fn broadcasts() -> Vec<Case> {
    let two = || ZabBounds { leads: 2, follows: 4, proposals: 2, ..ZabBounds::new(3) };
    let both = || ZabBounds { crashes: 1, partitions: 1, ..two() };
    let case = |name, bounds: ZabBounds| Case {
        name,
        flawed: bounds.flaw.is_some(),
        bounds: Bounds::Zab(bounds),
        vast: false,
    };
    let flawed = |flaw| ZabBounds { crashes: 1, flaw: Some(flaw), ..two() };
    vec![
        case("ZAB of 3: 2 transactions", two()),
        case("ZAB of 3: 2 transactions, 1 crash", ZabBounds { crashes: 1, ..two() }),
        case("ZAB of 3: 2 transactions, 1 partition", ZabBounds { partitions: 1, ..two() }),
        case(
            "ZAB of 3: 2 transactions, 1 crash, 1 partition, 1 reign, joined 3 times",
            ZabBounds { leads: 1, follows: 3, ..both() },
        ),
        case(
            "ZAB of 3: 2 transactions, 1 crash, 1 partition, 2 reigns, joined twice",
            ZabBounds { leads: 2, follows: 2, ..both() },
        ),
        Case {
            vast: true,
            ..case(
                "ZAB of 3: 2 transactions, 1 crash, 1 partition, 2 reigns, joined 3 times",
                ZabBounds { leads: 2, follows: 3, ..both() },
            )
        },
        case(
            "ZAB of 3: 1 transaction, 1 crash, 1 partition, 2 reigns, joined 3 times",
            ZabBounds { leads: 2, follows: 3, proposals: 1, ..both() },
        ),
        case(
            "ZAB of 3: 1 transaction, 1 loss, 1 repeat",
            ZabBounds { proposals: 1, losses: 1, repeats: 1, ..two() },
        ),
        case("ZAB of 3: 1 transaction, 1 tick", ZabBounds { proposals: 1, ticks: 1, ..two() }),
        case(
            "ZAB of 3: 1 transaction, 3 elections",
            ZabBounds { proposals: 1, leads: 3, follows: 5, ..two() },
        ),
        case("flawed ZAB: disks done early", flawed(ZabFlaw::EarlyDisk)),
        case("flawed ZAB: epochs before their history", flawed(ZabFlaw::HastyEpochs)),
        case("flawed ZAB: a quorum of one", flawed(ZabFlaw::SingleQuorum)),
    ]
}

fn peers() -> Vec<Case> {
    let three = || PeerBounds::new(3);
    let case = |name, bounds: PeerBounds| Case {
        name,
        flawed: bounds.flaw.is_some(),
        bounds: Bounds::Peer(bounds),
        vast: false,
    };
    vec![
        case("peers of 3: any order", PeerBounds { delays: None, ..three() }),
        case("peers of 3: 1 delay, 2 deadlines", PeerBounds { delays: Some(1), deadlines: 2, ..three() }),
        case("peers of 3: 4 delays, 1 crash", PeerBounds { delays: Some(4), crashes: 1, ..three() }),
        case("peers of 3: 1 deadline, 1 crash", PeerBounds { deadlines: 1, crashes: 1, ..three() }),
        case("peers of 3: 2 crashes", PeerBounds { crashes: 2, ..three() }),
        case("peers of 5: 3 delays", PeerBounds { delays: Some(3), ..PeerBounds::new(5) }),
        case(
            "peers of 5: 1 delay, 1 crash",
            PeerBounds { delays: Some(1), crashes: 1, ..PeerBounds::new(5) },
        ),
        case(
            "flawed peers: disks done early",
            PeerBounds { crashes: 2, flaw: Some(PeerFlaw::EarlyDisk), ..three() },
        ),
        case("flawed peers: silent disks", PeerBounds { flaw: Some(PeerFlaw::SilentDisk), ..three() }),
    ]
}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let cases: Vec<_> = elections()
        .into_iter()
        .chain(broadcasts())
        .chain(peers())
        .filter(|case| case.is_chosen(&words))
        .collect();
    if cases.is_empty() {
        eprintln!("no case is named by {words:?}; without words all are run");
        return ExitCode::FAILURE;
    }
    let mut good = true;
    println!("| case | states | events | depth | ends | states of one server | seconds | outcome |");
    println!("|---|---|---|---|---|---|---|---|");
    for case in cases {
        #[expect(clippy::disallowed_methods, reason = "how long a search takes is measured by the wall")]
        let started = Instant::now();
        let report = match &case.bounds {
            Bounds::Election(bounds) => bounds.check(),
            Bounds::Zab(bounds) => bounds.check(),
            Bounds::Peer(bounds) => bounds.check(),
        };
        let (is_good, outcome) = judge(&case, &report);
        good &= is_good;
        println!(
            "| {} | {} | {} | {} | {} | {} | {:.1} | {outcome} |",
            case.name,
            report.states,
            report.events,
            report.depth,
            report.ends,
            report.local_states,
            started.elapsed().as_secs_f64(),
        );
        if let Some(violation) = report.violation.filter(|_| !is_good) {
            println!("\n{violation}");
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge(case: &Case, report: &ModelReport) -> (bool, String) {
    match (&report.violation, case.flawed) {
        (Some(violation), true) => {
            (true, format!("{} found after {} steps", violation.property, violation.path.len()))
        }
        (Some(violation), false) => (false, format!("VIOLATED: {}", violation.property)),
        (None, true) => (false, "THE FLAW WAS NOT FOUND".to_owned()),
        (None, false) if report.complete => (true, "complete, nothing violated".to_owned()),
        (None, false) => (false, "INCOMPLETE".to_owned()),
    }
}
