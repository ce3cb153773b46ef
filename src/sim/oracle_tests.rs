use bytes::Bytes;

use crate::codec;
use crate::peer::{ClientRequest, Connect, Connected, Role};
use crate::types::{
    Acl, AclEntry, CreateMode, Epoch, ErrorCode, Found, Identity, Lifetime, LogEntry, LogOp, Origin,
    Password, Permissions, Read, Recovered, Standing, Stat, Transaction, Txn, WallTime, WatchEventKind,
    WriteBatch,
};

use super::*;

const A: ServerId = ServerId::new(1);
const CLIENT: ClientId = ClientId::new(1);

/// One server with one client, that does what the test says. 1.1 is the client's session, 1.2 the node `/a`.
struct Script {
    oracle: Oracle,
    checker: Checker,
}

impl Script {
    fn new() -> Self {
        let checker = Checker::new([(A, true)]);
        let oracle = Oracle::new(&Limits { requests_per_client: 2, ..Limits::default() }, Coverage::new());
        let script = Self { oracle, checker };
        let recovered = Recovered {
            accepted_epoch: Epoch::ZERO,
            current_epoch: Epoch::ZERO,
            snapshot: None,
            log_start: Zxid::ZERO,
            log: Vec::new(),
            standing: Standing::Whole,
        };
        script.sees(&Seen::Recovered(&recovered));
        let epoch = Epoch::new(1);
        script.persists(vec![LogOp::AcceptedEpoch(epoch), LogOp::CurrentEpoch(epoch)]);
        let session = Txn::CreateSession { timeout_millis: 1_000, password: Password::new([0; 16]) };
        script.commits(1, session);
        let (timeout_millis, last_seen, identities) = (1_000, Zxid::ZERO, Vec::new());
        let connect = Connect { client: CLIENT, resume: None, timeout_millis, last_seen, identities };
        script.oracle.input(A, &Input::Connect(connect));
        let password = Password::new([0; 16]);
        let session = session_of(1);
        let connected = Connected { client: CLIENT, session, password, timeout_millis, resumed: false };
        script.output(&Output::Connected(connected));
        script.commits(2, create("/a"));
        script.expect_sound();
        script
    }

    fn sees(&self, seen: &Seen<'_>) {
        self.checker.see(Time::ZERO, A, seen);
    }

    fn persists(&self, ops: Vec<LogOp>) {
        self.sees(&Seen::Writing(&WriteBatch { ops }));
        self.sees(&Seen::Written);
    }

    fn commits(&self, counter: u32, txn: Txn) {
        self.commits_through(counter, None, txn);
    }

    /// Commits what came through this client of this server.
    fn commits_through(&self, counter: u32, through: Option<(ServerId, ClientId)>, txn: Txn) {
        let transaction = Transaction {
            session: session_of(1),
            time: WallTime::from_millis(5),
            origin: through.map(|(server, client)| Origin { server, client, number: counter.into() }),
            request: None,
            witness: None,
            txn,
        };
        let payload = codec::encode(&transaction).unwrap();
        self.persists(vec![LogOp::Append(vec![LogEntry { zxid: at(counter), payload }])]);
        self.sees(&Seen::Status(&status(counter, 0)));
    }

    fn turns(&self, counter: u32, znodes: u64) {
        self.oracle.applied(Time::ZERO, &status(counter, znodes), &self.checker);
    }

    fn asks(&self, tag: u64, request: Request) {
        let request = ClientRequest { client: CLIENT, tag, request };
        self.oracle.input(A, &Input::Request(request));
    }

    fn reads(&self, tag: u64, path: &str, watch: bool) {
        let read = Read::Get { path: path.into() };
        self.asks(tag, Request::Read { read, level: ReadLevel::Session, watch });
    }

    fn writes(&self, tag: u64, path: &str) {
        let (path, acl, mode) = (path.into(), Acl::open(), CreateMode::PERSISTENT);
        let write = Write::Create { path, data: None, acl, mode };
        self.asks(tag, Request::Write { write, number: None });
    }

    fn replies(&self, tag: u64, counter: u32, result: Result<Answer, ErrorCode>) {
        let result = result.map_err(Into::into);
        self.output(&Output::Reply(Reply { client: CLIENT, tag, zxid: at(counter), result }));
    }

    fn tells(&self, counter: u32, kind: WatchEventKind, path: &str) {
        let event = WatchEvent { zxid: at(counter), kind, path: path.parse().unwrap() };
        self.output(&Output::Watch { client: CLIENT, event });
    }

    fn output(&self, output: &Output) {
        self.oracle.output(Time::ZERO, A, output, &self.checker);
    }

    #[track_caller]
    fn expect_sound(&self) {
        assert_eq!(self.checker.failure(), None);
    }

