//! What clients and server say to each other when all is well.

use bytes::{Bytes, BytesMut};

use crate::peer::{Answer, ReadLevel, WatchRequest};
use crate::protocol::record::{
    AddWatchRequest, CreateRequest, MultiOp, MultiReadRequest, MultiRequest, MultiResponse, MultiResult,
    PathRequest, ReadRequest, ReconfigRequest, SetDataRequest, SetWatches, VersionedRequest, WhoAmIResponse,
    frame_of,
};
use crate::types::{
    Acl, CreateMode, Found, Lifetime, Read, Refusal, RequestPath, WatchMode, Write, ZnodePath,
};

use super::super::*;
use super::host::{Host, PASSWORD, SESSION, connect_request, connected, request_frame, stat};

fn create(flags: i32) -> CreateRequest {
    CreateRequest { path: "/a".into(), data: None, acl: Acl::open(), flags }
}

fn asked_mode(call: &Call) -> Option<CreateMode> {
    let mut host =
        Host::open_with(ConnectionOptions { extended_types: true, ..ConnectionOptions::default() });
    host.call(1, call);
    match host.asked.pop() {
        Some(ConnectionEvent::Request {
            request: Request::Write { write: Write::Create { mode, .. }, .. },
            ..
        }) => Some(mode),
        _ => None,
    }
}

#[test]
fn a_client_gets_its_session_in_the_form_it_asked_in() {
    for (read_only, length) in [(Some(true), 37), (Some(false), 37), (None, 36)] {
        let mut host = Host::new(ConnectionOptions::default());
        host.feed(&frame_of(&ConnectRequest { read_only, ..connect_request() }));
        assert_eq!(host.sent.len(), 4 + length);
        let response =
            ConnectResponse::decode(&mut Decoder::new(Bytes::from(host.sent.split_off(4)))).unwrap();
        let expected = ConnectResponse {
            protocol_version: 0,
            timeout: 10_000,
            session: SESSION,
            password: Some(Bytes::copy_from_slice(&PASSWORD)),
            read_only: read_only.map(|_| false),
        };
        assert_eq!(response, expected);
        assert_eq!((host.connection.session(), host.connection.timeout_millis()), (SESSION, 10_000));
    }
}

#[test]
fn a_session_is_taken_up_again_by_number_and_password() {
    let mut host = Host::new(ConnectionOptions::default());
    let request = ConnectRequest {
        session: SESSION,
        password: Some(Bytes::copy_from_slice(&PASSWORD)),
        last_zxid_seen: 9,
        ..connect_request()
    };
    host.feed(&frame_of(&request));
    let expected = Attach {
        resume: Some((SESSION, Password::new(PASSWORD))),
        timeout_millis: 10_000,
        last_seen: Zxid::from_u64(9),
        identities: vec![Identity::new("ip", "127.0.0.1")],
    };
    assert_eq!(host.asked, [ConnectionEvent::Attach(expected)]);
}

#[test]
fn requests_that_come_with_the_connect_request_wait_for_the_session() {
    let mut host = Host::new(ConnectionOptions::default());
    host.is_silent = true;
    let mut bytes = BytesMut::from(&frame_of(&connect_request())[..]);
    bytes.extend_from_slice(&request_frame(1, &Call::WhoAmI));
    host.feed(&bytes);
    assert_eq!(host.asked.len(), 1);
    assert!(!host.connection.wants_bytes());
    host.deliver(connected(SESSION, 4_000));
    assert!(matches!(host.asked[1], ConnectionEvent::Request { tag: 0, request: Request::WhoAmI }));
}

#[test]
fn flags_and_operation_together_make_the_kind_of_node() {
    let ephemeral = CreateMode::EPHEMERAL;
    let container = |sequential| CreateMode { lifetime: Lifetime::Container, sequential };
    let rows = [
        (Call::Create(create(0)), CreateMode::PERSISTENT),
        (Call::Create(create(1)), ephemeral),
        (Call::Create2(create(2)), CreateMode::PERSISTENT_SEQUENTIAL),
        (Call::Create2(create(3)), CreateMode::EPHEMERAL_SEQUENTIAL),
        // ZooKeeper's quirk: the flag alone makes no container, the operation does.
        (Call::Create(create(4)), CreateMode::PERSISTENT),
        (Call::CreateContainer(create(4)), container(false)),
        (Call::CreateContainer(create(0)), container(false)),
        (Call::CreateContainer(create(2)), container(true)),
    ];
    for (call, mode) in rows {
        assert_eq!(asked_mode(&call), Some(mode), "{call:?}");
    }
}

