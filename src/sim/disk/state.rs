use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::{Fault, FaultsMet, Loss, Operation, SECTOR};
use crate::types::SeededRng;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) files: BTreeMap<u64, Body>,
    pub(super) names: BTreeMap<String, u64>,
    pub(super) durable_names: BTreeMap<String, u64>,
    pub(super) pending_names: Vec<Naming>,
    pub(super) next_file: u64,
    /// Grows at every kill: handles of earlier lives are dead.
    pub(super) life: u64,
    pub(super) dead: bool,
    pub(super) locked: bool,
    pub(super) operations: u64,
    /// What is to fail, by the number of the operation.
    pub(super) faults: BTreeMap<u64, Fault>,
    /// What is to fail, by the number of the operation, whatever happens before.
    pub(super) sure: Option<(u64, Fault)>,
    /// What is to fail, whichever operation of these kinds comes next.
    pub(super) awaited: Vec<(&'static [Operation], Fault)>,
    /// Whether a fault came to the process that uses the disk.
    pub(super) tripped: bool,
    pub(super) met: FaultsMet,
    pub(super) capacity: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) cached: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<Change>,
    /// Shared with every handle, so that a removed file lives as long as one is open.
    pub(super) open: Arc<()>,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug)]
pub(super) enum Naming {
    Create { name: String, file: u64 },
    Rename { from: String, to: String, file: u64 },
    Remove { name: String },
}

impl State {
    pub(super) fn check(&self, life: Option<u64>) -> io::Result<()> {
        if self.dead || life.is_some_and(|life| life != self.life) { Err(stopped()) } else { Ok(()) }
    }

    /// The fault that is planned for the operation that comes now.
    pub(super) fn begin(&mut self, kind: Operation) -> Option<Fault> {
        self.operations += 1;
        let awaited = self.awaited.iter().position(|(kinds, _)| kinds.contains(&kind));
        let sure = self.sure.take_if(|(number, _)| *number == self.operations).map(|(_, fault)| fault);
        let numbered = sure.or(self.faults.remove(&self.operations));
        let fault = numbered.or_else(|| awaited.map(|place| self.awaited.remove(place).1))?;
        self.tripped = true;
        let met = &mut self.met;
        let count = match (fault, kind) {
            (Fault::Error | Fault::ErrorMidway | Fault::ErrorAfter, Operation::Sync) => &mut met.fsync_errors,
            (Fault::Error | Fault::ErrorMidway | Fault::ErrorAfter, _) => &mut met.io_errors,
            (Fault::Full, _) => &mut met.full,
            (Fault::Torn, Operation::Write) => &mut met.torn,
            (Fault::CrashBefore | Fault::CrashAfter | Fault::Torn, _) => &mut met.stopped,
        };
        *count += 1;
        Some(fault)
    }

    pub(super) fn new_file(&mut self, body: Body) -> u64 {
        self.next_file += 1;
        self.files.insert(self.next_file, body);
        self.next_file
    }

    pub(super) fn body(&mut self, file: u64) -> io::Result<&mut Body> {
        self.files.get_mut(&file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn body_named(&mut self, name: &str) -> Option<&mut Body> {
        let file = *self.names.get(name)?;
        self.files.get_mut(&file)
    }

    pub(super) fn used(&self) -> u64 {
        self.names.values().filter_map(|file| self.files.get(file)).map(|body| body.cached.len() as u64).sum()
    }

    /// Frees the files that are not open and that no name leads to, or could after a power cut.
    pub(super) fn drop_unnamed(&mut self) {
        let State { files, names, durable_names, pending_names, .. } = self;
        files.retain(|file, body| {
            Arc::strong_count(&body.open) > 1
                || names.values().chain(durable_names.values()).any(|named| named == file)
                || pending_names
                    .iter()
                    .any(|naming| matches!(naming, Naming::Create { file: named, .. } | Naming::Rename { file: named, .. } if named == file))
        });
    }
}

impl Body {
    pub(super) fn apply(bytes: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Length(len) => bytes.resize(*len, 0),
            Change::Write { offset, bytes: new } => {
                let end = offset + new.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                if let Some(place) = bytes.get_mut(*offset..end) {
                    place.copy_from_slice(new);
                }
            }
        }
    }

    pub(super) fn change(&mut self, change: Change) {
        Self::apply(&mut self.cached, &change);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            Self::apply(&mut self.durable, &change);
        }
    }

    pub(super) fn lose(&mut self, rng: &mut SeededRng, loss: Loss) {
        let pending = std::mem::take(&mut self.pending);
        match loss {
            Loss::Ordered => {
                let kept = rng.below(pending.len() as u64 + 1) as usize;
                for change in pending.iter().take(kept) {
                    Self::apply(&mut self.durable, change);
                }
                if let Some(Change::Write { offset, bytes }) = pending.get(kept) {
                    let sectors = sectors(*offset, bytes);
                    let whole = rng.below(sectors.len() as u64 + 1) as usize;
                    for (offset, bytes) in sectors.into_iter().take(whole) {
                        Self::apply(&mut self.durable, &Change::Write { offset, bytes });
                    }
                }
            }
            Loss::Adversarial => {
                let mut len = self.durable.len();
                for change in &pending {
                    match change {
                        Change::Length(new) => {
                            if rng.chance(1, 2) {
                                self.durable.resize(*new, 0);
                                len = *new;
                            }
                        }
                        Change::Write { offset, bytes } => {
                            let end = offset + bytes.len();
                            if end > len && rng.chance(1, 2) {
                                len = end;
                            }
                            for (offset, bytes) in sectors(*offset, bytes) {
                                if rng.chance(1, 2) {
                                    Self::apply(&mut self.durable, &Change::Write { offset, bytes });
                                }
                            }
                        }
                    }
                }
                self.durable.resize(len, 0);
            }
        }
        self.cached.clone_from(&self.durable);
    }
}

impl Naming {
    pub(super) fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Create { name, file } => {
                names.insert(name.clone(), *file);
            }
            Self::Rename { from, to, file } => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Self::Remove { name } => {
                names.remove(name);
            }
        }
    }
}

/// A write in pieces, each within one sector.
pub(super) fn sectors(offset: usize, bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut pieces = Vec::new();
    let (mut at, mut rest) = (offset, bytes);
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
        pieces.push((at, piece.to_vec()));
        at += piece.len();
        rest = more;
    }
    pieces
}

pub(super) fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on the device (simulated)")
}

pub(super) fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the machine has stopped (simulated)")
}
