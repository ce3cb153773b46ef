use std::time::Duration;

use crate::types::{Lifetime, Ttl};

use super::*;

fn ttl(millis: u64) -> CreateMode {
    CreateMode {
        lifetime: Lifetime::Ttl(Ttl::new(Duration::from_millis(millis)).unwrap()),
        sequential: false,
    }
}

fn due(lone: &Lone, millis: i64) -> Vec<String> {
    lone.tree.due(WallTime::from_millis(millis), 100).iter().map(|path| path.as_str().to_owned()).collect()
}

#[test]
fn a_container_goes_after_its_last_child_and_not_before_its_first() {
    let mut lone = Lone::new();
    lone.write(&create("/c", CreateMode::CONTAINER)).unwrap();
    assert_eq!(lone.stat("/c").ephemeral_owner, SessionId::NONE);
    assert_eq!(lone.tree.next_due(), None);
    lone.create("/c/x");
    assert_eq!(lone.tree.next_due(), None);
    lone.write(&delete("/c/x")).unwrap();
    assert_eq!(lone.tree.next_due(), Some(WallTime::from_millis(i64::MIN)));
    assert_eq!(due(&lone, 0), ["/c"]);
    lone.create("/c/y");
    assert!(due(&lone, 0).is_empty());
    lone.write(&delete("/c/y")).unwrap();
    lone.step();
    let txn = lone.tree.prepare_reap(&mut lone.outstanding, lone.zxid, lone.time, &path("/c")).unwrap();
    assert_eq!(lone.tree.prepare_reap(&mut lone.outstanding, lone.zxid, lone.time, &path("/c")), None);
    lone.apply(SessionId::NONE, &txn).unwrap();
    assert!(!lone.has("/c"));
    assert_eq!(lone.tree.next_due(), None);
}

#[test]
fn a_ttl_node_goes_when_its_data_is_older_than_that() {
    let mut lone = Lone::new();
    let stat = match lone.write(&create("/t", ttl(100))).unwrap() {
        Written::Created { stat, .. } => stat,
        other => panic!("{other:?}"),
    };
    assert_eq!(stat.ephemeral_owner, SessionId::NONE);
    let born = lone.time.as_millis();
    assert!(due(&lone, born + 100).is_empty());
    assert_eq!(due(&lone, born + 101), ["/t"]);
    lone.write(&set("/t", "")).unwrap();
    assert!(due(&lone, born + 101).is_empty());
    assert_eq!(lone.tree.next_due(), Some(WallTime::from_millis(lone.time.as_millis() + 101)));
    lone.create("/t/child");
    assert_eq!(lone.tree.next_due(), None);
    lone.write(&delete("/t/child")).unwrap();
    assert_eq!(
        lone.tree.next_due(),
        Some(WallTime::from_millis(born + 10 + 101)),
        "children do not keep it alive"
    );
}

#[test]
fn what_is_outstanding_keeps_a_node_from_being_reaped() {
    let mut lone = Lone::new();
    lone.write(&create("/t", ttl(5))).unwrap();
    let late = WallTime::from_millis(lone.time.as_millis() + 1_000);
    assert_eq!(due(&lone, late.as_millis()), ["/t"]);
    lone.step();
    lone.tree.prepare(&mut lone.outstanding, &anyone(), lone.zxid, late, &set("/t", "x")).unwrap();
    assert_eq!(lone.tree.prepare_reap(&mut lone.outstanding, lone.zxid, late, &path("/t")), None);
    let later = WallTime::from_millis(late.as_millis() + 6);
    lone.tree
        .prepare(&mut lone.outstanding, &anyone(), lone.zxid, late, &create("/t/x", CreateMode::PERSISTENT))
        .unwrap();
    assert_eq!(lone.tree.prepare_reap(&mut lone.outstanding, lone.zxid, later, &path("/t")), None);
    for never in ["/", "/missing", "/zookeeper"] {
        assert_eq!(lone.tree.prepare_reap(&mut lone.outstanding, lone.zxid, later, &path(never)), None);
    }
}

#[test]
fn the_due_come_in_order_and_as_many_as_asked_for() {
    let mut lone = Lone::new();
    for (name, millis) in [("/late", 300), ("/soon", 100), ("/middle", 200)] {
        lone.write(&create(name, ttl(millis))).unwrap();
    }
    assert_eq!(due(&lone, i64::MAX), ["/soon", "/middle", "/late"]);
    assert_eq!(lone.tree.due(WallTime::from_millis(i64::MAX), 2).len(), 2);
    let copy = restore(&snapshot(&mut lone.tree, 50));
    assert_eq!(
        copy.due(WallTime::from_millis(i64::MAX), 9),
        lone.tree.due(WallTime::from_millis(i64::MAX), 9)
    );
}
