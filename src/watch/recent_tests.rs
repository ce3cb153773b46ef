use proptest::prelude::*;

use crate::watch::Watches;
use crate::watch::tests::{ANN, created, data_set, deleted, fire, lines, path, permits, zxid};

use super::*;

fn replay(recent: &RecentChanges, path: &str, mode: WatchMode, since: u64) -> Result<Vec<String>, Compacted> {
    let events = recent.replay(path, mode, zxid(since), &mut permits)?;
    Ok(lines(&events.into_iter().map(|event| (ANN, event)).collect::<Vec<_>>()))
}

fn filled(capacity: usize) -> RecentChanges {
    let mut recent = RecentChanges::new(capacity);
    recent.take(&mut vec![created(1, "/a")]);
    recent.take(&mut vec![created(2, "/a/x"), data_set(2, "/a")]);
    recent.take(&mut vec![]);
    recent.take(&mut vec![data_set(4, "/a/x")]);
    recent.take(&mut vec![deleted(5, "/a/x")]);
    recent
}

#[test]
fn a_watch_that_is_resumed_hears_what_it_missed() {
    let recent = filled(100);
    assert_eq!(
        replay(&recent, "/a", WatchMode::Persistent, 1).unwrap(),
        ["ann ChildrenChanged /a @2", "ann DataChanged /a @2", "ann ChildrenChanged /a @5"]
    );
    assert_eq!(
        replay(&recent, "/a", WatchMode::PersistentRecursive, 1).unwrap(),
        ["ann Created /a/x @2", "ann DataChanged /a @2", "ann DataChanged /a/x @4", "ann Deleted /a/x @5"]
    );
    assert!(replay(&recent, "/a", WatchMode::Persistent, 5).unwrap().is_empty());
    assert!(replay(&recent, "/a", WatchMode::Persistent, 99).unwrap().is_empty());
}

#[test]
fn a_transaction_is_remembered_whole_or_not_at_all() {
    let recent = filled(3);
    assert_eq!(recent.through(), zxid(2), "one change too many: both of transaction 2 go");
    assert_eq!(replay(&recent, "/a", WatchMode::Persistent, 1), Err(Compacted { through: zxid(2) }));
    assert_eq!(
        replay(&recent, "/a", WatchMode::PersistentRecursive, 2).unwrap(),
        ["ann DataChanged /a/x @4", "ann Deleted /a/x @5"]
    );
}

#[test]
fn a_transaction_that_is_too_large_is_forgotten_at_once() {
    let mut recent = RecentChanges::new(2);
    recent.take(&mut vec![created(1, "/a")]);
    recent.take(&mut vec![created(2, "/b"), created(2, "/c"), created(2, "/d")]);
    assert_eq!(replay(&recent, "/", WatchMode::Persistent, 1), Err(Compacted { through: zxid(2) }));
    assert!(replay(&recent, "/", WatchMode::Persistent, 2).unwrap().is_empty());
}

#[test]
fn after_a_snapshot_nothing_is_known_up_to_it() {
    let mut recent = filled(100);
    recent.reset(zxid(50));
    assert_eq!(replay(&recent, "/a", WatchMode::Persistent, 49), Err(Compacted { through: zxid(50) }));
    recent.take(&mut vec![data_set(51, "/a")]);
    assert_eq!(replay(&recent, "/a", WatchMode::Persistent, 50).unwrap(), ["ann DataChanged /a @51"]);
}

#[test]
fn what_may_not_be_read_is_not_replayed() {
    let mut recent = RecentChanges::new(10);
    recent.take(&mut vec![created(1, "/a/secret")]);
    recent.take(&mut vec![created(2, "/a/secret/x")]);
    assert_eq!(
        replay(&recent, "/a", WatchMode::PersistentRecursive, 0).unwrap(),
        ["ann Created /a/secret/x @2"]
    );
    assert_eq!(replay(&recent, "/a", WatchMode::Persistent, 0).unwrap(), ["ann ChildrenChanged /a @1"]);
    assert!(replay(&recent, "/a/secret", WatchMode::Persistent, 0).unwrap().is_empty());
}

proptest! {
    /// A watch that was away and is resumed hears the same as one that was there.
    #[test]
    fn a_replay_is_what_a_watch_would_have_told(
        transactions in prop::collection::vec(
            prop::collection::vec(
                (0u8..3, prop::sample::select(vec!["/", "/a", "/ab", "/a/b", "/a/secret", "/a/b/c"])), 0..4),
            0..20),
        recursive in any::<bool>(),
        at in prop::sample::select(vec!["/", "/a", "/a/b"]),
        since in 0u64..20,
        capacity in 0usize..40,
    ) {
        let mode = if recursive { WatchMode::PersistentRecursive } else { WatchMode::Persistent };
        let mut recent = RecentChanges::new(capacity);
        let mut watches = Watches::new();
        watches.watch_persistently(ANN, &path(at), mode);
        let mut live = Vec::new();
        let mut changes_after = 0;
        for (number, transaction) in (1u64..).zip(transactions) {
            let mut changes: Vec<_> = transaction
                .into_iter()
                .map(|(kind, path)| match kind {
                    0 => created(number, path),
                    1 => deleted(number, path),
                    _ => data_set(number, path),
                })
                .collect();
            let events = fire(&mut watches, &changes);
            if number > since {
                live.extend(events);
                changes_after += changes.len();
            }
            recent.take(&mut changes);
        }
        match replay(&recent, at, mode, since) {
            Ok(replayed) => prop_assert_eq!(replayed, lines(&live)),
            Err(compacted) => prop_assert!(compacted.through > zxid(since)),
        }
        // What fits is remembered, and no more.
        prop_assert_eq!(replay(&recent, at, mode, since).is_ok(), changes_after <= capacity);
    }
}
