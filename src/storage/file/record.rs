use bytes::{Buf as _, BufMut as _};
use crc32c::crc32c_append;

use crate::types::{LogEntry, Zxid};

/// The length of what stands before a payload.
///
/// | bytes | field |
/// |---|---|
/// | 0..4 | mark |
/// | 4..8 | length of the payload |
/// | 8..12 | checksum of the record before: the chain |
/// | 12..16 | position below which this segment was durable when the record was written |
/// | 16..24 | zxid |
/// | 24..28 | flags |
/// | 28..32 | CRC32C of the segment's identity, the record's position and the 28 bytes above |
///
/// Behind it stand the payload, zeros up to a multiple of 8, the CRC32C of all above (begun with the one in
/// the header), and the end mark. So a record that was written elsewhere, or in another life of the segment, does
/// not pass, and one that was lost breaks the chain. Mark, flags and end mark are not zero: a first or last
/// sector of zeros was never written.
pub(super) const HEAD_LEN: usize = 32;
/// What begins a record.
pub(super) const MARK: u32 = 0x7152_6563;
/// Records begin at multiples of this.
pub(super) const ALIGN: u64 = 8;
/// What a disk writes whole.
pub(super) const SECTOR: u64 = 512;
/// The longest payload.
pub(super) const MAX_PAYLOAD: usize = 1 << 30;

const TRAIL_LEN: usize = 8;
const END_MARK: u32 = 0x656E_6421;
const PLAIN: u32 = 1;
const HAS_ZERO_SECTOR: u32 = 2;

/// What the header of a record says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) payload_len: u32,
    pub(super) previous: u32,
    pub(super) durable: u32,
    pub(super) zxid: Zxid,
    flags: u32,
    checksum: u32,
}

impl Head {
    /// The header in these bytes, if it is one of a record at `at` of the segment with this seed.
    pub(super) fn parse(bytes: &[u8], seed: u32, at: u64) -> Option<Self> {
        let (covered, mut sum) = bytes.split_first_chunk::<28>()?;
        let checksum = sum.try_get_u32().ok()?;
        let mut fields = &covered[..];
        if fields.try_get_u32().ok()? != MARK || checksum != head_checksum(seed, at, covered) {
            return None;
        }
        let payload_len = fields.try_get_u32().ok()?;
        let previous = fields.try_get_u32().ok()?;
        let durable = fields.try_get_u32().ok()?;
        let zxid = Zxid::from_u64(fields.try_get_u64().ok()?);
        let flags = fields.try_get_u32().ok()?;
        (payload_len as usize <= MAX_PAYLOAD).then_some(Self {
            payload_len,
            previous,
            durable,
            zxid,
            flags,
            checksum,
        })
    }

    /// The length of the whole record.
    pub(super) const fn record_len(&self) -> u64 {
        record_len(self.payload_len as usize)
    }

    /// Whether a sector of the payload holds nothing but zeros, so that such a sector is no sign of a torn write.
    pub(super) const fn has_zero_sector(&self) -> bool {
        self.flags & HAS_ZERO_SECTOR != 0
    }

    /// The record's checksum, if `rest`, all that stands behind the header, is as it was written.
    pub(super) fn check(&self, rest: &[u8]) -> Option<u32> {
        let payload = rest.get(..self.payload_len as usize)?;
        let mut trail = rest.get(rest.len().checked_sub(TRAIL_LEN)?..)?;
        let checksum = crc32c_append(self.checksum, payload);
        (trail.try_get_u32().ok()? == checksum && trail.try_get_u32().ok()? == END_MARK).then_some(checksum)
    }
}

/// The length of a record with such a payload.
pub(super) const fn record_len(payload_len: usize) -> u64 {
    (HEAD_LEN + TRAIL_LEN) as u64 + (payload_len as u64).next_multiple_of(ALIGN)
}

/// Writes a record that will stand at `at`, and gives its checksum: the chain goes on from it.
pub(super) fn put_record(
    buffer: &mut Vec<u8>,
    seed: u32,
    at: u64,
    previous: u32,
    durable: u32,
    entry: &LogEntry,
) -> u32 {
    let payload = &entry.payload[..];
    let begin = buffer.len();
    let flags =
        if holds_zero_sector(at + HEAD_LEN as u64, payload) { PLAIN | HAS_ZERO_SECTOR } else { PLAIN };
    buffer.put_u32(MARK);
    buffer.put_u32(payload.len() as u32);
    buffer.put_u32(previous);
    buffer.put_u32(durable);
    buffer.put_u64(entry.zxid.as_u64());
    buffer.put_u32(flags);
    let head = head_checksum(seed, at, buffer.get(begin..).unwrap_or_default());
    buffer.put_u32(head);
    buffer.put_slice(payload);
    buffer.put_bytes(0, payload.len().next_multiple_of(ALIGN as usize) - payload.len());
    let checksum = crc32c_append(head, payload);
    buffer.put_u32(checksum);
    buffer.put_u32(END_MARK);
    checksum
}

fn head_checksum(seed: u32, at: u64, fields: &[u8]) -> u32 {
    crc32c_append(crc32c_append(seed, &at.to_be_bytes()), fields)
}

fn holds_zero_sector(at: u64, payload: &[u8]) -> bool {
    let skip = (at.next_multiple_of(SECTOR) - at) as usize;
    payload.get(skip..).is_some_and(|rest| {
        rest.chunks_exact(SECTOR as usize).any(|sector| sector.iter().all(|byte| *byte == 0))
    })
}
