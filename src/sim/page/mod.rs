//! One run as one page: who said what to whom and when, who led, what went wrong.

mod json;
mod story;
#[cfg(test)]
mod tests;
mod troubles;

use std::collections::BTreeSet;
use std::fmt;

use crate::types::Time;

use super::{Actor, Case, Failure, SwarmReport, TraceEvent, World};

use json::{Json, Strings};
use story::Story;

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const WORDS: &str = include_str!("words.js");

/// How many events of the trace a page is made of, at most.
const MOST: usize = 200_000;

/// One run as a page of HTML that needs nothing else: a lane for each server and client, messages as arrows, parts and epochs
/// as colours, faults, commits, and what was violated. Its text is the page ([`Display`](fmt::Display)).
///
/// ```
/// use quorate::sim::{Keep, Page, World, WorldConfig};
///
/// let world = World::with(7, WorldConfig { keep: Keep::All, ..WorldConfig::default() });
/// let outcome = world.run(async { drop(world.client().create("/a", "").await) });
/// let page = Page::of(&world, outcome.err().as_ref()).to_string();
/// assert!(page.starts_with("<!doctype html>"));
/// ```
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    /// What there is to say about the run, by name.
    facts: Vec<(&'static str, String)>,
    failure: Option<Failure>,
    replay: String,
    case: Option<String>,
    servers: (u64, u64),
    events: Vec<TraceEvent>,
    /// How many events there were in all.
    total: u64,
    ended: Time,
    from: Time,
    until: Time,
    most: usize,
}

impl Page {
    /// What a world has kept of its trace, and why it failed if it did.
    #[must_use]
    pub fn of(world: &World, failure: Option<&Failure>) -> Self {
        let servers = (world.inner().config.voters, world.inner().config.observers);
        let facts = vec![
            ("virtual time", world.now().to_string()),
            ("trace hash", format!("{:016x}", world.trace_hash())),
        ];
        let seed = world.seed();
        Self {
            title: format!("seed {seed}"),
            facts,
            failure: failure.cloned(),
            replay: format!("run the test again with seed {seed}"),
            case: None,
            servers,
            events: world.trace().events(),
            total: world.trace().count(),
            ended: world.now(),
            from: Time::ZERO,
            until: Time::from_micros(u64::MAX),
            most: MOST,
        }
    }

    /// The run of a case, as it was reported. `replay` is the command that runs it again.
    #[must_use]
    pub fn of_case(case: &Case, report: &SwarmReport, replay: &str) -> Self {
        let kinds: Vec<_> = report.kinds.iter().map(|kind| format!("{kind:?}")).collect();
        let mut facts = vec![
            ("virtual time", (Time::ZERO + report.lasted).to_string()),
            ("committed", format!("{} transactions", report.counters.committed)),
            ("compared", format!("{} reads", report.counters.oracle.reads)),
            ("trace hash", format!("{:016x}", report.hash)),
        ];
        if !kinds.is_empty() {
            facts.push(("faults drawn", kinds.join(", ")));
        }
        Self {
            title: format!("seed {}", report.seed),
            facts,
            failure: report.failure.clone(),
            replay: replay.to_owned(),
            case: Some(case.to_string()),
            servers: report.servers,
            events: report.events.clone(),
            total: report.counters.events,
            ended: Time::ZERO + report.lasted,
            from: Time::ZERO,
            until: Time::from_micros(u64::MAX),
            most: MOST,
        }
    }

    /// Shows only what happened from the first to the second moment.
    #[must_use]
    pub fn between(mut self, from: Time, until: Time) -> Self {
        (self.from, self.until) = (from, until);
        self
    }

    /// Shows so many events of the trace, at most: of a run that failed the last ones, of others the first.
    #[must_use]
    pub fn at_most(mut self, events: usize) -> Self {
        self.most = events;
        self
    }

