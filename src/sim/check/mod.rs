//! What must always hold, and who watches over it.

mod cluster;
mod history;
mod invariant;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::types::{ServerId, Time};

pub(crate) use cluster::{Cluster, Ghost, Kind, Seen};
pub(crate) use invariant::Invariant;
#[cfg(test)]
pub(crate) use invariant::all as invariants;

use super::Failure;

/// Watches over the invariants of one world. What it hears first that must not be is the world's failure. A clone
/// is another handle.
#[derive(Clone)]
pub(crate) struct Checker {
    state: Arc<Mutex<State>>,
    failed: Arc<AtomicBool>,
}

struct State {
    cluster: Cluster,
    invariants: Vec<Box<dyn Invariant>>,
    /// For each kind of things, in the order of the kinds, the places of those who heed it.
    heeding: Vec<Vec<usize>>,
    failure: Option<Failure>,
    checks: u64,
    /// Who waits for the ghost to grow.
    waiting: Vec<Waker>,
}

impl Checker {
    pub(crate) fn new(members: impl IntoIterator<Item = (ServerId, bool)>) -> Self {
        let mut cluster = Cluster::default();
        for (server, voting) in members {
            cluster.servers.entry(server).or_default().voting = voting;
        }
        let invariants = invariant::all();
        let heeding = Kind::ALL.map(|kind| {
            let heeding = invariants.iter().enumerate().filter(|(_, invariant)| invariant.heeds(kind));
            heeding.map(|(place, _)| place).collect()
        });
        let heeding = heeding.into();
        let state = State { cluster, invariants, heeding, failure: None, checks: 0, waiting: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)), failed: Arc::default() }
    }

    /// Watches over one more invariant.
    #[cfg(test)]
    pub(crate) fn plant(&self, invariant: Box<dyn Invariant>) {
        let mut state = self.lock();
        let place = state.invariants.len();
        for (kind, heeding) in Kind::ALL.into_iter().zip(&mut state.heeding) {
            if invariant.heeds(kind) {
                heeding.push(place);
            }
        }
        state.invariants.push(invariant);
    }

    /// Something was seen at a server.
    pub(crate) fn see(&self, at: Time, server: ServerId, seen: &Seen<'_>) {
        let mut state = self.lock();
        let State { cluster, invariants, heeding, failure, checks, waiting } = &mut *state;
        if failure.is_some() {
            return;
        }
        *checks += 1;
        let known = cluster.ghost.len();
        let heeding = heeding.get(seen.kind() as usize).map_or(&[][..], Vec::as_slice);
        let judged = judge(cluster, invariants, heeding, server, seen);
        if let Err((invariant, what)) = judged {
            *failure = Some(Failure::Violated { at, invariant, what: format!("S{server}: {what}") });
            self.failed.store(true, Ordering::Relaxed);
        }
        let woken = if cluster.ghost.len() > known { std::mem::take(waiting) } else { Vec::new() };
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Wakes a task when the next transaction is known to be committed.
    pub(crate) fn wake_at_commit(&self, waker: &Waker) {
        self.lock().waiting.push(waker.clone());
    }

    /// A run has ended: what is judged only now and then is judged once more, and all of it.
    pub(crate) fn finish(&self, at: Time) {
        let mut state = self.lock();
        let State { cluster, invariants, failure, .. } = &mut *state;
        if failure.is_some() {
            return;
        }
        for invariant in invariants {
            if let Err(what) = invariant.at_end(cluster) {
                *failure = Some(Failure::Violated { at, invariant: invariant.name(), what });
                self.failed.store(true, Ordering::Relaxed);
                return;
            }
        }
    }

    /// Says that something is wrong which no invariant over servers sees.
    pub(crate) fn fail(&self, failure: Failure) {
        self.lock().failure.get_or_insert(failure);
        self.failed.store(true, Ordering::Relaxed);
    }

    /// What went wrong first.
    pub(crate) fn failure(&self) -> Option<Failure> {
        // Asked after every step.
        if self.failed.load(Ordering::Relaxed) { self.lock().failure.clone() } else { None }
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

fn judge(
    cluster: &mut Cluster,
    invariants: &mut [Box<dyn Invariant>],
    heeding: &[usize],
    server: ServerId,
    seen: &Seen<'_>,
) -> Result<(), (&'static str, String)> {
    for place in heeding {
        let Some(invariant) = invariants.get_mut(*place) else { continue };
        invariant.before(server, seen, cluster).map_err(|what| (invariant.name(), what))?;
    }
    cluster.update(server, seen);
    for place in heeding {
        let Some(invariant) = invariants.get_mut(*place) else { continue };
        invariant.after(server, seen, cluster).map_err(|what| (invariant.name(), what))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
