//! Durable state in files: a segmented write-ahead log, snapshots, and one small record of the epochs.
//!
//! | file | what |
//! |---|---|
//! | `control` | epochs, standing, where the log begins: two places written in turn, two copies each |
//! | `log-<number>` | a segment: a header, then records that are chained by their checksums |
//! | `snapshot-<zxid>` | a whole snapshot, with a checksum for every block and one for all |
//! | `snapshot.new`, `control.new` | one that is not finished |
//! | `lock` | is locked while the storage is open |
//!
//! One batch is one write and one sync of the log (and one of `control`, if it changes an epoch). Everything is
//! read back through its checksum. No file is mapped, and none is kept in memory.

mod control;
mod core;
mod index;
mod log;
mod options;
mod record;
mod recovery;
mod scan;
mod segment;
mod snapshot;
mod survey;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use async_trait::async_trait;
use futures::channel::oneshot;

use self::core::Core;
use super::fs::{FileSystem, OsFileSystem};
use super::{Storage, StorageError};
use crate::types::{LogEntry, Recovered, SnapshotChunk, WriteBatch, Zxid};

pub use options::{FileStorageOptions, IfEmpty, RecoveryPolicy};

/// A [`Storage`] in a directory of files.
///
/// Writes, snapshots and reads each have a thread of their own, so that no call blocks the executor it is awaited
/// on and no write waits for a snapshot; made with [`inline`](Self::inline) it has none and works within the
/// calls, which is what a simulator wants. A call whose future is dropped is done nevertheless.
///
/// Dropping it waits for what is under way, then unlocks the directory.
pub struct FileStorage {
    core: Arc<Core>,
    threads: Option<Threads>,
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Clone, Copy)]
enum Lane {
    Writes,
    Snapshots,
    Reads,
}

struct Threads {
    lanes: [Option<mpsc::Sender<Job>>; 3],
    handles: Vec<thread::JoinHandle<()>>,
}

impl FileStorage {
    /// Makes `dir` the directory of a server of a new ensemble: the explicit first step, taken once for each server
    /// before its first start ever. The directory is created if it is not there.
    ///
    /// It belongs where the ensemble is set up (a command of the operator, a flag that is given once), not where a server
    /// is started every day: a server whose disk was lost must not begin anew and vote.
    ///
    /// ```
    /// use quorate::storage::{FileStorage, FileStorageOptions, IfEmpty, StorageError};
    /// use quorate::{ClusterId, ServerId};
    ///
    /// # let dir = std::env::temp_dir().join(format!("quorate-format-{}", std::process::id()));
    /// let options = FileStorageOptions::new(ClusterId::new(42), ServerId::new(1), IfEmpty::Refuse);
    /// FileStorage::format(&dir, &options)?;
    /// assert!(matches!(FileStorage::format(&dir, &options), Err(StorageError::NotEmpty(_))));
    /// let storage = FileStorage::open(&dir, options)?;
    /// # drop(storage);
    /// # std::fs::remove_dir_all(dir).unwrap();
    /// # Ok::<(), StorageError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotEmpty`](StorageError::NotEmpty) if the directory holds a server's data, [`Locked`](StorageError::Locked) if
    /// it is in use; nothing was changed then. Otherwise what the operating system says; it can be tried again.
    pub fn format(dir: impl Into<PathBuf>, options: &FileStorageOptions) -> Result<(), StorageError> {
        Self::format_on(os(dir.into())?, options)
    }

    /// The same on any file system.
    ///
    /// # Errors
    ///
    /// As [`format`](Self::format).
    pub fn format_on(fs: Arc<dyn FileSystem>, options: &FileStorageOptions) -> Result<(), StorageError> {
        Core::open(fs, options.clone())?.format()
    }

    /// Opens the directory at `dir`, which is created if it is not there, and locks it. What is in it is read, and
    /// judged, by [`recover`](Storage::recover).
    ///
    /// # Errors
    ///
    /// [`Locked`](StorageError::Locked) if another process or another `FileStorage` has it open; otherwise what the
    /// operating system says. Nothing was changed.
    pub fn open(dir: impl Into<PathBuf>, options: FileStorageOptions) -> Result<Self, StorageError> {
        Self::open_on(os(dir.into())?, options)
    }

