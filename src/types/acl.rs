use std::fmt;
use std::net::IpAddr;
use std::ops::{BitOr, BitOrAssign};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What an ACL entry allows. Bits as in ZooKeeper's protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Permissions(u32);

impl Permissions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Read the data and the children, and hear watches.
    pub const READ: Self = Self(1);
    /// Change the data.
    pub const WRITE: Self = Self(2);
    /// Create children.
    pub const CREATE: Self = Self(4);
    /// Delete children.
    pub const DELETE: Self = Self(8);
    /// Change the ACL.
    pub const ADMIN: Self = Self(16);
    /// All five.
    pub const ALL: Self = Self(31);

    /// The permissions with these bits; unknown bits are kept, as ZooKeeper keeps them.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether any of `wanted` is among these.
    #[must_use]
    pub const fn intersects(self, wanted: Self) -> bool {
        self.0 & wanted.0 != 0
    }
}

impl BitOr for Permissions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Permissions {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The letters that ZooKeeper's shell prints: `cdrwa`.
impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [
            (Self::CREATE, 'c'),
            (Self::DELETE, 'd'),
            (Self::READ, 'r'),
            (Self::WRITE, 'w'),
            (Self::ADMIN, 'a'),
        ] {
            if self.intersects(bit) {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// Who somebody is, by a scheme: `world:anyone`, `digest:user:hash`, `ip:10.0.0.0/8`, `super:`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The scheme that vouches for it.
    pub scheme: Arc<str>,
    /// The name within the scheme.
    pub id: Arc<str>,
}

impl Identity {
    /// The identity `id` of `scheme`.
    #[must_use]
    pub fn new(scheme: &str, id: &str) -> Self {
        Self { scheme: scheme.into(), id: id.into() }
    }

    /// Everybody: `world:anyone`.
    #[must_use]
    pub fn anyone() -> Self {
        Self::new("world", "anyone")
    }

    /// The address that a connection came from.
    #[must_use]
    pub fn ip(address: IpAddr) -> Self {
        Self::new("ip", &address.to_string())
    }

    /// Whether this is the superuser, whom no ACL binds.
    #[must_use]
    pub fn is_super(&self) -> bool {
        &*self.scheme == "super"
    }

    /// Whether this is everybody.
    #[must_use]
    pub fn is_anyone(&self) -> bool {
        &*self.scheme == "world" && &*self.id == "anyone"
    }

    /// Whether a caller who is `caller` is meant by an ACL entry for `self`.
    #[must_use]
    pub fn covers(&self, caller: &Self) -> bool {
        match &*self.scheme {
            "world" => self.is_anyone(),
            "ip" => &*caller.scheme == "ip" && network_contains(&self.id, &caller.id),
            _ => self == caller,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.id)
    }
}

/// Shows a digest's user but not its hash, so that logs give nothing to try passwords against.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.scheme {
            "digest" | "super" => write!(f, "{}:{}:x", self.scheme, self.id.split(':').next().unwrap_or("")),
            _ => fmt::Display::fmt(self, f),
        }
    }
}

/// One entry of an ACL: whom it is about and what they may do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AclEntry {
    /// What is allowed.
    pub permissions: Permissions,
    /// To whom.
    pub identity: Identity,
}

/// Who may do what with one znode; not inherited by its children. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Acl(Arc<[AclEntry]>);

impl Acl {
    /// The list of these entries.
    #[must_use]
    pub fn new(entries: impl Into<Arc<[AclEntry]>>) -> Self {
        Self(entries.into())
    }

    /// Everybody may do everything: `world:anyone:cdrwa`.
    #[must_use]
    pub fn open() -> Self {
        Self::world(Permissions::ALL)
    }

    /// Everybody may read: `world:anyone:r`.
    #[must_use]
    pub fn read_only() -> Self {
        Self::world(Permissions::READ)
    }

