//! A disk in memory that forgets as a real one does when the power goes.

mod state;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::state::{Body, Change, Naming, State, full, sectors, stopped};
use crate::storage::fs::{DirLock, File, FileSystem};
use crate::types::SeededRng;

/// The unit that a disk writes whole or not at all, in bytes.
pub const SECTOR: usize = 512;

/// The directory of one server on a simulated disk.
///
/// What is written, cut, extended, created, renamed and removed is at first only in the page cache: every
/// process sees it, and [`power_loss`](Self::power_loss) keeps some of it. A file's bytes, its length and its name
/// are separate facts. Same calls, same seeds: the same disk, byte for byte. A clone is the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// What a power cut may do to what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Of each file, and of the directory, the changes up to some point of their order stay; the last one of a
    /// file may be torn behind a sector. As journalling file systems mostly do.
    Ordered,
    /// Any subset of the changed sectors, lengths and names stays. All that the interface allows.
    Adversarial,
}

/// What happens at a chosen operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It fails with an input/output error and is not done. If it is a sync, what was to be synced stays readable
    /// but is never written: as Linux marks such pages clean.
    Error,
    /// It fails with an input/output error in the middle of it: of a write some sectors are in the cache. Another operation is
    /// not done.
    ErrorMidway,
    /// It is done, and fails with an input/output error all the same.
    ErrorAfter,
    /// It fails because the disk is full, and is not done.
    Full,
    /// The machine stops before it.
    CrashBefore,
    /// The machine stops after it.
    CrashAfter,
    /// The machine stops in the middle of it: of a write some sectors are in the cache. Another operation is
    /// not done.
    Torn,
}

/// What kind of change an operation makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Bytes are written to a file.
    Write,
    /// A file is cut or extended, or a name comes, changes or goes.
    Shape,
    /// A file, or the directory, is synced.
    Sync,
}

