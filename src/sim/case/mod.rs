//! One world, whole: what a seed draws, written out so that it can be changed and run again.

mod fields;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::types::{ServerId, Time};

use super::{Aftermath, FaultKind, Keep, Mode, Plan, Shape, Workload, WorldConfig};

use fields::fields;
use words::{Words, link_words, outage_words, shape_words, time};

/// The first line of every case that is written down.
const HEAD: &str = "quorate case 1";

/// A world and all that happens to it: what [`Swarm`](super::Swarm) draws from a seed, in full. Unlike the seed it can be
/// made smaller, and written down: its text says what differs from the usual, line by line, and reads back as the same
/// case.
///
/// ```
/// use quorate::sim::{Case, Swarm};
///
/// let case = Swarm::default().case(7);
/// let text = case.to_string();
/// assert!(text.starts_with("quorate case 1\nseed 7\n"));
/// assert_eq!(text.parse::<Case>(), Ok(case));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// What chance inside the world is drawn from.
    pub seed: u64,
    /// What is demanded of it.
    pub mode: Mode,
    /// The world. What it keeps of its trace is said when it runs, and its links are those of the plan.
    pub config: WorldConfig,
    /// How many clients work.
    pub clients: u64,
    /// How they work.
    pub workload: Workload,
    /// What happens, and when.
    pub plan: Plan,
    /// When the faults end, and the core is healed.
    pub until: Time,
    /// When the clients stop.
    pub work_until: Time,
    /// The quorum that is healed then; in liveness mode also what is wrong with all others, for good.
    pub aftermath: Aftermath,
    /// How long it may take to come to life then.
    pub lively: Duration,
    /// How long nobody wants anything after that, before it must still be alive.
    pub idle: Duration,
}

/// A text is no case.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("line {line}: {what}")]
pub struct BadCase {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl Case {
    /// Three servers, no clients and no faults, from this seed.
    #[must_use]
    pub fn quiet(seed: u64) -> Self {
        Self {
            seed,
            mode: Mode::Safety,
            config: WorldConfig::default(),
            clients: 0,
            workload: Workload::default(),
            plan: Plan::default(),
            until: Time::from_millis(5_000),
            work_until: Time::from_millis(5_000),
            aftermath: Aftermath::healed(vec![ServerId::new(1), ServerId::new(2)]),
            lively: Duration::from_secs(60),
            idle: Duration::ZERO,
        }
    }

    /// The names of the numbers that differ from the usual, and what is usual.
    pub(super) fn unusual(&self) -> Vec<(&'static str, String)> {
        let (mut own, mut usual) = (self.clone(), Self::quiet(self.seed));
        let usual = fields(&mut usual);
        fields(&mut own)
            .into_iter()
            .zip(usual)
            .filter(|((_, own), (_, usual))| own.show() != usual.show())
            .map(|((name, _), (_, usual))| (name, usual.show()))
            .collect()
    }

    /// Sets a number by its name.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let field = fields(self).into_iter().find(|(known, _)| *known == name);
        field.ok_or_else(|| format!("a case has no `{name}`"))?.1.set(value)
    }

    fn read_line(&mut self, line: &str) -> Result<(), String> {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut words = Words::new(rest);
        match name {
            "seed" => self.seed = words.number("seed")?,
            "mode" => {
                self.mode = match words.word("mode")? {
                    "safety" => Mode::Safety,
                    "liveness" => Mode::Liveness,
                    other => return Err(format!("`{other}` is no mode")),
                };
            }
            "core" => self.aftermath.core = words.servers()?,
            "shape" => self.aftermath.shape = words.shape()?,
            "outage" => self.aftermath.outages.push((words.server()?, words.outage()?)),
            "victims" => self.plan.victims = words.servers()?,
            "links" => self.plan.links = words.link_faults()?,
            "kinds" => {
                self.plan.kinds = rest.split_whitespace().map(kind).collect::<Result<_, _>>()?;
                return Ok(());
            }
            "fault" => {
                let at = time(words.word("time")?)?;
                self.plan.faults.push((at, words.fault()?));
            }
            _ => self.set(name, words.word("value")?)?,
        }
        words.end()
    }
}

