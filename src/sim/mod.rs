//! Layer 6: the deterministic simulator.

mod chaos;
mod check;
mod clock;
mod connector;
mod executor;
mod eye;
mod failure;
mod fault;
mod link;
mod machine;
mod network;
mod oracle;
mod plan;
mod process;
mod ready;
mod server;
mod sessions;
mod storage;
mod trace;
mod watch_oracle;
mod world;

pub use clock::SimClock;
pub use executor::{Actor, Executor, ExecutorCounters, ExecutorLimits, JoinHandle, Killed, Sleep, Step};
pub use failure::Failure;
pub use fault::Fault;
pub use link::{Latency, LinkFaults, Rate};
pub use network::{Network, NetworkCounters, SimTransport};
pub use oracle::OracleCounters;
pub use plan::{FaultKind, Plan, Topology};
pub use process::Process;
pub use server::Server;
pub use trace::{Keep, Trace, TraceEvent};
pub use world::{World, WorldConfig, WorldCounters};
