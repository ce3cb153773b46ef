//! Runs random worlds until something breaks: `cargo run --release --features sim --example soak -- --seeds 1000`.
//!
//! | flag | meaning |
//! |---|---|
//! | `--mode safety\|liveness` | what is demanded of each world (safety) |
//! | `--seed S` | the first seed (1) |
//! | `--seeds N` | how many seeds (100; without an end if only `--minutes` is given) |
//! | `--minutes M` | stop after this long, by the wall |
//! | `--jobs J` | how many worlds at once (1) |
//! | `--span SECONDS` | how long faults happen in each world, in virtual time (8; 5 in liveness mode) |
//! | `--verbose` | a line for every seed |
//! | `--twice` | run every seed twice and compare the hashes |
//! | `--all-points` | fail unless every point of coverage was reached that is not very rare |
//! | `--trace` | write the page of every run; without `--seeds` there is one |
//! | `--print` | print every event |
//! | `--plan FILE` | run the case in this file instead of seeds |
//! | `--from`, `--until` | the seconds of virtual time that pages show |
//! | `--out FOLDER` | where pages and cases go (`target/soak`) |
//! | `--shrink SECONDS` | how long a failure is shrunk, by the wall (120; 0 for not at all) |
//!
//! On a terminal a line shows how far it has come. It exits with 0 only if no seed failed.
//!
//! A failure is told with the command that runs it again. The first ones are shrunk, and the smallest case that fails in the
//! same way is left in a file, with its page: one HTML file that shows what happened.

#[path = "soak/evidence.rs"]
mod evidence;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use evidence::{Evidence, moment, read_case};
use quorate::sim::{Case, Keep, Mode, Point, Swarm, SwarmReport};

/// How many failures are shrunk; of a hundred the same few are at fault.
const SHRUNK: usize = 3;

#[derive(Clone)]
struct Options {
    mode: Mode,
    first: u64,
    seeds: Option<u64>,
    minutes: Option<f64>,
    jobs: u64,
    span: Option<Duration>,
    verbose: bool,
    trace: bool,
    print: bool,
    twice: bool,
    all_points: bool,
    plan: Option<PathBuf>,
    evidence: Evidence,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        mode: Mode::Safety,
        first: 1,
        seeds: None,
        minutes: None,
        jobs: 1,
        span: None,
        verbose: false,
        trace: false,
        print: false,
        twice: false,
        all_points: false,
        plan: None,
        evidence: Evidence::default(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or(format!("{flag} needs a value"));
        let number = |text: String| text.parse::<f64>().map_err(|error| format!("{text}: {error}"));
        match flag.as_str() {
            "--mode" => {
                options.mode = match value()?.as_str() {
                    "safety" => Mode::Safety,
                    "liveness" => Mode::Liveness,
                    other => return Err(format!("{other} is no mode; safety and liveness are")),
                }
            }
            "--seed" => options.first = number(value()?)? as u64,
            "--seeds" => options.seeds = Some(number(value()?)? as u64),
            "--minutes" => options.minutes = Some(number(value()?)?),
            "--jobs" => options.jobs = number(value()?)?.max(1.0) as u64,
            "--span" => options.span = Some(Duration::from_secs_f64(number(value()?)?)),
            "--verbose" => options.verbose = true,
            "--trace" => options.trace = true,
            "--print" => options.print = true,
            "--plan" => options.plan = Some(value()?.into()),
            "--out" => options.evidence.folder = value()?.into(),
            "--from" => options.evidence.window.0 = moment(&value()?)?,
            "--until" => options.evidence.window.1 = moment(&value()?)?,
            "--shrink" => options.evidence.shrink = Duration::from_secs_f64(number(value()?)?),
            "--twice" => options.twice = true,
            "--all-points" => options.all_points = true,
            _ => return Err(format!("{flag} is no flag of this program")),
        }
    }
    if options.seeds.is_none() && options.minutes.is_none() {
        options.seeds = Some(if options.trace || options.print || options.plan.is_some() { 1 } else { 100 });
    }
    Ok(options)
}

