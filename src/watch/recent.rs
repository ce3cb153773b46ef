use std::collections::VecDeque;

use thiserror::Error;

use crate::types::{Acl, Change, ChangeKind, WatchEvent, WatchEventKind, WatchMode, ZnodePath, Zxid};

/// A lasting watch cannot be resumed, because changes that it missed are forgotten. Read what is watched anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("changes up to {through} are forgotten; read what you watch anew and go on from there")]
pub struct Compacted {
    /// The last position that is forgotten: a watch can be resumed from here on.
    pub through: Zxid,
}

/// The last changes, so that a lasting watch which was interrupted can be told what it missed. A position is
/// remembered with all its changes or not at all.
#[derive(Debug)]
pub struct RecentChanges {
    changes: VecDeque<Change>,
    capacity: usize,
    /// All changes after this position are here, none up to it.
    through: Zxid,
}

impl RecentChanges {
    /// Remembers at most `capacity` changes, and at first all since the beginning of the history.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { changes: VecDeque::new(), capacity, through: Zxid::ZERO }
    }

    /// Remembers the changes of one transaction, taking them out of `changes`; transactions come in order. Forgets the
    /// oldest transactions when there is no room, and this one too if it is too large by itself.
    pub fn take(&mut self, changes: &mut Vec<Change>) {
        let Some(zxid) = changes.first().map(|change| change.zxid) else { return };
        debug_assert!(changes.iter().all(|change| change.zxid == zxid), "they are of one transaction");
        if changes.len() > self.capacity {
            changes.clear();
            return self.reset(zxid);
        }
        while self.changes.len() + changes.len() > self.capacity {
            self.forget_oldest();
        }
        self.changes.extend(changes.drain(..));
    }

    /// Forgets everything: the state now comes from a snapshot at `through`.
    pub fn reset(&mut self, through: Zxid) {
        self.changes.clear();
        self.through = through;
    }

    /// What a lasting watch at `path` would have told after `since`, in order; the same events as
    /// [`Watches::fire`](super::Watches::fire) gives. `permits` says whether the watcher may READ a node with this
    /// ACL.
    ///
    /// # Errors
    ///
    /// When changes after `since` are forgotten.
    pub fn replay(
        &self,
        path: &str,
        mode: WatchMode,
        since: Zxid,
        permits: &mut dyn FnMut(&Acl) -> bool,
    ) -> Result<Vec<WatchEvent>, Compacted> {
        if since < self.through {
            return Err(Compacted { through: self.through });
        }
        let mut events = Vec::new();
        let from = self.changes.partition_point(|change| change.zxid <= since);
        for change in self.changes.range(from..) {
            let mut tell = |kind, path: &ZnodePath, acl: &Acl| {
                if permits(acl) {
                    events.push(WatchEvent { zxid: change.zxid, kind, path: path.clone() });
                }
            };
            let (kind, parent_acl) = match &change.kind {
                ChangeKind::DataChanged => (WatchEventKind::DataChanged, None),
                ChangeKind::Created { parent_acl } => (WatchEventKind::Created, Some(parent_acl)),
                ChangeKind::Deleted { parent_acl } => (WatchEventKind::Deleted, Some(parent_acl)),
            };
            let heard = match mode {
                WatchMode::Persistent => change.path.as_str() == path,
                WatchMode::PersistentRecursive => change.path.is_within(path),
            };
            if heard {
                tell(kind, &change.path, &change.acl);
            }
            if mode == WatchMode::Persistent
                && let Some(acl) = parent_acl
                && change.path.parent_str() == Some(path)
                && let Some(parent) = change.path.parent()
            {
                tell(WatchEventKind::ChildrenChanged, &parent, acl);
            }
        }
        Ok(events)
    }

    /// The last position whose changes are forgotten.
    #[must_use]
    pub fn through(&self) -> Zxid {
        self.through
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.changes.pop_front() {
            self.through = oldest.zxid;
        }
        while self.changes.front().is_some_and(|change| change.zxid == self.through) {
            self.changes.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "recent_tests.rs"]
mod tests;
