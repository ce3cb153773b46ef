use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use hashbrown::HashMap;

use crate::types::{SessionId, Time};

/// The timeout that a client gets: what it asked for, within the bounds. All in milliseconds; parts of a
/// millisecond of a bound are cut off.
#[must_use]
pub fn negotiate(requested_millis: u32, min: Duration, max: Duration) -> u32 {
    let millis = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
    requested_millis.max(millis(min)).min(millis(max))
}

/// Leader only: when each session expires.
///
/// A session expires when the leader has not heard from it for its timeout, to the microsecond; sessions expire
/// in the order of their deadlines, and in the order of their ids where those are equal. ZooKeeper rounds
/// deadlines up to buckets of a tick, which saves it work that is cheap here: a touch writes one field, and a
/// session's place in the queue is only put right when its old deadline comes.
///
/// *The stall guard.* A leader that was suspended, or whose host did not call it, has heard nothing in the
/// meantime and must not blame its clients for it. Every call that tells the time is compared with the one
/// before: if more than the guard lies between them, all deadlines move by the whole span. The guard must be
/// larger than the longest span that a leader leaves between two calls when nothing happens, so
/// [`observe`](Self::observe) belongs in its heartbeat.
pub struct Deadlines {
    stall_guard: Duration,
    /// The latest time told.
    latest: Option<Time>,
    /// How long the leader was stalled, in all. Every `Time` below is by a clock that stood still meanwhile.
    stalled: Duration,
    // Look-ups only: the order of a hash map reaches nobody.
    entries: HashMap<SessionId, Entry>,
    /// Each session once, at its deadline or an earlier time.
    queue: BTreeSet<(Time, SessionId)>,
}

#[derive(Debug)]
struct Entry {
    timeout: Duration,
    deadline: Time,
    /// Where it stands in the queue; not after `deadline`.
    queued: Time,
}

impl Deadlines {
    /// No sessions, as at the start of a reign. A gap of more than `stall_guard` between calls is a stall.
    #[must_use]
    pub fn new(stall_guard: Duration) -> Self {
        Self {
            stall_guard,
            latest: None,
            stalled: Duration::ZERO,
            entries: HashMap::new(),
            queue: BTreeSet::new(),
        }
    }

    /// Tells the time, to no other end than the stall guard's. Time that goes backwards is taken to stand still.
    pub fn observe(&mut self, now: Time) {
        if let Some(latest) = self.latest {
            let gap = now.since(latest);
            if gap > self.stall_guard {
                self.stalled = self.stalled.saturating_add(gap);
            }
        }
        self.latest = self.latest.max(Some(now));
    }

    /// Gives a session its full timeout from now: a new one, or any when a reign begins.
    pub fn insert(&mut self, now: Time, id: SessionId, timeout: Duration) {
        self.observe(now);
        self.remove(id);
        let deadline = self.awake(now) + timeout;
        self.entries.insert(id, Entry { timeout, deadline, queued: deadline });
        self.queue.insert((deadline, id));
    }

    /// The session was heard from: it has its full timeout from now; a deadline never becomes earlier. Returns
    /// whether the session is still counted: one that expired or was removed is not, and never will be again.
    pub fn touch(&mut self, now: Time, id: SessionId) -> bool {
        self.observe(now);
        let awake = self.awake(now);
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        // Not earlier than before: the awake clock never goes backwards.
        entry.deadline = awake + entry.timeout;
        true
    }

    /// The session was closed: it cannot expire any more.
    pub fn remove(&mut self, id: SessionId) {
        if let Some(entry) = self.entries.remove(&id) {
            self.queue.remove(&(entry.queued, id));
        }
    }

    /// A session that has expired; each is given once, and counts no longer. To be called until `None`.
    #[must_use]
    pub fn poll_expired(&mut self, now: Time) -> Option<SessionId> {
        self.observe(now);
        let awake = self.awake(now);
        while let Some(&(queued, id)) = self.queue.first()
            && queued <= awake
        {
            self.queue.pop_first();
            match self.entries.get_mut(&id) {
                Some(entry) if entry.deadline > queued => {
                    entry.queued = entry.deadline;
                    self.queue.insert((entry.queued, id));
                }
                _ => {
                    self.entries.remove(&id);
                    return Some(id);
                }
            }
        }
        None
    }

    /// When to call [`poll_expired`](Self::poll_expired) next: no later than the first deadline, and after `now`
    /// once `poll_expired(now)` has given `None`. Every other method may change it.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.queue.first().map(|(queued, _)| *queued + self.stalled)
    }

    /// How many sessions are counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no session is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// `now` by the clock that stands still during stalls.
    fn awake(&self, now: Time) -> Time {
        let now = self.latest.max(Some(now)).unwrap_or(now);
        Time::ZERO + now.since(Time::ZERO + self.stalled)
    }
}

/// By session: what is equal prints alike.
impl fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stall_guard, latest, stalled, entries, queue } = self;
        let entries: BTreeMap<_, _> = entries.iter().collect();
        f.debug_struct("Deadlines")
            .field("stall_guard", stall_guard)
            .field("latest", latest)
            .field("stalled", stalled)
            .field("entries", &entries)
            .field("queue", queue)
            .finish()
    }
}

#[cfg(test)]
#[path = "deadlines_tests.rs"]
mod tests;
