//! What was committed, replayed once: what every reply and every event must be, and the rules that the sequence
//! itself must keep.

mod asked;
mod permission;
mod read;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use crate::codec;
use crate::types::{
    Acl, Caller, Change, ClientId, ErrorCode, Found, Lifetime, Origin, Read, Refusal, RequestId, ServerId,
    SessionId, Stat, Transaction, Txn, Written, Zxid,
};

use super::check::Ghost;
use super::coverage::{Coverage, Point};
use tree::{Annals, At, Broken};

/// The committed sequence, decoded, and what became of it in a tree that is as simple as can be.
pub(super) struct Chronicle {
    entries: Vec<Entry>,
    annals: Annals,
    sessions: BTreeMap<SessionId, Session>,
    /// The connections that asked for a session and got one.
    opened: BTreeSet<(ServerId, ClientId, u64)>,
    /// How many sessions there are now.
    live: u64,
    coverage: Coverage,
}

/// One transaction, and what it came to.
pub(super) struct Entry {
    pub(super) zxid: Zxid,
    pub(super) session: SessionId,
    /// The connection that it came through.
    pub(super) origin: Option<Origin>,
    /// What the leader made of the request.
    txn: Txn,
    pub(super) changes: Vec<Change>,
    /// None when the answer had been forgotten.
    pub(super) outcome: Option<Result<Written, Refusal>>,
    /// Whether it only gives an earlier answer again.
    repeated: bool,
    /// How many nodes and how many sessions there are afterwards.
    counts: (u64, u64),
}

#[derive(Default)]
struct Session {
    ended: Option<Zxid>,
    last: Option<RequestId>,
    answers: BTreeMap<RequestId, Result<Written, Refusal>>,
}

impl Chronicle {
    pub(super) fn new(coverage: Coverage) -> Self {
        Self {
            entries: Vec::new(),
            annals: Annals::new(),
            sessions: BTreeMap::new(),
            opened: BTreeSet::new(),
            live: 0,
            coverage,
        }
    }

    /// Takes in what has been committed since.
    ///
    /// # Errors
    ///
    /// The rule that the sequence breaks, and how.
    pub(super) fn follow(&mut self, ghost: &Ghost) -> Result<(), Broken> {
        for (zxid, payload) in ghost.behind_first(self.entries.len()) {
            let transaction = codec::decode(payload)
                .map_err(|error| ("Decodable", format!("the transaction at {zxid}: {error}")))?;
            self.add(*zxid, &transaction)?;
        }
        Ok(())
    }

    /// The transactions after `after` and up to `upto`.
    pub(super) fn between(&self, after: Zxid, upto: Zxid) -> &[Entry] {
        let from = self.entries.partition_point(|entry| entry.zxid <= after);
        let to = self.entries.partition_point(|entry| entry.zxid <= upto);
        self.entries.get(from..to).unwrap_or_default()
    }

    /// The transactions behind the first `count`.
    pub(super) fn behind_first(&self, count: usize) -> &[Entry] {
        self.entries.get(count..).unwrap_or_default()
    }

    /// The last transaction up to `zxid`.
    pub(super) fn last_up_to(&self, zxid: Zxid) -> Zxid {
        let behind = self.entries.partition_point(|entry| entry.zxid <= zxid);
        behind.checked_sub(1).and_then(|index| self.entries.get(index)).map_or(Zxid::ZERO, |entry| entry.zxid)
    }

    /// The transaction at `zxid`.
    pub(super) fn at(&self, zxid: Zxid) -> Option<&Entry> {
        let index = self.entries.binary_search_by_key(&zxid, |entry| entry.zxid).ok()?;
        self.entries.get(index)
    }

    /// A server that has applied all up to `zxid` says how many nodes and sessions it has.
    pub(super) fn judge_counts(&self, zxid: Zxid, znodes: u64, sessions: u64) -> Result<(), Broken> {
        let Some(Entry { counts, .. }) = self.at(zxid) else { return Ok(()) };
        if *counts == (znodes, sessions) {
            return Ok(());
        }
        let what = format!(
            "at {zxid} it has {znodes} nodes and {sessions} sessions; the history makes that {counts:?}"
        );
        Err(("ReplicaEquality", what))
    }

    /// What `caller` must be shown in the state at `zxid`; none where that is not known.
    pub(super) fn read(&self, caller: &Caller, zxid: Zxid, read: &Read) -> Option<Result<Found, ErrorCode>> {
        self.annals.read(caller, zxid, read)
    }

    /// Stat and ACL of a node in the state at `zxid`.
    pub(super) fn lookup(&self, path: &str, zxid: Zxid) -> Option<(Stat, &Acl)> {
        self.annals.at(path, zxid).map(|node| (node.stat, &node.acl))
    }

    /// How many children were ever created below a node, in the state at `zxid`.
    pub(super) fn created_below(&self, path: &str, zxid: Zxid) -> Option<u64> {
        self.annals.at(path, zxid).map(|node| node.created)
    }