/// How often faults have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FaultsMet {
    /// Operations other than syncs that failed.
    pub io_errors: u64,
    /// Syncs that failed.
    pub fsync_errors: u64,
    /// Writes for which there was no room.
    pub full: u64,
    /// Writes in whose middle the machine stopped.
    pub torn: u64,
    /// Operations before, behind or in whose middle the machine stopped, other than those.
    pub stopped: u64,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations that change something (writes, cuts, syncs, names) were begun since the disk was made.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Lets the operation with this number, counted as [`operations`](Self::operations) does from 1, fail.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.state().faults.insert(operation, fault);
    }

    /// Lets the operation with this number fail as [`fail_at`](Self::fail_at) does; but nothing takes that back.
    pub(super) fn surely_fail_at(&self, operation: u64, fault: Fault) {
        self.state().sure = Some((operation, fault));
    }

    /// Whether a fault is still to come that nothing takes back.
    pub(super) fn is_fault_sure(&self) -> bool {
        self.state().sure.is_some()
    }

    /// Lets the next operation of one of these kinds fail, whenever it comes.
    pub fn fail_next(&self, kinds: &'static [Operation], fault: Fault) {
        self.state().awaited.push((kinds, fault));
    }

    /// Takes back all faults that have not come yet.
    pub fn clear_faults(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.awaited.clear();
    }

    /// Whether a fault came to the process that uses the disk, or is to come, or there is only so much room.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        let state = self.state();
        state.tripped || !state.faults.is_empty() || !state.awaited.is_empty() || state.capacity.is_some()
    }

    /// Whether a fault that [`fail_at`](Self::fail_at) planned is still to come.
    pub(super) fn is_fault_planned(&self) -> bool {
        !self.state().faults.is_empty()
    }

    /// How often faults have come since the disk was made.
    #[must_use]
    pub fn faults_met(&self) -> FaultsMet {
        self.state().met
    }

    /// Whether a fault has stopped the machine; then every call fails until it is killed or loses power.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.state().dead
    }

    /// Ends the process that uses the disk: its handles and its lock are gone, the page cache stays.
    pub fn kill(&self) {
        let mut state = self.state();
        state.life += 1;
        state.dead = false;
        state.tripped = false;
        state.locked = false;
    }

    /// Cuts the power: the process ends, and of what was not synced only what `loss` allows and `rng` draws stays.
    pub fn power_loss(&self, rng: &mut SeededRng, loss: Loss) {
        self.kill();
        let mut state = self.state();
        for body in state.files.values_mut() {
            body.lose(rng, loss);
        }
        let pending = std::mem::take(&mut state.pending_names);
        let mut names = state.durable_names.clone();
        match loss {
            Loss::Ordered => {
                let kept = rng.below(pending.len() as u64 + 1) as usize;
                pending.iter().take(kept).for_each(|naming| naming.apply(&mut names));
            }
            Loss::Adversarial => {
                pending.iter().filter(|_| rng.chance(1, 2)).for_each(|naming| naming.apply(&mut names));
            }
        }
        state.names.clone_from(&names);
        state.durable_names = names;
        state.drop_unnamed();
    }

    /// Turns one bit of a file over, on the disk and in the cache. Says whether the file reaches so far.
    pub fn flip_bit(&self, name: &str, offset: u64, bit: u8) -> bool {
        let mut state = self.state();
        let Some(body) = state.body_named(name) else { return false };
        let mut flipped = false;
        for bytes in [&mut body.cached, &mut body.durable] {
            if let Some(byte) = usize::try_from(offset).ok().and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1 << (bit % 8);
                flipped = true;
            }
        }
        flipped
    }

    /// Overwrites a part of a file, on the disk and in the cache, as a misdirected write does. Bytes beyond the
    /// end are dropped.
    pub fn overwrite(&self, name: &str, offset: u64, with: &[u8]) {
        let mut state = self.state();
        let Some(body) = state.body_named(name) else { return };
        for bytes in [&mut body.cached, &mut body.durable] {
            let place = bytes.iter_mut().skip(usize::try_from(offset).unwrap_or(usize::MAX));
            place.zip(with).for_each(|(byte, new)| *byte = *new);
        }
    }

    /// Leaves room for this many bytes in all files together; a write that needs more fails. `None`: no limit.
    pub fn limit(&self, capacity: Option<u64>) {
        self.state().capacity = capacity;
    }

    /// Loses everything: an empty disk was put in.
    pub fn wipe(&self) {
        self.kill();
        let mut state = self.state();
        state.files.clear();
        state.names.clear();
        state.durable_names.clear();
        state.pending_names.clear();
    }

    /// Exchanges the contents of two disks, both of stopped servers.
    pub fn swap(&self, other: &Self) {
        if Arc::ptr_eq(&self.state, &other.state) {
            return;
        }
        self.kill();
        other.kill();
        let mut mine = std::mem::take(&mut *self.state());
        let mut theirs = other.state();
        std::mem::swap(&mut mine, &mut *theirs);
        // No handle of before, of either disk, may fit what it meets now.
        let life = mine.life.max(theirs.life) + 1;
        (mine.life, theirs.life) = (life, life);
        drop(theirs);
        *self.state() = mine;
    }

    /// The names of the files, in order, as a process sees them.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// The bytes of a file as a process sees them.
    #[must_use]
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        self.state().body_named(name).map(|body| body.cached.clone())
    }

    /// Removes a file, durably.
    pub fn lose_file(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.durable_names.remove(name);
        state.drop_unnamed();
    }

    /// Puts a file there, durably; one of the same name is replaced.
    pub fn put_file(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let file =
            state.new_file(Body { cached: bytes.to_vec(), durable: bytes.to_vec(), ..Body::default() });
        state.names.insert(name.to_owned(), file);
        state.durable_names.insert(name.to_owned(), file);
        state.drop_unnamed();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, file: u64, life: u64, open: Arc<()>) -> Box<dyn File> {
        Box::new(SimFile { disk: self.clone(), file, life, _open: open })
    }

    /// Runs one changing operation with the fault that is planned for it.
    fn operate<T>(
        &self,
        life: Option<u64>,
        kind: Operation,
        tear: impl FnOnce(&mut State),
        fail: impl FnOnce(&mut State),
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state();
        state.check(life)?;
        match state.begin(kind) {
            None => work(&mut state),
            Some(Fault::Error) => {
                fail(&mut state);
                Err(io::Error::other("input/output error (simulated)"))
            }
            Some(Fault::ErrorMidway) => {
                tear(&mut state);
                Err(io::Error::other("input/output error midway (simulated)"))
            }
            Some(Fault::ErrorAfter) => {
                work(&mut state)?;
                Err(io::Error::other("input/output error after it was done (simulated)"))
            }
            Some(Fault::Full) => Err(full()),
            Some(Fault::CrashBefore) => {
                state.dead = true;
                Err(stopped())
            }
            Some(Fault::CrashAfter) => {
                work(&mut state)?;
                state.dead = true;
                Err(stopped())
            }
            Some(Fault::Torn) => {
                tear(&mut state);
                state.dead = true;
                Err(stopped())
            }
        }
    }

    fn name_change(&self, naming: Naming) -> io::Result<()> {
        self.operate(
            None,
            Operation::Shape,
            |_| {},
            |_| {},
            |state| {
                naming.apply(&mut state.names);
                state.pending_names.push(naming);
                Ok(())
            },
        )
    }
}