#[test]
fn a_reply_has_the_clients_number_and_the_nodes_position() {
    let mut host = Host::open();
    host.call(5, &Call::GetData(ReadRequest { path: "/a".into(), watch: true }));
    let expected = ConnectionEvent::Request {
        tag: 0,
        request: Request::Read {
            read: Read::Get { path: RequestPath::from("/a") },
            level: ReadLevel::Session,
            watch: true,
        },
    };
    assert_eq!(host.asked, [expected]);
    // Length, number, position, no error; then the data behind its length, and the stat.
    let header =
        [0, 0, 0, 92, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 4, b'd', b'a', b't', b'a'];
    assert_eq!(host.sent[..28], header);
    assert_eq!(host.sent.len(), 96);
}

#[test]
fn an_error_has_no_body() {
    let mut host = Host::open();
    host.refusal = Some(ErrorCode::NoNode.into());
    host.call(5, &Call::GetData(ReadRequest { path: "/a".into(), watch: true }));
    let golden = [0, 0, 0, 16, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0x42, 0xff, 0xff, 0xff, 0x9b];
    assert_eq!(host.sent, golden);
}

#[test]
fn a_ping_is_answered_under_its_own_number_whatever_the_client_calls_it() {
    let mut host = Host::open();
    host.call(77, &Call::Ping);
    assert_eq!(host.headers(), [(-2, 0)]);
}

#[test]
fn refusals_take_their_place_among_the_replies() {
    let mut host = Host::open();
    host.is_silent = true;
    host.call(1, &Call::Delete(VersionedRequest { path: "/a".into(), version: 3 }));
    let members = ReconfigRequest { joining: None, leaving: None, members: None, current: -1 };
    host.call(2, &Call::Reconfig(members));
    host.call(3, &Call::WhoAmI);
    assert!(host.sent.is_empty(), "the delete is not answered yet");
    host.reply(0, Ok(Answer::Written(crate::types::Written::Deleted)));
    host.reply(1, Ok(Answer::Done));
    host.reply(
        2,
        Ok(Answer::Identities(vec![Identity::new("digest", "ann:hash"), Identity::new("ip", "::1")])),
    );
    assert_eq!(host.headers(), [(1, 0), (2, -123), (3, 0)]);
    let identities = vec![Identity::new("digest", "ann"), Identity::new("ip", "::1")];
    let body = WhoAmIResponse::decode(&mut Decoder::new(host.seen()[2].body.clone()));
    assert_eq!(body, Ok(WhoAmIResponse { identities }));
}

#[test]
fn a_watch_event_has_the_number_minus_one_and_stands_where_it_was_delivered() {
    let mut host = Host::open();
    host.is_silent = true;
    host.call(1, &Call::GetData(ReadRequest { path: "/a".into(), watch: false }));
    let event = |zxid, kind| WatchEvent { zxid, kind, path: ZnodePath::parse("/a").unwrap() };
    host.deliver(Delivery::Watch(event(Zxid::from_u64(7), WatchEventKind::DataChanged)));
    host.reply(0, Ok(Answer::Found(Found::Data { data: None, stat: stat() })));
    host.deliver(Delivery::Watch(event(Zxid::ZERO, WatchEventKind::Deleted)));
    assert_eq!(host.headers(), [(-1, 0), (1, 0), (-1, 0)]);
    let first = [0, 0, 0, 30, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0];
    let body = [0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 2, b'/', b'a'];
    assert_eq!(host.sent[..34], [&first[..], &body].concat());
    // What was found out after a reconnect has no position.
    let last = host.sent.len() - 34;
    assert_eq!(host.sent[last + 8..last + 16], [0xff; 8]);
}

