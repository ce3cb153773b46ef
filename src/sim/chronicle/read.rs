//! What a read must find.

use crate::tree::TreeLimits;
use crate::types::{
    Acl, AclEntry, Caller, ChildCursor, ErrorCode, Found, Identity, Permissions, Read, RequestPath, Zxid,
};

use super::tree::{Annals, Plain};

impl Annals {
    /// What `caller` must be shown by a server whose last transaction is `zxid`. None for what the annals do not know:
    /// the usage of quotas, which every server writes by itself.
    pub(super) fn read(&self, caller: &Caller, zxid: Zxid, read: &Read) -> Option<Result<Found, ErrorCode>> {
        Some(match read {
            Read::Get { path } if is_usage(path) => return None,
            Read::Exists { path } | Read::Acl { path } if is_usage(path) => return None,
            Read::Get { path } => self
                .readable(caller, zxid, path, Permissions::READ)
                .map(|node| Found::Data { data: node.data.clone(), stat: node.stat }),
            Read::Exists { path } => {
                self.readable(caller, zxid, path, Permissions::READ).map(|node| Found::Stat(node.stat))
            }
            Read::Children { path } => self.readable(caller, zxid, path, Permissions::READ).map(|node| {
                let children = self.children_at(path.as_str(), zxid);
                Found::Children {
                    names: children.into_iter().map(|(_, name)| name).collect(),
                    stat: node.stat,
                }
            }),
            Read::ChildrenPage { limit: 0, .. } => Err(ErrorCode::BadArguments),
            Read::ChildrenPage { path, after, limit } => {
                self.readable(caller, zxid, path, Permissions::READ).map(|node| {
                    let after = after.map(ChildCursor::ordinal);
                    let mut children = self.children_at(path.as_str(), zxid);
                    children.retain(|(ordinal, _)| after.is_none_or(|after| *ordinal > after));
                    let all = children.len();
                    children.truncate(*limit as usize);
                    let more = children.len() < all;
                    let next =
                        children.last().filter(|_| more).map(|(ordinal, _)| ChildCursor::new(*ordinal));
                    let names = children.into_iter().map(|(_, name)| name).collect();
                    Found::ChildrenPage { names, next, stat: node.stat }
                })
            }
            Read::Acl { path } => self
                .readable(caller, zxid, path, Permissions::READ | Permissions::ADMIN)
                .map(|node| Found::Acl { acl: shown(&node.acl, &caller.identities), stat: node.stat }),
            Read::Ephemerals { prefix } => {
                let paths = self.ephemerals_at(caller.session, zxid).into_iter();
                let paths = paths.filter(|path| path.starts_with(prefix.as_str()));
                Ok(Found::Ephemerals(paths.filter_map(|path| path.parse().ok()).collect()))
            }
            Read::CountDescendants { path } => self
                .readable(caller, zxid, path, Permissions::READ)
                .map(|_| Found::Count(self.count_below(path.as_str(), zxid) as u64)),
            Read::Many(reads) => {
                let found = reads.iter().map(|read| match read {
                    Read::Many(_) => Some(Err(ErrorCode::BadArguments)),
                    read => self.read(caller, zxid, read),
                });
                let found: Vec<Result<Found, ErrorCode>> = found.collect::<Option<_>>()?;
                let bytes: usize = found.iter().flatten().map(size).sum();
                // The servers run with this limit, which no configuration changes.
                if bytes > TreeLimits::default().many_bytes {
                    Err(ErrorCode::BadArguments)
                } else {
                    Ok(Found::Many(found))
                }
            }
        })
    }

    fn readable(
        &self,
        caller: &Caller,
        zxid: Zxid,
        path: &RequestPath,
        wanted: Permissions,
    ) -> Result<&Plain, ErrorCode> {
        if path.as_str().contains('\0') {
            return Err(ErrorCode::BadArguments);
        }
        let node = self.at(path.as_str(), zxid).ok_or(ErrorCode::NoNode)?;
        if node.acl.permits(wanted, &caller.identities) { Ok(node) } else { Err(ErrorCode::NoAuth) }
    }
}

/// What counts of an answer where several are bounded together.
fn size(found: &Found) -> usize {
    let list = |lengths: &mut dyn Iterator<Item = usize>| lengths.map(|length| length + 16).sum::<usize>();
    match found {
        Found::Data { data, .. } => data.as_ref().map_or(0, |data| data.len()),
        Found::Children { names, .. } | Found::ChildrenPage { names, .. } => {
            list(&mut names.iter().map(|name| name.len()))
        }
        Found::Acl { acl, .. } => {
            list(&mut acl.entries().iter().map(|entry| entry.identity.scheme.len() + entry.identity.id.len()))
        }
        Found::Ephemerals(paths) => list(&mut paths.iter().map(|path| path.as_str().len())),
        Found::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
        Found::Stat(_) | Found::Many(_) => 0,
    }
}

fn is_usage(path: &RequestPath) -> bool {
    path.as_str().starts_with("/zookeeper/quota/") && path.as_str().ends_with("/zookeeper_stats")
}

/// Whoever may not administer a node is not shown the hashes in its ACL.
fn shown(acl: &Acl, caller: &[Identity]) -> Acl {
    if acl.permits(Permissions::ADMIN, caller) {
        return acl.clone();
    }
    let entries = acl.entries().iter().map(|entry| match entry.identity.id.split_once(':') {
        Some((user, _)) if &*entry.identity.scheme == "digest" => {
            AclEntry { identity: Identity::new("digest", &format!("{user}:x")), ..*entry }
        }
        _ => entry.clone(),
    });
    Acl::new(entries.collect::<Vec<_>>())
}
