//! The digest: a wrapping sum with two terms per node, one for its data and one for the rest, so that a child that
//! comes or goes costs its parent a hash of a few words and never one of the parent's data.
//!
//! It is compared between replicas and stored in snapshots: a change here is a change of format.

use twox_hash::XxHash3_64;

use crate::types::Acl;

use super::node::{Kind, Node};

/// The key of the root.
pub(super) const ROOT_KEY: u64 = 0x7175_6f72_6174_6531;

/// The key of a child: the hash of its path, made from the parent's.
pub(super) fn child_key(parent: u64, name: &str) -> u64 {
    words(&[parent, XxHash3_64::oneshot(name.as_bytes())])
}

/// The term of a node's data.
pub(super) fn content_hash(node: &Node) -> u64 {
    let data = node.data.as_ref().map_or(u64::MAX, |data| XxHash3_64::oneshot(data));
    words(&[node.key, node.mzxid.as_u64(), u64::from(node.data.is_some()), data])
}

/// The term of everything else.
pub(super) fn stat_hash(node: &Node, acl_hash: u64) -> u64 {
    let (kind, detail) = match node.kind {
        Kind::Persistent => (0, 0),
        Kind::Ephemeral(session) => (1, session.as_u64()),
        Kind::Container => (2, 0),
        Kind::Ttl(ttl) => (3, ttl.as_millis()),
    };
    words(&[
        node.key,
        node.czxid.as_u64(),
        node.pzxid.as_u64(),
        node.ctime.as_millis() as u64,
        node.mtime.as_millis() as u64,
        node.created,
        node.ordinal,
        (u64::from(node.version as u32) << 32) | u64::from(node.aversion as u32),
        kind,
        detail,
        acl_hash,
    ])
}

/// The hash of an ACL's content.
pub(super) fn acl_hash(acl: &Acl) -> u64 {
    let mut bytes = Vec::new();
    for entry in acl.entries() {
        bytes.extend_from_slice(&entry.permissions.bits().to_le_bytes());
        for text in [&entry.identity.scheme, &entry.identity.id] {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    XxHash3_64::oneshot(&bytes)
}

fn words<const N: usize>(words: &[u64; N]) -> u64 {
    XxHash3_64::oneshot(words.map(u64::to_le_bytes).as_flattened())
}
