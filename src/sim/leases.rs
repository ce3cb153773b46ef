use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::peer::{Input, Output, PeerEvent};
use crate::types::{ClientId, ServerId, SessionId, Time};

use super::Failure;
use super::check::Checker;

/// No session is expired earlier than its timeout after the leader itself last heard from it, nor earlier than that after
/// the leader's reign began. Times are those of the leader's own clock. (Spec of sessions: a new leader gives every session
/// a full timeout again; only the leader expires.)
#[derive(Clone, Default)]
pub(super) struct Leases {
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
    began: Option<Time>,
    clients: BTreeMap<ClientId, SessionId>,
    heard: BTreeMap<SessionId, Time>,
}

impl Leases {
    /// The server's process has ended.
    pub(super) fn down(&self, server: ServerId) {
        self.lock().servers.remove(&server);
    }

    pub(super) fn input(&self, server: ServerId, now: Time, input: &Input) {
        let mut state = self.lock();
        let reign = state.servers.entry(server).or_default();
        match input {
            Input::Request(request) => {
                if let Some(session) = reign.clients.get(&request.client) {
                    reign.heard.insert(*session, now);
                }
            }
            Input::Disconnect(client) => drop(reign.clients.remove(client)),
            _ => {}
        }
    }

    pub(super) fn output(&self, at: Time, server: ServerId, now: Time, output: &Output, checker: &Checker) {
        let mut state = self.lock();
        let State { servers, timeouts } = &mut *state;
        let reign = servers.entry(server).or_default();
        match output {
            Output::Connected(connected) => {
                reign.clients.insert(connected.client, connected.session);
                timeouts.insert(connected.session, Duration::from_millis(connected.timeout_millis.into()));
            }
            Output::Closed { client, .. } => drop(reign.clients.remove(client)),
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reign {
    /// What is wrong with an expiry now.
    fn too_early(&self, session: SessionId, timeout: Duration, now: Time) -> Option<String> {
        let began = self.began.filter(|began| now.since(*began) < timeout);
        if let Some(began) = began {
            return Some(format!(
                "session {session} expires at {now}, and the reign began at {began}; its timeout is {timeout:?}"
            ));
        }
        let attached = self.clients.values().any(|attached| *attached == session);
        let counts = |heard: Time| now.since(heard) < timeout;
        let heard = self.heard.get(&session).filter(|heard| attached && counts(**heard))?;
        Some(format!(
            "session {session} expires at {now}, and was heard from at {heard}; its timeout is {timeout:?}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{ClientRequest, Connected, Request};
    use crate::types::{Epoch, Password};

    const SERVER: ServerId = ServerId::new(1);

    /// A leader since 1 s, whose client has session 7 with a timeout of 2 s.
    struct Leader {
        leases: Leases,
        checker: Checker,
    }

    impl Leader {
        fn new() -> Self {
            let leader = Self { leases: Leases::default(), checker: Checker::new([(SERVER, true)]) };
            leader.output(1_000, &Output::Event(PeerEvent::Serving { epoch: Epoch::new(1) }));
            let connected = Connected {
                client: ClientId::new(3),
                session: SessionId::from_u64(7),
                password: Password::new([0; 16]),
                timeout_millis: 2_000,
                resumed: false,
            };
            leader.output(1_500, &Output::Connected(connected));
            leader
        }

        fn output(&self, millis: u64, output: &Output) {
            let now = Time::from_millis(millis);
            self.leases.output(now, SERVER, now, output, &self.checker);
        }

        fn hears(&self, millis: u64) {
            let request = ClientRequest { client: ClientId::new(3), tag: 1, request: Request::Ping };
            self.leases.input(SERVER, Time::from_millis(millis), &Input::Request(request));
        }

        fn expires(&self, millis: u64) -> bool {
            let session = SessionId::from_u64(7);
            self.output(millis, &Output::Event(PeerEvent::SessionExpired { session }));
            self.checker.failure().is_none()
        }
    }

    #[test]
    fn an_expiry_soon_after_a_sign_of_life_is_found() {
        let leader = Leader::new();
        leader.hears(5_000);
        assert!(!leader.expires(6_999));
        let leader = Leader::new();
        leader.hears(5_000);
        assert!(leader.expires(7_000));
        let leader = Leader::new();
        leader.hears(5_000);
        assert!(!leader.expires(5_001), "it counts at once");
    }

    #[test]
    fn an_expiry_soon_after_the_reign_began_is_found() {
        assert!(!Leader::new().expires(2_999));
        assert!(Leader::new().expires(3_000));
    }
}
