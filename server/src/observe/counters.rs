use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use quorate::node::Observer;
use quorate::peer::{Input, Output, PeerEvent, Request, Role, Status};
use quorate::types::{ClientId, LogOp, Now, PersistId, Time, WatchEventKind, Zxid};

use super::Summary;

/// Counts what one server does, since it started.
#[derive(Debug, Default)]
pub struct Counters(Mutex<State>);

/// The sums; names in the fields' docs are those of ZooKeeper's metrics. Spans are in milliseconds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Totals {
    /// `readlatency`: from a read's arrival at the node to its reply.
    pub reads: Summary,
    /// `updatelatency`: the same for writes, and for what else takes a round to the quorum.
    pub updates: Summary,
    /// `fsynctime`: a batch of the log, from when it was given to the disk until it was durable.
    pub fsync: Summary,
    /// `sync_processor_batch_size`: transactions in such a batch.
    pub batch: Summary,
    /// `snapshottime`.
    pub snapshot: Summary,
    /// `snapshot_error_count`.
    pub snapshot_errors: u64,
    /// `election_time`: from the first vote until there is a leader.
    pub election: Summary,
    /// `looking_count`.
    pub looking: u64,
    /// `unavailable_time`: how long clients were not answered, each time.
    pub unavailable: Summary,
    /// `proposal_count`, while it led.
    pub proposals: u64,
    /// `commit_count`: transactions that became known to be committed.
    pub commits: u64,
    /// `diff_count`: learners that were sent a part of the log.
    pub diffs: u64,
    /// `snap_count`: learners that were sent the whole state.
    pub snaps: u64,
    /// `stale_sessions_expired`: sessions that ran out, while it led.
    pub expired: u64,
    /// `node_created_watch_count`: events told.
    pub created_events: u64,
    /// `node_deleted_watch_count`: events told.
    pub deleted_events: u64,
    /// `node_changed_watch_count`: events told.
    pub changed_events: u64,
    /// `node_children_watch_count`: events told.
    pub children_events: u64,
    /// `connection_request_count`: clients that asked for a session.
    pub connects: u64,
    /// `request_commit_queued` and its like: requests that have no reply yet.
    pub outstanding: u64,
    /// Since when it leads.
    pub leading_since: Option<Time>,
}

impl Totals {
    /// Events that were told to watches, of all kinds.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.created_events + self.deleted_events + self.changed_events + self.children_events
    }
}

#[derive(Debug, Default)]
struct State {
    totals: Totals,
    persisting: Option<(PersistId, Time)>,
    saving: Option<Time>,
    electing: Option<Time>,
    /// Since when clients are not answered; a server begins so.
    unavailable: Option<Time>,
    leads: bool,
    committed: Zxid,
    /// Requests without a reply, in the order of their arrival; as bounded as the node's own queues.
    waiting: HashMap<ClientId, VecDeque<Waiting>>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    tag: u64,
    since: Time,
    read: bool,
}

