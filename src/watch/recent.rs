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
    changes: VecDeque<Kept>,
    /// The paths of the changes, one behind the other: so that to forget a change is to move on, where a path of its own
    /// would have to be looked up in memory that has not been touched for long.
    paths: VecDeque<u8>,
    /// How many bytes of paths were forgotten.
    forgotten: u64,
    capacity: usize,
    /// All changes after this position are here, none up to it.
    through: Zxid,
}

/// A change without its path.
#[derive(Debug)]
struct Kept {
    zxid: Zxid,
    kind: ChangeKind,
    acl: Acl,
    /// Where its path begins, counted from the first byte of the first path ever kept.
    start: u64,
    len: usize,
}

impl RecentChanges {
    /// Remembers at most `capacity` changes, and at first all since the beginning of the history.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let (changes, paths) = (VecDeque::new(), VecDeque::new());
        Self { changes, paths, forgotten: 0, capacity, through: Zxid::ZERO }
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
        for Change { zxid, path, kind, acl } in changes.drain(..) {
            let start = self.forgotten + self.paths.len() as u64;
            let text = path.as_str().as_bytes();
            self.paths.extend(text);
            self.changes.push_back(Kept { zxid, kind, acl, start, len: text.len() });
        }
    }

    /// Forgets everything: the state now comes from a snapshot at `through`.
    pub fn reset(&mut self, through: Zxid) {
        self.changes.clear();
        self.forgotten += self.paths.len() as u64;
        self.paths.clear();
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
            let changed = self.path_of(change);
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
                WatchMode::Persistent => changed.as_str() == path,
                WatchMode::PersistentRecursive => changed.is_within(path),
            };
            if heard {
                tell(kind, &changed, &change.acl);
            }
            if mode == WatchMode::Persistent
                && let Some(acl) = parent_acl
                && changed.parent_str() == Some(path)
                && let Some(parent) = changed.parent()
            {
                tell(WatchEventKind::ChildrenChanged, &parent, acl);
            }
        }
        Ok(events)
    }

    /// How many changes after `since` are remembered: what a [`replay`](Self::replay) looks at.
    #[must_use]
    pub fn count_after(&self, since: Zxid) -> usize {
        self.changes.len() - self.changes.partition_point(|change| change.zxid <= since)
    }

    /// The last position whose changes are forgotten.
    #[must_use]
    pub fn through(&self) -> Zxid {
        self.through
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.changes.front() {
            self.through = oldest.zxid;
        }
        let mut len = 0;
        while let Some(change) = self.changes.pop_front_if(|change| change.zxid == self.through) {
            len += change.len;
        }
        self.paths.drain(..len);
        self.forgotten += len as u64;
    }

    #[expect(clippy::expect_used, reason = "the bytes of a path are kept as long as its change")]
    fn path_of(&self, change: &Kept) -> ZnodePath {
        let start = usize::try_from(change.start - self.forgotten).unwrap_or(usize::MAX);
        let text = self.paths.range(start..start.saturating_add(change.len)).copied().collect();
        let text = String::from_utf8(text).expect("the bytes of a path");
        ZnodePath::parse(text).expect("a path")
    }
}

#[cfg(test)]
#[path = "recent_tests.rs"]
mod tests;
