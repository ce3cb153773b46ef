use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{Buf as _, Bytes, BytesMut};

use crate::types::SessionId;

use super::form;
use super::table::Session;

/// The version of the form that follows.
pub(super) const VERSION: u8 = 1;

/// A snapshot that is being fetched: a walk through the table in the order of ids, and the old state of what
/// changed ahead of it.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// What is encoded and not yet fetched.
    ready: BytesMut,
    /// The last session that was encoded.
    done: Option<SessionId>,
    /// What sessions behind `done` were when the snapshot began, where they changed since; `None` for those
    /// that did not exist.
    before: BTreeMap<SessionId, Option<Session>>,
    /// The digest of the table, which ends the snapshot; taken when it is encoded.
    digest: Option<u64>,
    scratch: Vec<u8>,
}

impl Snapshot {
    pub(super) fn new(sessions: usize, digest: u64) -> Self {
        let mut ready = BytesMut::new();
        ready.extend_from_slice(&[VERSION]);
        ready.extend_from_slice(&(sessions as u64).to_le_bytes());
        Self { ready, done: None, before: BTreeMap::new(), digest: Some(digest), scratch: Vec::new() }
    }

    /// Keeps what a session is before it changes for the first time, if its turn has yet to come.
    pub(super) fn keep(&mut self, id: SessionId, session: impl FnOnce() -> Option<Session>) {
        if self.digest.is_some() && self.done.is_none_or(|done| id > done) {
            self.before.entry(id).or_insert_with(session);
        }
    }

    pub(super) fn next_chunk(
        &mut self,
        sessions: &BTreeMap<SessionId, Session>,
        max: usize,
    ) -> Option<Bytes> {
        let max = max.max(1);
        while self.ready.len() < max
            && let Some(digest) = self.digest
        {
            if !self.encode_next(sessions) {
                self.ready.extend_from_slice(&digest.to_le_bytes());
                self.digest = None;
            }
        }
        if self.ready.is_empty() {
            return None;
        }
        let length = max.min(self.ready.len());
        Some(self.ready.copy_to_bytes(length))
    }

    /// Encodes the session after the last one. Returns whether there was one.
    fn encode_next(&mut self, sessions: &BTreeMap<SessionId, Session>) -> bool {
        let from = self.done.map_or(Bound::Unbounded, Bound::Excluded);
        let live = sessions.range((from, Bound::Unbounded)).next();
        let changed = self.before.first_key_value().map(|(id, _)| *id);
        match (live, changed) {
            (Some((id, session)), changed) if changed.is_none_or(|changed| *id < changed) => {
                self.encode(*id, session);
            }
            _ => {
                let Some((id, session)) = self.before.pop_first() else { return false };
                match session {
                    Some(session) => self.encode(id, &session),
                    None => self.done = Some(id),
                }
            }
        }
        true
    }

    fn encode(&mut self, id: SessionId, session: &Session) {
        self.done = Some(id);
        self.scratch.clear();
        form::put_session(&mut self.scratch, id, session);
        self.ready.extend_from_slice(&(self.scratch.len() as u64).to_le_bytes());
        self.ready.extend_from_slice(&self.scratch);
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