    #[track_caller]
    fn expect_violation(&self, expected: &str) {
        match self.checker.failure() {
            Some(Failure::Violated { invariant, .. }) => assert_eq!(invariant, expected),
            other => panic!("{expected} was not found violated, but {other:?}"),
        }
    }
}

fn at(counter: u32) -> Zxid {
    Zxid::new(Epoch::new(1), counter)
}

fn session_of(counter: u32) -> SessionId {
    SessionId::from_u64(at(counter).as_u64())
}

fn create(path: &str) -> Txn {
    let (data, acl, lifetime) = (None, Acl::open(), Lifetime::Persistent);
    Txn::Create { path: path.parse().unwrap(), data, acl, lifetime }
}

fn set(path: &str, version: i32) -> Txn {
    Txn::SetData { path: path.parse().unwrap(), data: Some(Bytes::from_static(b"new")), version }
}

fn status(counter: u32, znodes: u64) -> Status {
    Status {
        server: A,
        role: Role::Leading,
        serving: true,
        leader: Some(A),
        epoch: Epoch::new(1),
        logged: at(counter),
        committed: at(counter),
        applied: at(counter),
        digest: counter.into(),
        znodes,
        sessions: 1,
        clients: 1,
        watches: 0,
        learners: Vec::new(),
    }
}

/// The stat of a node as its creation makes it.
fn stat(counter: u32) -> Stat {
    Stat {
        czxid: at(counter),
        mzxid: at(counter),
        pzxid: at(counter),
        ctime: WallTime::from_millis(5),
        mtime: WallTime::from_millis(5),
        version: 0,
        cversion: 0,
        aversion: 0,
        ephemeral_owner: SessionId::NONE,
        data_length: 0,
        num_children: 0,
    }
}

fn found(stat: Stat) -> Result<Answer, ErrorCode> {
    Ok(Answer::Found(Found::Data { data: None, stat }))
}

fn created(path: &str, stat: Stat) -> Result<Answer, ErrorCode> {
    Ok(Answer::Written(Written::Created { path: path.parse().unwrap(), stat }))
}

#[test]
fn replies_that_show_what_was_committed_are_sound() {
    let script = Script::new();
    script.reads(1, "/a", false);
    script.replies(1, 2, found(stat(2)));
    script.reads(2, "/none", false);
    script.replies(2, 2, Err(ErrorCode::NoNode));
    script.writes(3, "/b");
    script.commits(3, create("/b"));
    script.replies(3, 3, created("/b", stat(3)));
    script.turns(3, 6);
    script.expect_sound();
}

/// A multi makes a sequential node below `/a`, and then another `/a`; its client is told this path of the first.
fn makes_and_replaces(told: &str) -> Script {
    let script = Script::new();
    let (acl, mode) = (Acl::open(), CreateMode { sequential: true, ..CreateMode::PERSISTENT });
    let make = Write::Create { path: "/a/n".into(), data: None, acl: acl.clone(), mode };
    let delete = Write::DeleteTree { path: "/a".into(), limit: 5 };
    let again = Write::Create { path: "/a".into(), data: None, acl, mode: CreateMode::PERSISTENT };
    script.asks(1, Request::Write { write: Write::Multi(vec![make, delete, again]), number: None });
    let delete = Txn::DeleteTree { path: "/a".parse().unwrap() };
    script.commits(3, create("/a/n0000000000"));
    script.commits(4, Txn::Multi(vec![create(told), delete, create("/a")]));
    let created = |path: &str| Written::Created { path: path.parse().unwrap(), stat: stat(4) };
    let written = vec![created(told), Written::TreeDeleted { count: 3 }, created("/a")];
    script.replies(1, 4, Ok(Answer::Written(Written::Multi(written))));
    script
}

#[test]
fn the_number_of_a_node_whose_parent_its_multi_replaces_is_that_of_the_parent_before() {
    makes_and_replaces("/a/n0000000001").expect_sound();
    makes_and_replaces("/a/n0000000004").expect_violation("WritesHistory");
}

#[test]
fn a_write_that_became_something_else_or_was_refused_without_a_reason_is_found() {
    let script = Script::new();
    script.writes(1, "/b");
    let (path, acl, lifetime) = ("/b".parse().unwrap(), Acl::read_only(), Lifetime::Persistent);
    script.commits(3, Txn::Create { path, data: None, acl, lifetime });
    script.replies(1, 3, created("/b", stat(3)));
    script.expect_violation("DoneAsAsked");
    for (path, found) in [("/a", None), ("/b", Some("RefusedForReason"))] {
        let script = Script::new();
        script.writes(1, path);
        script.commits(3, Txn::Refused(ErrorCode::NodeExists.into()));
        script.replies(1, 3, Err(ErrorCode::NodeExists));
        match found {
            Some(invariant) => script.expect_violation(invariant),
            None => script.expect_sound(),
        }
    }
}

