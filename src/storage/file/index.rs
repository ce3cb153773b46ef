use std::sync::Arc;

use super::record::HEAD_LEN;
use super::scan::{Reader, Slot};
use super::segment::{SEGMENT_HEADER_LEN, segment_name, segment_seed};
use super::{FileStorageOptions, io_error};
use crate::storage::StorageError;
use crate::storage::fs::File;
use crate::storage::outline::Outline;
use crate::types::{LogEntry, Zxid};

/// How far apart the marks are, in bytes: what a search in the log reads at most before it arrives.
const MARK_DISTANCE: u64 = 64 << 10;
/// How much is read at a time.
const PIECE_LEN: usize = 256 << 10;

/// What is where: all that readers share with the writer.
pub(super) struct Index {
    pub(super) outline: Outline,
    /// In order; never empty. The last one is written to.
    pub(super) segments: Vec<Segment>,
}

/// A segment of the log.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) start: Zxid,
    /// The chain's value before its first record.
    pub(super) chain: u32,
    pub(super) file: Arc<dyn File>,
    /// Where its durable records end.
    pub(super) end: u64,
    /// Some of its records and where they begin.
    marks: Vec<(Zxid, u64)>,
}

/// Records of one segment, to be read without the index.
pub(super) struct Stretch {
    number: u64,
    file: Arc<dyn File>,
    from: u64,
    end: u64,
}

/// Which segment, and where it starts.
#[derive(Clone, Copy, Default)]
pub(super) struct SegmentStart {
    pub(super) number: u64,
    pub(super) start: Zxid,
}

impl Segment {
    pub(super) fn new(number: u64, start: Zxid, chain: u32, file: Arc<dyn File>) -> Self {
        Self { number, start, chain, file, end: SEGMENT_HEADER_LEN, marks: Vec::new() }
    }

    /// Notes the next record.
    pub(super) fn note(&mut self, zxid: Zxid, begin: u64, end: u64) {
        if self.marks.last().is_none_or(|(_, last)| begin - last >= MARK_DISTANCE) {
            self.marks.push((zxid, begin));
        }
        self.end = end;
    }

    /// Forgets the records from `end` on.
    pub(super) fn cut(&mut self, end: u64) {
        self.marks.retain(|(_, begin)| *begin < end);
        self.end = end;
    }

    fn stretch(&self, from: u64) -> Stretch {
        Stretch { number: self.number, file: self.file.clone(), from, end: self.end }
    }

    /// A place at or before the record behind `zxid`.
    fn place_before(&self, zxid: Zxid) -> u64 {
        let behind = self.marks.partition_point(|(at, _)| *at <= zxid);
        let mark = behind.checked_sub(1).and_then(|index| self.marks.get(index));
        mark.map_or(SEGMENT_HEADER_LEN, |(_, begin)| *begin)
    }
}

impl Index {
    /// The number of the segment, counted from the oldest, whose records `zxid` is among, or stands directly
    /// before the first of if it stands in no other.
    pub(super) fn segment_of(&self, zxid: Zxid) -> usize {
        self.segments.partition_point(|segment| segment.start < zxid).saturating_sub(1)
    }

    /// The segment where the record behind `zxid` is, or will be.
    pub(super) fn segment_of_next(&self, zxid: Zxid) -> SegmentStart {
        let segment = self.segments.get(self.segment_behind(zxid));
        segment.map_or_else(SegmentStart::default, |segment| SegmentStart {
            number: segment.number,
            start: segment.start,
        })
    }

    fn segment_behind(&self, zxid: Zxid) -> usize {
        self.segments.partition_point(|segment| segment.start <= zxid).saturating_sub(1)
    }

    /// Where the record of `zxid` ends, and its checksum. `zxid` is in the segment, or its start.
    pub(super) fn end_of(
        segment: &Segment,
        zxid: Zxid,
        options: &FileStorageOptions,
    ) -> Result<(u64, u32), StorageError> {
        if zxid == segment.start {
            return Ok((SEGMENT_HEADER_LEN, segment.chain));
        }
        let mut cursor = Cursor::new(&segment.stretch(segment.place_before(zxid)), options);
        while let Some(record) = cursor.next()? {
            if record.entry.zxid == zxid {
                return Ok((cursor.at, record.chain));
            }
        }
        Err(cursor.damage("the record that was to be the last is not there"))
    }

    /// Where to read so as to get the entries behind `after`.
    pub(super) fn route(&self, after: Zxid) -> Vec<Stretch> {
        let segments = self.segments.iter().skip(self.segment_behind(after));
        segments.map(|segment| segment.stretch(segment.place_before(after))).collect()
    }
}

/// Reads the entries behind `after` along a route.
pub(super) fn read_route(
    route: &[Stretch],
    after: Zxid,
    limit: usize,
    options: &FileStorageOptions,
) -> Result<Vec<LogEntry>, StorageError> {
    let mut room = limit;
    let mut entries: Vec<LogEntry> = Vec::new();
    let mut tip = after;
    for stretch in route {
        let mut cursor = Cursor::new(stretch, options);
        while let Some(Record { entry, .. }) = cursor.next()? {
            if entry.zxid <= after {
                continue;
            }
            if !entry.zxid.follows(tip) {
                return Err(cursor.damage("a record does not follow the one before"));
            }
            if !entries.is_empty() && entry.payload.len() > room {
                return Ok(entries);
            }
            room = room.saturating_sub(entry.payload.len());
            tip = entry.zxid;
            // A copy: the piece of the file that it is a part of would live as long as the entry.
            entries.push(LogEntry { payload: bytes::Bytes::copy_from_slice(&entry.payload), ..entry });
        }
    }
    Ok(entries)
}

struct Record {
    entry: LogEntry,
    chain: u32,
}

/// Goes through durable records.
struct Cursor {
    reader: Reader,
    seed: u32,
    number: u64,
    at: u64,
    end: u64,
}

impl Cursor {
    fn new(stretch: &Stretch, options: &FileStorageOptions) -> Self {
        Self {
            reader: Reader::new(stretch.file.clone(), PIECE_LEN),
            seed: segment_seed(options.cluster, options.server, stretch.number),
            number: stretch.number,
            at: stretch.from,
            end: stretch.end,
        }
    }

    fn next(&mut self) -> Result<Option<Record>, StorageError> {
        if self.at + HEAD_LEN as u64 > self.end {
            return Ok(None);
        }
        let slot = self
            .reader
            .slot(self.seed, self.at)
            .map_err(io_error(|| format!("reading {}", segment_name(self.number))))?;
        let Slot::Record { head, payload, chain, end } = slot else {
            return Err(self.damage("a record that was sound before is damaged"));
        };
        self.at = end;
        Ok(Some(Record { entry: LogEntry { zxid: head.zxid, payload }, chain }))
    }

    fn damage(&self, what: &str) -> StorageError {
        StorageError::Damaged { file: segment_name(self.number), offset: self.at, what: what.to_owned() }
    }
}
