use std::collections::BTreeMap;

use bytes::Bytes;

use crate::peer::Status;
use crate::types::{LogOp, Recovered, ServerId, WriteBatch, Zxid};

use super::history::History;

/// One thing that was seen at a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    /// Its storage was opened and reported this.
    Recovered(&'a Recovered),
    /// Its storage was asked to make this durable.
    Writing(&'a WriteBatch),
    /// Its storage said that what it was last asked for is durable.
    Written,
    /// A snapshot was saved whole.
    SnapshotSaved(Zxid),
    /// It did some work, and this is how it is doing.
    Status(&'a Status),
    /// It showed somebody the state at this position.
    Shown(Zxid),
    /// Its process has ended.
    Down,
    /// Its disk was damaged, or replaced.
    Damaged,
}

/// What is known of a server from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerView {
    pub(crate) voting: bool,
    /// What its storage has confirmed.
    pub(crate) durable: History,
    /// What its storage was asked for, confirmed or not.
    pub(crate) asked: History,
    pub(crate) pending: Option<WriteBatch>,
    /// None while it is down.
    pub(crate) status: Option<Status>,
    /// How far its committed history was compared with the ghost's.
    pub(crate) compared: Zxid,
    /// Whether its disk may have lost what was durable, since it was last known to be level.
    pub(crate) damaged: bool,
}

/// The ensemble, seen from outside and from above: what every server holds, and what was ever committed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) servers: BTreeMap<ServerId, ServerView>,
    /// Every entry that any storage was ever asked to hold.
    pub(crate) proposed: BTreeMap<Zxid, Bytes>,
    pub(crate) ghost: Ghost,
}

impl Cluster {
    /// Takes over what was seen.
    pub(crate) fn update(&mut self, server: ServerId, seen: &Seen<'_>) {
        let view = self.servers.entry(server).or_default();
        match seen {
            Seen::Recovered(recovered) => {
                view.durable = History::recovered(recovered, &view.asked);
                view.asked = view.durable.clone();
                view.pending = None;
                view.compared = Zxid::ZERO;
            }
            Seen::Writing(batch) => {
                for op in &batch.ops {
                    if let LogOp::Append(entries) = op {
                        for entry in entries {
                            self.proposed.entry(entry.zxid).or_insert_with(|| entry.payload.clone());
                        }
                    }
                }
                view.asked.apply(batch);
                view.compared = view.compared.min(view.asked.tip());
                view.pending = Some((*batch).clone());
            }
            Seen::Written => {
                if let Some(batch) = view.pending.take() {
                    view.durable.apply(&batch);
                    // A leader has brought it level: what was lost is there again.
                    view.damaged &= !batch.ops.iter().any(|op| matches!(op, LogOp::CurrentEpoch(_)));
                }
            }
            Seen::SnapshotSaved(zxid) => {
                view.durable.snapshots.insert(*zxid);
                view.asked.snapshots.insert(*zxid);
            }
            Seen::Status(status) => view.status = Some((*status).clone()),
            Seen::Shown(_) => {}
            Seen::Down => view.status = None,
            Seen::Damaged => view.damaged = true,
        }
    }

    /// How many servers vote.
    pub(crate) fn voters(&self) -> usize {
        self.servers.values().filter(|view| view.voting).count()
    }
}

/// The one sequence of transactions that any server ever knew to be committed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ghost {
    pub(crate) committed: BTreeMap<Zxid, Bytes>,
}

impl Ghost {
    /// The last committed position.
    pub(crate) fn last(&self) -> Zxid {
        self.committed.last_key_value().map_or(Zxid::ZERO, |(zxid, _)| *zxid)
    }

    /// Compares `history`, committed after `after` and up to `upto`, with the sequence, and lengthens the
    /// sequence by what is new. Returns how far it came.
    ///
    /// # Errors
    ///
    /// Says where the two differ.
    pub(crate) fn join(&mut self, history: &History, after: Zxid, upto: Zxid) -> Result<Zxid, String> {
        let mut done = after.max(history.start);
        if done > self.last() {
            return Err(format!("its history begins at {done}, which was never committed"));
        }
        for (zxid, payload) in history.between(done, upto) {
            let expected = self
                .committed
                .range((std::ops::Bound::Excluded(done), std::ops::Bound::Unbounded))
                .next()
                .map(|(zxid, payload)| (*zxid, payload));
            match expected {
                Some(expected) if expected == (zxid, payload) => {}
                Some((expected, _)) if expected == zxid => {
                    return Err(format!("it has another transaction at {zxid} than was committed there"));
                }
                Some((expected, _)) => {
                    return Err(format!("after {done} it has {zxid}, but {expected} was committed next"));
                }
                None => {
                    self.committed.insert(zxid, payload.clone());
                }
            }
            done = zxid;
        }
        Ok(done)
    }
}
