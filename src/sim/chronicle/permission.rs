//! Whether a write that was executed may have been: versions, ACLs and hard quotas, asked of the state right before it.

use crate::types::{Expected, Identity, Permissions, Write, Zxid};

use super::tree::{Broken, Plain};
use super::{Chronicle, just_before};

impl Chronicle {
    /// A write was acknowledged at `zxid`, to a client that has proved `identities` by now. Of a multi only the first
    /// operation is judged: the others see what those before them have done.
    ///
    /// (ZooKeeper, programmer's guide: ACLs, versions; quota guide.)
    pub(in super::super) fn judge_permission(
        &self,
        identities: &[Identity],
        write: &Write,
        zxid: Zxid,
    ) -> Result<(), Broken> {
        // What is answered once more was judged when it was executed.
        if self.at(zxid).is_none_or(|entry| entry.repeated) {
            return Ok(());
        }
        let before = just_before(zxid);
        match write {
            Write::Multi(writes) => match writes.first() {
                Some(first) => self.judge_one(identities, first, before),
                None => Ok(()),
            },
            write => {
                self.judge_one(identities, write, before)?;
                self.judge_quotas(write, before, zxid)
            }
        }
    }

    fn judge_one(&self, identities: &[Identity], write: &Write, before: Zxid) -> Result<(), Broken> {
        let node = |path: &str| self.annals.at(path, before);
        let (asked, wanted, version) = match write {
            Write::Create { path, .. } => (node(above(path.as_str())), Permissions::CREATE, None),
            Write::Delete { path, expected } => {
                let version = node(path.as_str()).map(|node| (node.stat.version, *expected));
                (node(above(path.as_str())), Permissions::DELETE, version)
            }
            Write::DeleteTree { path, .. } => (node(above(path.as_str())), Permissions::DELETE, None),
            Write::SetData { path, expected, .. } => {
                let node = node(path.as_str());
                (node, Permissions::WRITE, node.map(|node| (node.stat.version, *expected)))
            }
            Write::SetAcl { path, expected, .. } => {
                let node = node(path.as_str());
                (node, Permissions::ADMIN, node.map(|node| (node.stat.aversion, *expected)))
            }
            Write::Check { path, expected } => {
                let node = node(path.as_str());
                (node, Permissions::READ, node.map(|node| (node.stat.version, *expected)))
            }
            Write::Multi(_) => return Ok(()),
        };
        let Some(asked) = asked.map(|node| Plain::clone(node)) else { return Ok(()) };
        if !asked.acl.permits(wanted, identities) {
            let what = format!("{write:?} is executed behind {before} for {identities:?}; {:?}", asked.acl);
            return Err(("AclHolds", what));
        }
        match version {
            Some((found, Expected::Version(wanted))) if found != wanted => {
                Err(("VersionHolds", format!("{write:?} is executed behind {before} at version {found}")))
            }
            _ => Ok(()),
        }
    }

    /// What grows stays within the hard limits of the quotas that it stands under.
    fn judge_quotas(&self, write: &Write, before: Zxid, zxid: Zxid) -> Result<(), Broken> {
        let (path, creates, is_whole) = match write {
            Write::Create { path, mode, .. } => (path, true, !mode.sequential),
            Write::SetData { path, .. } => (path, false, true),
            _ => return Ok(()),
        };
        let above = path.as_str().match_indices('/').skip(1).map(|(at, _)| at);
        let ends = above.chain(is_whole.then_some(path.as_str().len()));
        for target in ends.filter_map(|end| path.as_str().get(..end)) {
            let limits = self.annals.at(&format!("/zookeeper/quota{target}/zookeeper_limits"), before);
            let limits = limits.and_then(|node| node.data.clone()).unwrap_or_default();
            let limits = String::from_utf8_lossy(&limits).into_owned();
            let limit = |name: &str| {
                let mut parts = limits.split([',', ';']).filter_map(|part| part.split_once('='));
                let value = parts.find(|(key, _)| *key == name)?.1.parse::<i64>().ok();
                value.filter(|value| *value >= 0)
            };
            if creates && let Some(most) = limit("countHardLimit") {
                let count = self.annals.count_below(target, zxid) + 1;
                if i64::try_from(count).is_ok_and(|count| count > most) {
                    return Err(("QuotaHolds", format!("{write:?} at {zxid} makes {count} nodes of {most}")));
                }
            }
            if let Some(most) = limit("byteHardLimit") {
                let (was, is) =
                    (self.annals.bytes_within(target, before), self.annals.bytes_within(target, zxid));
                if is > was && is > most {
                    return Err(("QuotaHolds", format!("{write:?} at {zxid} makes {is} bytes of {most}")));
                }
            }
        }
        Ok(())
    }
}

/// The path of the parent.
pub(super) fn above(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(slash) => path.get(..slash).unwrap_or("/"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::types::{Acl, CreateMode, Lifetime, Txn, ZnodePath};

    use super::super::tests::{history, zxid};
    use super::*;

    fn create(path: &str, acl: Acl, data: &'static str) -> Txn {
        let path = path.parse::<ZnodePath>().unwrap();
        Txn::Create {
            path,
            data: Some(Bytes::from_static(data.as_bytes())),
            acl,
            lifetime: Lifetime::Persistent,
        }
    }

    fn set(path: &str) -> Txn {
        Txn::SetData { path: path.parse().unwrap(), data: None, version: 1 }
    }

    fn sets(expected: Expected) -> Write {
        Write::SetData { path: "/a".into(), data: None, expected }
    }

    fn creates(path: &str) -> Write {
        Write::Create { path: path.into(), data: None, acl: Acl::open(), mode: CreateMode::PERSISTENT }
    }

    #[track_caller]
    fn judged(chronicle: &Chronicle, write: &Write, counter: u32) -> Option<&'static str> {
        chronicle.judge_permission(&[], write, zxid(counter)).err().map(|(invariant, _)| invariant)
    }

    #[test]
    fn a_write_that_the_acl_forbids_is_found() {
        let chronicle =
            history(vec![create("/a", Acl::read_only(), ""), set("/a"), create("/a/b", Acl::open(), "")]);
        assert_eq!(judged(&chronicle, &creates("/a"), 2), None);
        assert_eq!(judged(&chronicle, &sets(Expected::Any), 3), Some("AclHolds"));
        assert_eq!(judged(&chronicle, &creates("/a/b"), 4), Some("AclHolds"));
        let multi = Write::Multi(vec![sets(Expected::Any)]);
        assert_eq!(judged(&chronicle, &multi, 3), Some("AclHolds"));
    }

    #[test]
    fn a_write_at_another_version_than_it_wants_is_found() {
        let chronicle = history(vec![create("/a", Acl::open(), ""), set("/a")]);
        assert_eq!(judged(&chronicle, &sets(Expected::Version(0)), 3), None);
        assert_eq!(judged(&chronicle, &sets(Expected::Version(1)), 3), Some("VersionHolds"));
    }

    #[test]
    fn growth_beyond_a_hard_quota_is_found() {
        let open = Acl::open;
        let chronicle = history(vec![
            create("/a", open(), ""),
            create("/zookeeper/quota/a", open(), ""),
            create("/zookeeper/quota/a/zookeeper_limits", open(), "countHardLimit=2,byteHardLimit=3"),
            create("/a/b", open(), ""),
            create("/a/c", open(), ""),
        ]);
        assert_eq!(judged(&chronicle, &creates("/a/b"), 5), None);
        assert_eq!(judged(&chronicle, &creates("/a/c"), 6), Some("QuotaHolds"));
    }
}
