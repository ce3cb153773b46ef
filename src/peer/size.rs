//! How large a request may be.

use crate::codec;
use crate::types::{Acl, ErrorCode, Identity, Refusal, Write};

/// What a write may weigh. The transaction that comes of it, and every message that carries one, fits in a frame.
pub(super) const MAX_WEIGHT: usize = codec::MAX_BODY_LEN / 2;

/// What an operation adds to its paths, data and ACL, and an entry of an ACL to its text, at most; encoded, and as
/// a decoder counts, for which a number has its full length.
const OVERHEAD: usize = 96;

/// Judges a write before anything is made of it: no server could log or send one that is too large, and none decodes a
/// multi in a multi. Says what it weighs: more than its transaction will be long.
///
/// # Errors
///
/// `BadArguments` when it is too large, and `MarshallingError` when it nests.
pub(super) fn weigh(write: &Write, identities: &[Identity]) -> Result<usize, Refusal> {
    let caller: usize = identities.iter().map(weight_of).sum();
    let mut weight = OVERHEAD.saturating_add(caller);
    if let Write::Multi(writes) = write {
        for (index, write) in writes.iter().enumerate() {
            if matches!(write, Write::Multi(_)) {
                let operation = u32::try_from(index).ok();
                return Err(Refusal { code: ErrorCode::MarshallingError, operation });
            }
            weight = weight.saturating_add(weight_of_single(write, caller));
        }
    } else {
        weight = weight.saturating_add(weight_of_single(write, caller));
    }
    if weight <= MAX_WEIGHT { Ok(weight) } else { Err(ErrorCode::BadArguments.into()) }
}

fn weight_of_single(write: &Write, caller: usize) -> usize {
    let parts = match write {
        Write::Create { path, data, acl, .. } => {
            [path.as_str().len(), data.as_ref().map_or(0, |data| data.len()), weight_of_acl(acl, caller)]
        }
        Write::SetData { path, data, .. } => {
            [path.as_str().len(), data.as_ref().map_or(0, |data| data.len()), 0]
        }
        Write::SetAcl { path, acl, .. } => [path.as_str().len(), weight_of_acl(acl, caller), 0],
        Write::Delete { path, .. } | Write::DeleteTree { path, .. } | Write::Check { path, .. } => {
            [path.as_str().len(), 0, 0]
        }
        Write::Multi(_) => [0; 3],
    };
    parts.into_iter().fold(OVERHEAD, usize::saturating_add)
}

/// An entry that stands for all that the caller has proved to be becomes as many.
fn weight_of_acl(acl: &Acl, caller: usize) -> usize {
    let weight =
        |identity: &Identity| weight_of(identity) + if &*identity.scheme == "auth" { caller } else { 0 };
    acl.entries().iter().map(|entry| weight(&entry.identity)).fold(0, usize::saturating_add)
}

fn weight_of(identity: &Identity) -> usize {
    identity.scheme.len() + identity.id.len() + OVERHEAD
}