    fn add(&mut self, zxid: Zxid, transaction: &Transaction) -> Result<(), Broken> {
        let Transaction { session, time, origin, request, txn, .. } = transaction;
        self.judge_session(zxid, transaction)?;
        if *session == SessionId::NONE {
            self.judge_own(zxid, transaction)?;
        }
        let at = At { zxid, session: *session, time: *time };
        let mut changes = Vec::new();
        let outcome = match txn {
            Txn::Refused(refusal) => Some(Err(*refusal)),
            Txn::Repeated => {
                let known = self.sessions.get(session);
                request.and_then(|request| known?.answers.get(&request.id).cloned())
            }
            txn => Some(Ok(self.annals.apply(&at, txn, &mut changes)?)),
        };
        let known = self.sessions.entry(*session).or_default();
        if let (Some(request), Some(outcome)) = (request, &outcome)
            && !matches!(txn, Txn::Repeated)
        {
            known.answers.retain(|id, _| *id >= request.answered_below);
            known.answers.insert(request.id, outcome.clone());
            while known.answers.len() > crate::session::MAX_ANSWERS {
                known.answers.pop_first();
            }
        }
        if matches!(txn, Txn::CloseSession { .. }) {
            known.ended = Some(zxid);
            known.answers.clear();
            self.live -= 1;
        }
        self.live += u64::from(matches!(txn, Txn::CreateSession { .. }));
        if let Some(point) = of_txn(*session, txn, &changes) {
            self.coverage.sometimes(point);
        }
        let counts = (self.annals.population() as u64, self.live);
        let repeated = matches!(txn, Txn::Repeated);
        self.entries.push(Entry {
            zxid,
            session: *session,
            origin: *origin,
            txn: txn.clone(),
            changes,
            outcome,
            repeated,
            counts,
        });
        Ok(())
    }

    /// A session is begun once, acts while it lives and not any more, and in the order of its requests. (SCN-54,
    /// ZOOKEEPER-1208; spec of the client: requests of one client are executed in the order in which it sent them.)
    fn judge_session(&mut self, zxid: Zxid, transaction: &Transaction) -> Result<(), Broken> {
        let Transaction { session, request, txn, origin, .. } = transaction;
        if matches!(txn, Txn::CreateSession { .. }) {
            if let Some(origin) = origin
                && !self.opened.insert((origin.server, origin.client, origin.number))
            {
                return Err(("SessionUnique", format!("{zxid} is another session of {origin:?}")));
            }
            let known = self.sessions.insert(*session, Session::default());
            if session.as_u64() != zxid.as_u64() || known.is_some() {
                return Err(("SessionUnique", format!("session {session} is created at {zxid}")));
            }
            return Ok(());
        }
        if *session == SessionId::NONE {
            return Ok(());
        }
        let Some(known) = self.sessions.get_mut(session) else {
            return Err(("SessionLives", format!("{zxid} is of session {session}, which was never created")));
        };
        if let Some(ended) = known.ended {
            return Err(("SessionLives", format!("{zxid} is of session {session}, which ended at {ended}")));
        }
        let Some(request) = request else { return Ok(()) };
        let repeated = known.last.is_some_and(|last| request.id <= last);
        if repeated != matches!(txn, Txn::Repeated) {
            let what =
                format!("{zxid} is request {:?} of session {session} after {:?}", request.id, known.last);
            return Err(("SessionOrder", what));
        }
        known.last = known.last.max(Some(request.id));
        Ok(())
    }

    /// By itself the quorum only removes what is due: containers that have lost their last child, and TTL nodes whose
    /// time is over. (ZooKeeper: `ContainerManager`.)
    fn judge_own(&self, zxid: Zxid, transaction: &Transaction) -> Result<(), Broken> {
        let Txn::Delete { path } = &transaction.txn else {
            return Err(("OwnDeeds", format!("the quorum does {:?} by itself at {zxid}", transaction.txn)));
        };
        let Some(node) = self.annals.now(path.as_str()) else { return Ok(()) };
        let due = match node.lifetime {
            Lifetime::Container => node.created > 0,
            Lifetime::Ttl(ttl) => {
                let age = transaction.time.as_millis().saturating_sub(node.stat.mtime.as_millis());
                u64::try_from(age).is_ok_and(|age| age > ttl.as_millis())
            }
            Lifetime::Persistent | Lifetime::Ephemeral => false,
        };
        self.coverage.sometimes(match node.lifetime {
            Lifetime::Container => Point::ContainerReaped,
            _ => Point::TtlReaped,
        });
        if due { Ok(()) } else { Err(("OwnDeeds", format!("{path} is removed at {zxid} before it is due"))) }
    }
}

/// The position of the state right before the transaction at `zxid`: nothing stands between.
pub(super) const fn just_before(zxid: Zxid) -> Zxid {
    Zxid::from_u64(zxid.as_u64().saturating_sub(1))
}

#[cfg(test)]
impl Entry {
    /// One that changes nothing.
    pub(super) const fn through(zxid: Zxid, session: SessionId, origin: Option<Origin>) -> Self {
        let changes = Vec::new();
        Self {
            zxid,
            session,
            origin,
            txn: Txn::Check,
            changes,
            outcome: None,
            repeated: false,
            counts: (0, 0),
        }
    }
}

fn of_txn(session: SessionId, txn: &Txn, changes: &[Change]) -> Option<Point> {
    Some(match txn {
        Txn::Repeated => Point::RepeatedWrite,
        Txn::CloseSession { .. } if !changes.is_empty() => Point::EphemeralsEnd,
        Txn::DeleteTree { .. } if changes.len() > 1 => Point::TreeDeleted,
        Txn::Multi(txns) if txns.len() > 1 && session != SessionId::NONE => Point::MultiExecuted,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
