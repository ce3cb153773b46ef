use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::session::{Deadlines, Owners, Seen};
use crate::tree::Outstanding;
use crate::types::{
    ClientId, NumberedRequest, Password, RequestId, ServerId, SessionId, Time, Transaction, Zxid,
};
use crate::zab::Confirmation;

use super::{Limits, State};

/// What a server keeps only while it leads: the state as it will be once everything proposed is committed,
/// and who is where.
#[derive(Debug)]
pub(super) struct Leading {
    pub(super) outstanding: Outstanding,
    pub(super) deadlines: Deadlines,
    pub(super) owners: Owners,
    /// Proposed and not yet applied, in order; spares decoding what this server itself encoded.
    proposed: VecDeque<(Zxid, Transaction, usize)>,
    /// How many bytes they have, encoded.
    proposed_len: usize,
    /// Sessions whose creation is proposed and not yet applied.
    opening: BTreeMap<SessionId, Opening>,
    /// Sessions whose end is proposed and not yet applied: they can do nothing more.
    closing: BTreeSet<SessionId>,
    /// The largest write number of each session that was proposed in this reign.
    numbered: BTreeMap<SessionId, RequestId>,
    /// Reads that wait for a quorum to confirm that this server still leads.
    confirmations: VecDeque<(Confirmation, Vec<IndexRead>)>,
    /// The last position whose digest a proposal carries.
    pub(super) witnessed: Zxid,
    /// No session is ended before.
    pub(super) expire_from: Time,
}

/// A session that is about to be.
#[derive(Clone, Copy, Debug)]
struct Opening {
    timeout_millis: u32,
    password: Password,
}

/// A server that asked which position must be applied for a read to be linearizable.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexRead {
    pub(super) server: ServerId,
    pub(super) token: u64,
    pub(super) zxid: Zxid,
}

/// What is to be done with a numbered write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Numbering {
    /// It is new.
    New,
    /// It was proposed before.
    Repeated,
}

impl Leading {
    /// Begins a reign: every session gets a full timeout again.
    pub(super) fn begin(state: &State, now: Time, stall_guard: Duration) -> Self {
        let mut deadlines = Deadlines::new(stall_guard);
        for (id, session) in state.sessions.iter() {
            deadlines.insert(now, id, millis(session.timeout_millis()));
        }
        Self {
            outstanding: Outstanding::new(),
            deadlines,
            owners: Owners::new(),
            proposed: VecDeque::new(),
            proposed_len: 0,
            opening: BTreeMap::new(),
            closing: BTreeSet::new(),
            numbered: BTreeMap::new(),
            confirmations: VecDeque::new(),
            witnessed: Zxid::ZERO,
            expire_from: now,
        }
    }

    /// Whether the session exists and has not begun to end.
    pub(super) fn is_live(&self, state: &State, session: SessionId) -> bool {
        !self.closing.contains(&session)
            && (state.sessions.get(session).is_some() || self.opening.contains_key(&session))
    }

    /// How many sessions there are, those that are about to be included.
    pub(super) fn sessions(&self, state: &State) -> usize {
        state.sessions.len() + self.opening.len()
    }

    /// When sessions are to be ended next; no later than the first deadline, or than a pause after those before.
    pub(super) fn next_expiry(&self) -> Option<Time> {
        self.deadlines.next().map(|due| due.max(self.expire_from))
    }

    /// The timeout of a live session, if this is its password.
    pub(super) fn admit(&self, state: &State, session: SessionId, password: &Password) -> Option<u32> {
        if self.closing.contains(&session) {
            return None;
        }
        if let Some(known) = state.sessions.get(session) {
            return known.verify(password).then(|| known.timeout_millis());
        }
        let opening = self.opening.get(&session)?;
        (opening.password == *password).then_some(opening.timeout_millis)
    }

    /// Whether this connection is the one that speaks for the session.
    pub(super) fn is_owner(&self, session: SessionId, server: ServerId, client: ClientId) -> bool {
        self.owners.owner(session) == Some((server, client))
    }

    /// Judges the number of a write, and remembers it.
    pub(super) fn number(
        &mut self,
        state: &State,
        session: SessionId,
        request: NumberedRequest,
    ) -> Numbering {
        if self.is_repeated(state, session, request.id) {
            return Numbering::Repeated;
        }
        self.numbered.insert(session, request.id);
        Numbering::New
    }

    /// Whether a write of this number has been executed or proposed.
    pub(super) fn is_repeated(&self, state: &State, session: SessionId, id: RequestId) -> bool {
        self.numbered.get(&session).is_some_and(|largest| id <= *largest)
            || !matches!(state.sessions.seen(session, id), Seen::New)
    }

    pub(super) fn open(&mut self, session: SessionId, timeout_millis: u32, password: Password) {
        self.opening.insert(session, Opening { timeout_millis, password });
    }

    pub(super) fn close(&mut self, session: SessionId) {
        self.closing.insert(session);
        self.deadlines.remove(session);
        self.owners.remove(session);
    }

    pub(super) fn proposed(&mut self, zxid: Zxid, transaction: Transaction, len: usize) {
        self.proposed.push_back((zxid, transaction, len));
        self.proposed_len += len;
    }

    /// Whether as many proposals, or bytes of them, wait to be applied as may.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.proposed.len() >= limits.outstanding || self.proposed_len >= limits.outstanding_len
    }

    /// The transaction that was proposed at `zxid`, if it was in this reign.
    pub(super) fn take_proposed(&mut self, zxid: Zxid) -> Option<Transaction> {
        let (_, transaction, len) = self.proposed.pop_front_if(|(front, ..)| *front == zxid)?;
        self.proposed_len -= len;
        Some(transaction)
    }

    /// A session's creation was applied.
    pub(super) fn opened(&mut self, now: Time, session: SessionId, timeout_millis: u32) {
        self.opening.remove(&session);
        if !self.closing.contains(&session) {
            self.deadlines.insert(now, session, millis(timeout_millis));
        }
    }

    /// A session's end was applied.
    pub(super) fn closed(&mut self, session: SessionId) {
        self.closing.remove(&session);
        self.numbered.remove(&session);
        self.deadlines.remove(session);
        self.owners.remove(session);
    }

    pub(super) fn await_confirmation(&mut self, confirmation: Confirmation, read: IndexRead) {
        match self.confirmations.back_mut() {
            Some((last, reads)) if *last == confirmation => reads.push(read),
            _ => self.confirmations.push_back((confirmation, vec![read])),
        }
    }

    /// The reads that may be answered now that `confirmation` has come.
    pub(super) fn confirmed(&mut self, confirmation: Confirmation) -> Vec<IndexRead> {
        let mut reads = Vec::new();
        while self.confirmations.front().is_some_and(|(waiting, _)| *waiting <= confirmation) {
            reads.extend(self.confirmations.pop_front().into_iter().flat_map(|(_, reads)| reads));
        }
        reads
    }
}

pub(super) fn millis(millis: u32) -> Duration {
    Duration::from_millis(u64::from(millis))
}
