//! The storage alone, in a process of its own that SIGKILL ends at any moment: what it said to be durable is there.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and this one looks at the clock on the wall"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use bytes::Bytes;
use futures::executor::block_on;
use quorate::storage::{FileStorage, FileStorageOptions, IfEmpty, Storage as _};
use quorate::types::{LogEntry, LogOp, Recovered, SnapshotChunk, Standing, WriteBatch};
use quorate::{ClusterId, Epoch, SeededRng, ServerId, Zxid};

/// Tells the process that it is the one to be killed, and where it writes.
const APPEND_TO: &str = "QUORATE_APPEND_TO";
const NAME: &str = "what_was_acknowledged_before_a_kill_is_there_after_it";
const KILLS: u64 = 15;

/// Small segments, so that a kill falls into the change from one to the next now and then.
fn options() -> FileStorageOptions {
    let mut options = FileStorageOptions::new(ClusterId::new(1), ServerId::new(1), IfEmpty::Refuse);
    options.segment_len = 32 << 10;
    options.preallocate = 8 << 10;
    options
}

/// The entry of this position; its content follows from it.
fn entry(zxid: Zxid) -> LogEntry {
    let byte = (zxid.as_u64() ^ (zxid.as_u64() >> 32)) as u8;
    LogEntry { zxid, payload: Bytes::from(vec![byte; 1 + zxid.counter() as usize * 37 % 900]) }
}

fn recover(dir: &Path) -> (FileStorage, Recovered) {
    let storage = FileStorage::open(dir, options()).unwrap();
    let recovered = block_on(storage.recover()).unwrap();
    (storage, recovered)
}

/// Writes for ever, and says on stdout what is durable: the epoch, then the last position.
fn append(dir: &Path) {
    let (storage, found) = recover(dir);
    let epoch = found.accepted_epoch.next().unwrap();
    let mut rng = SeededRng::from_number(u64::from(epoch.number()));
    block_on(storage.write(WriteBatch { ops: vec![LogOp::AcceptedEpoch(epoch)] })).unwrap();
    println!("\n+ {} {}", epoch.number(), found.tip().as_u64());
    let mut last = 0;
    let mut ops = vec![LogOp::CurrentEpoch(epoch)];
    loop {
        let first = last + 1;
        last += 1 + rng.below(8) as u32;
        ops.push(LogOp::Append((first..=last).map(|counter| entry(Zxid::new(epoch, counter))).collect()));
        let tip = Zxid::new(epoch, last);
        if rng.below(40) == 0 {
            let bytes = Bytes::from(vec![7; 3_000]);
            block_on(storage.write(WriteBatch { ops: std::mem::take(&mut ops) })).unwrap();
            block_on(storage.save_snapshot(SnapshotChunk { zxid: tip, offset: 0, bytes, last: true }))
                .unwrap();
            ops.push(LogOp::PurgeUpTo(tip));
        }
        block_on(storage.write(WriteBatch { ops: std::mem::take(&mut ops) })).unwrap();
        println!("+ {} {}", epoch.number(), tip.as_u64());
    }
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    if let Ok(dir) = env::var(APPEND_TO) {
        return append(Path::new(&dir));
    }
    let dir = env::temp_dir().join(format!("quorate-kill-nine-{}", std::process::id()));
    FileStorage::format(&dir, &options()).unwrap();
    let mut rng = SeededRng::from_number(9);
    let (mut epoch, mut tip, mut batches) = (0, 0, 0);
    for kill in 0..KILLS {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture"]).env(APPEND_TO, &dir).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = thread::spawn(move || {
            let acknowledged = lines.map_while(Result::ok).filter_map(|line| {
                let (epoch, tip) = line.strip_prefix("+ ")?.split_once(' ')?;
                Some((epoch.parse::<u32>().ok()?, tip.parse::<u64>().ok()?))
            });
            acknowledged.collect::<Vec<_>>()
        });
        // Now and then before it has begun.
        let end = Instant::now() + Duration::from_millis(5 + rng.below(200));
        thread::sleep(end.saturating_duration_since(Instant::now()));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged = reader.join().unwrap();
        batches += acknowledged.len();
        (epoch, tip) = acknowledged.last().copied().unwrap_or((epoch, tip));

        let (_storage, found) = recover(&dir);
        assert_eq!(found.standing, Standing::Whole, "kill {kill}");
        assert!(
            found.accepted_epoch >= Epoch::new(epoch),
            "kill {kill}: {:?} of {epoch}",
            found.accepted_epoch
        );
        let least = Zxid::from_u64(tip);
        assert!(
            found.tip() >= least,
            "kill {kill}: the log ends at {}, {least} was acknowledged",
            found.tip()
        );
        let mut before = found.snapshot.unwrap_or(found.log_start);
        for kept in &found.log {
            assert!(kept.zxid.follows(before), "kill {kill}: {} follows {before}", kept.zxid);
            assert_eq!(*kept, entry(kept.zxid), "kill {kill}");
            before = kept.zxid;
        }
    }
    assert!(batches > 100, "only {batches} batches were acknowledged");
    std::fs::remove_dir_all(dir).unwrap();
}
