use std::collections::BTreeSet;
use std::time::Duration;

use crate::tree::{Outstanding, Tree, TreeLimits};
use crate::types::{
    ChildCursor, CreateMode, Epoch, Expected, Identity, NumberedRequest, Origin, Password, SeededRng, Ttl,
    WallTime, Write,
};

use super::*;

pub(super) fn zxid(counter: u32) -> Zxid {
    Zxid::new(Epoch::new(1), counter)
}

pub(super) fn session(counter: u32) -> SessionId {
    SessionId::from_u64(zxid(counter).as_u64())
}

fn transaction(session: SessionId, txn: Txn) -> Transaction {
    let time = WallTime::from_millis(1_000);
    Transaction { session, time, origin: None, request: None, witness: None, txn }
}

fn begins() -> Txn {
    Txn::CreateSession { timeout_millis: 1_000, password: Password::new([0; 16]) }
}

fn create(path: &str, lifetime: Lifetime) -> Txn {
    Txn::Create { path: path.parse().unwrap(), data: None, acl: Acl::open(), lifetime }
}

fn delete(path: &str) -> Txn {
    Txn::Delete { path: path.parse().unwrap() }
}

/// Sessions 1.1 and 1.2 have begun.
fn chronicle() -> Chronicle {
    let mut chronicle = Chronicle::new(Coverage::new());
    for counter in [1, 2] {
        chronicle.add(zxid(counter), &transaction(session(counter), begins())).unwrap();
    }
    chronicle
}

/// A chronicle in which session 1.1 did all this, one after the other; the first is at 1.2.
pub(super) fn history(txns: Vec<Txn>) -> Chronicle {
    let mut chronicle = Chronicle::new(Coverage::new());
    for (txn, counter) in [begins()].into_iter().chain(txns).zip(1..) {
        chronicle.add(zxid(counter), &transaction(session(1), txn)).unwrap();
    }
    chronicle
}

#[track_caller]
fn broken(chronicle: &mut Chronicle, counter: u32, transaction: &Transaction) -> &'static str {
    chronicle.add(zxid(counter), transaction).unwrap_err().0
}

fn numbered(id: u64, txn: Txn) -> Transaction {
    let request = NumberedRequest { id: RequestId::new(id), answered_below: RequestId::new(0) };
    Transaction { request: Some(request), ..transaction(session(1), txn) }
}

#[test]
fn a_session_that_never_began_or_has_ended_does_nothing() {
    let mut chronicle = chronicle();
    let stranger = transaction(session(9), create("/a", Lifetime::Persistent));
    assert_eq!(broken(&mut chronicle, 3, &stranger), "SessionLives");
    let end = Txn::CloseSession { ephemerals: 0 };
    chronicle.add(zxid(3), &transaction(session(1), end)).unwrap();
    let late = transaction(session(1), create("/a", Lifetime::Persistent));
    assert_eq!(broken(&mut chronicle, 4, &late), "SessionLives");
}

#[test]
fn a_session_has_the_zxid_of_its_creation_for_its_id() {
    assert_eq!(broken(&mut chronicle(), 3, &transaction(session(2), begins())), "SessionUnique");
}

#[test]
fn a_connection_that_gets_two_sessions_is_found() {
    let mut chronicle = Chronicle::new(Coverage::new());
    let origin = Some(Origin { server: ServerId::new(1), client: ClientId::new(7), number: 9 });
    let begins = |counter| Transaction { origin, ..transaction(session(counter), begins()) };
    chronicle.add(zxid(1), &begins(1)).unwrap();
    assert_eq!(broken(&mut chronicle, 2, &begins(2)), "SessionUnique");
}

#[test]
fn requests_that_are_executed_out_of_order_or_twice_are_found() {
    let mut chronicle = chronicle();
    chronicle.add(zxid(3), &numbered(7, create("/a", Lifetime::Persistent))).unwrap();
    assert_eq!(broken(&mut chronicle, 4, &numbered(6, Txn::Check)), "SessionOrder");
    assert_eq!(broken(&mut chronicle, 4, &numbered(7, delete("/a"))), "SessionOrder");
    assert_eq!(broken(&mut chronicle, 4, &numbered(8, Txn::Repeated)), "SessionOrder");
}

#[test]
fn a_write_that_is_sent_again_has_its_first_answer() {
    let mut chronicle = chronicle();
    chronicle.add(zxid(3), &numbered(7, create("/a", Lifetime::Persistent))).unwrap();
    chronicle.add(zxid(4), &transaction(session(2), delete("/a"))).unwrap();
    chronicle.add(zxid(5), &numbered(7, Txn::Repeated)).unwrap();
    let outcome = |counter| chronicle.at(zxid(counter)).unwrap().outcome.clone().unwrap();
    assert_eq!(outcome(3), outcome(5));
    assert!(matches!(outcome(5), Ok(Written::Created { .. })));
}

