use std::collections::VecDeque;

use bytes::Bytes;

use crate::types::{Epoch, ServerId, Time, Zxid};

use super::super::core::Core;
use super::super::link::Link;
use super::super::message::{Body, Join};

/// What a leader knows of one learner: the link to it, how far it is, what is under way to it.
#[cfg_attr(any(test, feature = "sim"), derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct LearnerLink {
    pub(super) link: Link,
    /// Receives committed entries only.
    pub(super) observer: bool,
    /// Whether its promise and its acknowledgements count. An observer's never do.
    pub(super) counts: bool,
    /// Counts once it is level with the established leader.
    pub(super) suspect: bool,
    /// It may have lost what it promised: a heartbeat later than this one must be answered by a quorum of others before it is
    /// told that it is level.
    pub(super) unproved_since: Option<u64>,
    pub(super) wants_snapshot: bool,
    /// The largest epoch that it promised when it joined.
    pub(super) accepted: Epoch,
    pub(super) phase: Phase,
    /// Whether it gave its promise to this bid.
    pub(super) promised: bool,
    /// When anything arrived from it.
    pub(super) heard: Time,
    /// When its synchronisation last got further.
    pub(super) progress: Time,
    /// The last entry that is durable there.
    pub(super) acked: Zxid,
    /// The last entry that stood before NEWLEADER, once that was sent.
    pub(super) new_leader: Option<Zxid>,
    pub(super) acked_new_leader: bool,
    /// Whether it was told that the epoch is established.
    pub(super) up_to_date: bool,
    /// The commit point that it was told.
    pub(super) told: Zxid,
    /// The last heartbeat that it answered.
    pub(super) round: u64,
    /// Batches under way: last entry, bytes, when sent.
    flight: VecDeque<(Zxid, usize, Time)>,
    flying: usize,
    /// Answers to its requests that were not sent yet.
    pub(super) answers: Vec<Bytes>,
}

/// How far a learner is.
#[cfg_attr(any(test, feature = "sim"), derive(Clone, Hash))]
#[derive(Debug)]
pub(super) enum Phase {
    /// It presented itself.
    Joined,
    /// It was told the epoch.
    Informed,
    /// It answered with its history; nothing was sent yet.
    Waiting {
        /// The last entry of its log.
        tip: Zxid,
        /// Whether the owner was asked for a snapshot.
        asked: bool,
    },
    /// It receives a snapshot.
    Snapshot(Transfer),
    /// It holds a prefix of our history; all up to here was sent to it.
    Streaming(Zxid),
}

/// A snapshot on its way to a learner.
#[cfg_attr(any(test, feature = "sim"), derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) zxid: Zxid,
    /// How far it was read.
    pub(super) read: u64,
    /// Where the pieces under way end.
    pub(super) pieces: VecDeque<u64>,
    /// Whether a read is under way.
    pub(super) reading: bool,
    /// Whether the last piece was read.
    pub(super) finished: bool,
}

impl Transfer {
    /// How many pieces may be under way.
    pub(super) const FLIGHT: usize = 4;

    pub(super) const fn new(zxid: Zxid) -> Self {
        Self { zxid, read: 0, pieces: VecDeque::new(), reading: false, finished: false }
    }
}

impl LearnerLink {
    pub(super) fn new(link: Link, now: Time, join: &Join, votes: bool, round: u64) -> Self {
        Self {
            link,
            observer: join.observer,
            counts: votes && !join.suspect,
            suspect: votes && join.suspect,
            unproved_since: (votes && join.suspect).then_some(round),
            wants_snapshot: join.wants_snapshot,
            accepted: join.accepted,
            phase: Phase::Joined,
            promised: false,
            heard: now,
            progress: now,
            acked: Zxid::ZERO,
            new_leader: None,
            acked_new_leader: false,
            up_to_date: false,
            told: Zxid::ZERO,
            round: 0,
            flight: VecDeque::new(),
            flying: 0,
            answers: Vec::new(),
        }
    }

    /// Whether it holds, durably, the history that the epoch began with, and its word counts.
    pub(super) const fn is_level(&self) -> bool {
        self.counts && self.acked_new_leader
    }

    /// Sends a numbered message.
    pub(super) fn send(&mut self, core: &mut Core, to: ServerId, body: Body) {
        let message = self.link.number(body);
        core.send(to, message);
    }

    /// Notes that a batch is under way.
    pub(super) fn launch(&mut self, now: Time, last: Zxid, bytes: usize) {
        self.flight.push_back((last, bytes, now));
        self.flying += bytes;
    }

    /// Notes that all up to `zxid` arrived and is durable there.
    pub(super) fn land(&mut self, now: Time, zxid: Zxid) {
        if zxid > self.acked {
            self.acked = zxid;
            self.progress = now;
        }
        while let Some((_, bytes, _)) = self.flight.pop_front_if(|(last, ..)| *last <= zxid) {
            self.flying -= bytes;
        }
    }

    /// Whether more may be sent before something is acknowledged.
    pub(super) const fn has_room(&self, limit: usize) -> bool {
        self.flying < limit
    }

    /// When the oldest batch that was not acknowledged was sent.
    pub(super) fn oldest(&self) -> Option<Time> {
        self.flight.front().map(|(_, _, sent)| *sent)
    }
}

#[cfg(any(test, feature = "sim"))]
impl LearnerLink {
    /// Every instant that it knows of.
    pub(super) fn each_time(&mut self, mut change: impl FnMut(&mut Time)) {
        change(&mut self.heard);
        change(&mut self.progress);
        self.flight.iter_mut().for_each(|(_, _, sent)| change(sent));
        self.link.each_time(change);
    }
}
