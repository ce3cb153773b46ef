//! The role of a learner: a follower or an observer of one leader.

mod entries;
mod joining;
mod snapshot;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::types::{Epoch, ServerId, SnapshotChunk, Time, Zxid};

use super::core::Core;
use super::leader::kind;
use super::link::{Admission, Link};
use super::message::{AckEpoch, Body, Message, Promise};
use super::output::{Note, Output, StandDown, Ticket};

/// A server that follows or observes a leader, or tries to.
#[cfg_attr(any(test, feature = "sim"), derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct Learner {
    leader: ServerId,
    observer: bool,
    /// The newest link; there is none while it waits to open the next.
    link: Option<Link>,
    phase: Phase,
    /// When the leader was last heard from.
    heard: Time,
    /// Since when it has tried to join.
    joining_since: Time,
    /// When it opens the next link, while it joins.
    retry_at: Time,
    attempts: u32,
    /// Whether the leader was ever found to lead.
    had_leader: bool,
    pub(super) wants_snapshot: bool,
    /// The leader's epoch.
    epoch: Epoch,
    /// The leader's commit point as far as it was told.
    announced: Zxid,
    /// The last entry that was acknowledged on this link.
    acked: Zxid,
    /// What must be delivered before this server serves.
    up_to_date: Option<Zxid>,
    synced: bool,
    /// Answers that wait for what was committed before them to be delivered.
    answers: VecDeque<(Zxid, Bytes)>,
    /// Requests that were not sent yet.
    forwards: Vec<Bytes>,
    /// Pieces of a snapshot that wait to be saved.
    pieces: VecDeque<SnapshotChunk>,
}

/// How far the learner is with its link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    /// It wants to join, and has no link or an unanswered one.
    Joining,
    /// It makes its promise durable.
    Promising { promise: Promise, step: Ticket },
    /// It waits to be told how its history becomes the leader's.
    Promised,
    /// It receives the snapshot at `zxid`; `next` is where the next piece begins.
    Receiving { zxid: Zxid, next: u64 },
    /// Its history is a prefix of the leader's and grows.
    Level,
    /// It makes the epoch durable, which begins behind `tip`.
    Entering { step: Ticket, tip: Zxid },
    /// It acknowledged the epoch.
    Entered,
}

impl Learner {
    pub(super) fn new(core: &mut Core, leader: ServerId, observer: bool) -> Self {
        let mut learner = Self {
            leader,
            observer,
            link: None,
            phase: Phase::Joining,
            heard: core.now,
            joining_since: core.now,
            retry_at: core.now,
            attempts: 0,
            had_leader: false,
            wants_snapshot: false,
            epoch: Epoch::ZERO,
            announced: Zxid::ZERO,
            acked: Zxid::ZERO,
            up_to_date: None,
            synced: false,
            answers: VecDeque::new(),
            forwards: Vec::new(),
            pieces: VecDeque::new(),
        };
        learner.join(core);
        learner
    }