#[test]
fn a_multi_is_answered_operation_by_operation() {
    let mut host = Host::open();
    let versioned = || VersionedRequest { path: "/a".into(), version: -1 };
    let ops = vec![
        MultiOp::Create(create(0)),
        MultiOp::Create2(create(0)),
        MultiOp::CreateContainer(create(4)),
        MultiOp::SetData(SetDataRequest { path: "/a".into(), data: None, version: 0 }),
        MultiOp::Check(versioned()),
        MultiOp::Delete(versioned()),
    ];
    host.call(9, &Call::Multi(MultiRequest { ops }));
    let seen = host.seen();
    let created = MultiResult::Created2 { path: "/a".into(), stat: stat() };
    let results = vec![
        MultiResult::Created { path: "/a".into() },
        created.clone(),
        created,
        MultiResult::DataSet(stat()),
        MultiResult::Checked,
        MultiResult::Deleted,
    ];
    assert_eq!((seen[0].xid, seen[0].err), (9, 0));
    assert_eq!(MultiResponse::decode(&mut Decoder::new(seen[0].body.clone())), Ok(MultiResponse { results }));
}

#[test]
fn a_failed_multi_has_no_error_in_its_header_unless_it_was_refused_as_a_whole() {
    let check = || MultiOp::Check(VersionedRequest { path: "/a".into(), version: 1 });
    let multi = Call::Multi(MultiRequest { ops: vec![check(), check(), check()] });
    let mut host = Host::open();
    host.refusal = Some(Refusal { code: ErrorCode::BadVersion, operation: Some(1) });
    host.call(9, &multi);
    let results = [0, -103, -2].map(MultiResult::Failed).to_vec();
    let seen = host.seen();
    assert_eq!((seen[0].xid, seen[0].err), (9, 0));
    assert_eq!(MultiResponse::decode(&mut Decoder::new(seen[0].body.clone())), Ok(MultiResponse { results }));

    let mut host = Host::open();
    host.refusal = Some(ErrorCode::Throttled.into());
    host.call(9, &multi);
    assert_eq!(host.headers(), [(9, -127)]);
}

#[test]
fn each_read_of_a_multi_read_succeeds_or_fails_by_itself() {
    let mut host = Host::open();
    host.is_silent = true;
    let read = || ReadRequest { path: "/a".into(), watch: false };
    let ops = vec![(OpCode::GET_DATA, read()), (OpCode::GET_CHILDREN, read()), (OpCode::GET_DATA, read())];
    host.call(9, &Call::MultiRead(MultiReadRequest { ops }));
    host.reply(
        0,
        Ok(Answer::Found(Found::Many(vec![
            Ok(Found::Data { data: None, stat: stat() }),
            Ok(Found::Children { names: vec!["c".into()], stat: stat() }),
            Err(ErrorCode::NoAuth),
        ]))),
    );
    let results = vec![
        MultiResult::Data { data: None, stat: stat() },
        MultiResult::Children(vec!["c".into()]),
        MultiResult::Failed(-102),
    ];
    let body = host.seen()[0].body.clone();
    assert_eq!(MultiResponse::decode(&mut Decoder::new(body)), Ok(MultiResponse { results }));
}

#[test]
fn watches_are_set_again_under_their_own_number_in_as_many_chunks_as_the_client_likes() {
    let mut host = Host::open();
    for chunk in 0..3 {
        let path: Box<str> = format!("/{chunk}").into();
        let data = vec![path];
        let since = Zxid::from_u64(5);
        host.call(
            xid::SET_WATCHES,
            &Call::SetWatches(SetWatches { since, data, exist: vec![], child: vec![] }),
        );
    }
    assert_eq!(host.headers(), [(-8, 0); 3]);
    let ConnectionEvent::Request {
        request: Request::Watch(WatchRequest::Restore { since, data, .. }), ..
    } = &host.asked[2]
    else {
        panic!("{:?}", host.asked)
    };
    assert_eq!((since.as_u64(), data[0].as_str()), (5, "/2"));
}

#[test]
fn a_lasting_watch_is_acknowledged_with_an_error_of_zero() {
    let mut host = Host::open();
    host.call(3, &Call::AddWatch(AddWatchRequest { path: "/a".into(), mode: 1 }));
    assert_eq!(host.seen()[0].body[..], [0; 4]);
    let path = RequestPath::from("/a");
    let watch = WatchRequest::Add { path, mode: WatchMode::PersistentRecursive };
    assert_eq!(host.asked, [ConnectionEvent::Request { tag: 0, request: Request::Watch(watch) }]);
}

