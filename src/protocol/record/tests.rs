use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use crate::types::{Acl, Identity, SessionId, Stat, WallTime, Zxid};

use super::*;

fn encoded(record: &impl Record) -> Vec<u8> {
    let mut output = BytesMut::new();
    record.encode(&mut output);
    output.to_vec()
}

fn decoded<T: Record>(bytes: &[u8]) -> Result<T, DecodeError> {
    T::decode(&mut Decoder::new(Bytes::copy_from_slice(bytes)))
}

/// Bytes in hexadecimal, where spaces do not count.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn stat() -> Stat {
    Stat {
        czxid: Zxid::from_u64(1),
        mzxid: Zxid::from_u64(2),
        pzxid: Zxid::from_u64(3),
        ctime: WallTime::from_millis(4),
        mtime: WallTime::from_millis(5),
        version: 6,
        cversion: 7,
        aversion: 8,
        ephemeral_owner: SessionId::from_u64(9),
        data_length: 10,
        num_children: 11,
    }
}

const STAT: &str = "0000000000000001 0000000000000002 0000000000000004 0000000000000005 \
    00000006 00000007 00000008 0000000000000009 0000000a 0000000b 0000000000000003";

#[test]
fn a_connect_request_has_45_bytes_or_44_without_the_read_only_flag() {
    let with_flag = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 7,
        timeout: 10_000,
        session: SessionId::from_u64(0x1_0000_0001),
        password: Some(Bytes::from_static(&[0xab; 16])),
        read_only: Some(false),
    };
    let golden =
        hex(&format!("00000000 0000000000000007 00002710 0000000100000001 00000010 {} 00", "ab".repeat(16)));
    assert_eq!(golden.len(), 45);
    assert_eq!(encoded(&with_flag), golden);
    assert_eq!(decoded::<ConnectRequest>(&golden).unwrap(), with_flag);
    let without_flag = ConnectRequest { read_only: None, ..with_flag };
    assert_eq!(encoded(&without_flag), golden[..44]);
    assert_eq!(decoded::<ConnectRequest>(&golden[..44]).unwrap(), without_flag);
}

#[test]
fn a_connect_response_of_an_expired_session_is_all_zeros() {
    let golden = hex(&format!("00000000 00000000 0000000000000000 00000010 {} 00", "00".repeat(16)));
    assert_eq!(encoded(&ConnectResponse::expired(Some(false))), golden);
    assert_eq!(encoded(&ConnectResponse::expired(None)).len(), 36);
}

#[test]
fn headers_and_records_have_the_bytes_of_the_protocol() {
    let create = CreateRequest {
        path: "/a".into(),
        data: Some(Bytes::from_static(b"hi")),
        acl: Acl::open(),
        flags: 3,
    };
    let golden =
        "00000002 2f61 00000002 6869 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 00000003";
    assert_eq!(encoded(&create), hex(golden));
    assert_eq!(decoded::<CreateRequest>(&hex(golden)).unwrap(), create);

    assert_eq!(encoded(&RequestHeader { xid: 1, op: OpCode::CLOSE_SESSION }), hex("00000001 fffffff5"));
    let header = ReplyHeader { xid: -1, zxid: Zxid::from_u64(0x1_0000_0002), err: -101 };
    assert_eq!(encoded(&header), hex("ffffffff 0000000100000002 ffffff9b"));
    assert_eq!(encoded(&stat()), hex(STAT));
    assert_eq!(encoded(&stat()).len(), 68);
    assert_eq!(decoded::<Stat>(&hex(STAT)).unwrap(), stat());
    let event = WatcherEvent { kind: 2, state: 3, path: "/a".into() };
    assert_eq!(encoded(&event), hex("00000002 00000003 00000002 2f61"));
}

