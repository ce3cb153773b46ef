use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::record::{ALIGN, HEAD_LEN, Head, MARK, SECTOR};
use crate::storage::fs::File;

/// The length of a checksum, and of an end mark.
const END_LEN: u64 = 4;

/// Reads a segment in large pieces; what it gives are parts of those, not copies.
pub(super) struct Reader {
    file: Arc<dyn File>,
    piece_len: usize,
    piece: Bytes,
    piece_at: u64,
}

/// What stands at one position of a segment.
pub(super) enum Slot {
    /// A sound record.
    Record {
        head: Head,
        payload: Bytes,
        /// Its checksum.
        chain: u32,
        /// Where the next one begins.
        end: u64,
    },
    /// None. The header, if that at least is sound.
    None(Option<Head>),
}

/// What the bytes behind the last sound record are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tail {
    /// Nothing was written there.
    Clean,
    /// Parts of the last write, which was not finished and so not acknowledged.
    Torn,
    /// A record that was written in full and changed since; it may have been acknowledged.
    Rotten,
    /// Sound records, or ones that were written when what is missing here was already durable, follow.
    Followed,
}

impl Reader {
    /// A reader that fetches pieces of this many bytes, or more if a record needs it.
    pub(super) fn new(file: Arc<dyn File>, piece_len: usize) -> Self {
        Self { file, piece_len, piece: Bytes::new(), piece_at: 0 }
    }

    /// The bytes at `at`: `len` of them, fewer only at the end of the file.
    pub(super) fn bytes(&mut self, at: u64, len: usize) -> io::Result<Bytes> {
        if let Some(found) = self.in_piece(at, len) {
            return Ok(found);
        }
        // No more than there is: most recoveries read little.
        let rest = self.file.len()?.saturating_sub(at);
        let mut piece = BytesMut::zeroed(rest.min(len.max(self.piece_len) as u64) as usize);
        let count = self.file.read_at(at, &mut piece)?;
        piece.truncate(count);
        self.piece = piece.freeze();
        self.piece_at = at;
        Ok(self.piece.slice(..len.min(count)))
    }

    fn in_piece(&self, at: u64, len: usize) -> Option<Bytes> {
        let begin = usize::try_from(at.checked_sub(self.piece_at)?).ok()?;
        let end = begin.checked_add(len)?;
        (end <= self.piece.len()).then(|| self.piece.slice(begin..end))
    }

    /// What stands at `at` of the segment with this seed.
    pub(super) fn slot(&mut self, seed: u32, at: u64) -> io::Result<Slot> {
        let Some(head) = Head::parse(&self.bytes(at, HEAD_LEN)?, seed, at) else {
            return Ok(Slot::None(None));
        };
        let rest_len = head.record_len() as usize - HEAD_LEN;
        let rest = self.bytes(at + HEAD_LEN as u64, rest_len)?;
        if rest.len() == rest_len
            && let Some(chain) = head.check(&rest)
        {
            let payload = rest.slice(..head.payload_len as usize);
            return Ok(Slot::Record { head, payload, chain, end: at + head.record_len() });
        }
        Ok(Slot::None(Some(head)))
    }

    /// Judges what stands at `at`, where no sound record is, and behind it. `head` is what [`slot`](Self::slot)
    /// found of one.
    ///
    /// Before it was ever written a segment holds zeros, and a disk writes whole sectors. So a record of which a
    /// sector is zeros was torn by a power cut, before the sync that its acknowledgement had to wait for; so was one
    /// that ends in zeros, in case a disk writes by the byte. The exception is damage that a later write proves to have happened to durable bytes: its records say what
    /// was durable when they were written.
    pub(super) fn judge(&mut self, seed: u32, at: u64, head: Option<Head>) -> io::Result<Tail> {
        let (len, any_sector) =
            head.map_or((HEAD_LEN as u64, true), |head| (head.record_len(), !head.has_zero_sector()));
        let torn = self.lacks_a_sector(at, len, any_sector)? || self.lacks_its_end(at, len)?;
        let (mut later, mut proved) = (false, false);
        let anything = self.sweep(seed, at, &mut |position, head| {
            later |= position > at;
            proved |= u64::from(head.durable) > at;
        })?;
        Ok(match (anything, torn) {
            (false, _) => Tail::Clean,
            _ if proved => Tail::Followed,
            (true, true) => Tail::Torn,
            (true, false) if later => Tail::Followed,
            (true, false) => Tail::Rotten,
        })
    }

    /// Shows every sound record header from `from` on to the end of the file, and says whether there is
    /// anything but zeros.
    pub(super) fn sweep(
        &mut self,
        seed: u32,
        from: u64,
        visit: &mut dyn FnMut(u64, &Head),
    ) -> io::Result<bool> {
        let mut anything = false;
        let mut from = from;
        loop {
            let found = self.bytes(from, self.piece_len.max(SECTOR as usize))?;
            let is_zero = found.iter().all(|byte| *byte == 0);
            anything |= !is_zero;
            if !is_zero {
                for (word, index) in found.chunks_exact(ALIGN as usize).zip(0u64..) {
                    if !word.starts_with(&MARK.to_be_bytes()) {
                        continue;
                    }
                    let position = from + index * ALIGN;
                    // Past the buffer of this reader, which holds the piece that is being swept.
                    let mut bytes = [0; HEAD_LEN];
                    let count = self.file.read_at(position, &mut bytes)?;
                    let head = bytes.get(..count).and_then(|bytes| Head::parse(bytes, seed, position));
                    if let Some(head) = head {
                        visit(position, &head);
                    }
                }
            }
            let words_len = found.len() as u64 / ALIGN * ALIGN;
            if words_len == 0 {
                return Ok(anything);
            }
            from += words_len;
        }
    }

    /// Whether the last of the `len` bytes at `at`, where neither a header nor a record ends in zeros, are missing.
    fn lacks_its_end(&mut self, at: u64, len: u64) -> io::Result<bool> {
        let end = self.bytes(at + len - END_LEN, END_LEN as usize)?;
        Ok((end.len() as u64) < END_LEN || end.iter().all(|byte| *byte == 0))
    }

    /// Whether, of the `len` bytes at `at`, those of the first, the last or (if `any`) any one sector are zeros
    /// or missing.
    fn lacks_a_sector(&mut self, at: u64, len: u64, any: bool) -> io::Result<bool> {
        let end = at + len;
        let mut from = at;
        while from < end {
            let to = end.min((from + 1).next_multiple_of(SECTOR));
            if any || from == at || to == end {
                let found = self.bytes(from, (to - from) as usize)?;
                if (found.len() as u64) < to - from || found.iter().all(|byte| *byte == 0) {
                    return Ok(true);
                }
            }
            from = to;
        }
        Ok(false)
    }
}