#[derive(Default)]
struct Totals {
    seeds: u64,
    virtual_time: Duration,
    idle: Duration,
    operations: u64,
    linearized: u64,
    undecided: u64,
    watch_events: u64,
    messages: u64,
    transactions: u64,
    elections: u64,
    events: u64,
    checks: u64,
    faults: BTreeMap<&'static str, u64>,
    points: BTreeMap<Point, u64>,
    failed: Vec<u64>,
}

impl Totals {
    fn add(&mut self, report: &SwarmReport) {
        let counters = &report.counters;
        self.seeds += 1;
        self.virtual_time += report.lasted;
        self.idle += counters.executor.idle;
        self.operations += counters.oracle.reads + counters.oracle.writes;
        self.linearized += report.registers.linearized;
        self.undecided += report.registers.undecided;
        self.watch_events += counters.oracle.events;
        self.messages += counters.network.sent;
        self.transactions += counters.committed;
        self.elections += counters.epochs;
        self.events += counters.events;
        self.checks += counters.checks;
        for (name, count) in &counters.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for (point, count) in &counters.coverage {
            *self.points.entry(*point).or_default() += count;
        }
    }

    fn missed(&self) -> Vec<Point> {
        Point::ALL
            .iter()
            .copied()
            .filter(|point| self.points.get(point).is_none_or(|hits| *hits == 0))
            .collect()
    }

    /// One line, for while it runs.
    fn progress(&self, options: &Options, elapsed: Duration) -> String {
        let wall = elapsed.as_secs_f64().max(0.001);
        let done = match (options.seeds, options.minutes) {
            (Some(seeds), _) => self.seeds as f64 / seeds.max(1) as f64,
            (None, Some(minutes)) => wall / (minutes * 60.0),
            (None, None) => 0.0,
        };
        let filled = (done.clamp(0.0, 1.0) * 20.0) as usize;
        format!(
            "[{}{}] {} seeds ({:.1}/s), {:.0} s simulated, {} operations, {} messages, {} elections, {} faults, {}/{} points, {} failed",
            "#".repeat(filled),
            ".".repeat(20 - filled),
            self.seeds,
            self.seeds as f64 / wall,
            self.virtual_time.as_secs_f64(),
            self.operations,
            self.messages,
            self.elections,
            self.faults.values().sum::<u64>(),
            Point::ALL.len() - self.missed().len(),
            Point::ALL.len(),
            self.failed.len(),
        )
    }

