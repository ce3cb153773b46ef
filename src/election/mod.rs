//! Layer 3: who shall lead. Fast leader election, as ZooKeeper has it, with four rules of our own.
//!
//! # How an election goes
//!
//! A server without a leader is *looking*. It says to every voter how fresh its history is and for whom it votes,
//! at first for itself; it votes for the best candidate it knows of, by [`Vote`]'s order; and the candidate that a
//! quorum votes for in one *round* leads. A server that looks while a leader lives is told so, and joins it: settled
//! servers answer and are not disturbed. Rounds count a server's elections; the votes of a round count in that
//! round only, a larger round is adopted, a smaller one is answered and not counted.
//!
//! # What differs from ZooKeeper, and why
//!
//! 1. *Votes go to servers that hear and are heard.* Every notification says whether its sender hears the receiver. A
//!    server votes for a candidate only when it has the candidate's own word and the candidate hears it, so one
//!    that cannot hear (or cannot be heard) wins no vote, and the votes that a leader counts prove that it has links in
//!    both directions to a quorum. In ZooKeeper a vote passes from mouth to mouth, and elects servers out of reach.
//! 2. *The candidate decides first.* It waits out the finalise wait; the others join when it says itself
//!    that it leads. So nobody waits for a leader that died or changed its mind before it led. Its word alone is believed
//!    after another finalise wait, its word and a quorum's at once.
//! 3. *A candidate that reaches no quorum gives way to one that does.* Every notification says whether its sender has
//!    links in both directions to a quorum of looking servers. After a grace span those that have not lose
//!    against those that have, whatever their votes; but no server ever votes for a candidate with an older history than its own.
//!    So where one hub alone reaches a majority it can win, where ZooKeeper elects the unreachable larger id for ever.
//! 4. *Nobody waits for a peer that is known to have gone.* Where the host can tell that a process has ended, the others count as
//!    all voters until it speaks again, and decide without the finalise wait.
//!
//! What remains: when the only server that reaches a quorum has an older history than all quorums it reaches can accept,
//! nobody is elected until a link heals or the hub has been brought level.
//!
//! # What is promised
//!
//! Safety never rests on the election: two servers may believe for a while that they were elected, even in one round, and
//! ZAB's discovery lets at most one of them reach service. What holds here, under loss, duplication, delay and any order:
//! who decides to lead has a history at least as fresh as those of a quorum; who decides to follow was told by that leader
//! itself; a settled server stays so until [`Election::start`]. And while a quorum of servers that hear each other, one of which is
//! freshest, is stable, they elect one leader within a few notification spans.

mod config;
mod looking;
mod machine;
mod notification;
mod vote;

pub use config::ElectionConfig;
pub use machine::{Election, Output};
pub use notification::{Notification, ServerState};
pub use vote::Vote;

#[cfg(test)]
mod tests;
