//! Model checking: every behaviour of the production machines within stated bounds, not a sample of them.
//!
//! [`ElectionBounds`], [`ZabBounds`] and [`PeerBounds`] say how many servers, faults, deadlines and so on there may be, and
//! [`check`](ZabBounds::check) goes through every state that servers and network can then come to, nearest first. The servers are
//! the production [`Election`](crate::election::Election), [`Zab`](crate::zab::Zab) and [`Peer`](crate::peer::Peer), which is
//! both with tree and sessions: nothing of them is modelled. What is, is the world around: time is a deadline that may come at
//! any moment, a disk is what is on it and what is on its way, a network is what is under way.
//!
//! Two things make the spaces small enough. An election or a ZAB is moved back to one fixed instant after each step, so that
//! states which differ in nothing but the time are one (a peer is not, and bounds of its time are small). And every different
//! state of one server is kept once and has a number, so that a state of the world is a few numbers, and each step of a machine
//! is taken once and then looked up.
//!
//! From every state the search also goes on as a calm world would, without faults, and demands that this comes to what it
//! should: one leader, one history (of peers that is within the bounds). That is how a state from which nothing leads out is found.
//!
//! ```
//! use quorate::sim::model::ZabBounds;
//!
//! let report = ZabBounds { proposals: 1, ..ZabBounds::new(3) }.check();
//! assert!(report.complete && report.violation.is_none());
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `search`, `seen`, `intern` | the search; states that were met; numbers for states of single servers |
//! | `election`, `voter` | elections: bounds and properties; one server |
//! | `zab_bounds`, `zab`, `replica`, `ghost` | ZAB: bounds and properties; one server and its disk; what nobody knows |
//! | `peer`, `process` | whole peers: bounds and properties; one server and its disk |
//! | `reduce`, `links` | ZAB: what need not be looked at |

mod election;
mod ghost;
mod intern;
mod links;
mod peer;
mod process;
mod reduce;
mod replica;
mod search;
mod seen;
mod voter;
mod zab;
mod zab_bounds;

pub use election::ElectionBounds;
pub use peer::PeerBounds;
pub use process::PeerFlaw;
pub use replica::ZabFlaw;
pub use search::{ModelReport, ModelViolation};
pub use voter::ElectionFlaw;
pub use zab_bounds::ZabBounds;
