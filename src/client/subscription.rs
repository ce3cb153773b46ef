use super::mailbox::Mailbox;
use super::watch::WatchItem;

use crate::types::{RequestPath, WatchEvent, WatchEventKind, WatchMode, Zxid};

/// A lasting watch: what its stream was told, and how far.
///
/// A connection brings all events of all watches in one sequence, and the events that a resumed watch
/// missed are replayed into the same sequence, so that every other watch may meet them a second time. Each
/// subscription therefore keeps its own position.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) path: RequestPath,
    pub(super) mode: WatchMode,
    mailbox: Mailbox<WatchItem>,
    capacity: usize,
    /// All events up to here were told, or are known not to be wanted.
    since: Zxid,
    /// The events that were told last, all of one transaction after `since`; there may be more of it.
    told: Vec<WatchEvent>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// No server has the watch at present.
    Absent,
    /// A server was asked; what came meanwhile.
    Asked { events: Vec<WatchEvent>, overflow: bool },
    /// A server has the watch.
    Live,
}

impl Subscription {
    /// A watch whose reader has seen everything up to `since`.
    pub(super) fn new(
        path: RequestPath,
        mode: WatchMode,
        since: Zxid,
        mailbox: Mailbox<WatchItem>,
        capacity: usize,
    ) -> Self {
        Self { path, mode, mailbox, capacity, since, told: Vec::new(), phase: Phase::Absent }
    }

    /// The position from which events are wanted.
    pub(super) fn since(&self) -> Zxid {
        self.since
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    /// A server is asked for the watch.
    pub(super) fn asked(&mut self) {
        self.phase = Phase::Asked { events: Vec::new(), overflow: false };
    }

    /// Another request was answered. The server takes requests in order, and replays what a watch missed just
    /// before it answers for it: what came until now is not yet this watch's replay, which will repeat it.
    pub(super) fn not_yet(&mut self) {
        if let Phase::Asked { events, overflow } = &mut self.phase {
            events.clear();
            *overflow = false;
        }
    }

    /// The connection broke. All events up to `covered` had come if the watch was live.
    pub(super) fn detached(&mut self, covered: Zxid) {
        self.covered(covered);
        // Events come in order: before the first one of a transaction, all of the earlier ones have come.
        if let Some(before) = self.latest().as_u64().checked_sub(1) {
            self.since = self.since.max(Zxid::from_u64(before));
        }
        self.phase = Phase::Absent;
    }

    /// All events up to `covered` have come.
    pub(super) fn covered(&mut self, covered: Zxid) {
        if self.is_live() && covered > self.since {
            self.since = covered;
            if self.latest() <= covered {
                self.told.clear();
            }
        }
    }

    /// An event came; `replaying` while any watch of the connection is being resumed.
    pub(super) fn offer(&mut self, event: &WatchEvent, replaying: bool) {
        if event.zxid <= self.since || !self.covers(event) {
            return;
        }
        match &mut self.phase {
            Phase::Absent => {}
            Phase::Asked { events, overflow } => {
                if events.len() < self.capacity {
                    events.push(event.clone());
                } else {
                    *overflow = true;
                }
            }
            Phase::Live => {
                let latest = self.latest();
                if event.zxid > latest {
                    self.told.clear();
                } else if event.zxid < latest || (replaying && self.told.contains(event)) {
                    return;
                }
                self.told.push(event.clone());
                self.tell(event.clone());
            }
        }
    }

    /// The server replayed all events after `since`, and at `now` the watch is live.
    pub(super) fn resumed(&mut self, now: Zxid) {
        let Phase::Asked { events, overflow } = std::mem::replace(&mut self.phase, Phase::Absent) else {
            return;
        };
        if overflow {
            return self.restarted(now);
        }
        let events = without_what_came_before_the_replay(events);
        let known = self.told.iter().zip(&events).take_while(|(told, event)| told == event).count();
        self.phase = Phase::Live;
        for event in events.into_iter().skip(known) {
            if event.zxid != self.latest() {
                self.told.clear();
            }
            self.told.push(event.clone());
            self.tell(event);
        }
        self.covered(now);
    }

    /// The watch begins at `now`, where its reader has seen nothing before.
    pub(super) fn begun(&mut self, now: Zxid) {
        let asked = std::mem::replace(&mut self.phase, Phase::Live);
        self.told.clear();
        self.covered(now);
        if let Phase::Asked { events, .. } = asked {
            for event in events {
                self.offer(&event, true);
            }
        }
    }

    /// The watch begins anew at `now`; what happened before may be missing.
    pub(super) fn restarted(&mut self, now: Zxid) {
        self.mailbox.push(WatchItem::Lost { through: now }, |item| item);
        self.begun(now);
    }

    /// There will be no more events.
    pub(super) fn end(&self) {
        self.mailbox.close();
    }

    /// The transaction whose events were told last.
    fn latest(&self) -> Zxid {
        self.told.first().map_or(Zxid::ZERO, |event| event.zxid)
    }

    fn covers(&self, event: &WatchEvent) -> bool {
        match self.mode {
            WatchMode::Persistent => event.path.as_str() == self.path.as_str(),
            WatchMode::PersistentRecursive => {
                event.kind != WatchEventKind::ChildrenChanged && event.path.is_within(self.path.as_str())
            }
        }
    }

    fn tell(&self, event: WatchEvent) {
        self.mailbox.push(WatchItem::Event(event), |item| match item {
            WatchItem::Event(event) => WatchItem::Lost { through: event.zxid },
            lost @ WatchItem::Lost { .. } => lost,
        });
    }
}

/// What came last before the answer is the replay; before it there may be what happened while the server came
/// to it, for another watch. The replay repeats that, so it begins with a step back, or, if that was one
/// transaction and is the first one missed, with the same events again.
fn without_what_came_before_the_replay(mut events: Vec<WatchEvent>) -> Vec<WatchEvent> {
    let step_back = events.iter().zip(events.iter().skip(1)).rposition(|(one, next)| next.zxid < one.zxid);
    if let Some(at) = step_back {
        return events.split_off(at.saturating_add(1));
    }
    let first = events.first().map(|event| event.zxid);
    let group = events.iter().take_while(|event| Some(event.zxid) == first).count();
    let half = group / 2;
    let (one, rest) = events.split_at_checked(half).unwrap_or((&events, &[]));
    if group.is_multiple_of(2) && rest.get(..half) == Some(one) {
        events.drain(..half);
    }
    events
}
