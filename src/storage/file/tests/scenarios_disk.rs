//! What disks do: refuse, fill up, rot, get exchanged.

use super::support::*;
use crate::sim::disk::{Fault, Loss, SimDisk};
use crate::storage::{FileStorage, FileStorageOptions, RecoveryPolicy, StorageError};
use crate::types::{Epoch, LogEntry, LogOp, SeededRng, ServerId, Standing, Zxid};

#[test]
fn scn_45_after_a_failed_sync_nothing_is_tried_again_and_nothing_unsynced_is_believed() {
    for seed in 0..20 {
        let disk = SimDisk::new();
        let (storage, _) = Driver::open(&disk);
        storage.append(entries(1, 1..=3, 100)).unwrap();
        disk.fail_at(disk.operations() + 2, Fault::Error);
        let error = storage.append(entries(1, 4..=4, 100)).unwrap_err();
        assert!(matches!(error, StorageError::Io { .. }), "{error}");
        let operations = disk.operations();
        for error in [
            storage.append(entries(1, 4..=4, 100)).unwrap_err(),
            storage.read_log(Zxid::ZERO).unwrap_err(),
            storage.save(zxid(1, 3), b"state").unwrap_err(),
        ] {
            assert!(matches!(error, StorageError::Poisoned(_)), "{error}");
        }
        assert_eq!(disk.operations(), operations, "nothing is written after a failure");
        drop(storage);
        // The cache still shows what the disk never got. Reported or not: it stays as it was reported.
        disk.kill();
        let (storage, found) = Driver::open(&disk);
        storage.append(entries(2, 1..=1, 100)).unwrap();
        let log = [found.log, entries(2, 1..=1, 100)].concat();
        drop(storage);
        disk.power_loss(&mut SeededRng::from_number(seed), Loss::Adversarial);
        assert_eq!(Driver::open(&disk).1.log, log);
    }
}

#[test]
fn scn_47_a_full_disk_stops_the_storage_and_room_starts_it_again() {
    for room in (0..9000).step_by(97) {
        let disk = SimDisk::new();
        let (storage, _) = Driver::open(&disk);
        disk.limit(Some(20_000 + room));
        let mut written = 0;
        let error = loop {
            match storage.append(entries(1, written + 1..=written + 1, 600)) {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StorageError::Full { .. }), "{error}");
        drop(storage);
        disk.kill();
        disk.limit(None);
        let (storage, found) = Driver::open(&disk);
        let log = entries(1, 1..=written, 600);
        assert!(found.log.starts_with(&log), "with {room} bytes: {} of {written}", found.log.len());
        assert!(found.log.len() <= written as usize + 1);
        let next = found.log.len() as u32 + 1;
        storage.append(entries(1, next..=next, 600)).unwrap();
    }
}

#[test]
fn scn_47_a_snapshot_that_does_not_fit_leaves_the_log_going() {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    storage.append(entries(1, 1..=3, 100)).unwrap();
    disk.limit(Some(40_000));
    let error = storage.save(zxid(1, 3), &[1; 300_000]).unwrap_err();
    assert!(matches!(error, StorageError::Full { .. }), "{error}");
    storage.append(entries(1, 4..=4, 100)).unwrap();
    storage.save(zxid(1, 3), &[1; 3000]).unwrap();
    drop(storage);
    let (_, found) = Driver::open(&disk);
    assert_eq!((found.snapshot, found.log), (Some(zxid(1, 3)), entries(1, 4..=4, 100)));
}

#[test]
fn scn_47_what_is_left_of_a_segment_that_was_never_begun_is_no_segment() {
    let header = {
        let disk = two_segments();
        disk.contents("log-0000000000000002").unwrap()
    };
    for left in [0, 1, 47, 512] {
        let disk = SimDisk::new();
        let (storage, _) = Driver::open(&disk);
        storage.append(entries(1, 1..=3, 500)).unwrap();
        drop(storage);
        let rest = header.get(..left).unwrap().to_vec();
        disk.put_file("log-0000000000000002", if left == 512 { &[0; 512] } else { &rest });
        let (storage, found) = Driver::open(&disk);
        assert_eq!(found.log, entries(1, 1..=3, 500), "{left} bytes left");
        storage.append(entries(1, 4..=12, 500)).unwrap();
        drop(storage);
        assert_eq!(Driver::open(&disk).1.log, entries(1, 1..=12, 500));
    }
}

