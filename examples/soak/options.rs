//! What the program is told.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use quorate::sim::Mode;

use super::evidence::{Evidence, moment};

/// What the program is told.
#[derive(Clone)]
pub struct Options {
    /// What is demanded of each world.
    pub mode: Mode,
    /// The first seed.
    pub first: u64,
    /// How many seeds.
    pub seeds: Option<u64>,
    /// How long, by the wall.
    pub limit: Option<Duration>,
    /// How many worlds at once.
    pub jobs: u64,
    /// How long faults happen.
    pub span: Option<Duration>,
    /// Whether every seed has a line.
    pub verbose: bool,
    /// Whether every run has a page.
    pub trace: bool,
    /// Whether events are printed.
    pub print: bool,
    /// Whether every seed is run twice.
    pub twice: bool,
    /// Whether all points of coverage must be reached.
    pub all_points: bool,
    /// The file of a case that is run instead.
    pub plan: Option<PathBuf>,
    /// What is left behind.
    pub evidence: Evidence,
}

/// What the program is asked for.
pub enum Asked {
    /// To run.
    Run(Box<Options>),
    /// To say what it can be told.
    Help,
}

/// Reads the arguments.
pub fn asked() -> Result<Asked, String> {
    let mut options = Options {
        mode: Mode::Safety,
        first: 1,
        seeds: None,
        limit: None,
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
        match flag.as_str() {
            "--mode" => {
                options.mode = match value()?.as_str() {
                    "safety" => Mode::Safety,
                    "liveness" => Mode::Liveness,
                    other => return Err(format!("{other} is no mode; safety and liveness are")),
                }
            }
            "--seed" => options.first = number(&value()?)?,
            "--seeds" => options.seeds = Some(number(&value()?)?),
            "--minutes" => options.limit = Some(span(&value()?, 60.0)?),
            "--jobs" => options.jobs = number::<u64>(&value()?)?.max(1),
            "--span" => options.span = Some(span(&value()?, 1.0)?),
            "--verbose" => options.verbose = true,
            "--trace" => options.trace = true,
            "--print" => options.print = true,
            "--plan" => options.plan = Some(value()?.into()),
            "--out" => options.evidence.folder = value()?.into(),
            "--from" => options.evidence.window.0 = moment(&value()?)?,
            "--until" => options.evidence.window.1 = moment(&value()?)?,
            "--shrink" => options.evidence.shrink = span(&value()?, 1.0)?,
            "--twice" => options.twice = true,
            "--all-points" => options.all_points = true,
            "--help" | "-h" => return Ok(Asked::Help),
            _ => return Err(format!("{flag} is no flag of this program; --help names them")),
        }
    }
    if options.seeds.is_none() && options.limit.is_none() {
        options.seeds = Some(if options.trace || options.print || options.plan.is_some() { 1 } else { 100 });
    }
    Ok(Asked::Run(Box::new(options)))
}

fn number<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}

/// So many times `unit` seconds.
fn span(text: &str, unit: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number::<f64>(text)? * unit).map_err(|error| format!("{text}: {error}"))
}
