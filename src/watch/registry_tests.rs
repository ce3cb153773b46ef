use proptest::prelude::*;

use crate::watch::tests::{ANN, BOB, Left, Model, created, data_set, deleted, fire, leave, lines, path};

use super::*;

const NOTHING: [&str; 0] = [];

#[test]
fn a_data_watch_tells_of_creation_change_and_deletion_each_once() {
    for (change, told) in [
        (created(3, "/a"), "ann Created /a @3"),
        (data_set(3, "/a"), "ann DataChanged /a @3"),
        (deleted(3, "/a"), "ann Deleted /a @3"),
    ] {
        let mut watches = Watches::new();
        leave(&mut watches, ANN, "/a", Left::Data);
        leave(&mut watches, ANN, "/a", Left::Data);
        assert_eq!(watches.count(), 1);
        assert_eq!(lines(&fire(&mut watches, &[change.clone(), change])), [told]);
        assert_eq!((watches.count(), watches.count_of(ANN)), (0, 0));
    }
}

#[test]
fn a_child_watch_tells_of_children_and_of_the_nodes_own_deletion_but_not_of_its_data() {
    let mut watches = Watches::new();
    leave(&mut watches, ANN, "/a", Left::Child);
    assert_eq!(
        lines(&fire(&mut watches, &[data_set(1, "/a"), created(2, "/a"), created(3, "/a/x/y")])),
        NOTHING
    );
    assert_eq!(lines(&fire(&mut watches, &[created(4, "/a/x")])), ["ann ChildrenChanged /a @4"]);
    leave(&mut watches, ANN, "/a", Left::Child);
    assert_eq!(lines(&fire(&mut watches, &[deleted(5, "/a/x")])), ["ann ChildrenChanged /a @5"]);
    leave(&mut watches, ANN, "/a", Left::Child);
    assert_eq!(lines(&fire(&mut watches, &[deleted(6, "/a")])), ["ann Deleted /a @6"]);
    assert_eq!(watches.count(), 0);
}

#[test]
fn a_deletion_is_told_once_to_a_client_that_watches_data_and_children() {
    let mut watches = Watches::new();
    for left in [Left::Data, Left::Child, Left::Persistent, Left::Recursive] {
        leave(&mut watches, ANN, "/a", left);
    }
    leave(&mut watches, BOB, "/a", Left::Child);
    assert_eq!(lines(&fire(&mut watches, &[deleted(3, "/a")])), ["ann Deleted /a @3", "bob Deleted /a @3"]);
    assert_eq!((watches.count_of(ANN), watches.count_of(BOB)), (2, 0), "the one-shot watches are used up");
}

#[test]
fn a_recursive_watch_above_suppresses_the_deletion_of_the_child_table_too() {
    let mut watches = Watches::new();
    leave(&mut watches, ANN, "/", Left::Recursive);
    leave(&mut watches, ANN, "/a", Left::Child);
    assert_eq!(lines(&fire(&mut watches, &[deleted(3, "/a")])), ["ann Deleted /a @3"]);
    assert!(!watches.has(ANN, "/a", WatchTarget::Any));
}

#[test]
fn events_of_one_client_come_with_the_node_before_its_parent() {
    let mut watches = Watches::new();
    leave(&mut watches, ANN, "/", Left::Child);
    leave(&mut watches, BOB, "/a", Left::Data);
    leave(&mut watches, ANN, "/a", Left::Data);
    assert_eq!(
        lines(&fire(&mut watches, &[created(3, "/a")])),
        ["ann Created /a @3", "bob Created /a @3", "ann ChildrenChanged / @3"]
    );
}

