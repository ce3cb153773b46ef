//! Bad input and its exact answer, row by row.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::protocol::record::{AuthPacket, MultiOp, MultiRequest, PathRequest, VersionedRequest, frame_of};
use crate::protocol::words::WordSet;
use crate::types::Refusal;

use super::super::*;
use super::host::{Host, SESSION, connect_request, raw_frame, request_frame};

const MARSHALLING: i32 = -5;
const UNIMPLEMENTED: i32 = -6;
const BAD_ARGUMENTS: i32 = -8;
const AUTH_FAILED: i32 = -115;

fn put(fill: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    fill(&mut bytes);
    bytes.to_vec()
}

fn prefix(length: i32) -> Vec<u8> {
    length.to_be_bytes().to_vec()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as i32).to_be_bytes(), text.as_bytes()].concat()
}

fn multi(ops: &[u8]) -> Vec<u8> {
    raw_frame(7, 14, ops).to_vec()
}

const END: [u8; 9] = [0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff];

#[test]
fn within_a_session_each_kind_of_bad_input_has_its_answer() {
    let stays = false;
    let closes = true;
    let rows: Vec<(&str, Vec<u8>, Vec<i32>, bool)> = vec![
        ("a negative frame length", prefix(-1), vec![], closes),
        ("the most negative frame length", prefix(i32::MIN), vec![], closes),
        ("a frame beyond jute.maxbuffer", prefix(0x10_0000), vec![], closes),
        ("an empty frame", prefix(0), vec![], closes),
        ("a frame too short for a header", [prefix(4), prefix(1)].concat(), vec![], closes),
        ("a four-letter word in a session", b"ruok".to_vec(), vec![], closes),
        ("an unknown operation", raw_frame(7, 99, &[]).to_vec(), vec![UNIMPLEMENTED], closes),
        ("an operation of another server", raw_frame(7, 500, &[]).to_vec(), vec![UNIMPLEMENTED], closes),
        ("a check outside of a multi", raw_frame(7, 13, &[0; 8]).to_vec(), vec![UNIMPLEMENTED], closes),
        ("a notification", raw_frame(7, 0, &[]).to_vec(), vec![UNIMPLEMENTED], closes),
        ("a createSession", raw_frame(7, -10, &[0; 4]).to_vec(), vec![UNIMPLEMENTED], closes),
        ("a deleteContainer", raw_frame(7, 20, &text("/a")).to_vec(), vec![UNIMPLEMENTED], closes),
        ("a second connect request", frame_of(&connect_request()).to_vec(), vec![UNIMPLEMENTED], closes),
        ("a read without its record", raw_frame(7, 4, &[]).to_vec(), vec![MARSHALLING], stays),
        ("a write without its record", raw_frame(7, 1, &[]).to_vec(), vec![MARSHALLING], stays),
        ("a string of length -2", raw_frame(7, 4, &prefix(-2)).to_vec(), vec![MARSHALLING], stays),
        (
            "a string longer than the frame",
            raw_frame(7, 4, &prefix(i32::MAX)).to_vec(),
            vec![MARSHALLING],
            stays,
        ),
        (
            "a vector of -2",
            raw_frame(7, 101, &[[0; 8].to_vec(), prefix(-2)].concat()).to_vec(),
            vec![MARSHALLING],
            stays,
        ),
        (
            "a vector of 2^31 - 1 in a short frame",
            raw_frame(7, 101, &[[0; 8].to_vec(), prefix(i32::MAX)].concat()).to_vec(),
            vec![MARSHALLING],
            stays,
        ),
        ("a multi of no operations", multi(&END), vec![0], stays),
        ("a multi without end", multi(&[]), vec![MARSHALLING], stays),
        (
            "a multi in a multi",
            multi(&[[0, 0, 0, 14, 0, 0, 0, 0, 0].to_vec(), END.to_vec()].concat()),
            vec![MARSHALLING],
            stays,
        ),
        (
            "a read in a multi",
            multi(&[[0, 0, 0, 4, 0, 0, 0, 0, 0].to_vec(), END.to_vec()].concat()),
            vec![MARSHALLING],
            stays,
        ),
        ("an auth packet without its record", raw_frame(-4, 100, &[]).to_vec(), vec![AUTH_FAILED], closes),
        (
            "sasl, of which there is none",
            raw_frame(7, 102, &text("token")).to_vec(),
            vec![AUTH_FAILED],
            closes,
        ),
        (
            "an unknown mode of watch",
            raw_frame(7, 106, &[text("/a"), prefix(9)].concat()).to_vec(),
            vec![MARSHALLING],
            stays,
        ),
        (
            "an unknown type of watch",
            raw_frame(7, 18, &[text("/a"), prefix(9)].concat()).to_vec(),
            vec![MARSHALLING],
            stays,
        ),
        (
            "an unknown type of watch to look for",
            raw_frame(7, 17, &[text("/a"), prefix(0)].concat()).to_vec(),
            vec![MARSHALLING],
            stays,
        ),
    ];
    for (name, bytes, errors, closes) in rows {
        let mut host = Host::open();
        host.feed(&bytes);
        let answered: Vec<i32> = host.headers().into_iter().map(|(_, err)| err).collect();
        assert_eq!(answered, errors, "{name}");
        assert_eq!(host.connection.is_closing(), closes, "{name}");
        if !closes {
            host.sent.clear();
            host.call(8, &Call::Ping);
            assert_eq!(host.headers(), [(xid::PING, 0)], "{name}: the connection is of no use any more");
        }
    }
}

