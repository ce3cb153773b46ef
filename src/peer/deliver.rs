//! Committed transactions become state, events and answers.

use bytes::Bytes;

use crate::codec;
use crate::types::{Acl, Change, ClientId, Permissions, ServerId, SessionId, Transaction, Txn, Zxid};

use super::backlog::Held;
use super::clients::{Body, Clients};
use super::state::Applied;
use super::{CloseReason, Connected, Halt, Output, Peer};

/// For how many changes the room is kept between two transactions.
const KEPT_ROOM: usize = 1_000;

impl Peer {
    /// Applies a committed transaction, unless it has to wait.
    pub(super) fn deliver(&mut self, zxid: Zxid, payload: Bytes) {
        if self.halted {
            return;
        }
        let len = payload.len();
        let transaction = match self.leading.as_mut().and_then(|leading| leading.take_proposed(zxid)) {
            Some(transaction) => transaction,
            None => match codec::decode_shared::<Transaction>(payload) {
                Ok(transaction) => transaction,
                Err(error) => return self.halt(Halt::Undecodable { zxid, cause: error.to_string() }),
            },
        };
        if self.backlog.holds_any() || must_wait(&self.clients, self.config.server, &transaction) {
            self.hold(Held { zxid, transaction, len });
        } else {
            self.apply(zxid, &transaction);
        }
    }

    /// Applies what was held back, as far as nothing holds it back any more.
    pub(super) fn apply_held(&mut self) {
        let server = self.config.server;
        while let Some(Held { zxid, transaction, .. }) =
            self.backlog.release_if(|held| !must_wait(&self.clients, server, &held.transaction))
        {
            self.apply(zxid, &transaction);
        }
    }

    /// Holds a transaction back, in order. Whoever makes the others wait for too much is let go.
    fn hold(&mut self, held: Held) {
        self.backlog.hold(held);
        while self.backlog.holds_too_much(&self.config.limits)
            && let Some(client) = self.backlog.holder()
        {
            self.close(client, CloseReason::Overloaded);
            self.apply_held();
        }
    }

    /// Events go out before the answers that show their cause.
    fn apply(&mut self, zxid: Zxid, transaction: &Transaction) {
        if let Some(witness) = transaction.witness {
            let at = self.digests.binary_search_by_key(&witness.zxid, |(zxid, _)| *zxid);
            let own = at.ok().and_then(|at| self.digests.get(at));
            if own.is_some_and(|(_, digest)| *digest != witness.digest) {
                return self.halt(Halt::Diverged { zxid: witness.zxid });
            }
        }
        let mut changes = std::mem::take(&mut self.changes);
        let applied = self.state.apply(zxid, transaction, &mut changes);
        let is_refused = matches!(transaction.txn, Txn::Refused(_) | Txn::Repeated);
        if applied.result.is_err() && !is_refused {
            // The leader judged it; a replica in the same state can apply it.
            return self.halt(Halt::Diverged { zxid });
        }
        self.saving.count_applied();
        self.remember_digest(zxid);
        self.fire_watches(&changes);
        self.recent.take(&mut changes);
        changes.shrink_to(KEPT_ROOM);
        self.changes = changes;
        if let Some(leading) = &mut self.leading {
            leading.outstanding.retire(zxid);
        }
        self.keep_sessions(zxid, transaction);
        self.answer(transaction, applied);
        self.heed_backs();
    }

    fn remember_digest(&mut self, zxid: Zxid) {
        if self.digests.len() >= self.config.limits.remembered_digests {
            self.digests.pop_front();
        }
        self.digests.push_back((zxid, self.state.digest()));
    }

    fn fire_watches(&mut self, changes: &[Change]) {
        let mut events = Vec::new();
        let clients = &self.clients;
        self.watches.fire(changes, &mut |client, acl| may_read(clients, client, acl), &mut events);
        for (client, event) in events {
            self.emit(Output::Watch { client, event });
        }
    }

    fn keep_sessions(&mut self, zxid: Zxid, transaction: &Transaction) {
        let now = self.now.time;
        match &transaction.txn {
            Txn::CreateSession { timeout_millis, .. } => {
                if let Some(leading) = &mut self.leading {
                    leading.opened(now, SessionId::from_u64(zxid.as_u64()), *timeout_millis);
                }
            }
            Txn::CloseSession { .. } => {
                if let Some(leading) = &mut self.leading {
                    leading.closed(transaction.session);
                }
            }
            _ => {}
        }
    }

    /// Tells the client that waits for the transaction, if it is attached to this server.
    fn answer(&mut self, transaction: &Transaction, applied: Applied) {
        let origin = transaction.origin.filter(|origin| origin.server == self.config.server);
        if let Txn::CreateSession { timeout_millis, password } = transaction.txn {
            let Some(origin) = origin else { return };
            if self.clients.connecting(origin.client).is_some_and(|waiting| waiting.number == origin.number) {
                let session = SessionId::from_u64(self.state.applied.as_u64());
                self.attach(Connected {
                    client: origin.client,
                    session,
                    password,
                    timeout_millis,
                    resumed: false,
                });
            }
            return;
        }
        if let Some(origin) = origin {
            let client =
                self.clients.get_mut(origin.client).filter(|c| c.caller.session == transaction.session);
            if let Some(pending) = client.and_then(|client| client.pending(origin.number))
                && let Body::Write(outcome @ None) | Body::Close(outcome @ None) = &mut pending.body
            {
                *outcome = Some((applied.zxid, applied.result));
            }
            self.advance(origin.client);
        }
        if matches!(transaction.txn, Txn::CloseSession { .. })
            && let Some(client) = self.clients.of_session(transaction.session)
        {
            let own = origin.is_some_and(|origin| origin.client == client);
            self.close(client, if own { CloseReason::ClosedByClient } else { CloseReason::Expired });
        }
    }
}

/// Whether the transaction is of a client of this server who has not been told yet what it asked before. The answers would show
/// it what it did later, and their positions go back.
fn must_wait(clients: &Clients, server: ServerId, transaction: &Transaction) -> bool {
    let origin = transaction.origin.filter(|origin| origin.server == server);
    origin.and_then(|origin| clients.get(origin.client)).is_some_and(|client| client.is_behind)
}

/// Whether the client may hear of what happens to a node with this ACL.
pub(super) fn may_read(clients: &Clients, client: ClientId, acl: &Acl) -> bool {
    clients.get(client).is_some_and(|client| acl.permits(Permissions::READ, &client.caller.identities))
}