    pub(super) fn handle_message(
        &mut self,
        core: &mut Core,
        from: ServerId,
        message: Message,
    ) -> Result<(), StandDown> {
        let Message { link: id, sequence, body } = message;
        let link = self.link.as_mut().filter(|link| from == self.leader && link.id() == id);
        let Some(link) = link else {
            answer_stranger(core, from, &Message { link: id, sequence, body });
            return Ok(());
        };
        if sequence > 0 {
            match link.admit(core.now, sequence) {
                Admission::Take => {}
                Admission::Repeated => return Ok(()),
                Admission::Gap => {
                    self.reset(core, "a message of the leader is missing");
                    return Ok(());
                }
            }
        }
        self.heard = core.now;
        let result = match (body, sequence > 0) {
            (Body::LeaderInfo { epoch, bid }, true) => return self.handle_leader_info(core, epoch, bid),
            (Body::Sync(mode), true) => self.handle_sync(core, mode),
            (Body::Chunk(chunk), true) => self.handle_chunk(core, chunk),
            (Body::Propose { entries, committed }, true) if !self.observer => {
                self.handle_entries(core, entries, Some(committed))
            }
            (Body::Inform { entries }, true) if self.observer => self.handle_entries(core, entries, None),
            (Body::Commit { zxid }, true) => self.handle_commit(core, zxid),
            (Body::NewLeader { epoch, tip }, true) => self.handle_new_leader(core, epoch, tip),
            (Body::UpToDate { committed }, true) => self.handle_up_to_date(core, committed),
            (Body::Answer { payloads }, true) => {
                self.answers.extend(payloads.into_iter().map(|payload| (self.announced, payload)));
                Ok(())
            }
            (Body::Ping { round, sent }, false) => {
                link.claim(core.now, sent);
                let pong = Body::Pong { round, sent: link.sent() };
                core.send(from, link.plain(pong));
                if self.phase == Phase::Joining {
                    // It knows of the link, and will speak when it has a quorum.
                    self.retry_at = core.now + core.config.sync_timeout;
                }
                Ok(())
            }
            (Body::Reset, false) => {
                self.reset(core, "the leader reset the link");
                Ok(())
            }
            (Body::NotLeading, false) if self.had_leader => return Err(StandDown::LeaderGone),
            (Body::NotLeading, false) => {
                self.link = None;
                Ok(())
            }
            (Body::Refused(refused), false) => return Err(StandDown::Refused(refused)),
            (body, _) => Err(Fault(format!("a learner does not expect {} now", kind(&body)))),
        };
        if let Err(Fault(what)) = result {
            core.misbehaved(from, what);
            self.reset(core, "the leader misbehaved");
        }
        Ok(())
    }

    /// Looks after what became durable.
    pub(super) fn handle_persisted(&mut self, core: &mut Core) {
        let Some(link) = &mut self.link else { return };
        match self.phase {
            Phase::Promising { promise, step } if core.is_durable(step) && core.saving.is_none() => {
                let ack =
                    AckEpoch { epoch: self.epoch, promise, current: core.current, tip: core.history.tip() };
                let message = link.number(Body::AckEpoch(ack));
                core.send(self.leader, message);
                self.phase = Phase::Promised;
            }
            Phase::Entering { step, tip } if core.is_durable(step) => {
                core.suspect = false;
                let message = link.number(Body::AckNewLeader { epoch: self.epoch });
                core.send(self.leader, message);
                self.phase = Phase::Entered;
                // That acknowledges the entries before it too. Those behind it, if they became durable together with
                // it, have acknowledgements of their own.
                self.acked = self.acked.max(tip);
            }
            _ => {}
        }
    }

    pub(super) fn handle_timeout(&mut self, core: &mut Core) -> Result<(), StandDown> {
        if self.phase == Phase::Joining {
            if self.joining_since + core.config.init_timeout <= core.now {
                return Err(StandDown::LeaderSilent);
            }
            if self.retry_at <= core.now || self.overdue(core).is_some_and(|deadline| deadline <= core.now) {
                self.join(core);
            }
        } else if self.heard + self.patience(core) <= core.now {
            return Err(StandDown::LeaderSilent);
        } else if self.overdue(core).is_some_and(|deadline| deadline <= core.now) {
            self.reset(core, "a message of the leader is missing");
        }
        Ok(())
    }

    pub(super) fn poll_timeout(&self, core: &Core) -> Time {
        let over = if self.phase == Phase::Joining {
            self.retry_at.min(self.joining_since + core.config.init_timeout)
        } else {
            self.heard + self.patience(core)
        };
        self.overdue(core).map_or(over, |deadline| deadline.min(over))
    }

