//! What only a leader does: judge writes, expire sessions, remove nodes that are due.

use std::time::Duration;

use crate::session::negotiate;
use crate::types::{
    ClientId, ErrorCode, NumberedRequest, Origin, Password, ServerId, SessionId, Transaction, Txn, Witness,
    Zxid,
};
use crate::zab::Confirmation;

use super::forward::{Back, Forward, ForwardedWrite, Word};
use super::leading::{IndexRead, Numbering};
use super::size::weigh;
use super::{Peer, PeerEvent};

/// How many due nodes are removed per tick; the rest waits for the next one.
const REAPED_PER_TICK: usize = 1_000;

/// How many sessions are ended in one turn at most. When a whole rack of clients goes at once, the writes of the others
/// must not wait until the last of its sessions is closed.
const EXPIRED_PER_TURN: usize = 500;

/// How long the rest waits.
const EXPIRY_PAUSE: Duration = Duration::from_millis(5);

impl Peer {
    /// What a server asks of its leader, in the order of the link. Whoever does not lead any more heeds nothing:
    /// the asking server finds out by its link.
    pub(super) fn heed_forward(&mut self, from: ServerId, forward: Forward) {
        if self.leading.is_none() {
            return;
        }
        match forward {
            Forward::Open { client, number, timeout_millis } => {
                let origin = Origin { server: from, client, number };
                if !self.open_session(origin, timeout_millis) {
                    self.back(from, Zxid::ZERO, Word::NotOpened { client });
                }
            }
            Forward::Resume { client, session, password } => {
                self.resume_session(from, client, session, &password);
            }
            Forward::Write(write) => {
                let (client, number) = (write.client, write.number);
                if let Err(code) = self.write(from, write) {
                    self.deny_request(from, client, number, code);
                }
            }
            Forward::Close { client, number, session } => {
                let origin = Origin { server: from, client, number };
                if let Err(code) = self.close_owned(origin, session) {
                    self.deny_request(from, client, number, code);
                }
            }
            Forward::Touch(sessions) => {
                let now = self.now.time;
                if let Some(leading) = &mut self.leading {
                    for session in sessions {
                        leading.deadlines.touch(now, session);
                    }
                }
            }
            Forward::ReadIndex { token } => self.confirm_index(from, token),
        }
    }

    /// Ends the sessions whose time ran out: some now, and the rest after a pause.
    pub(super) fn expire_sessions(&mut self) {
        let now = self.now.time;
        let Some(leading) = self.leading.as_mut().filter(|leading| leading.expire_from <= now) else {
            return;
        };
        leading.expire_from = now + EXPIRY_PAUSE;
        if leading.deadlines.next().is_some_and(|due| due <= now) {
            // Whom this server heard from since its last tick has no deadline that is due.
            for session in self.clients.take_heard() {
                leading.deadlines.touch(now, session);
            }
        }
        for _ in 0..EXPIRED_PER_TURN {
            let vacant = self.vacant_zxid().is_some();
            let Some(leading) = &mut self.leading else { return };
            let Some(session) = vacant.then(|| leading.deadlines.poll_expired(now)).flatten() else {
                // Only what is left over has to wait; and what finds no room, until there is some.
                if vacant {
                    leading.expire_from = now;
                }
                return;
            };
            self.event(PeerEvent::SessionExpired { session });
            self.close_session(session, None);
        }
    }

    /// Removes containers that lost their last child and TTL nodes whose time is over.
    pub(super) fn reap(&mut self) {
        for path in self.state.tree.due(self.now.wall, REAPED_PER_TICK) {
            let (Some(zxid), Some(leading)) = (self.zab.next_zxid(), &mut self.leading) else {
                return;
            };
            let tree = &self.state.tree;
            if let Some(txn) = tree.prepare_reap(&mut leading.outstanding, zxid, self.now.wall, &path) {
                self.propose(zxid, SessionId::NONE, None, None, txn);
            }
        }
    }

    /// A quorum has confirmed that this server still led when these reads were asked for.
    pub(super) fn heed_confirmed(&mut self, confirmation: Confirmation) {
        let reads = self.leading.as_mut().map(|leading| leading.confirmed(confirmation)).unwrap_or_default();
        for IndexRead { server, token, zxid } in reads {
            self.back(server, zxid, Word::ReadIndex { token });
        }
    }

    fn open_session(&mut self, origin: Origin, timeout_millis: u32) -> bool {
        let Some(zxid) = self.vacant_zxid() else { return false };
        let sessions = self.leading.as_ref().map_or(0, |leading| leading.sessions(&self.state));
        if sessions >= self.config.limits.sessions {
            return false;
        }
        let timing = &self.config.timing;
        let timeout_millis = negotiate(timeout_millis, timing.session_min, timing.session_max);
        let mut password = [0; 16];
        self.rng.fill(&mut password);
        let password = Password::new(password);
        let session = SessionId::from_u64(zxid.as_u64());
        if let Some(leading) = &mut self.leading {
            leading.open(session, timeout_millis, password);
            leading.owners.set(session, (origin.server, origin.client));
        }
        self.propose(zxid, session, Some(origin), None, Txn::CreateSession { timeout_millis, password });
        true
    }

    fn resume_session(&mut self, from: ServerId, client: ClientId, session: SessionId, password: &Password) {
        let now = self.now.time;
        let Some(leading) = &mut self.leading else { return };
        let Some(timeout_millis) = leading.admit(&self.state, session, password) else {
            return self.back(from, Zxid::ZERO, Word::NotResumed { client });
        };
        let before = leading.owners.owner(session);
        leading.owners.set(session, (from, client));
        leading.deadlines.touch(now, session);
        if let Some((server, client)) = before
            && server != from
        {
            self.back(server, Zxid::ZERO, Word::Moved { client });
        }
        // The server must have applied the session's creation before it speaks for it.
        let created = Zxid::from_u64(session.as_u64());
        self.back(from, created, Word::Resumed { client, session, password: *password, timeout_millis });
    }

