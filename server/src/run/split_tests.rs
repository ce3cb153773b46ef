use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use quorate::storage::fs::{FileSystem as _, OsFileSystem};
use quorate::storage::{FileStorage, FileStorageOptions, IfEmpty, Storage, conformance};
use quorate::{ClusterId, ServerId};

use super::*;

struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("quorate-split-{}-{number}", std::process::id())))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn split(dir: &Path) -> SplitFileSystem {
    let part = |name: &str| OsFileSystem::new(dir.join(name)).unwrap();
    SplitFileSystem::new(part("snapshots"), part("log"))
}

#[test]
fn a_storage_in_two_directories_keeps_every_promise_of_a_storage() {
    conformance::check(&|| {
        let dir = Dir::new();
        let options = FileStorageOptions::new(ClusterId::new(1), ServerId::new(1), IfEmpty::Refuse);
        FileStorage::format_on(Arc::new(split(&dir.0)), &options).unwrap();
        Box::new(move || {
            Box::new(FileStorage::open_on(Arc::new(split(&dir.0)), options.clone()).unwrap())
                as Box<dyn Storage>
        })
    });
}

#[test]
fn snapshots_are_in_the_one_directory_and_all_else_in_the_other() {
    let dir = Dir::new();
    let fs = split(&dir.0);
    for name in ["snapshot.new", "snapshot-5", "log-1", "control"] {
        fs.create_new(name).unwrap();
    }
    assert_eq!(fs.list().unwrap(), ["control", "log-1", "snapshot-5", "snapshot.new"]);
    fs.rename("snapshot.new", "snapshot-6").unwrap();
    assert!(dir.0.join("snapshots/snapshot-6").exists() && dir.0.join("log/control").exists());
    assert!(fs.rename("snapshot-6", "log-6").is_err(), "a file does not move between disks");
    let _held = fs.lock("lock").unwrap();
    for part in ["snapshots", "log"] {
        let other = OsFileSystem::new(dir.0.join(part)).unwrap();
        assert!(other.lock("lock").is_err(), "{part} is locked too");
    }
}