    /// All of it, for the end.
    fn table(&self, options: &Options, elapsed: Duration) -> String {
        let wall = elapsed.as_secs_f64().max(0.001);
        let core = wall * options.jobs as f64;
        let per = |count: u64| format!("{count:>14}  {:>12.0} per second and core", count as f64 / core);
        let (simulated, idle) = (self.virtual_time.as_secs_f64(), self.idle.as_secs_f64());
        let mut lines = vec![
            String::new(),
            format!(
                "{:?} mode, {} seeds from {}, {} jobs, {wall:.1} s",
                options.mode, self.seeds, options.first, options.jobs
            ),
            format!(
                "  seeds             {:>14}  {:>12.1} per second and core",
                self.seeds,
                self.seeds as f64 / core
            ),
            format!("  simulated seconds {simulated:>14.0}  {:>12.0} per second and core", simulated / core),
            format!(
                "    not idle        {:>14.0}  {:>12.0} per second and core (idle: 10 ms and more without any event)",
                simulated - idle,
                (simulated - idle) / core
            ),
            format!("  client operations {}", per(self.operations)),
            format!("  watch events      {}", per(self.watch_events)),
            format!("  transactions      {}", per(self.transactions)),
            format!("  messages          {}", per(self.messages)),
            format!("  elections         {}", per(self.elections)),
            format!("  trace events      {}", per(self.events)),
            format!("  invariant checks  {}", per(self.checks)),
            format!("  linearized        {} ({} histories too hard)", per(self.linearized), self.undecided),
            format!("faults: {}", self.faults.values().sum::<u64>()),
        ];
        lines.extend(self.faults.iter().map(|(name, count)| format!("  {name:<20} {count:>10}")));
        lines.push("points of coverage, by hits:".to_owned());
        lines.extend(self.points.iter().map(|(point, hits)| {
            format!("  {hits:>10}  {point}{}", if *hits == 0 { "  <- never" } else { "" })
        }));
        lines.push(format!("failed: {} {:?}", self.failed.len(), self.failed));
        lines.join("\n")
    }
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
    let swarm = Swarm { mode: options.mode, keep, ..Swarm::new(options.mode) };
    let swarm = Swarm { span: options.span.unwrap_or(swarm.span), ..swarm };
    #[expect(clippy::disallowed_methods, reason = "how long the program runs is measured by the wall")]
    let started = Instant::now();
    let limit = options.minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let next = AtomicU64::new(0);
    let running = AtomicU64::new(options.jobs);
    let stop = AtomicBool::new(false);
    let totals = Mutex::new(Totals::default());
    let live = std::io::stderr().is_terminal() && !options.print;
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
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
                        tell(&options, &report, again, &mut totals);
                        totals.failed.len()
                    };
                    leave_evidence(&options, &case, &report, failed);
                }
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while running.load(Ordering::Relaxed) > 0 {
            #[expect(clippy::disallowed_methods, reason = "what is shown to a person is timed by the wall")]
            std::thread::sleep(Duration::from_millis(200));
            if let Ok(totals) = totals.lock()
                && live
            {
                // The rest of a longer line before is wiped.
                eprint!("\r{}\x1b[K", totals.progress(&options, started.elapsed()));
                let _not_worth_stopping_for = std::io::stderr().flush();
            }
        }
    });
    if live {
        eprintln!();
    }
    let Ok(totals) = totals.into_inner() else { return ExitCode::FAILURE };
    // Of a run that is to be looked at, its page tells.
    if !options.trace {
        println!("{}", totals.table(&options, started.elapsed()));
    }
    let mut missed = totals.missed();
    missed.retain(|point| !point.is_rare());
    let uncovered = options.all_points && !missed.is_empty();
    if uncovered {
        println!("never reached: {missed:?}");
    }
    if totals.failed.is_empty() && !uncovered { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(options: &Options, report: &SwarmReport, again: Option<u64>, totals: &mut Totals) {
    totals.add(report);
    let (voters, observers) = report.servers;
    let differs = again.is_some_and(|hash| hash != report.hash);
    let verdict = match &report.failure {
        Some(failure) => format!("FAILED {failure}"),
        None if differs => "FAILED: a second run had another hash".to_owned(),
        None => "ok".to_owned(),
    };
    let failed = report.failure.is_some() || differs;
    if failed || options.verbose || options.trace {
        let left = report.aftermath.as_ref().map(|left| format!(", left as {left:?}")).unwrap_or_default();
        println!(
            "seed {} {:016x} {voters}+{observers} servers, {} committed, {} reads, {:?}{left}: {verdict}",
            report.seed, report.hash, report.counters.committed, report.counters.oracle.reads, report.kinds,
        );
    }
    if failed {
        totals.failed.push(report.seed);
    }
}

/// Says how to run a failure again, and leaves pages and cases where they are wanted.
fn leave_evidence(options: &Options, case: &Case, report: &SwarmReport, failed: usize) {
    let evidence = &options.evidence;
    let (name, again) = match &options.plan {
        Some(file) => evidence::of_file(file),
        None => evidence::of_seed(case, options.span),
    };
    if report.failure.is_some() {
        println!("  again:  {again}");
    }
    let told = match &report.failure {
        _ if options.trace => {
            evidence.page(&name, case, report, &again).map(|page| format!("  page:   {page}"))
        }
        Some(failure) if failed <= SHRUNK && !evidence.shrink.is_zero() => {
            evidence.shrunk(&name, case, failure)
        }
        _ => return,
    };
    match told {
        Ok(told) => println!("{told}"),
        Err(error) => eprintln!("  no page: {error}"),
    }
}
