use proptest::collection::vec;
use proptest::prelude::*;

use super::super::RestoreError;
use super::*;

fn small() -> Lone {
    let mut lone = Lone::new();
    for path in ["/a", "/a/x", "/a/y", "/ü", "/a/y/z"] {
        lone.create(path);
    }
    lone.write(&create("/e-", CreateMode::EPHEMERAL_SEQUENTIAL)).unwrap();
    lone.write(&set_acl("/a/x", Acl::read_only())).unwrap();
    lone.write(&delete("/a/y/z")).unwrap();
    lone
}

#[test]
fn a_snapshot_restores_to_the_same_tree_however_it_is_cut() {
    let mut lone = small();
    let bytes = snapshot(&mut lone.tree, usize::MAX);
    for chunk in [1, 2, 3, 7, 64, 1_000] {
        assert_eq!(snapshot(&mut lone.tree, chunk), bytes);
        let mut restore = TreeRestore::new(TreeLimits::default());
        for part in bytes.chunks(chunk) {
            restore.feed(part).unwrap();
        }
        let copy = restore.finish().unwrap();
        assert_eq!(copy.digest(), lone.tree.digest());
        assert_eq!(contents(&copy), contents(&lone.tree));
        assert_eq!(copy.ephemerals_of(session(7)), lone.tree.ephemerals_of(session(7)));
        assert_eq!(copy.approximate_data_size(), lone.tree.approximate_data_size());
        assert_eq!(copy.ephemeral_count(), 1);
    }
}

#[test]
fn a_second_snapshot_drops_the_first_and_an_abandoned_one_is_over() {
    let mut lone = small();
    lone.tree.begin_snapshot();
    let first = lone.tree.next_snapshot_chunk(20).unwrap();
    lone.create("/b");
    lone.tree.begin_snapshot();
    let mut bytes = lone.tree.next_snapshot_chunk(20).unwrap().to_vec();
    assert_eq!(bytes[..8], first[..8]);
    lone.create("/c");
    while let Some(chunk) = lone.tree.next_snapshot_chunk(20) {
        bytes.extend_from_slice(&chunk);
    }
    let copy = restore(&bytes);
    assert!(copy.lookup("/b").is_some() && copy.lookup("/c").is_none());
    assert_eq!(lone.tree.next_snapshot_chunk(20), None);
    lone.tree.begin_snapshot();
    lone.tree.abandon_snapshot();
    assert_eq!(lone.tree.next_snapshot_chunk(20), None);
}

#[test]
fn an_acl_that_nobody_has_any_more_is_still_in_the_snapshot_that_shows_it() {
    let mut lone = small();
    lone.tree.begin_snapshot();
    let root = Caller { session: session(9), identities: vec![Identity::new("super", "")] };
    lone.write_as(&root, &set_acl("/a/x", Acl::open())).unwrap();
    // Would take the number of the forgotten one.
    lone.write_as(&digest_caller(7, "ann:h"), &set_acl("/a/y", Acl::creator_only())).unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = lone.tree.next_snapshot_chunk(1_000) {
        bytes.extend_from_slice(&chunk);
    }
    assert_eq!(restore(&bytes).lookup("/a/x").unwrap().1, Acl::read_only());
    assert_eq!(restore(&bytes).lookup("/a/y").unwrap().1, Acl::open());
}

#[test]
fn scn_42_a_restored_tree_counts_anew_how_many_nodes_have_an_acl() {
    let mut lone = Lone::new();
    for name in ["/a", "/b", "/c"] {
        lone.create(name);
        lone.write(&set_acl(name, Acl::read_only())).unwrap();
    }
    let mut restored = Lone { tree: restore(&snapshot(&mut lone.tree, 100)), ..lone };
    // It goes only with the last of its nodes, and then another may take its place.
    let root = Caller { session: session(9), identities: vec![Identity::new("super", "")] };
    for name in ["/a", "/b"] {
        restored.write_as(&root, &delete(name)).unwrap();
        assert_eq!(restored.tree.lookup("/c").unwrap().1, Acl::read_only(), "after {name}");
    }
    restored.write_as(&root, &delete("/c")).unwrap();
    restored.write_as(&digest_caller(7, "ann:h"), &create("/d", CreateMode::PERSISTENT)).unwrap();
    restored.write_as(&digest_caller(7, "ann:h"), &set_acl("/d", Acl::creator_only())).unwrap();
    let again = restore(&snapshot(&mut restored.tree, 100));
    assert_eq!(again.digest(), restored.tree.digest());
    assert_eq!(again.lookup("/d").unwrap().1, restored.tree.lookup("/d").unwrap().1);
}

#[test]
fn a_mostly_vacant_tree_is_written_without_a_long_pause() {
    let mut lone = Lone::new();
    lone.create("/many");
    for number in 0..100_000 {
        lone.create(&format!("/many/{number}"));
    }
    lone.write(&delete_tree("/many", 200_000)).unwrap();
    let bytes = snapshot(&mut lone.tree, 1 << 20);
    assert!(bytes.len() < 1_000);
    lone.tree.begin_snapshot();
    let mut chunks = 0;
    while lone.tree.next_snapshot_chunk(1 << 20).is_some() {
        chunks += 1;
    }
    assert_eq!(chunks, 7, "16384 places a chunk");
    assert_eq!(restore(&bytes).digest(), lone.tree.digest());
}

