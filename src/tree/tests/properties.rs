//! Random histories against the naive model.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::codec;
use crate::types::{Lifetime, Ttl};

use super::model::Model;
use super::*;

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Write(Caller, Write),
    Close(SessionId),
    /// Offer every due node to the reaper.
    Reap,
    Read(Caller, Read),
}

/// What the leader decided, with what it will come to.
type Decision = (Zxid, Transaction, Result<Written, Refusal>);

fn some_caller() -> impl Strategy<Value = Caller> {
    prop_oneof![
        3 => (1..4_u64).prop_map(|number| Caller { session: session(number), identities: Vec::new() }),
        2 => (1..4_u64).prop_map(|number| digest_caller(number, "ann:h")),
        1 => (1..4_u64).prop_map(|number| digest_caller(number, "ben:h")),
    ]
}

fn some_path() -> impl Strategy<Value = String> {
    let element = prop_oneof![4 => Just("a"), 4 => Just("b"), 2 => Just("c"), 1 => Just("a0000000001")];
    prop_oneof![
        12 => vec(element, 1..4).prop_map(|elements| format!("/{}", elements.join("/"))),
        1 => prop_oneof![
            Just(""), Just("/"), Just("a"), Just("/a/"), Just("//a"), Just("/a/../b"), Just("/a\u{1}"),
            Just("/zookeeper"), Just("/zookeeper/quota"), Just("/zookeeper/quota/a"), Just("/zookeeper/config"),
        ].prop_map(str::to_owned),
    ]
}

fn some_acl() -> impl Strategy<Value = Acl> {
    prop_oneof![
        8 => Just(Acl::open()),
        1 => Just(Acl::read_only()),
        2 => Just(Acl::creator_only()),
        1 => Just(Acl::new([])),
    ]
}

fn some_mode() -> impl Strategy<Value = CreateMode> {
    let ttl = (1..200_u64).prop_map(|millis| Ttl::new(std::time::Duration::from_millis(millis)).unwrap());
    let lifetime = prop_oneof![
        4 => Just(Lifetime::Persistent),
        3 => Just(Lifetime::Ephemeral),
        1 => Just(Lifetime::Container),
        1 => ttl.prop_map(Lifetime::Ttl),
    ];
    (lifetime, any::<bool>()).prop_map(|(lifetime, sequential)| CreateMode { lifetime, sequential })
}

fn some_data() -> impl Strategy<Value = Option<Bytes>> {
    proptest::option::of(vec(any::<u8>(), 0..20).prop_map(Bytes::from))
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![3 => Just(Expected::Any), 1 => (0..3).prop_map(Expected::Version)]
}