    /// Whoever created the node may do everything: `auth::cdrwa`, which the leader replaces by the
    /// identities that the caller has proved.
    #[must_use]
    pub fn creator_only() -> Self {
        Self::new([AclEntry { permissions: Permissions::ALL, identity: Identity::new("auth", "") }])
    }

    /// The entries, in order.
    #[must_use]
    pub fn entries(&self) -> &[AclEntry] {
        &self.0
    }

    /// Whether somebody with these identities may do any of `wanted`. The superuser may.
    #[must_use]
    pub fn permits(&self, wanted: Permissions, caller: &[Identity]) -> bool {
        self.0.iter().any(|entry| {
            entry.permissions.intersects(wanted)
                && (entry.identity.is_anyone()
                    || caller.iter().any(|identity| entry.identity.covers(identity)))
        }) || caller.iter().any(Identity::is_super)
    }

    fn world(permissions: Permissions) -> Self {
        Self::new([AclEntry { permissions, identity: Identity::anyone() }])
    }
}

fn network_contains(network: &str, address: &str) -> bool {
    let (base, bits) = match network.split_once('/') {
        Some((base, bits)) => match bits.parse::<u32>() {
            Ok(bits) => (base, Some(bits)),
            Err(_) => return false,
        },
        None => (network, None),
    };
    match (base.parse::<IpAddr>(), address.parse::<IpAddr>()) {
        (Ok(IpAddr::V4(base)), Ok(IpAddr::V4(address))) => {
            let bits = bits.unwrap_or(32);
            bits <= 32
                && prefix(u128::from(u32::from(base)) << 96, bits)
                    == prefix(u128::from(u32::from(address)) << 96, bits)
        }
        (Ok(IpAddr::V6(base)), Ok(IpAddr::V6(address))) => {
            let bits = bits.unwrap_or(128);
            bits <= 128 && prefix(base.into(), bits) == prefix(address.into(), bits)
        }
        _ => false,
    }
}

fn prefix(address: u128, bits: u32) -> u128 {
    if bits == 0 { 0 } else { address >> (128 - bits) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(permissions: Permissions, scheme: &str, id: &str) -> AclEntry {
        AclEntry { permissions, identity: Identity::new(scheme, id) }
    }

    #[test]
    fn the_first_entry_with_the_bit_grants() {
        let acl = Acl::new([
            entry(Permissions::READ, "world", "anyone"),
            entry(Permissions::WRITE, "digest", "ann:hash"),
        ]);
        let ann = [Identity::new("digest", "ann:hash")];
        assert!(acl.permits(Permissions::READ, &[]));
        assert!(!acl.permits(Permissions::WRITE, &[]));
        assert!(acl.permits(Permissions::WRITE, &ann));
        assert!(!acl.permits(Permissions::ADMIN, &ann));
        assert!(acl.permits(Permissions::ADMIN, &[Identity::new("super", "")]));
    }

    #[test]
    fn networks_are_compared_by_their_prefix() {
        let covers = |network: &str, address: &str| {
            Identity::new("ip", network).covers(&Identity::ip(address.parse().unwrap()))
        };
        assert!(covers("10.1.0.0/16", "10.1.2.3"));
        assert!(!covers("10.1.0.0/16", "10.2.2.3"));
        assert!(covers("10.1.2.3", "10.1.2.3"));
        assert!(!covers("10.1.2.3", "10.1.2.4"));
        assert!(covers("0.0.0.0/0", "1.2.3.4"));
        assert!(covers("fd00::/8", "fd12::1"));
        assert!(!covers("10.0.0.0/33", "10.0.0.0"));
        assert!(!covers("10.0.0.0/8", "::1"));
    }

    #[test]
    fn debug_output_hides_the_hash() {
        let shown = format!("{:?}", Identity::new("digest", "ann:c2VjcmV0"));
        assert!(!shown.contains("c2VjcmV0"), "{shown}");
    }
}