impl Counters {
    /// The sums up to now.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let state = self.state();
        let outstanding = state.waiting.values().map(|queue| queue.len() as u64).sum();
        Totals { outstanding, ..state.totals.clone() }
    }

    /// Sums are sums also where a thread that counted has panicked.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Counters {
    fn input(&self, now: Now, input: &Input) {
        let mut state = self.state();
        match input {
            Input::Persisted(id) => {
                if let Some((asked, since)) = state.persisting.take() {
                    if asked == *id {
                        state.totals.fsync.add_span(now.time.since(since));
                    } else {
                        state.persisting = Some((asked, since));
                    }
                }
            }
            Input::Connect(_) => state.totals.connects += 1,
            Input::Request(asked) => {
                let read = matches!(
                    asked.request,
                    Request::Read { .. } | Request::Ping | Request::WhoAmI | Request::Watch(_)
                );
                let waiting = Waiting { tag: asked.tag, since: now.time, read };
                state.waiting.entry(asked.client).or_default().push_back(waiting);
            }
            Input::Disconnect(client) => drop(state.waiting.remove(client)),
            _ => {}
        }
    }

    fn output(&self, now: Now, output: &Output) {
        let mut state = self.state();
        match output {
            Output::Persist { id, batch } => {
                state.persisting = Some((*id, now.time));
                let appended = batch.ops.iter().map(|op| match op {
                    LogOp::Append(entries) => entries.len() as u64,
                    _ => 0,
                });
                let appended: u64 = appended.sum();
                if appended > 0 {
                    state.totals.batch.add(appended as f64);
                    state.totals.proposals += if state.leads { appended } else { 0 };
                }
            }
            Output::SaveSnapshot(chunk) if chunk.offset == 0 => state.saving = Some(now.time),
            Output::Reply(reply) => state.replied(now.time, reply.client, reply.tag),
            Output::Closed { client, .. } => drop(state.waiting.remove(client)),
            Output::Watch { event, .. } => {
                let totals = &mut state.totals;
                *match event.kind {
                    WatchEventKind::Created => &mut totals.created_events,
                    WatchEventKind::Deleted => &mut totals.deleted_events,
                    WatchEventKind::DataChanged => &mut totals.changed_events,
                    WatchEventKind::ChildrenChanged => &mut totals.children_events,
                } += 1;
            }
            Output::Event(event) => state.happened(now.time, event),
            _ => {}
        }
    }

    fn turn(&self, now: Now, status: &Status) {
        let mut state = self.state();
        let committed = status.committed;
        if committed > state.committed {
            // A new epoch's counter begins anew; what its first sight stands for is not known.
            let since =
                if committed.epoch() == state.committed.epoch() { state.committed.counter() } else { 0 };
            if state.committed != Zxid::ZERO {
                state.totals.commits += u64::from(committed.counter().saturating_sub(since));
            }
            state.committed = committed;
        }
        if !status.serving && state.unavailable.is_none() {
            state.unavailable = Some(now.time);
        }
    }
}

impl State {
    fn replied(&mut self, now: Time, client: ClientId, tag: u64) {
        let Some(queue) = self.waiting.get_mut(&client) else { return };
        // In order, but for reads that wait for nothing.
        let Some(at) = queue.iter().position(|waiting| waiting.tag == tag) else { return };
        let Some(waiting) = queue.remove(at) else { return };
        let span = now.since(waiting.since);
        if waiting.read {
            self.totals.reads.add_span(span);
        } else {
            self.totals.updates.add_span(span);
        }
    }

    fn happened(&mut self, now: Time, event: &PeerEvent) {
        let totals = &mut self.totals;
        match event {
            PeerEvent::ElectionStarted { .. } => {
                totals.looking += 1;
                self.electing.get_or_insert(now);
            }
            PeerEvent::RoleChanged { role, .. } => {
                self.leads = *role == Role::Leading;
                totals.leading_since = self.leads.then_some(now);
                if *role != Role::Looking
                    && let Some(since) = self.electing.take()
                {
                    totals.election.add_span(now.since(since));
                }
            }
            PeerEvent::LearnerSync { mode, .. } => {
                if mode.contains("SNAP") {
                    totals.snaps += 1;
                } else {
                    totals.diffs += 1;
                }
            }
            PeerEvent::Serving { .. } => {
                if let Some(since) = self.unavailable.take() {
                    totals.unavailable.add_span(now.since(since));
                }
            }
            PeerEvent::NotServing => self.unavailable = Some(now),
            PeerEvent::SnapshotSaved { .. } => {
                if let Some(since) = self.saving.take() {
                    totals.snapshot.add_span(now.since(since));
                }
            }
            PeerEvent::SnapshotNotSaved { .. } => {
                totals.snapshot_errors += 1;
                self.saving = None;
            }
            PeerEvent::SessionExpired { .. } => totals.expired += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "counters_tests.rs"]
mod tests;
