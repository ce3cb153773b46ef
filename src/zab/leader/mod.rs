//! The role of the leader, from its bid for an epoch to the end of its reign.

mod broadcast;
mod discovery;
mod learner_link;
mod synchronise;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::types::{Epoch, ServerId, Time, Zxid};

use super::core::Core;
use super::link::Admission;
use super::message::{Body, LinkId, Message};
use super::output::{Confirmation, LearnerProgress, Note, ProposeError, StandDown, Ticket};

use self::learner_link::{LearnerLink, Phase};

/// A leader, or one that bids for it.
#[cfg_attr(any(test, feature = "sim"), derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct Leader {
    stage: Stage,
    /// A random number of this bid.
    bid: u64,
    learners: BTreeMap<ServerId, LearnerLink>,
    /// When a level voter was last heard from. Outlives its link.
    live: BTreeMap<ServerId, Time>,
    /// When the bid last came nearer to its goal: it entered a stage, or a learner that comes level got further.
    progress: Time,
    next_tick: Time,
    /// The last heartbeat.
    round: u64,
    /// A confirmation that was asked for since the last heartbeat.
    asked: Option<Confirmation>,
    /// Heartbeats that confirmations wait for.
    rounds: VecDeque<(u64, Confirmation)>,
    /// The learner that entries were last read from the log for.
    last_read_for: Option<ServerId>,
    /// Whether an acknowledgement came in since commits were counted.
    recount: bool,
}

/// How far the leader is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Stage {
    /// It waits for a quorum to join.
    Discovering,
    /// It chose the epoch and makes its own promise durable.
    Promising { epoch: Epoch, step: Ticket },
    /// It waits for a quorum to promise the epoch.
    Gathering { epoch: Epoch },
    /// It brings learners level and waits for a quorum of them; it is one itself when `step` is durable.
    Synchronising { epoch: Epoch, step: Ticket },
    /// It proposes.
    Established { epoch: Epoch },
}

impl Leader {
    pub(super) fn new(core: &mut Core) -> Self {
        Self {
            stage: Stage::Discovering,
            bid: core.rng.next_u64(),
            learners: BTreeMap::new(),
            live: BTreeMap::new(),
            progress: core.now,
            next_tick: core.now + core.config.heartbeat,
            round: 0,
            asked: None,
            rounds: VecDeque::new(),
            last_read_for: None,
            recount: false,
        }
    }

    pub(super) fn handle_message(
        &mut self,
        core: &mut Core,
        from: ServerId,
        message: Message,
    ) -> Result<(), StandDown> {
        let Message { link: id, sequence, body } = message;
        if let Body::Join(join) = &body {
            return self.handle_join(core, from, id, sequence, join);
        }
        let Some(learner) = self.learners.get_mut(&from).filter(|learner| learner.link.id() == id) else {
            self.answer_stranger(core, from, id, sequence, &body);
            return Ok(());
        };
        if sequence > 0 {
            match learner.link.admit(core.now, sequence) {
                Admission::Take => {}
                Admission::Repeated => return Ok(()),
                Admission::Gap => {
                    self.drop_learner(core, from, "a message of the learner is missing");
                    return Ok(());
                }
            }
        }
        learner.heard = core.now;
        if learner.is_level() {
            self.live.insert(from, core.now);
        }
        match (body, sequence > 0) {
            (Body::AckEpoch(ack), true) => self.handle_ack_epoch(core, from, &ack),
            (Body::ChunkSaved { zxid, through }, true) => {
                self.handle_chunk_saved(core, from, zxid, through);
                Ok(())
            }
            (Body::Ack { zxid }, true) => {
                self.handle_ack(core, from, zxid);
                Ok(())
            }
            (Body::AckNewLeader { epoch }, true) => {
                self.handle_ack_new_leader(core, from, epoch);
                Ok(())
            }
            (Body::Forward { payloads }, true) => {
                self.handle_forward(core, from, payloads);
                Ok(())
            }
            (Body::Pong { round, sent }, false) => {
                self.handle_pong(core, from, round, sent);
                Ok(())
            }
            (Body::Reset, false) => {
                self.learners.remove(&from);
                Ok(())
            }
            (body, _) => {
                self.expel(core, from, format!("a leader does not expect {}", kind(&body)));
                Ok(())
            }
        }
    }

    pub(super) fn handle_gone(&mut self, core: &mut Core, server: ServerId) {
        self.drop_learner(core, server, "the learner's process has gone");
    }

    /// Looks after what became durable.
    pub(super) fn handle_persisted(&mut self, core: &mut Core) {
        self.recount = true;
        if let Stage::Promising { epoch, step } = self.stage
            && core.is_durable(step)
        {
            self.announce(core, epoch);
        }
    }

    pub(super) fn handle_timeout(&mut self, core: &mut Core) -> Result<(), StandDown> {
        if core.now < self.next_tick {
            return Ok(());
        }
        self.next_tick = core.now + core.config.heartbeat;
        self.drop_laggards(core);
        self.check_quorum(core)?;
        self.beat(core);
        Ok(())
    }

    pub(super) const fn poll_timeout(&self) -> Time {
        self.next_tick
    }

