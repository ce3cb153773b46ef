//! Layer 2: sessions. The replicated table of them, and what only a leader keeps: when each expires and which
//! connection owns it.
//!
//! The room closes no znodes and sends nothing: it says which sessions have expired, and a transaction of the
//! leader's does the rest. What is in [`Sessions`] follows from the history alone and is equal on every replica
//! at equal zxid; [`Deadlines`] and [`Owners`] begin empty with every leader.

mod answers;
mod deadlines;
mod form;
mod owners;
mod restore;
mod snapshot;
mod table;

pub use answers::{MAX_ANSWERS, MAX_ANSWERS_LEN, Recorded, Seen};
pub use deadlines::{Deadlines, negotiate};
pub use owners::Owners;
pub use restore::{RestoreError, SessionsRestore};
pub use table::{Session, Sessions};