#[test]
fn a_persistent_watch_tells_of_its_node_and_its_children_again_and_again() {
    let mut watches = Watches::new();
    leave(&mut watches, ANN, "/a", Left::Persistent);
    let life = [
        created(1, "/a"),
        created(2, "/a/x"),
        data_set(3, "/a"),
        data_set(4, "/a/x"),
        created(5, "/a/x/y"),
        deleted(6, "/a/x/y"),
        deleted(7, "/a/x"),
        deleted(8, "/a"),
    ];
    let told = [
        "ann Created /a @1",
        "ann ChildrenChanged /a @2",
        "ann DataChanged /a @3",
        "ann ChildrenChanged /a @7",
        "ann Deleted /a @8",
    ];
    assert_eq!(lines(&fire(&mut watches, &life)), told);
    assert_eq!(lines(&fire(&mut watches, &life)), told);
}

#[test]
fn scn_56_a_recursive_watch_never_hears_of_lists_of_children() {
    let mut watches = Watches::new();
    leave(&mut watches, ANN, "/a", Left::Recursive);
    let life = [
        created(1, "/a"),
        created(2, "/a/x"),
        created(3, "/a/x/y"),
        data_set(4, "/a/x/y"),
        deleted(5, "/a/x/y"),
        created(6, "/ab"),
        data_set(7, "/"),
    ];
    assert_eq!(
        lines(&fire(&mut watches, &life)),
        [
            "ann Created /a @1",
            "ann Created /a/x @2",
            "ann Created /a/x/y @3",
            "ann DataChanged /a/x/y @4",
            "ann Deleted /a/x/y @5",
        ]
    );
}

#[test]
fn scn_56_the_modes_of_one_client_at_one_path_live_side_by_side() {
    let mut watches = Watches::new();
    leave(&mut watches, ANN, "/a", Left::Persistent);
    leave(&mut watches, ANN, "/a", Left::Recursive);
    leave(&mut watches, ANN, "/a", Left::Data);
    leave(&mut watches, ANN, "/a", Left::Child);
    assert_eq!(watches.count_of(ANN), 4);
    assert_eq!(lines(&fire(&mut watches, &[data_set(1, "/a")])), ["ann DataChanged /a @1"]);
    assert!(!watches.has(ANN, "/a", WatchTarget::Data));
    assert_eq!(
        lines(&fire(&mut watches, &[created(2, "/a/x")])),
        ["ann Created /a/x @2", "ann ChildrenChanged /a @2"]
    );
    assert!(!watches.has(ANN, "/a", WatchTarget::Children));
    assert!(watches.remove(ANN, "/a", WatchTarget::Persistent));
    assert_eq!(lines(&fire(&mut watches, &[created(3, "/a/y")])), ["ann Created /a/y @3"]);
    assert!(watches.has(ANN, "/a", WatchTarget::PersistentRecursive));
}

#[test]
fn a_client_with_several_recursive_watches_hears_once() {
    let mut watches = Watches::new();
    for ancestor in ["/", "/a", "/a/x"] {
        leave(&mut watches, ANN, ancestor, Left::Recursive);
    }
    assert_eq!(lines(&fire(&mut watches, &[data_set(1, "/a/x")])), ["ann DataChanged /a/x @1"]);
}

#[test]
fn the_changes_of_a_multi_fire_one_by_one_at_its_zxid() {
    let mut watches = Watches::new();
    leave(&mut watches, ANN, "/a", Left::Persistent);
    leave(&mut watches, BOB, "/a", Left::Data);
    let multi = [created(7, "/a"), data_set(7, "/a"), deleted(7, "/a")];
    assert_eq!(
        lines(&fire(&mut watches, &multi)),
        ["ann Created /a @7", "bob Created /a @7", "ann DataChanged /a @7", "ann Deleted /a @7"]
    );
}

