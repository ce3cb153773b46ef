//! What is replicated means the same everywhere: on the leader, on the wire, in the log, and at every server.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::cluster::{Cluster, sid};
use crate::codec;
use crate::peer::{Halt, State};
use crate::types::{
    Acl, CreateMode, Epoch, ErrorCode, Lifetime, NumberedRequest, Password, RequestId, SessionId,
    Transaction, Ttl, Txn, WallTime, ZnodePath, Zxid,
};

/// The number of its kind. Whoever adds a kind is told here by the compiler, and adds it to the history below.
fn kind(txn: &Txn) -> usize {
    match txn {
        Txn::Create { .. } => 0,
        Txn::Delete { .. } => 1,
        Txn::DeleteTree { .. } => 2,
        Txn::SetData { .. } => 3,
        Txn::SetAcl { .. } => 4,
        Txn::Check => 5,
        Txn::Multi(_) => 6,
        Txn::CreateSession { .. } => 7,
        Txn::CloseSession { .. } => 8,
        Txn::Refused(_) => 9,
        Txn::Repeated => 10,
    }
}

const KINDS: usize = 11;

fn path(path: &str) -> ZnodePath {
    ZnodePath::parse(path).unwrap()
}

fn node(at: &str, lifetime: Lifetime) -> Txn {
    Txn::Create { path: path(at), data: Some(Bytes::from_static(b"x")), acl: Acl::open(), lifetime }
}

/// A history with every kind of transaction in it.
fn history() -> Vec<Transaction> {
    let session = SessionId::from_u64(Zxid::new(Epoch::new(1), 1).as_u64());
    let ttl = Lifetime::Ttl(Ttl::new(Duration::from_secs(5)).unwrap());
    let txns = vec![
        Txn::CreateSession { timeout_millis: 4_000, password: Password::new([7; 16]) },
        node("/a", Lifetime::Persistent),
        node("/a/e", Lifetime::Ephemeral),
        node("/c", Lifetime::Container),
        node("/t", ttl),
        Txn::SetData { path: path("/a"), data: None, version: 1 },
        Txn::SetAcl { path: path("/a"), acl: Acl::read_only(), version: 1 },
        Txn::Check,
        Txn::Multi(vec![
            node("/c/m", Lifetime::Persistent),
            Txn::Delete { path: path("/t") },
            Txn::Check,
            Txn::SetData { path: path("/c/m"), data: Some(Bytes::from_static(b"y")), version: 1 },
        ]),
        Txn::Refused(ErrorCode::NoNode.into()),
        Txn::Repeated,
        Txn::DeleteTree { path: path("/c") },
        Txn::CloseSession { ephemerals: 1 },
        Txn::Delete { path: path("/a") },
    ];
    (1..)
        .zip(txns)
        .map(|(number, txn)| {
            let id = RequestId::new(if matches!(txn, Txn::Repeated) { number - 1 } else { number });
            let request = NumberedRequest { id, answered_below: RequestId::new(1) };
            let outside = matches!(txn, Txn::CreateSession { .. } | Txn::CloseSession { .. });
            Transaction {
                session,
                time: WallTime::from_millis(1_000 + number as i64),
                origin: None,
                request: Some(request).filter(|_| !outside),
                witness: None,
                txn,
            }
        })
        .collect()
}

#[test]
fn scn_48_every_kind_of_transaction_means_the_same_after_its_way_through_the_log() {
    let cluster = Cluster::running(1);
    let config = cluster.peer(sid(1)).config.clone();
    let (mut told, mut replayed) = (State::new(&config), State::new(&config));
    let (mut changes, mut changes_again) = (Vec::new(), Vec::new());
    let mut kinds = BTreeSet::new();
    for (counter, transaction) in (1..).zip(history()) {
        kinds.insert(kind(&transaction.txn));
        let zxid = Zxid::new(Epoch::new(1), counter);
        let logged = codec::encode(&transaction).unwrap();
        let again: Transaction = codec::decode(&logged).unwrap();
        assert_eq!(again, transaction);
        let answer = told.apply(zxid, &transaction, &mut changes);
        assert_eq!(replayed.apply(zxid, &again, &mut changes_again).result, answer.result, "{transaction:?}");
        let refused = matches!(transaction.txn, Txn::Refused(_) | Txn::Repeated);
        assert_eq!(answer.result.is_err(), refused, "{transaction:?}: {:?}", answer.result);
        assert_eq!(replayed.digest(), told.digest(), "{transaction:?}");
    }
    assert_eq!(changes, changes_again);
    assert_eq!(kinds.len(), KINDS, "of some kind there is no example");
}

#[test]
fn scn_62_a_server_whose_state_is_another_stops_at_the_next_comparison() {
    let mut cluster = Cluster::running(3);
    let leader = cluster.leader().unwrap();
    let wrong = [1, 2, 3].map(sid).into_iter().find(|server| *server != leader).unwrap();
    let writer = cluster.connect(leader);
    cluster.create(writer, "/before", CreateMode::PERSISTENT);
    let reader = cluster.connect(wrong);
    cluster.corrupt_state(wrong);
    cluster.may_halt = Some(wrong);
    cluster.create(writer, "/one", CreateMode::PERSISTENT);
    cluster.create(writer, "/two", CreateMode::PERSISTENT);
    cluster.run_until("it has stopped", |c| c.halted.is_some());
    assert!(matches!(cluster.halted, Some(Halt::Diverged { .. })), "{:?}", cluster.halted);
    assert!(!cluster.status(wrong).serving && cluster.clients[&reader].closed.is_some());
    cluster.create(writer, "/three", CreateMode::PERSISTENT);
    cluster.run_for(Duration::from_millis(100));
    let digests = [1, 2, 3].map(sid).into_iter().filter(|server| *server != wrong);
    let digests: BTreeSet<u64> = digests.map(|server| cluster.status(server).digest).collect();
    assert_eq!(digests.len(), 1, "the others go on, and are alike");
}
