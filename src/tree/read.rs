use crate::types::{
    AclEntry, Caller, ChildCursor, ErrorCode, Found, Permissions, Read, RequestPath, ZnodePath,
};

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
    /// no names, for too many reads in one or one of several in another, and for several that find more together
    /// than [`many_bytes`](super::TreeLimits::many_bytes): then nothing of it is given, and asking for less helps.
    pub fn read(&self, caller: &Caller, read: &Read) -> Result<Found, ErrorCode> {
        self.read_counting(caller, read, &mut 0)
    }

    /// The same; adds to `visited` how many nodes were looked at, whatever came of it. Long texts count for more.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn read_counting(&self, caller: &Caller, read: &Read, visited: &mut u64) -> Result<Found, ErrorCode> {
        let (result, room) = match read {
            Read::Many(reads) if reads.len() > self.limits.many_reads => return Err(ErrorCode::BadArguments),
            Read::Many(reads) => {
                let mut room = Room::of(self.limits.many_bytes);
                (self.read_many(caller, reads, &mut room), room)
            }
            read => {
                let mut room = Room::of(usize::MAX);
                (self.read_one(caller, read, &mut room), room)
            }
        };
        *visited = visited.saturating_add(room.visited);
        result
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

    fn read_many(&self, caller: &Caller, reads: &[Read], room: &mut Room) -> Result<Found, ErrorCode> {
        let mut all = Vec::with_capacity(reads.len());
        for read in reads {
            let found = self.read_one(caller, read, room);
            if room.exceeded {
                return Err(ErrorCode::BadArguments);
            }
            all.push(found);
        }
        Ok(Found::Many(all))
    }

    /// One read, as far as there is `room` for what it finds. Data and names are not copied before there is; where
    /// there is none the error is of no account.
    fn read_one(&self, caller: &Caller, read: &Read, room: &mut Room) -> Result<Found, ErrorCode> {
        room.visit(1, 0);
        match read {
            Read::Get { path } => {
                let node = self.readable(caller, path, Permissions::READ)?;
                room.take(node.data_len())?;
                Ok(Found::Data { data: node.read_data(), stat: node.stat() })
            }
            Read::Exists { path } => {
                let node = self.readable(caller, path, Permissions::READ)?;
                Ok(Found::Stat(node.stat()))
            }
            Read::Children { path } => {
                let node = self.readable(caller, path, Permissions::READ)?;
                Ok(Found::Children { names: self.names_of(node, room)?, stat: node.stat() })
            }
            Read::ChildrenPage { limit: 0, .. } => Err(ErrorCode::BadArguments),
            Read::ChildrenPage { path, after, limit } => {
                let node = self.readable(caller, path, Permissions::READ)?;
                let (names, next) = self.page_of(node, *after, *limit, room)?;
                Ok(Found::ChildrenPage { names, next, stat: node.stat() })
            }
            Read::Acl { path } => {
                let node = self.readable(caller, path, Permissions::READ | Permissions::ADMIN)?;
                let acl = acl_rules::redact(self.acls.get(node.acl), &caller.identities);
                for AclEntry { identity, .. } in acl.entries() {
                    let text = identity.scheme.len().saturating_add(identity.id.len());
                    room.visit(1, text);
                    room.take_item(text)?;
                }
                Ok(Found::Acl { acl, stat: node.stat() })
            }
            Read::Ephemerals { prefix } => {
                let mut paths: Vec<ZnodePath> = self.ephemerals_of(caller.session);
                paths.iter().for_each(|path| room.visit(SORTED, path.as_str().len()));
                paths.retain(|path| path.as_str().starts_with(prefix.as_str()));
                paths.iter().try_for_each(|path| room.take_item(path.as_str().len()))?;
                Ok(Found::Ephemerals(paths))
            }
            Read::CountDescendants { path } => {
                self.readable(caller, path, Permissions::READ)?;
                let below = match self.find(path.as_str()) {
                    Some(id) if id == self.root => self.slab.len() - 1,
                    Some(id) => {
                        let below = self.descend(id).skip(1).count();
                        room.visit(below, 0);
                        below
                    }
                    None => 0,
                };
                // Not for its size, but for the walk.
                room.take(below)?;
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

    fn names_of(&self, node: &Node, room: &mut Room) -> Result<Vec<Box<str>>, ErrorCode> {
        let children = node.children.as_ref();
        let ids = children.into_iter().flat_map(|children| children.iter()).map(|(_, id)| id);
        self.names(ids, node.child_count(), room)
    }

    fn page_of(
        &self,
        node: &Node,
        after: Option<ChildCursor>,
        limit: u32,
        room: &mut Room,
    ) -> Result<(Vec<Box<str>>, Option<ChildCursor>), ErrorCode> {
        let Some(children) = &node.children else { return Ok((Vec::new(), None)) };
        let mut rest: Box<dyn Iterator<Item = (u64, NodeId)> + '_> = match after {
            Some(cursor) => Box::new(children.after(cursor.ordinal())),
            None => Box::new(children.iter()),
        };
        let page: Vec<_> = rest.by_ref().take(limit as usize).collect();
        let next = match (page.last(), rest.next()) {
            (Some((ordinal, _)), Some(_)) => Some(ChildCursor::new(*ordinal)),
            _ => None,
        };
        Ok((self.names(page.iter().map(|(_, id)| *id), page.len(), room)?, next))
    }

    fn names(
        &self,
        ids: impl Iterator<Item = NodeId>,
        count: usize,
        room: &mut Room,
    ) -> Result<Vec<Box<str>>, ErrorCode> {
        // What the list itself takes is allocated before the first name is seen.
        room.take(count.saturating_mul(ITEM))?;
        let mut names = Vec::with_capacity(count);
        for id in ids {
            let name = &self.slab.get(id).name;
            room.visit(1, name.len());
            room.take(name.len())?;
            names.push(name.clone());
        }
        Ok(names)
    }
}

/// What an item of a list counts for beside its text: the place in the list.
const ITEM: usize = 16;

/// What a path counts for that is put together from its names and sorted among others, in visited nodes.
const SORTED: usize = 4;

/// How much text is copied in the time of a visit.
const TEXT_PER_VISIT: usize = 256;

/// How much more several reads may find, and how much they looked at.
struct Room {
    left: usize,
    exceeded: bool,
    visited: u64,
}

impl Room {
    fn of(bytes: usize) -> Self {
        Self { left: bytes, exceeded: false, visited: 0 }
    }

    /// Counts a visit to so many nodes, and so much text.
    fn visit(&mut self, nodes: usize, text: usize) {
        self.visited = self.visited.saturating_add((nodes + text / TEXT_PER_VISIT) as u64);
    }

    /// Takes room for so many bytes.
    fn take(&mut self, bytes: usize) -> Result<(), ErrorCode> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.exceeded = true;
                Err(ErrorCode::BadArguments)
            }
        }
    }

    /// Takes room for an item of a list with so many bytes of text.
    fn take_item(&mut self, text: usize) -> Result<(), ErrorCode> {
        self.take(text.saturating_add(ITEM))
    }
}