#[test]
fn inv_36_who_may_not_read_hears_nothing_and_a_one_shot_watch_is_used_up_all_the_same() {
    let mut watches = Watches::new();
    leave(&mut watches, ANN, "/secret", Left::Data);
    leave(&mut watches, ANN, "/secret", Left::Child);
    leave(&mut watches, BOB, "/", Left::Recursive);
    leave(&mut watches, BOB, "/", Left::Child);
    assert_eq!(
        lines(&fire(&mut watches, &[created(1, "/secret")])),
        ["bob ChildrenChanged / @1"],
        "the list of the root's children is judged by the root's ACL"
    );
    assert_eq!(lines(&fire(&mut watches, &[created(2, "/secret/x")])), ["bob Created /secret/x @2"]);
    assert_eq!(watches.count_of(ANN), 0);
    assert_eq!(lines(&fire(&mut watches, &[deleted(3, "/secret")])), NOTHING);
}

#[test]
fn each_client_is_judged_by_itself() {
    let mut watches = Watches::new();
    leave(&mut watches, ANN, "/a", Left::Data);
    leave(&mut watches, BOB, "/a", Left::Data);
    let mut events = Vec::new();
    watches.fire(&[data_set(1, "/a")], &mut |client, _| client == BOB, &mut events);
    assert_eq!(lines(&events), ["bob DataChanged /a @1"]);
}

#[test]
fn removal_takes_what_it_names_and_says_whether_there_was_any() {
    use WatchTarget::{Any, Children, Data, Persistent, PersistentRecursive};
    let ways = [
        (Left::Data, Data),
        (Left::Child, Children),
        (Left::Persistent, Persistent),
        (Left::Recursive, PersistentRecursive),
    ];
    for (left, target) in ways {
        for (_, other) in ways.into_iter().filter(|(_, other)| *other != target) {
            let mut watches = Watches::new();
            leave(&mut watches, ANN, "/a", left);
            assert!(!watches.remove(ANN, "/a", other) && !watches.has(ANN, "/a", other));
            assert!(!watches.remove(BOB, "/a", target) && !watches.remove(ANN, "/b", target));
            assert!(watches.has(ANN, "/a", target) && watches.has(ANN, "/a", Any));
            assert!(watches.remove(ANN, "/a", target) && !watches.remove(ANN, "/a", target));
            assert_eq!(watches.count(), 0);
        }
    }
    let mut watches = Watches::new();
    ways.iter().for_each(|(left, _)| leave(&mut watches, ANN, "/a", *left));
    assert!(watches.remove(ANN, "/a", Any));
    assert_eq!(watches.count(), 0);
    assert_eq!(lines(&fire(&mut watches, &[deleted(1, "/a")])), NOTHING);
}

#[test]
fn the_watches_of_a_client_go_with_its_connection() {
    let mut watches = Watches::new();
    for left in [Left::Data, Left::Child, Left::Persistent, Left::Recursive] {
        leave(&mut watches, ANN, "/a", left);
    }
    leave(&mut watches, BOB, "/a", Left::Data);
    watches.forget_client(ANN);
    watches.forget_client(ANN);
    assert_eq!((watches.count(), watches.count_of(ANN)), (1, 0));
    assert_eq!(lines(&fire(&mut watches, &[deleted(1, "/a")])), ["bob Deleted /a @1"]);
}

#[test]
fn listings_are_in_order() {
    let mut watches = Watches::new();
    leave(&mut watches, BOB, "/b", Left::Data);
    leave(&mut watches, BOB, "/a", Left::Child);
    leave(&mut watches, ANN, "/b", Left::Recursive);
    leave(&mut watches, ANN, "/b", Left::Data);
    let by_client: Vec<_> = watches
        .by_client()
        .map(|(client, paths)| (client, paths.map(ToString::to_string).collect::<Vec<_>>()))
        .collect();
    assert_eq!(by_client, [(ANN, vec!["/b".to_owned()]), (BOB, vec!["/a".to_owned(), "/b".to_owned()])]);
    let by_path: Vec<_> = watches.by_path().collect();
    assert_eq!(by_path, [(&path("/a"), [BOB].into()), (&path("/b"), [ANN, BOB].into())]);
}

