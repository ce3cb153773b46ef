use std::collections::BTreeMap;

use bytes::Bytes;

use crate::types::{NumberedRequest, Password, Refusal, RequestId, SessionId, Written, Zxid};

use super::answers::{Answers, Recorded, Seen};
use super::form;
use super::snapshot::Snapshot;

/// The replicated session table: equal on every replica at equal zxid.
///
/// It changes by applied transactions only. Beside each session it keeps the answers to the writes that the
/// session numbered, so that a write that is sent again, to whatever server under whatever leader, is answered
/// and not executed a second time.
#[derive(Debug, Default)]
pub struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
    digest: u64,
    snapshot: Option<Snapshot>,
    scratch: Vec<u8>,
}

impl Sessions {
    /// The empty table, from before the first transaction.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a session; `id` is the zxid of the transaction that does.
    pub fn create(&mut self, id: SessionId, timeout_millis: u32, password: Password) {
        self.replace(id, Some(Session::new(timeout_millis, password)));
    }

    /// Ends a session and forgets its answers. Returns whether there was one.
    pub fn close(&mut self, id: SessionId) -> bool {
        self.replace(id, None)
    }

    /// Keeps the answer to a numbered write, and forgets those that the client says it has.
    ///
    /// A number is recorded once: a second answer to it, or to any smaller number, is not kept. At most
    /// [`MAX_ANSWERS`](super::MAX_ANSWERS) answers of [`MAX_ANSWERS_LEN`](super::MAX_ANSWERS_LEN) bytes are
    /// kept of one session; the oldest go first. Nothing happens when the session has ended.
    pub fn record(
        &mut self,
        id: SessionId,
        request: NumberedRequest,
        zxid: Zxid,
        answer: Result<Written, Refusal>,
    ) {
        self.before_change(id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let before = session.answers_digest(id);
        session.answers.get_or_insert_default().record(request, zxid, answer, &mut self.scratch);
        let after = session.answers_digest(id);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
    }

    /// The answer to a numbered write, if it is remembered.
    #[must_use]
    pub fn recorded(&self, id: SessionId, request: RequestId) -> Option<&Recorded> {
        self.get(id)?.answers()?.recorded(request)
    }

    /// Whether a numbered write is to be executed, answered again or refused. Of a session that is not in the
    /// table nothing has been seen; whether it is there is asked with [`get`](Self::get).
    #[must_use]
    pub fn seen(&self, id: SessionId, request: RequestId) -> Seen<'_> {
        match self.get(id).and_then(Session::answers) {
            Some(answers) => answers.seen(request),
            None if request > RequestId::default() => Seen::New,
            None => Seen::Forgotten,
        }
    }

    /// The session of this number, unless it has ended.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// The sessions, in the order of their numbers, which is that of their creation.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// A digest of all that the table holds: numbers, timeouts, passwords, recorded answers. Tables that are
    /// equal have equal digests, in whatever order they came to be. Kept at each change; asking costs nothing.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Begins a snapshot of the table as it is now. Takes no time, however many sessions there are; the table
    /// may change while the chunks are fetched. A snapshot that was not finished is abandoned.
    pub fn begin_snapshot(&mut self) {
        self.snapshot = Some(Snapshot::new(self.sessions.len(), self.digest));
    }

    /// The next piece of the snapshot, of 1 to `max` bytes; `None` when it is complete or none was begun. Read
    /// back by [`SessionsRestore`](super::SessionsRestore).
    pub fn next_snapshot_chunk(&mut self, max: usize) -> Option<Bytes> {
        let chunk = self.snapshot.as_mut()?.next_chunk(&self.sessions, max);
        if chunk.is_none() {
            self.snapshot = None;
        }
        chunk
    }

    /// Gives the snapshot up. Until then, or until it is complete, each session that changes is kept in its old
    /// state too.
    pub fn abandon_snapshot(&mut self) {
        self.snapshot = None;
    }

    /// Puts `session` in the place of what was there. Returns whether something was.
    pub(super) fn replace(&mut self, id: SessionId, session: Option<Session>) -> bool {
        self.before_change(id);
        if let Some(session) = &session {
            self.digest = self.digest.wrapping_add(session.digest(id));
        }
        let old = match session {
            Some(session) => self.sessions.insert(id, session),
            None => self.sessions.remove(&id),
        };
        if let Some(old) = &old {
            self.digest = self.digest.wrapping_sub(old.digest(id));
        }
        old.is_some()
    }

    fn before_change(&mut self, id: SessionId) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.keep(id, || self.sessions.get(&id).cloned());
        }
    }
}

/// One session, as every replica knows it.
#[derive(Clone, Debug)]
pub struct Session {
    timeout_millis: u32,
    password: Password,
    answers: Option<Box<Answers>>,
}

impl Session {
    pub(super) fn new(timeout_millis: u32, password: Password) -> Self {
        Self { timeout_millis, password, answers: None }
    }

    pub(super) fn restore_answers(&mut self, answers: Answers) {
        self.answers = Some(Box::new(answers));
    }

    /// The timeout that was agreed, in milliseconds.
    #[must_use]
    pub fn timeout_millis(&self) -> u32 {
        self.timeout_millis
    }

    /// Whether this is the session's password; in constant time, so that a guess learns nothing from how long
    /// the refusal took.
    #[must_use]
    pub fn verify(&self, password: &Password) -> bool {
        self.password == *password
    }

    /// The password, to be handed to the session's own client and to nobody else.
    #[must_use]
    pub fn password(&self) -> Password {
        self.password
    }

    pub(super) fn answers(&self) -> Option<&Answers> {
        self.answers.as_deref()
    }

    fn digest(&self, id: SessionId) -> u64 {
        form::session_digest(id, self.timeout_millis, &self.password).wrapping_add(self.answers_digest(id))
    }

    fn answers_digest(&self, id: SessionId) -> u64 {
        self.answers.as_ref().map_or(0, |answers| form::answers_digest(id, answers.digest()))
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
pub(super) mod tests;
