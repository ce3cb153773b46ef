use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use futures::task::AtomicWaker;
use tokio::time::Instant;

use crate::protocol::words::{ConnectionReport, ServerReport};
use crate::protocol::{Activity, ClientConnection};
use crate::types::{SessionId, Time};

/// The connections of a listener, or of several, and what happened on them.
#[derive(Debug)]
pub struct Registry {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    connections: BTreeMap<u64, Arc<Entry>>,
    by_address: BTreeMap<IpAddr, usize>,
    activity: Activity,
    /// The sum over all connections, kept up so that who only wants the number does not hold up all of them.
    outstanding: usize,
    rejected: u64,
}

/// One connection, as the others see it.
#[derive(Debug)]
pub(super) struct Entry {
    address: SocketAddr,
    is_secure: bool,
    established_millis: i64,
    /// Wakes the connection's task when it is to end.
    pub(super) waker: AtomicWaker,
    facts: Mutex<Facts>,
}

#[derive(Clone, Copy, Debug)]
struct Facts {
    session: SessionId,
    timeout_millis: u32,
    outstanding: usize,
    activity: Activity,
}

/// A place in the registry; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    number: u64,
    pub(super) entry: Arc<Entry>,
}

impl Registry {
    /// Without connections; the time that is shown as the server's begins.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now(), state: Mutex::default() }
    }

    /// How many connections there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().connections.len()
    }

    /// Whether there is no connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened on all connections since the start, or since the last reset.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.state().activity
    }

    /// The connections, oldest first.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionReport> {
        let entries: Vec<_> = self.state().connections.values().cloned().collect();
        let zero = self.zero_millis();
        entries.iter().map(|entry| entry.report(zero)).collect()
    }

    /// Forgets what happened on all connections together.
    pub fn reset(&self) {
        let mut state = self.state();
        state.activity = Activity::default();
        state.rejected = 0;
    }

    /// Forgets what happened on each connection.
    pub fn reset_connections(&self) {
        let entries: Vec<_> = self.state().connections.values().cloned().collect();
        for entry in entries {
            entry.facts().activity = Activity::default();
        }
    }

    /// Microseconds since the registry was made; what connections take for the time.
    pub(super) fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn fill(&self, report: &mut ServerReport, lists: bool) {
        report.uptime = self.started.elapsed();
        let entries: Option<Vec<_>> = {
            let state = self.state();
            report.activity = state.activity;
            report.connection_count = state.connections.len();
            report.outstanding = state.outstanding;
            report.rejected = state.rejected;
            lists.then(|| state.connections.values().cloned().collect())
        };
        if let Some(entries) = entries {
            let zero = self.zero_millis();
            report.connections = entries.iter().map(|entry| entry.report(zero)).collect();
        }
    }

    /// A place for a connection from `address`; none where it would be one too many.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: SocketAddr,
        is_secure: bool,
        per_address: usize,
        together: usize,
    ) -> Option<Place> {
        let established_millis = wall_millis();
        let mut state = self.state();
        let from_there = state.by_address.get(&address.ip()).copied().unwrap_or(0);
        let full = |limit: usize, count: usize| limit != 0 && count >= limit;
        if full(per_address, from_there) || full(together, state.connections.len()) {
            state.rejected += 1;
            return None;
        }
        let number = state.next;
        state.next += 1;
        *state.by_address.entry(address.ip()).or_default() += 1;
        let entry = Arc::new(Entry {
            address,
            is_secure,
            established_millis,
            waker: AtomicWaker::new(),
            facts: Mutex::new(Facts {
                session: SessionId::NONE,
                timeout_millis: 0,
                outstanding: 0,
                activity: Activity::default(),
            }),
        });
        state.connections.insert(number, Arc::clone(&entry));
        Some(Place { registry: Arc::clone(self), number, entry })
    }

    pub(super) fn wake_all(&self) {
        let entries: Vec<_> = self.state().connections.values().cloned().collect();
        for entry in entries {
            entry.waker.wake();
        }
    }

    /// The wall clock when the registry was made.
    fn zero_millis(&self) -> i64 {
        wall_millis() - i64::try_from(self.started.elapsed().as_millis()).unwrap_or(0)
    }

    /// Whole between any two statements that hold the lock, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// Takes over what happened on the connection.
    pub(super) fn update(&self, connection: &mut ClientConnection) {
        let activity = connection.take_activity();
        let outstanding = connection.outstanding();
        let before = {
            let mut facts = self.entry.facts();
            facts.activity.add(&activity);
            facts.session = connection.session();
            facts.timeout_millis = connection.timeout_millis();
            std::mem::replace(&mut facts.outstanding, outstanding)
        };
        if !activity.is_empty() || before != outstanding {
            let mut state = self.registry.state();
            state.activity.add(&activity);
            // Only this place's part changes, which is in the sum.
            state.outstanding = state.outstanding - before + outstanding;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let outstanding = self.entry.facts().outstanding;
        let mut state = self.registry.state();
        state.outstanding -= outstanding;
        state.connections.remove(&self.number);
        let address = self.entry.address.ip();
        if let Some(count) = state.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&address);
            }
        }
    }
}

impl Entry {
    fn report(&self, zero_millis: i64) -> ConnectionReport {
        let Facts { session, timeout_millis, outstanding, activity } = *self.facts();
        let answered = activity.last.map(|last| last.answered.as_micros() / 1_000);
        ConnectionReport {
            address: self.address,
            session,
            timeout_millis,
            outstanding,
            activity,
            established_millis: self.established_millis,
            answered_millis: answered
                .map_or(0, |millis| zero_millis.saturating_add(i64::try_from(millis).unwrap_or(0))),
            is_secure: self.is_secure,
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wall_millis() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "only shown to people, and nothing is decided by it")]
    let wall = SystemTime::now();
    let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
