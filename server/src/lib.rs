//! The `quorate` program: a coordination server that is run from a ZooKeeper `zoo.cfg`.
//!
//! Rooms: [`config`] reads and judges the file.

pub mod config;
