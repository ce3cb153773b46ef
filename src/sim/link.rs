use std::time::Duration;

use crate::types::SeededRng;

/// How often something happens, in millionths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Rate(u32);

impl Rate {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Every time.
    pub const ALWAYS: Self = Self(1_000_000);

    /// So many times in a million.
    #[must_use]
    pub const fn millionths(count: u32) -> Self {
        Self(count)
    }

    /// So many times in a hundred.
    #[must_use]
    pub const fn percent(count: u32) -> Self {
        Self(count.saturating_mul(10_000))
    }

    /// How many times in a million.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0
    }

    /// Whether it happens this time.
    pub(crate) fn draw(self, rng: &mut SeededRng) -> bool {
        // Without a draw where the answer is clear: a fault that is off does not shift the others.
        self.0 > 0 && rng.chance(u64::from(self.0), 1_000_000)
    }
}

/// How long frames travel: at least `min`, up to `spread` more, and with `tail` probability a multiple of that, up
/// to 128 times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Latency {
    /// The shortest.
    pub min: Duration,
    /// How much longer it is in general; even within it.
    pub spread: Duration,
    /// How often a frame takes much longer.
    pub tail: Rate,
}

impl Latency {
    /// Every frame takes this long.
    #[must_use]
    pub const fn fixed(span: Duration) -> Self {
        Self { min: span, spread: Duration::ZERO, tail: Rate::NEVER }
    }

    pub(crate) fn draw(&self, rng: &mut SeededRng) -> Duration {
        let spread = u64::try_from(self.spread.as_micros()).unwrap_or(u64::MAX);
        let mut span = self.min + Duration::from_micros(if spread > 0 { rng.below(spread) } else { 0 });
        if self.tail.draw(rng) {
            span *= 1 << (1 + rng.below(7));
        }
        span
    }
}

impl Default for Latency {
    /// A network in one building.
    fn default() -> Self {
        Self {
            min: Duration::from_micros(100),
            spread: Duration::from_micros(400),
            tail: Rate::millionths(1_000),
        }
    }
}

/// What one direction between two servers does to frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkFaults {
    /// How long frames travel.
    pub latency: Latency,
    /// How often a frame is lost.
    pub drop: Rate,
    /// How often a frame arrives twice.
    pub duplicate: Rate,
    /// How often a frame does not keep its place in its lane.
    pub reorder: Rate,
    /// How often a frame reaches the next incarnation of a server that was restarted while it travelled. Without
    /// it such frames are lost, as with TCP.
    pub stale: Rate,
    /// Bytes per millisecond; 0 for no limit.
    pub bytes_per_milli: u64,
}
