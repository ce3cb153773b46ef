//! Whether a write that was executed may have been: versions, ACLs and hard quotas, asked of the state right before it.

use crate::types::{Expected, Identity, Permissions, RequestPath, Write, Zxid};

use super::Chronicle;
use super::tree::{Broken, Plain};

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
        let Some(at) = self.entries.binary_search_by_key(&zxid, |entry| entry.zxid).ok() else {
            return Ok(());
        };
        // What is answered once more was judged when it was executed.
        if self.entries.get(at).is_none_or(|entry| entry.repeated) {
            return Ok(());
        }
        let before =
            at.checked_sub(1).and_then(|at| self.entries.get(at)).map_or(Zxid::ZERO, |entry| entry.zxid);
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
            Write::Create { path, .. } => (node(above(path)), Permissions::CREATE, None),
            Write::Delete { path, expected } => {
                let version = node(path.as_str()).map(|node| (node.stat.version, *expected));
                (node(above(path)), Permissions::DELETE, version)
            }
            Write::DeleteTree { path, .. } => (node(above(path)), Permissions::DELETE, None),
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
fn above(path: &RequestPath) -> &str {
    match path.as_str().rfind('/') {
        Some(0) | None => "/",
        Some(slash) => path.as_str().get(..slash).unwrap_or("/"),
    }
}
