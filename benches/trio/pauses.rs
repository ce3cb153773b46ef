//! How long single steps take, by the processor time of the thread.

use std::fmt;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long single steps took.
#[derive(Default)]
pub struct Pauses(pub Vec<Duration>);

impl Pauses {
    #[allow(dead_code, reason = "not every bench has a use for it")]
    pub fn measure<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let begun = busy();
        let done = step();
        self.0.push(busy() - begun);
        done
    }
}

impl fmt::Display for Pauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at =
            |part: f64| sorted.get(((sorted.len() - 1) as f64 * part) as usize).copied().unwrap_or_default();
        write!(f, "half within {:?}, 99 % within {:?}, all within {:?}", at(0.5), at(0.99), at(1.0))
    }
}

/// The processor time of this thread.
pub fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
