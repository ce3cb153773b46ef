//! Layer 1: bytes and back. The one place that names bincode.
//!
//! A frame is our own envelope around one encoded record:
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | magic, `QRT` and the format version |
//! | 4..8 | length of the body, big-endian |
//! | 8..12 | CRC32C of the body, big-endian |
//! | 12.. | the body |
//!
//! Decoding never panics, never allocates more than a constant times what arrived, and refuses what is left over.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::types::shared;

/// The first four bytes of every frame: three letters and the version of the format.
pub const MAGIC: [u8; 4] = *b"QRT\x01";

/// The length of the header of a frame.
pub const HEADER_LEN: usize = 12;

/// The largest body that [`decode_frame`] accepts: 16 MiB, sixteen times the largest request.
pub const MAX_BODY_LEN: usize = 16 << 20;

/// Why bytes could not be decoded. The caller drops the link or the record; nothing else changed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end before the record does.
    #[error("{needed} bytes are needed, {found} are there")]
    Short {
        /// How many the record needs.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// Not ours, or of another format version.
    #[error("the frame begins with {0:02x?}: it is not ours, or of another version; upgrade the older side")]
    Magic([u8; 4]),
    /// The frame says it is longer than any can be, or the record to be encoded is.
    #[error("the frame is {0} bytes long; {MAX_BODY_LEN} are allowed")]
    TooLong(usize),
    /// The checksum is another than that of the bytes.
    #[error("the checksum does not match: the bytes were damaged on their way")]
    Checksum,
    /// Bytes are left over behind the record.
    #[error("{0} bytes are left over behind the record")]
    Trailing(usize),
    /// The record does not make sense.
    #[error("the record could not be decoded: {0}")]
    Record(String),
    /// The record could not be encoded.
    #[error("the record could not be encoded: {0}")]
    Encode(String),
}

/// Encodes many records without an envelope, one after the other into the same block of memory, so that a short record costs
/// no allocation of its own. A block lasts as long as any record in it.
#[derive(Debug, Default)]
pub struct Encoder {
    block: BytesMut,
}

/// How large a block is. Records that do not fit in what is left of one begin the next.
const BLOCK_LEN: usize = 32 << 10;

/// With less than this left of a block the next one is begun, because most records would have to be moved to it.
const BLOCK_REST: usize = 256;

impl Encoder {
    /// One without a block.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Encodes a record, to the same bytes as [`encode`] does.
    ///
    /// # Errors
    ///
    /// When it is larger than [`MAX_BODY_LEN`].
    pub fn encode<T: Serialize>(&mut self, record: &T) -> Result<Bytes, CodecError> {
        if self.block.capacity() < BLOCK_REST {
            self.block = BytesMut::with_capacity(BLOCK_LEN);
        }
        let result = bincode::serde::encode_into_writer(record, Block(&mut self.block), config());
        match result {
            Ok(()) if self.block.len() <= MAX_BODY_LEN => Ok(self.block.split().freeze()),
            Ok(()) => {
                let len = self.block.len();
                self.block = BytesMut::new();
                Err(CodecError::TooLong(len))
            }
            Err(error) => {
                self.block.clear();
                Err(CodecError::Encode(error.to_string()))
            }
        }
    }
}

/// What a record is written to.
struct Block<'a>(&'a mut BytesMut);

impl bincode::enc::write::Writer for Block<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// How long a payload is that shares the memory of its frame. A shorter one would keep a buffer alive that is many times its size.
const SHARED_LEN: usize = 16 << 10;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_BODY_LEN>()
}

/// Encodes a record without an envelope, for where a checksum stands elsewhere.
///
/// # Errors
///
/// When it is larger than [`MAX_BODY_LEN`].
pub fn encode<T: Serialize>(record: &T) -> Result<Bytes, CodecError> {
    // The limit of the configuration is one on decoding only.
    match bincode::serde::encode_to_vec(record, config()) {
        Ok(bytes) if bytes.len() > MAX_BODY_LEN => Err(CodecError::TooLong(bytes.len())),
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(error) => Err(CodecError::Encode(error.to_string())),
    }
}

/// Decodes a record that fills `bytes` exactly.
///
/// # Errors
///
/// When the bytes are too few, too many or make no sense.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (record, used) = bincode::serde::decode_from_slice(bytes, config())
        .map_err(|error| CodecError::Record(error.to_string()))?;
    if used == bytes.len() { Ok(record) } else { Err(CodecError::Trailing(bytes.len() - used)) }
}

/// The same, for a record whose payloads may share the memory of `bytes` instead of being copied out of it; they keep
/// all of it alive.
///
/// # Errors
///
/// When the bytes are too few, too many or make no sense.
pub fn decode_shared<T: DeserializeOwned>(bytes: Bytes) -> Result<T, CodecError> {
    shared::while_decoding(bytes, 1, decode)
}

/// Encodes a record in the envelope that the table above shows.
///
/// # Errors
///
/// When it is larger than [`MAX_BODY_LEN`].
pub fn encode_frame<T: Serialize>(record: &T) -> Result<Bytes, CodecError> {
    let body = encode(record)?;
    let length = u32::try_from(body.len()).map_err(|_| CodecError::TooLong(body.len()))?;
    let mut frame = BytesMut::with_capacity(HEADER_LEN + body.len());
    frame.put_slice(&MAGIC);
    frame.put_u32(length);
    frame.put_u32(crc32c::crc32c(&body));
    frame.put_slice(&body);
    Ok(frame.freeze())
}