#[test]
fn a_multi_is_framed_by_headers_and_ends_with_one() {
    let check = VersionedRequest { path: "/a".into(), version: -1 };
    let multi = MultiRequest { ops: vec![MultiOp::Check(check)] };
    let golden = "0000000d 00 ffffffff 00000002 2f61 ffffffff ffffffff 01 ffffffff";
    assert_eq!(encoded(&multi), hex(golden));
    assert_eq!(decoded::<MultiRequest>(&hex(golden)).unwrap(), multi);

    let results = MultiResponse {
        results: vec![
            MultiResult::Created { path: "/a".into() },
            MultiResult::Created2 { path: "/b".into(), stat: stat() },
            MultiResult::Deleted,
            MultiResult::DataSet(stat()),
            MultiResult::Checked,
            MultiResult::Failed(-101),
        ],
    };
    let golden = format!(
        "00000001 00 00000000 00000002 2f61 0000000f 00 00000000 00000002 2f62 {STAT} 00000002 00 00000000 \
         00000005 00 00000000 {STAT} 0000000d 00 00000000 ffffffff 00 ffffff9b ffffff9b ffffffff 01 ffffffff"
    );
    assert_eq!(encoded(&results), hex(&golden));
    assert_eq!(decoded::<MultiResponse>(&hex(&golden)).unwrap(), results);
}

#[test]
fn null_strings_and_vectors_are_empty_ones_and_null_data_is_none() {
    let nulls = hex("ffffffff ffffffff ffffffff 00000000");
    let create = decoded::<CreateRequest>(&nulls).unwrap();
    assert_eq!((&*create.path, create.data, create.acl.entries().len()), ("", None, 0));
    assert_eq!(decoded::<Option<Bytes>>(&hex("00000000")).unwrap(), Some(Bytes::new()));
}

#[test]
fn text_that_is_not_utf8_holds_a_character_that_no_path_may_have() {
    let path = decoded::<PathRequest>(&hex("00000002 2fff")).unwrap().path;
    assert_eq!(&*path, "/\u{fffd}");
}

#[test]
fn lengths_and_counts_that_lie_are_refused_before_anything_is_reserved() {
    let cases = [
        ("fffffffe", DecodeError::Length(-2)),
        ("80000000", DecodeError::Length(i32::MIN)),
        ("7fffffff 00", DecodeError::Count { count: i32::MAX, left: 1 }),
        ("00000002 00000000", DecodeError::Count { count: 2, left: 4 }),
        ("00000001 00000005 61", DecodeError::Short { wanted: 5, left: 1 }),
    ];
    for (bytes, error) in cases {
        assert_eq!(decoded::<Vec<Box<str>>>(&hex(bytes)).unwrap_err(), error, "{bytes}");
    }
}

#[test]
fn a_multi_in_a_multi_and_one_without_end_are_refused() {
    let nested = "0000000e 00 ffffffff ffffffff 01 ffffffff ffffffff 01 ffffffff";
    assert_eq!(decoded::<MultiRequest>(&hex(nested)), Err(DecodeError::Misplaced(14)));
    let endless = "0000000d 00 ffffffff 00000002 2f61 ffffffff";
    assert!(matches!(decoded::<MultiRequest>(&hex(endless)), Err(DecodeError::Short { .. })));
}

#[test]
fn operations_that_are_not_for_clients_are_unknown() {
    for op in [0, 10, 13, 20, 23, 99, 108, 500, -10, -1, i32::MIN, i32::MAX] {
        let op = OpCode::new(op);
        let mut input = Decoder::new(Bytes::from_static(&[0; 64]));
        assert_eq!(Call::decode(op, &mut input), Err(CallError::Unknown(op)));
    }
}

#[test]
fn what_an_auth_packet_proves_with_is_not_shown() {
    let packet =
        AuthPacket { kind: 0, scheme: "digest".into(), auth: Some(Bytes::from_static(b"ann:secret")) };
    assert!(!format!("{packet:?}").contains("secret"));
}

