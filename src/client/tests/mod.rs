//! The client against a scripted server: what it sends when, and what it makes of what comes.

mod calls;
mod sessions;
mod watches;
mod world;
