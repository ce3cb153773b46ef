//! The program as it is used: real processes, real ports on the loopback address, real files. Nothing here waits for a while
//! and hopes: what is waited for is asked for, again and again, until a deadline.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod admin;
mod client;
mod ensemble;
mod harness;
mod process;
mod refusals;
mod shell;
mod tls;
mod transcript;
mod up;
