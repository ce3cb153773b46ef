//! What all worlds of a run came to.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::sim::{Point, SwarmReport};

use super::options::Options;

/// What all worlds of a run came to.
#[derive(Default)]
pub struct Totals {
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
    /// Frames lost, doubled and overtaken.
    frames: [u64; 3],
    /// The seeds that failed.
    pub failed: Vec<u64>,
}

impl Totals {
    /// One more world.
    pub fn add(&mut self, report: &SwarmReport) {
        let counters = &report.counters;
        self.seeds += 1;
        self.virtual_time += report.lasted;
        self.idle += counters.executor.idle;
        self.operations += counters.oracle.reads + counters.oracle.writes;
        self.linearized += report.registers.linearized;
        self.undecided += report.registers.undecided;
        self.watch_events += counters.oracle.events;
        let network = &counters.network;
        self.messages += network.sent;
        let frames = [network.dropped, network.duplicated, network.reordered];
        self.frames.iter_mut().zip(frames).for_each(|(sum, count)| *sum += count);
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

    /// The points of coverage that no world reached.
    pub fn missed(&self) -> Vec<Point> {
        Point::ALL
            .iter()
            .copied()
            .filter(|point| self.points.get(point).is_none_or(|hits| *hits == 0))
            .collect()
    }

    /// Two lines, for while it runs.
    pub fn progress(&self, options: &Options, elapsed: Duration) -> String {
        let wall = elapsed.as_secs_f64().max(0.001);
        let done = match (options.seeds, options.limit) {
            (Some(seeds), _) => self.seeds as f64 / seeds.max(1) as f64,
            (None, Some(limit)) => wall / limit.as_secs_f64().max(0.001),
            (None, None) => 0.0,
        };
        let filled = (done.clamp(0.0, 1.0) * 20.0) as usize;
        format!(
            "[{}{}] {} seeds ({:.1}/s), {:.0} s simulated, {} operations, {} messages, {} elections, {}/{} points, {} failed\n{} faults: {}",
            "#".repeat(filled),
            ".".repeat(20 - filled),
            self.seeds,
            self.seeds as f64 / wall,
            self.virtual_time.as_secs_f64(),
            self.operations,
            self.messages,
            self.elections,
            Point::ALL.len() - self.missed().len(),
            Point::ALL.len(),
            self.failed.len(),
            self.faults.values().sum::<u64>(),
            self.commonest(6),
        )
    }

    /// The kinds of faults that came most often.
    fn commonest(&self, most: usize) -> String {
        let mut kinds: Vec<_> = self.faults.iter().collect();
        kinds.sort_by_key(|(name, count)| (u64::MAX - **count, **name));
        let kinds: Vec<_> = kinds.iter().take(most).map(|(name, count)| format!("{name} {count}")).collect();
        kinds.join(", ")
    }

    /// All of it, for the end.
    pub fn table(&self, options: &Options, elapsed: Duration) -> String {
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
            format!(
                "frames: {} lost, {} doubled, {} overtaken",
                self.frames[0], self.frames[1], self.frames[2]
            ),
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
