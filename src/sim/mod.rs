//! Layer 6: the deterministic simulator.

mod check;
mod clock;
pub mod disk;
mod executor;
mod failure;
mod fault;
mod link;
mod network;
mod plan;
mod ready;
mod trace;

pub use clock::SimClock;
pub use executor::{Actor, Executor, ExecutorCounters, ExecutorLimits, JoinHandle, Killed, Sleep, Step};
pub use failure::Failure;
pub use fault::Fault;
pub use link::{Latency, LinkFaults, Rate};
pub use network::{Network, NetworkCounters, SimTransport};
pub use plan::{FaultKind, Plan, Topology};
pub use trace::{Keep, Trace, TraceEvent};