    /// The first and the last moment that are shown, and why if that is not all.
    fn window(&self) -> (Time, Time, String) {
        let within: Vec<_> =
            self.events.iter().filter(|event| (self.from..=self.until).contains(&event.at)).collect();
        let many = within.len() > self.most;
        let shown = match (many, self.failure.is_some()) {
            (true, true) => within.get(within.len() - self.most..).unwrap_or_default(),
            (true, false) => within.get(..self.most).unwrap_or_default(),
            (false, _) => &within[..],
        };
        let all = shown.len() as u64 == self.total;
        let from = if all { Time::ZERO } else { shown.first().map_or(self.from, |event| event.at) };
        let whole_end = shown.last().map(|event| event.number) == Some(self.total);
        let until = if whole_end { self.ended } else { shown.last().map_or(self.from, |event| event.at) };
        let note = if all {
            String::new()
        } else {
            format!(
                "This page shows {} of the {} events of the run, from {from} to {until} of {}; choose others with \
                 --from SECONDS and --until SECONDS.",
                shown.len(),
                self.total,
                self.ended,
            )
        };
        (from, until, note)
    }

    fn data(&self) -> String {
        let (from, until, note) = self.window();
        // What lies before the window tells how things stood when it began.
        let before = self.events.partition_point(|event| event.at <= until);
        let story = Story::read(self.events.get(..before).unwrap_or_default());
        let lanes = self.lanes(&story);
        let lane = |actor: Actor| {
            lanes.iter().position(|known| *known == actor).and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)
        };
        let (mut kinds, mut texts) = (Strings::default(), Strings::default());
        let mut json = Json::default();
        json.object(|json| {
            json.member("title", |json| json.string(&self.title));
            json.member("facts", |json| {
                json.array(&self.facts, |json, (name, value)| {
                    json.array([*name, value], |json, text| json.string(text))
                });
            });
            json.member("replay", |json| json.string(&self.replay));
            json.member("case", |json| json.string(self.case.as_deref().unwrap_or_default()));
            json.member("note", |json| json.string(&note));
            json.member("from", |json| json.number(micros(from)));
            json.member("until", |json| json.number(micros(until)));
            json.member("failure", |json| match &self.failure {
                Some(failure) => self.write_failure(json, failure, lane),
                None => json.null(),
            });
            json.member("lanes", |json| {
                json.array(&lanes, |json, actor| {
                    json.array([&*actor.to_string(), self.sort(*actor)], |json, text| json.string(text));
                });
            });
            json.member("messages", |json| {
                let shown = story.messages.iter().filter(|message| {
                    message.sent <= until && message.ended.is_none_or(|ended| ended >= from)
                });
                json.array(shown, |json, message| {
                    json.numbers([
                        lane(message.from),
                        lane(message.to),
                        micros(message.sent),
                        message.ended.map_or(-1, micros),
                        message.fate as i64,
                        kinds.number(&message.kind),
                        texts.number(&message.gist),
                        texts.number(&message.whole),
                        i64::try_from(message.number).unwrap_or(-1),
                    ]);
                });
            });
            json.member("states", |json| {
                json.array(&story.states, |json, state| {
                    json.numbers([
                        lane(Actor::Server(state.server)),
                        micros(state.at),
                        state.part as i64,
                        state.leader.map_or(-1, |leader| lane(Actor::Server(leader))),
                        i64::from(state.serving),
                        i64::try_from(state.epoch).unwrap_or(-1),
                        i64::try_from(state.logged.as_u64()).unwrap_or(-1),
                        i64::try_from(state.committed.as_u64()).unwrap_or(-1),
                        i64::try_from(state.applied.as_u64()).unwrap_or(-1),
                    ]);
                });
            });
            json.member("marks", |json| {
                let shown = story.marks.iter().filter(|mark| (from..=until).contains(&mark.at));
                json.array(shown, |json, mark| {
                    json.numbers([
                        lane(mark.actor),
                        micros(mark.at),
                        kinds.number(&mark.kind),
                        texts.number(&mark.text),
                        i64::try_from(mark.number).unwrap_or(-1),
                    ]);
                });
            });
            json.member("works", |json| {
                let shown = story
                    .works
                    .iter()
                    .filter(|work| work.began <= until && work.ended.is_none_or(|ended| ended >= from));
                json.array(shown, |json, work| {
                    json.numbers([
                        lane(Actor::Server(work.server)),
                        micros(work.began),
                        work.ended.map_or(-1, micros),
                        texts.number(&work.what),
                    ]);
                });
            });
            json.member("troubles", |json| {
                let shown = story.troubles.list.iter().filter(|trouble| {
                    trouble.began <= until && trouble.ended.is_none_or(|ended| ended >= from)
                });
                json.array(shown, |json, trouble| {
                    let head = [
                        micros(trouble.began),
                        trouble.ended.map_or(-1, micros),
                        kinds.number(trouble.fault.name()),
                        texts.number(&trouble.what),
                    ];
                    json.numbers(head.into_iter().chain(trouble.actors().map(lane)));
                });
            });
            json.member("kinds", |json| json.array(kinds.list(), |json, kind| json.string(kind)));
            json.member("texts", |json| json.array(texts.list(), |json, text| json.string(text)));
        });
        json.into_text()
    }

    fn write_failure(&self, json: &mut Json, failure: &Failure, lane: impl Fn(Actor) -> i64) {
        let (name, what) = match failure {
            Failure::Violated { invariant, what, .. } => (*invariant, what.clone()),
            Failure::Stalled { who, .. } => ("Stalled", who.clone()),
            Failure::Leaked { what, .. } => ("Leaked", what.clone()),
            Failure::Deadlocked { what, .. } => ("Deadlocked", (*what).to_owned()),
            Failure::TooSlow { what, .. } => ("TooSlow", what.clone()),
            Failure::Panicked { what, .. } => ("Panicked", what.clone()),
            other => ("Failed", other.to_string()),
        };
        // What is violated begins with whose doing it is.
        let at_fault = what.split(':').next().and_then(|word| {
            let number = word.get(1..)?.parse().ok()?;
            match word.get(..1)? {
                "S" => Some(Actor::Server(crate::types::ServerId::new(number))),
                "C" => Some(Actor::Client(number)),
                _ => None,
            }
        });
        let at = failure.at().unwrap_or(self.ended);
        json.object(|json| {
            json.member("name", |json| json.string(name));
            json.member("what", |json| json.string(&what));
            json.member("text", |json| json.string(&failure.to_string()));
            json.member("at", |json| json.number(micros(at)));
            json.member("lane", |json| json.number(at_fault.map_or(-1, lane)));
        });
    }

    /// All servers, then the clients that were seen.
    fn lanes(&self, story: &Story) -> Vec<Actor> {
        let servers = (1..=self.servers.0 + self.servers.1).map(crate::types::ServerId::new);
        let clients: BTreeSet<_> = story
            .messages
            .iter()
            .flat_map(|message| [message.from, message.to])
            .filter(|actor| matches!(actor, Actor::Client(_)))
            .collect();
        servers.map(Actor::Server).chain(clients).collect()
    }

    fn sort(&self, actor: Actor) -> &'static str {
        match actor {
            Actor::Server(server) if server.number() <= self.servers.0 => "voter",
            Actor::Server(_) => "observer",
            _ => "client",
        }
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("/*STYLE*/", STYLE),
            ("/*DATA*/", &self.data()),
            ("/*WORDS*/", WORDS),
            ("/*VIEW*/", include_str!("view.js")),
            ("/*DRAWING*/", include_str!("drawing.js")),
            ("/*OVERVIEW*/", include_str!("overview.js")),
            ("/*PANES*/", include_str!("panes.js")),
            ("/*HANDS*/", include_str!("hands.js")),
        ];
        let mut rest = FRAME;
        for (place, part) in parts {
            let (before, after) = rest.split_once(place).unwrap_or((rest, ""));
            f.write_str(before)?;
            f.write_str(part)?;
            rest = after;
        }
        f.write_str(rest)
    }
}

fn micros(time: Time) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
