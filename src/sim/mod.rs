//! Layer 6: the deterministic simulator.

mod clock;
mod executor;
mod failure;
mod link;
mod network;
mod trace;

pub use clock::SimClock;
pub use executor::{Actor, Executor, ExecutorCounters, ExecutorLimits, JoinHandle, Killed, Sleep, Step};
pub use failure::Failure;
pub use link::{Latency, LinkFaults, Rate};
pub use network::{Network, NetworkCounters, SimTransport};
pub use trace::{Keep, Trace, TraceEvent};
