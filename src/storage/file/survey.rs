use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::control::Control;
use super::index::Segment;
use super::record::Head;
use super::scan::{Reader, Slot, Tail};
use super::segment::{
    SEGMENT_HEADER_LEN, SegmentHeader, SegmentKind, segment_name, segment_number, segment_seed,
};
use super::snapshot::snapshot_zxid;
use super::{FileStorageOptions, io_error};
use crate::storage::StorageError;
use crate::storage::fs::{File, FileSystem};
use crate::storage::outline::Outline;
use crate::types::{ClusterId, LogEntry, ServerId, Zxid};

/// How much of a segment is read at a time.
const PIECE_LEN: usize = 1 << 20;

/// What the log's files hold, as far as it is sound. Nothing is changed by looking.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) outline: Outline,
    /// The segments that count, the last one up to where it is sound.
    pub(super) segments: Vec<Segment>,
    /// The entries behind the newest sound snapshot.
    pub(super) entries: Vec<LogEntry>,
    /// The checksum of the last record.
    pub(super) chain: u32,
    /// From here on no later write has proved the last segment durable.
    pub(super) unproved: u64,
    /// Something stands behind the end that must go.
    pub(super) cut: bool,
    /// Damage that no power cut explains.
    pub(super) problem: Option<Problem>,
    /// Damage of the last record, which may have been acknowledged.
    pub(super) doubt: Option<String>,
}

/// What is wrong, and where.
pub(super) struct Problem {
    pub(super) file: String,
    pub(super) offset: u64,
    pub(super) what: String,
}

/// Reads all segments from the first that counts, in order.
pub(super) fn survey(
    fs: &dyn FileSystem,
    options: &FileStorageOptions,
    control: &Control,
    numbers: &[u64],
    sound_snapshots: &BTreeSet<Zxid>,
) -> Result<Survey, StorageError> {
    let numbers: Vec<u64> =
        numbers.iter().copied().filter(|number| *number >= control.first_segment).collect();
    let mut surveyor = Surveyor {
        options,
        truncating: control.truncating,
        sound_snapshots,
        survey: Survey::default(),
        stop: None,
    };
    for (index, number) in numbers.iter().enumerate() {
        if surveyor.is_at_truncation() {
            break;
        }
        let name = segment_name(*number);
        let doing = io_error(|| format!("reading {}", fs.display(&name)));
        let file: Arc<dyn File> = fs.open(&name).map_err(&doing)?.into();
        let mut header = [0; SEGMENT_HEADER_LEN as usize];
        file.read_at(0, &mut header).map_err(&doing)?;
        let header = SegmentHeader::decode(&header);
        if let Some(header) = &header
            && (header.cluster, header.server) != (options.cluster, options.server)
        {
            return Err(foreign(options, header.cluster, header.server));
        }
        let is_first = index == 0;
        let refusal = match &header {
            None => Some("the header is damaged"),
            Some(header) if header.number != *number => Some("the header is that of another segment"),
            Some(_) if is_first && *number != control.first_segment => Some("an older segment is missing"),
            Some(header) if !is_first && header.kind == SegmentKind::Begins => {
                Some("the segment begins a history that was never decided on")
            }
            Some(_) => None,
        };
        if let Some(what) = refusal {
            // What a power cut leaves of a segment that was being made is no segment. Records came later.
            let is_unborn =
                !is_first && index + 1 == numbers.len() && !holds_records(&file, options, *number)?;
            if !is_unborn {
                surveyor.survey.problem =
                    Some(Problem { file: name.clone(), offset: 0, what: what.to_owned() });
            }
            break;
        }
        let Some(header) = header else { break };
        if is_first {
            surveyor.begin(&header);
        } else if (header.chain, header.start) != (surveyor.survey.chain, surveyor.survey.tip()) {
            let what = format!(
                "what stands here does not reach {}, behind which the next segment goes on",
                header.start
            );
            surveyor.survey.problem = Some(surveyor.survey.problem_at_end(what));
            break;
        }
        surveyor.read_segment(&header, file).map_err(&doing)?;
        if surveyor.survey.problem.is_some() {
            break;
        }
    }
    surveyor.judge_tail().map_err(io_error(|| "reading the end of the log".to_owned()))?;
    Ok(surveyor.finish(numbers.is_empty()))
}

/// Whether the file holds, as the segment of this number, the header of any record.
pub(super) fn holds_records(
    file: &Arc<dyn File>,
    options: &FileStorageOptions,
    number: u64,
) -> Result<bool, StorageError> {
    let seed = segment_seed(options.cluster, options.server, number);
    let mut found = false;
    Reader::new(file.clone(), PIECE_LEN)
        .sweep(seed, SEGMENT_HEADER_LEN, &mut |_, _| found = true)
        .map_err(io_error(|| format!("reading {}", segment_name(number))))?;
    Ok(found)
}

/// The refusal of another server's data.
pub(super) fn foreign(options: &FileStorageOptions, cluster: ClusterId, server: ServerId) -> StorageError {
    StorageError::WrongOwner {
        found: format!("server {server} of {cluster}"),
        expected: format!("server {} of {}", options.server, options.cluster),
    }
}

