use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;

use super::mailbox::Mailbox;

/// How many changes of state may wait for a reader before it is told only the latest.
pub(super) const STATES: usize = 64;

/// How a client stands with the quorum.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SessionState {
    /// It has no session yet. Calls wait.
    Connecting,
    /// It has a session and a server.
    Connected,
    /// It has a session, but no server at present. Calls wait; locks and leases are in doubt.
    Disconnected,
    /// The session has ended, by the quorum's word or because no server was reached for four thirds of the
    /// session timeout. Every call fails. This is final.
    Expired,
    /// The client was closed, or its future was dropped. Every call fails. This is final.
    Closed,
}

impl SessionState {
    /// Whether no other state can follow.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Expired | Self::Closed)
    }
}

/// The states of a client from now on, as a `Stream`, which ends with the final one. A reader that is far
/// behind misses some states, but never the latest.
#[derive(Debug)]
pub struct States {
    pub(super) mailbox: Mailbox<SessionState>,
}

impl States {
    /// The next state; `None` after the final one.
    pub async fn next(&mut self) -> Option<SessionState> {
        std::future::poll_fn(|context| self.mailbox.poll_next(context)).await
    }
}

impl Stream for States {
    type Item = SessionState;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SessionState>> {
        self.mailbox.poll_next(context)
    }
}
