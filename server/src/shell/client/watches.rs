use std::collections::BTreeSet;

use quorate::Zxid;
use quorate::protocol::record::{Call, SetWatches, SetWatches2};

use super::code::KeeperCode;
use super::event::WatchKind;

/// How many bytes of paths one request to leave watches again carries; a server takes no frame beyond its limit.
const RENEWAL_LEN: usize = 128 << 10;

/// Which watches of a path are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WatchTarget {
    Children,
    Data,
    Any,
    Persistent,
    Recursive,
}

impl WatchTarget {
    /// The number that the protocol has for it.
    pub(crate) const fn number(self) -> i32 {
        match self {
            Self::Children => 1,
            Self::Data => 2,
            Self::Any => 3,
            Self::Persistent => 4,
            Self::Recursive => 5,
        }
    }
}

/// The watches that this client has left, by the server's paths. The server forgets them with the connection; the
/// client leaves them again.
#[derive(Default, Debug)]
pub(super) struct Watches {
    data: BTreeSet<Box<str>>,
    exist: BTreeSet<Box<str>>,
    child: BTreeSet<Box<str>>,
    persistent: BTreeSet<Box<str>>,
    recursive: BTreeSet<Box<str>>,
}

impl Watches {
    /// Notes the watch that `call` has left, seeing how it was answered.
    pub(super) fn answered(&mut self, call: &Call, result: Result<(), KeeperCode>) {
        let table = match (call, result) {
            (Call::GetData(request) | Call::Exists(request), Ok(())) if request.watch => &mut self.data,
            (Call::Exists(request), Err(KeeperCode::NO_NODE)) if request.watch => &mut self.exist,
            (Call::GetChildren(request) | Call::GetChildren2(request), Ok(())) if request.watch => {
                &mut self.child
            }
            (Call::AddWatch(request), Ok(())) if request.mode == 0 => &mut self.persistent,
            (Call::AddWatch(_), Ok(())) => &mut self.recursive,
            _ => return,
        };
        let path = match call {
            Call::GetData(request)
            | Call::Exists(request)
            | Call::GetChildren(request)
            | Call::GetChildren2(request) => &request.path,
            Call::AddWatch(request) => &request.path,
            _ => return,
        };
        table.insert(path.clone());
    }

    /// Takes away the one-shot watches that this event ends, and says whether any watch here waited for it.
    pub(super) fn fired(&mut self, kind: WatchKind, path: &str) -> bool {
        let (data, exist, child) = match kind {
            WatchKind::NodeCreated | WatchKind::NodeDataChanged => (true, true, false),
            WatchKind::NodeDeleted => (true, true, true),
            WatchKind::NodeChildrenChanged => (false, false, true),
            WatchKind::DataWatchRemoved
            | WatchKind::ChildWatchRemoved
            | WatchKind::PersistentWatchRemoved => {
                return true;
            }
        };
        // Each table is looked into only where the event ends its watches.
        let data = data && self.data.remove(path);
        let exist = exist && self.exist.remove(path);
        let child = child && self.child.remove(path);
        data || exist
            || child
            || self.persistent.contains(path)
            || (kind != WatchKind::NodeChildrenChanged && self.above(path))
    }

    /// Whether there is such a watch at this very path.
    pub(super) fn has(&self, path: &str, target: WatchTarget) -> bool {
        match target {
            WatchTarget::Children => self.child.contains(path),
            WatchTarget::Data => self.data.contains(path) || self.exist.contains(path),
            WatchTarget::Persistent => self.persistent.contains(path),
            WatchTarget::Recursive => self.recursive.contains(path),
            WatchTarget::Any => {
                [WatchTarget::Children, WatchTarget::Data, WatchTarget::Persistent, WatchTarget::Recursive]
                    .into_iter()
                    .any(|target| self.has(path, target))
            }
        }
    }

    /// Forgets such watches and says what to tell their owner.
    pub(super) fn remove(&mut self, path: &str, target: WatchTarget) -> Vec<WatchKind> {
        let among = |one| target == WatchTarget::Any || target == one;
        let mut told = Vec::new();
        if among(WatchTarget::Children) && self.child.remove(path) {
            told.push(WatchKind::ChildWatchRemoved);
        }
        // Both tables are looked through: a node can have been created and deleted between two watches.
        if among(WatchTarget::Data) && (self.data.remove(path) | self.exist.remove(path)) {
            told.push(WatchKind::DataWatchRemoved);
        }
        let persistent = among(WatchTarget::Persistent) && self.persistent.remove(path);
        let recursive = among(WatchTarget::Recursive) && self.recursive.remove(path);
        if persistent || recursive {
            told.push(WatchKind::PersistentWatchRemoved);
        }
        told
    }

    /// The requests that leave all watches again on a new connection, for a client that has seen `since`.
    pub(super) fn renewals(&self, since: Zxid) -> Vec<Call> {
        let mut calls = Vec::new();
        let mut call = empty(since);
        let mut len = 0;
        for (table, paths) in
            [&self.data, &self.exist, &self.child, &self.persistent, &self.recursive].into_iter().enumerate()
        {
            for path in paths {
                if len + path.len() > RENEWAL_LEN && len > 0 {
                    calls.push(smallest(std::mem::replace(&mut call, empty(since))));
                    len = 0;
                }
                len += path.len() + 4;
                match table {
                    0 => &mut call.data,
                    1 => &mut call.exist,
                    2 => &mut call.child,
                    3 => &mut call.persistent,
                    _ => &mut call.recursive,
                }
                .push(path.clone());
            }
        }
        if len > 0 {
            calls.push(smallest(call));
        }
        calls
    }

