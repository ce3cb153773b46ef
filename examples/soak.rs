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
#[path = "soak/options.rs"]
mod options;
#[path = "soak/totals.rs"]
mod totals;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use evidence::read_case;
use options::{Asked, Options, asked};
use quorate::sim::{Case, Failure, Keep, Swarm, SwarmReport};
use totals::Totals;

/// How many failures are shrunk; of a hundred the same few are at fault.
const SHRUNK: usize = 3;

fn main() -> ExitCode {
    let options = match asked() {
        Ok(Asked::Run(options)) => *options,
        Ok(Asked::Help) => {
            // What stands at the head of this file.
            let head = include_str!("soak.rs").lines().map_while(|line| line.strip_prefix("//!"));
            head.for_each(|line| println!("{}", line.strip_prefix(' ').unwrap_or(line)));
            return ExitCode::SUCCESS;
        }
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
    let limit = options.limit;
    let next = AtomicU64::new(0);
    let running = AtomicU64::new(options.jobs);
    let totals = Mutex::new(Totals::default());
    let live = std::io::stderr().is_terminal() && !options.print;
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                let _ended = Ended(&running);
                while limit.is_none_or(|limit| started.elapsed() < limit) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if options.seeds.is_some_and(|seeds| index >= seeds) {
                        break;
                    }
                    let case = planned.clone().unwrap_or_else(|| swarm.case(options.first + index));
                    let mut report = case.run(keep);
                    if options.twice {
                        let (first, second) = (report.hash, case.run(keep).hash);
                        let diverged = Failure::Diverged { seed: case.seed, first, second };
                        report.failure = report.failure.or((first != second).then_some(diverged));
                    }
                    let failed = {
                        let Ok(mut totals) = totals.lock() else { break };
                        tell(&options, &report, &mut totals);
                        totals.failed.len()
                    };
                    leave_evidence(&options, &case, &report, failed);
                }
            });
        }
        while running.load(Ordering::Relaxed) > 0 {
            #[expect(clippy::disallowed_methods, reason = "what is shown to a person is timed by the wall")]
            std::thread::sleep(Duration::from_millis(200));
            if let Ok(totals) = totals.lock()
                && live
            {
                // The rest of longer lines before is wiped.
                let lines = totals.progress(&options, started.elapsed()).replace('\n', "\x1b[K\n");
                eprint!("\r{lines}\x1b[K\x1b[1A");
                let _not_worth_stopping_for = std::io::stderr().flush();
            }
        }
    });
    if live {
        eprint!("\n\n");
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

/// Says that a job has ended, however it does.
struct Ended<'a>(&'a AtomicU64);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn tell(options: &Options, report: &SwarmReport, totals: &mut Totals) {
    totals.add(report);
    let (voters, observers) = report.servers;
    let verdict = match &report.failure {
        Some(failure) => format!("FAILED {failure}"),
        None => "ok".to_owned(),
    };
    let failed = report.failure.is_some();
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
    let diverged = matches!(report.failure, Some(Failure::Diverged { .. }));
    let (name, again) = match &options.plan {
        Some(file) => evidence::of_file(file),
        None => evidence::of_seed(case, options.span, if diverged { "--twice" } else { "--trace" }),
    };
    if report.failure.is_some() {
        println!("  again:  {again}");
    }
    let told = match &report.failure {
        _ if options.trace => {
            evidence.page(&name, case, report, &again).map(|page| format!("  page:   {page}"))
        }
        // A world that does not repeat cannot be recorded, nor shrunk.
        _ if diverged => return,
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
