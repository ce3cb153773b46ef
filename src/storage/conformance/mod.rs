//! What every [`Storage`] must do, as cases that a storage's author runs in one line.
//!
//! ```
//! use quorate::storage::{MemoryStorage, Storage, conformance};
//!
//! // Each call of the outer closure is a fresh store, each call of the inner one opens it (again).
//! conformance::check(&|| {
//!     let store = MemoryStorage::new();
//!     Box::new(move || Box::new(store.clone()) as Box<dyn Storage>)
//! });
//! ```
//!
//! A store with a switch for its power implements [`Harness`] itself, and [`power_cut`](Harness::power_cut)
//! drops whatever was not durable.

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        pub(super) const CASES: &[(&str, Case)] = &[$((stringify!($name), |harness| $name(harness).boxed())),+];
    };
}

mod log_cases;
mod snapshot_cases;
mod steps;

use futures::executor::block_on;
use futures::future::BoxFuture;

use super::Storage;

/// One store under test, empty at first.
pub trait Harness: Send + Sync {
    /// Opens it, as a starting server does; what was opened before has been dropped.
    fn open(&self) -> Box<dyn Storage>;

    /// Cuts the power: what is not durable may be lost. Called between a drop and an `open`. Does nothing where that
    /// cannot be simulated; then only a restart is tested.
    fn power_cut(&self) {}
}

impl<F: Fn() -> Box<dyn Storage> + Send + Sync> Harness for F {
    fn open(&self) -> Box<dyn Storage> {
        self()
    }
}

/// How one case went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The case, as a sentence.
    pub case: &'static str,
    /// What was found instead of what must be.
    pub result: Result<(), String>,
}

/// Runs every case, each on a fresh store.
pub async fn run(fresh: &(dyn Fn() -> Box<dyn Harness> + Sync)) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (case, body) in log_cases::CASES.iter().chain(snapshot_cases::CASES) {
        let harness = fresh();
        outcomes.push(Outcome { case, result: body(&*harness).await });
    }
    outcomes
}

/// Runs every case on the current thread, without a runtime.
///
/// # Panics
///
/// When a case fails; the message names each that did.
pub fn check(fresh: &(dyn Fn() -> Box<dyn Harness> + Sync)) {
    let failures: Vec<String> = block_on(run(fresh))
        .into_iter()
        .filter_map(|outcome| {
            outcome.result.err().map(|found| format!("  {}: {found}", outcome.case.replace('_', " ")))
        })
        .collect();
    assert!(failures.is_empty(), "the storage breaks these promises:\n{}", failures.join("\n"));
}

type Case = for<'a> fn(&'a dyn Harness) -> BoxFuture<'a, Result<(), String>>;
