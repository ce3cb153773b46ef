use super::support::*;
use crate::sim::disk::SimDisk;
use crate::types::{Epoch, LogOp};

/// If this fails the format has changed: stores of before would be refused. Raise the version in the magic of the
/// file, and say in the change log how to migrate.
#[test]
fn the_files_are_byte_for_byte_as_they_were() {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    storage.write(vec![LogOp::AcceptedEpoch(Epoch::new(2)), LogOp::Append(entries(2, 1..=3, 100))]).unwrap();
    storage.write(vec![LogOp::CurrentEpoch(Epoch::new(2))]).unwrap();
    storage.save(zxid(2, 2), &[5; 70_000]).unwrap();
    drop(storage);
    let sums: Vec<(String, u32)> = disk
        .files()
        .into_iter()
        .map(|name| (name.clone(), crc32c::crc32c(&disk.contents(&name).unwrap())))
        .collect();
    let expected = [
        ("control", 1_767_509_622),
        ("log-0000000000000001", 126_149_722),
        ("snapshot-0000000200000002", 3_362_212_494),
    ];
    assert_eq!(sums, expected.map(|(name, sum)| (name.to_owned(), sum)));
}
