use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::event::Event;
use super::servers::Chroot;

/// How a client stands; what the prompt shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Connecting,
    Connected,
    ConnectedReadOnly,
    AuthFailed,
    Closed,
}

impl State {
    /// Whether the session may still be of use.
    pub(crate) const fn is_alive(self) -> bool {
        !matches!(self, Self::AuthFailed | Self::Closed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "CONNECTING",
            Self::Connected => "CONNECTED",
            Self::ConnectedReadOnly => "CONNECTEDREADONLY",
            Self::AuthFailed => "AUTH_FAILED",
            Self::Closed => "CLOSED",
        })
    }
}

/// What hears of events, on a thread of the client's.
pub(crate) type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// The state, shared between a client and its driver, and the way that events take to their listener.
#[derive(Clone)]
pub(super) struct Status {
    shared: Arc<(Mutex<State>, Condvar)>,
    listener: Listener,
    chroot: Chroot,
}

impl Status {
    pub(super) fn new(listener: Listener, chroot: Chroot) -> Self {
        Self { shared: Arc::new((Mutex::new(State::Connecting), Condvar::new())), listener, chroot }
    }

    pub(super) fn state(&self) -> State {
        *self.lock()
    }

    /// Waits until the client is connected, or never will be, for so long at most.
    pub(super) fn await_connection(&self, patience: Duration) -> State {
        let connecting = |state: &mut State| *state == State::Connecting;
        let waited = self.shared.1.wait_timeout_while(self.lock(), patience, connecting);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Tells of an event that changes the state. The listener hears it first, so that whoever sees the new state finds the
    /// event told.
    pub(super) fn tell(&self, event: &Event, state: State) {
        (self.listener)(event);
        *self.lock() = state;
        self.shared.1.notify_all();
    }

    /// Tells of an event, its path as the user knows it.
    pub(super) fn tell_event(&self, event: &Event) {
        match event {
            Event::Watch { kind, path } => {
                (self.listener)(&Event::Watch { kind: *kind, path: self.chroot.inner(path).into() });
            }
            Event::Connection(_) => (self.listener)(event),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock holds a state all the same.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
