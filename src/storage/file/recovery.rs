use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::control::{CONTROL, Control, ControlFile, Loaded, NEW_CONTROL};
use super::index::Index;
use super::io_error;
use super::log::{ActiveSegment, Log, create_segment};
use super::options::{FileStorageOptions, IfEmpty, RecoveryPolicy};
use super::segment::{SEGMENT_HEADER_LEN, SegmentKind, segment_name, segment_number};
use super::snapshot::{SnapshotIdentity, SnapshotReader, UNFINISHED, snapshot_name, snapshot_zxid};
use super::survey::{Problem, Survey, foreign, holds_records, survey};
use crate::storage::StorageError;
use crate::storage::fs::{File, FileSystem};
use crate::types::{Epoch, Recovered, Standing, Zxid};

/// How much is copied at a time.
const PIECE_LEN: usize = 256 << 10;

/// Makes the files of a server of a new ensemble, in a directory that holds nothing.
///
/// If the power goes in the middle the directory counts as empty still, and the same can be done again.
pub(super) fn format(fs: Arc<dyn FileSystem>, options: &FileStorageOptions) -> Result<(), StorageError> {
    let recovery = Recovery { fs, options };
    let files = recovery.list()?;
    let has_control = files.names.iter().any(|name| name == CONTROL);
    if has_control || !recovery.holds_nothing(&files)? {
        return Err(StorageError::NotEmpty(recovery.fs.display("")));
    }
    recovery.start_anew(&files, None).map(drop)
}

/// Reads the state, judges it, makes durable what it is going to report, and reports it.
///
/// Until it is known that the directory is this server's, and that the policy allows to go on, nothing is changed.
/// If the power goes in the middle the next recovery does the same again.
pub(super) fn recover(
    fs: Arc<dyn FileSystem>,
    options: &FileStorageOptions,
) -> Result<(Log, Recovered), StorageError> {
    Recovery { fs, options }.run()
}

struct Recovery<'a> {
    fs: Arc<dyn FileSystem>,
    options: &'a FileStorageOptions,
}

/// What the directory holds, by kind.
struct Files {
    names: Vec<String>,
    segments: Vec<u64>,
    snapshots: Vec<Zxid>,
}

