use crate::types::{Txn, WallTime, ZnodePath, Zxid};

use super::node::{Kind, Node};
use super::outstanding::{Outstanding, View};
use super::tree::Tree;

impl Tree {
    /// On the leader: the paths of at most `limit` containers and TTL nodes that may go at `now`, those that have
    /// waited longest first. Those whose delete is outstanding are still among them.
    #[must_use]
    pub fn due(&self, now: WallTime, limit: usize) -> Vec<ZnodePath> {
        let due = self.due.iter().take_while(|(due, _)| *due <= now);
        due.take(limit).map(|(_, id)| self.path_of(*id)).collect()
    }

    /// The earliest moment at which [`due`](Self::due) has something to give; for a container that has lost its last
    /// child that is the beginning of time (`i64::MIN` milliseconds).
    #[must_use]
    pub fn next_due(&self) -> Option<WallTime> {
        self.due.first().map(|(due, _)| *due)
    }

    /// On the leader: the transaction that removes a node which [`due`](Self::due) gave, unless an outstanding
    /// transaction has deleted it, given it a child or set its data meanwhile. Its effect is recorded.
    pub fn prepare_reap(
        &self,
        outstanding: &mut Outstanding,
        zxid: Zxid,
        now: WallTime,
        path: &ZnodePath,
    ) -> Option<Txn> {
        let view = outstanding.view(self, path.as_str())?;
        if Self::is_reserved(path.as_str()) || due_of(&view).is_none_or(|due| due > now) {
            return None;
        }
        outstanding.record_delete(self, zxid, path, &view);
        Some(Txn::Delete { path: path.clone() })
    }
}

impl Node {
    /// From when on the node may go by itself.
    pub(super) fn due_at(&self) -> Option<WallTime> {
        due_at(self.kind, self.child_count() as u64, self.created, self.mtime)
    }
}

fn due_of(view: &View) -> Option<WallTime> {
    due_at(view.kind, view.children, view.created, view.mtime)
}

/// A container may go once it has lost its last child, not before it had one; a TTL node without children as soon as
/// its data is older than the TTL. (ZooKeeper, `ContainerManager`.)
fn due_at(kind: Kind, children: u64, created: u64, mtime: WallTime) -> Option<WallTime> {
    match kind {
        Kind::Container if children == 0 && created > 0 => Some(WallTime::from_millis(i64::MIN)),
        Kind::Ttl(ttl) if children == 0 => {
            let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
            Some(WallTime::from_millis(mtime.as_millis().saturating_add(ttl).saturating_add(1)))
        }
        Kind::Persistent | Kind::Ephemeral(_) | Kind::Container | Kind::Ttl(_) => None,
    }
}
