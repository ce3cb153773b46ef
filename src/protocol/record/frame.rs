use bytes::{Buf as _, Bytes, BytesMut};
use thiserror::Error;

/// From this length on a frame is a slice of what was received and not a copy of its own.
const SHARED_LEN: usize = 16 << 10;

/// A length that no frame may have. The stream cannot be taken apart any further: close the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a frame of {length} bytes is not between 0 and {limit}; if it is legitimate, raise jute.maxbuffer")]
pub struct FrameTooLong {
    /// The length that was sent.
    pub length: i32,
    /// The largest that is taken.
    pub limit: usize,
}

/// Takes a stream of bytes apart into frames.
///
/// It holds what has arrived of an unfinished frame, at most twice that much memory, and nothing between frames.
#[derive(Debug)]
pub struct Frames {
    buffer: BytesMut,
    limit: usize,
}

impl Frames {
    /// Takes frames of up to `limit` bytes, their length prefix not counted.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Takes what has arrived. To be taken apart with [`next_frame`](Self::next_frame) before more is pushed: that bounds it.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame without its length, if all of it has arrived.
    ///
    /// # Errors
    ///
    /// When the length is negative or beyond the limit. Nothing was taken.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameTooLong> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else { return Ok(self.wait()) };
        let length = i32::from_be_bytes(*prefix);
        let too_long = FrameTooLong { length, limit: self.limit };
        let len = usize::try_from(length).map_err(|_| too_long)?;
        if len > self.limit {
            return Err(too_long);
        }
        if self.buffer.len() - 4 < len {
            return Ok(self.wait());
        }
        self.buffer.advance(4);
        let frame = self.buffer.split_to(len);
        // What is small and may be kept for long (data of a node) must not keep a large buffer alive.
        let frame = if len < SHARED_LEN { Bytes::copy_from_slice(&frame) } else { frame.freeze() };
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Ok(Some(frame))
    }

    /// Takes frames of up to `limit` bytes from now on; what has arrived stays.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The first bytes that wait to be taken apart.
    #[must_use]
    pub fn peek<const N: usize>(&self) -> Option<&[u8; N]> {
        self.buffer.first_chunk()
    }

    /// How many bytes wait for the rest of their frame.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    fn wait(&mut self) -> Option<Bytes> {
        // A small rest must not keep the large allocation of frames that were taken.
        if self.buffer.capacity() > 2 * self.buffer.len().max(64) {
            self.buffer = BytesMut::from(&*self.buffer);
        }
        None
    }
}