    /// Works out all that is to be sent and done now.
    pub(super) fn flush(&mut self, core: &mut Core) -> Result<(), StandDown> {
        self.discover(core)?;
        core.persist_appended();
        self.establish(core);
        self.count_commits(core);
        self.synchronise(core);
        self.stream(core);
        self.read_log(core);
        self.beat_for_confirmation(core);
        self.check_counter(core)
    }

    /// Tells the learners that this is the end.
    pub(super) fn end(&mut self, core: &mut Core) {
        for (server, learner) in &self.learners {
            core.send(*server, learner.link.plain(Body::NotLeading));
        }
    }

    pub(super) fn next_zxid(&self, core: &Core) -> Result<Zxid, ProposeError> {
        let Stage::Established { epoch } = self.stage else { return Err(ProposeError::NotLeading) };
        let tip = core.history.tip();
        let counter = if tip.epoch() == epoch { tip.counter() } else { 0 };
        if counter >= core.config.last_counter {
            return Err(ProposeError::CounterSpent);
        }
        Ok(Zxid::new(epoch, counter + 1))
    }

    pub(super) fn answer(&mut self, to: ServerId, payload: Bytes) {
        if let Some(learner) = self.learners.get_mut(&to).filter(|learner| learner.up_to_date) {
            learner.answers.push(payload);
        }
    }

    pub(super) const fn confirm(&mut self, confirmation: Confirmation) {
        self.asked = Some(confirmation);
    }

    /// The first position that a learner still needs the log, or a snapshot, for.
    pub(super) fn oldest_need(&self) -> Option<Zxid> {
        let needs = self.learners.values().filter_map(|learner| match &learner.phase {
            Phase::Snapshot(transfer) => Some(transfer.zxid),
            Phase::Streaming(sent) => Some(*sent),
            Phase::Joined | Phase::Informed | Phase::Waiting { .. } => None,
        });
        needs.min()
    }

    pub(super) const fn epoch(&self) -> Option<Epoch> {
        match self.stage {
            Stage::Discovering => None,
            Stage::Promising { epoch, .. }
            | Stage::Gathering { epoch }
            | Stage::Synchronising { epoch, .. }
            | Stage::Established { epoch } => Some(epoch),
        }
    }

    pub(super) const fn is_established(&self) -> bool {
        matches!(self.stage, Stage::Established { .. })
    }

    pub(super) fn learners(&self) -> impl Iterator<Item = LearnerProgress> + '_ {
        self.learners.iter().map(|(server, learner)| LearnerProgress {
            server: *server,
            voting: learner.counts,
            synced: learner.up_to_date,
            acknowledged: learner.acked,
            last_heard: learner.heard,
        })
    }

    /// Answers a message of a link that there is not, so that its other end learns of it.
    fn answer_stranger(&self, core: &mut Core, from: ServerId, id: LinkId, sequence: u64, body: &Body) {
        let of_learner = sequence > 0 || matches!(body, Body::Pong { .. } | Body::Ping { .. });
        if of_learner {
            core.send(from, Message { link: id, sequence: 0, body: Body::Reset });
        }
    }

    /// Drops a learner, and tells it.
    fn drop_learner(&mut self, core: &mut Core, server: ServerId, why: &'static str) {
        if let Some(learner) = self.learners.remove(&server) {
            core.send(server, learner.link.plain(Body::Reset));
            core.note(Note::LinkReset { peer: server, why });
        }
    }

    /// Drops a learner that does what no correct one does. The leader goes on (ZOOKEEPER-4685).
    pub(super) fn expel(&mut self, core: &mut Core, server: ServerId, what: String) {
        core.misbehaved(server, what);
        self.drop_learner(core, server, "the learner misbehaved");
    }

    /// Whether `server` is this one and its own word counts already, or a learner of whom `is` holds.
    fn holds(&self, core: &Core, own: bool, server: ServerId, is: impl Fn(&LearnerLink) -> bool) -> bool {
        if server == core.config.server { own } else { self.learners.get(&server).is_some_and(is) }
    }
}

#[cfg(any(test, feature = "sim"))]
impl Leader {
    /// Every instant that it knows of.
    pub(super) fn each_time(&mut self, mut change: impl FnMut(&mut Time)) {
        change(&mut self.progress);
        change(&mut self.next_tick);
        self.live.values_mut().for_each(&mut change);
        self.learners.values_mut().for_each(|learner| learner.each_time(&mut change));
    }
}

/// What a message is, in a word.
pub(super) const fn kind(body: &Body) -> &'static str {
    match body {
        Body::Join(_) => "Join",
        Body::LeaderInfo { .. } => "LeaderInfo",
        Body::AckEpoch(_) => "AckEpoch",
        Body::Sync(_) => "Sync",
        Body::Chunk(_) => "Chunk",
        Body::ChunkSaved { .. } => "ChunkSaved",
        Body::Propose { .. } => "Propose",
        Body::Inform { .. } => "Inform",
        Body::Ack { .. } => "Ack",
        Body::Commit { .. } => "Commit",
        Body::NewLeader { .. } => "NewLeader",
        Body::AckNewLeader { .. } => "AckNewLeader",
        Body::UpToDate { .. } => "UpToDate",
        Body::Forward { .. } => "Forward",
        Body::Answer { .. } => "Answer",
        Body::Ping { .. } => "Ping",
        Body::Pong { .. } => "Pong",
        Body::Reset => "Reset",
        Body::NotLeading => "NotLeading",
        Body::Refused(_) => "Refused",
    }
}