#[test]
fn clients_that_watch_one_path_share_its_text() {
    let mut watches = Watches::new();
    leave(&mut watches, ANN, "/servers", Left::Child);
    leave(&mut watches, BOB, "/servers", Left::Child);
    let texts: Vec<_> =
        watches.by_client().flat_map(|(_, paths)| paths).map(|path| path.as_str().as_ptr()).collect();
    assert_eq!(texts.len(), 2);
    assert_eq!(texts[0], texts[1]);
}

#[derive(Clone, Debug)]
enum Step {
    Leave(u64, &'static str, Left),
    Remove(u64, &'static str, WatchTarget),
    Forget(u64),
    Fire(Vec<(u8, &'static str)>),
}

fn any_path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["/", "/a", "/ab", "/a/b", "/a/secret", "/a/secret/c", "/a/b/c", "/d"])
}

fn step() -> impl Strategy<Value = Step> {
    let left = prop::sample::select(vec![Left::Data, Left::Child, Left::Persistent, Left::Recursive]);
    let target = prop::sample::select(vec![
        WatchTarget::Data,
        WatchTarget::Children,
        WatchTarget::Any,
        WatchTarget::Persistent,
        WatchTarget::PersistentRecursive,
    ]);
    prop_oneof![
        6 => (1u64..5, any_path(), left).prop_map(|(client, path, left)| Step::Leave(client, path, left)),
        1 => (1u64..5, any_path(), target).prop_map(|(client, path, target)| Step::Remove(client, path, target)),
        1 => (1u64..5).prop_map(Step::Forget),
        4 => prop::collection::vec((0u8..3, any_path()), 1..4).prop_map(Step::Fire),
    ]
}

proptest! {
    #[test]
    fn watches_agree_with_a_set_that_is_searched(steps in prop::collection::vec(step(), 0..80)) {
        let mut watches = Watches::new();
        let mut model = Model::default();
        for (at, step) in steps.into_iter().enumerate() {
            let at = at as u64;
            match step {
                Step::Leave(client, path, left) => {
                    leave(&mut watches, ClientId::new(client), path, left);
                    model.0.insert((ClientId::new(client), path.to_owned(), left));
                }
                Step::Remove(client, path, target) => {
                    let client = ClientId::new(client);
                    let matching = model.matching(client, path, target);
                    prop_assert_eq!(watches.has(client, path, target), !matching.is_empty());
                    prop_assert_eq!(watches.remove(client, path, target), !matching.is_empty());
                    model.0.retain(|(who, there, left)| {
                        *who != client || there != path || !matching.contains(left)
                    });
                }
                Step::Forget(client) => {
                    watches.forget_client(ClientId::new(client));
                    model.0.retain(|(who, ..)| *who != ClientId::new(client));
                }
                Step::Fire(changes) => {
                    let changes: Vec<_> = changes
                        .into_iter()
                        .map(|(kind, path)| match kind {
                            0 => created(at, path),
                            1 => deleted(at, path),
                            _ => data_set(at, path),
                        })
                        .collect();
                    prop_assert_eq!(lines(&fire(&mut watches, &changes)), lines(&model.fire(&changes)));
                }
            }
            prop_assert_eq!(watches.count(), model.0.len());
            for client in (1..5).map(ClientId::new) {
                let expected = model.0.iter().filter(|(who, ..)| *who == client).count();
                prop_assert_eq!(watches.count_of(client), expected);
            }
            let listed: std::collections::BTreeSet<_> = watches
                .by_client()
                .flat_map(|(client, paths)| paths.map(move |path| (client, path.to_string())))
                .collect();
            let expected = model.0.iter().map(|(client, path, _)| (*client, path.clone())).collect();
            prop_assert_eq!(listed, expected);
            prop_assert!(watches.by_client().all(|(_, mut paths)| paths.next().is_some()));
        }
    }
}