#[test]
fn scn_49_a_purge_counts_only_sound_snapshots() {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    for at in 1..=30 {
        storage.append(entries(1, at..=at, 400)).unwrap();
        if at % 5 == 0 {
            storage.save(zxid(1, at), &[at as u8; 2000]).unwrap();
        }
    }
    let sound = [10, 20];
    for rotten in [15, 25, 30] {
        assert!(disk.flip_bit(&format!("snapshot-00000001{rotten:08x}"), 900, 0));
    }
    storage.write(vec![LogOp::PurgeUpTo(zxid(1, 30))]).unwrap();
    drop(storage);
    let (storage, found) = Driver::open(&disk);
    assert_eq!((found.snapshot, found.log), (Some(zxid(1, 20)), entries(1, 21..=30, 400)));
    for at in sound {
        assert_eq!(storage.read_snapshot(zxid(1, at)).unwrap(), [at as u8; 2000], "two sound ones are kept");
    }
    assert!(found.log_start > Zxid::ZERO, "what nothing needs was removed");
    assert_eq!(
        storage.read_log(zxid(1, 10)).unwrap(),
        entries(1, 11..=30, 400),
        "and the log behind the older"
    );
    assert!(matches!(storage.read_snapshot(zxid(1, 5)), Err(StorageError::Absent(_))));
}

#[test]
fn scn_50_names_are_durable_before_what_depends_on_them() {
    for seed in 0..60 {
        let disk = SimDisk::new();
        let (storage, _) = Driver::open(&disk);
        // The first start, an epoch, a roll and a snapshot each made names.
        storage.write(vec![LogOp::AcceptedEpoch(Epoch::new(1))]).unwrap();
        storage.append(entries(1, 1..=20, 500)).unwrap();
        storage.save(zxid(1, 12), &[1; 5000]).unwrap();
        drop(storage);
        disk.power_loss(&mut SeededRng::from_number(seed), Loss::Adversarial);
        let (_, found) = Driver::open(&disk);
        assert_eq!(found.accepted_epoch, Epoch::new(1));
        assert_eq!((found.snapshot, found.log), (Some(zxid(1, 12)), entries(1, 13..=20, 500)));
    }
}

#[test]
fn scn_51_damage_in_the_middle_is_told_with_its_place_and_cut_only_when_allowed() {
    for (file, offset) in
        [("log-0000000000000001", 512 + 544), ("log-0000000000000001", 0), ("log-0000000000000002", 20)]
    {
        let disk = two_segments();
        assert!(disk.flip_bit(file, offset + 5, 1));
        let before: Vec<_> = disk.files().iter().map(|name| disk.contents(name)).collect();
        let error = Driver::open_with(&disk, options()).err().unwrap();
        match &error {
            StorageError::Damaged { file: named, offset: at, .. } => {
                assert_eq!((named.as_str(), *at), (file, if offset < 512 { 0 } else { offset }));
            }
            _ => panic!("{error}"),
        }
        let after: Vec<_> = disk.files().iter().map(|name| disk.contents(name)).collect();
        assert_eq!(
            before.len(),
            after.iter().filter(|file| before.contains(file)).count(),
            "nothing was changed"
        );

        let (storage, found) = Driver::open_with(
            &disk,
            FileStorageOptions { recovery: RecoveryPolicy::Resynchronise, ..options() },
        )
        .unwrap();
        assert!(
            matches!(&found.standing, Standing::Suspect(why) if why.contains(file)),
            "{:?}",
            found.standing
        );
        let sound = found.log.len() as u32;
        assert_eq!(found.log, entries(1, 1..=sound, 500));
        assert!(sound < 12);
        storage.append(entries(1, sound + 1..=12, 500)).unwrap();
        drop(storage);
        let (storage, found) = Driver::open(&disk);
        assert!(matches!(found.standing, Standing::Suspect(_)), "a suspect until its epoch is current");
        storage.write(vec![LogOp::CurrentEpoch(Epoch::new(0))]).unwrap();
        drop(storage);
        assert_eq!(Driver::open(&disk).1.standing, Standing::Whole);
    }
}