#[test]
fn before_a_session_each_kind_of_bad_input_ends_the_connection_without_a_word() {
    let rows: [(&str, Vec<u8>); 7] = [
        ("an empty frame", prefix(0)),
        ("a negative frame length", prefix(-7)),
        ("a frame that is none of a connect request", prefix(2_000)),
        ("a connect request that is too short", [prefix(8), vec![0; 8]].concat()),
        (
            "a password longer than the frame",
            put(|bytes| {
                bytes.put_i32(28);
                bytes.put_bytes(0, 24);
                bytes.put_i32(i32::MAX);
            }),
        ),
        ("a word that there is none of", b"abcd".to_vec()),
        ("http", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
    ];
    for (name, bytes) in rows {
        let mut host = Host::new(ConnectionOptions::default());
        host.feed(&bytes);
        assert!(host.connection.is_closing(), "{name}");
        assert!(host.sent.is_empty() && host.asked.is_empty(), "{name}");
    }
}

#[test]
fn of_a_frame_that_does_not_end_no_more_is_held_than_what_arrived() {
    let mut host = Host::open();
    host.feed(&prefix(0xf_ffff));
    for _ in 0..100 {
        host.feed(&[0; 10]);
    }
    assert_eq!(host.connection.held(), 4 + 1_000);
    assert!(host.connection.wants_bytes());
}

#[test]
fn bytes_behind_a_record_are_left_alone() {
    let mut host = Host::open();
    host.feed(&raw_frame(7, 3, &[text("/a"), vec![0], b"junk".to_vec()].concat()));
    assert_eq!(host.headers(), [(7, 0)]);
}

#[test]
fn a_word_that_is_not_allowed_is_refused_in_words() {
    let mut host = Host::new(ConnectionOptions { words: WordSet::NONE, ..ConnectionOptions::default() });
    host.feed(b"mntr\n");
    assert_eq!(host.sent, b"mntr is not executed because it is not in the whitelist.\n");
    assert!(host.connection.is_closing() && host.asked.is_empty());
}

#[test]
fn a_password_that_no_session_has_is_answered_as_expired_and_the_node_is_not_asked() {
    for password in
        [None, Some(Bytes::new()), Some(Bytes::from_static(&[1; 15])), Some(Bytes::from_static(&[1; 17]))]
    {
        let mut host = Host::new(ConnectionOptions::default());
        host.feed(&frame_of(&ConnectRequest { session: SESSION, password, ..connect_request() }));
        assert_eq!(host.sent, frame_of(&ConnectResponse::expired(Some(false))).to_vec());
        assert!(host.connection.is_closing() && host.asked.is_empty());
    }
}

#[test]
fn a_wrong_password_is_answered_with_zeros() {
    let mut host = Host::new(ConnectionOptions::default());
    host.is_silent = true;
    let password = Some(Bytes::from_static(&[1; 16]));
    host.feed(&frame_of(&ConnectRequest {
        session: SESSION,
        password,
        read_only: None,
        ..connect_request()
    }));
    host.deliver(Delivery::Closed(CloseReason::Expired));
    assert_eq!(host.sent, frame_of(&ConnectResponse::expired(None)).to_vec());
    assert!(host.connection.is_closing());
}

#[test]
fn a_client_that_has_seen_more_than_this_server_is_closed_without_a_word() {
    for reason in [CloseReason::Behind, CloseReason::NotServing, CloseReason::Overloaded] {
        let mut host = Host::new(ConnectionOptions::default());
        host.is_silent = true;
        host.feed(&frame_of(&ConnectRequest { last_zxid_seen: i64::MAX, ..connect_request() }));
        host.deliver(Delivery::Closed(reason));
        assert!(host.sent.is_empty() && host.connection.is_closing(), "{reason:?}");
    }
}

#[test]
fn numbers_in_a_connect_request_that_make_no_sense_are_bent_to_sense() {
    let mut host = Host::new(ConnectionOptions::default());
    let request = ConnectRequest { last_zxid_seen: -1, timeout: -5, password: None, ..connect_request() };
    host.feed(&frame_of(&request));
    let [ConnectionEvent::Attach(attach)] = &host.asked[..] else { panic!("{:?}", host.asked) };
    assert_eq!((attach.timeout_millis, attach.last_seen, &attach.resume), (0, Zxid::ZERO, &None));
}

#[test]
fn who_fails_to_prove_an_identity_is_told_and_shown_out() {
    for scheme in ["bogus", "world", "auth", "super", "sasl", "x509", ""] {
        let mut host = Host::open();
        let packet = AuthPacket { kind: 0, scheme: scheme.into(), auth: Some(Bytes::from_static(b"ann:pw")) };
        host.call(xid::AUTH, &Call::Auth(packet));
        assert_eq!(host.headers(), [(xid::AUTH, AUTH_FAILED)], "{scheme}");
        assert!(host.connection.is_closing(), "{scheme}");
        assert_eq!(host.connection.take_activity().auth_failed, 1, "{scheme}");
    }
}

#[test]
fn nobody_is_superuser_where_none_is_configured_or_the_password_is_another() {
    let digest = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
    for (super_digest, password, is_super) in
        [(None, "super:test", false), (Some(digest), "super:text", false), (Some(digest), "super:test", true)]
    {
        let options =
            ConnectionOptions { super_digest: super_digest.map(Into::into), ..ConnectionOptions::default() };
        let mut host = Host::open_with(options);
        let auth = Some(Bytes::copy_from_slice(password.as_bytes()));
        host.call(xid::AUTH, &Call::Auth(AuthPacket { kind: 0, scheme: "digest".into(), auth }));
        assert_eq!(host.headers(), [(xid::AUTH, 0)]);
        let proved = |event: &ConnectionEvent| match event {
            ConnectionEvent::Request { request: Request::AddIdentity(identity), .. } => identity.is_super(),
            _ => false,
        };
        assert_eq!(host.asked.iter().any(proved), is_super, "{password}");
    }
}

#[test]
fn too_many_identities_are_a_failure_to_prove_one() {
    let mut host = Host::open();
    host.refusal = Some(ErrorCode::Throttled.into());
    let packet = AuthPacket { kind: 0, scheme: "digest".into(), auth: Some(Bytes::from_static(b"ann:pw")) };
    host.call(xid::AUTH, &Call::Auth(packet));
    assert_eq!(host.headers(), [(xid::AUTH, AUTH_FAILED)]);
    assert!(host.connection.is_closing());
}

#[test]
fn create_flags_that_mean_nothing_and_times_to_live_out_of_place_are_bad_arguments() {
    let create = |flags: i32| {
        put(|bytes| {
            bytes.extend_from_slice(&text("/a"));
            bytes.put_i32(-1);
            bytes.put_i32(0);
            bytes.put_i32(flags);
        })
    };
    let rows: Vec<(&str, i32, Vec<u8>, bool, i32)> = vec![
        ("flags of 7", 1, create(7), true, BAD_ARGUMENTS),
        ("negative flags", 15, create(-1), true, BAD_ARGUMENTS),
        ("a container by op 19 with flags of 9", 19, create(9), true, BAD_ARGUMENTS),
        ("a time to live by op 1", 1, create(5), true, BAD_ARGUMENTS),
        ("no time to live by op 21", 21, [create(0), vec![0xff; 8]].concat(), true, BAD_ARGUMENTS),
        (
            "a time to live on a persistent node",
            21,
            [create(0), vec![0, 0, 0, 0, 0, 0, 0, 5]].concat(),
            true,
            BAD_ARGUMENTS,
        ),
        ("a time to live of 0", 21, [create(5), vec![0; 8]].concat(), true, BAD_ARGUMENTS),
        ("a time to live below 0", 21, [create(5), vec![0xff; 8]].concat(), true, BAD_ARGUMENTS),
        (
            "a time to live of 2^40",
            21,
            [create(5), vec![0, 0, 1, 0, 0, 0, 0, 0]].concat(),
            true,
            BAD_ARGUMENTS,
        ),
        (
            "a time to live of 2^40 - 1",
            21,
            [create(6), vec![0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff]].concat(),
            true,
            0,
        ),
        (
            "times to live switched off",
            21,
            [create(5), vec![0, 0, 0, 0, 0, 0, 0, 5]].concat(),
            false,
            UNIMPLEMENTED,
        ),
    ];
    for (name, op, body, extended_types, err) in rows {
        let mut host = Host::open_with(ConnectionOptions { extended_types, ..ConnectionOptions::default() });
        host.feed(&raw_frame(7, op, &body));
        assert_eq!(host.headers(), [(7, err)], "{name}");
        assert!(!host.connection.is_closing(), "{name}");
    }
}

#[test]
fn a_multi_with_a_bad_operation_leaves_it_to_the_node_which_one_is_told() {
    let mut host = Host::open();
    host.refusal = Some(Refusal { code: ErrorCode::NoNode, operation: Some(0) });
    let check = MultiOp::Check(VersionedRequest { path: "/nope".into(), version: -1 });
    let create = raw_frame(
        0,
        0,
        &put(|bytes| {
            bytes.extend_from_slice(&text("/a"));
            bytes.put_i32(-1);
            bytes.put_i32(0);
            bytes.put_i32(9);
        }),
    );
    let bad = MultiOp::Create(Record::decode(&mut Decoder::new(create.freeze().slice(12..))).unwrap());
    host.call(7, &Call::Multi(MultiRequest { ops: vec![check, bad] }));
    let seen = host.seen();
    let golden = [&[0xff; 4][..], &[0], &[0xff, 0xff, 0xff, 0x9b], &[0xff, 0xff, 0xff, 0x9b]];
    let rest = [&[0xff; 4][..], &[0], &[0xff, 0xff, 0xff, 0xfe], &[0xff, 0xff, 0xff, 0xfe], &END];
    assert_eq!((seen[0].xid, seen[0].err), (7, 0));
    assert_eq!(seen[0].body, [golden.concat(), rest.concat()].concat());
}

#[test]
fn a_client_cannot_have_more_requests_taken_than_the_limit() {
    let options = ConnectionOptions { outstanding: 3, ..ConnectionOptions::default() };
    let mut host = Host::open_with(options);
    host.is_silent = true;
    let flood: Vec<u8> = (1..=10).flat_map(|number| request_frame(number, &Call::WhoAmI)).collect();
    host.feed(&flood);
    assert_eq!((host.asked.len(), host.connection.outstanding()), (3, 3));
    assert!(!host.connection.wants_bytes());
    for tag in 0..10 {
        host.reply(tag, Ok(crate::peer::Answer::Identities(Vec::new())));
    }
    let expected: Vec<(i32, i32)> = (1..=10).map(|number| (number, 0)).collect();
    assert_eq!(host.headers(), expected);
    assert!(host.connection.wants_bytes());
}

#[test]
fn a_client_that_does_not_take_its_replies_has_no_more_requests_taken() {
    let options = ConnectionOptions { unsent: 100, outstanding: 2, ..ConnectionOptions::default() };
    let mut host = Host::open_with(options);
    host.is_silent = true;
    let sync = Call::Sync(PathRequest { path: "/".repeat(200).into() });
    let done = |tag| {
        let (client, result) = (crate::types::ClientId::new(1), Ok(crate::peer::Answer::Done));
        Delivery::Reply(Reply { client, tag, zxid: Zxid::ZERO, result })
    };
    let flood = [1, 2, 3].map(|number| request_frame(number, &sync)).concat();
    host.connection.handle_bytes(Time::ZERO, &flood);
    assert_eq!(host.connection.outstanding(), 2);
    host.connection.handle_delivery(Time::ZERO, done(0));
    // The third has arrived, and there would be a place for it.
    assert_eq!(host.connection.outstanding(), 1);
    assert!(!host.connection.wants_bytes());
    host.connection.handle_delivery(Time::ZERO, done(1));
    host.connection.handle_sent(Time::ZERO);
    assert_eq!(host.connection.outstanding(), 0);
    host.connection.output().clear();
    host.connection.handle_sent(Time::ZERO);
    assert_eq!(host.connection.outstanding(), 1);
    assert!(host.connection.wants_bytes());
}

#[test]
fn large_requests_are_taken_only_while_those_that_wait_are_not_too_large_together() {
    let options = ConnectionOptions { outstanding_len: 1_000, ..ConnectionOptions::default() };
    let mut host = Host::open_with(options);
    host.is_silent = true;
    let sync = Call::Sync(PathRequest { path: "/".repeat(600).into() });
    let flood: Vec<u8> = (1..=5).flat_map(|number| request_frame(number, &sync)).collect();
    host.feed(&flood);
    assert_eq!(host.connection.outstanding(), 2);
    assert!(!host.connection.wants_bytes());
    for tag in 0..5 {
        host.reply(tag, Ok(crate::peer::Answer::Done));
    }
    assert_eq!(host.headers().len(), 5);
    assert!(host.connection.wants_bytes());
}

#[test]
fn what_was_said_before_the_bytes_went_wrong_is_still_answered() {
    let mut host = Host::open();
    host.is_silent = true;
    let mut bytes = request_frame(1, &Call::Ping).to_vec();
    bytes.extend_from_slice(&prefix(-1));
    bytes.extend_from_slice(&request_frame(2, &Call::Ping));
    host.feed(&bytes);
    assert!(!host.connection.is_closing() && !host.connection.wants_bytes());
    host.reply(0, Ok(crate::peer::Answer::Done));
    assert_eq!(host.headers(), [(xid::PING, 0)]);
    assert!(host.connection.is_closing());
}

#[test]
fn nothing_that_is_said_on_a_connection_is_shown() {
    let mut host = Host::open();
    let packet =
        AuthPacket { kind: 0, scheme: "digest".into(), auth: Some(Bytes::from_static(b"ann:canary")) };
    host.call(xid::AUTH, &Call::Auth(packet));
    host.feed(&raw_frame(7, 100, b"ann:canary")[..20]);
    let hash = client_hash("ann:canary");
    for shown in [format!("{:?}", host.connection), format!("{:?}", host.asked)] {
        assert!(!shown.contains("canary") && !shown.contains(&hash), "{shown}");
    }
}

fn client_hash(credentials: &str) -> String {
    let identity = crate::client::digest_identity(credentials);
    identity.id.split_once(':').unwrap().1.to_owned()
}