#[test]
fn a_session_that_ends_takes_all_its_ephemerals_along() {
    let mut chronicle = chronicle();
    chronicle.add(zxid(3), &transaction(session(1), create("/mine", Lifetime::Ephemeral))).unwrap();
    chronicle.add(zxid(4), &transaction(session(2), create("/other", Lifetime::Ephemeral))).unwrap();
    let forgetful = transaction(session(1), Txn::CloseSession { ephemerals: 0 });
    assert_eq!(broken(&mut chronicle, 5, &forgetful), "EphemeralsEnd");
    chronicle.add(zxid(5), &transaction(session(1), Txn::CloseSession { ephemerals: 1 })).unwrap();
    assert!(chronicle.lookup("/mine", zxid(5)).is_none());
    assert!(chronicle.lookup("/mine", zxid(4)).is_some(), "the past does not change");
    assert!(chronicle.lookup("/other", zxid(5)).is_some());
}

#[test]
fn what_does_not_fit_the_tree_is_found() {
    let mut chronicle = chronicle();
    chronicle.add(zxid(3), &transaction(session(1), create("/a", Lifetime::Ephemeral))).unwrap();
    chronicle.add(zxid(4), &transaction(session(1), create("/b", Lifetime::Persistent))).unwrap();
    chronicle.add(zxid(5), &transaction(session(1), create("/b/c", Lifetime::Persistent))).unwrap();
    for txn in [
        create("/a", Lifetime::Persistent),
        create("/a/below", Lifetime::Persistent),
        create("/none/below", Lifetime::Persistent),
        delete("/none"),
        delete("/b"),
        Txn::Multi(vec![Txn::Check, delete("/b")]),
    ] {
        assert_eq!(broken(&mut chronicle, 6, &transaction(session(1), txn)), "TreeRules");
    }
}

#[test]
fn a_version_that_does_not_grow_by_one_is_found() {
    let mut chronicle = chronicle();
    chronicle.add(zxid(3), &transaction(session(1), create("/a", Lifetime::Persistent))).unwrap();
    let set = |version| Txn::SetData { path: "/a".parse().unwrap(), data: None, version };
    assert_eq!(broken(&mut chronicle, 4, &transaction(session(1), set(2))), "StatRules");
    let protect = Txn::SetAcl { path: "/a".parse().unwrap(), acl: Acl::open(), version: 0 };
    assert_eq!(broken(&mut chronicle, 4, &transaction(session(1), protect)), "StatRules");
}

#[test]
fn the_quorum_by_itself_removes_only_what_is_due() {
    let mut chronicle = chronicle();
    let ttl = Lifetime::Ttl(Ttl::new(Duration::from_millis(10)).unwrap());
    for (counter, path, lifetime) in
        [(3, "/plain", Lifetime::Persistent), (4, "/container", Lifetime::Container), (5, "/ttl", ttl)]
    {
        chronicle.add(zxid(counter), &transaction(session(1), create(path, lifetime))).unwrap();
    }
    let own = |txn| transaction(SessionId::NONE, txn);
    for path in ["/plain", "/container", "/ttl"] {
        assert_eq!(broken(&mut chronicle, 6, &own(delete(path))), "OwnDeeds");
    }
    assert_eq!(broken(&mut chronicle, 6, &own(create("/b", Lifetime::Persistent))), "OwnDeeds");
    let late = Transaction { time: WallTime::from_millis(1_011), ..own(delete("/ttl")) };
    chronicle.add(zxid(6), &late).unwrap();
}

#[test]
fn an_undecodable_transaction_is_found() {
    use super::super::check::{Cluster, Seen};
    use crate::types::{LogEntry, LogOp, ServerId, WriteBatch};
    let mut cluster = Cluster::default();
    let entry = LogEntry { zxid: zxid(1), payload: bytes::Bytes::from_static(b"\xff\xff nonsense") };
    let batch = WriteBatch { ops: vec![LogOp::Append(vec![entry])] };
    let server = ServerId::new(1);
    cluster.update(server, &Seen::Writing(&batch));
    let history = cluster.servers.get(&server).unwrap().asked.clone();
    cluster.ghost.join(&history, Zxid::ZERO, zxid(1)).unwrap();
    assert_eq!(Chronicle::new(Coverage::new()).follow(&cluster.ghost).unwrap_err().0, "Decodable");
}