impl Recovery<'_> {
    fn run(&self) -> Result<(Log, Recovered), StorageError> {
        let files = self.list()?;
        let (control_file, mut control) = match self.load_control(&files)? {
            Some((file, control)) => (file, control),
            None => self.start_anew(&files, Some(self.suspicion_of_loss()?))?,
        };
        // Listed again: a new beginning has made some.
        let files = self.list()?;
        let sound = self.sound_snapshots(&files)?;
        let mut survey = survey(&*self.fs, self.options, &control, &files.segments, &sound)?;
        self.judge(&mut control, &mut survey, &files)?;
        self.settle(control_file, control, survey, &files)
    }

    fn list(&self) -> Result<Files, StorageError> {
        let names = self.fs.list().map_err(io_error(|| "listing the directory".to_owned()))?;
        let mut segments: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
        segments.sort_unstable();
        let snapshots = names.iter().filter_map(|name| snapshot_zxid(name)).collect();
        Ok(Files { names, segments, snapshots })
    }

    /// The control record; `None` if the directory is empty.
    fn load_control(&self, files: &Files) -> Result<Option<(ControlFile, Control)>, StorageError> {
        let doing = io_error(|| format!("reading {}", self.fs.display(CONTROL)));
        let loaded = match self.fs.open(CONTROL) {
            Ok(file) => Some(ControlFile::load(file.into()).map_err(&doing)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(doing(error)),
        };
        let (file, what) = match loaded {
            Some(Loaded::Sound(file)) => (Some(file), None),
            Some(Loaded::Unsure(Some(file))) => {
                (Some(file), Some("a newer record than the one that is left may have been lost"))
            }
            Some(Loaded::Unsure(None)) => (None, Some("no record can be read")),
            None if self.holds_nothing(files)? => return Ok(None),
            None => (None, Some("the file is missing")),
        };
        let mut control = file.as_ref().map_or_else(|| self.unknown(files), |file| file.record().clone());
        if (control.cluster, control.server) != (self.options.cluster, self.options.server) {
            return Err(foreign(self.options, control.cluster, control.server));
        }
        if let Some(what) = what {
            let problem = Problem { file: CONTROL.to_owned(), offset: 0, what: what.to_owned() };
            control.suspect = Some(self.admit_suspicion(problem)?);
        }
        match file {
            Some(file) => Ok(Some((file, control))),
            None => Ok(Some((self.create_control(&control)?, control))),
        }
    }

    /// What can be said without a control record. The epochs follow from the log.
    fn unknown(&self, files: &Files) -> Control {
        Control {
            first_segment: files.segments.first().copied().unwrap_or_default(),
            ..self.blank_control(0, None)
        }
    }

    fn blank_control(&self, first_segment: u64, suspect: Option<String>) -> Control {
        Control {
            cluster: self.options.cluster,
            server: self.options.server,
            accepted: Epoch::ZERO,
            current: Epoch::ZERO,
            first_segment,
            floor: Zxid::ZERO,
            truncating: None,
            suspect,
        }
    }

    /// Whether there is at most what an interrupted first start leaves.
    fn holds_nothing(&self, files: &Files) -> Result<bool, StorageError> {
        if !files.snapshots.is_empty() {
            return Ok(false);
        }
        for number in &files.segments {
            if holds_records(&self.open(&segment_name(*number))?, self.options, *number)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Why a server with an empty directory must not vote, if it may start at all.
    fn suspicion_of_loss(&self) -> Result<String, StorageError> {
        match self.options.if_empty {
            IfEmpty::Refuse => Err(StorageError::Unformatted(self.fs.display(""))),
            IfEmpty::AwaitSync => {
                Ok("the directory was empty, and what it held may have been lost".to_owned())
            }
        }
    }

    fn start_anew(
        &self,
        files: &Files,
        suspect: Option<String>,
    ) -> Result<(ControlFile, Control), StorageError> {
        for number in &files.segments {
            self.remove(&segment_name(*number))?;
        }
        let number = files.segments.last().map_or(1, |last| last + 1);
        create_segment(&*self.fs, self.options, number, SegmentKind::Begins, Zxid::ZERO, 0)?;
        let control = self.blank_control(number, suspect);
        Ok((self.create_control(&control)?, control))
    }

    fn create_control(&self, control: &Control) -> Result<ControlFile, StorageError> {
        let doing = io_error(|| format!("creating {}", self.fs.display(CONTROL)));
        match self.fs.remove(NEW_CONTROL) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(doing(error)),
            _ => {}
        }
        let file = self.fs.create_new(NEW_CONTROL).map_err(&doing)?;
        let created = ControlFile::create(file.into(), control).map_err(&doing)?;
        self.fs.rename(NEW_CONTROL, CONTROL).map_err(&doing)?;
        self.fs.sync_dir().map_err(&doing)?;
        Ok(created)
    }

    fn sound_snapshots(&self, files: &Files) -> Result<BTreeSet<Zxid>, StorageError> {
        let mut sound = BTreeSet::new();
        for zxid in &files.snapshots {
            let name = snapshot_name(*zxid);
            let doing = io_error(|| format!("reading {}", self.fs.display(&name)));
            let identity =
                SnapshotIdentity { cluster: self.options.cluster, server: self.options.server, zxid: *zxid };
            if let Some(reader) = SnapshotReader::open(self.open(&name)?, identity).map_err(&doing)?
                && reader.verify().map_err(&doing)?
            {
                sound.insert(*zxid);
            }
        }
        Ok(sound)
    }

    /// Decides what becomes of what was found, and enters it into the control record.
    fn judge(&self, control: &mut Control, survey: &mut Survey, files: &Files) -> Result<(), StorageError> {
        if let Some(problem) = survey.problem.take() {
            control.suspect = Some(self.admit_suspicion(problem)?);
            survey.cut = true;
            if survey.is_lost() {
                survey.lose_all();
            }
        } else if let Some(what) = survey.doubt.take() {
            control.suspect = Some(what);
        } else if survey.tip() < control.floor {
            let what = format!("the log ends at {}, but it reached {} once", survey.tip(), control.floor);
            control.suspect = Some(self.admit_suspicion(survey.problem_at_end(what))?);
        }
        if survey.outline.start() != Zxid::ZERO && survey.outline.newest_snapshot().is_none() {
            let file =
                files.snapshots.last().map_or_else(|| "the directory".to_owned(), |at| snapshot_name(*at));
            let start = survey.outline.start();
            let what = format!("the log starts at {start}, and there is no sound snapshot to start from");
            control.suspect = Some(self.admit_suspicion(Problem { file, offset: 0, what })?);
            survey.lose_all();
        }
        Ok(())
    }

    /// The reason for suspicion, if the policy allows to go on with it.
    fn admit_suspicion(&self, problem: Problem) -> Result<String, StorageError> {
        let Problem { file, offset, what } = problem;
        match self.options.recovery {
            RecoveryPolicy::Strict => {
                Err(StorageError::Damaged { file: self.fs.display(&file), offset, what })
            }
            RecoveryPolicy::Resynchronise => Ok(format!("{file}, byte {offset}: {what}")),
        }
    }

    /// Makes durable what was found, removes what does not count, and reports.
    fn settle(
        &self,
        mut control_file: ControlFile,
        mut control: Control,
        mut survey: Survey,
        files: &Files,
    ) -> Result<(Log, Recovered), StorageError> {
        let writing = io_error(|| format!("writing {}", self.fs.display(CONTROL)));
        let mut next_number = files.segments.last().map_or(1, |last| last + 1);
        let tip = survey.tip();
        if control.suspect.is_some() {
            // The epoch of an entry was accepted before the entry was, whatever else was lost.
            control.accepted = control.accepted.max(tip.epoch());
            control.floor = control.floor.min(tip);
        }
        if survey.is_lost() {
            let begun =
                create_segment(&*self.fs, self.options, next_number, SegmentKind::Begins, Zxid::ZERO, 0)?;
            next_number += 1;
            control.first_segment = begun.number;
            control.truncating = None;
            survey.segments = vec![begun];
        } else if survey.cut && control.suspect.is_some() {
            // What is cut away may have been acknowledged: that must not be forgotten if the power goes.
            control.truncating = Some(tip);
        }
        control_file.settle().map_err(&writing)?;
        if control != *control_file.record() {
            control_file.write(&control).map_err(&writing)?;
        }

        let active = self.settle_tail(&survey)?;
        for name in &files.names {
            if survey.is_superfluous(name) || [UNFINISHED, NEW_CONTROL].contains(&name.as_str()) {
                self.remove(name)?;
            }
        }
        self.fs.sync_dir().map_err(io_error(|| "syncing the directory".to_owned()))?;
        if control.truncating.take().is_some() {
            control_file.write(&control).map_err(&writing)?;
        }

        survey.outline.accepted = control.accepted;
        survey.outline.current = control.current;
        survey.drop_strays();
        let recovered = Recovered {
            accepted_epoch: control.accepted,
            current_epoch: control.current,
            snapshot: survey.outline.newest_snapshot(),
            log_start: survey.outline.start(),
            log: survey.entries,
            standing: control.suspect.clone().map_or(Standing::Whole, Standing::Suspect),
        };
        let index = Arc::new(Mutex::new(Index { outline: survey.outline, segments: survey.segments }));
        let log = Log {
            fs: self.fs.clone(),
            options: self.options.clone(),
            control,
            control_file,
            index,
            active,
            tip,
            next_number,
            buffer: Vec::new(),
        };
        Ok((log, recovered))
    }

    /// Cuts off what does not count of the last segment and makes the rest of it durable.
    ///
    /// A sync alone would not do: after one that failed the system takes the pages for written. So whatever no
    /// later write has proved durable is written again, which is what the last write wrote.
    fn settle_tail(&self, survey: &Survey) -> Result<ActiveSegment, StorageError> {
        let Some(segment) = survey.segments.last() else {
            return Err(StorageError::Refused("the log has no segment".to_owned()));
        };
        let name = segment_name(segment.number);
        let doing = io_error(|| format!("settling {}", self.fs.display(&name)));
        let file = &segment.file;
        if survey.cut {
            file.set_len(segment.end).map_err(&doing)?;
        }
        for (from, to) in [(0, SEGMENT_HEADER_LEN), (survey.unproved, segment.end)] {
            copy_in_place(&**file, from, to).map_err(&doing)?;
        }
        file.sync_data().map_err(&doing)?;
        let allocated = file.len().map_err(&doing)?.max(segment.end);
        Ok(ActiveSegment {
            file: file.clone(),
            number: segment.number,
            end: segment.end,
            allocated,
            chain: survey.chain,
        })
    }

    fn open(&self, name: &str) -> Result<Arc<dyn File>, StorageError> {
        let file = self.fs.open(name).map_err(io_error(|| format!("opening {}", self.fs.display(name))))?;
        Ok(file.into())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.fs.remove(name).map_err(io_error(|| format!("removing {}", self.fs.display(name))))
    }
}

/// Reads a part of a file and writes it where it stands.
fn copy_in_place(file: &dyn File, from: u64, to: u64) -> std::io::Result<()> {
    let mut bytes = vec![0; PIECE_LEN.min(to.saturating_sub(from) as usize)];
    let mut at = from;
    while at < to {
        let wanted = bytes.len().min((to - at) as usize);
        let piece = bytes.get_mut(..wanted).unwrap_or_default();
        let count = file.read_at(at, piece)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(at, piece.get(..count).unwrap_or_default())?;
        at += count as u64;
    }
    Ok(())
}
