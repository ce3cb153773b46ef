//! A coordination quorum inside your own service: ZooKeeper's model, without a second cluster to operate.
//!
//! Three or five of your processes embed a [`Node`] each. Together they keep one tree of znodes, replicated by ZAB and led by a
//! leader that they elect; what they acknowledged survives the loss of any minority of them. Your code talks to
//! the node in its own process through a [`Client`]: locks, elections, membership, configuration.
//!
//! # What you bring
//!
//! * A way to the other servers: [`Transport`](transport::Transport). TCP with mutual TLS comes with the feature `tokio`; an in-memory
//!   [`Hub`](transport::Hub) for one process and a conformance suite for your own are always there.
//! * A place for the durable state: [`Storage`](storage::Storage). [`FileStorage`](storage::FileStorage) keeps it in a directory,
//!   [`MemoryStorage`](storage::MemoryStorage) in memory; a conformance suite checks your own.
//! * An executor: any. A node is one future to spawn, a client another. The default features have no async runtime.
//!
//! # What we promise
//!
//! * *Writes* are linearizable and durable on a quorum before they are acknowledged; each is executed once however often
//!   a connection breaks.
//! * *Reads* are answered by the server at hand, in the session's order: after its own writes, and never going back, even
//!   when the session moves. [`linearizable`](client::ReadCall::linearizable) reads cost a round to a quorum and no log write.
//! * *Watches* tell a change before any read shows it; a one-shot watch fires once; a lasting one goes on where it was
//!   after a reconnect, or says that it cannot.
//! * *Sessions* end by close or by silence; their ephemeral nodes go in the same transaction.
//! * *Everything that decides* is a pure state machine, so that a run repeats from its seed. See `ARCHITECTURE.md`.
//!
//! # Quick start
//!
//! ```
//! use std::sync::Arc;
//!
//! use futures::executor::{ThreadPool, block_on};
//! use quorate::client::{Client, ClientOptions};
//! use quorate::node::{Clock, Node, SystemClock, entropy};
//! use quorate::peer::{Ensemble, PeerConfig};
//! use quorate::storage::MemoryStorage;
//! use quorate::transport::Hub;
//! use quorate::{ClusterId, ServerId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = ClusterId::new(0x5eed);
//! let servers = [1, 2, 3].map(ServerId::new);
//! let (hub, pool) = (Hub::new(cluster), ThreadPool::new()?);
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock::new()?);
//!
//! let mut nodes = Vec::new();
//! for server in servers {
//!     let config = PeerConfig::new(cluster, server, Ensemble::majority(servers), entropy()?);
//!     let (transport, storage) = (Arc::new(hub.join(server)), Arc::new(MemoryStorage::new()));
//!     let (node, driver) = Node::start(config.into(), transport, storage, clock.clone())?;
//!     pool.spawn_ok(async move { driver.await.expect("the server runs until it is shut down") });
//!     nodes.push(node);
//! }
//!
//! let (client, driver) = Client::new(&nodes, clock, ClientOptions::new(entropy()?))?;
//! pool.spawn_ok(driver);
//! block_on(async {
//!     client.create("/locks", "").await?;
//!     let lock = client.create("/locks/n-", "me").ephemeral().sequential().await?;
//!     assert_eq!(lock.path.as_str(), "/locks/n-0000000000");
//!     client.close().await
//! })?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub, rust_2018_idioms)]
// No input makes the library panic: where one of these cannot fail, an `expect` attribute beside it says why.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![warn(clippy::todo, clippy::unimplemented, clippy::dbg_macro)]

pub mod client;
pub mod codec;
pub mod election;
pub mod node;
pub mod peer;
pub mod protocol;
pub mod quorum;
pub mod session;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod storage;
pub mod transport;
pub mod tree;
pub mod types;
pub mod watch;
pub mod zab;

pub use client::Client;
pub use node::Node;
// What most programs name. The rest is in the rooms, and all nouns are in `types`.
pub use types::{
    Acl, AclEntry, ClusterId, CreateMode, Epoch, ErrorCode, Expected, Identity, Lane, Lifetime, Now,
    PathError, Permissions, Refusal, SeededRng, ServerId, SessionId, Stat, Time, WallTime, WatchEvent,
    WatchEventKind, ZnodePath, Zxid,
};

/// Compiles what the README shows. It shows TCP, hence the feature.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// Runs what the chapter for users of the simulator shows.
#[cfg(all(doctest, feature = "sim"))]
#[doc = include_str!("../docs/testing-your-service.md")]
pub struct TestingYourService;
