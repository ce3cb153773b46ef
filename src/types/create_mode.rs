use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The largest time to live: 2^40 - 1 milliseconds, about 34.8 years.
const MAX_TTL_MILLIS: u64 = (1 << 40) - 1;

/// A duration that no TTL node can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a time to live is between 1 ms and 2^40 - 1 ms, not {0:?}")]
pub struct InvalidTtl(Duration);

/// How long a childless TTL node lives after its data was last set; whole milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Ttl(NonZeroU64);

impl Ttl {
    /// The time to live of `span`, rounded down to milliseconds.
    ///
    /// # Errors
    ///
    /// When that is zero or beyond 2^40 - 1 milliseconds.
    pub fn new(span: Duration) -> Result<Self, InvalidTtl> {
        u64::try_from(span.as_millis())
            .ok()
            .filter(|millis| *millis <= MAX_TTL_MILLIS)
            .and_then(NonZeroU64::new)
            .map(Self)
            .ok_or(InvalidTtl(span))
    }

    /// Milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0.get()
    }
}

/// How long a node lives: what else than a delete makes it go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Lifetime {
    /// Until somebody deletes it.
    #[default]
    Persistent,
    /// Until the session that created it ends. Has no children.
    Ephemeral,
    /// Until its last child has gone.
    Container,
    /// Until it has had no children, and its data has not been set, for this long.
    Ttl(Ttl),
}

/// What kind of node a create makes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct CreateMode {
    /// What makes the node go.
    pub lifetime: Lifetime,
    /// Whether the parent's counter is appended to the name, as ten digits.
    pub sequential: bool,
}

impl CreateMode {
    /// A node that stays.
    pub const PERSISTENT: Self = Self { lifetime: Lifetime::Persistent, sequential: false };
    /// A node that goes with its session.
    pub const EPHEMERAL: Self = Self { lifetime: Lifetime::Ephemeral, sequential: false };
    /// A node that stays, with the parent's counter in its name.
    pub const PERSISTENT_SEQUENTIAL: Self = Self { lifetime: Lifetime::Persistent, sequential: true };
    /// A node that goes with its session, with the parent's counter in its name.
    pub const EPHEMERAL_SEQUENTIAL: Self = Self { lifetime: Lifetime::Ephemeral, sequential: true };
    /// A node that goes after its last child.
    pub const CONTAINER: Self = Self { lifetime: Lifetime::Container, sequential: false };
}
