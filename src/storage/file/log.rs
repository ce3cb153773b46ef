use std::sync::{Arc, Mutex};

use super::control::{Control, ControlFile};
use super::index::{Index, Segment};
use super::record::{put_record, record_len};
use super::segment::{SEGMENT_HEADER_LEN, SegmentHeader, SegmentKind, segment_name, segment_seed};
use super::snapshot::snapshot_name;
use super::{FileStorageOptions, io_error, locked};
use crate::storage::StorageError;
use crate::storage::fs::{File, FileSystem};
use crate::types::{LogEntry, LogOp, Zxid};

/// How many zeros are written at a time.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// The buffer of a larger batch is given back.
const BUFFER_KEPT: usize = 4 << 20;

/// The writer of log and control record: the only one.
///
/// After an error of any of its calls it must not be used again: what reached the disk is not known, and a
/// repeated sync would not tell.
pub(super) struct Log {
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) options: FileStorageOptions,
    pub(super) control: Control,
    pub(super) control_file: ControlFile,
    pub(super) index: Arc<Mutex<Index>>,
    /// The segment that is written to.
    pub(super) active: ActiveSegment,
    pub(super) tip: Zxid,
    pub(super) next_number: u64,
    pub(super) buffer: Vec<u8>,
}

/// Where the next record goes.
pub(super) struct ActiveSegment {
    pub(super) file: Arc<dyn File>,
    pub(super) number: u64,
    /// Where the durable records end.
    pub(super) end: u64,
    /// How far the file is filled, with records or zeros.
    pub(super) allocated: u64,
    /// The checksum of the last record.
    pub(super) chain: u32,
}

impl Log {
    /// Does the steps in order, each durable before the next is begun. They were all admitted.
    pub(super) fn apply(&mut self, ops: Vec<LogOp>) -> Result<Option<Zxid>, StorageError> {
        let mut purge = None;
        let mut entries: Vec<LogEntry> = Vec::new();
        let mut epochs = None;
        for op in ops {
            let is_append = matches!(op, LogOp::Append(_));
            let is_epoch = matches!(op, LogOp::AcceptedEpoch(_) | LogOp::CurrentEpoch(_));
            if !is_append {
                self.append(std::mem::take(&mut entries))?;
            }
            if !is_epoch && let Some(control) = epochs.take() {
                self.write_control(control)?;
            }
            match op {
                LogOp::Append(more) if entries.is_empty() => entries = more,
                LogOp::Append(more) => entries.extend(more),
                LogOp::AcceptedEpoch(epoch) => {
                    epochs.get_or_insert_with(|| self.control.clone()).accepted = epoch;
                }
                LogOp::CurrentEpoch(epoch) => {
                    let control = epochs.get_or_insert_with(|| self.control.clone());
                    control.current = epoch;
                    control.suspect = None;
                }
                LogOp::TruncateAfter(zxid) => self.truncate(zxid)?,
                LogOp::ResetTo(zxid) => self.reset(zxid)?,
                LogOp::PurgeUpTo(zxid) => purge = purge.max(Some(zxid)),
            }
        }
        self.append(entries)?;
        if let Some(control) = epochs {
            self.write_control(control)?;
        }
        Ok(purge)
    }

    /// Removes the segments that nothing behind `oldest_kept`, the position of a snapshot, needs.
    pub(super) fn purge(&mut self, oldest_kept: Zxid) -> Result<(), StorageError> {
        let first = locked(&self.index).segment_of_next(oldest_kept);
        if first.number == self.control.first_segment {
            return Ok(());
        }
        // First it is agreed that they do not count: they may come back one by one when the power goes.
        let control = Control { first_segment: first.number, ..self.control.clone() };
        self.write_control(control)?;
        let removed: Vec<u64> = {
            let mut index = locked(&self.index);
            index.outline.cut_front(first.start);
            let kept = index.segments.iter().position(|segment| segment.number == first.number);
            index.segments.drain(..kept.unwrap_or_default()).map(|segment| segment.number).collect()
        };
        for number in removed {
            self.remove(&segment_name(number))?;
        }
        Ok(())
    }

