//! Discovery: a quorum joins, the leader chooses a larger epoch than any of it has promised, and a quorum promises
//! to follow no older one. (ZAB paper, phase 1.)

use crate::types::{Epoch, LogOp, ServerId};

use super::super::core::Core;
use super::super::link::{Admission, Link};
use super::super::message::{AckEpoch, Body, Join, LinkId, Message, Promise, Refused, VERSION};
use super::super::output::StandDown;
use super::learner_link::{LearnerLink, Phase};
use super::{Leader, Stage};

/// How much larger than the leader's a learner's promised epoch may be. Each election raises it by little; who claims more
/// wants to spend the epochs.
const LARGEST_JUMP: u32 = 1 << 24;

impl Leader {
    pub(super) fn handle_join(
        &mut self,
        core: &mut Core,
        from: ServerId,
        id: LinkId,
        sequence: u64,
        join: &Join,
    ) -> Result<(), StandDown> {
        if let Some(old) = self.learners.get(&from) {
            // One that was under way for long, or twice: the learner has opened a newer link since.
            let old = old.link.id();
            if old.life == id.life && id.number <= old.number {
                return Ok(());
            }
        }
        let mut link = Link::new(id);
        if link.admit(core.now, sequence) != Admission::Take {
            core.misbehaved(from, "its Join is not the first message of a link");
            return Ok(());
        }
        let votes = core.config.quorum.is_voter(from) && !join.observer;
        if let Some(refused) = refuse(core, from, join) {
            self.learners.remove(&from);
            core.misbehaved(from, format!("refused to link: {refused:?}"));
            core.send(from, Message { link: id, sequence: 0, body: Body::Refused(refused) });
            return Ok(());
        }
        let learner = LearnerLink::new(link, core.now, join, votes, self.round);
        self.learners.insert(from, learner);
        match self.stage {
            Stage::Discovering => self.discover(core)?,
            Stage::Promising { .. } => {}
            Stage::Gathering { epoch }
            | Stage::Synchronising { epoch, .. }
            | Stage::Established { epoch } => {
                self.inform(core, from, epoch);
            }
        }
        Ok(())
    }

    /// Chooses the epoch when a quorum has joined, and makes the own promise durable before anyone is told of it
    /// (ZOOKEEPER-1264).
    pub(super) fn discover(&mut self, core: &mut Core) -> Result<(), StandDown> {
        if self.stage != Stage::Discovering || !core.is_settled() {
            return Ok(());
        }
        if !core.config.quorum.is_reached(|server| self.holds(core, true, server, |learner| learner.counts)) {
            return Ok(());
        }
        let promised =
            self.learners.values().filter(|learner| learner.counts).map(|learner| learner.accepted);
        let largest = promised.max().unwrap_or(Epoch::ZERO).max(core.accepted);
        let epoch = largest.next().ok_or(StandDown::EpochsSpent)?;
        core.accepted = epoch;
        core.promised = None;
        let step = core.persist(LogOp::AcceptedEpoch(epoch));
        self.stage = Stage::Promising { epoch, step };
        self.progress = core.now;
        Ok(())
    }

    /// Tells all that have joined of the epoch, which this server has promised durably.
    pub(super) fn announce(&mut self, core: &mut Core, epoch: Epoch) {
        self.stage = Stage::Gathering { epoch };
        let servers: Vec<_> = self.learners.keys().copied().collect();
        for server in servers {
            self.inform(core, server, epoch);
        }
        self.gather(core, epoch);
    }

    pub(super) fn handle_ack_epoch(
        &mut self,
        core: &mut Core,
        from: ServerId,
        ack: &AckEpoch,
    ) -> Result<(), StandDown> {
        let Some(learner) = self.learners.get_mut(&from) else { return Ok(()) };
        let expected = matches!(learner.phase, Phase::Informed) && self.stage.epoch() == Some(ack.epoch);
        if !expected || ack.current > ack.epoch || ack.tip.epoch() > ack.epoch {
            self.expel(core, from, "its AckEpoch is not of this epoch".to_owned());
            return Ok(());
        }
        match ack.promise {
            Promise::Given => learner.promised = learner.counts,
            Promise::Standing => {}
            Promise::Newer => (learner.counts, learner.suspect) = (false, false),
        }
        learner.phase = Phase::Waiting { tip: ack.tip, asked: false };
        learner.progress = core.now;
        let counts = learner.counts;
        if let Stage::Gathering { epoch } = self.stage {
            // The quorum that is gathering may know of committed entries that this server does not.
            if counts && (ack.current, ack.tip) > (core.current, core.history.tip()) {
                return Err(StandDown::LessRecent(from));
            }
            self.gather(core, epoch);
        }
        Ok(())
    }

    /// With the promises of a quorum the history of this server holds all that was ever committed: makes it the first
    /// of its epoch.
    fn gather(&mut self, core: &mut Core, epoch: Epoch) {
        if core.config.quorum.is_reached(|server| self.holds(core, true, server, |learner| learner.promised))
        {
            core.current = epoch;
            let step = core.persist(LogOp::CurrentEpoch(epoch));
            self.stage = Stage::Synchronising { epoch, step };
            self.progress = core.now;
        }
    }

    fn inform(&mut self, core: &mut Core, server: ServerId, epoch: Epoch) {
        if let Some(learner) = self.learners.get_mut(&server) {
            learner.phase = Phase::Informed;
            learner.send(core, server, Body::LeaderInfo { epoch, bid: self.bid });
        }
    }
}

impl Stage {
    const fn epoch(self) -> Option<Epoch> {
        match self {
            Self::Gathering { epoch } | Self::Synchronising { epoch, .. } | Self::Established { epoch } => {
                Some(epoch)
            }
            Self::Discovering | Self::Promising { .. } => None,
        }
    }
}

fn refuse(core: &Core, from: ServerId, join: &Join) -> Option<Refused> {
    let votes = core.config.quorum.is_voter(from);
    if join.version != VERSION {
        return Some(Refused::Version);
    }
    if join.ensemble != core.config.ensemble {
        return Some(Refused::Ensemble);
    }
    if from == core.config.server || !core.config.is_member(from) || (!votes && !join.observer) {
        return Some(Refused::NotAMember);
    }
    let bound = core.accepted.number().saturating_add(LARGEST_JUMP);
    if votes && join.accepted.number() > bound {
        return Some(Refused::Epoch);
    }
    None
}