#[test]
fn scn_64_a_write_that_a_session_did_not_make_through_its_owner_is_found() {
    let script = Script::new();
    let (old, new) = ((A, CLIENT), (ServerId::new(2), ClientId::new(7)));
    let (session, password, timeout_millis) = (session_of(1), Password::new([0; 16]), 1_000);
    let (resume, last_seen, identities) = (Some((session, password)), Zxid::ZERO, Vec::new());
    let connect = Connect { client: new.1, resume, timeout_millis, last_seen, identities };
    script.oracle.input(new.0, &Input::Connect(connect));
    let connected = Connected { client: new.1, session, password, timeout_millis, resumed: true };
    script.oracle.output(Time::ZERO, new.0, &Output::Connected(connected), &script.checker);
    script.commits_through(3, Some(old), create("/late"));
    script.commits_through(4, Some(new), create("/b"));
    script.expect_sound();
    script.oracle.input(A, &Input::Disconnect(CLIENT));
    script.turns(4, 7);
    script.expect_sound();
    script.commits_through(5, Some(old), create("/too-late"));
    script.turns(5, 8);
    script.expect_violation("SessionOwner");
}

#[test]
fn a_read_that_differs_from_the_history_in_one_field_is_found() {
    let script = Script::new();
    script.reads(1, "/a", false);
    script.replies(1, 2, found(Stat { cversion: 1, ..stat(2) }));
    script.expect_violation("ReadsHistory");
}

#[test]
fn a_read_of_a_later_state_than_it_says_is_found() {
    let script = Script::new();
    script.commits(3, set("/a", 1));
    script.reads(1, "/a", false);
    script.replies(1, 2, found(Stat { mzxid: at(3), version: 1, data_length: 3, ..stat(2) }));
    script.expect_violation("ReadsHistory");
}

#[test]
fn a_read_that_goes_back_is_found() {
    let script = Script::new();
    script.commits(3, set("/a", 1));
    script.reads(1, "/none", false);
    script.replies(1, 3, Err(ErrorCode::NoNode));
    script.reads(2, "/a", false);
    script.replies(2, 2, found(stat(2)));
    script.expect_violation("ReadOrder");
}

#[test]
fn a_sync_or_a_linearizable_read_that_does_not_show_what_was_committed_before_is_found() {
    let read = Read::Get { path: "/a".into() };
    let read = Request::Read { read, level: ReadLevel::Linearizable, watch: false };
    for (request, answer) in [(Request::Sync, Ok(Answer::Done)), (read, found(stat(2)))] {
        let script = Script::new();
        script.commits(3, create("/b"));
        script.asks(1, request.clone());
        script.replies(1, 2, answer.clone());
        script.expect_sound();
        script.turns(3, 6);
        script.asks(2, request);
        script.replies(2, 2, answer);
        script.expect_violation("LatestShown");
    }
}

#[test]
fn an_acknowledged_write_that_is_not_committed_is_found() {
    let script = Script::new();
    script.writes(1, "/b");
    script.replies(1, 3, created("/b", stat(3)));
    script.expect_violation("AckedIsCommitted");
}

#[test]
fn a_write_that_is_told_to_have_come_to_something_else_is_found() {
    for (path, answer) in [
        ("/b", created("/b", Stat { version: 1, ..stat(3) })),
        ("/c", created("/b", stat(3))),
        ("/b", Ok(Answer::Written(Written::Deleted))),
    ] {
        let script = Script::new();
        script.writes(1, path);
        script.commits(3, create("/b"));
        script.replies(1, 3, answer);
        script.expect_violation("WritesHistory");
    }
}

#[test]
fn an_answer_out_of_turn_is_found() {
    let script = Script::new();
    script.reads(1, "/a", false);
    script.reads(2, "/a", false);
    script.replies(2, 2, found(stat(2)));
    script.expect_violation("ClientOrder");
}

#[test]
fn a_name_that_counts_too_far_is_found_and_one_below_an_earlier_node_is_sound() {
    let script = Script::new();
    script.commits(3, create("/a/n0000000000"));
    script.commits(4, create("/a/n0000000001"));
    for (counter, path) in [(5, "/a/n0000000000"), (6, "/a/n0000000001"), (7, "/a")] {
        script.commits(counter, Txn::Delete { path: path.parse().unwrap() });
    }
    script.commits(8, create("/a"));
    let shows = |path: &str, made_at| {
        let mode = CreateMode { lifetime: Lifetime::Persistent, sequential: true };
        let write = Write::Create { path: "/a/n".into(), data: None, acl: Acl::open(), mode };
        let told = Written::Created { path: path.parse().unwrap(), stat: stat(made_at) };
        fits(&write, &told, at(9), 0, &script.oracle.lock().chronicle)
    };
    script.turns(8, 5);
    assert!(
        shows("/a/n0000000001", 4),
        "the answer to a write that was sent again, below the node that was there then"
    );
    assert!(!shows("/a/n0000000002", 4), "so many had not been made then");
    assert!(!shows("/a/n0000000001", 9), "nor now");
}

