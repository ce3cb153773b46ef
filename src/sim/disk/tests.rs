use super::*;

fn written(disk: &SimDisk, name: &str, bytes: &[u8]) -> Box<dyn File> {
    let file = disk.create_new(name).unwrap();
    file.write_at(0, bytes).unwrap();
    file
}

/// What may be left of a file after a power cut, over many draws.
fn outcomes(loss: Loss, prepare: impl Fn(&SimDisk)) -> std::collections::BTreeSet<Option<Vec<u8>>> {
    (0..200)
        .map(|seed| {
            let disk = SimDisk::new();
            prepare(&disk);
            disk.power_loss(&mut SeededRng::from_number(seed), loss);
            disk.contents("file")
        })
        .collect()
}

#[test]
fn what_was_synced_with_its_name_survives_any_power_cut() {
    for loss in [Loss::Ordered, Loss::Adversarial] {
        let left = outcomes(loss, |disk| {
            written(disk, "file", b"synced").sync_data().unwrap();
            disk.sync_dir().unwrap();
        });
        assert_eq!(left.into_iter().collect::<Vec<_>>(), [Some(b"synced".to_vec())]);
    }
}

#[test]
fn a_synced_file_without_a_synced_name_may_be_gone() {
    let left = outcomes(Loss::Adversarial, |disk| written(disk, "file", b"synced").sync_data().unwrap());
    assert_eq!(left.into_iter().collect::<Vec<_>>(), [None, Some(b"synced".to_vec())]);
}