impl Survey {
    /// The position of the last sound record.
    pub(super) fn tip(&self) -> Zxid {
        self.outline.tip()
    }

    /// A problem with where the log ends.
    pub(super) fn problem_at_end(&self, what: String) -> Problem {
        let (file, offset) = self
            .segments
            .last()
            .map_or_else(|| (segment_name(0), 0), |last| (segment_name(last.number), last.end));
        Problem { file, offset, what }
    }

    /// Gives up all that was found.
    pub(super) fn lose_all(&mut self) {
        *self = Self::default();
    }

    /// Whether nothing is left.
    pub(super) fn is_lost(&self) -> bool {
        self.segments.is_empty()
    }

    /// Forgets the snapshots that are not of this history.
    pub(super) fn drop_strays(&mut self) {
        let strays: Vec<Zxid> = self.outline.snapshots().filter(|at| !self.outline.holds(*at)).collect();
        for stray in strays {
            self.outline.drop_snapshot(stray);
        }
    }

    /// Whether a file of this name is a segment or a snapshot that does not count. A damaged snapshot of the
    /// history stays, for whoever wants to look at it, until a purge.
    pub(super) fn is_superfluous(&self, name: &str) -> bool {
        match (segment_number(name), snapshot_zxid(name)) {
            (Some(number), _) => self.segments.iter().all(|segment| segment.number != number),
            (None, Some(zxid)) => !self.outline.holds(zxid),
            (None, None) => false,
        }
    }
}

struct Surveyor<'a> {
    options: &'a FileStorageOptions,
    truncating: Option<Zxid>,
    sound_snapshots: &'a BTreeSet<Zxid>,
    survey: Survey,
    /// The header of the unsound record at the end of the last segment, if that is sound.
    stop: Option<Head>,
}

impl Surveyor<'_> {
    fn begin(&mut self, header: &SegmentHeader) {
        self.survey.outline = Outline::starting_at(header.start);
        self.survey.chain = header.chain;
    }

    fn is_at_truncation(&self) -> bool {
        !self.survey.segments.is_empty() && self.truncating == Some(self.survey.tip())
    }

    fn read_segment(&mut self, header: &SegmentHeader, file: Arc<dyn File>) -> std::io::Result<()> {
        let mut reader = Reader::new(file.clone(), PIECE_LEN);
        let seed = self.seed(header.number);
        let mut segment = Segment::new(header.number, header.start, header.chain, file);
        self.survey.unproved = SEGMENT_HEADER_LEN;
        self.stop = None;
        while self.truncating != Some(self.survey.tip()) {
            match reader.slot(seed, segment.end)? {
                Slot::None(head) => {
                    self.stop = head;
                    break;
                }
                Slot::Record { head, payload, chain, end } => {
                    if head.previous != self.survey.chain || self.survey.outline.push(head.zxid).is_err() {
                        let what =
                            format!("the record of {} does not follow {}", head.zxid, self.survey.tip());
                        let file = segment_name(header.number);
                        self.survey.problem = Some(Problem { file, offset: segment.end, what });
                        break;
                    }
                    self.survey.chain = chain;
                    self.survey.unproved = u64::from(head.durable);
                    segment.note(head.zxid, segment.end, end);
                    self.keep(head.zxid, payload);
                }
            }
        }
        self.survey.segments.push(segment);
        Ok(())
    }

    fn keep(&mut self, zxid: Zxid, payload: Bytes) {
        if self.sound_snapshots.contains(&zxid) {
            self.survey.entries.clear();
        } else {
            self.survey.entries.push(LogEntry { zxid, payload });
        }
    }

    fn judge_tail(&mut self) -> std::io::Result<()> {
        let at_truncation = self.is_at_truncation();
        let survey = &mut self.survey;
        let Some(last) = survey.segments.last().filter(|_| survey.problem.is_none()) else { return Ok(()) };
        if at_truncation {
            survey.cut = true;
            return Ok(());
        }
        let seed = segment_seed(self.options.cluster, self.options.server, last.number);
        let mut reader = Reader::new(last.file.clone(), PIECE_LEN);
        match reader.judge(seed, last.end, self.stop)? {
            Tail::Clean => {}
            Tail::Torn => survey.cut = true,
            Tail::Rotten => {
                survey.cut = true;
                survey.doubt = Some(format!(
                    "{}, byte {}: the last record is damaged, and it may have been acknowledged",
                    segment_name(last.number),
                    last.end
                ));
            }
            Tail::Followed => {
                let what = "a record is damaged or missing, and sound ones follow".to_owned();
                survey.problem = Some(survey.problem_at_end(what));
            }
        }
        Ok(())
    }

    fn finish(mut self, is_empty: bool) -> Survey {
        if is_empty {
            let what = "the log's segments are missing".to_owned();
            self.survey.problem = Some(Problem { file: "the directory".to_owned(), offset: 0, what });
        }
        for zxid in self.sound_snapshots {
            self.survey.outline.add_snapshot(*zxid);
        }
        self.survey
    }

    fn seed(&self, number: u64) -> u32 {
        segment_seed(self.options.cluster, self.options.server, number)
    }
}
