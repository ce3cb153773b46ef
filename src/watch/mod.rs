//! Layer 2: watches. What the clients of this server want to hear of, and which of it they hear.
//!
//! The rules are ZooKeeper's: a *data* table and a *child* table of one-shot watches, and lasting watches, which
//! stand in both (persistent) or in the data table alone (recursive). A change is looked up in one table after
//! the other, a *pass* each, and a client hears of a pass at most once. Nothing here is replicated: a client that
//! moves leaves its watches again, by [`Watches::restore`] or from the ring of [`RecentChanges`].

mod recent;
mod registry;
mod restore;
mod tables;
#[cfg(test)]
mod tests;

pub use recent::{Compacted, RecentChanges};
pub use registry::Watches;
pub use restore::LostWatches;