    /// Whether a recursive watch lies at the path or above it.
    fn above(&self, path: &str) -> bool {
        let mut path = path;
        loop {
            if self.recursive.contains(path) {
                return true;
            }
            path = match path.rsplit_once('/') {
                Some(("", name)) if !name.is_empty() => "/",
                Some((parent, _)) if !parent.is_empty() => parent,
                _ => return false,
            };
        }
    }
}

fn empty(since: Zxid) -> SetWatches2 {
    SetWatches2 {
        since,
        data: Vec::new(),
        exist: Vec::new(),
        child: Vec::new(),
        persistent: Vec::new(),
        recursive: Vec::new(),
    }
}

/// The older of the two requests where it suffices, for servers that know no lasting watches.
fn smallest(call: SetWatches2) -> Call {
    if call.persistent.is_empty() && call.recursive.is_empty() {
        let SetWatches2 { since, data, exist, child, .. } = call;
        Call::SetWatches(SetWatches { since, data, exist, child })
    } else {
        Call::SetWatches2(call)
    }
}

#[cfg(test)]
mod tests {
    use quorate::protocol::record::{AddWatchRequest, ReadRequest};

    use super::*;

    fn read(path: &str) -> ReadRequest {
        ReadRequest { path: path.into(), watch: true }
    }

    fn add(path: &str, mode: i32) -> Call {
        Call::AddWatch(AddWatchRequest { path: path.into(), mode })
    }

    #[test]
    fn a_one_shot_watch_is_heard_once() {
        let mut watches = Watches::default();
        watches.answered(&Call::GetData(read("/a")), Ok(()));
        assert!(!watches.fired(WatchKind::NodeChildrenChanged, "/a"));
        assert!(watches.fired(WatchKind::NodeDataChanged, "/a"));
        assert!(!watches.fired(WatchKind::NodeDataChanged, "/a"));
    }

    #[test]
    fn a_watch_on_a_missing_node_hears_of_its_creation() {
        let mut watches = Watches::default();
        watches.answered(&Call::GetData(read("/a")), Err(KeeperCode::NO_NODE));
        assert!(!watches.has("/a", WatchTarget::Any), "getData leaves no watch on what is not there");
        watches.answered(&Call::Exists(read("/a")), Err(KeeperCode::NO_NODE));
        assert!(watches.fired(WatchKind::NodeCreated, "/a"));
    }

    #[test]
    fn a_deletion_ends_watches_on_data_and_children_together() {
        let mut watches = Watches::default();
        watches.answered(&Call::Exists(read("/a")), Ok(()));
        watches.answered(&Call::GetChildren2(read("/a")), Ok(()));
        assert!(watches.fired(WatchKind::NodeDeleted, "/a"));
        assert!(!watches.has("/a", WatchTarget::Any));
    }

    #[test]
    fn lasting_watches_stay_and_recursive_ones_look_below() {
        let mut watches = Watches::default();
        watches.answered(&add("/p", 0), Ok(()));
        watches.answered(&add("/r", 1), Ok(()));
        for _ in 0..2 {
            assert!(watches.fired(WatchKind::NodeChildrenChanged, "/p"));
            assert!(watches.fired(WatchKind::NodeCreated, "/r/a/b"));
        }
        assert!(!watches.fired(WatchKind::NodeCreated, "/p/a"));
        assert!(!watches.fired(WatchKind::NodeChildrenChanged, "/r"));
        assert!(!watches.fired(WatchKind::NodeCreated, "/rest"));
        watches.answered(&add("/", 1), Ok(()));
        assert!(watches.fired(WatchKind::NodeCreated, "/rest"));
        assert!(watches.fired(WatchKind::NodeDataChanged, "/"));
    }

    #[test]
    fn what_is_removed_is_told_by_kind() {
        let mut watches = Watches::default();
        watches.answered(&Call::GetData(read("/a")), Ok(()));
        watches.answered(&Call::GetChildren(read("/a")), Ok(()));
        watches.answered(&add("/a", 0), Ok(()));
        watches.answered(&add("/a", 1), Ok(()));
        assert_eq!(watches.remove("/a", WatchTarget::Children), [WatchKind::ChildWatchRemoved]);
        assert_eq!(
            watches.remove("/a", WatchTarget::Any),
            [WatchKind::DataWatchRemoved, WatchKind::PersistentWatchRemoved]
        );
        assert_eq!(watches.remove("/a", WatchTarget::Any), []);
    }

    #[test]
    fn watches_are_left_again_in_requests_that_fit_a_frame() {
        let mut watches = Watches::default();
        assert_eq!(watches.renewals(Zxid::from_u64(7)), []);
        watches.answered(&Call::GetData(read("/a")), Ok(()));
        assert!(
            matches!(&*watches.renewals(Zxid::from_u64(7)), [Call::SetWatches(request)] if request.since.as_u64() == 7)
        );
        watches.answered(&add("/p", 1), Ok(()));
        assert!(
            matches!(&*watches.renewals(Zxid::from_u64(7)), [Call::SetWatches2(request)] if request.recursive.len() == 1)
        );

        for number in 0..1000 {
            watches.answered(&Call::Exists(read(&format!("/{number:0300}"))), Err(KeeperCode::NO_NODE));
        }
        let calls = watches.renewals(Zxid::from_u64(7));
        assert_eq!(calls.len(), 3);
        let mut total = 0;
        for call in &calls {
            let mut bytes = bytes::BytesMut::new();
            call.encode(&mut bytes);
            assert!(bytes.len() < RENEWAL_LEN + 1024, "{}", bytes.len());
            total += match call {
                Call::SetWatches(request) => request.data.len() + request.exist.len(),
                Call::SetWatches2(request) => {
                    request.data.len() + request.exist.len() + request.recursive.len()
                }
                _ => 0,
            };
        }
        assert_eq!(total, 1002);
    }
}
