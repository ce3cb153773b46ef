//! What went wrong elsewhere around synchronisation and restarts, as it would happen here.

use std::sync::Arc;

use futures::executor::block_on;

use super::support::*;
use crate::sim::disk::{Fault, Loss, SimDisk};
use crate::storage::{FileStorage, FileStorageOptions, IfEmpty, RecoveryPolicy, Storage as _, StorageError};
use crate::types::{Epoch, LogOp, SeededRng, Standing, Zxid};

#[test]
fn scn_14_until_a_received_snapshot_is_installed_the_old_tip_counts() {
    let received = |steps: usize| {
        let disk = SimDisk::new();
        let (storage, _) = Driver::open(&disk);
        storage.append(entries(3, 1..=7, 50)).unwrap();
        if steps > 0 {
            storage.chunk(zxid(5, 10), 0, &[7; 900], false).unwrap();
        }
        if steps > 1 {
            storage.chunk(zxid(5, 10), 900, &[8; 100], true).unwrap();
        }
        if steps > 2 {
            storage.write(vec![LogOp::ResetTo(zxid(5, 10))]).unwrap();
        }
        drop(storage);
        disk.kill();
        Driver::open(&disk).1.tip()
    };
    assert_eq!([0, 1, 2, 3].map(received), [zxid(3, 7), zxid(3, 7), zxid(3, 7), zxid(5, 10)]);
}

#[test]
fn scn_15_a_snapshot_that_was_lost_never_leaves_a_hole_before_the_log() {
    for seed in 0..40 {
        let disk = SimDisk::new();
        let (storage, _) = Driver::open(&disk);
        storage.append(entries(1, 1..=5, 50)).unwrap();
        storage.save(zxid(1, 3), &[3; 700]).unwrap();
        storage.save(zxid(4, 9), &[9; 3000]).unwrap();
        storage.write(vec![LogOp::ResetTo(zxid(4, 9)), LogOp::Append(entries(4, 10..=12, 50))]).unwrap();
        drop(storage);
        disk.power_loss(&mut SeededRng::from_number(seed), Loss::Adversarial);
        let (storage, found) = Driver::open(&disk);
        assert_eq!((found.snapshot, found.log), (Some(zxid(4, 9)), entries(4, 10..=12, 50)));
        assert_eq!(storage.read_snapshot(zxid(4, 9)).unwrap(), [9; 3000]);
    }
    // And if the disk loses it all the same, the rest of the log is not taken for the whole.
    let disk = after_a_reset();
    disk.lose_file("snapshot-0000000400000009");
    let error = Driver::open_with(&disk, options()).err().unwrap();
    assert!(
        matches!(&error, StorageError::Damaged { what, .. } if what.contains("no sound snapshot")),
        "{error}"
    );
}

#[test]
fn scn_16_without_a_sound_snapshot_the_rest_of_the_log_is_refused_or_given_up_as_a_suspect() {
    for harm in ["lost", "empty", "garbled"] {
        let disk = after_a_reset();
        match harm {
            "lost" => disk.lose_file("snapshot-0000000400000009"),
            "empty" => disk.put_file("snapshot-0000000400000009", &[]),
            _ => assert!(disk.flip_bit("snapshot-0000000400000009", 500, 3)),
        }
        let before = disk.files();
        assert!(matches!(Driver::open_with(&disk, options()), Err(StorageError::Damaged { .. })), "{harm}");
        assert_eq!(disk.files(), before, "{harm}: a refusal changes nothing");

        let (storage, found) = Driver::open_with(&disk, resynchronising()).unwrap();
        assert_eq!((found.tip(), found.log_start), (Zxid::ZERO, Zxid::ZERO), "{harm}");
        assert!(matches!(found.standing, Standing::Suspect(_)), "{harm}");
        assert!(found.accepted_epoch >= Epoch::new(6), "{harm}: what was promised stays promised");
        drop(storage);
        let (storage, found) = Driver::open(&disk);
        assert!(matches!(found.standing, Standing::Suspect(_)), "{harm}: it stays a suspect");
        storage.append(entries(1, 1..=2, 50)).unwrap();
        storage.write(vec![LogOp::CurrentEpoch(Epoch::new(6))]).unwrap();
        drop(storage);
        let (_, found) = Driver::open(&disk);
        assert_eq!(
            (found.tip(), found.standing),
            (zxid(1, 2), Standing::Whole),
            "{harm}: a leader has cured it"
        );
    }
}

#[test]
fn scn_16_an_empty_directory_of_an_old_ensemble_waits_for_a_leader() {
    let disk = SimDisk::new();
    let awaiting = || FileStorageOptions { if_empty: IfEmpty::AwaitSync, ..options() };
    let (storage, found) = Driver::open_with(&disk, awaiting()).unwrap();
    assert!(matches!(found.standing, Standing::Suspect(_)));
    storage.write(vec![LogOp::AcceptedEpoch(Epoch::new(4)), LogOp::Append(entries(4, 1..=1, 9))]).unwrap();
    drop(storage);
    let (storage, found) = Driver::open_with(&disk, awaiting()).unwrap();
    assert!(
        matches!(found.standing, Standing::Suspect(_)),
        "an accepted epoch and entries alone cure nothing"
    );
    storage.write(vec![LogOp::CurrentEpoch(Epoch::new(4))]).unwrap();
    drop(storage);
    assert_eq!(Driver::open_with(&disk, awaiting()).unwrap().1.standing, Standing::Whole);
}

