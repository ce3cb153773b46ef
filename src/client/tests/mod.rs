//! The client against a scripted server: what it sends when, and what it makes of what comes; and against an ensemble.

mod calls;
mod ensemble;
mod resume;
mod scenarios;
mod sessions;
mod watches;
mod world;