#[test]
fn scn_51_a_rotten_last_record_is_told_from_a_torn_one() {
    for torn in [false, true] {
        let disk = SimDisk::new();
        let (storage, _) = Driver::open(&disk);
        storage.append(entries(1, 1..=2, 300)).unwrap();
        storage.append(entries(1, 3..=3, 1500)).unwrap();
        drop(storage);
        let third = 512 + 2 * (40 + 304);
        if torn {
            disk.overwrite("log-0000000000000001", 1536, &[0; 512]);
        } else {
            assert!(disk.flip_bit("log-0000000000000001", third + 800, 4));
        }
        let (storage, found) = Driver::open(&disk);
        assert_eq!(found.log, entries(1, 1..=2, 300));
        assert_eq!(matches!(found.standing, Standing::Suspect(_)), !torn, "{:?}", found.standing);
        storage.append(entries(1, 3..=4, 100)).unwrap();
        drop(storage);
        let (_, found) = Driver::open(&disk);
        assert_eq!(found.log, [entries(1, 1..=2, 300), entries(1, 3..=4, 100)].concat());
        assert_eq!(matches!(found.standing, Standing::Suspect(_)), !torn);
    }
}

#[test]
fn scn_51_a_record_torn_at_any_byte_is_cut_and_hardly_ever_suspected() {
    let mut suspects = 0;
    for left in 0..544 {
        let disk = SimDisk::new();
        let (storage, _) = Driver::open(&disk);
        storage.append(entries(1, 1..=2, 300)).unwrap();
        storage.append(entries(1, 3..=3, 500)).unwrap();
        drop(storage);
        disk.overwrite("log-0000000000000001", 512 + 2 * 344 + left, &vec![0; 544 - left as usize]);
        let (_, found) = Driver::open(&disk);
        assert_eq!(found.log, entries(1, 1..=2, 300), "{left} bytes were written");
        suspects += u64::from(found.standing != Standing::Whole);
    }
    assert!(suspects <= 6, "only a cut within a checksum or a mark looks like rot: {suspects}");
}

#[test]
fn scn_51_zeros_in_a_payload_are_no_sign_of_a_torn_write() {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    let zeros = LogEntry { zxid: zxid(1, 1), payload: vec![0; 2000].into() };
    storage.append(vec![zeros]).unwrap();
    drop(storage);
    assert!(disk.flip_bit("log-0000000000000001", 1200, 2));
    let (_, found) = Driver::open(&disk);
    assert!(matches!(found.standing, Standing::Suspect(_)), "an acknowledged entry was dropped as torn");
}

#[test]
fn scn_51_a_lost_sector_before_a_later_write_is_no_torn_tail() {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    storage.append(entries(1, 1..=2, 1000)).unwrap();
    storage.append(entries(1, 3..=3, 100)).unwrap();
    drop(storage);
    disk.overwrite("log-0000000000000001", 1024, &[0; 512]);
    assert!(matches!(Driver::open_with(&disk, options()), Err(StorageError::Damaged { .. })));
}