    /// Judges a write and proposes what becomes of it. An error is one that has no place in the order of
    /// transactions.
    fn write(&mut self, from: ServerId, write: ForwardedWrite) -> Result<(), ErrorCode> {
        let ForwardedWrite { client, number, caller, write, request } = write;
        let session = caller.session;
        let leading = self.leading.as_mut().ok_or(ErrorCode::Throttled)?;
        if !leading.is_live(&self.state, session) {
            return Err(ErrorCode::SessionExpired);
        }
        if !leading.is_owner(session, from, client) {
            return Err(ErrorCode::SessionMoved);
        }
        // "Too many wait" says that nothing was changed; of a write that is sent again that may not be true any
        // more. With no zxid left for it nothing is said: the reign is over, and it will be sent once more.
        let zxid = if request.is_some_and(|r| leading.is_repeated(&self.state, session, r.id)) {
            let Some(zxid) = self.zab.next_zxid() else { return Ok(()) };
            zxid
        } else {
            self.vacant_zxid().ok_or(ErrorCode::Throttled)?
        };
        let leading = self.leading.as_mut().ok_or(ErrorCode::Throttled)?;
        let repeated =
            request.is_some_and(|r| leading.number(&self.state, session, r) == Numbering::Repeated);
        let txn = if repeated {
            Txn::Repeated
        } else {
            let tree = &self.state.tree;
            let now = self.now.wall;
            // Its own server has weighed it too, if that is correct.
            let judged = weigh(&write, &caller.identities)
                .and_then(|_| tree.prepare(&mut leading.outstanding, &caller, zxid, now, &write));
            judged.unwrap_or_else(Txn::Refused)
        };
        self.propose(zxid, session, Some(Origin { server: from, client, number }), request, txn);
        Ok(())
    }

    fn close_owned(&mut self, origin: Origin, session: SessionId) -> Result<(), ErrorCode> {
        let leading = self.leading.as_ref().ok_or(ErrorCode::Throttled)?;
        if !leading.is_live(&self.state, session) {
            return Err(ErrorCode::SessionExpired);
        }
        if !leading.is_owner(session, origin.server, origin.client) {
            return Err(ErrorCode::SessionMoved);
        }
        if self.zab.next_zxid().is_none() {
            return Err(ErrorCode::Throttled);
        }
        self.close_session(session, Some(origin));
        Ok(())
    }

    /// Proposes the end of a session. From now on the session can do nothing more. (SCN-54)
    fn close_session(&mut self, session: SessionId, origin: Option<Origin>) {
        let (Some(zxid), Some(leading)) = (self.zab.next_zxid(), &mut self.leading) else {
            return;
        };
        leading.close(session);
        let ephemerals = self.state.tree.prepare_close(&mut leading.outstanding, zxid, session);
        let ephemerals = ephemerals.len() as u64;
        self.propose(zxid, session, origin, None, Txn::CloseSession { ephemerals });
    }

    fn confirm_index(&mut self, server: ServerId, token: u64) {
        let zxid = self.zab.committed();
        let confirmation = self.zab.confirm(self.now.time);
        if let Some(leading) = &mut self.leading {
            leading.await_confirmation(confirmation, IndexRead { server, token, zxid });
        }
    }

    fn deny_request(&mut self, to: ServerId, client: ClientId, number: u64, code: ErrorCode) {
        // What a session did before its end is answered first, and its end itself.
        let after = if code == ErrorCode::SessionExpired { self.zab.tip() } else { Zxid::ZERO };
        self.back(to, after, Word::Denied { client, number, code });
    }

    /// The position of the next proposal, unless too many wait or the counter is spent.
    fn vacant_zxid(&self) -> Option<Zxid> {
        let full = self.leading.as_ref().is_some_and(|leading| leading.is_full(&self.config.limits));
        if full { None } else { self.zab.next_zxid() }
    }

    fn propose(
        &mut self,
        zxid: Zxid,
        session: SessionId,
        origin: Option<Origin>,
        request: Option<NumberedRequest>,
        txn: Txn,
    ) {
        let witness = self.witness();
        let time = self.now.wall;
        let transaction = Transaction { session, time, origin, request, witness, txn };
        // What was weighed can be encoded, and all else is short.
        let Ok(payload) = self.entries.encode(&transaction) else { return };
        let len = payload.len();
        let proposed = self.zab.propose(payload).ok();
        debug_assert_eq!(proposed, Some(zxid), "the zxid was asked for just before");
        if let Some(leading) = &mut self.leading {
            leading.proposed(zxid, transaction, len);
        }
    }

    /// The digest of the state that is applied now, unless an earlier proposal carries it.
    fn witness(&mut self) -> Option<Witness> {
        let zxid = self.state.applied;
        let leading = self.leading.as_mut().filter(|leading| leading.witnessed < zxid)?;
        leading.witnessed = zxid;
        Some(Witness { zxid, digest: self.state.digest() })
    }

    fn back(&mut self, to: ServerId, after: Zxid, word: Word) {
        let back = Back { after, word };
        if to == self.config.server {
            self.backs.push_back(back);
            self.heed_backs();
        } else if let Ok(payload) = self.words.encode(&back) {
            self.zab.answer(to, payload);
        }
    }
}
