//! Layer 3: ZAB, the broadcast that keeps the histories of all servers one.
//!
//! [`Zab`] is the machine of one server. It is told which role to play, and then plays it: a leader discovers a
//! new epoch with a quorum, brings learners level and broadcasts; a follower joins, is brought level, logs and
//! acknowledges; an observer receives what is committed. Who should lead is decided elsewhere, and safety
//! does not depend on it.
//!
//! Payloads are opaque. After Junqueira, Reed, Serafini: *Zab: High-performance broadcast for primary-backup systems*
//! (2011), with the repairs that ZooKeeper's own history taught; they are named where they are made.

mod config;
mod core;
mod history;
mod leader;
mod learner;
mod link;
mod message;
mod output;
#[cfg(any(test, feature = "sim"))]
mod rebase;
mod sync;

use bytes::Bytes;

use crate::types::{Epoch, LogEntry, LogOp, Recovered, SeededRng, ServerId, SnapshotChunk, Time, Zxid};

use self::core::Core;
use self::leader::Leader;
use self::learner::{Learner, answer_stranger};

pub use config::ZabConfig;
pub use message::{AckEpoch, Body, Join, LinkId, Message, Promise, Refused, SyncMode};
pub use output::{
    Confirmation, ForwardError, LearnerProgress, Note, Output, ProposeError, Role, StandDown, Ticket,
};

/// ZAB on one server.
///
/// Inputs are told with `handle_*` and the calls of the role; after each, or after several of them, outputs are drawn
/// with [`poll_output`](Self::poll_output) until there are none. What was put in between two draws goes out together:
/// proposals become one write and one message to each learner.
///
/// What rests on a durable step is not put out before that step was reported by
/// [`handle_persisted`](Self::handle_persisted).
#[cfg_attr(any(test, feature = "sim"), derive(Clone, Hash))]
#[derive(Debug)]
pub struct Zab {
    core: Core,
    part: Part,
}

/// The role, with what belongs to it.
#[cfg_attr(any(test, feature = "sim"), derive(Clone, Hash))]
#[derive(Debug)]
enum Part {
    Idle,
    Leader(Box<Leader>),
    Learner(Box<Learner>),
}

impl Zab {
    /// A server without a role, with the history that was `recovered`. Entries behind the snapshot are pending
    /// until they are known to be committed.
    #[must_use]
    pub fn new(config: ZabConfig, recovered: Recovered, rng: SeededRng) -> Self {
        Self { core: Core::new(config, recovered, rng), part: Part::Idle }
    }

    /// Bids for an epoch of its own. Any other role ends.
    ///
    /// The bid waits until the server [is settled](Self::is_settled).
    pub fn lead(&mut self, now: Time) {
        self.begin(now);
        let own = self.core.config.server;
        if self.core.suspect || self.core.config.quorum.weight(own) == 0 {
            self.core.outputs.push_back(Output::StoodDown { reason: StandDown::Unfit });
            return;
        }
        self.part = Part::Leader(Box::new(Leader::new(&mut self.core)));
    }

    /// Follows `leader`. Any other role ends.
    pub fn follow(&mut self, now: Time, leader: ServerId) {
        self.learn(now, leader, false);
    }

    /// Observes `leader`. Any other role ends.
    pub fn observe(&mut self, now: Time, leader: ServerId) {
        self.learn(now, leader, true);
    }

    /// Ends the role. Durable steps that are under way still happen; an election waits until the server
    /// [is settled](Self::is_settled).
    pub fn stand_down(&mut self, now: Time) {
        self.begin(now);
    }

    /// A message of `from` arrived, as the transport vouches.
    pub fn handle_message(&mut self, now: Time, from: ServerId, message: Message) {
        self.core.advance(now);
        let result = match &mut self.part {
            Part::Leader(leader) => leader.handle_message(&mut self.core, from, message),
            Part::Learner(learner) => learner.handle_message(&mut self.core, from, message),
            Part::Idle => {
                answer_stranger(&mut self.core, from, &message);
                Ok(())
            }
        };
        self.end_on(result);
    }

