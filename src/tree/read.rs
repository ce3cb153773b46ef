use crate::types::{Caller, ChildCursor, ErrorCode, Found, Permissions, Read, RequestPath, ZnodePath};

use super::acl_rules;
use super::node::{Node, NodeId};
use super::tree::Tree;

impl Tree {
    /// Answers a read from the present state.
    ///
    /// [`Read::CountDescendants`] walks all that it counts; everything else is proportional to what it finds.
    ///
    /// # Errors
    ///
    /// `NoNode`, also for a path that is none; `NoAuth`; `BadArguments` for a path with a NUL, for a page of
    /// no names, and for too many reads in one or one of several in another.
    pub fn read(&self, caller: &Caller, read: &Read) -> Result<Found, ErrorCode> {
        match read {
            Read::Many(reads) if reads.len() > self.limits.many_reads => Err(ErrorCode::BadArguments),
            Read::Many(reads) => {
                Ok(Found::Many(reads.iter().map(|read| self.read_one(caller, read)).collect()))
            }
            read => self.read_one(caller, read),
        }
    }

    /// The node `top` and all nodes below it, parents before children.
    pub(super) fn descend(&self, top: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut waiting = vec![top];
        std::iter::from_fn(move || {
            let id = waiting.pop()?;
            let children = self.slab.get(id).children.as_ref();
            waiting.extend(children.into_iter().flat_map(|children| children.iter()).map(|(_, child)| child));
            Some(id)
        })
    }

    fn read_one(&self, caller: &Caller, read: &Read) -> Result<Found, ErrorCode> {
        match read {
            Read::Get { path } => {
                let node = self.readable(caller, path, Permissions::READ)?;
                Ok(Found::Data { data: node.read_data(), stat: node.stat() })
            }
            Read::Exists { path } => {
                let node = self.readable(caller, path, Permissions::READ)?;
                Ok(Found::Stat(node.stat()))
            }
            Read::Children { path } => {
                let node = self.readable(caller, path, Permissions::READ)?;
                Ok(Found::Children { names: self.names_of(node), stat: node.stat() })
            }
            Read::ChildrenPage { limit: 0, .. } => Err(ErrorCode::BadArguments),
            Read::ChildrenPage { path, after, limit } => {
                let node = self.readable(caller, path, Permissions::READ)?;
                let (names, next) = self.page_of(node, *after, *limit);
                Ok(Found::ChildrenPage { names, next, stat: node.stat() })
            }
            Read::Acl { path } => {
                let node = self.readable(caller, path, Permissions::READ | Permissions::ADMIN)?;
                let acl = acl_rules::redact(self.acls.get(node.acl), &caller.identities);
                Ok(Found::Acl { acl, stat: node.stat() })
            }
            Read::Ephemerals { prefix } => {
                let mut paths: Vec<ZnodePath> = self.ephemerals_of(caller.session);
                paths.retain(|path| path.as_str().starts_with(prefix.as_str()));
                Ok(Found::Ephemerals(paths))
            }
            Read::CountDescendants { path } => {
                self.readable(caller, path, Permissions::READ)?;
                let below = match self.find(path.as_str()) {
                    Some(id) if id == self.root => self.slab.len() - 1,
                    Some(id) => self.descend(id).skip(1).count(),
                    None => 0,
                };
                Ok(Found::Count(below as u64))
            }
            Read::Many(_) => Err(ErrorCode::BadArguments),
        }
    }

    fn readable(&self, caller: &Caller, path: &RequestPath, wanted: Permissions) -> Result<&Node, ErrorCode> {
        if path.as_str().contains('\0') {
            return Err(ErrorCode::BadArguments);
        }
        let node = self.slab.get(self.find(path.as_str()).ok_or(ErrorCode::NoNode)?);
        let permitted = self.acls.get(node.acl).permits(wanted, &caller.identities);
        if permitted { Ok(node) } else { Err(ErrorCode::NoAuth) }
    }

    fn names_of(&self, node: &Node) -> Vec<Box<str>> {
        let children = node.children.as_ref();
        let mut names = Vec::with_capacity(node.child_count());
        let ids = children.into_iter().flat_map(|children| children.iter()).map(|(_, id)| id);
        names.extend(ids.map(|id| self.slab.get(id).name.clone()));
        names
    }

    fn page_of(
        &self,
        node: &Node,
        after: Option<ChildCursor>,
        limit: u32,
    ) -> (Vec<Box<str>>, Option<ChildCursor>) {
        let Some(children) = &node.children else { return (Vec::new(), None) };
        let mut rest: Box<dyn Iterator<Item = (u64, NodeId)> + '_> = match after {
            Some(cursor) => Box::new(children.after(cursor.ordinal())),
            None => Box::new(children.iter()),
        };
        let page: Vec<_> = rest.by_ref().take(limit as usize).collect();
        let next = match (page.last(), rest.next()) {
            (Some((ordinal, _)), Some(_)) => Some(ChildCursor::new(*ordinal)),
            _ => None,
        };
        (page.into_iter().map(|(_, id)| self.slab.get(id).name.clone()).collect(), next)
    }
}