#[test]
fn bytes_and_length_are_lost_apart_from_each_other() {
    let left = outcomes(Loss::Adversarial, |disk| {
        drop(written(disk, "file", b"new"));
        disk.sync_dir().unwrap();
    });
    let expected = [Some(vec![]), Some(vec![0, 0, 0]), Some(b"new".to_vec())];
    assert_eq!(left.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn an_adversary_keeps_any_sectors_and_an_ordered_disk_only_the_first_ones() {
    let prepare = |disk: &SimDisk| {
        let file = written(disk, "file", &[0; 3 * SECTOR]);
        file.sync_data().unwrap();
        disk.sync_dir().unwrap();
        file.write_at(0, &[1; 3 * SECTOR]).unwrap();
    };
    let sectors = |loss| -> Vec<Vec<u8>> {
        let left = outcomes(loss, prepare).into_iter().flatten();
        left.map(|bytes| bytes.iter().step_by(SECTOR).copied().collect()).collect()
    };
    assert_eq!(sectors(Loss::Adversarial).len(), 8);
    assert_eq!(sectors(Loss::Ordered), [vec![0, 0, 0], vec![1, 0, 0], vec![1, 1, 0], vec![1, 1, 1]]);
}

#[test]
fn a_failed_sync_leaves_the_bytes_readable_and_never_writes_them() {
    let disk = SimDisk::new();
    let file = written(&disk, "file", b"old");
    file.sync_data().unwrap();
    disk.sync_dir().unwrap();
    file.write_at(0, b"new").unwrap();
    disk.fail_at(disk.operations() + 1, Fault::Error);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    disk.kill();
    assert_eq!(disk.contents("file"), Some(b"new".to_vec()));
    disk.power_loss(&mut SeededRng::from_number(1), Loss::Ordered);
    assert_eq!(disk.contents("file"), Some(b"old".to_vec()));
}

#[test]
fn a_rename_replaces_whole_or_not_at_all() {
    let left = outcomes(Loss::Adversarial, |disk| {
        written(disk, "file", b"old").sync_data().unwrap();
        written(disk, "new", b"new").sync_data().unwrap();
        disk.sync_dir().unwrap();
        disk.rename("new", "file").unwrap();
    });
    assert_eq!(left.into_iter().collect::<Vec<_>>(), [Some(b"new".to_vec()), Some(b"old".to_vec())]);
}

#[test]
fn handles_of_an_earlier_life_are_dead() {
    let disk = SimDisk::new();
    let file = written(&disk, "file", b"bytes");
    disk.kill();
    assert!(file.write_at(0, b"ghost").is_err());
    assert_eq!(disk.open("file").unwrap().len().unwrap(), 5);
}

#[test]
fn a_machine_that_stopped_answers_nothing_until_it_is_started() {
    let disk = SimDisk::new();
    let file = written(&disk, "file", b"a");
    disk.fail_at(disk.operations() + 1, Fault::CrashAfter);
    assert!(file.write_at(1, b"b").is_err());
    assert!(disk.is_stopped() && disk.list().is_err() && file.len().is_err());
    disk.kill();
    assert_eq!(disk.contents("file"), Some(b"ab".to_vec()));
}

#[test]
fn a_removed_file_is_read_through_what_was_opened_before() {
    let disk = SimDisk::new();
    let file = written(&disk, "file", b"bytes");
    disk.remove("file").unwrap();
    disk.sync_dir().unwrap();
    let mut bytes = [0; 5];
    assert_eq!(file.read_at(0, &mut bytes).unwrap(), 5);
    assert_eq!(&bytes, b"bytes");
    assert!(disk.open("file").is_err());
}

#[test]
fn a_full_disk_takes_what_needs_no_more_room() {
    let disk = SimDisk::new();
    let file = written(&disk, "file", &[1; 100]);
    disk.limit(Some(120));
    assert_eq!(file.write_at(90, &[2; 40]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_at(80, &[2; 40]).unwrap();
    disk.limit(None);
    file.write_at(90, &[2; 40]).unwrap();
}

#[test]
fn the_lock_is_held_by_one_life_at_a_time() {
    let disk = SimDisk::new();
    let lock = disk.lock("lock").unwrap();
    assert_eq!(disk.lock("lock").err().map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
    disk.kill();
    let again = disk.lock("lock").unwrap();
    drop(lock);
    assert!(disk.lock("lock").is_err(), "the old life's lock is not this one's");
    drop(again);
    assert!(disk.lock("lock").is_ok());
}

#[test]
fn a_fault_that_awaits_a_sync_lets_writes_and_names_pass() {
    let disk = SimDisk::new();
    disk.fail_next(&[Operation::Sync], Fault::Error);
    let file = written(&disk, "file", b"a");
    file.set_len(9).unwrap();
    disk.rename("file", "other").unwrap();
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(disk.faults_met(), FaultsMet { fsync_errors: 1, ..FaultsMet::default() });
}

#[test]
fn a_sure_fault_comes_whatever_is_taken_back_before() {
    let disk = SimDisk::new();
    disk.fail_at(2, Fault::Error);
    disk.surely_fail_at(3, Fault::Error);
    disk.clear_faults();
    disk.power_loss(&mut SeededRng::from_number(1), Loss::Ordered);
    let file = disk.create_new("file").unwrap();
    file.write_at(0, b"a").unwrap();
    assert!(disk.is_fault_sure());
    assert!(file.sync_data().is_err());
    assert!(!disk.is_fault_sure());
}

#[test]
fn an_operation_may_fail_in_its_middle_and_when_it_is_done() {
    let written = [1; 3 * SECTOR];
    for (fault, stays) in
        [(Fault::Error, 0), (Fault::ErrorMidway, 2 * SECTOR), (Fault::ErrorAfter, 3 * SECTOR)]
    {
        let disk = SimDisk::new();
        let file = disk.create_new("file").unwrap();
        disk.fail_next(&[Operation::Write], fault);
        assert!(file.write_at(0, &written).is_err());
        assert_eq!(disk.contents("file").unwrap().len(), stays, "{fault:?}");
        file.write_at(0, &written).unwrap();
        disk.fail_next(&[Operation::Shape], fault);
        assert!(disk.rename("file", "other").is_err());
        assert_eq!(disk.files() == ["other"], fault == Fault::ErrorAfter, "{fault:?}");
        assert_eq!(disk.faults_met().io_errors, 2);
    }
}

#[test]
fn a_disk_is_failing_from_when_a_fault_is_planned_until_the_process_that_met_it_has_ended() {
    let disk = SimDisk::new();
    assert!(!disk.is_failing());
    disk.fail_next(&[Operation::Write], Fault::Torn);
    assert!(disk.is_failing());
    let file = disk.create_new("file").unwrap();
    assert!(file.write_at(0, b"a").is_err());
    assert!(disk.is_failing());
    disk.kill();
    assert!(!disk.is_failing());
    assert_eq!(disk.faults_met(), FaultsMet { torn: 1, ..FaultsMet::default() });
}