    /// The process of `peer` is known to have gone. A learner of it stands down at once; a leader drops its link, and leads on
    /// while the sync timeout lasts, because it may be back before that.
    pub fn handle_peer_gone(&mut self, now: Time, peer: ServerId) {
        self.core.advance(now);
        let result = match &mut self.part {
            Part::Leader(leader) => {
                leader.handle_gone(&mut self.core, peer);
                Ok(())
            }
            Part::Learner(learner) if learner.leader() == peer => Err(StandDown::LeaderVanished),
            Part::Learner(_) | Part::Idle => Ok(()),
        };
        self.end_on(result);
    }

    /// All steps up to and including `ticket` are durable.
    pub fn handle_persisted(&mut self, now: Time, ticket: Ticket) {
        self.core.advance(now);
        self.core.complete(ticket);
        self.look_after_steps();
    }

    /// The answer to [`Output::ReadLog`]: entries after `after`; none when the log does not reach back so far any more.
    pub fn handle_log_read(&mut self, now: Time, after: Zxid, entries: Vec<LogEntry>) {
        self.core.advance(now);
        let Some((generation, asked)) = self.core.reads.pop_front() else { return };
        if let Part::Leader(leader) = &mut self.part
            && (generation, asked) == (self.core.generation, after)
        {
            leader.handle_log_read(&mut self.core, after, &entries);
        }
    }

    /// The answer to [`Output::ReadSnapshot`]; none when the snapshot is gone.
    pub fn handle_snapshot_read(&mut self, now: Time, learner: ServerId, chunk: Option<SnapshotChunk>) {
        self.core.advance(now);
        if let Part::Leader(leader) = &mut self.part {
            leader.handle_snapshot_read(&mut self.core, learner, chunk);
        }
    }

    /// The answer to [`Output::SaveChunk`]: the piece is stored. If it was the last: the whole snapshot is
    /// durable and its state has replaced the server's own, whatever role the server plays by now.
    pub fn handle_chunk_saved(&mut self, now: Time, zxid: Zxid, offset: u64) {
        self.core.advance(now);
        let Some(saved) = self.core.saving.take_if(|saving| (saving.zxid, saving.offset) == (zxid, offset))
        else {
            return;
        };
        if saved.last {
            self.core.install_snapshot(saved.zxid);
        }
        if let Part::Learner(learner) = &mut self.part {
            learner.handle_saved(&mut self.core, &saved);
        }
    }

    /// The other answer to [`Output::SaveChunk`]: what was received makes no sense; nothing of it was kept.
    pub fn handle_snapshot_refused(&mut self, now: Time) {
        self.core.advance(now);
        let saved = self.core.saving.take();
        if let (Part::Learner(learner), Some(_)) = (&mut self.part, saved) {
            learner.reset(&mut self.core, "the leader's snapshot could not be restored");
        }
    }

    /// A snapshot of this server's own at `zxid` is durable: it may serve learners. What is older than the snapshot
    /// before it is purged.
    pub fn handle_own_snapshot(&mut self, zxid: Zxid) {
        let history = &mut self.core.history;
        if zxid > history.delivered() || history.snapshot().is_some_and(|newest| newest >= zxid) {
            return;
        }
        self.core.dirty = true;
        let Some(mut purge) = history.set_snapshot(zxid) else { return };
        if let Part::Leader(leader) = &self.part {
            purge = leader.oldest_need().map_or(purge, |needed| needed.min(purge));
        }
        if purge > history.log_start() {
            history.purge(purge);
            self.core.persist(LogOp::PurgeUpTo(purge));
        }
    }

