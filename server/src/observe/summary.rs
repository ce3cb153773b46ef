use std::time::Duration;

/// How many of the latest values the quantiles are taken from.
const LATEST: usize = 512;

/// Spans or sizes that were seen: how many, their sum, and the latest of them for quantiles.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Summary {
    count: u64,
    sum: f64,
    max: f64,
    latest: Vec<f64>,
    next: usize,
}

impl Summary {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.max = self.max.max(value);
        match self.latest.get_mut(self.next) {
            Some(oldest) => *oldest = value,
            None => self.latest.push(value),
        }
        self.next = (self.next + 1) % LATEST;
    }

    /// Adds a span, in milliseconds.
    pub fn add_span(&mut self, span: Duration) {
        self.add(span.as_secs_f64() * 1_000.0);
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The largest of all; 0 when there was none.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.max
    }

    /// The mean of all; 0 when there was none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }

    /// These quantiles (0 to 1) of the latest values; none when there was no value.
    #[must_use]
    pub fn quantiles<const N: usize>(&self, wanted: [f64; N]) -> Option<[f64; N]> {
        let mut sorted = self.latest.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        Some(wanted.map(|wanted| {
            let at = (wanted.clamp(0.0, 1.0) * last as f64).round() as usize;
            sorted.get(at).copied().unwrap_or_default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_latest_values_and_sums_of_all() {
        let mut summary = Summary::default();
        assert_eq!(summary.quantiles([0.5]), None);
        (0..1000).for_each(|_| summary.add(1_000.0));
        (0..LATEST).for_each(|value| summary.add(value as f64));
        assert_eq!(summary.quantiles([0.0, 0.5, 1.0]), Some([0.0, 256.0, 511.0]));
        assert_eq!((summary.count(), summary.max()), (1_512, 1_000.0));
        assert_eq!(summary.sum(), 1_000_000.0 + 511.0 * 256.0);
    }
}
