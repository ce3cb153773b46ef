//! What comes from another server, and what is found on a disk.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::executor::block_on;
use quorate::peer::{Ensemble, Input, Message, Output, Peer, PeerConfig};
use quorate::storage::{FileStorage, FileStorageOptions, IfEmpty, RecoveryPolicy, Storage as _};
use quorate::types::{LogEntry, LogOp, Recovered, Standing, WriteBatch};
use quorate::{ClusterId, Epoch, Now, ServerId, Time, WallTime, Zxid, codec};

/// A server of three hears what nobody who is correct may have said: messages, each behind the number of its sender
/// and its length, with timeouts in between. It neither panics nor floods.
///
/// # Panics
///
/// When it does.
pub fn peer_message(mut input: &[u8]) {
    let server = ServerId::new(1);
    let config =
        PeerConfig::new(ClusterId::new(1), server, Ensemble::majority([1, 2, 3].map(ServerId::new)), [7; 32]);
    let blank = Recovered {
        accepted_epoch: Epoch::ZERO,
        current_epoch: Epoch::ZERO,
        snapshot: None,
        log_start: Zxid::ZERO,
        log: Vec::new(),
        standing: Standing::Whole,
    };
    let mut now = Now { time: Time::ZERO, wall: WallTime::from_millis(1) };
    let mut peer = Peer::new(config, blank, None, now).expect("a blank server can start");
    drain(&mut peer, now);
    while let [from, len, rest @ ..] = input {
        let (message, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        input = rest;
        if message.is_empty() {
            now.time = peer.poll_timeout().unwrap_or(now.time);
            peer.handle_timeout(now);
        } else if let Ok(message) = codec::decode::<Message>(message) {
            let from = ServerId::new(u64::from(from % 4));
            peer.handle_input(now, Input::Message { from, message });
        }
        drain(&mut peer, now);
    }
}

/// Every write is durable at once.
fn drain(peer: &mut Peer, now: Now) {
    for _ in 0..10_000 {
        match peer.poll_output() {
            Some(Output::Persist { id, .. }) => peer.handle_input(now, Input::Persisted(id)),
            Some(_) => {}
            None => return,
        }
    }
    panic!("it has always something more to say");
}

/// A log of which a part was overwritten is refused, or recovered as a history without a gap.
///
/// # Panics
///
/// When it is neither.
pub fn log_file(input: &[u8]) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let [high, low, harm @ ..] = input else { return };
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("quorate-fuzz-{}-{number}", std::process::id()));
    let mut options = FileStorageOptions::new(ClusterId::new(1), ServerId::new(1), IfEmpty::Refuse);
    (options.recovery, options.preallocate) = (RecoveryPolicy::Resynchronise, 512);
    FileStorage::format(&dir, &options).expect("a directory of its own");
    let recover = || {
        let storage = FileStorage::open(&dir, options.clone()).expect("nobody else uses it");
        block_on(storage.recover()).map(|found| (storage, found))
    };
    let (storage, _) = recover().expect("it is new");
    let entry = |counter: u32| LogEntry {
        zxid: Zxid::new(Epoch::new(1), counter),
        payload: Bytes::from(vec![counter as u8; counter as usize * 9]),
    };
    let ops = vec![LogOp::AcceptedEpoch(Epoch::new(1)), LogOp::Append((1..=20).map(entry).collect())];
    block_on(storage.write(WriteBatch { ops })).expect("there is room");
    drop(storage);

    let file = dir.join("log-0000000000000001");
    let mut bytes = fs::read(&file).expect("the log");
    let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
    bytes.iter_mut().skip(at).zip(harm).for_each(|(byte, harm)| *byte = *harm);
    fs::write(&file, bytes).expect("the log can be written");
    if let Ok((_storage, found)) = recover() {
        assert!(found.log.iter().zip(1..).all(|(kept, counter)| *kept == entry(counter)), "{found:?}");
    }
    fs::remove_dir_all(dir).expect("it is there");
}
