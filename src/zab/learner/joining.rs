//! How a learner joins its leader and promises to follow no older one. (ZAB paper, phase 1.)

use crate::types::{Epoch, LogOp};

use super::super::core::Core;
use super::super::link::Link;
use super::super::message::{Body, Join, Promise, VERSION};
use super::super::output::StandDown;
use super::{Learner, Phase};

impl Learner {
    /// Opens a new link.
    pub(super) fn join(&mut self, core: &mut Core) {
        let mut link = Link::new(core.next_link());
        let join = Join {
            version: VERSION,
            ensemble: core.config.ensemble,
            observer: self.observer,
            suspect: core.suspect,
            wants_snapshot: self.wants_snapshot,
            accepted: core.accepted,
        };
        let message = link.number(Body::Join(join));
        core.send(self.leader, message);
        self.link = Some(link);
        self.wait(core);
    }

    /// Sets when the next link is opened: later each time, and at a random moment, so that learners do not come
    /// all together.
    pub(super) fn wait(&mut self, core: &mut Core) {
        let longest = core.config.sync_timeout / 2;
        let doubled = core.config.heartbeat.checked_mul(1 << self.attempts.min(16)).unwrap_or(longest);
        let wait = (doubled / 2).min(longest);
        let jitter = core.rng.below(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX) / 2 + 1);
        self.attempts = self.attempts.saturating_add(1);
        self.retry_at = core.now + wait + std::time::Duration::from_micros(jitter.max(1));
    }

    pub(super) fn handle_leader_info(
        &mut self,
        core: &mut Core,
        epoch: Epoch,
        bid: u64,
    ) -> Result<(), StandDown> {
        if self.phase != Phase::Joining {
            core.misbehaved(self.leader, "it names its epoch twice");
            self.reset(core, "the leader misbehaved");
            return Ok(());
        }
        let bidder = Some((self.leader, bid));
        let promise = if epoch > core.accepted {
            core.accepted = epoch;
            core.promised = bidder;
            core.persist(LogOp::AcceptedEpoch(epoch));
            Promise::Given
        } else if epoch < core.accepted {
            if core.current > epoch || core.history.tip().epoch() > epoch {
                // There was a newer leader, with a quorum: this one does not know yet that it was replaced.
                return Err(StandDown::LeaderGone);
            }
            Promise::Newer
        } else if core.promised == bidder {
            Promise::Given
        } else {
            Promise::Standing
        };
        self.had_leader = true;
        self.epoch = epoch;
        self.announced = core.history.committed();
        // Not only the promise must be durable, but all that was asked for before: the history that is reported.
        self.phase = Phase::Promising { promise, step: core.last_step() };
        self.handle_persisted(core);
        Ok(())
    }
}
