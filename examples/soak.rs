//! Runs random worlds until something breaks: `cargo run --release --features sim --example soak -- --seeds 1000`.
//!
//! | flag | meaning |
//! |---|---|
//! | `--seed S` | the first seed (1) |
//! | `--seeds N` | how many seeds (100; without an end if only `--minutes` is given) |
//! | `--minutes M` | stop after this long, by the wall |
//! | `--jobs J` | how many worlds at once (1) |
//! | `--span SECONDS` | how long faults happen in each world, in virtual time (15) |
//! | `--trace` | print every event; for one seed |
//! | `--twice` | run every seed twice and compare the hashes |

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quorate::sim::{Keep, Swarm, SwarmReport};

#[derive(Clone)]
struct Options {
    first: u64,
    seeds: Option<u64>,
    minutes: Option<f64>,
    jobs: u64,
    span: Duration,
    trace: bool,
    twice: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        first: 1,
        seeds: None,
        minutes: None,
        jobs: 1,
        span: Duration::from_secs(15),
        trace: false,
        twice: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or(format!("{flag} needs a value"));
        let number = |text: String| text.parse::<f64>().map_err(|error| format!("{text}: {error}"));
        match flag.as_str() {
            "--seed" => options.first = number(value()?)? as u64,
            "--seeds" => options.seeds = Some(number(value()?)? as u64),
            "--minutes" => options.minutes = Some(number(value()?)?),
            "--jobs" => options.jobs = number(value()?)? as u64,
            "--span" => options.span = Duration::from_secs_f64(number(value()?)?),
            "--trace" => options.trace = true,
            "--twice" => options.twice = true,
            _ => return Err(format!("{flag} is no flag of this program")),
        }
    }
    if options.seeds.is_none() && options.minutes.is_none() {
        options.seeds = Some(100);
    }
    Ok(options)
}

#[derive(Default)]
struct Totals {
    virtual_time: Duration,
    committed: u64,
    reads: u64,
    events: u64,
    failed: Vec<u64>,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let keep = if options.trace { Keep::Print } else { Keep::Nothing };
    let swarm = Swarm { span: options.span, keep, ..Swarm::default() };
    #[expect(clippy::disallowed_methods, reason = "how long the program runs is measured by the wall")]
    let started = Instant::now();
    let limit = options.minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) && limit.is_none_or(|limit| started.elapsed() < limit) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if options.seeds.is_some_and(|seeds| index >= seeds) {
                        break;
                    }
                    let report = swarm.run(options.first + index);
                    let again = options.twice.then(|| swarm.run(report.seed).hash);
                    let Ok(mut totals) = totals.lock() else { break };
                    tell(&report, again, &mut totals);
                }
            });
        }
    });
    let Ok(totals) = totals.into_inner() else { return ExitCode::FAILURE };
    println!(
        "{} seeds in {:.1} s: {:.0} s of virtual time, {} transactions, {} reads compared, {} events; {} failed: {:?}",
        next.into_inner().min(options.seeds.unwrap_or(u64::MAX)),
        started.elapsed().as_secs_f64(),
        totals.virtual_time.as_secs_f64(),
        totals.committed,
        totals.reads,
        totals.events,
        totals.failed.len(),
        totals.failed,
    );
    if totals.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(report: &SwarmReport, again: Option<u64>, totals: &mut Totals) {
    totals.virtual_time += report.lasted;
    totals.committed += report.counters.committed;
    totals.reads += report.counters.oracle.reads;
    totals.events += report.counters.events;
    let (voters, observers) = report.servers;
    let differs = again.is_some_and(|hash| hash != report.hash);
    let verdict = match &report.failure {
        Some(failure) => format!("FAILED {failure}"),
        None if differs => "FAILED: a second run had another hash".to_owned(),
        None => "ok".to_owned(),
    };
    println!(
        "seed {} {:016x} {voters}+{observers} servers, {} committed, {} reads, {:?}: {verdict}",
        report.seed, report.hash, report.counters.committed, report.counters.oracle.reads, report.kinds,
    );
    if report.failure.is_some() || differs {
        totals.failed.push(report.seed);
        println!(
            "  again: cargo run --release --features sim --example soak -- --seeds 1 --seed {} --trace",
            report.seed
        );
    }
}
