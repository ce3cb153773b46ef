//! What is left behind of a run: its page, and if it failed the smallest case that fails in the same way.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quorate::Time;
use quorate::sim::{Case, Failure, Keep, Mode, Page, Shrink, SwarmReport};

/// How many events are recorded whole; of a longer run only a part.
const RECORDED: u64 = 2_000_000;

/// Where evidence goes, and how much is done for it.
#[derive(Clone)]
pub struct Evidence {
    /// The folder for pages and cases.
    pub folder: PathBuf,
    /// What pages show, from and until.
    pub window: (Time, Time),
    /// How long a failure is shrunk, by the wall; not at all if zero.
    pub shrink: Duration,
}

impl Default for Evidence {
    fn default() -> Self {
        let window = (Time::ZERO, Time::from_micros(u64::MAX));
        Self { folder: PathBuf::from("target/soak"), window, shrink: Duration::from_secs(120) }
    }
}

/// The name of what is left of a case from a file, and the command that runs it again.
pub fn of_file(file: &Path) -> (String, String) {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    (format!("{stem}-again"), command(&format!("--plan {} --trace", file.display())))
}

/// The name of what is left of a seed, and the command that runs it again, with this flag.
pub fn of_seed(case: &Case, span: Option<Duration>, flag: &str) -> (String, String) {
    let (prefix, mode) = match case.mode {
        Mode::Safety => ("seed", ""),
        Mode::Liveness => ("liveness-seed", "--mode liveness "),
    };
    let span = span.map(|span| format!(" --span {}", span.as_secs_f64())).unwrap_or_default();
    (format!("{prefix}-{}", case.seed), command(&format!("{mode}--seed {}{span} {flag}", case.seed)))
}

fn command(arguments: &str) -> String {
    format!("cargo run --release --features sim --example soak -- {arguments}")
}

impl Evidence {
    /// Runs a case once more, recorded, and writes its page. Says where.
    pub fn page(&self, name: &str, case: &Case, report: &SwarmReport, again: &str) -> io::Result<String> {
        let (from, until) = self.window;
        let all = from == Time::ZERO && until == Time::from_micros(u64::MAX);
        let keep = match report.counters.events > RECORDED {
            false => Keep::All,
            true if all => Keep::Last(400_000),
            true => Keep::Between(from, until),
        };
        let recorded = case.run(keep);
        if recorded.hash != report.hash {
            return Err(io::Error::other("a second run was another: the world does not repeat"));
        }
        let page = Page::of_case(case, &recorded, again).between(from, until);
        Ok(self.write(&format!("{name}.html"), &page.to_string())?.display().to_string())
    }

    /// Shrinks a case that failed, and writes what is left of it, and its page, which do not take the place of the page of
    /// the whole case. Says so.
    pub fn shrunk(&self, name: &str, case: &Case, failure: &Failure) -> io::Result<String> {
        #[expect(clippy::disallowed_methods, reason = "whoever waits for the smaller case waits by the wall")]
        let started = Instant::now();
        let run = |case: &Case| case.run(Keep::Nothing).failure;
        let found = Shrink::default().shrink(case, failure, run, || started.elapsed() > self.shrink);
        let name = format!("{name}-small");
        let file = self.write(&format!("{name}.case"), &found.case.to_string())?;
        let again = command(&format!("--plan {} --trace", file.display()));
        let page = self.page(&name, &found.case, &found.case.run(Keep::Nothing), &again)?;
        let size = |case: &Case| {
            let (voters, observers) = (case.config.voters, case.config.observers);
            let faults = case.plan.faults.len();
            format!("{voters}+{observers} servers, {} clients, {faults} faults, {}", case.clients, case.until)
        };
        Ok(format!(
            "  shrunk in {} worlds{}: {} (it was {})\n  fails:  {}\n  again:  {again}\n  page:   {}",
            found.attempts,
            if found.complete { "" } else { ", not to the end" },
            size(&found.case),
            size(case),
            found.failure,
            page
        ))
    }

    fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.folder)?;
        let file = self.folder.join(name);
        fs::write(&file, text)?;
        Ok(file)
    }
}

/// Reads a case that was written down.
pub fn read_case(file: &Path) -> Result<Case, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    text.parse().map_err(|error| format!("{}: {error}", file.display()))
}

/// A moment of virtual time, in seconds.
pub fn moment(text: &str) -> Result<Time, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{text}: {error}"))?;
    Ok(Time::ZERO + Duration::try_from_secs_f64(seconds).map_err(|error| format!("{text}: {error}"))?)
}
