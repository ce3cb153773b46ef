use bytes::{Buf as _, Bytes};
use thiserror::Error;

/// Why bytes are no record. Nothing was changed; what was being decoded is to be dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The record goes on where the bytes end.
    #[error("the record ends too early: {wanted} more bytes are wanted, {left} are left")]
    Short {
        /// How many bytes the next field takes.
        wanted: usize,
        /// How many there are.
        left: usize,
    },
    /// A length is negative and not -1.
    #[error("{0} is no length; -1 stands for null, and nothing else is below zero")]
    Length(i32),
    /// A vector claims more items than the bytes can hold.
    #[error("a vector of {count} items does not fit in the {left} bytes that are left")]
    Count {
        /// How many items it claims.
        count: i32,
        /// How many bytes there are.
        left: usize,
    },
    /// An operation stands where it is not allowed, such as a multi within a multi.
    #[error("operation {0} is not allowed here")]
    Misplaced(i32),
}

/// Bytes that records are taken from, front first.
#[derive(Clone, Debug)]
pub struct Decoder {
    bytes: Bytes,
}

impl Decoder {
    /// Takes from `bytes`.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// A 32-bit number.
    ///
    /// # Errors
    ///
    /// When the bytes end.
    pub fn int(&mut self) -> Result<i32, DecodeError> {
        self.need(4)?;
        Ok(self.bytes.get_i32())
    }

    /// A 64-bit number.
    ///
    /// # Errors
    ///
    /// When the bytes end.
    pub fn long(&mut self) -> Result<i64, DecodeError> {
        self.need(8)?;
        Ok(self.bytes.get_i64())
    }

    /// A truth value: any byte but zero is true.
    ///
    /// # Errors
    ///
    /// When the bytes end.
    pub fn boolean(&mut self) -> Result<bool, DecodeError> {
        self.need(1)?;
        Ok(self.bytes.get_u8() != 0)
    }

    /// A length: none for null.
    ///
    /// # Errors
    ///
    /// When the bytes end, or it is negative and not -1.
    pub fn length(&mut self) -> Result<Option<usize>, DecodeError> {
        match self.int()? {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| DecodeError::Length(length)),
        }
    }

    /// A buffer, as a slice of the bytes; none for null.
    ///
    /// # Errors
    ///
    /// When the length is none, or the bytes end.
    pub fn buffer(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(length) = self.length()? else { return Ok(None) };
        self.need(length)?;
        Ok(Some(self.bytes.split_to(length)))
    }

    fn need(&self, wanted: usize) -> Result<(), DecodeError> {
        let left = self.bytes.len();
        if wanted <= left { Ok(()) } else { Err(DecodeError::Short { wanted, left }) }
    }
}