#[test]
fn data_is_a_slice_of_the_frame() {
    let mut output = BytesMut::new();
    let request = SetDataRequest { path: "/a".into(), data: Some(Bytes::from(vec![7; 1000])), version: -1 };
    request.encode(&mut output);
    let frame = output.freeze();
    let data = SetDataRequest::decode(&mut Decoder::new(frame.clone())).unwrap().data.unwrap();
    assert!(frame.as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn between_frames_nothing_is_held() {
    let mut frames = Frames::new(1 << 20);
    frames.push(&[&[0, 0, 0xff, 0xfc][..], &[1; 0xfffc]].concat());
    assert_eq!(frames.next_frame().unwrap().unwrap().len(), 0xfffc);
    assert_eq!((frames.waiting(), frames.capacity()), (0, 0));
    frames.push(&[&[0, 0, 0x40, 0x00][..], &[1; 0x4000], &[0, 0]].concat());
    assert_eq!(frames.next_frame().unwrap().unwrap().len(), 0x4000);
    assert_eq!(frames.next_frame(), Ok(None));
    assert!(frames.capacity() <= 128);
}

#[test]
fn a_length_beyond_the_limit_or_below_zero_ends_the_stream() {
    for (prefix, length) in [([0, 0, 1, 1], 257), ([0xff; 4], -1), ([0x7f, 0xff, 0xff, 0xff], i32::MAX)] {
        let mut frames = Frames::new(256);
        frames.push(&prefix);
        assert_eq!(frames.next_frame(), Err(FrameTooLong { length, limit: 256 }));
    }
}

fn text() -> impl Strategy<Value = Box<str>> {
    "[a-z/]{0,12}".prop_map(String::into_boxed_str)
}

fn data() -> impl Strategy<Value = Option<Bytes>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from))
}

fn acl() -> impl Strategy<Value = Acl> {
    let entry = (any::<u32>(), text(), text()).prop_map(|(bits, scheme, id)| crate::types::AclEntry {
        permissions: crate::types::Permissions::from_bits(bits),
        identity: Identity::new(&scheme, &id),
    });
    proptest::collection::vec(entry, 0..4).prop_map(Acl::new)
}

fn create() -> impl Strategy<Value = CreateRequest> {
    (text(), data(), acl(), any::<i32>()).prop_map(|(path, data, acl, flags)| CreateRequest {
        path,
        data,
        acl,
        flags,
    })
}

fn versioned() -> impl Strategy<Value = VersionedRequest> {
    (text(), any::<i32>()).prop_map(|(path, version)| VersionedRequest { path, version })
}

fn read() -> impl Strategy<Value = ReadRequest> {
    (text(), any::<bool>()).prop_map(|(path, watch)| ReadRequest { path, watch })
}

fn set_data() -> impl Strategy<Value = SetDataRequest> {
    (text(), data(), any::<i32>()).prop_map(|(path, data, version)| SetDataRequest { path, data, version })
}

fn ttl() -> impl Strategy<Value = CreateTtlRequest> {
    (create(), any::<i64>()).prop_map(|(CreateRequest { path, data, acl, flags }, ttl)| CreateTtlRequest {
        path,
        data,
        acl,
        flags,
        ttl,
    })
}

fn multi() -> impl Strategy<Value = MultiRequest> {
    let op = prop_oneof![
        create().prop_map(MultiOp::Create),
        create().prop_map(MultiOp::Create2),
        create().prop_map(MultiOp::CreateContainer),
        ttl().prop_map(MultiOp::CreateTtl),
        versioned().prop_map(MultiOp::Delete),
        set_data().prop_map(MultiOp::SetData),
        versioned().prop_map(MultiOp::Check),
    ];
    proptest::collection::vec(op, 0..6).prop_map(|ops| MultiRequest { ops })
}

fn paths() -> impl Strategy<Value = Vec<Box<str>>> {
    proptest::collection::vec(text(), 0..4)
}

