use crate::types::{AclEntry, ChangeKind, ChildCursor, Permissions, RequestPath};

use super::super::edit::NewNode;
use super::super::node::Kind;
use super::*;

#[test]
fn zk_pro_shows_what_zookeeper_shows() {
    let mut lone = Lone::new();
    let Ok(Written::Created { path, stat }) = lone.write(&create_with("/zkPro", "myData")) else { panic!() };
    let (created, born) = (lone.zxid, lone.time);
    let expected = Stat {
        czxid: created,
        mzxid: created,
        pzxid: created,
        ctime: born,
        mtime: born,
        version: 0,
        cversion: 0,
        aversion: 0,
        ephemeral_owner: SessionId::NONE,
        data_length: 6,
        num_children: 0,
    };
    assert_eq!((path.as_str(), stat), ("/zkPro", expected));
    let after = lone.write(&set("/zkPro", "myData123"));
    assert_eq!(lone.zxid, created.next().unwrap());
    let expected = Stat { mzxid: lone.zxid, mtime: lone.time, version: 1, data_length: 9, ..expected };
    assert_eq!(after, Ok(Written::DataSet(expected)));
    let found = lone.read(&Read::Get { path: "/zkPro".into() });
    assert_eq!(found, Ok(Found::Data { data: Some(Bytes::from_static(b"myData123")), stat: expected }));
}

#[test]
fn a_fresh_tree_has_the_reserved_nodes_only() {
    let lone = Lone::new();
    assert_eq!(lone.tree.len(), 4);
    // ZooKeeper counts creates, and nobody created these; hence the odd cversion, which its clients know.
    assert_eq!((lone.stat("/").cversion, lone.stat("/").num_children), (-1, 1));
    assert_eq!((lone.stat("/zookeeper").cversion, lone.stat("/zookeeper").num_children), (-2, 2));
    assert_eq!(lone.tree.lookup("/zookeeper/config").unwrap().1, Acl::read_only());
    assert_eq!(lone.tree.digest(), Lone::new().tree.digest());
}

#[test]
fn reserved_nodes_are_never_deleted() {
    let mut lone = Lone::new();
    for path in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
        assert_eq!(lone.refused(&delete(path)), ErrorCode::BadArguments, "{path}");
        assert_eq!(lone.refused(&delete_tree(path, 100)), ErrorCode::BadArguments, "{path}");
        for txn in [Txn::Delete { path: super::path(path) }, Txn::DeleteTree { path: super::path(path) }] {
            assert!(lone.apply(session(7), &txn).is_err());
            assert!(lone.apply(session(7), &Txn::Multi(vec![Txn::Check, txn])).is_err());
        }
    }
    assert_eq!(lone.tree.digest(), Lone::new().tree.digest());
}

#[test]
fn children_count_in_their_parents_stat_and_grandchildren_do_not() {
    let mut lone = Lone::new();
    let born = lone.create("/a");
    lone.create("/a/b");
    let created = lone.zxid;
    lone.create("/a/b/c");
    let stat = lone.stat("/a");
    assert_eq!((stat.cversion, stat.num_children, stat.pzxid), (1, 1, created));
    assert_eq!((stat.mzxid, stat.mtime, stat.version), (born.mzxid, born.mtime, 0));
    lone.write(&delete("/a/b/c")).unwrap();
    lone.write(&delete("/a/b")).unwrap();
    let stat = lone.stat("/a");
    assert_eq!((stat.cversion, stat.num_children, stat.pzxid), (2, 0, lone.zxid));
}