impl FileSystem for SimDisk {
    fn create_new(&self, name: &str) -> io::Result<Box<dyn File>> {
        let (file, life, open) = {
            let mut state = self.state();
            state.check(None)?;
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let body = Body::default();
            let open = body.open.clone();
            (state.new_file(body), state.life, open)
        };
        self.name_change(Naming::Create { name: name.to_owned(), file })?;
        Ok(self.handle(file, life, open))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        state.check(None)?;
        let file = state.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        let open = state.body(file)?.open.clone();
        Ok(self.handle(file, state.life, open))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.state().names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        self.name_change(Naming::Rename { from: from.to_owned(), to: to.to_owned(), file })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if !self.state().names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.name_change(Naming::Remove { name: name.to_owned() })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        state.check(None)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        // A failed sync of the names forgets that they are to be written, as one of a file does.
        self.operate(
            None,
            Operation::Sync,
            |_| {},
            |state| state.pending_names.clear(),
            |state| {
                state.durable_names = state.names.clone();
                state.pending_names.clear();
                state.drop_unnamed();
                Ok(())
            },
        )
    }

    fn lock(&self, _name: &str) -> io::Result<Box<dyn DirLock>> {
        let mut state = self.state();
        state.check(None)?;
        if state.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locked = true;
        Ok(Box::new(SimLock { disk: self.clone(), life: state.life }))
    }

    fn display(&self, name: &str) -> String {
        name.to_owned()
    }
}

struct SimFile {
    disk: SimDisk,
    file: u64,
    life: u64,
    _open: Arc<()>,
}

impl SimFile {
    fn change(&self, change: Change) -> io::Result<()> {
        let torn = change.clone();
        let kind = match &change {
            Change::Write { .. } => Operation::Write,
            Change::Length(_) => Operation::Shape,
        };
        self.disk.operate(
            Some(self.life),
            kind,
            |state| {
                if let (Change::Write { offset, bytes }, Ok(body)) = (torn, state.body(self.file)) {
                    let sectors = sectors(offset, &bytes);
                    let half = sectors.len().div_ceil(2);
                    for (offset, bytes) in sectors.into_iter().take(half) {
                        body.change(Change::Write { offset, bytes });
                    }
                }
            },
            |_| {},
            |state| {
                let used = state.used();
                let capacity = state.capacity;
                let body = state.body(self.file)?;
                let len = body.cached.len();
                let grown = match &change {
                    Change::Length(new) => *new,
                    Change::Write { offset, bytes } => len.max(offset + bytes.len()),
                };
                let more = grown.saturating_sub(len) as u64;
                if more > 0 && capacity.is_some_and(|capacity| used.saturating_add(more) > capacity) {
                    state.tripped = true;
                    state.met.full += 1;
                    return Err(full());
                }
                body.change(change);
                Ok(())
            },
        )
    }
}

impl File for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.check(Some(self.life))?;
        let body = state.body(self.file)?;
        let rest = usize::try_from(offset).ok().and_then(|at| body.cached.get(at..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| full())?;
        self.change(Change::Write { offset, bytes: bytes.to_vec() })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(usize::try_from(len).map_err(|_| full())?))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.operate(
            Some(self.life),
            Operation::Sync,
            |_| {},
            |state| {
                if let Ok(body) = state.body(self.file) {
                    body.pending.clear();
                }
            },
            |state| {
                state.body(self.file)?.sync();
                Ok(())
            },
        )
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.check(Some(self.life))?;
        Ok(state.body(self.file)?.cached.len() as u64)
    }
}

struct SimLock {
    disk: SimDisk,
    life: u64,
}

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locked = false;
        }
    }
}