fn random_write(rng: &mut SeededRng, depth: u32) -> Write {
    let mut path = String::new();
    for _ in 0..1 + rng.below(3) {
        path.push_str(["/a", "/b", "/c"][rng.below(3) as usize]);
    }
    let path = path.as_str().into();
    let data = Some(bytes::Bytes::from(rng.next_u64().to_string()));
    let acl = if rng.chance(1, 5) { Acl::creator_only() } else { Acl::open() };
    match rng.below(10 - u64::from(depth)) {
        0..=3 => {
            let mode = [CreateMode::PERSISTENT, CreateMode::EPHEMERAL, CreateMode::PERSISTENT_SEQUENTIAL]
                [rng.below(3) as usize];
            Write::Create { path, data, acl, mode }
        }
        4 | 5 => Write::SetData { path, data, expected: Expected::Any },
        6 => Write::Delete { path, expected: Expected::Any },
        7 => Write::SetAcl { path, acl, expected: Expected::Any },
        8 => Write::DeleteTree { path, limit: 100 },
        _ => Write::Multi((0..rng.below(4)).map(|_| random_write(rng, 1)).collect()),
    }
}

fn reads() -> Vec<Read> {
    let mut reads = Vec::new();
    for path in ["/", "/a", "/a/b", "/a/b/c", "/c", "/zookeeper", "no path"] {
        let path: crate::types::RequestPath = path.into();
        reads.extend([
            Read::Get { path: path.clone() },
            Read::Exists { path: path.clone() },
            Read::Children { path: path.clone() },
            Read::ChildrenPage { path: path.clone(), after: Some(ChildCursor::new(3)), limit: 2 },
            Read::Acl { path: path.clone() },
            Read::Ephemerals { prefix: path.clone() },
            Read::CountDescendants { path },
        ]);
    }
    reads
}

/// The servers' tree and the simple one are written apart; where they differ, one of them is wrong.
#[test]
fn the_simple_tree_shows_at_every_past_position_what_the_servers_tree_showed_then() {
    for seed in 0..20 {
        let rng = &mut SeededRng::from_number(seed);
        let mut chronicle = chronicle();
        let (mut tree, mut outstanding) = (Tree::new(TreeLimits::default()), Outstanding::new());
        let ann = Identity::new("digest", "ann:hash");
        let callers = [vec![], vec![ann]].map(|identities| Caller { session: session(1), identities });
        let mut shown = Vec::new();
        for counter in 3..150 {
            let caller = &callers[rng.below(2) as usize];
            let write = random_write(rng, 0);
            let time = WallTime::from_millis(1_000);
            let prepared = tree.prepare(&mut outstanding, caller, zxid(counter), time, &write);
            let txn = prepared.unwrap_or_else(Txn::Refused);
            let mut changes = Vec::new();
            let outcome = tree.apply(zxid(counter), session(1), time, &txn, &mut changes);
            outstanding.retire(zxid(counter));
            chronicle.add(zxid(counter), &transaction(session(1), txn)).unwrap();
            let entry = chronicle.at(zxid(counter)).unwrap();
            assert_eq!(entry.outcome, Some(outcome), "seed {seed} at {counter}");
            assert_eq!(entry.changes.len(), changes.len());
            for read in reads() {
                let caller = callers[rng.below(2) as usize].clone();
                shown.push((zxid(counter), tree.read(&caller, &read), caller, read));
            }
        }
        for (zxid, found, caller, read) in shown {
            assert_eq!(chronicle.read(&caller, zxid, &read), Some(found), "seed {seed}: {read:?} at {zxid}");
        }
    }
}

#[test]
fn the_simple_tree_refuses_several_reads_that_find_too_much_as_the_servers_tree_does() {
    let mut chronicle = chronicle();
    let (mut tree, mut outstanding) = (Tree::new(TreeLimits::default()), Outstanding::new());
    let caller = Caller { session: session(1), identities: Vec::new() };
    let time = WallTime::from_millis(1_000);
    for (counter, name, len) in [(3, "/large", 1 << 20), (4, "/rest", (1 << 20) - 300), (5, "/a", 40)] {
        let data = Some(vec![7; len].into());
        let write = Write::Create { path: name.into(), data, acl: Acl::open(), mode: CreateMode::EPHEMERAL };
        let txn = tree.prepare(&mut outstanding, &caller, zxid(counter), time, &write).unwrap();
        tree.apply(zxid(counter), session(1), time, &txn, &mut Vec::new()).unwrap();
        outstanding.retire(zxid(counter));
        chronicle.add(zxid(counter), &transaction(session(1), txn)).unwrap();
    }
    // Beside these there is room for 300 bytes in four MiB.
    let mut all = vec![Read::Get { path: "/large".into() }; 3];
    all.push(Read::Get { path: "/rest".into() });
    let mut refused = BTreeSet::new();
    let of_two_nodes = reads().into_iter().take(14);
    for read in of_two_nodes {
        let mut all = all.clone();
        for count in 1..=100 {
            all.push(read.clone());
            let many = Read::Many(all.clone());
            let found = tree.read(&caller, &many);
            if found.is_err() {
                refused.insert(format!("{:?}", std::mem::discriminant(&read)));
            }
            assert!(chronicle.read(&caller, zxid(5), &many) == Some(found), "{count} of {read:?}");
        }
    }
    assert_eq!(refused.len(), 6, "all kinds of reads but Exists were refused: {refused:?}");
}
