use std::io;

use quorate::storage::fs::{DirLock, File, FileSystem, OsFileSystem};

/// Two directories seen as one: snapshots in the first, all else (the log, above all) in the second, so that the log can
/// have a disk of its own, as `dataLogDir` asks.
#[derive(Debug)]
pub(super) struct SplitFileSystem {
    snapshots: OsFileSystem,
    log: OsFileSystem,
}

impl SplitFileSystem {
    pub(super) fn new(snapshots: OsFileSystem, log: OsFileSystem) -> Self {
        Self { snapshots, log }
    }

    fn of(&self, name: &str) -> &OsFileSystem {
        if is_snapshot(name) { &self.snapshots } else { &self.log }
    }
}

fn is_snapshot(name: &str) -> bool {
    name.starts_with("snapshot")
}

impl FileSystem for SplitFileSystem {
    fn create_new(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.of(name).create_new(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.of(name).open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if is_snapshot(from) != is_snapshot(to) {
            return Err(io::Error::other(format!("{from} and {to} are in two directories")));
        }
        self.of(from).rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.of(name).remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.snapshots.list()?;
        names.retain(|name| is_snapshot(name));
        names.extend(self.log.list()?.into_iter().filter(|name| !is_snapshot(name)));
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.snapshots.sync_dir()?;
        self.log.sync_dir()
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn DirLock>> {
        Ok(Box::new(Both { _snapshots: self.snapshots.lock(name)?, _log: self.log.lock(name)? }))
    }

    fn display(&self, name: &str) -> String {
        self.of(name).display(name)
    }
}

/// Two servers must share neither of the directories.
struct Both {
    _snapshots: Box<dyn DirLock>,
    _log: Box<dyn DirLock>,
}

impl DirLock for Both {}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
