use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use quorate::peer::Status;
use quorate::{Now, Time};

use super::Totals;

/// Ten minutes, at one sample a second.
const KEPT: usize = 600;

/// The last ten minutes of a server, for charts.
#[derive(Debug, Default)]
pub struct History(Mutex<State>);

/// What happened between two looks.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Sample {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Reads a second.
    pub reads: f64,
    /// Writes a second.
    pub writes: f64,
    /// Watch events a second.
    pub events: f64,
    /// The mean span of a read, in milliseconds.
    pub read_ms: f64,
    /// The mean span of a write, in milliseconds.
    pub write_ms: f64,
    /// The mean span of a sync of the log, in milliseconds.
    pub fsync_ms: f64,
    /// Sessions in the ensemble.
    pub sessions: u64,
    /// Clients of this server.
    pub clients: u64,
    /// Watches of its clients.
    pub watches: u64,
}

#[derive(Debug, Default)]
struct State {
    last: Option<(Time, Totals)>,
    samples: VecDeque<Sample>,
}

impl History {
    /// Takes a look; to be called about every second.
    pub fn look(&self, now: Now, totals: Totals, status: &Status) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((time, before)) = state.last.replace((now.time, totals.clone())) else { return };
        let span = now.time.since(time).as_secs_f64();
        if span <= 0.0 {
            return;
        }
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / span;
        let sample = Sample {
            at: now.wall.as_millis(),
            reads: rate(totals.reads.count(), before.reads.count()),
            writes: rate(totals.updates.count(), before.updates.count()),
            events: rate(totals.events(), before.events()),
            read_ms: mean(&totals.reads, &before.reads),
            write_ms: mean(&totals.updates, &before.updates),
            fsync_ms: mean(&totals.fsync, &before.fsync),
            sessions: status.sessions,
            clients: status.clients,
            watches: status.watches,
        };
        if state.samples.len() == KEPT {
            state.samples.pop_front();
        }
        state.samples.push_back(sample);
    }

    /// The samples, the oldest first.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).samples.iter().copied().collect()
    }

    /// The latest sample; zeros before the first.
    #[must_use]
    pub fn latest(&self) -> Sample {
        self.samples().last().copied().unwrap_or_default()
    }
}

fn mean(now: &super::Summary, before: &super::Summary) -> f64 {
    match now.count().saturating_sub(before.count()) {
        0 => 0.0,
        count => (now.sum() - before.sum()).max(0.0) / count as f64,
    }
}
