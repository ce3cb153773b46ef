//! Runs random worlds until something breaks: `cargo run --release --features sim --example soak -- --seeds 1000`.
//!
//! | flag | meaning |
//! |---|---|
//! | `--seed S` | the first seed (1) |
//! | `--seeds N` | how many seeds (100; without an end if only `--minutes` is given) |
//! | `--minutes M` | stop after this long, by the wall |
//! | `--jobs J` | how many worlds at once (1) |
//! | `--span SECONDS` | how long faults happen in each world, in virtual time (15) |
//! | `--twice` | run every seed twice and compare the hashes |
//! | `--trace` | write the page of every run; without `--seeds` there is one |
//! | `--print` | print every event |
//! | `--plan FILE` | run the case in this file instead of seeds |
//! | `--from`, `--until` | the seconds of virtual time that pages show |
//! | `--out FOLDER` | where pages and cases go (`target/soak`) |
//! | `--shrink SECONDS` | how long a failure is shrunk, by the wall (120; 0 for not at all) |
//!
//! A failure is told with the command that runs it again. The first ones are shrunk, and the smallest case that fails in the
//! same way is left in a file, with its page: one HTML file that shows what happened.

#[path = "soak/evidence.rs"]
mod evidence;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use evidence::{Evidence, command, read_case};
use quorate::Time;
use quorate::sim::{Case, Keep, Swarm, SwarmReport};

/// How many failures are shrunk; of a hundred the same few are at fault.
const SHRUNK: usize = 3;

#[derive(Clone)]
struct Options {
    first: u64,
    seeds: Option<u64>,
    minutes: Option<f64>,
    jobs: u64,
    span: Duration,
    trace: bool,
    print: bool,
    twice: bool,
    plan: Option<PathBuf>,
    evidence: Evidence,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        first: 1,
        seeds: None,
        minutes: None,
        jobs: 1,
        span: Duration::from_secs(15),
        trace: false,
        print: false,
        twice: false,
        plan: None,
        evidence: Evidence::default(),
    };
    let (mut from, mut until) = (None, None);
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
            "--print" => options.print = true,
            "--plan" => options.plan = Some(value()?.into()),
            "--out" => options.evidence.folder = value()?.into(),
            "--from" => from = Some(seconds(value()?)?),
            "--until" => until = Some(seconds(value()?)?),
            "--shrink" => options.evidence.shrink = Duration::from_secs_f64(number(value()?)?),
            "--twice" => options.twice = true,
            _ => return Err(format!("{flag} is no flag of this program")),
        }
    }
    if from.is_some() || until.is_some() {
        options.evidence.window =
            Some((from.unwrap_or(Time::ZERO), until.unwrap_or(Time::from_micros(u64::MAX))));
    }
    if options.seeds.is_none() && options.minutes.is_none() {
        options.seeds = Some(if options.trace || options.print || options.plan.is_some() { 1 } else { 100 });
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
    let planned = match options.plan.as_deref().map(read_case).transpose() {
        Ok(planned) => planned,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let keep = if options.print { Keep::Print } else { Keep::Nothing };
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
                    let case = planned.clone().unwrap_or_else(|| swarm.case(options.first + index));
                    let report = case.run(keep);
                    let again = options.twice.then(|| case.run(keep).hash);
                    let failed = {
                        let Ok(mut totals) = totals.lock() else { break };
                        tell(&report, again, &mut totals);
                        totals.failed.len()
                    };
                    leave_evidence(&options, &case, &report, failed);
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
    }
}

/// Says how to run a failure again, and leaves pages and cases where they are wanted.
fn leave_evidence(options: &Options, case: &Case, report: &SwarmReport, failed: usize) {
    let again = match &options.plan {
        Some(file) => command(&format!("--plan {}", file.display())),
        None if options.span == Duration::from_secs(15) => command(&format!("--seed {}", report.seed)),
        None => command(&format!("--seed {} --span {}", report.seed, options.span.as_secs_f64())),
    };
    if report.failure.is_some() {
        println!("  again:  {again}");
    }
    let name = match options.plan.as_deref().and_then(|file| file.file_stem()) {
        Some(stem) => format!("{}-again", stem.to_string_lossy()),
        None => format!("seed-{}", report.seed),
    };
    if options.trace {
        match options.evidence.page(&name, case, report, &again) {
            Ok(page) => println!("  page:   {}", page.display()),
            Err(error) => eprintln!("  no page: {error}"),
        }
    } else if let Some(failure) = &report.failure
        && failed <= SHRUNK
        && !options.evidence.shrink.is_zero()
    {
        match options.evidence.shrunk(&name, case, failure) {
            Ok(told) => println!("{told}"),
            Err(error) => eprintln!("  not shrunk: {error}"),
        }
    }
}

fn seconds(text: String) -> Result<Time, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{text}: {error}"))?;
    Ok(Time::ZERO + Duration::try_from_secs_f64(seconds).map_err(|error| format!("{text}: {error}"))?)
}