    /// The same on any file system.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_on(fs: Arc<dyn FileSystem>, options: FileStorageOptions) -> Result<Self, StorageError> {
        let mut storage = Self::inline(fs, options)?;
        storage.threads = Some(Threads::start()?);
        Ok(storage)
    }

    /// The same without threads: everything is done within the calls, before their futures are ready.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn inline(fs: Arc<dyn FileSystem>, options: FileStorageOptions) -> Result<Self, StorageError> {
        Ok(Self { core: Arc::new(Core::open(fs, options)?), threads: None })
    }

    async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&Core) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let Some(threads) = &self.threads else { return work(&self.core) };
        let core = self.core.clone();
        let (done, result) = oneshot::channel();
        threads.post(
            lane,
            Box::new(move || {
                // Nobody waits any more if the future was dropped.
                let _ = done.send(work(&core));
            }),
        )?;
        result.await.unwrap_or_else(|_| Err(ended()))
    }
}

#[async_trait]
impl Storage for FileStorage {
    async fn recover(&self) -> Result<Recovered, StorageError> {
        self.run(Lane::Writes, Core::recover).await
    }

    async fn write(&self, batch: WriteBatch) -> Result<(), StorageError> {
        let purge = self.run(Lane::Writes, |core| core.write(batch)).await?;
        match (purge, &self.threads) {
            (None, _) => Ok(()),
            (Some(zxid), None) => self.core.purge(zxid),
            (Some(zxid), Some(threads)) => {
                // It verifies snapshots, which may take long, and nobody waits for it. If it fails the storage
                // is poisoned, and the next call says why.
                let core = self.core.clone();
                threads.post(Lane::Snapshots, Box::new(move || drop(core.purge(zxid))))
            }
        }
    }

    async fn read_log(&self, after: Zxid, limit: usize) -> Result<Vec<LogEntry>, StorageError> {
        self.run(Lane::Reads, move |core| core.read_log(after, limit)).await
    }

    async fn save_snapshot(&self, chunk: SnapshotChunk) -> Result<(), StorageError> {
        self.run(Lane::Snapshots, move |core| core.save_snapshot(&chunk)).await
    }

    async fn read_snapshot(
        &self,
        at: Zxid,
        offset: u64,
        limit: usize,
    ) -> Result<SnapshotChunk, StorageError> {
        self.run(Lane::Reads, move |core| core.read_snapshot(at, offset, limit)).await
    }
}

impl std::fmt::Debug for FileStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileStorage").field("threads", &self.threads.is_some()).finish_non_exhaustive()
    }
}

impl Threads {
    fn start() -> Result<Self, StorageError> {
        let mut threads = Self { lanes: [None, None, None], handles: Vec::new() };
        let names = ["quorate-log", "quorate-snapshots", "quorate-reads"];
        for (name, lane) in names.into_iter().zip(0..) {
            let (sender, jobs) = mpsc::channel::<Job>();
            let handle = thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || jobs.into_iter().for_each(|job| job()))
                .map_err(io_error(|| format!("starting the thread {name}")))?;
            threads.handles.push(handle);
            if let Some(place) = threads.lanes.get_mut::<usize>(lane) {
                *place = Some(sender);
            }
        }
        Ok(threads)
    }

    fn post(&self, lane: Lane, job: Job) -> Result<(), StorageError> {
        let sender = self.lanes.get(lane as usize).and_then(Option::as_ref).ok_or_else(ended)?;
        sender.send(job).map_err(|_| ended())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.lanes = [None, None, None];
        for handle in self.handles.drain(..) {
            // A thread that panicked has nothing left to wait for.
            let _ = handle.join();
        }
    }
}

fn os(dir: PathBuf) -> Result<Arc<dyn FileSystem>, StorageError> {
    let shown = dir.display().to_string();
    Ok(Arc::new(OsFileSystem::new(dir).map_err(io_error(|| format!("opening {shown}")))?))
}

fn ended() -> StorageError {
    StorageError::Poisoned("a thread of the storage has ended".to_owned())
}

/// Tells what was being done beside what the operating system said.
fn io_error(doing: impl Fn() -> String) -> impl Fn(io::Error) -> StorageError {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full { doing: doing() },
        _ => StorageError::Io { doing: doing(), cause: error.to_string() },
    }
}

/// No code that holds one of these locks leaves a change half done when it panics: what may be half done is on disk,
/// behind a lock that refuses all once a write has failed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