    fn append(&mut self, entries: Vec<LogEntry>) -> Result<(), StorageError> {
        let mut staged: Vec<(Zxid, u64, u64)> = Vec::new();
        let mut chain = self.active.chain;
        let mut tip = self.tip;
        for entry in entries {
            let len = record_len(entry.payload.len());
            let mut at = self.active.end + self.buffer.len() as u64;
            if at > SEGMENT_HEADER_LEN && at + len > self.options.segment_len {
                self.flush(std::mem::take(&mut staged), chain, tip)?;
                self.roll()?;
                at = SEGMENT_HEADER_LEN;
            }
            let seed = self.seed(self.active.number);
            // Lossless: a segment is at most 1 GiB long, and one record longer.
            let durable = self.active.end as u32;
            chain = put_record(&mut self.buffer, seed, at, chain, durable, &entry);
            tip = entry.zxid;
            staged.push((tip, at, at + len));
        }
        self.flush(staged, chain, tip)
    }

    /// Writes what is in the buffer, makes it durable, and lets readers see it.
    fn flush(&mut self, staged: Vec<(Zxid, u64, u64)>, chain: u32, tip: Zxid) -> Result<(), StorageError> {
        if staged.is_empty() {
            return Ok(());
        }
        let number = self.active.number;
        let doing = io_error(|| format!("appending to {}", self.fs.display(&segment_name(number))));
        self.active.file.write_at(self.active.end, &self.buffer).map_err(&doing)?;
        let end = self.active.end + self.buffer.len() as u64;
        if end > self.active.allocated {
            let ahead = end.next_multiple_of(self.options.preallocate);
            let filled = ahead.min(self.options.segment_len).max(end);
            write_zeros(&*self.active.file, end, filled).map_err(&doing)?;
            self.active.allocated = filled;
        }
        self.active.file.sync_data().map_err(&doing)?;
        drop(doing);
        self.active.end = end;
        self.active.chain = chain;
        self.tip = tip;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT);
        let mut index = locked(&self.index);
        for (zxid, begin, end) in staged {
            index.outline.push(zxid).map_err(StorageError::Refused)?;
            if let Some(segment) = index.segments.last_mut() {
                segment.note(zxid, begin, end);
            }
        }
        Ok(())
    }

    /// Begins the next segment. The one before is durable.
    fn roll(&mut self) -> Result<(), StorageError> {
        let (start, chain) = (self.tip, self.active.chain);
        let (active, segment) = self.create_segment(SegmentKind::Continues, start, chain)?;
        self.active = active;
        locked(&self.index).segments.push(segment);
        Ok(())
    }

    /// Makes a segment without records, durably.
    pub(super) fn create_segment(
        &mut self,
        kind: SegmentKind,
        start: Zxid,
        chain: u32,
    ) -> Result<(ActiveSegment, Segment), StorageError> {
        let number = self.next_number;
        self.next_number += 1;
        let created = create_segment(&*self.fs, &self.options, number, kind, start, chain)?;
        Ok((
            ActiveSegment {
                file: created.file.clone(),
                number,
                end: SEGMENT_HEADER_LEN,
                allocated: self.options.preallocate,
                chain,
            },
            created,
        ))
    }

    fn truncate(&mut self, zxid: Zxid) -> Result<(), StorageError> {
        let beyond: Vec<Zxid> =
            locked(&self.index).outline.snapshots().filter(|snapshot| *snapshot > zxid).collect();
        if zxid != self.tip {
            self.cut_log(zxid)?;
        }
        self.remove_snapshots(&beyond)?;
        if zxid != self.tip {
            self.tip = zxid;
        }
        self.sync_dir()?;
        if self.control.truncating.is_some() {
            let control = Control { truncating: None, ..self.control.clone() };
            self.write_control(control)?;
        }
        Ok(())
    }

    fn cut_log(&mut self, zxid: Zxid) -> Result<(), StorageError> {
        // What it takes is several writes. This one decides: what comes after it is done again by a recovery.
        let control = Control { truncating: Some(zxid), floor: zxid, ..self.control.clone() };
        self.put_control(control)?;
        let (kept, last, removed) = {
            let mut index = locked(&self.index);
            let kept = index.segment_of(zxid);
            let removed: Vec<u64> = index.segments.drain(kept + 1..).map(|segment| segment.number).collect();
            let last = index.segments.last().cloned();
            (kept, last, removed)
        };
        let Some(segment) = last else {
            return Err(StorageError::Refused(format!("no segment holds {zxid}")));
        };
        let (end, chain) = Index::end_of(&segment, zxid, &self.options)?;
        for number in removed.into_iter().rev() {
            self.remove(&segment_name(number))?;
        }
        let doing = io_error(|| format!("truncating {}", self.fs.display(&segment_name(segment.number))));
        segment.file.set_len(end).map_err(&doing)?;
        segment.file.sync_data().map_err(&doing)?;
        drop(doing);
        self.active =
            ActiveSegment { file: segment.file, number: segment.number, end, allocated: end, chain };
        let mut index = locked(&self.index);
        if let Some(segment) = index.segments.get_mut(kept) {
            segment.cut(end);
        }
        index.outline.admit(&LogOp::TruncateAfter(zxid)).map_err(StorageError::Refused)
    }

    fn reset(&mut self, zxid: Zxid) -> Result<(), StorageError> {
        let (active, segment) = self.create_segment(SegmentKind::Begins, zxid, 0)?;
        // From here on the new segment is the log, and what went before is only not yet removed.
        let control =
            Control { first_segment: active.number, truncating: None, floor: zxid, ..self.control.clone() };
        self.put_control(control)?;
        let (segments, snapshots) = {
            let mut index = locked(&self.index);
            let snapshots: Vec<Zxid> = index.outline.snapshots().filter(|at| *at != zxid).collect();
            index.outline.admit(&LogOp::ResetTo(zxid)).map_err(StorageError::Refused)?;
            (std::mem::replace(&mut index.segments, vec![segment]), snapshots)
        };
        self.active = active;
        self.tip = zxid;
        for segment in segments {
            self.remove(&segment_name(segment.number))?;
        }
        self.remove_snapshots(&snapshots)?;
        self.sync_dir()
    }

    pub(super) fn remove_snapshots(&self, snapshots: &[Zxid]) -> Result<(), StorageError> {
        for zxid in snapshots {
            locked(&self.index).outline.drop_snapshot(*zxid);
            self.remove(&snapshot_name(*zxid))?;
        }
        Ok(())
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.fs.remove(name).map_err(io_error(|| format!("removing {}", self.fs.display(name))))
    }

    fn sync_dir(&self) -> Result<(), StorageError> {
        self.fs.sync_dir().map_err(io_error(|| "syncing the directory".to_owned()))
    }

    fn write_control(&mut self, control: Control) -> Result<(), StorageError> {
        let floor = self.tip;
        self.put_control(Control { floor, ..control })
    }

    fn put_control(&mut self, control: Control) -> Result<(), StorageError> {
        self.control_file
            .write(&control)
            .map_err(io_error(|| format!("writing {}", self.fs.display(super::control::CONTROL))))?;
        let mut index = locked(&self.index);
        index.outline.accepted = control.accepted;
        index.outline.current = control.current;
        drop(index);
        self.control = control;
        Ok(())
    }

    fn seed(&self, number: u64) -> u32 {
        segment_seed(self.options.cluster, self.options.server, number)
    }
}

/// Makes a segment without records, durably.
pub(super) fn create_segment(
    fs: &dyn FileSystem,
    options: &FileStorageOptions,
    number: u64,
    kind: SegmentKind,
    start: Zxid,
    chain: u32,
) -> Result<Segment, StorageError> {
    let name = segment_name(number);
    let doing = io_error(|| format!("creating {}", fs.display(&name)));
    let file: Arc<dyn File> = fs.create_new(&name).map_err(&doing)?.into();
    let header =
        SegmentHeader { cluster: options.cluster, server: options.server, number, kind, chain, start };
    file.write_at(0, &header.encode()).map_err(&doing)?;
    write_zeros(&*file, SEGMENT_HEADER_LEN, options.preallocate).map_err(&doing)?;
    file.sync_data().map_err(&doing)?;
    fs.sync_dir().map_err(&doing)?;
    Ok(Segment::new(number, start, chain, file))
}

fn write_zeros(file: &dyn File, from: u64, to: u64) -> std::io::Result<()> {
    let mut at = from;
    while at < to {
        let len = ZEROS.len().min((to - at) as usize);
        file.write_at(at, ZEROS.get(..len).unwrap_or_default())?;
        at += len as u64;
    }
    Ok(())
}
