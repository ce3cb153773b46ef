//! Layer 8: the deterministic simulator. Servers, observers and clients in one thread, on virtual time, from one seed.
//!
//! A [`World`] runs the production [`Node`](crate::node::Node), codec, file storage and
//! [`Client`](crate::client::Client). What they stand on is simulated: the network between servers, the way from
//! clients to servers, disks ([`disk::SimDisk`]), clocks, the executor. Nothing that decides is replaced. Code under
//! test is ordinary async code that takes a `Client`; [`check`] runs it in one world for each seed. The chapter for those who test their own
//! services is `docs/testing-your-service.md`.
//!
//! All the while, and after every step of every server, the invariants of ZAB are checked from outside: against what the
//! storages were asked to hold, what they confirmed and recovered, and how the servers say they are doing. What
//! any server knows to be committed makes one *ghost* sequence that every other must agree with, and an oracle replays it
//! in a tree of its own to know what each reply and each watch event must be, whole. `docs/invariants.md` lists every
//! invariant, with the file that checks it and the test that shows it.
//!
//! [`Swarm`] draws whole worlds from a seed: ensemble, tiny limits, clients, and a [`Plan`] of faults. It demands safety
//! while faults happen, then heals a majority, leaves the rest as broken as it is, and demands progress.
//!
//! What a seed draws is a [`Case`]: it can be written down, changed and run again. [`Shrink`] makes one that fails smaller for
//! as long as it fails in the same way, and a [`Page`] shows a run to whoever has to understand it: one HTML file with lanes
//! for servers and clients, messages as arrows, faults, commits, and what was violated.
//!
//! | file | holds |
//! |---|---|
//! | `executor`, `ready`, `clock` | tasks by actor, virtual time, machines' clocks |
//! | `network`, `link`, `connector` | frames between servers; connections of clients |
//! | `disk`, `machine`, `storage` | disks that forget, what is on them, and the time that they take |
//! | `world`, `lifecycle`, `server`, `process`, `counters` | what a test handles |
//! | `fault`, `plan`, `chaos`, `swarm`, `workload` | what can go wrong, when, and what clients do meanwhile |
//! | `sweep` | one test again and again, each time with a fault at another operation |
//! | `aftermath`, `liveness` | what stays wrong for good, and what is demanded all the same |
//! | `linear`, `registers` | whether what clients were told is linearizable, judged without knowing how the quorum works |
//! | `check`, `chronicle`, `oracle`, `watch_oracle`, `sessions`, `ownership`, `leases`, `coverage`, `eye` | what must hold, and who looks |
//! | `trace`, `wording`, `failure`, `runner` | one hash for all that happened, and what is told when something fails |
//! | `case`, `shrink`, `page` | a world written down, a failing one made smaller, and a run shown |
//! | `model` | not a simulation: every behaviour of the election, of ZAB, and of whole peers, within small bounds |

mod aftermath;
mod case;
mod chaos;
mod check;
mod chronicle;
mod clock;
mod connector;
mod counters;
mod coverage;
pub mod disk;
mod executor;
mod eye;
mod failure;
mod fault;
mod leases;
mod lifecycle;
mod linear;
mod link;
mod liveness;
mod machine;
pub mod model;
mod network;
mod oracle;
mod ownership;
mod page;
mod plan;
mod process;
mod ready;
mod registers;
mod runner;
mod server;
mod sessions;
mod shrink;
mod storage;
mod swarm;
mod sweep;
mod trace;
mod watch_oracle;
mod wording;
mod workload;
mod world;

pub use aftermath::{Aftermath, Outage, Shape};
pub use case::{BadCase, Case};
pub use clock::SimClock;
pub use counters::WorldCounters;
pub use coverage::Point;
pub use executor::{Actor, Executor, ExecutorCounters, ExecutorLimits, JoinHandle, Killed, Sleep, Step};
pub use failure::Failure;
pub use fault::Fault;
pub use link::{Latency, LinkFaults, Rate};
pub use machine::Files;
pub use network::{Network, NetworkCounters, SimTransport};
pub use oracle::OracleCounters;
pub use page::Page;
pub use plan::{FaultKind, Plan, Topology};
pub use process::Process;
pub use registers::RegisterCounters;
pub use runner::{check, check_with, same_twice};
pub use server::Server;
pub use shrink::{Shrink, Shrunk};
pub use swarm::{Mode, Swarm, SwarmReport};
pub use sweep::{FrameFault, Sweep, SweepPoint, SweepReport, life_of_a_quorum, life_of_learners};
pub use trace::{Keep, Trace, TraceEvent};
pub use workload::Workload;
pub use world::{World, WorldConfig};