#[test]
fn sequence_numbers_count_all_creates_of_the_parent_and_no_deletes() {
    let mut lone = Lone::new();
    lone.create("/q");
    let sequential = |lone: &mut Lone, prefix: &str| match lone
        .write(&create(prefix, CreateMode::PERSISTENT_SEQUENTIAL))
    {
        Ok(Written::Created { path, .. }) => path.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(sequential(&mut lone, "/q/n-"), "/q/n-0000000000");
    lone.create("/q/plain");
    assert_eq!(sequential(&mut lone, "/q/n-"), "/q/n-0000000002");
    lone.write(&delete("/q/n-0000000002")).unwrap();
    assert_eq!(sequential(&mut lone, "/q/"), "/q/0000000003");
    assert_eq!(sequential(&mut lone, "/"), "/0000000001");
}

#[test]
fn the_counter_wraps_as_zookeepers_does() {
    let mut lone = Lone::new();
    lone.create("/q");
    let id = lone.tree.find("/q").unwrap();
    for (created, name) in [
        ((1_u64 << 31) - 1, "/q/n2147483647"),
        (1 << 31, "/q/n-2147483648"),
        ((1 << 32) - 5, "/q/n-000000005"),
        (1 << 32, "/q/n0000000000"),
    ] {
        lone.tree.slab.get_mut(id).created = created;
        let written = lone.write(&create("/q/n", CreateMode::PERSISTENT_SEQUENTIAL));
        assert!(
            matches!(&written, Ok(Written::Created { path, .. }) if path.as_str() == name),
            "{written:?}"
        );
    }
}

#[test]
fn a_create_is_judged_in_zookeepers_order() {
    let mut lone = Lone::new();
    lone.create("/open");
    lone.write(&create("/open/e", CreateMode::EPHEMERAL)).unwrap();
    lone.create("/closed");
    lone.write(&set_acl("/closed", Acl::read_only())).unwrap();
    let bad_acl = |path: &str| Write::Create {
        path: path.into(),
        data: None,
        acl: Acl::new([]),
        mode: CreateMode::PERSISTENT,
    };
    let plain = |path: &str| create(path, CreateMode::PERSISTENT);
    for (write, expected) in [
        (bad_acl("no-slash"), ErrorCode::BadArguments),
        (bad_acl("/a\0b"), ErrorCode::BadArguments),
        (bad_acl("/missing/x"), ErrorCode::InvalidAcl),
        (plain("/missing/."), ErrorCode::NoNode),
        (plain("/closed/."), ErrorCode::NoAuth),
        (plain("/open/."), ErrorCode::BadArguments),
        (plain("/open/e"), ErrorCode::NodeExists),
        (plain("/open/e/x"), ErrorCode::NoChildrenForEphemerals),
        (plain("/open/e/\u{1}"), ErrorCode::BadArguments),
        (plain("/"), ErrorCode::NodeExists),
        (plain(""), ErrorCode::BadArguments),
        (plain("//x"), ErrorCode::BadArguments),
        (plain("/open/"), ErrorCode::BadArguments),
        (plain("x/y"), ErrorCode::NoNode),
    ] {
        assert_eq!(lone.refused(&write), expected, "{write:?}");
    }
    assert!(lone.outstanding.is_empty());
}

#[test]
fn every_forbidden_path_is_a_bad_argument_to_writes_and_no_node_to_reads() {
    let mut lone = Lone::new();
    lone.create("/a");
    for bad in [
        "",
        "a",
        "/a/",
        "//",
        "/a//b",
        "/./a",
        "/../a",
        "/a/.",
        "/a\u{1}",
        "/a\u{7f}",
        "/\u{e000}",
        "/\u{fffd}",
        "/😀",
    ] {
        for write in [
            delete(bad),
            delete_tree(bad, 9),
            set(bad, ""),
            set_acl(bad, Acl::open()),
            check(bad, Expected::Any),
        ] {
            assert_eq!(lone.refused(&write), ErrorCode::BadArguments, "{write:?}");
        }
        for read in [
            Read::Get { path: bad.into() },
            Read::Exists { path: bad.into() },
            Read::Children { path: bad.into() },
        ] {
            assert_eq!(lone.read(&read), Err(ErrorCode::NoNode), "{read:?}");
        }
    }
    assert_eq!(lone.read(&Read::Exists { path: "/a\0".into() }), Err(ErrorCode::BadArguments));
    lone.create("/a..b");
    lone.create("/...");
}

#[test]
fn a_delete_is_judged_in_zookeepers_order() {
    let mut lone = Lone::new();
    for path in ["/p", "/p/x", "/p/x/y", "/closed", "/closed/x"] {
        lone.create(path);
    }
    lone.write(&set_acl("/closed", Acl::read_only())).unwrap();
    let at = |path: &str, version| Write::Delete { path: path.into(), expected: Expected::Version(version) };
    assert_eq!(lone.refused(&delete("/missing/x")), ErrorCode::NoNode);
    assert_eq!(lone.refused(&delete("/closed/missing")), ErrorCode::NoAuth);
    assert_eq!(lone.refused(&delete("/p/missing")), ErrorCode::NoNode);
    assert_eq!(lone.refused(&at("/p/x", 1)), ErrorCode::BadVersion);
    assert_eq!(lone.refused(&at("/p/x", 0)), ErrorCode::NotEmpty);
    assert_eq!(lone.write(&at("/p/x/y", 0)), Ok(Written::Deleted));
}

#[test]
fn other_writes_are_judged_in_zookeepers_order() {
    let mut lone = Lone::new();
    lone.create("/a");
    lone.create("/closed");
    lone.write(&set_acl(
        "/closed",
        Acl::new([AclEntry { permissions: Permissions::CREATE, identity: Identity::anyone() }]),
    ))
    .unwrap();
    let set_at = |path: &str, version| Write::SetData {
        path: path.into(),
        data: None,
        expected: Expected::Version(version),
    };
    let acl_at = |path: &str, acl, version| Write::SetAcl {
        path: path.into(),
        acl,
        expected: Expected::Version(version),
    };
    for (write, expected) in [
        (set_at("/missing", 5), ErrorCode::NoNode),
        (set_at("/closed", 5), ErrorCode::NoAuth),
        (set_at("/a", 5), ErrorCode::BadVersion),
        (acl_at("/missing", Acl::new([]), 5), ErrorCode::InvalidAcl),
        (acl_at("/missing", Acl::open(), 5), ErrorCode::NoNode),
        (acl_at("/closed", Acl::open(), 5), ErrorCode::NoAuth),
        (acl_at("/a", Acl::open(), 5), ErrorCode::BadVersion),
        (check("/missing", Expected::Version(5)), ErrorCode::NoNode),
        (check("/closed", Expected::Version(5)), ErrorCode::NoAuth),
        (check("/a", Expected::Version(5)), ErrorCode::BadVersion),
    ] {
        assert_eq!(lone.refused(&write), expected, "{write:?}");
    }
    assert!(
        matches!(lone.write(&acl_at("/a", Acl::read_only(), 0)), Ok(Written::AclSet(stat)) if stat.aversion == 1 && stat.version == 0)
    );
}

#[test]
fn the_superuser_may_do_everything() {
    let mut lone = Lone::new();
    let root = Caller { session: session(9), identities: vec![Identity::new("super", "")] };
    assert_eq!(lone.refused(&set("/zookeeper/config", "x")), ErrorCode::NoAuth);
    assert!(lone.write_as(&root, &set("/zookeeper/config", "x")).is_ok());
}

#[test]
fn acls_are_shown_to_readers_without_their_hashes_and_to_others_not_at_all() {
    let mut lone = Lone::new();
    let ann = digest_caller(1, "ann:secret");
    let read = AclEntry { permissions: Permissions::READ, identity: Identity::anyone() };
    let own = AclEntry { permissions: Permissions::ALL, identity: Identity::new("auth", "") };
    lone.create("/a");
    lone.write_as(&ann, &set_acl("/a", Acl::new([own.clone(), read]))).unwrap();
    let acl = |lone: &Lone, caller: &Caller| match lone.tree.read(caller, &Read::Acl { path: "/a".into() }) {
        Ok(Found::Acl { acl, .. }) => Ok(acl.entries()[0].identity.to_string()),
        Err(code) => Err(code),
        other => panic!("{other:?}"),
    };
    assert_eq!(acl(&lone, &ann).unwrap(), "digest:ann:secret");
    assert_eq!(acl(&lone, &anyone()).unwrap(), "digest:ann:x");
    lone.write_as(&ann, &set_acl("/a", Acl::new([own]))).unwrap();
    assert_eq!(acl(&lone, &anyone()), Err(ErrorCode::NoAuth));
    for read in [
        Read::Get { path: "/a".into() },
        Read::Exists { path: "/a".into() },
        Read::Children { path: "/a".into() },
    ] {
        assert_eq!(lone.read(&read), Err(ErrorCode::NoAuth));
    }
}

#[test]
fn too_much_data_is_a_bad_argument_alone_and_together() {
    let mut lone = Lone::with_limits(TreeLimits { data_len: 4, ..TreeLimits::default() });
    assert_eq!(lone.refused(&create_with("/a", "12345")), ErrorCode::BadArguments);
    lone.write(&create_with("/a", "1234")).unwrap();
    assert_eq!(lone.refused(&set("/a", "12345")), ErrorCode::BadArguments);
    let both = Write::Multi(vec![create_with("/b", "123"), create_with("/c", "12")]);
    assert_eq!(lone.write(&both), Err(Refusal { code: ErrorCode::BadArguments, operation: Some(1) }));
    assert!(!lone.has("/b") && lone.outstanding.is_empty());
}

#[test]
fn a_multi_sees_its_own_effects_and_is_whole_or_nothing() {
    let mut lone = Lone::new();
    let all = Write::Multi(vec![
        create("/m", CreateMode::PERSISTENT),
        create("/m/s-", CreateMode::PERSISTENT_SEQUENTIAL),
        create("/m/s-", CreateMode::PERSISTENT_SEQUENTIAL),
        set("/m", "x"),
        check("/m", Expected::Version(1)),
        delete("/m/s-0000000000"),
    ]);
    let Ok(Written::Multi(results)) = lone.write(&all) else { panic!() };
    assert_eq!(results.len(), 6);
    assert!(matches!(&results[2], Written::Created { path, .. } if path.as_str() == "/m/s-0000000001"));
    let stat = lone.stat("/m");
    assert_eq!([stat.czxid, stat.mzxid, stat.pzxid], [lone.zxid; 3]);
    assert_eq!((stat.version, stat.cversion, stat.num_children), (1, 3, 1));
    let digest = lone.tree.digest();
    let failing = Write::Multi(vec![
        create("/n", CreateMode::EPHEMERAL),
        delete("/m/s-0000000001"),
        delete("/missing"),
        set("/m", ""),
    ]);
    assert_eq!(lone.write(&failing), Err(Refusal { code: ErrorCode::NoNode, operation: Some(2) }));
    assert_eq!(lone.tree.digest(), digest);
    assert!(lone.outstanding.is_empty() && lone.close(session(7)).is_empty());
    let nested = Write::Multi(vec![Write::Multi(Vec::new())]);
    assert_eq!(lone.write(&nested), Err(Refusal { code: ErrorCode::MarshallingError, operation: Some(0) }));
    assert_eq!(lone.write(&Write::Multi(Vec::new())), Ok(Written::Multi(Vec::new())));
}

#[test]
fn a_tree_goes_children_first_in_one_transaction() {
    let mut lone = Lone::new();
    for path in ["/t", "/t/a", "/t/b", "/t/a/x", "/t/a/y", "/other"] {
        lone.create(path);
    }
    assert_eq!(lone.refused(&delete_tree("/t", 4)), ErrorCode::BadArguments);
    lone.changes.clear();
    assert_eq!(lone.write(&delete_tree("/t", 5)), Ok(Written::TreeDeleted { count: 5 }));
    let gone: Vec<&str> = lone.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(gone, ["/t/a/x", "/t/a/y", "/t/a", "/t/b", "/t"]);
    assert!(
        lone.changes
            .iter()
            .all(|change| matches!(change.kind, ChangeKind::Deleted { .. }) && change.zxid == lone.zxid)
    );
    assert_eq!(lone.stat("/").pzxid, lone.zxid);
    assert!(lone.has("/other") && !lone.has("/t"));
}

#[test]
fn a_tree_stays_where_one_node_of_it_may_not_be_deleted() {
    let mut lone = Lone::new();
    for path in ["/t", "/t/a", "/t/a/x"] {
        lone.create(path);
    }
    lone.write(&set_acl("/t/a", Acl::read_only())).unwrap();
    assert_eq!(lone.refused(&delete_tree("/t", 9)), ErrorCode::NoAuth);
    // An ACL protects a node's children, not the node.
    lone.write(&delete_tree("/t/a/x", 9)).unwrap_err();
    lone.write(&set_acl("/t", Acl::open())).unwrap();
    assert!(lone.has("/t/a/x"));
}

#[test]
fn changes_carry_the_acls_that_filter_them() {
    let mut lone = Lone::new();
    lone.create("/p");
    lone.write(&create("/p/c", CreateMode::PERSISTENT)).unwrap();
    lone.write(&set_acl("/p/c", Acl::read_only())).unwrap();
    lone.changes.clear();
    lone.write(&delete("/p/c")).unwrap();
    let expected = Change {
        zxid: lone.zxid,
        path: path("/p/c"),
        kind: ChangeKind::Deleted { parent_acl: Acl::open() },
        acl: Acl::read_only(),
    };
    assert_eq!(lone.changes, [expected]);
    lone.changes.clear();
    lone.write(&set_acl("/p", Acl::open())).unwrap();
    lone.write(&check("/p", Expected::Any)).unwrap();
    assert!(lone.changes.is_empty(), "nobody watches ACLs");
}

#[test]
fn a_session_takes_its_ephemerals_with_it_the_outstanding_ones_too() {
    let mut lone = Lone::new();
    lone.create("/p");
    for name in ["/p/b", "/p/a", "/p/gone"] {
        lone.write(&create(name, CreateMode::EPHEMERAL)).unwrap();
    }
    lone.write_as(&digest_caller(8, "x:y"), &create("/p/other", CreateMode::EPHEMERAL)).unwrap();
    // Not applied yet: one more, and one less.
    lone.step();
    let first = lone.zxid;
    let made = lone
        .tree
        .prepare(&mut lone.outstanding, &anyone(), first, lone.time, &create("/late", CreateMode::EPHEMERAL))
        .unwrap();
    lone.step();
    let gone = lone
        .tree
        .prepare(&mut lone.outstanding, &anyone(), lone.zxid, lone.time, &delete("/p/gone"))
        .unwrap();
    let mut changes = Vec::new();
    let second = lone.zxid;
    lone.step();
    let listed = lone.tree.prepare_close(&mut lone.outstanding, lone.zxid, session(7));
    assert_eq!(listed.iter().map(ZnodePath::as_str).collect::<Vec<_>>(), ["/late", "/p/a", "/p/b"]);
    assert!(lone.tree.prepare_close(&mut lone.outstanding, lone.zxid, session(7)).is_empty());
    lone.tree.apply(first, session(7), lone.time, &made, &mut changes).unwrap();
    lone.tree.apply(second, session(7), lone.time, &gone, &mut changes).unwrap();
    lone.apply(session(7), &Txn::CloseSession { ephemerals: listed.len() as u64 }).unwrap();
    assert_eq!(lone.tree.ephemeral_owners().len(), 1, "known without a look at each");
    assert_eq!(lone.tree.ephemeral_owners().collect::<Vec<_>>(), [(session(8), 1)]);
    assert_eq!(lone.tree.ephemeral_count(), 1);
    assert_eq!(lone.stat("/p").pzxid, lone.zxid);
    assert!(lone.tree.ephemerals_of(session(7)).is_empty());
}

#[test]
fn what_does_not_fit_the_tree_is_refused_whole() {
    let mut lone = Lone::new();
    lone.create("/a");
    lone.create("/a/b");
    lone.write(&create("/e", CreateMode::EPHEMERAL)).unwrap();
    let (digest, changes) = (lone.tree.digest(), lone.changes.len());
    let made = |path: &str| Txn::Create {
        path: super::path(path),
        data: None,
        acl: Acl::open(),
        lifetime: crate::types::Lifetime::Persistent,
    };
    for txn in [
        made("/"),
        made("/a"),
        made("/x/y"),
        made("/e/x"),
        Txn::Delete { path: path("/a") },
        Txn::Delete { path: path("/x") },
        Txn::DeleteTree { path: path("/x") },
        Txn::SetData { path: path("/x"), data: None, version: 3 },
        Txn::SetAcl { path: path("/x"), acl: Acl::open(), version: 3 },
        Txn::CloseSession { ephemerals: 0 },
        Txn::CloseSession { ephemerals: 2 },
        Txn::Refused(Refusal { code: ErrorCode::NoAuth, operation: Some(3) }),
    ] {
        for txn in [txn.clone(), Txn::Multi(vec![made("/first"), txn.clone()]), Txn::Multi(vec![txn])] {
            assert!(lone.apply(session(7), &txn).is_err(), "{txn:?}");
            assert_eq!((lone.tree.digest(), lone.changes.len()), (digest, changes), "{txn:?}");
        }
    }
    assert!(!lone.has("/first"));
    for txn in [Txn::Check, Txn::Repeated] {
        assert_eq!(lone.apply(session(7), &txn), Ok(Written::Checked));
    }
    assert_eq!(lone.tree.digest(), digest);
}

#[test]
fn pages_of_children_go_on_where_they_ended() {
    let mut lone = Lone::new();
    lone.create("/p");
    let names: Vec<String> = (0..25).map(|n| format!("{}", (n * 7) % 25)).collect();
    for name in &names {
        lone.create(&format!("/p/{name}"));
    }
    let page =
        |lone: &Lone, after| match lone.read(&Read::ChildrenPage { path: "/p".into(), after, limit: 10 }) {
            Ok(Found::ChildrenPage { names, next, stat }) => {
                assert_eq!(stat, lone.stat("/p"));
                (names, next)
            }
            other => panic!("{other:?}"),
        };
    let mut seen = Vec::new();
    let (first, next) = page(&lone, None);
    seen.extend(first);
    // Neither a child that went nor the one that the page ended with moves the rest.
    lone.write(&delete(&format!("/p/{}", names[3]))).unwrap();
    lone.write(&delete(&format!("/p/{}", names[9]))).unwrap();
    lone.create("/p/new");
    let (second, next) = page(&lone, next);
    seen.extend(second);
    let (third, next) = page(&lone, next);
    seen.extend(third);
    assert_eq!(next, None);
    let mut expected = names;
    expected.push("new".into());
    assert_eq!(seen.iter().map(|name| name.to_string()).collect::<Vec<_>>(), expected);
    assert_eq!(page(&lone, Some(ChildCursor::new(u64::MAX))), (Vec::new(), None));
    let none = Read::ChildrenPage { path: "/p".into(), after: None, limit: 0 };
    assert_eq!(lone.read(&none), Err(ErrorCode::BadArguments));
}

#[test]
fn several_reads_are_answered_one_by_one_and_are_bounded() {
    let mut lone = Lone::with_limits(TreeLimits { many_reads: 3, ..TreeLimits::default() });
    lone.create("/a");
    let get = |path: &str| Read::Exists { path: path.into() };
    let many = Read::Many(vec![get("/a"), get("/b"), Read::Many(Vec::new())]);
    let expected =
        vec![Ok(Found::Stat(lone.stat("/a"))), Err(ErrorCode::NoNode), Err(ErrorCode::BadArguments)];
    assert_eq!(lone.read(&many), Ok(Found::Many(expected)));
    assert_eq!(lone.read(&Read::Many(vec![get("/a"); 4])), Err(ErrorCode::BadArguments));
}

#[test]
fn several_reads_that_find_too_much_together_are_refused_and_one_alone_is_not() {
    let mut lone = Lone::with_limits(TreeLimits { many_bytes: 100, ..TreeLimits::default() });
    lone.create("/p");
    lone.write(&create_with("/p/forty", "a text of forty bytes, no more, no less.")).unwrap();
    lone.write(&create("/p/ephemeral", CreateMode::EPHEMERAL)).unwrap();
    let (path, child) = (RequestPath::from("/p"), RequestPath::from("/p/forty"));
    // What each finds counts for: "forty" and "ephemeral" have 14 letters, "world:anyone" 11, "/p/ephemeral" 12.
    for (read, bytes) in [
        (Read::Get { path: child }, 40),
        (Read::Children { path: path.clone() }, 14 + 2 * 16),
        (Read::ChildrenPage { path: path.clone(), after: None, limit: 1 }, 5 + 16),
        (Read::Acl { path: path.clone() }, 11 + 16),
        (Read::Ephemerals { prefix: path.clone() }, 12 + 16),
        (Read::CountDescendants { path }, 2),
    ] {
        let fit = 100 / bytes;
        let most = lone.read(&Read::Many(vec![read.clone(); fit]));
        assert_eq!(most, Ok(Found::Many(vec![lone.read(&read); fit])), "{fit} of {read:?}");
        let refused = lone.read(&Read::Many(vec![read.clone(); fit + 1]));
        assert_eq!(refused, Err(ErrorCode::BadArguments), "{} of {read:?}", fit + 1);
        lone.tree.limits.many_bytes = 1;
        assert!(lone.read(&read).is_ok(), "{read:?} alone");
        lone.tree.limits.many_bytes = 100;
    }
    // What fails finds nothing, and what is refused is refused whole, whatever came before.
    let nothing = Read::Get { path: "/none".into() };
    assert!(lone.read(&Read::Many(vec![nothing.clone(); 1_000])).is_ok());
    let mut reads = vec![nothing];
    reads.extend(vec![Read::Get { path: "/p/forty".into() }; 3]);
    assert_eq!(lone.read(&Read::Many(reads)), Err(ErrorCode::BadArguments));
}

#[test]
fn many_reads_of_the_largest_data_are_refused_and_one_of_them_is_not() {
    let mut lone = Lone::new();
    let data = Some(Bytes::from(vec![7; 1 << 20]));
    let write = Write::Create { path: "/a".into(), data, acl: Acl::open(), mode: CreateMode::PERSISTENT };
    lone.write(&write).unwrap();
    let get = Read::Get { path: "/a".into() };
    assert!(lone.read(&Read::Many(vec![get.clone()])).is_ok());
    // Without the answer in a message: it would be as large as what is refused.
    assert_eq!(lone.read(&Read::Many(vec![get; 16_384])).err(), Some(ErrorCode::BadArguments));
}

#[test]
fn what_a_read_looks_at_is_counted_whatever_comes_of_it() {
    let mut lone = Lone::new();
    lone.create("/a");
    for number in 0..100 {
        lone.write(&create(&format!("/a/{number}"), CreateMode::EPHEMERAL)).unwrap();
    }
    let visited = |lone: &Lone, read: &Read| {
        let mut visited = 0;
        let result = lone.tree.read_counting(&anyone(), read, &mut visited);
        assert_eq!(result, lone.read(read));
        (visited, result.is_ok())
    };
    let children = Read::Children { path: "/a".into() };
    let below = Read::CountDescendants { path: "/a".into() };
    assert_eq!(visited(&lone, &Read::Get { path: "/a".into() }), (1, true));
    assert_eq!(visited(&lone, &Read::Get { path: "/none".into() }), (1, false));
    assert_eq!(visited(&lone, &children), (101, true));
    assert_eq!(visited(&lone, &Read::ChildrenPage { path: "/a".into(), after: None, limit: 7 }), (8, true));
    assert_eq!(visited(&lone, &below), (101, true));
    assert_eq!(visited(&lone, &Read::CountDescendants { path: "/".into() }), (1, true), "it is known");
    assert_eq!(
        visited(&lone, &Read::Ephemerals { prefix: "/none".into() }),
        (401, true),
        "none of them fits"
    );
    assert_eq!(visited(&lone, &Read::Many(vec![children, below.clone(), Read::Many(vec![])])), (203, true));

    lone.tree.limits.many_bytes = 250;
    assert_eq!(visited(&lone, &Read::Many(vec![below; 4])), (303, false), "the third finds too much");
}

#[test]
fn nothing_and_empty_are_different_data() {
    let mut lone = Lone::new();
    let data = |lone: &Lone| match lone.read(&Read::Get { path: "/a".into() }) {
        Ok(Found::Data { data, .. }) => data,
        other => panic!("{other:?}"),
    };
    lone.create("/a");
    assert_eq!(data(&lone), Some(Bytes::new()));
    let digest = lone.tree.digest();
    let (zxid, time) = (lone.zxid, lone.time);
    let txn = Txn::SetData { path: path("/a"), data: None, version: 0 };
    lone.tree.apply(zxid, session(7), time, &txn, &mut lone.changes).unwrap();
    assert_eq!(data(&lone), None);
    assert_ne!(lone.tree.digest(), digest, "the digest tells them apart");
}

#[test]
fn a_path_of_half_a_million_elements_is_no_node() {
    let mut lone = Lone::new();
    let long = "/a".repeat(500_000);
    assert_eq!(lone.refused(&create(&long, CreateMode::PERSISTENT)), ErrorCode::NoNode);
    assert_eq!(lone.refused(&delete(&long)), ErrorCode::NoNode);
    assert_eq!(lone.read(&Read::Get { path: long.as_str().into() }), Err(ErrorCode::NoNode));
    assert!(lone.tree.lookup(&long).is_none());
}

#[test]
fn a_deep_tree_is_read_saved_and_dropped_without_recursion() {
    let mut lone = Lone::new();
    let mut at = lone.tree.root;
    for _ in 0..50_000 {
        let new = NewNode {
            name: "d",
            data: None,
            acl: &Acl::open(),
            kind: Kind::Persistent,
            zxid: zxid(1),
            time: lone.time,
        };
        at = lone.tree.insert(at, new).unwrap();
    }
    assert_eq!(lone.read(&Read::CountDescendants { path: "/d".into() }), Ok(Found::Count(49_999)));
    let bytes = snapshot(&mut lone.tree, 1 << 16);
    assert_eq!(restore(&bytes).digest(), lone.tree.digest());
}

#[test]
fn the_size_is_that_of_names_and_data() {
    let mut lone = Lone::new();
    let empty = lone.tree.approximate_data_size();
    lone.write(&create_with("/four", "12345")).unwrap();
    assert_eq!(lone.tree.approximate_data_size(), empty + 9);
    lone.write(&set("/four", "1")).unwrap();
    assert_eq!(lone.tree.approximate_data_size(), empty + 5);
    lone.write(&delete("/four")).unwrap();
    assert_eq!(lone.tree.approximate_data_size(), empty);
}