#[test]
fn sync_answers_with_the_path_that_was_sent() {
    let mut host = Host::open();
    host.call(3, &Call::Sync(PathRequest { path: "/any".into() }));
    assert_eq!(host.seen()[0].body[..], *b"\0\0\0\x04/any");
}

#[test]
fn a_blank_prefix_asks_for_all_ephemerals() {
    for (prefix, asked) in [("", "/"), ("/", "/"), (" /\u{1}", "/"), ("/a", "/a"), ("/a ", "/a ")] {
        let mut host = Host::open();
        host.call(1, &Call::GetEphemerals(PathRequest { path: prefix.into() }));
        let prefix = RequestPath::from(asked);
        let read =
            Request::Read { read: Read::Ephemerals { prefix }, level: ReadLevel::Session, watch: false };
        assert_eq!(host.asked, [ConnectionEvent::Request { tag: 0, request: read }]);
    }
}

#[test]
fn the_end_of_the_session_is_answered_and_then_the_connection_closes() {
    let mut host = Host::open();
    let mut bytes = request_frame(8, &Call::CloseSession);
    bytes.extend_from_slice(&request_frame(9, &Call::Ping));
    host.feed(&bytes);
    assert_eq!(host.headers(), [(8, 0)]);
    assert!(host.connection.is_closing());
}

#[test]
fn a_session_that_moved_is_closed_without_an_answer_so_that_the_client_connects_again() {
    let mut host = Host::open();
    host.refusal = Some(ErrorCode::SessionMoved.into());
    host.call(1, &Call::Delete(VersionedRequest { path: "/a".into(), version: -1 }));
    assert!(host.sent.is_empty() && host.connection.is_closing());
}

#[test]
fn when_the_node_closes_what_was_said_before_still_goes_out() {
    let mut host = Host::open();
    host.connection.handle_bytes(Time::ZERO, &request_frame(1, &Call::Ping));
    let ConnectionEvent::Request { tag, .. } = host.connection.poll_event().unwrap() else { panic!() };
    let reply =
        Reply { client: crate::types::ClientId::new(1), tag, zxid: Zxid::ZERO, result: Ok(Answer::Done) };
    host.connection.handle_delivery(Time::ZERO, Delivery::Reply(reply));
    host.connection.handle_delivery(Time::ZERO, Delivery::Closed(CloseReason::NotServing));
    assert!(host.connection.is_closing());
    assert_eq!(host.connection.output().len(), 20);
}

#[test]
fn a_word_that_is_allowed_is_asked_of_the_host_and_its_text_ends_the_connection() {
    let mut host = Host::new(ConnectionOptions::default());
    host.feed(b"sr");
    assert!(host.asked.is_empty());
    host.feed(b"vr\r\n");
    assert_eq!(host.asked, [ConnectionEvent::Word(Word::Srvr)]);
    assert_eq!(host.sent, b"srvr");
    assert!(host.connection.is_closing());
}

#[test]
fn what_happens_is_counted() {
    let mut host = Host::open();
    host.connection.take_activity();
    let now = Time::from_millis;
    host.connection.handle_bytes(now(10), &request_frame(4, &Call::WhoAmI));
    let ConnectionEvent::Request { tag, .. } = host.connection.poll_event().unwrap() else { panic!() };
    let result = Ok(Answer::Identities(Vec::new()));
    let reply = Reply { client: crate::types::ClientId::new(1), tag, zxid: Zxid::from_u64(3), result };
    host.connection.handle_delivery(now(17), Delivery::Reply(reply));
    let activity = host.connection.take_activity();
    assert_eq!((activity.received, activity.sent, activity.latency.count), (1, 1, 1));
    assert_eq!(activity.latency.max.as_millis(), 7);
    let last = LastRequest { op: OpCode::WHO_AM_I, xid: 4, zxid: Zxid::from_u64(3), answered: now(17) };
    assert_eq!(activity.last, Some(last));
    assert!(host.connection.take_activity().is_empty());
}
