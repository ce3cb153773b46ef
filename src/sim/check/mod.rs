//! What must always hold, and who watches over it.

mod cluster;
mod history;
mod invariant;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::types::{ServerId, Time};

pub(crate) use cluster::{Cluster, Seen};
pub(crate) use invariant::Invariant;

use super::Failure;

/// Watches over the invariants of one world. What it hears first that must not be is the world's failure. A clone
/// is another handle.
#[derive(Clone)]
pub(crate) struct Checker {
    state: Arc<Mutex<State>>,
}

struct State {
    cluster: Cluster,
    invariants: Vec<Box<dyn Invariant>>,
    failure: Option<Failure>,
    checks: u64,
}

impl Checker {
    pub(crate) fn new(members: impl IntoIterator<Item = (ServerId, bool)>) -> Self {
        let mut cluster = Cluster::default();
        for (server, voting) in members {
            cluster.servers.entry(server).or_default().voting = voting;
        }
        let state = State { cluster, invariants: invariant::all(), failure: None, checks: 0 };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Watches over one more invariant.
    #[cfg(test)]
    pub(crate) fn plant(&self, invariant: Box<dyn Invariant>) {
        self.lock().invariants.push(invariant);
    }

    /// Something was seen at a server.
    pub(crate) fn see(&self, at: Time, server: ServerId, seen: &Seen<'_>) {
        let mut state = self.lock();
        let State { cluster, invariants, failure, checks } = &mut *state;
        if failure.is_some() {
            return;
        }
        *checks += 1;
        let violated = |invariant: &dyn Invariant, what: String| Failure::Violated {
            at,
            invariant: invariant.name(),
            what: format!("S{server}: {what}"),
        };
        for invariant in invariants.iter_mut() {
            if let Err(what) = invariant.before(server, seen, cluster) {
                *failure = Some(violated(&**invariant, what));
                return;
            }
        }
        cluster.update(server, seen);
        for invariant in invariants.iter_mut() {
            if let Err(what) = invariant.after(server, seen, cluster) {
                *failure = Some(violated(&**invariant, what));
                return;
            }
        }
    }

    /// Says that something is wrong which no invariant over servers sees.
    pub(crate) fn fail(&self, failure: Failure) {
        self.lock().failure.get_or_insert(failure);
    }

    /// What went wrong first.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    /// How many things were checked.
    pub(crate) fn checks(&self) -> u64 {
        self.lock().checks
    }

    /// Looks at what is known of the ensemble.
    pub(crate) fn with_cluster<T>(&self, look: impl FnOnce(&Cluster) -> T) -> T {
        look(&self.lock().cluster)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
