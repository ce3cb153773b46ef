use bytes::{Buf as _, BufMut as _};
use crc32c::{crc32c, crc32c_append};

use crate::types::{ClusterId, ServerId, Zxid};

/// The length of a segment's header; the first record stands behind it.
///
/// Magic and version (8 bytes), cluster, server, number (8 each), kind, checksum of the last record before the
/// segment (4 each), zxid of that record (8), CRC32C of all above (4); zeros behind them. All integers are big-endian.
pub(super) const SEGMENT_HEADER_LEN: u64 = 512;

const MAGIC: &[u8; 8] = b"QRTLOG\0\x01";
const COVERED_LEN: usize = 48;
const PREFIX: &str = "log-";

/// What the header of a segment says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SegmentHeader {
    pub(super) cluster: ClusterId,
    pub(super) server: ServerId,
    /// Later segments have larger numbers, and no number is used twice.
    pub(super) number: u64,
    pub(super) kind: SegmentKind,
    /// The chain's value before the first record.
    pub(super) chain: u32,
    /// The position before the first record.
    pub(super) start: Zxid,
}

/// How a segment came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SegmentKind {
    /// The one before it was full.
    Continues,
    /// It is the first of a history: at the very beginning, or behind a snapshot that was reset to. It counts
    /// once the control record names it as the first.
    Begins,
}

impl SegmentHeader {
    /// The bytes of the header.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_LEN as usize);
        bytes.put_slice(MAGIC);
        bytes.put_u64(self.cluster.number());
        bytes.put_u64(self.server.number());
        bytes.put_u64(self.number);
        bytes.put_u32(match self.kind {
            SegmentKind::Continues => 1,
            SegmentKind::Begins => 2,
        });
        bytes.put_u32(self.chain);
        bytes.put_u64(self.start.as_u64());
        bytes.put_u32(crc32c(&bytes));
        bytes.resize(SEGMENT_HEADER_LEN as usize, 0);
        bytes
    }

    /// The header in these bytes, if it is whole.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (covered, mut sum) = bytes.split_first_chunk::<COVERED_LEN>()?;
        let mut fields = covered.strip_prefix(MAGIC)?;
        if sum.try_get_u32().ok()? != crc32c(covered) {
            return None;
        }
        Some(Self {
            cluster: ClusterId::new(fields.try_get_u64().ok()?),
            server: ServerId::new(fields.try_get_u64().ok()?),
            number: fields.try_get_u64().ok()?,
            kind: match fields.try_get_u32().ok()? {
                1 => SegmentKind::Continues,
                2 => SegmentKind::Begins,
                _ => return None,
            },
            chain: fields.try_get_u32().ok()?,
            start: Zxid::from_u64(fields.try_get_u64().ok()?),
        })
    }
}

/// What the checksums of a segment's records begin with, so that those of another segment do not pass.
pub(super) fn segment_seed(cluster: ClusterId, server: ServerId, number: u64) -> u32 {
    let seed = crc32c(&cluster.number().to_be_bytes());
    let seed = crc32c_append(seed, &server.number().to_be_bytes());
    crc32c_append(seed, &number.to_be_bytes())
}

/// The name of a segment's file.
pub(super) fn segment_name(number: u64) -> String {
    format!("{PREFIX}{number:016x}")
}

/// The number of the segment whose file has this name.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (segment_name(number) == name).then_some(number)
}
