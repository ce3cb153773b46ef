use proptest::collection::vec;
use proptest::prelude::*;

use super::super::quota::Usage;
use super::*;

fn with_quota(limits: &'static str) -> Lone {
    let mut lone = Lone::new();
    lone.create("/app");
    lone.create("/zookeeper/quota/app");
    lone.write(&create_with("/zookeeper/quota/app/zookeeper_limits", limits)).unwrap();
    lone.create("/zookeeper/quota/app/zookeeper_stats");
    lone
}

fn shown(lone: &Lone) -> String {
    match lone.read(&Read::Get { path: "/zookeeper/quota/app/zookeeper_stats".into() }) {
        Ok(Found::Data { data: Some(data), .. }) => String::from_utf8(data.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hard_count_is_never_exceeded() {
    let mut lone = with_quota("count=1,bytes=-1=;byteHardLimit=-1;countHardLimit=3");
    lone.create("/app/a");
    lone.create("/app/a/b");
    assert_eq!(lone.refused(&create("/app/c", CreateMode::PERSISTENT)), ErrorCode::QuotaExceeded);
    lone.create("/elsewhere");
    lone.write(&delete("/app/a/b")).unwrap();
    lone.create("/app/c");
    assert_eq!(lone.outstanding.soft_quota_exceeded(), 3, "each create went over the soft limit");
    assert_eq!(shown(&lone), "count=3,bytes=0");
}

#[test]
fn hard_bytes_count_all_data_below_and_shrinking_is_always_allowed() {
    let mut lone = with_quota("byteHardLimit=10");
    lone.write(&create_with("/app/a", "12345678")).unwrap();
    assert_eq!(lone.refused(&create_with("/app/b", "123")), ErrorCode::QuotaExceeded);
    lone.write(&create_with("/app/b", "12")).unwrap();
    assert_eq!(lone.refused(&set("/app/b", "123")), ErrorCode::QuotaExceeded);
    lone.write(&set("/zookeeper/quota/app/zookeeper_limits", "byteHardLimit=3")).unwrap();
    lone.write(&set("/app/a", "1234567")).unwrap();
    assert_eq!(lone.refused(&set("/app/a", "12345678")), ErrorCode::QuotaExceeded);
    assert_eq!(shown(&lone), "count=3,bytes=9");
    // The quota comes before the version.
    let stale = Write::SetData {
        path: "/app/a".into(),
        data: Some(Bytes::from_static(b"123456789")),
        expected: Expected::Version(77),
    };
    assert_eq!(lone.refused(&stale), ErrorCode::QuotaExceeded);
    lone.write(&delete("/zookeeper/quota/app/zookeeper_limits")).unwrap();
    lone.write(&set("/app/a", "1234567890")).unwrap();
}

#[test]
fn outstanding_writes_count() {
    let mut lone = with_quota("countHardLimit=2");
    let mut prepare = |counter, write: &Write| {
        lone.tree
            .prepare(&mut lone.outstanding, &anyone(), zxid(counter), lone.time, write)
            .map_err(|refusal| refusal.code)
    };
    assert!(prepare(20, &create("/app/a", CreateMode::PERSISTENT)).is_ok());
    assert_eq!(prepare(21, &create("/app/b", CreateMode::PERSISTENT)), Err(ErrorCode::QuotaExceeded));
    let exchange = [
        delete("/app/a"),
        create("/app/b", CreateMode::PERSISTENT),
        create("/app/c", CreateMode::PERSISTENT),
    ];
    assert_eq!(prepare(22, &Write::Multi(exchange.to_vec())), Err(ErrorCode::QuotaExceeded));
    assert!(prepare(23, &Write::Multi(exchange[..2].to_vec())).is_ok());
    // The limit itself may be outstanding.
    assert!(prepare(24, &set("/zookeeper/quota/app/zookeeper_limits", "countHardLimit=3")).is_ok());
    assert!(prepare(25, &create("/app/c", CreateMode::PERSISTENT)).is_ok());
    assert_eq!(prepare(26, &create("/app/d", CreateMode::PERSISTENT)), Err(ErrorCode::QuotaExceeded));
    assert!(prepare(27, &delete_tree("/zookeeper/quota/app", 9)).is_ok());
    assert!(prepare(28, &create("/app/d", CreateMode::PERSISTENT)).is_ok());
}

#[test]
fn hard_quotas_can_be_made_to_count_only() {
    let mut lone = Lone::with_limits(TreeLimits { enforce_quota: false, ..TreeLimits::default() });
    lone.create("/zookeeper/quota/app");
    lone.write(&create_with("/zookeeper/quota/app/zookeeper_limits", "countHardLimit=0")).unwrap();
    lone.create("/app");
    assert_eq!(lone.outstanding.soft_quota_exceeded(), 1);
}

#[test]
fn a_quota_on_the_root_leaves_zookeepers_own_nodes_out() {
    let mut lone = Lone::new();
    lone.create("/a");
    lone.write(&create_with("/zookeeper/quota/zookeeper_limits", "countHardLimit=3")).unwrap();
    lone.create("/a/b");
    lone.create("/zookeeper/more");
    assert_eq!(lone.refused(&create("/c", CreateMode::PERSISTENT)), ErrorCode::QuotaExceeded);
}

#[test]
fn what_lies_below_the_quota_node_has_no_part_in_the_digest() {
    let mut lone = Lone::new();
    lone.create("/zookeeper/quota/app");
    let digest = lone.tree.digest();
    lone.create("/zookeeper/quota/app/zookeeper_stats");
    assert_eq!(lone.tree.digest(), digest);
    lone.create("/app");
    assert_ne!(lone.tree.digest(), digest);
}

#[test]
fn quotas_survive_a_snapshot() {
    let mut lone = with_quota("countHardLimit=3");
    lone.write(&create_with("/app/a", "123")).unwrap();
    let bytes = snapshot(&mut lone.tree, 100);
    lone.tree = restore(&bytes);
    assert_eq!(shown(&lone), "count=2,bytes=3");
    lone.create("/app/b");
    assert_eq!(lone.refused(&create("/app/c", CreateMode::PERSISTENT)), ErrorCode::QuotaExceeded);
    assert_eq!(shown(&lone), "count=3,bytes=3");
}

fn some_write() -> impl Strategy<Value = Write> {
    let target = prop_oneof![Just("/a"), Just("/a/b"), Just("/a/b/c"), Just("/d")];
    let quota = prop_oneof![
        Just("/zookeeper/quota/a"),
        Just("/zookeeper/quota/a/b"),
        Just("/zookeeper/quota/a/zookeeper_limits"),
        Just("/zookeeper/quota/a/b/zookeeper_limits"),
        Just("/zookeeper/quota/zookeeper_limits"),
        Just("/zookeeper/quota/a/zookeeper_stats"),
    ];
    let data = prop_oneof![Just(""), Just("1"), Just("12345")];
    let limits = prop_oneof![
        Just("countHardLimit=2"),
        Just("byteHardLimit=4"),
        Just("count=1"),
        Just("countHardLimit=3;byteHardLimit=6")
    ];
    let op = |path: &'static str, data: &'static str, kind: u8| match kind {
        0..=3 => create_with(path, data),
        4..=5 => set(path, data),
        6 => delete(path),
        _ => delete_tree(path, 9),
    };
    prop_oneof![
        2 => (target, data, 0..8_u8).prop_map(move |(path, data, kind)| op(path, data, kind)),
        1 => (quota, limits, 0..8_u8).prop_map(move |(path, data, kind)| op(path, data, kind)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn usage_is_exact_and_outstanding_writes_are_judged_as_if_applied(
        writes in vec(prop_oneof![4 => some_write(), 1 => vec(some_write(), 1..5).prop_map(Write::Multi)], 1..60),
        depth in 0..10_usize,
    ) {
        let mut lone = Lone::new();
        let mut tree = Tree::new(TreeLimits::default());
        let mut outstanding = Outstanding::new();
        let mut pending = std::collections::VecDeque::new();
        for write in &writes {
            let at_once = lone.write(write);
            match tree.prepare(&mut outstanding, &anyone(), lone.zxid, lone.time, write) {
                Ok(txn) => pending.push_back((lone.zxid, lone.time, txn, at_once)),
                Err(refusal) => prop_assert_eq!(at_once, Err(refusal)),
            }
            while pending.len() > depth {
                let (zxid, time, txn, expected) = pending.pop_front().unwrap();
                prop_assert_eq!(tree.apply(zxid, session(7), time, &txn, &mut Vec::new()), expected);
                outstanding.retire(zxid);
            }
            for (target, quota) in &lone.tree.quotas {
                let mut usage = Usage::default();
                for (path, data, ..) in contents(&lone.tree) {
                    if path.is_within(target) && !path.is_within("/zookeeper") {
                        usage = usage.plus(Usage::of_node(data.map_or(0, |data| data.len())));
                    }
                }
                prop_assert_eq!(quota.usage, usage, "{}", target);
            }
        }
        for (zxid, time, txn, expected) in pending {
            prop_assert_eq!(tree.apply(zxid, session(7), time, &txn, &mut Vec::new()), expected);
            outstanding.retire(zxid);
        }
        prop_assert_eq!(contents(&tree), contents(&lone.tree));
        prop_assert_eq!(&tree.quotas, &lone.tree.quotas);
        let bytes = snapshot(&mut tree, 100);
        prop_assert_eq!(&restore(&bytes).quotas, &tree.quotas);
        prop_assert_eq!(contents(&restore(&bytes)), contents(&tree));
    }
}
