//! Layer 8: the deterministic simulator. Servers, observers and clients in one thread, on virtual time, from one seed.
//!
//! A [`World`] runs the production [`Node`](crate::node::Node), codec, file storage and
//! [`Client`](crate::client::Client). What they stand on is simulated: the network between servers, the way from
//! clients to servers, disks ([`disk::SimDisk`]), clocks, the executor. Nothing that decides is replaced. Code under
//! test is ordinary async code that takes a `Client`; [`check`] runs it in one world for each seed.
//!
//! All the while, and after every step of every server, the invariants of ZAB are checked from outside: against what the
//! storages were asked to hold, what they confirmed and recovered, and how the servers say they are doing. What
//! any server knows to be committed makes one *ghost* sequence that every other must agree with, and an oracle replays it
//! to know what each reply and each watch event must be, whole.
//!
//! [`Swarm`] draws whole worlds from a seed: ensemble, tiny limits, clients, and a [`Plan`] of faults. It demands safety
//! while faults happen, then heals a majority, leaves the rest as broken as it is, and demands progress.
//!
//! | file | holds |
//! |---|---|
//! | `executor`, `ready`, `clock` | tasks by actor, virtual time, machines' clocks |
//! | `network`, `link`, `connector` | frames between servers; connections of clients |
//! | `disk`, `machine`, `storage` | disks that forget, what is on them, and the time that they take |
//! | `world`, `lifecycle`, `server`, `process`, `counters` | what a test handles |
//! | `fault`, `plan`, `chaos`, `swarm`, `workload` | what can go wrong, when, and what clients do meanwhile |
//! | `sweep` | one test again and again, each time with a fault at another operation |
//! | `check`, `oracle`, `watch_oracle`, `sessions`, `eye` | what must hold, and who looks |
//! | `model` | not a simulation: every behaviour of the election, and of ZAB, within small bounds |
//! | `trace`, `failure`, `runner` | one hash for all that happened, and what is told when something fails |

mod chaos;
mod check;
mod clock;
mod connector;
mod counters;
pub mod disk;
mod executor;
mod eye;
mod failure;
mod fault;
mod lifecycle;
mod link;
mod machine;
pub mod model;
mod network;
mod oracle;
mod plan;
mod process;
mod ready;
mod runner;
mod server;
mod sessions;
mod storage;
mod swarm;
mod sweep;
mod trace;
mod watch_oracle;
mod workload;
mod world;

pub use clock::SimClock;
pub use counters::WorldCounters;
pub use executor::{Actor, Executor, ExecutorCounters, ExecutorLimits, JoinHandle, Killed, Sleep, Step};
pub use failure::Failure;
pub use fault::Fault;
pub use link::{Latency, LinkFaults, Rate};
pub use machine::Files;
pub use network::{Network, NetworkCounters, SimTransport};
pub use oracle::OracleCounters;
pub use plan::{FaultKind, Plan, Topology};
pub use process::Process;
pub use runner::{check, check_with, same_twice};
pub use server::Server;
pub use swarm::{Swarm, SwarmReport};
pub use sweep::{FrameFault, Sweep, SweepPoint, SweepReport, life_of_a_quorum};
pub use trace::{Keep, Trace, TraceEvent};
pub use workload::Workload;
pub use world::{World, WorldConfig};
