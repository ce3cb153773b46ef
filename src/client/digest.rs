use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::types::Identity;

/// The identity that `user:password` proves, as ZooKeeper's `digest` scheme has it:
/// `digest:user:base64(sha1("user:password"))`. What stands before the first colon is the user.
///
/// ```
/// let identity = quorate::client::digest_identity("super:test");
/// assert_eq!(&*identity.id, "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
/// ```
#[must_use]
pub fn digest_identity(credentials: &str) -> Identity {
    let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
    let hash = STANDARD.encode(Sha1::digest(credentials.as_bytes()));
    Identity::new("digest", &format!("{user}:{hash}"))
}
