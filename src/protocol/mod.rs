//! Layer 8: ZooKeeper's client protocol, so that clients that exist (Curator, kazoo, zkCli, the C client) can use an embedded quorum.
//!
//! * [`record`]: the protocol's records, to and from bytes, in both directions.

pub mod record;
