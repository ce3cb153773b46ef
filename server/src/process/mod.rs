//! Servers in the background, as `zkServer.sh` does it: `start`, `stop`, `restart`, `status`.
//!
//! What these print and the codes they exit with are those of `zkServer.sh`, so that scripts go on working.

mod control;
mod words;

pub use control::{restart, start, status, stop};
pub use words::{WordError, ask};
