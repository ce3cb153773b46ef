//! Fuzzes on a stable compiler: feeds a target with valid input that was damaged at random, for some minutes.
//!
//! ```text
//! cargo run --release --bin soak -- connection 10        ten minutes
//! cargo run --release --bin soak -- record 10 12345      … from this seed
//! ```
//!
//! A finding ends it with the seed and the number of the case; the input is written to `artifacts/`. Beside what the targets check
//! themselves, no case may allocate more than a small multiple of its input at once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use quorate::protocol::record::{
    AddWatchRequest, AuthPacket, Call, ConnectRequest, CreateRequest, CreateTtlRequest, MultiOp,
    MultiReadRequest, MultiRequest, MultiResponse, MultiResult, OpCode, PathRequest, ReadRequest,
    ReconfigRequest, Record, RequestHeader, SaslRequest, SetAclRequest, SetDataRequest, SetWatches,
    SetWatches2, VersionedRequest, WatchesRequest, encode_frame, frame_of,
};
use quorate::{Acl, SeededRng, SessionId, Zxid};

/// How many bytes are allocated now, and how many at most since this was last reset.
static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: all is left to the system's allocator; only the sizes are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of this trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of this trait.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What one case may allocate: a multiple of its input, and a bit. An empty operation of a multi takes 9 bytes on the wire and some
/// hundred in all the forms that it goes through, twice, because the host keeps what was asked.
const PER_BYTE: usize = 160;
const BASE: usize = 64 << 10;

thread_local! {
    static CASE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("which target: connection or record?")?;
    let target: fn(&[u8]) = match name.as_str() {
        "connection" => quorate_fuzz::connection,
        "record" => quorate_fuzz::record,
        other => return Err(format!("there is no target {other}; there are connection and record").into()),
    };
    let minutes: f64 = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let seed: u64 = arguments.next().map_or(Ok(now), |text| text.parse())?;
    println!("{name}: {minutes} minutes from seed {seed}");
    keep_the_case_of_a_panic(name.clone());

    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = SeededRng::new(bytes);
    let seeds: Vec<Vec<u8>> =
        if name == "record" { records() } else { (0..40).map(|_| stream(&mut rng)).collect() };
    let (start, end) = (Instant::now(), Duration::from_secs_f64(minutes * 60.0));
    let (mut cases, mut worst) = (0_u64, 0.0_f64);
    while start.elapsed() < end {
        for _ in 0..1_000 {
            let case = damaged(&mut rng, &seeds);
            CASE.with_borrow_mut(|kept| kept.clone_from(&case));
            let before = NOW.load(Ordering::Relaxed);
            PEAK.store(before, Ordering::Relaxed);
            target(&case);
            let taken = PEAK.load(Ordering::Relaxed).saturating_sub(before);
            assert!(taken <= BASE + PER_BYTE * case.len(), "{taken} bytes for an input of {}", case.len());
            worst = worst.max(taken as f64 / case.len().max(256) as f64);
            cases += 1;
        }
    }
    println!("{name}: {cases} cases, no finding; at most {worst:.1} bytes allocated per byte of input");
    Ok(())
}

fn keep_the_case_of_a_panic(name: String) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let case = CASE.with_borrow(Clone::clone);
        let path = format!(
            "artifacts/{name}-{:016x}",
            case.iter().fold(0_u64, |hash, byte| { (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3) })
        );
        match std::fs::create_dir_all("artifacts").and_then(|()| std::fs::write(&path, &case)) {
            Ok(()) => eprintln!("the input is in {path}"),
            Err(error) => eprintln!("the input could not be written ({error}): {case:?}"),
        }
        usual(info);
    }));
}

fn below(rng: &mut SeededRng, limit: usize) -> usize {
    (rng.next_u64() % limit.max(1) as u64) as usize
}

/// One of the seeds, or two of them joined, with some damage.
fn damaged(rng: &mut SeededRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut case = seeds[below(rng, seeds.len())].clone();
    if below(rng, 8) == 0 {
        let other = &seeds[below(rng, seeds.len())];
        case.truncate(below(rng, case.len() + 1));
        case.extend_from_slice(&other[below(rng, other.len())..]);
    }
    for _ in 0..below(rng, 6) {
        if case.is_empty() {
            break;
        }
        let at = below(rng, case.len());
        match below(rng, 7) {
            0 => case[at] ^= 1 << below(rng, 8),
            1 => case[at] = rng.next_u64() as u8,
            2 => case.truncate(at),
            3 => drop(case.drain(at..(at + below(rng, 16)).min(case.len()))),
            4 => case.insert(at, rng.next_u64() as u8),
            5 => {
                const NUMBERS: [i32; 10] =
                    [0, 1, -1, -2, i32::MAX, i32::MIN, 0xf_ffff, 0x10_0000, 64, 1 << 16];
                let number = NUMBERS[below(rng, NUMBERS.len())].to_be_bytes();
                let end = (at + 4).min(case.len());
                case[at..end].copy_from_slice(&number[..end - at]);
            }
            _ => {
                let copied: Vec<u8> = case[at..(at + below(rng, 64)).min(case.len())].to_vec();
                let to = below(rng, case.len());
                case.splice(to..to, copied);
            }
        }
    }
    case
}

