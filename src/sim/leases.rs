use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;

use crate::peer::{Input, Message, Output, PeerEvent, heard_in};
use crate::types::{ClientId, ServerId, SessionId, Time};
use crate::zab::{self, Body, LinkId};

use super::Failure;
use super::check::Checker;

/// No session is expired earlier than its timeout after the leader last heard of it, from its client or from the server that its
/// client is attached to, nor earlier than that after the leader's reign began. Times are those of the leader's own clock, less
/// those spans in which the leader stood still: what it could not hear it must not hold against anybody. (Spec of sessions: a
/// new leader gives every session a full timeout again; only the leader expires.)
#[derive(Clone)]
pub(super) struct Leases {
    /// A leader that was not called for longer than this stood still.
    stall_guard: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    servers: BTreeMap<ServerId, Reign>,
    timeouts: BTreeMap<SessionId, Duration>,
}

/// What one server's process has heard.
#[derive(Default)]
struct Reign {
    awake: Awake,
    began: Option<Time>,
    clients: BTreeMap<ClientId, SessionId>,
    /// From the session's own client.
    heard: BTreeMap<SessionId, Time>,
    /// From other servers, on links that the leader keeps up.
    told: BTreeMap<SessionId, Time>,
    /// What other servers told in this turn: the leader has not shown yet whether it takes it.
    telling: Vec<(ServerId, SessionId, Time)>,
    /// The number of the last message on each link, since those that are repeated are not taken.
    // Look-ups only: the order of a hash map reaches nobody.
    links: HashMap<(ServerId, LinkId), u64>,
}

/// The clock of a server, but for the spans in which it was not called.
#[derive(Default)]
struct Awake {
    latest: Option<Time>,
    stalled: Duration,
}

impl Awake {
    /// What it shows when the server's own clock shows `now`.
    fn at(&mut self, now: Time, stall_guard: Duration) -> Time {
        let gap = self.latest.map_or(Duration::ZERO, |latest| now.since(latest));
        if gap > stall_guard {
            self.stalled += gap;
        }
        self.latest = self.latest.max(Some(now));
        Time::ZERO + now.since(Time::ZERO + self.stalled)
    }
}

impl Leases {
    pub(super) fn new(stall_guard: Duration) -> Self {
        Self { stall_guard, state: Arc::default() }
    }

    /// The server's process has ended.
    pub(super) fn down(&self, server: ServerId) {
        self.lock().servers.remove(&server);
    }

    pub(super) fn input(&self, server: ServerId, now: Time, input: &Input) {
        let mut state = self.lock();
        let reign = state.servers.entry(server).or_default();
        let now = reign.awake.at(now, self.stall_guard);
        match input {
            Input::Request(request) => {
                if let Some(session) = reign.clients.get(&request.client) {
                    reign.heard.insert(*session, now);
                }
            }
            Input::Disconnect(client) => drop(reign.clients.remove(client)),
            Input::Message { from, message: Message::Zab(message) } => reign.is_told(*from, message, now),
            _ => {}
        }
    }

    pub(super) fn output(&self, at: Time, server: ServerId, now: Time, output: &Output, checker: &Checker) {
        let mut state = self.lock();
        let State { servers, timeouts } = &mut *state;
        let reign = servers.entry(server).or_default();
        let now = reign.awake.at(now, self.stall_guard);
        match output {
            Output::Connected(connected) => {
                reign.clients.insert(connected.client, connected.session);
                timeouts.insert(connected.session, Duration::from_millis(connected.timeout_millis.into()));
            }
            Output::Closed { client, .. } => drop(reign.clients.remove(client)),
            Output::Send { to, message: Message::Zab(message), .. } => reign.answers(*to, &message.body),
            Output::Event(PeerEvent::Serving { .. }) => reign.began = Some(now),
            Output::Event(PeerEvent::NotServing) => *reign = Reign::default(),
            Output::Event(PeerEvent::SessionExpired { session }) => {
                let known = timeouts.get(session).copied();
                if let Some(what) = known.and_then(|timeout| reign.too_early(*session, timeout, now)) {
                    drop(state);
                    let what = format!("S{server}: {what}");
                    checker.fail(Failure::Violated { at, invariant: "ExpiryLowerBound", what });
                }
            }
            _ => {}
        }
    }

    /// A turn of the server is over: what it did not turn away by now, it took.
    pub(super) fn turn(&self, server: ServerId, now: Time) {
        let mut state = self.lock();
        let reign = state.servers.entry(server).or_default();
        reign.awake.at(now, self.stall_guard);
        let told = reign.telling.drain(..).map(|(_, session, now)| (session, now));
        reign.told.extend(told);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reign {
    /// Another server says something on a link; a leader takes what is numbered once.
    fn is_told(&mut self, from: ServerId, message: &zab::Message, now: Time) {
        let Body::Forward { payloads } = &message.body else { return };
        let last = self.links.entry((from, message.link)).or_default();
        if self.began.is_some() && *last < message.sequence {
            *last = message.sequence;
            let sessions = payloads.iter().flat_map(|payload| heard_in(payload));
            self.telling.extend(sessions.map(|session| (from, session, now)));
        }
    }

    /// The server says something itself: of whom it turns away it may have taken nothing.
    fn answers(&mut self, to: ServerId, body: &Body) {
        if matches!(body, Body::Reset | Body::NotLeading | Body::Refused(_)) {
            self.telling.retain(|(from, ..)| *from != to);
        }
    }

    /// What is wrong with an expiry now.
    fn too_early(&self, session: SessionId, timeout: Duration, now: Time) -> Option<String> {
        let counts = |since: &Time| now.since(*since) < timeout;
        let attached = self.clients.values().any(|attached| *attached == session);
        let heard = self.heard.get(&session).filter(|_| attached);
        let signs = [
            ("the reign began", self.began.as_ref()),
            ("its client was heard from", heard),
            ("another server told of it", self.told.get(&session)),
        ];
        let (what, since) =
            signs.into_iter().find_map(|(what, since)| Some((what, since.filter(|s| counts(s))?)))?;
        let passed = now.since(*since);
        Some(format!("session {session} expires {passed:?} after {what}; its timeout is {timeout:?}"))
    }
}

#[cfg(test)]
#[path = "leases_tests.rs"]
mod tests;
