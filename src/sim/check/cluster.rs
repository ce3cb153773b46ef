use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::peer::{Message, Role, Status};
use crate::types::{Epoch, LogOp, Recovered, ServerId, WriteBatch, Zxid};

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
    /// It sends this to another server.
    Says {
        /// To whom.
        to: ServerId,
        /// What.
        message: &'a Message,
    },
    /// It showed somebody the state at this position.
    Shown(Zxid),
    /// Its process has ended.
    Down,
    /// Its disk was damaged, or replaced.
    Damaged,
}

/// The kinds of things that are seen, to ask only those who care.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Recovered,
    Writing,
    Written,
    SnapshotSaved,
    Status,
    Says,
    Shown,
    Down,
    Damaged,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Recovered,
        Self::Writing,
        Self::Written,
        Self::SnapshotSaved,
        Self::Status,
        Self::Says,
        Self::Shown,
        Self::Down,
        Self::Damaged,
    ];
}

impl Seen<'_> {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Recovered(_) => Kind::Recovered,
            Self::Writing(_) => Kind::Writing,
            Self::Written => Kind::Written,
            Self::SnapshotSaved(_) => Kind::SnapshotSaved,
            Self::Status(_) => Kind::Status,
            Self::Says { .. } => Kind::Says,
            Self::Shown(_) => Kind::Shown,
            Self::Down => Kind::Down,
            Self::Damaged => Kind::Damaged,
        }
    }
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
    pub(crate) ghost: Ghost,
    /// The epochs that a leader was established in.
    pub(crate) led: BTreeSet<Epoch>,
}

impl Cluster {
    /// Takes over what was seen.
    pub(crate) fn update(&mut self, server: ServerId, seen: &Seen<'_>) {
        let view = self.servers.entry(server).or_default();
        match seen {
            Seen::Recovered(recovered) => {
                let pending = view.pending.take();
                if pending.is_none() && view.durable.matches(recovered) {
                    view.durable.keep_what_lasted(recovered);
                    view.asked.keep_what_lasted(recovered);
                } else {
                    let reached = view.durable.reached_within(&pending.unwrap_or_default(), recovered);
                    view.durable = match reached {
                        Some(mut reached) => {
                            reached.keep_what_lasted(recovered);
                            reached
                        }
                        None => History::recovered(recovered, &view.asked),
                    };
                    view.asked = view.durable.clone();
                }
                view.compared = Zxid::ZERO;
            }
            Seen::Writing(batch) => {
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
            Seen::Status(status) => {
                if status.role == Role::Leading && status.serving {
                    self.led.insert(status.epoch);
                }
                view.status = Some((*status).clone());
            }
            Seen::Says { .. } | Seen::Shown(_) => {}
            Seen::Down => view.status = None,
            Seen::Damaged => view.damaged = true,
        }
    }

    /// How many voters hold what is at `zxid` durably, those counted in whose disks were damaged meanwhile.
    pub(crate) fn holders(&self, zxid: Zxid) -> usize {
        let voters = self.servers.values().filter(|view| view.voting);
        voters.filter(|view| view.damaged || view.durable.covers(zxid)).count()
    }

    /// How many servers vote.
    pub(crate) fn voters(&self) -> usize {
        self.servers.values().filter(|view| view.voting).count()
    }
}

/// The one sequence of transactions that any server ever knew to be committed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ghost {
    /// In order.
    committed: Vec<(Zxid, Bytes)>,
}

impl Ghost {
    /// The last committed position.
    pub(crate) fn last(&self) -> Zxid {
        self.committed.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid)
    }

    /// How many transactions there are.
    pub(crate) fn len(&self) -> usize {
        self.committed.len()
    }

    /// The transactions behind the first `count`.
    pub(crate) fn behind_first(&self, count: usize) -> &[(Zxid, Bytes)] {
        self.committed.get(count..).unwrap_or_default()
    }

    /// The last transaction up to `upto`.
    pub(crate) fn last_up_to(&self, upto: Zxid) -> Option<&(Zxid, Bytes)> {
        let behind = self.committed.partition_point(|(zxid, _)| *zxid <= upto);
        self.committed.get(behind.checked_sub(1)?)
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
        let known = self.committed.partition_point(|(zxid, _)| *zxid <= done);
        for (index, (zxid, payload)) in (known..).zip(history.between(done, upto)) {
            match self.committed.get(index) {
                Some((expected, known)) if (*expected, known) == (zxid, payload) => {}
                Some((expected, _)) if *expected == zxid => {
                    return Err(format!("it has another transaction at {zxid} than was committed there"));
                }
                Some((expected, _)) => {
                    return Err(format!("after {done} it has {zxid}, but {expected} was committed next"));
                }
                None => self.committed.push((zxid, payload.clone())),
            }
            done = zxid;
        }
        Ok(done)
    }
}
