use futures::executor::block_on;
use proptest::prelude::*;

use super::support::*;
use crate::sim::disk::{Loss, SimDisk};
use crate::storage::{MemoryStorage, Storage, StorageError};
use crate::types::{Epoch, LogOp, SeededRng, SnapshotChunk, WriteBatch, Zxid};

#[derive(Clone, Debug)]
enum Step {
    Append { count: u8, len: u16, new_epoch: bool },
    Truncate { back: u8 },
    Save { back: u8, len: u16 },
    Reset { ahead: u8 },
    Purge { back: u8 },
    Accept { ahead: u8 },
    Current,
    Restart { seed: u64, adversarial: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..6u8, 0..1500u16, prop::bool::weighted(0.2))
            .prop_map(|(count, len, new_epoch)| Step::Append { count, len, new_epoch }),
        1 => (0..12u8).prop_map(|back| Step::Truncate { back }),
        1 => (0..6u8, 0..3000u16).prop_map(|(back, len)| Step::Save { back, len }),
        1 => (0..3u8).prop_map(|ahead| Step::Reset { ahead }),
        1 => (0..12u8).prop_map(|back| Step::Purge { back }),
        1 => (0..3u8).prop_map(|ahead| Step::Accept { ahead }),
        1 => Just(Step::Current),
        2 => (any::<u64>(), any::<bool>()).prop_map(|(seed, adversarial)| Step::Restart { seed, adversarial }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn files_through_power_cuts_are_what_memory_is(steps in prop::collection::vec(step(), 1..40)) {
        let disk = SimDisk::new();
        let model = MemoryStorage::new();
        let (mut storage, _) = Driver::open(&disk);
        let mut found = block_on(model.recover()).unwrap();
        // All positions that there ever were: where to truncate to, where to take snapshots of.
        let mut positions = vec![Zxid::ZERO];
        for step in steps {
            let tip = positions.last().copied().unwrap_or(Zxid::ZERO);
            let back = |back: u8| positions.iter().rev().nth(usize::from(back)).copied().unwrap_or(Zxid::ZERO);
            let batch = match step {
                Step::Append { count, len, new_epoch } => {
                    let (epoch, first) = if new_epoch || tip == Zxid::ZERO {
                        (tip.epoch().number() + 1, 1)
                    } else {
                        (tip.epoch().number(), tip.counter() + 1)
                    };
                    vec![LogOp::Append(entries(epoch, first..=first + u32::from(count) - 1, usize::from(len)))]
                }
                Step::Truncate { back: steps } => vec![LogOp::TruncateAfter(back(steps))],
                Step::Purge { back: steps } => vec![LogOp::PurgeUpTo(back(steps))],
                Step::Reset { ahead } => {
                    let at = Zxid::new(tip.epoch(), tip.counter() + u32::from(ahead));
                    let bytes = bytes::Bytes::from(vec![1; 300]);
                    let chunk = SnapshotChunk { zxid: at, offset: 0, bytes, last: true };
                    block_on(model.save_snapshot(chunk)).unwrap();
                    storage.save(at, &[1; 300]).unwrap();
                    vec![LogOp::ResetTo(at)]
                }
                Step::Accept { ahead } => {
                    vec![LogOp::AcceptedEpoch(Epoch::new(tip.epoch().number() + u32::from(ahead)))]
                }
                Step::Current => vec![LogOp::CurrentEpoch(tip.epoch())],
                Step::Save { back: steps, len } => {
                    let at = back(steps);
                    let bytes = vec![at.counter() as u8; usize::from(len)];
                    storage.save(at, &bytes).unwrap();
                    let chunk = SnapshotChunk { zxid: at, offset: 0, bytes: bytes.into(), last: true };
                    block_on(model.save_snapshot(chunk)).unwrap();
                    continue;
                }
                Step::Restart { seed, adversarial } => {
                    drop(storage);
                    let loss = if adversarial { Loss::Adversarial } else { Loss::Ordered };
                    disk.power_loss(&mut SeededRng::from_number(seed), loss);
                    let (again, mut on_disk) = Driver::open(&disk);
                    found = block_on(model.recover()).unwrap();
                    // Files keep more than they must: whole segments.
                    prop_assert!(on_disk.log_start <= found.log_start);
                    on_disk.log_start = found.log_start;
                    prop_assert_eq!(&on_disk, &found);
                    storage = again;
                    continue;
                }
            };
            let expected = block_on(model.write(WriteBatch { ops: batch.clone() }));
            let is_purged_away = matches!((&expected, batch.first()),
                (Err(StorageError::Refused(_)), Some(LogOp::TruncateAfter(_))));
            if is_purged_away {
                // The files may still have what memory has purged.
                continue;
            }
            let outcome = storage.write(batch.clone());
            prop_assert_eq!(outcome.is_ok(), expected.is_ok(), "{:?}: {:?}, not {:?}", batch, outcome, expected);
            if expected.is_err() {
                continue;
            }
            match batch.first() {
                Some(LogOp::Append(entries)) => positions.extend(entries.iter().map(|entry| entry.zxid)),
                Some(LogOp::TruncateAfter(zxid)) => positions.retain(|at| at <= zxid),
                Some(LogOp::ResetTo(zxid)) => positions = vec![*zxid],
                _ => {}
            }
            if let Some(start) = positions.first() {
                let start = (*start).max(found.log_start);
                if let Ok(log) = block_on(model.read_log(start, usize::MAX)) {
                    prop_assert_eq!(storage.read_log(start).unwrap(), log);
                }
            }
        }
    }
}
