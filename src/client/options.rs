use std::time::Duration;

use crate::types::Identity;

use super::ClientError;

/// How a [`Client`](super::Client) behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientOptions {
    /// The session timeout that is asked for; the quorum grants one within its bounds.
    pub session_timeout: Duration,
    /// How many calls may be under way; a further one waits its turn. A server takes at most its
    /// [`requests_per_client`](crate::peer::Limits::requests_per_client) of them at a time; the rest is sent as answers come.
    pub window: usize,
    /// How many events may wait in one lasting watch before it says that some are lost.
    pub watch_buffer: usize,
    /// How long to wait before the first new attempt when no server takes the client; doubles up to `retry_max`.
    pub retry_min: Duration,
    /// The longest such wait.
    pub retry_max: Duration,
    /// What the connection proves by itself, such as an address.
    pub identities: Vec<Identity>,
    /// What the jitter of the waits is drawn from: fresh entropy in production, a fixed seed in a test.
    pub seed: [u8; 32],
}

impl ClientOptions {
    /// The defaults, with this seed.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            session_timeout: Duration::from_secs(10),
            window: 256,
            watch_buffer: 1_024,
            retry_min: Duration::from_millis(10),
            retry_max: Duration::from_millis(500),
            identities: Vec::new(),
            seed,
        }
    }

    pub(super) fn validate(&self) -> Result<(), ClientError> {
        for (name, count) in [("window", self.window), ("watch_buffer", self.watch_buffer)] {
            if count == 0 {
                return Err(ClientError::ZeroOption(name));
            }
        }
        for (name, span) in [("session_timeout", self.session_timeout), ("retry_min", self.retry_min)] {
            if span < Duration::from_millis(1) {
                return Err(ClientError::ZeroOption(name));
            }
        }
        Ok(())
    }
}
