use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::types::{SessionId, WallTime, WatchTarget};
use crate::watch::tests::{
    ANN, Left, acl_of, created, data_set, deleted, fire, leave, lines, path, permits, zxid,
};

use super::*;

const NOTHING: [&str; 0] = [];

/// The nodes of a small tree: path to (mzxid, pzxid).
type Nodes = BTreeMap<&'static str, (u64, u64)>;

fn stat(mzxid: u64, pzxid: u64) -> Stat {
    Stat {
        czxid: zxid(1),
        mzxid: zxid(mzxid),
        pzxid: zxid(pzxid),
        ctime: WallTime::default(),
        mtime: WallTime::default(),
        version: 0,
        cversion: 0,
        aversion: 0,
        ephemeral_owner: SessionId::NONE,
        data_length: 0,
        num_children: 0,
    }
}

fn lost(since: u64) -> LostWatches {
    LostWatches { since: zxid(since), ..LostWatches::default() }
}

fn restore(watches: &mut Watches, lost: &LostWatches, nodes: &Nodes) -> Vec<String> {
    let look = |text: &str| nodes.get(text).map(|(mzxid, pzxid)| (stat(*mzxid, *pzxid), acl_of(text)));
    let mut events = Vec::new();
    watches.restore(ANN, lost, &look, &mut |_, acl| permits(acl), &mut events);
    lines(&events)
}

#[test]
fn scn_55_a_data_watch_fires_for_a_newer_node_or_none_and_else_is_left_again() {
    let nodes = Nodes::from([("/same", (5, 9)), ("/newer", (6, 1))]);
    let mut watches = Watches::new();
    let lost = LostWatches { data: vec![path("/same"), path("/newer"), path("/gone")], ..lost(5) };
    assert_eq!(restore(&mut watches, &lost, &nodes), ["ann DataChanged /newer @0", "ann Deleted /gone @0"]);
    assert_eq!(watches.count(), 1);
    assert!(watches.has(ANN, "/same", WatchTarget::Data));
}

#[test]
fn scn_55_an_existence_watch_fires_for_a_node_and_else_is_left_again() {
    let nodes = Nodes::from([("/there", (1, 1))]);
    let mut watches = Watches::new();
    let lost = LostWatches { exist: vec![path("/there"), path("/absent")], ..lost(5) };
    assert_eq!(restore(&mut watches, &lost, &nodes), ["ann Created /there @0"]);
    assert_eq!(watches.count(), 1);
    assert_eq!(lines(&fire(&mut watches, &[created(7, "/absent")])), ["ann Created /absent @7"]);
}

#[test]
fn scn_55_a_child_watch_fires_for_newer_children_or_no_node_and_else_is_left_again() {
    let nodes = Nodes::from([("/same", (9, 5)), ("/newer", (1, 6))]);
    let mut watches = Watches::new();
    let lost = LostWatches { child: vec![path("/same"), path("/newer"), path("/gone")], ..lost(5) };
    assert_eq!(
        restore(&mut watches, &lost, &nodes),
        ["ann ChildrenChanged /newer @0", "ann Deleted /gone @0"]
    );
    assert_eq!(watches.count(), 1);
    assert!(watches.has(ANN, "/same", WatchTarget::Children));
}

#[test]
fn scn_55_lasting_watches_are_left_again_without_an_event() {
    let nodes = Nodes::from([("/a", (9, 9))]);
    let mut watches = Watches::new();
    let lost = LostWatches {
        persistent: vec![path("/a"), path("/gone")],
        recursive: vec![path("/a"), path("/gone")],
        ..lost(5)
    };
    assert_eq!(restore(&mut watches, &lost, &nodes), NOTHING);
    assert_eq!(watches.count(), 4);
    assert_eq!(lines(&fire(&mut watches, &[data_set(10, "/a")])), ["ann DataChanged /a @10"]);
}

#[test]
fn guessed_paths_tell_nothing_to_who_may_not_read_them() {
    let nodes = Nodes::from([("/secret", (9, 9))]);
    let mut watches = Watches::new();
    let all = || vec![path("/secret")];
    let lost = LostWatches { data: all(), exist: all(), child: all(), ..lost(0) };
    assert_eq!(restore(&mut watches, &lost, &nodes), NOTHING);
    assert_eq!(watches.count(), 0, "consumed, as a live event that may not be read consumes it");
}

#[test]
fn a_path_that_is_named_twice_is_one_watch() {
    let mut watches = Watches::new();
    let lost = LostWatches { data: vec![path("/gone"); 3], ..lost(5) };
    assert_eq!(restore(&mut watches, &lost, &Nodes::new()), ["ann Deleted /gone @0"]);
}

#[test]
fn a_restored_watch_joins_what_the_new_connection_left_already() {
    let nodes = Nodes::from([("/a", (1, 1))]);
    let mut watches = Watches::new();
    leave(&mut watches, ANN, "/a", Left::Data);
    restore(&mut watches, &LostWatches { data: vec![path("/a")], ..lost(5) }, &nodes);
    assert_eq!(watches.count(), 1);
    assert_eq!(lines(&fire(&mut watches, &[deleted(6, "/a")])), ["ann Deleted /a @6"]);
}

proptest! {
    /// Invariants 33 and 34: after a cut connection each one-shot watch on data or children is told of a change
    /// that happened meanwhile, or is armed, never both and never neither.
    #[test]
    fn inv_33_a_watch_that_was_lost_fires_or_is_armed(
        nodes in proptest::collection::btree_map(
            prop::sample::select(vec!["/a", "/a/b", "/c"]), (1u64..10, 1u64..10), 0..4),
        since in 0u64..10,
    ) {
        let paths = ["/a", "/a/b", "/c"];
        for kind in 0..3 {
            let mut watches = Watches::new();
            let all: Vec<_> = paths.into_iter().map(path).collect();
            let lost = match kind {
                0 => LostWatches { data: all, ..lost(since) },
                1 => LostWatches { exist: all, ..lost(since) },
                _ => LostWatches { child: all, ..lost(since) },
            };
            let told = restore(&mut watches, &lost, &nodes);
            for text in paths {
                let changed = match (kind, nodes.get(text)) {
                    (0, Some((mzxid, _))) => *mzxid > since,
                    (2, Some((_, pzxid))) => *pzxid > since,
                    (1, node) => node.is_some(),
                    (_, None) => true,
                    _ => unreachable!(),
                };
                let fired = told.iter().filter(|line| line.contains(&format!(" {text} "))).count();
                prop_assert_eq!(fired, usize::from(changed));
                prop_assert_eq!(watches.has(ANN, text, WatchTarget::Any), !changed);
            }
        }
    }
}
