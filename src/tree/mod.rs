//! Layer 2: the znode tree, as a pure state machine.
//!
//! A write takes two steps. The leader *prepares* it: it judges the request against the tree and against everything
//! that it proposed but that is not yet applied ([`Outstanding`]), and makes a [`Txn`](crate::types::Txn) of it or
//! refuses it. Every replica then *applies* the same transactions in the same order ([`Tree::apply`]) and gets the
//! same tree, the same answers and the same [`Change`](crate::types::Change)s; [`Tree::digest`] proves it.
//!
//! A snapshot ([`Tree::begin_snapshot`]) is the state at one moment, written piece by piece while the tree goes on
//! changing: whoever changes a node that the snapshot has not reached keeps the node's old form for it. So a
//! snapshot stands at exactly one zxid and replay never meets a state it was not made for.
//!
//! What is where:
//!
//! | file | holds |
//! |---|---|
//! | `slab`, `node`, `children`, `names`, `acls` | the nodes, by number; the lists of children; look-up by name; the shared ACLs |
//! | `edit` | the few steps that every change is made of; they keep the digest and all indexes |
//! | `prepare`, `outstanding`, `acl_rules`, `quota` | the leader's judgement |
//! | `apply`, `read`, `reap` | transactions, reads, containers and TTL nodes |
//! | `snapshot`, `record`, `restore` | the tree as bytes and back |

mod acl_rules;
mod acls;
mod apply;
mod children;
mod digest;
mod edit;
mod limits;
mod names;
mod node;
mod outstanding;
mod prepare;
mod quota;
mod read;
mod reap;
mod record;
mod restore;
mod slab;
mod snapshot;
#[expect(clippy::module_inception, reason = "the room is named after its main type")]
mod tree;

#[cfg(test)]
mod tests;

pub use limits::TreeLimits;
pub use outstanding::Outstanding;
pub use restore::{RestoreError, TreeRestore};
pub use tree::Tree;