    /// What `peer` [forwarded](Output::Forwarded) or [answered](Output::Answered) is nothing that a correct one says. The
    /// link to it is reset, so that whoever waits for an answer learns that there will be none.
    pub fn reject(&mut self, now: Time, peer: ServerId, what: String) {
        self.core.advance(now);
        self.core.dirty = true;
        match &mut self.part {
            Part::Leader(leader) => leader.expel(&mut self.core, peer, what),
            Part::Learner(learner) if learner.leader() == peer => {
                self.core.misbehaved(peer, what);
                learner.reset(&mut self.core, "the leader misbehaved");
            }
            Part::Learner(_) | Part::Idle => {}
        }
    }

    /// Looks at all deadlines. Harmless when none is over.
    pub fn handle_timeout(&mut self, now: Time) {
        self.core.advance(now);
        let result = match &mut self.part {
            Part::Leader(leader) => leader.handle_timeout(&mut self.core),
            Part::Learner(learner) => learner.handle_timeout(&mut self.core),
            Part::Idle => Ok(()),
        };
        self.end_on(result);
    }

    /// The next deadline. Any other call may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        match &self.part {
            Part::Leader(leader) => Some(leader.poll_timeout()),
            Part::Learner(learner) => Some(learner.poll_timeout(&self.core)),
            Part::Idle => None,
        }
    }

    /// The next output; none when all that was put in is worked off.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.core.outputs.pop_front() {
                return Some(output);
            }
            if !std::mem::take(&mut self.core.dirty) {
                // Last, and one by one: no other output waits for them.
                let entry = self.core.history.deliver()?;
                return Some(Output::Deliver { zxid: entry.zxid, payload: entry.payload });
            }
            let result = match &mut self.part {
                Part::Leader(leader) => leader.flush(&mut self.core),
                Part::Learner(learner) => {
                    learner.flush(&mut self.core);
                    Ok(())
                }
                Part::Idle => Ok(()),
            };
            self.end_on(result);
        }
    }

    /// Leader: proposes `payload` and says which position it gets. Any number may be under way.
    ///
    /// # Errors
    ///
    /// When this server does not lead, or not any more.
    pub fn propose(&mut self, payload: Bytes) -> Result<Zxid, ProposeError> {
        let Part::Leader(leader) = &self.part else { return Err(ProposeError::NotLeading) };
        let zxid = leader.next_zxid(&self.core)?;
        self.core.history.append(LogEntry { zxid, payload });
        self.core.dirty = true;
        Ok(zxid)
    }

    /// Leader: answers a learner, behind the commits so far. Lost with the link, like all on it.
    pub fn answer(&mut self, to: ServerId, payload: Bytes) {
        if let Part::Leader(leader) = &mut self.part {
            leader.answer(to, payload);
            self.core.dirty = true;
        }
    }

    /// Leader: asks for a confirmation that no newer leader has a quorum; [`Output::Confirmed`] with this or a larger number
    /// gives it. A state in which all that is [committed](Self::committed) now is delivered may then be read as the latest. Void when the role ends, and
    /// of no effect in another.
    pub fn confirm(&mut self, now: Time) -> Confirmation {
        self.core.advance(now);
        self.core.confirmation.0 += 1;
        if let Part::Leader(leader) = &mut self.part {
            leader.confirm(self.core.confirmation);
        }
        self.core.confirmation
    }

    /// Learner: sends a request to the leader. Requests arrive in order, each at most once.
    ///
    /// # Errors
    ///
    /// When this server is not level with a leader.
    pub fn forward(&mut self, payload: Bytes) -> Result<(), ForwardError> {
        let Part::Learner(learner) = &mut self.part else { return Err(ForwardError::NotSynced) };
        self.core.dirty = true;
        if learner.forward(payload) { Ok(()) } else { Err(ForwardError::NotSynced) }
    }

    /// Leader: the position that the next proposal gets; none when there can be none.
    #[must_use]
    pub fn next_zxid(&self) -> Option<Zxid> {
        let Part::Leader(leader) = &self.part else { return None };
        leader.next_zxid(&self.core).ok()
    }

    /// Whether no durable step is under way: only then is the tip what it would be after a restart.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.core.is_settled()
    }

    /// What this server may say of itself in an election: the epoch its history is complete for, and its last entry. None
    /// while it [is not settled](Self::is_settled) or may have lost what it acknowledged.
    #[must_use]
    pub fn candidate(&self) -> Option<(Epoch, Zxid)> {
        (self.is_settled() && !self.core.suspect).then(|| (self.core.current, self.core.history.tip()))
    }

    /// The role.
    #[must_use]
    pub fn role(&self) -> Role {
        match &self.part {
            Part::Idle => Role::Idle,
            Part::Leader(_) => Role::Leader,
            Part::Learner(learner) if learner.is_observer() => Role::Observer,
            Part::Learner(_) => Role::Follower,
        }
    }

    /// The epoch that it leads or follows in, as soon as that is known.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        match &self.part {
            Part::Idle => None,
            Part::Leader(leader) => leader.epoch(),
            Part::Learner(learner) => learner.epoch(),
        }
    }

    /// The largest epoch that was promised.
    #[must_use]
    pub fn accepted_epoch(&self) -> Epoch {
        self.core.accepted
    }

    /// The epoch whose history the log is complete for.
    #[must_use]
    pub fn current_epoch(&self) -> Epoch {
        self.core.current
    }

    /// The last entry.
    #[must_use]
    pub fn tip(&self) -> Zxid {
        self.core.history.tip()
    }

    /// The last entry that is known to be durable here.
    #[must_use]
    pub fn durable_tip(&self) -> Zxid {
        self.core.history.durable()
    }

    /// The last entry that is known to be committed.
    #[must_use]
    pub fn committed(&self) -> Zxid {
        self.core.history.committed()
    }

    /// The last entry that was put out by [`Output::Deliver`], or the snapshot if there was none behind it.
    #[must_use]
    pub fn delivered(&self) -> Zxid {
        self.core.history.delivered()
    }

    /// The leader: this server if it leads or bids for it.
    #[must_use]
    pub fn leader(&self) -> Option<ServerId> {
        match &self.part {
            Part::Idle => None,
            Part::Leader(_) => Some(self.core.config.server),
            Part::Learner(learner) => Some(learner.leader()),
        }
    }

    /// Whether it is an established leader.
    #[must_use]
    pub fn is_established(&self) -> bool {
        matches!(&self.part, Part::Leader(leader) if leader.is_established())
    }

    /// Whether it is a learner that may serve.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        matches!(&self.part, Part::Learner(learner) if learner.is_synced())
    }

    /// Leader: its learners, in order.
    pub fn learners(&self) -> impl Iterator<Item = LearnerProgress> + '_ {
        let leader = match &self.part {
            Part::Leader(leader) => Some(leader),
            _ => None,
        };
        leader.into_iter().flat_map(|leader| leader.learners())
    }

    fn learn(&mut self, now: Time, leader: ServerId, observer: bool) {
        self.begin(now);
        self.part = Part::Learner(Box::new(Learner::new(&mut self.core, leader, observer)));
    }

    /// Ends the role, if there is one, before another begins.
    fn begin(&mut self, now: Time) {
        self.core.advance(now);
        match std::mem::replace(&mut self.part, Part::Idle) {
            Part::Idle => {}
            Part::Leader(mut leader) => leader.end(&mut self.core),
            Part::Learner(mut learner) => learner.end(&mut self.core),
        }
        // Proposals that nobody has seen are durable or not at all: memory holds nothing that the log does not.
        self.core.persist_appended();
        self.core.generation += 1;
    }

    /// Ends the role if it cannot go on.
    fn end_on(&mut self, result: Result<(), StandDown>) {
        if let Err(reason) = result {
            self.begin(self.core.now);
            self.core.deliver();
            self.core.outputs.push_back(Output::StoodDown { reason });
        }
    }

    fn look_after_steps(&mut self) {
        match &mut self.part {
            Part::Leader(leader) => leader.handle_persisted(&mut self.core),
            Part::Learner(learner) => learner.handle_persisted(&mut self.core),
            Part::Idle => {}
        }
    }
}

#[cfg(test)]
mod tests;
