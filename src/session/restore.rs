use bytes::{Buf as _, BytesMut};
use thiserror::Error;

use crate::types::SessionId;

use super::form;
use super::snapshot::VERSION;
use super::table::Sessions;

/// Why a snapshot of the session table could not be restored. Nothing was: fetch another snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// It was written by another version of this crate.
    #[error("the session table is of version {0}; this program reads {VERSION}: upgrade the older side")]
    Version(u8),
    /// A session makes no sense, or stands out of order.
    #[error("the session that begins at byte {0} of the session table is damaged; fetch another snapshot")]
    Damaged(u64),
    /// It ends too early.
    #[error("the session table ends early, after {0} bytes; fetch another snapshot")]
    Short(u64),
    /// It goes on behind its end.
    #[error("the session table should end at byte {0} but goes on; fetch another snapshot")]
    Trailing(u64),
    /// It is whole, but not what was saved.
    #[error("the session table has digest {found:016x} instead of {expected:016x}; fetch another snapshot")]
    Digest {
        /// The digest of the table when the snapshot began.
        expected: u64,
        /// The digest of what was read.
        found: u64,
    },
}

/// Reads a session table back from the chunks of its snapshot, however they are cut.
#[derive(Debug)]
pub struct SessionsRestore {
    state: State,
    /// What arrived and is not yet read; less than one session's worth between calls.
    waiting: BytesMut,
    /// How many bytes were read before `waiting`.
    offset: u64,
    last: Option<SessionId>,
    sessions: Sessions,
    scratch: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    /// So many sessions are to follow.
    Sessions(u64),
    Digest,
    Done,
    Failed(RestoreError),
}

impl SessionsRestore {
    /// Waits for the first chunk.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Header,
            waiting: BytesMut::new(),
            offset: 0,
            last: None,
            sessions: Sessions::new(),
            scratch: Vec::new(),
        }
    }

    /// Takes the next piece of the snapshot. Holds at most what arrived.
    ///
    /// # Errors
    ///
    /// When the bytes are not those of a snapshot; every later call says the same.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        self.waiting.extend_from_slice(bytes);
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    self.state = State::Failed(error);
                    self.waiting.clear();
                    return Err(error);
                }
            }
        }
    }

    /// The table, after the last piece.
    ///
    /// # Errors
    ///
    /// When the snapshot was not whole or a piece was refused.
    pub fn finish(self) -> Result<Sessions, RestoreError> {
        match self.state {
            State::Done => Ok(self.sessions),
            State::Failed(error) => Err(error),
            _ => Err(RestoreError::Short(self.offset.saturating_add(self.waiting.len() as u64))),
        }
    }

    /// Reads one item. Returns whether there was a whole one.
    fn step(&mut self) -> Result<bool, RestoreError> {
        match self.state {
            State::Header => {
                let mut bytes = &self.waiting[..];
                let Ok(version) = bytes.try_get_u8() else { return Ok(false) };
                if version != VERSION {
                    return Err(RestoreError::Version(version));
                }
                let Ok(count) = bytes.try_get_u64_le() else { return Ok(false) };
                self.skip(9);
                self.state = State::Sessions(count);
            }
            State::Sessions(0) => self.state = State::Digest,
            State::Sessions(count) => {
                let mut bytes = &self.waiting[..];
                let Ok(length) = bytes.try_get_u64_le() else { return Ok(false) };
                let length = usize::try_from(length).map_err(|_| RestoreError::Damaged(self.offset))?;
                let Some((mut record, _)) = bytes.split_at_checked(length) else { return Ok(false) };
                let (id, session) = form::take_session(&mut record, &mut self.scratch)
                    .filter(|(id, _)| record.is_empty() && self.last.is_none_or(|last| last < *id))
                    .ok_or(RestoreError::Damaged(self.offset))?;
                self.sessions.replace(id, Some(session));
                self.last = Some(id);
                self.skip(length + 8);
                self.state = State::Sessions(count - 1);
            }
            State::Digest => {
                let mut bytes = &self.waiting[..];
                let Ok(expected) = bytes.try_get_u64_le() else { return Ok(false) };
                self.skip(8);
                let found = self.sessions.digest();
                if expected != found {
                    return Err(RestoreError::Digest { expected, found });
                }
                self.state = State::Done;
            }
            State::Done if self.waiting.is_empty() => return Ok(false),
            State::Done => return Err(RestoreError::Trailing(self.offset)),
            State::Failed(error) => return Err(error),
        }
        Ok(true)
    }

    fn skip(&mut self, length: usize) {
        self.waiting.advance(length);
        self.offset = self.offset.saturating_add(length as u64);
    }
}

impl Default for SessionsRestore {
    fn default() -> Self {
        Self::new()
    }
}
