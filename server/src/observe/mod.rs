//! What a server is seen to do: counts and spans for metrics, charts and the status screen.
//!
//! [`Counters`] looks on at the node's own door ([`Observer`](quorate::node::Observer)) and keeps sums;
//! [`History`] keeps what they came to, second by second.

mod counters;
mod history;
mod summary;

pub use counters::{Counters, Totals};
pub use history::{History, Sample};
pub use summary::Summary;
