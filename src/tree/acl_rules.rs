//! What an ACL must look like, and who may see it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::types::{Acl, AclEntry, ErrorCode, Identity, Permissions};

/// The final form of an ACL that a client wrote: `auth` entries become one entry per identity that the caller has
/// proved, duplicates go, and every other identity must be one of a known scheme. (ZooKeeper's "fixup".)
///
/// # Errors
///
/// `InvalidAcl` if it is empty, too long, or has an unknown scheme, an invalid identity, or an `auth` entry where the
/// caller has proved nothing.
pub(super) fn finish(acl: &Acl, caller: &[Identity], limit: usize) -> Result<Acl, ErrorCode> {
    let entries = acl.entries();
    if let [entry] = entries
        && entry.identity.is_anyone()
    {
        return Ok(acl.clone());
    }
    if entries.is_empty() || entries.len() > limit {
        return Err(ErrorCode::InvalidAcl);
    }
    let mut seen = BTreeSet::new();
    let mut finished = Vec::with_capacity(entries.len());
    let mut add = |entry: AclEntry| {
        if seen.insert(entry.clone()) {
            finished.push(entry);
        }
    };
    for entry in entries {
        if &*entry.identity.scheme == "auth" {
            let proved = proved(caller);
            if proved.is_empty() {
                return Err(ErrorCode::InvalidAcl);
            }
            for identity in proved {
                add(AclEntry { permissions: entry.permissions, identity: identity.clone() });
            }
        } else if is_valid(&entry.identity) {
            add(entry.clone());
        } else {
            return Err(ErrorCode::InvalidAcl);
        }
    }
    if finished.len() > limit {
        return Err(ErrorCode::InvalidAcl);
    }
    Ok(if finished == entries { acl.clone() } else { Acl::new(finished) })
}

/// The ACL as somebody with these identities may see it: without ADMIN the hash of a digest is an `x`, so that
/// nobody gets something to try passwords against.
pub(super) fn redact(acl: &Acl, caller: &[Identity]) -> Acl {
    let hidden = |identity: &Identity| &*identity.scheme == "digest";
    if acl.permits(Permissions::ADMIN, caller) || !acl.entries().iter().any(|entry| hidden(&entry.identity)) {
        return acl.clone();
    }
    let shown = acl.entries().iter().map(|entry| {
        if hidden(&entry.identity) {
            let user = entry.identity.id.split(':').next().unwrap_or_default();
            AclEntry { identity: Identity::new("digest", &format!("{user}:x")), ..*entry }
        } else {
            entry.clone()
        }
    });
    Acl::new(shown.collect::<Vec<_>>())
}

/// The identities that `auth` stands for: all that the caller has proved. An address proves nothing, and the
/// superuser needs no entry unless that is all the caller is.
fn proved(caller: &[Identity]) -> Vec<&Identity> {
    let known = |identity: &&Identity| !matches!(&*identity.scheme, "ip" | "world" | "auth");
    let named: Vec<&Identity> = caller.iter().filter(known).filter(|identity| !identity.is_super()).collect();
    if named.is_empty() { caller.iter().filter(|identity| identity.is_super()).collect() } else { named }
}

fn is_valid(identity: &Identity) -> bool {
    let id = &*identity.id;
    match &*identity.scheme {
        "world" => id == "anyone",
        "digest" => {
            let mut parts = id.split(':');
            parts.next().is_some_and(|user| !user.is_empty())
                && parts.next().is_some_and(|hash| !hash.is_empty())
                && parts.next().is_none()
        }
        "ip" => is_network(id),
        "x509" | "sasl" => !id.is_empty(),
        "super" => true,
        _ => false,
    }
}

fn is_network(id: &str) -> bool {
    let (base, bits) = match id.split_once('/') {
        Some((base, bits)) => (base, Some(bits)),
        None => (id, None),
    };
    let Ok(base) = base.parse::<IpAddr>() else { return false };
    let most = if base.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| {
        bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u32>().is_ok_and(|bits| bits <= most)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(&str, &str)]) -> Acl {
        let entries = entries.iter().map(|(scheme, id)| AclEntry {
            permissions: Permissions::ALL,
            identity: Identity::new(scheme, id),
        });
        Acl::new(entries.collect::<Vec<_>>())
    }

    #[test]
    fn auth_becomes_what_the_caller_has_proved() {
        let caller =
            [Identity::new("ip", "10.0.0.1"), Identity::new("digest", "ann:h"), Identity::new("super", "")];
        assert_eq!(finish(&Acl::creator_only(), &caller, 10), Ok(acl(&[("digest", "ann:h")])));
        assert_eq!(finish(&Acl::creator_only(), &caller[..1], 10), Err(ErrorCode::InvalidAcl));
        assert_eq!(finish(&Acl::creator_only(), &caller[2..], 10), Ok(acl(&[("super", "")])));
    }

    #[test]
    fn duplicates_go_and_the_order_stays() {
        let twice = acl(&[("digest", "b:h"), ("world", "anyone"), ("digest", "b:h"), ("auth", "")]);
        let caller = [Identity::new("digest", "b:h"), Identity::new("digest", "a:h")];
        let expected = acl(&[("digest", "b:h"), ("world", "anyone"), ("digest", "a:h")]);
        assert_eq!(finish(&twice, &caller, 10), Ok(expected));
    }

    #[test]
    fn what_no_scheme_knows_is_invalid() {
        for (scheme, id) in [
            ("world", "everyone"),
            ("digest", "ann"),
            ("digest", "ann:h:i"),
            ("digest", ":h"),
            ("ip", "10.0.0"),
            ("ip", "10.0.0.0/33"),
            ("ip", "10.0.0.0/+8"),
            ("ip", "10.0.0.0/"),
            ("x509", ""),
            ("nonsense", "x"),
            ("", ""),
        ] {
            assert_eq!(finish(&acl(&[(scheme, id)]), &[], 10), Err(ErrorCode::InvalidAcl), "{scheme}:{id}");
        }
        assert_eq!(finish(&Acl::new([]), &[], 10), Err(ErrorCode::InvalidAcl));
        for (scheme, id) in
            [("digest", "ann:h"), ("ip", "10.0.0.0/8"), ("ip", "::1"), ("ip", "fd00::/8"), ("x509", "CN=a")]
        {
            assert!(finish(&acl(&[(scheme, id)]), &[], 10).is_ok(), "{scheme}:{id}");
        }
        assert_eq!(finish(&acl(&[("digest", "a:h"), ("digest", "b:h")]), &[], 1), Err(ErrorCode::InvalidAcl));
    }

    #[test]
    fn hashes_are_shown_to_administrators_only() {
        let reader = AclEntry { permissions: Permissions::READ, identity: Identity::anyone() };
        let owner =
            AclEntry { permissions: Permissions::ALL, identity: Identity::new("digest", "ann:secret") };
        let acl = Acl::new([reader, owner]);
        assert_eq!(redact(&acl, &[Identity::new("digest", "ann:secret")]), acl);
        assert_eq!(&*redact(&acl, &[]).entries()[1].identity.id, "ann:x");
    }
}