/// How long the frame is that begins with `header`, header included: what a stream reader reads up to.
///
/// # Errors
///
/// When the header is short, not ours, or announces more than is allowed.
pub fn frame_len(header: &[u8]) -> Result<usize, CodecError> {
    let short = CodecError::Short { needed: HEADER_LEN, found: header.len() };
    let (magic, rest) = header.split_first_chunk::<4>().ok_or(short.clone())?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(short.clone())?;
    if rest.len() < 4 {
        return Err(short);
    }
    if *magic != MAGIC {
        return Err(CodecError::Magic(*magic));
    }
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_BODY_LEN { Err(CodecError::TooLong(length)) } else { Ok(HEADER_LEN + length) }
}

/// Decodes a frame that fills `frame` exactly.
///
/// # Errors
///
/// When anything of it is not as [`encode_frame`] makes it.
pub fn decode_frame<T: DeserializeOwned>(frame: &[u8]) -> Result<T, CodecError> {
    let total = frame_len(frame)?;
    if frame.len() < total {
        return Err(CodecError::Short { needed: total, found: frame.len() });
    }
    if frame.len() > total {
        return Err(CodecError::Trailing(frame.len() - total));
    }
    let (header, body) = frame.split_at(HEADER_LEN);
    if header.last_chunk::<4>() != Some(&crc32c::crc32c(body).to_be_bytes()) {
        return Err(CodecError::Checksum);
    }
    decode(body)
}

/// The same, but long payloads share the memory of the frame, which lasts as long as they do, instead of being copied.
///
/// # Errors
///
/// When anything of it is not as [`encode_frame`] makes it.
pub fn decode_frame_shared<T: DeserializeOwned>(frame: Bytes) -> Result<T, CodecError> {
    shared::while_decoding(frame, SHARED_LEN, decode_frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Expected, LogEntry, Write, Zxid};

    #[test]
    fn nesting_is_refused_at_any_depth_and_leaves_no_trace() {
        let check = || Write::Check { path: "/a".into(), expected: Expected::Any };
        let multi = Write::Multi(vec![check(), check()]);
        let nested = encode(&Write::Multi(vec![multi.clone()])).unwrap();
        assert!(decode::<Write>(&nested).is_err());
        let hostile = [6, 1].repeat(1_000_000);
        assert!(decode::<Write>(&hostile).is_err());
        assert_eq!(decode::<Write>(&encode(&multi).unwrap()).unwrap(), multi);
    }

    #[test]
    fn what_could_not_be_decoded_is_not_encoded() {
        let data = Bytes::from(vec![0; MAX_BODY_LEN + 1]);
        assert_eq!(encode(&data).unwrap_err(), CodecError::TooLong(MAX_BODY_LEN + 6));
        assert!(encode_frame(&data).is_err());
        let mut encoder = Encoder::new();
        assert_eq!(encoder.encode(&data).unwrap_err(), CodecError::TooLong(MAX_BODY_LEN + 6));
        assert_eq!(encoder.encode(&"and goes on").unwrap(), encode(&"and goes on").unwrap());
    }

    #[test]
    fn records_that_share_a_block_are_what_they_are_alone() {
        let mut encoder = Encoder::new();
        let lengths = [0, 1, 100, 300, 5_000, 40_000, 2, 70_000].into_iter().cycle().take(100);
        let records: Vec<_> = lengths.zip(0..).map(|(len, fill)| Bytes::from(vec![fill; len])).collect();
        let encoded: Vec<_> = records.iter().map(|record| encoder.encode(record).unwrap()).collect();
        let alone: Vec<_> = records.iter().map(|record| encode(record).unwrap()).collect();
        assert_eq!(encoded, alone);
    }

    fn entry(len: usize) -> LogEntry {
        LogEntry { zxid: Zxid::from_u64(7), payload: Bytes::from(vec![1; len]) }
    }

    #[test]
    fn a_payload_lies_in_the_memory_of_what_it_was_decoded_from() {
        let encoded = encode(&entry(100)).unwrap();
        let within = |part: &Bytes| encoded.as_ptr_range().contains(&part.as_ptr());
        let shared: LogEntry = decode_shared(encoded.clone()).unwrap();
        assert_eq!(shared, entry(100));
        assert!(within(&shared.payload));
        let copied: LogEntry = decode(&encoded).unwrap();
        assert_eq!(copied, entry(100));
        assert!(!within(&copied.payload));
    }

    #[test]
    fn a_short_payload_does_not_keep_its_frame() {
        for (len, shared) in [(0, false), (100, false), (100_000, true)] {
            let frame = encode_frame(&entry(len)).unwrap();
            let decoded: LogEntry = decode_frame_shared(frame.clone()).unwrap();
            assert_eq!(decoded, entry(len));
            assert_eq!(frame.as_ptr_range().contains(&decoded.payload.as_ptr()), shared, "{len}");
        }
    }

    #[test]
    fn what_is_no_record_leaves_the_next_one_alone() {
        let encoded = encode(&entry(100)).unwrap();
        assert!(decode_shared::<LogEntry>(encoded.slice(1..)).is_err());
        assert_eq!(decode_shared::<LogEntry>(encoded).unwrap(), entry(100));
    }

    #[test]
    fn scn_30_a_frame_that_was_damaged_anywhere_is_refused() {
        let frame = encode_frame(&"some words").unwrap();
        assert_eq!(decode_frame::<String>(&frame).unwrap(), "some words");
        for at in 0..frame.len() {
            for bit in 0..8 {
                let mut damaged = frame.to_vec();
                damaged[at] ^= 1 << bit;
                assert!(decode_frame::<String>(&damaged).is_err(), "bit {bit} of byte {at}");
            }
            assert!(decode_frame::<String>(&frame[..at]).is_err(), "cut at {at}");
        }
    }
}
