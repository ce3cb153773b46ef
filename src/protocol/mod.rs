//! Layer 8: ZooKeeper's client protocol, so that clients that exist (Curator, kazoo, zkCli, the C client) can use an embedded quorum.
//!
//! * [`record`]: the protocol's records, to and from bytes, in both directions.
//! * [`ClientConnection`]: the server's side of one connection, as a pure state machine.
//! * [`words`]: the four-letter words.
//! * `serve` (feature `tokio`): takes in clients over TCP, or TLS, for a [`Node`](crate::node::Node).

mod activity;
mod connection;
#[cfg(feature = "tokio")]
mod listener;
pub mod record;
pub mod words;

pub use activity::{Activity, LastRequest, Latency};
pub use connection::{ClientConnection, ConnectionEvent, ConnectionOptions};
#[cfg(feature = "tokio")]
pub use listener::{ClientTls, Registry, ServeOptions, Service, ServiceDriver, TlsError, TlsFiles, serve};
