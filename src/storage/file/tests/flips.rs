use super::support::*;
use crate::sim::disk::SimDisk;
use crate::storage::{FileStorageOptions, RecoveryPolicy, StorageError};
use crate::types::{Epoch, LogOp, Recovered, Standing};

/// A small store with everything in it.
fn small() -> (SimDisk, Recovered) {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open_with(&disk, tiny()).unwrap();
    storage.write(vec![LogOp::AcceptedEpoch(Epoch::new(2))]).unwrap();
    storage.append(entries(1, 1..=2, 30)).unwrap();
    storage.append(vec![entry(1, 3, 700)]).unwrap();
    storage.append(entries(1, 4..=5, 20)).unwrap();
    storage.write(vec![LogOp::Append(entries(2, 1..=1, 10)), LogOp::CurrentEpoch(Epoch::new(2))]).unwrap();
    storage.save(zxid(1, 4), &[4; 100]).unwrap();
    storage.append(entries(2, 2..=4, 30)).unwrap();
    drop(storage);
    let (_, found) = Driver::open_with(&disk, tiny()).unwrap();
    (disk, found)
}

fn tiny() -> FileStorageOptions {
    FileStorageOptions { preallocate: 512, ..options() }
}

#[test]
fn a_flipped_bit_anywhere_changes_and_loses_nothing_unnoticed() {
    let (disk, whole) = small();
    let (mut intact, mut suspect, mut damaged) = (0, 0, 0);
    for name in disk.files() {
        let bytes = disk.contents(&name).unwrap();
        // The control record is four blocks of which each is under one checksum: every third byte will do.
        let stride = if name == "control" { 3 } else { 1 };
        for offset in (0..bytes.len()).step_by(stride) {
            // A copy: what a recovery repairs must not hide the next flip.
            let copy = SimDisk::new();
            for other in disk.files() {
                copy.put_file(&other, &disk.contents(&other).unwrap());
            }
            assert!(copy.flip_bit(&name, offset as u64, (offset % 8) as u8));
            match Driver::open_with(&copy, tiny()) {
                Ok((storage, found)) if found.standing == Standing::Whole => {
                    assert_eq!((found.accepted_epoch, found.current_epoch), (Epoch::new(2), Epoch::new(2)));
                    assert_eq!(found.tip(), whole.tip(), "{name} at {offset}");
                    let log = storage.read_log(zxid(1, 4)).unwrap();
                    assert_eq!(log, whole.log, "{name} at {offset}");
                    intact += 1;
                }
                Ok((_, found)) => {
                    let kept = whole.log.iter().zip(&found.log).take_while(|(a, b)| a == b).count();
                    assert_eq!(kept, found.log.len(), "{name} at {offset}: a changed entry");
                    suspect += 1;
                }
                Err(StorageError::Damaged { .. } | StorageError::WrongOwner { .. }) => damaged += 1,
                Err(error) => panic!("{name} at {offset}: {error}"),
            }
        }
    }
    assert!(
        intact > 100 && suspect > 20 && damaged > 500,
        "{intact} intact, {suspect} suspect, {damaged} damaged"
    );
}

#[test]
fn resynchronising_starts_whatever_one_bit_does_and_never_calls_a_loss_whole() {
    let (disk, whole) = small();
    for name in disk.files() {
        let len = disk.contents(&name).unwrap().len();
        for offset in (0..len).step_by(13) {
            let copy = SimDisk::new();
            for other in disk.files() {
                copy.put_file(&other, &disk.contents(&other).unwrap());
            }
            assert!(copy.flip_bit(&name, offset as u64, (offset % 8) as u8));
            let options = FileStorageOptions { recovery: RecoveryPolicy::Resynchronise, ..tiny() };
            let (storage, found) = Driver::open_with(&copy, options.clone())
                .unwrap_or_else(|error| panic!("{name} at {offset}: {error}"));
            assert!(found.tip() == whole.tip() || found.standing != Standing::Whole, "{name} at {offset}");
            drop(storage);
            let (_, again) = Driver::open_with(&copy, options).unwrap();
            assert_eq!(again, found, "{name} at {offset}: the next start reports the same");
        }
    }
}