#[test]
fn a_watch_that_tells_nothing_or_too_late_is_found() {
    let script = Script::new();
    script.reads(1, "/a", true);
    script.replies(1, 2, found(stat(2)));
    script.commits(3, set("/a", 1));
    script.reads(2, "/none", false);
    script.replies(2, 3, Err(ErrorCode::NoNode));
    script.expect_violation("WatchBeforeData");
}

#[test]
fn a_watch_that_tells_twice_or_without_a_cause_is_found() {
    let script = Script::new();
    script.reads(1, "/a", true);
    script.replies(1, 2, found(stat(2)));
    script.commits(3, set("/a", 1));
    script.tells(3, WatchEventKind::DataChanged, "/a");
    script.expect_sound();
    script.tells(3, WatchEventKind::DataChanged, "/a");
    script.expect_violation("WatchHasCause");
}

#[test]
fn an_event_that_is_told_before_an_earlier_one_is_found() {
    for in_order in [true, false] {
        let script = Script::new();
        script.commits(3, create("/b"));
        for (tag, path, made_at) in [(1, "/a", 2), (2, "/b", 3)] {
            script.reads(tag, path, true);
            script.replies(tag, 3, found(stat(made_at)));
        }
        script.commits(4, set("/a", 1));
        script.commits(5, set("/b", 1));
        if in_order {
            script.tells(4, WatchEventKind::DataChanged, "/a");
        }
        script.tells(5, WatchEventKind::DataChanged, "/b");
        if in_order {
            script.expect_sound();
        } else {
            script.expect_violation("WatchOrder");
        }
    }
}

#[test]
fn a_resumed_watch_that_is_not_told_all_that_it_missed_is_found() {
    let resume = || {
        let (path, mode) = ("/a".into(), crate::types::WatchMode::Persistent);
        Request::Watch(WatchRequest::Resume { path, mode, since: at(2) })
    };
    for told in [true, false] {
        let script = Script::new();
        script.commits(3, set("/a", 1));
        script.asks(1, resume());
        if told {
            script.tells(3, WatchEventKind::DataChanged, "/a");
        }
        script.replies(1, 3, Ok(Answer::Done));
        if told {
            script.expect_sound();
        } else {
            script.expect_violation("WatchNotLost");
        }
    }
}

#[test]
fn a_client_that_left_in_the_turn_in_which_it_was_told_something_is_not_wronged() {
    let script = Script::new();
    script.reads(1, "/a", true);
    script.replies(1, 2, found(stat(2)));
    script.commits(3, set("/a", 1));
    script.oracle.input(A, &Input::Disconnect(CLIENT));
    script.tells(3, WatchEventKind::DataChanged, "/a");
    script.replies(1, 3, Ok(Answer::Done));
    script.expect_sound();
    script.turns(3, 5);
    script.tells(3, WatchEventKind::DataChanged, "/a");
    script.expect_violation("WatchHasCause");
}

#[test]
fn a_watch_event_to_nobody_is_found() {
    let script = Script::new();
    script.commits(3, set("/a", 1));
    let event = WatchEvent { zxid: at(3), kind: WatchEventKind::DataChanged, path: "/a".parse().unwrap() };
    script.output(&Output::Watch { client: ClientId::new(2), event });
    script.expect_violation("WatchHasCause");
}

#[test]
fn a_watch_left_again_that_is_not_told_what_its_client_may_read_is_found() {
    let who = Identity::new("digest", "user:x");
    let acl = Acl::new([AclEntry { permissions: Permissions::READ, identity: who.clone() }]);
    let (data, child, persistent, recursive) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let restore =
        WatchRequest::Restore { since: at(1), data, exist: vec!["/a".into()], child, persistent, recursive };
    let judged = |identities: &[Identity], added| {
        let lookup = |_: &str| Some((stat(2), &acl));
        WatchOracle::default().asked(CLIENT, identities, added, &restore, lookup, |_| Vec::new())
    };
    assert!(judged(&[], 0).is_ok());
    assert!(judged(std::slice::from_ref(&who), 0).is_err());
    assert!(judged(&[who], 1).is_ok(), "who it is may have been said behind the request");
}

#[test]
fn a_server_with_another_number_of_nodes_is_found() {
    let script = Script::new();
    script.turns(2, 4);
    script.expect_violation("ReplicaEquality");
}

#[test]
fn a_queue_beyond_its_bound_is_found() {
    let script = Script::new();
    script.turns(2, 5);
    for tag in 1..=3 {
        script.reads(tag, "/a", false);
    }
    script.turns(2, 5);
    script.expect_violation("BoundedQueues");
}