pub(in crate::protocol) fn call() -> impl Strategy<Value = Call> {
    let path = || text().prop_map(|path| PathRequest { path });
    let watches = || (text(), any::<i32>()).prop_map(|(path, kind)| WatchesRequest { path, kind });
    let set_watches = (any::<u64>(), paths(), paths(), paths(), paths(), paths());
    let set_watches = set_watches.prop_map(|(since, data, exist, child, persistent, recursive)| {
        SetWatches2 { since: Zxid::from_u64(since), data, exist, child, persistent, recursive }
    });
    prop_oneof![
        create().prop_map(Call::Create),
        create().prop_map(Call::Create2),
        create().prop_map(Call::CreateContainer),
        ttl().prop_map(Call::CreateTtl),
        versioned().prop_map(Call::Delete),
        read().prop_map(Call::Exists),
        read().prop_map(Call::GetData),
        read().prop_map(Call::GetChildren),
        read().prop_map(Call::GetChildren2),
        set_data().prop_map(Call::SetData),
        path().prop_map(Call::GetAcl),
        path().prop_map(Call::Sync),
        path().prop_map(Call::GetEphemerals),
        path().prop_map(Call::GetAllChildrenNumber),
        (text(), acl(), any::<i32>()).prop_map(|(path, acl, version)| Call::SetAcl(SetAclRequest {
            path,
            acl,
            version
        })),
        multi().prop_map(Call::Multi),
        proptest::collection::vec((any::<bool>(), read()), 0..4).prop_map(|ops| {
            let op = |data| if data { OpCode::GET_DATA } else { OpCode::GET_CHILDREN };
            Call::MultiRead(MultiReadRequest {
                ops: ops.into_iter().map(|(data, r)| (op(data), r)).collect(),
            })
        }),
        watches().prop_map(Call::CheckWatches),
        watches().prop_map(Call::RemoveWatches),
        (text(), any::<i32>()).prop_map(|(path, mode)| Call::AddWatch(AddWatchRequest { path, mode })),
        set_watches.prop_map(Call::SetWatches2),
        (text(), data()).prop_map(|(scheme, auth)| Call::Auth(AuthPacket { kind: 0, scheme, auth })),
        data().prop_map(|token| Call::Sasl(SaslRequest { token })),
        proptest::option::of(text()).prop_map(|joining| {
            Call::Reconfig(ReconfigRequest { joining, leaving: None, members: None, current: -1 })
        }),
        Just(Call::Ping),
        Just(Call::WhoAmI),
        Just(Call::CloseSession),
    ]
}

proptest! {
    #[test]
    fn every_call_comes_back_as_it_was(call in call()) {
        let mut output = BytesMut::new();
        call.encode(&mut output);
        let mut input = Decoder::new(output.freeze());
        prop_assert_eq!(Call::decode(call.op(), &mut input), Ok(call));
        prop_assert_eq!(input.remaining(), 0);
    }

    #[test]
    fn a_call_that_is_cut_short_is_malformed(call in call(), cut in any::<prop::sample::Index>()) {
        let mut output = BytesMut::new();
        call.encode(&mut output);
        prop_assume!(!output.is_empty());
        output.truncate(cut.index(output.len()));
        let result = Call::decode(call.op(), &mut Decoder::new(output.freeze()));
        prop_assert!(matches!(result, Err(CallError::Malformed { .. })), "{:?}", result);
    }

    #[test]
    fn arbitrary_bytes_are_decoded_or_refused(op in -12..110_i32, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        if let Ok(call) = Call::decode(OpCode::new(op), &mut Decoder::new(bytes.clone())) {
            prop_assert_eq!(call.op().number(), op);
        }
        let _either = MultiResponse::decode(&mut Decoder::new(bytes.clone())).is_ok();
        let _either = ConnectResponse::decode(&mut Decoder::new(bytes)).is_ok();
    }

    #[test]
    fn frames_do_not_depend_on_how_the_bytes_arrive(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
        cuts in proptest::collection::vec(1..50_usize, 1..40),
    ) {
        let mut stream = BytesMut::new();
        for body in &bodies {
            encode_frame(&mut stream, |output| output.extend_from_slice(body));
        }
        let (mut frames, mut taken) = (Frames::new(300), Vec::new());
        let (mut rest, mut cuts) = (&stream[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            rest = later;
            frames.push(now);
            while let Some(frame) = frames.next_frame().unwrap() {
                taken.push(frame.to_vec());
            }
        }
        prop_assert_eq!(taken, bodies);
    }
}
