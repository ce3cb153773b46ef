use std::sync::{Arc, Mutex};

use super::support::{TempDir, format_if_empty, options};
use crate::sim::disk::{Loss, SimDisk};
use crate::storage::conformance::{self, Harness};
use crate::storage::fs::OsFileSystem;
use crate::storage::{FileStorage, FileStorageOptions, Storage};
use crate::types::SeededRng;

/// A simulated disk whose power is cut at every restart.
struct OnSimDisk {
    disk: SimDisk,
    rng: Mutex<SeededRng>,
    loss: Loss,
    options: FileStorageOptions,
}

impl Harness for OnSimDisk {
    fn open(&self) -> Box<dyn Storage> {
        format_if_empty(Arc::new(self.disk.clone()), &self.options).unwrap();
        Box::new(FileStorage::inline(Arc::new(self.disk.clone()), self.options.clone()).unwrap())
    }

    fn power_cut(&self) {
        self.disk.power_loss(&mut self.rng.lock().unwrap(), self.loss);
    }
}

#[test]
fn files_keep_every_promise_of_a_storage_through_power_cuts() {
    for loss in [Loss::Ordered, Loss::Adversarial] {
        for (seed, segment_len) in [(1, 4096), (2, 4096), (3, 1 << 20)] {
            conformance::check(&|| {
                Box::new(OnSimDisk {
                    disk: SimDisk::new(),
                    rng: Mutex::new(SeededRng::from_number(seed)),
                    loss,
                    options: FileStorageOptions { segment_len, ..options() },
                })
            });
        }
    }
}

/// A directory of the operating system, and the storage with its threads.
struct OnDirectory(TempDir);

impl Harness for OnDirectory {
    fn open(&self) -> Box<dyn Storage> {
        let fs = Arc::new(OsFileSystem::new(self.0.0.clone()).unwrap());
        format_if_empty(fs, &options()).unwrap();
        Box::new(FileStorage::open(&self.0.0, options()).unwrap())
    }
}

#[test]
fn files_of_the_operating_system_keep_every_promise_of_a_storage() {
    conformance::check(&|| Box::new(OnDirectory(TempDir::new())));
}
