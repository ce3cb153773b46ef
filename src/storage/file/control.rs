use std::io;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _};
use crc32c::{crc32c, crc32c_append};

use crate::storage::fs::File;
use crate::types::{ClusterId, Epoch, ServerId, Zxid};

/// The name of the file.
pub(super) const CONTROL: &str = "control";
/// The name under which it is made.
pub(super) const NEW_CONTROL: &str = "control.new";

const MAGIC: &[u8; 8] = b"QRTCTL\0\x01";
const BLOCK_LEN: usize = 512;
const BLOCK_STRIDE: u64 = 4096;
const COPIES: u64 = 2;
const MAX_REASON: usize = 300;

/// The few facts beside log and snapshots, changed as one.
///
/// The file has two places, written in turn, so that a write that is cut short leaves the one before. Each
/// place holds two copies, so that one rotten sector is told from an older record and costs nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Control {
    pub(super) cluster: ClusterId,
    pub(super) server: ServerId,
    pub(super) accepted: Epoch,
    pub(super) current: Epoch,
    /// The first segment that counts; older ones are only not yet removed.
    pub(super) first_segment: u64,
    /// The log reached at least here when the record was written: a shorter one has lost something.
    pub(super) floor: Zxid,
    /// The log ends here, whatever is still to be removed behind it.
    pub(super) truncating: Option<Zxid>,
    /// Why the server must not vote.
    pub(super) suspect: Option<String>,
}

/// The open file.
pub(super) struct ControlFile {
    file: Arc<dyn File>,
    sequence: u64,
    record: Control,
}

/// What was found in the file.
pub(super) enum Loaded {
    /// The newest record.
    Sound(ControlFile),
    /// Both copies of a place are unreadable, so that a newer record than this one may have been lost; or all are.
    Unsure(Option<ControlFile>),
}

impl ControlFile {
    /// Writes the first record to a new file.
    pub(super) fn create(file: Arc<dyn File>, control: &Control) -> io::Result<Self> {
        let mut created = Self { file, sequence: 0, record: control.clone() };
        // Both places, so that neither is ever found empty.
        created.write(control)?;
        created.write(control)?;
        Ok(created)
    }

    /// Makes the record durable, in place of the one before.
    pub(super) fn write(&mut self, control: &Control) -> io::Result<()> {
        self.sequence += 1;
        self.record.clone_from(control);
        self.settle()
    }

    /// What the newest record says.
    pub(super) fn record(&self) -> &Control {
        &self.record
    }

    /// Makes the newest record durable in its own place: whoever wrote it may not have come so far. The other place
    /// holds what counts if the power goes meanwhile.
    pub(super) fn settle(&self) -> io::Result<()> {
        for copy in 0..COPIES {
            let block = self.sequence % 2 * COPIES + copy;
            self.file.write_at(block * BLOCK_STRIDE, &self.record.encode(self.sequence, block))?;
        }
        self.file.sync_data()
    }

    /// Reads the newest record.
    pub(super) fn load(file: Arc<dyn File>) -> io::Result<Loaded> {
        let mut newest: Option<(u64, Control)> = None;
        let mut all_places_readable = true;
        for place in 0..2 {
            let mut readable = false;
            for copy in 0..COPIES {
                let block = place * COPIES + copy;
                let mut bytes = [0; BLOCK_LEN];
                let count = file.read_at(block * BLOCK_STRIDE, &mut bytes)?;
                let Some((sequence, control)) =
                    bytes.get(..count).and_then(|bytes| Control::decode(bytes, block))
                else {
                    continue;
                };
                readable = true;
                if newest.as_ref().is_none_or(|(best, _)| sequence > *best) {
                    newest = Some((sequence, control));
                }
            }
            all_places_readable &= readable;
        }
        let Some((sequence, record)) = newest else { return Ok(Loaded::Unsure(None)) };
        let opened = Self { file, sequence, record };
        Ok(if all_places_readable { Loaded::Sound(opened) } else { Loaded::Unsure(Some(opened)) })
    }
}

impl Control {
    fn encode(&self, sequence: u64, block: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BLOCK_LEN);
        bytes.put_slice(MAGIC);
        bytes.put_u64(sequence);
        bytes.put_u64(self.cluster.number());
        bytes.put_u64(self.server.number());
        bytes.put_u32(self.accepted.number());
        bytes.put_u32(self.current.number());
        bytes.put_u64(self.first_segment);
        bytes.put_u64(self.floor.as_u64());
        bytes.put_u8(u8::from(self.truncating.is_some()));
        bytes.put_u64(self.truncating.unwrap_or_default().as_u64());
        let reason = self.suspect.as_deref().unwrap_or_default();
        let end = (0..=MAX_REASON.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
        let reason = reason.get(..end.unwrap_or_default()).unwrap_or_default();
        bytes.put_u8(u8::from(self.suspect.is_some()));
        bytes.put_u16(reason.len() as u16);
        bytes.put_slice(reason.as_bytes());
        bytes.resize(BLOCK_LEN - 4, 0);
        let checksum = crc32c_append(crc32c(&block.to_be_bytes()), &bytes);
        bytes.put_u32(checksum);
        bytes
    }

    fn decode(bytes: &[u8], block: u64) -> Option<(u64, Self)> {
        let (covered, mut sum) = bytes.split_first_chunk::<{ BLOCK_LEN - 4 }>()?;
        let mut fields = covered.strip_prefix(MAGIC)?;
        if sum.try_get_u32().ok()? != crc32c_append(crc32c(&block.to_be_bytes()), covered) {
            return None;
        }
        let sequence = fields.try_get_u64().ok()?;
        let cluster = ClusterId::new(fields.try_get_u64().ok()?);
        let server = ServerId::new(fields.try_get_u64().ok()?);
        let accepted = Epoch::new(fields.try_get_u32().ok()?);
        let current = Epoch::new(fields.try_get_u32().ok()?);
        let first_segment = fields.try_get_u64().ok()?;
        let floor = Zxid::from_u64(fields.try_get_u64().ok()?);
        let is_truncating = fields.try_get_u8().ok()? != 0;
        let truncated_to = Zxid::from_u64(fields.try_get_u64().ok()?);
        let is_suspect = fields.try_get_u8().ok()? != 0;
        let reason_len = fields.try_get_u16().ok()?;
        let reason = std::str::from_utf8(fields.get(..usize::from(reason_len))?).ok()?;
        let control = Self {
            cluster,
            server,
            accepted,
            current,
            first_segment,
            floor,
            truncating: is_truncating.then_some(truncated_to),
            suspect: is_suspect.then(|| reason.to_owned()),
        };
        Some((sequence, control))
    }
}
