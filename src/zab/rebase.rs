//! For model checking: servers that differ in nothing but when something happened are one state.

use crate::types::Time;

use super::{Part, Zab};

impl Zab {
    /// Moves the machine from its own time to `to`, a fixed instant: every deadline stays as far ahead, and everything
    /// that happened as long ago, as it was; nothing longer ago than `to` itself. The machine behaves afterwards as it
    /// would have before.
    pub(crate) fn rebase(&mut self, to: Time) {
        let now = std::mem::replace(&mut self.core.now, to);
        let shift = |time: &mut Time| {
            *time = if *time >= now {
                to + time.since(now)
            } else {
                Time::ZERO + to.since(Time::ZERO + now.since(*time))
            };
        };
        match &mut self.part {
            Part::Idle => {}
            Part::Leader(leader) => leader.each_time(shift),
            Part::Learner(learner) => learner.each_time(shift),
        }
    }
}
