//! A coordination quorum inside your own service.

pub mod client;
pub mod codec;
pub mod election;
pub mod node;
pub mod peer;
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

pub use types::*;

/// Compiles what the README shows. It shows TCP, hence the feature.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