#[test]
fn a_record_that_was_written_to_the_wrong_place_does_not_pass() {
    let disk = two_segments();
    let other = disk.contents("log-0000000000000001").unwrap();
    // The whole body of the first segment over that of the second: sound records, of elsewhere.
    disk.overwrite("log-0000000000000002", 512, other.get(512..).unwrap());
    let found = Driver::open_with(&disk, options());
    match found {
        Err(StorageError::Damaged { .. }) => {}
        Ok((_, found)) => assert!(matches!(found.standing, Standing::Suspect(_)), "{found:?}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_log_that_ends_before_where_it_once_was_is_refused() {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    storage.append(entries(1, 1..=3, 100)).unwrap();
    storage.write(vec![LogOp::AcceptedEpoch(Epoch::new(1)), LogOp::CurrentEpoch(Epoch::new(1))]).unwrap();
    drop(storage);
    // A disk that confirmed a sync and did not write: the last record is zeros.
    disk.overwrite("log-0000000000000001", 512 + 2 * 144, &[0; 144]);
    let error = Driver::open_with(&disk, options()).err().unwrap();
    assert!(matches!(&error, StorageError::Damaged { what, .. } if what.contains("1.3")), "{error}");
}

#[test]
fn scn_52_one_fault_at_any_operation_ends_in_an_error_and_a_start_that_lost_nothing() {
    let work = |storage: &Driver, acknowledged: &mut u32| -> Result<(), StorageError> {
        for at in 1..=12 {
            storage.append(entries(1, at..=at, 500))?;
            *acknowledged = at;
        }
        storage.save(zxid(1, 10), &[5; 4000])?;
        storage.write(vec![LogOp::PurgeUpTo(zxid(1, 10))])
    };
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    let first = disk.operations();
    work(&storage, &mut 0).unwrap();
    for at in first + 1..=disk.operations() {
        for fault in [Fault::Error, Fault::Full] {
            let disk = SimDisk::new();
            let (storage, _) = Driver::open(&disk);
            disk.fail_at(at, fault);
            let mut acknowledged = 0;
            assert!(work(&storage, &mut acknowledged).is_err(), "{fault:?} at {at} was swallowed");
            drop(storage);
            disk.kill();
            let (_, found) = Driver::open(&disk);
            assert!(found.tip() >= zxid(1, acknowledged) || acknowledged == 0, "{fault:?} at {at}");
            assert_eq!(found.standing, Standing::Whole);
        }
    }
}

#[test]
fn scn_61_a_single_server_acknowledges_nothing_before_its_disk_has_it() {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    let mut rng = SeededRng::from_number(61);
    let mut storage = Some(storage);
    for at in 1..=40 {
        storage.as_ref().unwrap().append(entries(1, at..=at, 150)).unwrap();
        storage = None;
        disk.power_loss(&mut rng, Loss::Adversarial);
        let (again, found) = Driver::open(&disk);
        assert_eq!(found.log, entries(1, 1..=at, 150));
        storage.replace(again);
    }
}

#[test]
fn scn_67_a_directory_of_another_server_is_refused_untouched() {
    let (one, two) = (SimDisk::new(), SimDisk::new());
    let options_of = |server| FileStorageOptions { server: ServerId::new(server), ..options() };
    for (disk, server) in [(&one, 1), (&two, 2)] {
        let (storage, _) = Driver::open_with(disk, options_of(server)).unwrap();
        storage.append(entries(server as u32, 1..=2, 40)).unwrap();
    }
    one.swap(&two);
    for (disk, server) in [(&one, 1), (&two, 2)] {
        let before: Vec<_> = disk.files().iter().map(|name| disk.contents(name)).collect();
        let error = Driver::open_with(disk, options_of(server)).err().unwrap();
        assert!(matches!(&error, StorageError::WrongOwner { .. }), "{error}");
        let after: Vec<_> = disk.files().iter().map(|name| disk.contents(name)).collect();
        assert_eq!(before, after);
    }
    one.swap(&two);
    assert_eq!(Driver::open_with(&one, options_of(1)).unwrap().1.log, entries(1, 1..=2, 40));
}

#[test]
fn scn_67_a_segment_of_another_server_is_refused() {
    let (mine, theirs) = (two_segments(), SimDisk::new());
    let other = FileStorageOptions { server: ServerId::new(2), ..options() };
    let (storage, _) = Driver::open_with(&theirs, other).unwrap();
    storage.append(entries(1, 1..=12, 500)).unwrap();
    mine.put_file("log-0000000000000002", &theirs.contents("log-0000000000000002").unwrap());
    assert!(matches!(Driver::open_with(&mine, options()), Err(StorageError::WrongOwner { .. })));
}

#[test]
fn a_directory_is_opened_once_at_a_time() {
    let dir = TempDir::new();
    let first = FileStorage::open(&dir.0, options()).unwrap();
    assert!(matches!(FileStorage::open(&dir.0, options()), Err(StorageError::Locked(_))));
    drop(first);
    drop(FileStorage::open(&dir.0, options()).unwrap());
}

#[test]
fn a_lost_control_record_is_damage_and_makes_a_suspect() {
    let disk = two_segments();
    disk.lose_file("control");
    assert!(matches!(Driver::open_with(&disk, options()), Err(StorageError::Damaged { .. })));
    let (_, found) =
        Driver::open_with(&disk, FileStorageOptions { recovery: RecoveryPolicy::Resynchronise, ..options() })
            .unwrap();
    assert_eq!(found.log, entries(1, 1..=12, 500));
    assert_eq!(
        found.accepted_epoch,
        Epoch::new(1),
        "entries of an epoch are taken only after it was accepted"
    );
    assert!(matches!(found.standing, Standing::Suspect(_)));
}

/// Twelve entries, in two segments.
fn two_segments() -> SimDisk {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    for at in 1..=12 {
        storage.append(entries(1, at..=at, 500)).unwrap();
    }
    disk
}
