use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::node::Node;
use crate::storage::{FileStorage, FileStorageOptions, IfEmpty, RecoveryPolicy, Storage, StorageError};
use crate::types::{ClusterId, SeededRng, ServerId};

use super::SimClock;
use super::disk::{self, Loss, SimDisk};

/// One server of a world: its machine, and the process on it if it runs.
pub(super) struct Machine {
    pub(super) server: ServerId,
    pub(super) clock: SimClock,
    pub(super) disk: SimDisk,
    /// Whose disk that is.
    pub(super) disk_of: ServerId,
    pub(super) files: Files,
    pub(super) node: Option<Node>,
    /// Grows with every start.
    pub(super) incarnation: u64,
    /// Why its process ended by itself last.
    pub(super) ended: Option<String>,
    /// Whether it has ever opened its storage: an empty disk means that data was lost from then on.
    formed: Arc<AtomicBool>,
    /// Whether what is on its disk was damaged, for good.
    damaged: bool,
}

/// How the servers of a world keep their files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Files {
    /// What a power cut may do to what was not synced.
    pub loss: Loss,
    /// What servers do about damage that no power cut explains.
    pub recovery: RecoveryPolicy,
    /// How long a segment of the log may become, in bytes.
    pub segment_len: u64,
    /// How far ahead the log's file is filled, in bytes.
    pub preallocate: u64,
    /// How many snapshots a purge leaves.
    pub snapshots_kept: usize,
}

impl Default for Files {
    /// Small files, and disks that lose whatever they may.
    fn default() -> Self {
        Self {
            loss: Loss::Adversarial,
            recovery: RecoveryPolicy::Resynchronise,
            segment_len: 1 << 16,
            preallocate: 1 << 12,
            snapshots_kept: 2,
        }
    }
}

impl Machine {
    pub(super) fn new(server: ServerId, clock: SimClock, files: Files) -> Self {
        Self {
            server,
            clock,
            disk: SimDisk::new(),
            disk_of: server,
            files,
            node: None,
            incarnation: 0,
            ended: None,
            formed: Arc::new(AtomicBool::new(false)),
            damaged: false,
        }
    }

    /// Opens the storage on the disk, and what is to be set when it is found whole or made.
    pub(super) fn open(&self) -> Result<(Arc<dyn Storage>, Arc<AtomicBool>), StorageError> {
        let mut options = FileStorageOptions::new(ClusterId::new(1), self.server, IfEmpty::AwaitSync);
        options.recovery = self.files.recovery;
        options.segment_len = self.files.segment_len;
        options.preallocate = self.files.preallocate;
        options.snapshots_kept = self.files.snapshots_kept;
        if !self.formed.load(Ordering::Relaxed) {
            match FileStorage::format_on(Arc::new(self.disk.clone()), &options) {
                Ok(()) | Err(StorageError::NotEmpty(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let storage = FileStorage::inline(Arc::new(self.disk.clone()), options)?;
        Ok((Arc::new(storage), Arc::clone(&self.formed)))
    }

    /// Whether its process may end because of its storage.
    pub(super) fn is_excused(&self) -> bool {
        self.disk.is_failing() || self.damaged || self.disk_of != self.server
    }

    /// Whether a fault has stopped the machine in the middle of an operation.
    pub(super) fn is_stopped(&self) -> bool {
        self.disk.is_stopped()
    }

    pub(super) fn power_loss(&self, rng: &mut SeededRng) {
        self.disk.power_loss(rng, self.files.loss);
    }

    /// Lets an operation of the disk fail: the `nth` from now, from 0.
    pub(super) fn fail_operation(&self, nth: u64, fault: disk::Fault) {
        self.disk.fail_at(self.disk.operations() + 1 + nth, fault);
    }

    /// Leaves room for so many more bytes.
    pub(super) fn fill(&self, room: u64) {
        let files = self.disk.files();
        let used: usize =
            files.iter().filter_map(|file| self.disk.contents(file)).map(|bytes| bytes.len()).sum();
        self.disk.limit(Some(used as u64 + room));
    }

    /// Turns a random bit over. Says whether there was one.
    pub(super) fn flip_bit(&mut self, rng: &mut SeededRng) -> bool {
        let files: Vec<_> = self
            .disk
            .files()
            .into_iter()
            .filter_map(|file| self.disk.contents(&file).map(|bytes| (file, bytes.len() as u64)))
            .filter(|(_, length)| *length > 0)
            .collect();
        let index = usize::try_from(rng.below(files.len() as u64)).unwrap_or(0);
        let Some((file, length)) = files.get(index) else { return false };
        self.damaged = true;
        self.disk.flip_bit(file, rng.below(*length), u8::try_from(rng.below(8)).unwrap_or(0))
    }

    pub(super) fn wipe(&mut self) {
        self.damaged = true;
        self.disk.wipe();
    }

    /// Whether it has opened its storage before, and nothing was taken from it since.
    pub(super) fn has_own_data(&self) -> bool {
        self.formed.load(Ordering::Relaxed) && !self.damaged
    }

    /// Whether a fault is still to come to an operation of its disk, by number.
    pub(super) fn is_fault_planned(&self) -> bool {
        self.disk.is_fault_planned()
    }

    /// Its disk, and whose it is. The faults that are to come go with the disk.
    pub(super) fn disk_to_swap(&self) -> (SimDisk, ServerId) {
        (self.disk.clone(), self.disk_of)
    }

    /// Room again, and no errors to come.
    pub(super) fn repair(&self) {
        self.disk.clear_faults();
        self.disk.limit(None);
    }
}
