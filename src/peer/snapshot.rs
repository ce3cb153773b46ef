//! The replicated state as a stream of bytes.
//!
//! | bytes | field |
//! |---|---|
//! | 8 | `QSTATE` and the version, big-endian 16 bits |
//! | 8 | the position, big-endian |
//! | 8 | the digest of the state, big-endian |
//! | … | sections: a tag (1 tree, 2 sessions, 0 end), a length (32 bits, big-endian; not for the end), that many bytes |
//!
//! A section may come in many pieces; all pieces of the tree come before those of the sessions.

use bytes::{BufMut as _, Bytes, BytesMut};
use thiserror::Error;

use crate::session::{self, SessionsRestore};
use crate::tree::{self, TreeRestore};
use crate::types::{SnapshotChunk, Zxid};

use super::state::tree_limits;
use super::{PeerConfig, State};

const MAGIC: [u8; 8] = *b"QSTATE\x00\x01";
const HEADER_LEN: usize = 24;
const TAG_END: u8 = 0;
const TAG_TREE: u8 = 1;
const TAG_SESSIONS: u8 = 2;

/// Writes the state of one position, piece by piece, while later transactions are applied to it.
#[derive(Debug)]
pub(super) struct SnapshotWriter {
    zxid: Zxid,
    digest: u64,
    offset: u64,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Header,
    Tree,
    Sessions,
    End,
}

impl SnapshotWriter {
    /// Begins the snapshot of `state` as it is now.
    pub(super) fn begin(state: &mut State) -> Self {
        state.tree.begin_snapshot();
        state.sessions.begin_snapshot();
        Self { zxid: state.applied, digest: state.digest(), offset: 0, stage: Stage::Header }
    }

    /// The position that the snapshot is of.
    pub(super) fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// The next piece, of about `max` bytes, or fewer where it would take long; none after the last one.
    pub(super) fn next_chunk(&mut self, state: &mut State, max: usize) -> Option<SnapshotChunk> {
        let mut buffer = BytesMut::new();
        if self.stage == Stage::Header {
            buffer.put_slice(&MAGIC);
            buffer.put_u64(self.zxid.as_u64());
            buffer.put_u64(self.digest);
            self.stage = Stage::Tree;
        }
        let mut last = false;
        while buffer.len() < max && !last {
            let room = max - buffer.len();
            let piece = match self.stage {
                Stage::Tree => (TAG_TREE, state.tree.next_snapshot_chunk(room)),
                Stage::Sessions => (TAG_SESSIONS, state.sessions.next_snapshot_chunk(room)),
                Stage::Header | Stage::End => return None,
            };
            match piece {
                (tag, Some(bytes)) => {
                    put_section(&mut buffer, tag, &bytes);
                    if tag == TAG_TREE && bytes.len() < room {
                        // The tree has done what it may do in one turn.
                        break;
                    }
                }
                (TAG_TREE, None) => self.stage = Stage::Sessions,
                (_, None) => {
                    buffer.put_u8(TAG_END);
                    self.stage = Stage::End;
                    last = true;
                }
            }
        }
        let chunk = SnapshotChunk { zxid: self.zxid, offset: self.offset, bytes: buffer.freeze(), last };
        self.offset += chunk.bytes.len() as u64;
        Some(chunk)
    }

    /// Gives the snapshot up.
    pub(super) fn abandon(self, state: &mut State) {
        state.tree.abandon_snapshot();
        state.sessions.abandon_snapshot();
    }
}

fn put_section(buffer: &mut BytesMut, tag: u8, bytes: &Bytes) {
    buffer.reserve(1 + 4 + bytes.len());
    buffer.put_u8(tag);
    // A piece is at most a record longer than a chunk, and a record at most a little longer than 1 MiB.
    buffer.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    buffer.put_slice(bytes);
}

