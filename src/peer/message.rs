use serde::{Deserialize, Serialize};

use crate::types::Lane;
use crate::{election, zab};

/// A message between the peers of an ensemble.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Message {
    /// A vote, told.
    Election(election::Notification),
    /// Discovery, synchronisation and broadcast.
    Zab(zab::Message),
}

impl Message {
    /// How urgent it is.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            Self::Election(_) => Lane::Urgent,
            Self::Zab(message) => message.lane(),
        }
    }
}