fn single() -> impl Strategy<Value = Write> {
    prop_oneof![
        8 => (some_path(), some_data(), some_acl(), some_mode())
            .prop_map(|(path, data, acl, mode)| Write::Create { path: path.into(), data, acl, mode }),
        4 => (some_path(), expected()).prop_map(|(path, expected)| Write::Delete { path: path.into(), expected }),
        1 => (some_path(), 0..6_u32).prop_map(|(path, limit)| Write::DeleteTree { path: path.into(), limit }),
        3 => (some_path(), some_data(), expected())
            .prop_map(|(path, data, expected)| Write::SetData { path: path.into(), data, expected }),
        1 => (some_path(), some_acl(), expected())
            .prop_map(|(path, acl, expected)| Write::SetAcl { path: path.into(), acl, expected }),
        1 => (some_path(), expected()).prop_map(|(path, expected)| Write::Check { path: path.into(), expected }),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![5 => single(), 1 => vec(single(), 0..5).prop_map(Write::Multi)]
}

fn one_read() -> impl Strategy<Value = Read> {
    (some_path(), 0..5).prop_map(|(path, kind)| {
        let path = path.into();
        match kind {
            0 => Read::Get { path },
            1 => Read::Exists { path },
            2 => Read::Children { path },
            3 => Read::CountDescendants { path },
            _ => Read::Ephemerals { prefix: path },
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (some_caller(), write()).prop_map(|(caller, write)| Step::Write(caller, write)),
        1 => (1..4_u64).prop_map(|number| Step::Close(session(number))),
        1 => Just(Step::Reap),
        4 => (some_caller(), one_read()).prop_map(|(caller, read)| Step::Read(caller, read)),
        1 => (some_caller(), vec(one_read(), 0..4))
            .prop_map(|(caller, reads)| Step::Read(caller, Read::Many(reads))),
    ]
}

/// Lets the leader decide a step as `zxid`, and the model say what must come of it.
fn decide(
    tree: &Tree,
    outstanding: &mut Outstanding,
    model: &mut Model,
    zxid: Zxid,
    time: WallTime,
    step: &Step,
) -> Vec<Decision> {
    match step {
        Step::Write(caller, write) => {
            let expected = model.write(caller, zxid, time, write);
            let txn = match tree.prepare(outstanding, caller, zxid, time, write) {
                Ok(txn) => txn,
                Err(refusal) => Txn::Refused(refusal),
            };
            vec![(zxid, transaction(caller.session, time, txn), expected)]
        }
        Step::Close(session) => {
            let ephemerals = tree.prepare_close(outstanding, zxid, *session);
            assert_eq!(ephemerals, model.close(*session, zxid));
            let txn = Txn::CloseSession { ephemerals: ephemerals.len() as u64 };
            vec![(zxid, transaction(*session, time, txn), Ok(Written::Checked))]
        }
        Step::Reap => {
            // Those that the applied tree offers; the outstanding transactions may have changed their minds.
            let due = tree.due(time, usize::MAX);
            let mut decisions = Vec::new();
            for path in due {
                let txn = tree.prepare_reap(outstanding, zxid, time, &path);
                assert_eq!(txn.is_some(), model.reap(path.as_str(), time, zxid), "{path}");
                if let Some(txn) = txn {
                    decisions.push((zxid, transaction(SessionId::NONE, time, txn), Ok(Written::Deleted)));
                }
            }
            decisions
        }
        Step::Read(..) => Vec::new(),
    }
}

fn apply(tree: &mut Tree, changes: &mut Vec<Change>, (zxid, entry, expected): &Decision) {
    let written = tree.apply(*zxid, entry.session, entry.time, &entry.txn, changes);
    assert_eq!(&written, expected, "{:?}", entry.txn);
}

/// Runs `steps` with up to `depth` transactions outstanding, and one replica that gets them from the log's bytes.
fn run(steps: &[Step], depth: usize) -> (Tree, Vec<Change>) {
    let mut tree = Tree::new(TreeLimits::default());
    let mut replica = Tree::new(TreeLimits { lookup_seed: 99, ..TreeLimits::default() });
    let mut outstanding = Outstanding::new();
    let mut model = Model::new();
    let mut pending = std::collections::VecDeque::new();
    let (mut changes, mut replica_changes) = (Vec::new(), Vec::new());
    for (step, counter) in steps.iter().zip(1..) {
        let time = WallTime::from_millis(i64::from(counter) * 20);
        for decision in decide(&tree, &mut outstanding, &mut model, zxid(counter), time, step) {
            let bytes = codec::encode(&decision.1).unwrap();
            let logged: Transaction = codec::decode(&bytes).unwrap();
            assert_eq!(logged, decision.1);
            let _ = replica.apply(decision.0, logged.session, logged.time, &logged.txn, &mut replica_changes);
            pending.push_back(decision);
        }
        let keep = if matches!(step, Step::Read(..)) { 0 } else { depth };
        while pending.len() > keep {
            let decision = pending.pop_front().unwrap();
            apply(&mut tree, &mut changes, &decision);
            if pending.front().is_none_or(|next| next.0 > decision.0) {
                outstanding.retire(decision.0);
            }
        }
        if let Step::Read(caller, read) = step {
            assert_eq!(tree.read(caller, read), model.read(caller, read), "{read:?}");
        }
    }
    while let Some(decision) = pending.pop_front() {
        apply(&mut tree, &mut changes, &decision);
        outstanding.retire(decision.0);
    }
    assert!(outstanding.is_empty());
    assert_eq!(replica.digest(), tree.digest());
    assert_eq!(contents(&replica), contents(&tree));
    assert_eq!(replica_changes, changes);
    (tree, changes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_answer_is_the_models_however_many_writes_are_outstanding(
        steps in vec(step(), 1..80),
        depth in 0..12_usize,
    ) {
        let (mut tree, _) = run(&steps, depth);
        let digest = tree.digest();
        prop_assert_eq!(digest_from_scratch(&mut tree), digest);
        let names = |tree: &Tree| tree.slab.len();
        prop_assert_eq!(contents(&tree).len(), names(&tree));
    }

    #[test]
    fn a_snapshot_shows_the_state_at_its_beginning_whatever_happens_meanwhile(
        before in vec(step(), 1..60),
        meanwhile in vec((step(), 0..3_usize), 1..60),
        chunk in 1..300_usize,
    ) {
        let mut lone = Lone::new();
        let act = |lone: &mut Lone, step: &Step| match step {
            Step::Write(caller, write) => drop(lone.write_as(caller, write)),
            Step::Close(session) => drop(lone.close(*session)),
            Step::Reap | Step::Read(..) => {}
        };
        before.iter().for_each(|step| act(&mut lone, step));
        let (digest, expected) = (lone.tree.digest(), contents(&lone.tree));
        lone.tree.begin_snapshot();
        let mut bytes = Vec::new();
        for (step, chunks) in &meanwhile {
            act(&mut lone, step);
            for _ in 0..*chunks {
                bytes.extend(lone.tree.next_snapshot_chunk(chunk).into_iter().flatten());
            }
        }
        while let Some(chunk) = lone.tree.next_snapshot_chunk(chunk) {
            bytes.extend_from_slice(&chunk);
        }
        let restored = restore(&bytes);
        prop_assert_eq!(restored.digest(), digest);
        prop_assert_eq!(contents(&restored), expected);
        // The tree itself has suffered nothing by it.
        let digest = lone.tree.digest();
        prop_assert_eq!(digest_from_scratch(&mut lone.tree), digest);
    }

    #[test]
    fn a_restored_tree_goes_on_like_the_original(before in vec(step(), 1..60), after in vec(step(), 1..40)) {
        let mut original = Lone::new();
        let act = |lone: &mut Lone, step: &Step| match step {
            Step::Write(caller, write) => lone.write_as(caller, write).map(Some),
            Step::Close(session) => {
                lone.close(*session);
                Ok(None)
            }
            Step::Reap | Step::Read(..) => Ok(None),
        };
        for step in &before {
            let _ = act(&mut original, step);
        }
        let bytes = snapshot(&mut original.tree, 1000);
        let mut copy = Lone { tree: restore(&bytes), outstanding: Outstanding::new(), changes: Vec::new(), ..original };
        original.changes.clear();
        for step in &after {
            prop_assert_eq!(act(&mut original, step), act(&mut copy, step));
        }
        prop_assert_eq!(original.tree.digest(), copy.tree.digest());
        prop_assert_eq!(original.changes, copy.changes);
        let now = WallTime::from_millis(1 << 40);
        let sorted = |tree: &Tree| { let mut due = tree.due(now, 1000); due.sort(); due };
        prop_assert_eq!(sorted(&original.tree), sorted(&copy.tree));
    }

    #[test]
    fn sequence_numbers_never_repeat(deletes in vec(any::<bool>(), 1..100)) {
        let mut lone = Lone::new();
        lone.create("/q");
        let mut seen = std::collections::BTreeSet::new();
        for delete_it in deletes {
            let Ok(Written::Created { path, .. }) = lone.write(&create("/q/n-", CreateMode::EPHEMERAL_SEQUENTIAL))
            else { panic!() };
            prop_assert!(seen.insert(path.clone()));
            if delete_it {
                lone.write(&delete(path.as_str())).unwrap();
            }
            if seen.len() % 10 == 0 {
                let bytes = snapshot(&mut lone.tree, 100);
                lone.tree = restore(&bytes);
            }
        }
        prop_assert!(seen.iter().is_sorted());
    }
}
