use std::any::Any;

use thiserror::Error;

use crate::types::Time;

/// Why a simulated world failed. The world stops where it is; run it again from the same seed to see the same.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// Something that must always hold did not.
    #[error("at {at}: {invariant} is violated: {what}")]
    Violated {
        /// Virtual time.
        at: Time,
        /// Which invariant.
        invariant: &'static str,
        /// What was seen.
        what: String,
    },
    /// Tasks run for ever without time moving.
    #[error("at {at}: the world stalls: time does not move; {who}")]
    Stalled {
        /// Virtual time.
        at: Time,
        /// Who was polled most.
        who: String,
    },
    /// There is more of something than there can reasonably be.
    #[error("at {at}: the world leaks: {what}")]
    Leaked {
        /// Virtual time.
        at: Time,
        /// What there is too much of.
        what: String,
    },
    /// Nothing can ever happen any more, and what was waited for has not.
    #[error("at {at}: nothing can happen any more, and {what} has not completed")]
    Deadlocked {
        /// Virtual time.
        at: Time,
        /// What was waited for.
        what: &'static str,
    },
    /// What was waited for did not happen in the virtual time that was given.
    #[error("at {at}: {what} has not happened in the virtual time it was given")]
    TooSlow {
        /// Virtual time.
        at: Time,
        /// What was waited for.
        what: String,
    },
    /// Code that runs in the world panicked: a test that says so that it failed, or whatever else runs there.
    #[error("at {at}: a panic: {what}")]
    Panicked {
        /// Virtual time.
        at: Time,
        /// What it said.
        what: String,
    },
    /// A task was woken from another thread: what other threads do cannot be replayed. Use the world's clock
    /// and spawn on the world, not on threads or on another runtime.
    #[error("a task was woken from another thread; everything in a world runs on the world")]
    Foreign,
    /// Two runs from one seed differed.
    #[error("two runs from seed {seed} differ: trace hashes {first:016x} and {second:016x}")]
    Diverged {
        /// The seed.
        seed: u64,
        /// The trace hash of the first run.
        first: u64,
        /// The trace hash of the second run.
        second: u64,
    },
    /// The world cannot be built like this, or was asked for something that is not there.
    #[error("the world was misused: {0}")]
    Misused(String),
}

impl Failure {
    /// What a caught panic said.
    pub(super) fn of_panic(at: Time, panic: &(dyn Any + Send)) -> Self {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        Self::Panicked { at, what: said.unwrap_or("it said nothing").to_owned() }
    }

    /// When the world failed, where that is known.
    #[must_use]
    pub const fn at(&self) -> Option<Time> {
        match self {
            Self::Violated { at, .. }
            | Self::Stalled { at, .. }
            | Self::Leaked { at, .. }
            | Self::Deadlocked { at, .. }
            | Self::TooSlow { at, .. }
            | Self::Panicked { at, .. } => Some(*at),
            Self::Foreign | Self::Diverged { .. } | Self::Misused(_) => None,
        }
    }
}
