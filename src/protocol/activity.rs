use std::time::Duration;

use crate::types::{Time, Zxid};

use super::record::OpCode;

/// What happened on a connection, or on all of them, in a stretch of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Activity {
    /// Frames that arrived, and four-letter words.
    pub received: u64,
    /// Frames that were sent: replies and watch events, and texts.
    pub sent: u64,
    /// Auth packets that were refused.
    pub auth_failed: u64,
    /// How long requests took to be answered.
    pub latency: Latency,
    /// The request that was answered last.
    pub last: Option<LastRequest>,
}

/// The request of a connection that was answered last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastRequest {
    /// What was asked.
    pub op: OpCode,
    /// The client's number for it.
    pub xid: i32,
    /// The position in its answer.
    pub zxid: Zxid,
    /// When it was answered.
    pub answered: Time,
}

/// How long some requests took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Latency {
    /// How many they were.
    pub count: u64,
    /// How long they took together.
    pub total: Duration,
    /// The fastest; zero where there was none.
    pub min: Duration,
    /// The slowest.
    pub max: Duration,
    /// How long the last one took.
    pub last: Duration,
}

impl Activity {
    /// Adds what happened later.
    pub fn add(&mut self, later: &Self) {
        self.received += later.received;
        self.sent += later.sent;
        self.auth_failed += later.auth_failed;
        self.latency.add(&later.latency);
        self.last = later.last.or(self.last);
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Latency {
    /// Adds a request that took so long.
    pub fn record(&mut self, took: Duration) {
        self.add(&Self { count: 1, total: took, min: took, max: took, last: took });
    }

    /// Adds requests that came later.
    pub fn add(&mut self, later: &Self) {
        if later.count == 0 {
            return;
        }
        self.min = if self.count == 0 { later.min } else { self.min.min(later.min) };
        self.max = self.max.max(later.max);
        self.count += later.count;
        self.total = self.total.saturating_add(later.total);
        self.last = later.last;
    }

    /// How long one took on average, in milliseconds.
    #[must_use]
    pub fn average_millis(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.total.as_secs_f64() * 1_000.0 / self.count as f64 }
    }
}