/// Reads back: `text.parse::<Case>()`.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        writeln!(f, "seed {}", self.seed)?;
        if self.mode == Mode::Liveness {
            writeln!(f, "mode liveness")?;
        }
        let mut own = self.clone();
        let unusual = self.unusual();
        for (name, field) in fields(&mut own) {
            if unusual.iter().any(|(other, _)| *other == name) {
                writeln!(f, "{name} {}", field.show())?;
            }
        }
        let list =
            |servers: &[ServerId]| servers.iter().map(|server| format!(" S{server}")).collect::<String>();
        writeln!(f, "core{}", list(&self.aftermath.core))?;
        if self.aftermath.shape != Shape::Clique {
            writeln!(f, "shape {}", shape_words(self.aftermath.shape))?;
        }
        for (server, outage) in &self.aftermath.outages {
            writeln!(f, "outage S{server} {}", outage_words(*outage))?;
        }
        if !self.plan.victims.is_empty() {
            writeln!(f, "victims{}", list(&self.plan.victims))?;
        }
        if !self.plan.kinds.is_empty() {
            let kinds: String = self.plan.kinds.iter().map(|kind| format!(" {kind:?}")).collect();
            writeln!(f, "kinds{kinds}")?;
        }
        let links = link_words(&self.plan.links);
        if !links.is_empty() {
            writeln!(f, "links{links}")?;
        }
        for (at, fault) in &self.plan.faults {
            writeln!(f, "fault {at} {fault}")?;
        }
        Ok(())
    }
}

impl FromStr for Case {
    type Err = BadCase;

    /// Empty lines, and what follows a `#`, are passed over.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut case = Self::quiet(0);
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.split('#').next().unwrap_or_default().trim()))
            .filter(|(_, line)| !line.is_empty());
        match lines.next() {
            Some((_, HEAD)) => {}
            Some((line, _)) => return Err(BadCase { line, what: format!("a case begins with `{HEAD}`") }),
            None => return Err(BadCase { line: 1, what: format!("a case begins with `{HEAD}`") }),
        }
        let mut last = 1;
        for (line, words) in lines {
            case.read_line(words).map_err(|what| BadCase { line, what })?;
            last = line;
        }
        case.plan.faults.sort_by_key(|(at, _)| *at);
        case.config.keep = Keep::Nothing;
        case.check().map_err(|what| BadCase { line: last, what })?;
        Ok(case)
    }
}

impl Case {
    /// Whether a world can be built of it.
    fn check(&self) -> Result<(), String> {
        let servers = self.config.voters.saturating_add(self.config.observers);
        if self.config.voters == 0 || servers > 100 || self.clients > 10_000 {
            return Err(
                "a world has 1 to 100 servers, one of them voting, and at most 10,000 clients".to_owned()
            );
        }
        let is_there = |server: &ServerId| (1..=servers).contains(&server.number());
        let outages =
            self.aftermath.outages.iter().flat_map(|(server, outage)| [Some(*server), outage.server()]);
        let hub = if let Shape::Hub(hub) = self.aftermath.shape { Some(hub) } else { None };
        if let Some(server) = outages.flatten().chain(hub).find(|server| !is_there(server)) {
            return Err(format!("the world is left with S{server}, which is not there"));
        }
        let stray =
            self.plan.faults.iter().find(|(_, fault)| !fault.servers().all(|server| is_there(&server)));
        if let Some((_, fault)) = stray {
            return Err(format!("`{fault}` names a server that is not there"));
        }
        match self.aftermath.core.iter().find(|server| !is_there(server)) {
            Some(server) => Err(format!("the core has S{server}, which is not there")),
            None if self.aftermath.core.is_empty() => Err("the core has no server".to_owned()),
            None => Ok(()),
        }
    }
}

fn kind(word: &str) -> Result<FaultKind, String> {
    FaultKind::ALL
        .into_iter()
        .find(|kind| format!("{kind:?}") == word)
        .ok_or_else(|| format!("`{word}` is no kind of faults"))
}