#[test]
fn what_is_no_snapshot_is_refused_with_a_reason() {
    let mut lone = small();
    let bytes = snapshot(&mut lone.tree, 1_000);
    let load = |bytes: &[u8]| {
        let mut restore = TreeRestore::new(TreeLimits::default());
        restore.feed(bytes).and_then(|()| restore.finish().map(drop))
    };
    assert_eq!(load(&bytes), Ok(()));
    assert_eq!(load(&[]), Err(RestoreError::Truncated));
    assert_eq!(load(b"QRTREE\x00\x02"), Err(RestoreError::Magic));
    for len in 0..bytes.len() {
        assert_eq!(load(&bytes[..len]), Err(RestoreError::Truncated), "{len}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(load(&longer), Err(RestoreError::Trailing));
    let mut huge = bytes[..8].to_vec();
    huge.extend([0xff; 8]);
    huge.push(0x7f);
    assert!(matches!(load(&huge), Err(RestoreError::TooLong(_))));
    let mut other_digest = bytes.clone();
    *other_digest.last_mut().unwrap() ^= 1;
    assert_eq!(load(&other_digest), Err(RestoreError::Digest));
    let mut failed = TreeRestore::new(TreeLimits::default());
    assert!(failed.feed(b"nonsense").is_err());
    assert_eq!(failed.feed(&bytes), Err(RestoreError::Magic));
}

/// Records written by hand, as only a broken or hostile server would write them.
mod forged {
    use bytes::BytesMut;

    use super::super::super::acls::AclId;
    use super::super::super::node::{Kind, Node, NodeId};
    use super::super::super::record;
    use super::*;

    fn node(parent: u32, name: &str, ordinal: u64) -> Node {
        Node {
            name: name.into(),
            data: None,
            children: None,
            key: 0,
            czxid: zxid(1),
            mzxid: zxid(1),
            pzxid: zxid(1),
            ctime: WallTime::default(),
            mtime: WallTime::default(),
            created: 5,
            ordinal,
            kind: Kind::Persistent,
            version: 0,
            aversion: 0,
            parent: NodeId(parent),
            acl: AclId(0),
            stamp: 0,
            local: false,
        }
    }

    fn load(nodes: Vec<(u32, Node)>) -> RestoreError {
        let mut bytes = BytesMut::from(&record::MAGIC[..]);
        record::put_acl(&mut bytes, AclId(0), &Acl::open());
        for (id, node) in &nodes {
            record::put_node(&mut bytes, NodeId(*id), node);
        }
        record::put_end(&mut bytes, nodes.len() as u64, 0);
        let mut restore = TreeRestore::new(TreeLimits::default());
        restore.feed(&bytes).and_then(|()| restore.finish().map(drop)).unwrap_err()
    }

    fn why(nodes: Vec<(u32, Node)>) -> &'static str {
        match load(nodes) {
            RestoreError::Structure(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scn_42_a_node_with_an_acl_that_is_not_in_the_snapshot_makes_it_no_snapshot() {
        let root = || (0, node(u32::MAX, "", 0));
        let unknown = Node { acl: AclId(1), ..node(0, "a", 2) };
        assert!(why(vec![root(), (1, unknown)]).contains("unknown ACL"));
    }

    #[test]
    fn nodes_that_make_no_tree_are_refused() {
        let root = || (0, node(u32::MAX, "", 0));
        let ephemeral = Node { kind: Kind::Ephemeral(session(1)), ..node(0, "a", 2) };
        let foreign = Node { acl: AclId(4), ..node(0, "a", 2) };
        assert!(why(vec![]).contains("no root"));
        assert!(why(vec![root(), (1, node(9, "a", 2))]).contains("parent is missing"));
        assert!(why(vec![root(), (1, node(0, "a", 2)), (2, node(0, "a", 3))]).contains("same name"));
        assert!(why(vec![root(), (1, node(0, "a", 2)), (2, node(0, "b", 2))]).contains("same place"));
        assert!(why(vec![root(), (1, node(0, "a", 2)), (1, node(0, "b", 3))]).contains("same number"));
        assert!(why(vec![root(), (1, node(2, "a", 2)), (2, node(1, "b", 2))]).contains("cycle"));
        assert!(why(vec![root(), (1, node(1, "a", 2))]).contains("cycle"));
        assert!(why(vec![root(), (1, ephemeral), (2, node(1, "b", 2))]).contains("ephemeral"));
        assert!(why(vec![root(), (1, node(0, "a", 7))]).contains("fewer children"));
        assert!(why(vec![root(), (1, foreign)]).contains("unknown ACL"));
        assert!(why(vec![root(), (1, node(u32::MAX, "", 0))]).contains("two roots"));
        for name in ["", ".", "..", "a/b", "\u{1}", "/", "\u{fffd}"] {
            assert!(why(vec![root(), (1, node(0, name, 2))]).contains("invalid name"), "{name:?}");
        }
        assert_eq!(load(vec![root()]), RestoreError::Digest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), cut in 1..50_usize) {
        let mut restore = TreeRestore::new(TreeLimits::default());
        let mut whole = super::super::record::MAGIC.to_vec();
        whole.extend(bytes);
        for part in whole.chunks(cut) {
            let _ = restore.feed(part);
        }
        prop_assert!(restore.finish().is_err());
    }

    #[test]
    fn damaged_snapshots_never_panic_and_never_pass_for_another_tree(
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut lone = small();
        let mut bytes = snapshot(&mut lone.tree, 1_000);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut restore = TreeRestore::new(TreeLimits::default());
        if let Ok(tree) = restore.feed(&bytes).and_then(|()| restore.finish()) {
            prop_assert_eq!(contents(&tree), contents(&lone.tree));
        }
    }
}