    /// Works out all that is to be sent and done now.
    pub(super) fn flush(&mut self, core: &mut Core) {
        self.save_piece(core);
        let Some(link) = &mut self.link else { return };
        let streaming = matches!(self.phase, Phase::Level | Phase::Entering { .. } | Phase::Entered);
        if streaming && core.history.durable() > self.acked {
            self.acked = core.history.durable();
            let message = link.number(Body::Ack { zxid: self.acked });
            core.send(self.leader, message);
        }
        if self.up_to_date.take_if(|committed| core.deliver_up_to(*committed)).is_some() {
            self.synced = true;
            self.attempts = 0;
            core.outputs.push_back(Output::Synced { epoch: self.epoch });
        }
        // Each where the leader gave it: behind what was committed by then, and before what was committed later.
        while let Some((_, payload)) = self.answers.pop_front_if(|(barrier, _)| core.deliver_up_to(*barrier))
        {
            core.outputs.push_back(Output::Answered { payload });
        }
        if !self.forwards.is_empty() {
            for payloads in core.in_pieces(std::mem::take(&mut self.forwards)) {
                let message = link.number(Body::Forward { payloads });
                core.send(self.leader, message);
            }
        }
    }

    /// Tells the leader that this is the end.
    pub(super) fn end(&mut self, core: &mut Core) {
        if let Some(link) = self.link.take() {
            core.send(self.leader, link.plain(Body::Reset));
        }
    }

    /// Takes a request for the leader; false if this server is not level with one.
    pub(super) fn forward(&mut self, payload: Bytes) -> bool {
        if self.synced {
            self.forwards.push(payload);
        }
        self.synced
    }

    /// Begins anew with a whole snapshot.
    pub(super) const fn leader(&self) -> ServerId {
        self.leader
    }

    pub(super) const fn is_observer(&self) -> bool {
        self.observer
    }

    pub(super) const fn is_synced(&self) -> bool {
        self.synced
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        (self.phase != Phase::Joining).then_some(self.epoch)
    }

    /// Gives up the link and joins again a little later.
    pub(super) fn reset(&mut self, core: &mut Core, why: &'static str) {
        if let Some(link) = self.link.take() {
            core.send(self.leader, link.plain(Body::Reset));
        }
        core.note(Note::LinkReset { peer: self.leader, why });
        if self.synced {
            core.outputs.push_back(Output::LinkLost);
        }
        if self.phase != Phase::Joining {
            self.joining_since = core.now;
        }
        self.phase = Phase::Joining;
        self.synced = false;
        self.up_to_date = None;
        self.answers.clear();
        self.forwards.clear();
        self.pieces.clear();
        self.wait(core);
    }

    /// How long the leader may be silent.
    fn patience(&self, core: &Core) -> std::time::Duration {
        if self.synced { core.config.sync_timeout } else { core.config.init_timeout }
    }

    /// When the link is given up because something that was sent on it did not arrive.
    fn overdue(&self, core: &Core) -> Option<Time> {
        self.link.as_ref().and_then(|link| link.deadline(core.config.sync_timeout / 2))
    }
}

#[cfg(any(test, feature = "sim"))]
impl Learner {
    /// Every instant that it knows of.
    pub(super) fn each_time(&mut self, mut change: impl FnMut(&mut Time)) {
        [&mut self.heard, &mut self.joining_since, &mut self.retry_at].into_iter().for_each(&mut change);
        if let Some(link) = &mut self.link {
            link.each_time(change);
        }
    }
}

/// The leader did what no correct one does.
struct Fault(String);

/// Answers a message that is not of the current link, so that its sender learns that there is no such link here.
pub(super) fn answer_stranger(core: &mut Core, from: ServerId, message: &Message) {
    let body = match message.body {
        Body::Join(_) => Body::NotLeading,
        Body::Ping { .. } => Body::Reset,
        _ => return,
    };
    if core.config.is_member(from) {
        core.send(from, Message { link: message.link, sequence: 0, body });
    } else {
        core.misbehaved(from, format!("it is no member and sent {}", kind(&message.body)));
    }
}
