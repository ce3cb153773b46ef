use serde::{Deserialize, Serialize};

/// A message between the peers of an ensemble.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Message {}