#[test]
fn scn_16_the_same_start_after_the_disk_was_lost_is_no_new_beginning() {
    let open = |disk: &SimDisk| {
        let storage = FileStorage::inline(Arc::new(disk.clone()), options())?;
        block_on(storage.recover())
    };
    let disk = SimDisk::new();
    assert!(matches!(open(&disk), Err(StorageError::Unformatted(_))), "nobody has said that it is new");
    assert_eq!(disk.files().iter().filter(|name| *name != "lock").count(), 0, "nothing was changed");
    FileStorage::format_on(Arc::new(disk.clone()), &options()).unwrap();
    assert_eq!(open(&disk).unwrap().standing, Standing::Whole);
    let (storage, _) = Driver::open(&disk);
    storage.append(entries(1, 1..=3, 20)).unwrap();
    drop(storage);
    let again = FileStorage::format_on(Arc::new(disk.clone()), &options());
    assert!(matches!(again, Err(StorageError::NotEmpty(_))), "{again:?}");
    assert_eq!(open(&disk).unwrap().log, entries(1, 1..=3, 20), "it is all there");

    assert!(matches!(open(&SimDisk::new()), Err(StorageError::Unformatted(_))), "a new disk in its place");
}

#[test]
fn scn_16_a_formatting_that_the_power_cut_short_can_be_done_again() {
    for cut in 0..40 {
        let disk = SimDisk::new();
        disk.fail_at(
            disk.operations() + 1 + cut / 3,
            [Fault::CrashBefore, Fault::CrashAfter, Fault::Torn][cut as usize % 3],
        );
        let done = FileStorage::format_on(Arc::new(disk.clone()), &options()).is_ok();
        disk.power_loss(&mut SeededRng::from_number(cut), Loss::Adversarial);
        let (storage, found) = Driver::open(&disk);
        assert_eq!((found.standing, found.log), (Standing::Whole, Vec::new()), "cut at {cut}, done: {done}");
        storage.append(entries(1, 1..=1, 9)).unwrap();
    }
}

#[test]
fn scn_17_after_a_truncation_the_writer_goes_on_exactly_there() {
    // Records of 512 bytes and less, so that the cut falls at sector ends, segment ends and in between.
    for len in [8, 472, 500] {
        for cut in 0..=20u32 {
            let disk = SimDisk::new();
            let (storage, _) = Driver::open(&disk);
            storage.append(entries(1, 1..=20, len)).unwrap();
            let at = if cut == 0 { Zxid::ZERO } else { zxid(1, cut) };
            storage.write(vec![LogOp::TruncateAfter(at)]).unwrap();
            storage.append(entries(2, 1..=3, len + 16)).unwrap();
            drop(storage);
            disk.power_loss(&mut SeededRng::from_number(u64::from(cut)), Loss::Adversarial);
            let (storage, found) = Driver::open(&disk);
            let log = [entries(1, 1..=cut, len), entries(2, 1..=3, len + 16)].concat();
            assert_eq!(found.log, log, "{len} bytes, cut after {cut}");
            assert_eq!(storage.read_log(Zxid::ZERO).unwrap(), log);
        }
    }
}

#[test]
fn scn_21_a_truncation_takes_the_snapshots_beyond_it_along() {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    storage.append(entries(7, 1..=4, 30)).unwrap();
    storage.save(zxid(7, 2), b"state at 7.2").unwrap();
    storage.save(zxid(7, 4), b"state at 7.4, which nobody confirmed").unwrap();
    storage.write(vec![LogOp::TruncateAfter(zxid(7, 3))]).unwrap();
    storage.append(entries(8, 1..=1, 30)).unwrap();
    drop(storage);
    disk.power_loss(&mut SeededRng::from_number(5), Loss::Adversarial);
    let (_, found) = Driver::open(&disk);
    assert_eq!(found.snapshot, Some(zxid(7, 2)));
    assert_eq!(found.log, [entries(7, 3..=3, 30), entries(8, 1..=1, 30)].concat());
    assert!(!disk.files().contains(&"snapshot-0000000700000004".to_owned()));
}

