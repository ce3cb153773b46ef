//! Lets two lives of a quorum fail at each of their points: `cargo run --release --features sim --example crash_sweep`.
//!
//! Crash and error before, in the middle of and after, and a full disk at every operation of a disk that changes something; loss,
//! repetition, crash before and after every frame between servers. `--stride N` runs every N-th point only, `--seed S` another
//! world.

use std::process::ExitCode;
use std::time::Instant;

use quorate::sim::{Failure, Sweep, SweepReport, life_of_a_quorum, life_of_learners};

fn main() -> ExitCode {
    let mut sweep = Sweep::default();
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().and_then(|value| value.parse::<u64>().ok());
        match (flag.as_str(), value) {
            ("--stride", Some(stride)) => sweep.stride = usize::try_from(stride).unwrap_or(1),
            ("--seed", Some(seed)) => sweep.seed = seed,
            _ => {
                eprintln!("{flag} is no flag of this program, or lacks its number");
                return ExitCode::from(2);
            }
        }
    }
    let mut with_observer = sweep.clone();
    with_observer.config.observers = 1;
    let first = told("a quorum", &sweep, || sweep.run(life_of_a_quorum));
    let second = told("learners", &with_observer, || with_observer.run(life_of_learners));
    if first && second { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Sweeps a life, tells what became of it, and whether it was well.
fn told(life: &str, sweep: &Sweep, run: impl FnOnce() -> Result<SweepReport, Failure>) -> bool {
    #[expect(clippy::disallowed_methods, reason = "how long the program runs is measured by the wall")]
    let started = Instant::now();
    let report = match run() {
        Ok(report) => report,
        Err(failure) => {
            eprintln!("the life of {life}, without a fault: {failure}");
            return false;
        }
    };
    for (point, failure) in &report.failures {
        println!("{point}: {failure}");
    }
    println!(
        "the life of {life}, seed {}: {} operations of disks and {} frames; {} points swept, {} reached, in {:.1} s; {} failed",
        sweep.seed,
        report.disk_operations,
        report.frames,
        report.points,
        report.reached,
        started.elapsed().as_secs_f64(),
        report.failures.len(),
    );
    report.failures.is_empty() && report.reached == report.points
}