/// Why a snapshot could not be read. Nothing was made of it.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// It begins like no snapshot of this version.
    #[error("the bytes are no snapshot, or one of another version")]
    Header,
    /// A piece is missing or came twice.
    #[error("the piece at {found} came where the one at {expected} was due")]
    Gap {
        /// Where the next piece should have begun.
        expected: u64,
        /// Where it did.
        found: u64,
    },
    /// The sections are not in order.
    #[error("a section with the tag {0} is out of place")]
    Section(u8),
    /// It ends too early.
    #[error("the snapshot is cut short")]
    Short,
    /// Bytes follow the end.
    #[error("bytes follow the end of the snapshot")]
    Trailing,
    /// The znodes do not make a tree.
    #[error("the tree is damaged: {0}")]
    Tree(#[from] tree::RestoreError),
    /// The sessions do not make a table.
    #[error("the session table is damaged: {0}")]
    Sessions(#[from] session::RestoreError),
    /// The state is not the one that was saved.
    #[error("the digest of the state is {found:#x} where {expected:#x} was saved")]
    Digest {
        /// What the snapshot says.
        expected: u64,
        /// What came of its contents.
        found: u64,
    },
}

/// Makes a [`State`] of the pieces of a snapshot.
#[derive(Debug)]
pub struct StateRestore {
    tree: TreeRestore,
    sessions: SessionsRestore,
    header: Option<(Zxid, u64)>,
    offset: u64,
    /// Bytes of a header that has not arrived whole.
    partial: BytesMut,
    /// The section that is being read, and how much of it is to come.
    section: Option<(u8, usize)>,
    last_tag: u8,
    ended: bool,
}

impl StateRestore {
    /// A restorer for a peer of this configuration.
    #[must_use]
    pub fn new(config: &PeerConfig) -> Self {
        Self {
            tree: TreeRestore::new(tree_limits(config)),
            sessions: SessionsRestore::new(),
            header: None,
            offset: 0,
            partial: BytesMut::new(),
            section: None,
            last_tag: TAG_TREE,
            ended: false,
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    ///
    /// When it cannot be the next piece of a snapshot. The restorer is of no use any more.
    pub fn feed(&mut self, chunk: &SnapshotChunk) -> Result<(), RestoreError> {
        if chunk.offset != self.offset {
            return Err(RestoreError::Gap { expected: self.offset, found: chunk.offset });
        }
        self.offset += chunk.bytes.len() as u64;
        let mut bytes: &[u8] = &chunk.bytes;
        while !bytes.is_empty() {
            if self.ended {
                return Err(RestoreError::Trailing);
            }
            bytes = match self.section {
                None => self.feed_header(bytes)?,
                Some((tag, left)) => {
                    let (now, rest) = bytes.split_at(left.min(bytes.len()));
                    match tag {
                        TAG_TREE => self.tree.feed(now)?,
                        _ => self.sessions.feed(now)?,
                    }
                    self.section = (left > now.len()).then(|| (tag, left - now.len()));
                    rest
                }
            };
        }
        Ok(())
    }

    /// The state.
    ///
    /// # Errors
    ///
    /// When the snapshot is not whole or not the state that was saved.
    pub fn finish(self) -> Result<State, RestoreError> {
        let (zxid, expected) = self.header.ok_or(RestoreError::Short)?;
        if !self.ended {
            return Err(RestoreError::Short);
        }
        let state = State { tree: self.tree.finish()?, sessions: self.sessions.finish()?, applied: zxid };
        let found = state.digest();
        if found == expected { Ok(state) } else { Err(RestoreError::Digest { expected, found }) }
    }

    /// Reads as much of a header as there is; returns the rest.
    fn feed_header<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], RestoreError> {
        let needed = match (self.header, self.partial.first()) {
            (None, _) => HEADER_LEN,
            (Some(_), None) => 1,
            (Some(_), Some(_)) => 5,
        };
        let (now, rest) = bytes.split_at((needed - self.partial.len()).min(bytes.len()));
        self.partial.put_slice(now);
        if self.partial.len() < needed {
            return Ok(rest);
        }
        if self.header.is_none() {
            let (magic, fields) = self.partial.split_first_chunk::<8>().ok_or(RestoreError::Header)?;
            let (zxid, fields) = fields.split_first_chunk::<8>().ok_or(RestoreError::Header)?;
            let digest = fields.first_chunk::<8>().ok_or(RestoreError::Header)?;
            if *magic != MAGIC {
                return Err(RestoreError::Header);
            }
            self.header = Some((Zxid::from_u64(u64::from_be_bytes(*zxid)), u64::from_be_bytes(*digest)));
            self.partial.clear();
            return Ok(rest);
        }
        let tag = self.partial.first().copied().unwrap_or(TAG_END);
        match tag {
            TAG_END => {
                self.ended = true;
                self.partial.clear();
            }
            TAG_TREE | TAG_SESSIONS if tag >= self.last_tag => {
                self.last_tag = tag;
                if let Some(length) = self.partial.get(1..5).and_then(|length| length.first_chunk::<4>()) {
                    let length = u32::from_be_bytes(*length) as usize;
                    self.section = (length > 0).then_some((tag, length));
                    self.partial.clear();
                }
            }
            tag => return Err(RestoreError::Section(tag)),
        }
        Ok(rest)
    }
}