#[test]
fn scn_22_a_crash_at_any_point_of_an_epoch_change_leaves_a_legal_state() {
    let change = |storage: &Driver| {
        storage.write(vec![LogOp::AcceptedEpoch(Epoch::new(2))])?;
        storage.write(vec![LogOp::Append(entries(2, 1..=3, 100)), LogOp::CurrentEpoch(Epoch::new(2))])
    };
    let begun = |disk: &SimDisk| {
        let (storage, _) = Driver::open(disk);
        storage.write(vec![LogOp::AcceptedEpoch(Epoch::new(1)), LogOp::CurrentEpoch(Epoch::new(1))]).unwrap();
        storage
    };
    let disk = SimDisk::new();
    let storage = begun(&disk);
    let first = disk.operations();
    change(&storage).unwrap();
    let last = disk.operations();
    assert!(last - first >= 8, "two epochs and an append are at least 8 operations");
    let mut seen = std::collections::BTreeSet::new();
    for at in first + 1..=last {
        for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::Torn] {
            for seed in 0..8 {
                let disk = SimDisk::new();
                let storage = begun(&disk);
                disk.fail_at(at, fault);
                assert!(change(&storage).is_err());
                drop(storage);
                disk.power_loss(&mut SeededRng::from_number(seed), Loss::Adversarial);
                let (_, found) = Driver::open(&disk);
                let state = (found.accepted_epoch.number(), found.current_epoch.number(), found.log.len());
                assert_eq!(found.standing, Standing::Whole, "{fault:?} at {at}, seed {seed}");
                let (accepted, current, len) = state;
                assert!(accepted == 2 || len == 0, "an entry of an epoch that was never accepted: {state:?}");
                assert!(current == 1 || len == 3, "the history comes before the epoch: {state:?}");
                seen.insert((accepted, current));
            }
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(1, 1), (2, 1), (2, 2)]);
}

#[test]
fn scn_25_truncation_and_what_follows_it_are_durable_before_the_epoch_is() {
    for seed in 0..20 {
        let disk = SimDisk::new();
        let (storage, _) = Driver::open(&disk);
        storage.append(entries(1, 1..=9, 200)).unwrap();
        storage
            .write(vec![
                LogOp::AcceptedEpoch(Epoch::new(2)),
                LogOp::TruncateAfter(zxid(1, 6)),
                LogOp::Append(entries(2, 1..=9, 200)),
                LogOp::CurrentEpoch(Epoch::new(2)),
            ])
            .unwrap();
        drop(storage);
        disk.power_loss(&mut SeededRng::from_number(seed), Loss::Adversarial);
        let (_, found) = Driver::open(&disk);
        assert_eq!(found.log, [entries(1, 1..=6, 200), entries(2, 1..=9, 200)].concat());
        assert_eq!(found.current_epoch, Epoch::new(2));
    }
}

#[test]
fn scn_26_a_suffix_that_was_cut_off_and_comes_back_is_noticed() {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    storage.append(entries(1, 1..=20, 500)).unwrap();
    let cut_off: Vec<(String, Vec<u8>)> =
        disk.files().into_iter().map(|name| (name.clone(), disk.contents(&name).unwrap())).collect();
    storage.write(vec![LogOp::TruncateAfter(zxid(1, 3)), LogOp::Append(entries(2, 1..=2, 500))]).unwrap();
    drop(storage);
    // A file system that forgets an unlink which it had confirmed.
    let last = cut_off.iter().rev().find(|(name, _)| name.starts_with("log-")).unwrap();
    assert!(!disk.files().contains(&last.0), "the later segments were removed");
    disk.put_file(&last.0, &last.1);
    let error = Driver::open_with(&disk, options()).err().unwrap();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    let (_, found) = Driver::open_with(&disk, resynchronising()).unwrap();
    assert_eq!(found.log, [entries(1, 1..=3, 500), entries(2, 1..=2, 500)].concat());
    assert!(matches!(found.standing, Standing::Suspect(_)));
}

#[test]
fn scn_27_what_is_reported_after_a_kill_survives_the_next_power_cut() {
    let mut reported = 0;
    for seed in 0..30 {
        for at in 1..=3 {
            for fault in [Fault::CrashBefore, Fault::Error] {
                let disk = SimDisk::new();
                let (storage, _) = Driver::open(&disk);
                storage.append(entries(1, 1..=3, 100)).unwrap();
                // The write, the zeros behind it, the sync: one of them is not done.
                disk.fail_at(disk.operations() + at, fault);
                let _ = storage.append(entries(1, 4..=6, 700));
                drop(storage);
                disk.kill();
                let (_, from_cache) = Driver::open(&disk);
                reported += usize::from(from_cache.log.len() == 6);
                disk.power_loss(&mut SeededRng::from_number(seed), Loss::Adversarial);
                let (_, after) = Driver::open(&disk);
                assert_eq!(after.log, from_cache.log, "{fault:?} at {at}, seed {seed}");
            }
        }
    }
    assert!(reported > 0, "the case never arose");
}

fn resynchronising() -> FileStorageOptions {
    FileStorageOptions { recovery: RecoveryPolicy::Resynchronise, ..options() }
}

/// A store whose history begins with the snapshot of 4.9.
fn after_a_reset() -> SimDisk {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    storage.write(vec![LogOp::AcceptedEpoch(Epoch::new(6))]).unwrap();
    storage.save(zxid(4, 9), &[9; 3000]).unwrap();
    storage.write(vec![LogOp::ResetTo(zxid(4, 9)), LogOp::Append(entries(4, 10..=12, 50))]).unwrap();
    disk
}