/// A session with some calls in it.
fn stream(rng: &mut SeededRng) -> Vec<u8> {
    let calls = calls();
    let mut stream = BytesMut::from(&[rng.next_u64() as u8][..]);
    stream.extend_from_slice(&frame_of(&connect_request()));
    for xid in 0..below(rng, 12) as i32 {
        let call = &calls[below(rng, calls.len())];
        encode_frame(&mut stream, |output| {
            RequestHeader { xid, op: call.op() }.encode(output);
            call.encode(output);
        });
    }
    stream.to_vec()
}

/// Each record behind the byte by which the target knows it.
fn records() -> Vec<Vec<u8>> {
    let of = |kind: u8, fill: &dyn Fn(&mut BytesMut)| {
        let mut bytes = BytesMut::from(&[kind][..]);
        fill(&mut bytes);
        bytes.to_vec()
    };
    let results = MultiResponse {
        results: vec![
            MultiResult::Created { path: "/a".into() },
            MultiResult::Deleted,
            MultiResult::Children(vec!["a".into()]),
            MultiResult::Failed(-101),
        ],
    };
    let mut all =
        vec![of(0, &|bytes| connect_request().encode(bytes)), of(4, &|bytes| results.encode(bytes))];
    all.extend([1, 2, 3, 5, 6, 7, 8].map(|kind| of(kind, &|bytes| bytes.extend_from_slice(&[0; 80]))));
    for call in calls() {
        // Any byte will do that the target takes for this operation; all are tried, the others are damage too.
        for kind in 9..=80 {
            all.push(of(kind, &|bytes| call.encode(bytes)));
        }
    }
    all
}

fn connect_request() -> ConnectRequest {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout: 10_000,
        session: SessionId::NONE,
        password: Some(vec![0; 16].into()),
        read_only: Some(false),
    }
}

fn calls() -> Vec<Call> {
    let path = || Box::<str>::from("/a/b");
    let data = || Some(vec![1, 2, 3].into());
    let create = |flags| CreateRequest { path: path(), data: data(), acl: Acl::open(), flags };
    let ttl = || CreateTtlRequest { path: path(), data: data(), acl: Acl::open(), flags: 5, ttl: 9 };
    let read = || ReadRequest { path: path(), watch: true };
    let versioned = || VersionedRequest { path: path(), version: -1 };
    let set = || SetDataRequest { path: path(), data: data(), version: 1 };
    let watches = || WatchesRequest { path: path(), kind: 3 };
    let of = || PathRequest { path: path() };
    let ops = vec![
        MultiOp::Create(create(0)),
        MultiOp::Create2(create(9)),
        MultiOp::CreateContainer(create(4)),
        MultiOp::CreateTtl(ttl()),
        MultiOp::Delete(versioned()),
        MultiOp::SetData(set()),
        MultiOp::Check(versioned()),
    ];
    vec![
        Call::Create(create(0)),
        Call::Create2(create(3)),
        Call::CreateContainer(create(4)),
        Call::CreateTtl(ttl()),
        Call::Delete(versioned()),
        Call::Exists(read()),
        Call::GetData(read()),
        Call::SetData(set()),
        Call::GetAcl(of()),
        Call::SetAcl(SetAclRequest { path: path(), acl: Acl::creator_only(), version: 0 }),
        Call::GetChildren(read()),
        Call::GetChildren2(read()),
        Call::Sync(of()),
        Call::Ping,
        Call::Multi(MultiRequest { ops }),
        Call::MultiRead(MultiReadRequest {
            ops: vec![(OpCode::GET_DATA, read()), (OpCode::GET_CHILDREN, read())],
        }),
        Call::Reconfig(ReconfigRequest {
            joining: None,
            leaving: Some("1".into()),
            members: None,
            current: -1,
        }),
        Call::CheckWatches(watches()),
        Call::RemoveWatches(watches()),
        Call::AddWatch(AddWatchRequest { path: path(), mode: 1 }),
        Call::SetWatches(SetWatches {
            since: Zxid::ZERO,
            data: vec![path()],
            exist: vec![],
            child: vec![path()],
        }),
        Call::SetWatches2(SetWatches2 {
            since: Zxid::MAX,
            data: vec![path(); 3],
            exist: vec![path()],
            child: vec![],
            persistent: vec![path()],
            recursive: vec![path()],
        }),
        Call::Auth(AuthPacket { kind: 0, scheme: "digest".into(), auth: Some("super:test".into()) }),
        Call::Sasl(SaslRequest { token: data() }),
        Call::GetEphemerals(of()),
        Call::GetAllChildrenNumber(of()),
        Call::WhoAmI,
        Call::CloseSession,
    ]
}
