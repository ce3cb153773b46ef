//! Broadcast: proposals go out in one order, and are committed in it when a quorum holds them durably. (ZAB paper, phase 3.)

use bytes::Bytes;

use crate::types::{LogEntry, ServerId, Zxid};

use super::super::core::Core;
use super::super::message::Body;
use super::super::output::{Output, StandDown};
use super::learner_link::{LearnerLink, Phase};
use super::{Leader, Stage};

impl Leader {
    pub(super) fn handle_ack(&mut self, core: &mut Core, from: ServerId, zxid: Zxid) {
        let Some(learner) = self.learners.get_mut(&from) else { return };
        if !matches!(&learner.phase, Phase::Streaming(sent) if zxid <= *sent) {
            self.expel(core, from, format!("it acknowledges {zxid}, which was not sent"));
            return;
        }
        learner.land(core.now, zxid);
        if !self.is_established() {
            self.progress = core.now;
        }
        self.recount = true;
    }

    pub(super) fn handle_forward(&mut self, core: &mut Core, from: ServerId, payloads: Vec<Bytes>) {
        if self.learners.get(&from).is_none_or(|learner| !learner.up_to_date) {
            self.expel(core, from, "it forwards requests before it is level".to_owned());
            return;
        }
        core.outputs.extend(payloads.into_iter().map(|payload| Output::Forwarded { from, payload }));
    }

    pub(super) fn handle_pong(&mut self, core: &mut Core, from: ServerId, round: u64, sent: u64) {
        let Some(learner) = self.learners.get_mut(&from) else { return };
        learner.link.claim(core.now, sent);
        if round > self.round {
            self.expel(core, from, "it answers a heartbeat that was not sent".to_owned());
            return;
        }
        learner.round = learner.round.max(round);
        self.settle_confirmations(core);
    }

    /// Counts which entries of this epoch a quorum holds durably: they are committed, and all before them.
    pub(super) fn count_commits(&mut self, core: &mut Core) {
        if !self.recount || !self.is_established() {
            return;
        }
        self.recount = false;
        let own = core.config.server;
        let reached = core.config.quorum.reached(|server| {
            if server == own {
                return Some(core.history.durable());
            }
            self.learners.get(&server).filter(|learner| learner.is_level()).map(|learner| learner.acked)
        });
        if let Some(zxid) = reached.and_then(|zxid| core.history.floor(zxid)) {
            core.history.set_committed(zxid);
        }
    }

    /// Sends to each learner what it lacks and may have now, and what is to be told behind it. A learner that
    /// catches up goes over to new proposals at the moment it has all older ones (ZOOKEEPER-962): they are one stream.
    pub(super) fn stream(&mut self, core: &mut Core) {
        let established = self.is_established();
        let Some(epoch) = self.epoch() else { return };
        let (flight, chunk) = (core.config.flight(), core.config.chunk);
        // Nobody needs it but a server that lost its disk, and this runs with every message.
        let needed = |learner: &LearnerLink| learner.unproved_since.is_some() && learner.new_leader.is_none();
        let followed = if self.learners.values().any(needed) { self.followed(core) } else { None };
        let mut broken = Vec::new();
        for (server, learner) in &mut self.learners {
            let Phase::Streaming(mut sent) = learner.phase else { continue };
            let limit = learner.limit(core);
            while sent < limit && sent >= core.history.base() && learner.has_room(flight) {
                let Some((entries, bytes)) = core.history.entries(sent, limit, chunk) else {
                    broken.push(*server);
                    break;
                };
                let Some(last) = entries.last() else { break };
                sent = last.zxid;
                learner.send_entries(core, *server, entries, bytes);
            }
            let proved = learner.unproved_since.is_none_or(|round| followed > Some(round));
            if learner.new_leader.is_none() && sent >= limit && proved {
                learner.new_leader = Some(sent);
                learner.send(core, *server, Body::NewLeader { epoch, tip: sent });
            }
            let committed = core.history.committed();
            if established && learner.acked_new_leader && !learner.up_to_date {
                learner.up_to_date = true;
                learner.told = committed;
                learner.send(core, *server, Body::UpToDate { committed });
            } else if committed > learner.told {
                learner.told = committed;
                learner.send(core, *server, Body::Commit { zxid: committed });
            }
            if !learner.answers.is_empty() {
                for payloads in core.in_pieces(std::mem::take(&mut learner.answers)) {
                    learner.send(core, *server, Body::Answer { payloads });
                }
            }
        }
        for server in broken {
            self.drop_learner(core, server, "what the learner holds is no part of the history");
        }
    }

    /// Stands down for a new epoch when the counter is spent and all of it committed (ZOOKEEPER-1277).
    pub(super) fn check_counter(&self, core: &mut Core) -> Result<(), StandDown> {
        let Stage::Established { epoch } = self.stage else { return Ok(()) };
        let tip = core.history.tip();
        let spent = tip.epoch() == epoch && tip.counter() >= core.config.last_counter;
        if !spent {
            return Ok(());
        }
        core.deliver();
        if core.history.delivered() == tip { Err(StandDown::CounterSpent) } else { Ok(()) }
    }

    /// Drops the learners that are silent, stand still, or have lost messages on the way.
    pub(super) fn drop_laggards(&mut self, core: &mut Core) {
        let (now, sync, init) = (core.now, core.config.sync_timeout, core.config.init_timeout);
        let late = |learner: &LearnerLink| {
            if learner.heard + sync <= now {
                Some("the learner is silent")
            } else if learner.link.deadline(sync / 2).is_some_and(|deadline| deadline <= now) {
                Some("a message of the learner is missing")
            } else if learner.up_to_date {
                let stuck = learner.oldest().is_some_and(|sent| sent + sync <= now);
                stuck.then_some("the learner does not acknowledge")
            } else {
                let waits = matches!(learner.phase, Phase::Joined | Phase::Waiting { .. })
                    || learner.acked_new_leader;
                (!waits && learner.progress + init <= now).then_some("the learner does not come level")
            }
        };
        let late: Vec<_> =
            self.learners.iter().filter_map(|(server, learner)| Some((*server, late(learner)?))).collect();
        for (server, why) in late {
            self.drop_learner(core, server, why);
        }
    }

    /// Stands down when there is no quorum to lead.
    pub(super) fn check_quorum(&self, core: &Core) -> Result<(), StandDown> {
        if !self.is_established() {
            let over = self.progress + core.config.init_timeout <= core.now;
            return if over { Err(StandDown::NoQuorum) } else { Ok(()) };
        }
        let own = core.config.server;
        let heard = core
            .config
            .quorum
            .reached(|server| if server == own { Some(core.now) } else { self.live.get(&server).copied() });
        match heard {
            Some(heard) if heard + core.config.sync_timeout > core.now => Ok(()),
            _ => Err(StandDown::QuorumLost),
        }
    }

    /// Sends a heartbeat to all learners.
    pub(super) fn beat(&mut self, core: &mut Core) {
        self.round += 1;
        if let Some(asked) = self.asked.take_if(|_| matches!(self.stage, Stage::Established { .. })) {
            self.rounds.push_back((self.round, asked));
        }
        for (server, learner) in &self.learners {
            let ping = Body::Ping { round: self.round, sent: learner.link.sent() };
            core.send(*server, learner.link.plain(ping));
        }
        self.settle_confirmations(core);
    }

    /// Sends one at once when a confirmation waits for it, unless two rounds are under way already: then one of them
    /// brings the next.
    pub(super) fn beat_for_confirmation(&mut self, core: &mut Core) {
        if self.asked.is_some() && self.is_established() && self.rounds.len() < 2 {
            self.beat(core);
        }
    }

    /// The last heartbeat that a quorum has answered which consists of servers that have lost nothing.
    ///
    /// A server that lost its disk may have promised a newer epoch, or be part of the quorum of one, and does not know. It must
    /// not help an older leader to a second quorum. Any quorum of the newer epoch has a server in common with this one, which then
    /// has not left this leader. (What a recovering replica asks in Viewstamped Replication.)
    fn followed(&self, core: &Core) -> Option<u64> {
        core.config.quorum.reached(|server| {
            if server == core.config.server {
                return Some(self.round);
            }
            let here =
                |learner: &&LearnerLink| learner.counts && (learner.promised || learner.acked_new_leader);
            self.learners.get(&server).filter(here).map(|learner| learner.round)
        })
    }

    fn settle_confirmations(&mut self, core: &mut Core) {
        let own = core.config.server;
        let Some((first, _)) = self.rounds.front() else { return };
        let answered = core.config.quorum.reached(|server| {
            if server == own {
                return Some(self.round);
            }
            self.learners.get(&server).filter(|learner| learner.is_level()).map(|learner| learner.round)
        });
        let Some(answered) = answered.filter(|answered| answered >= first) else { return };
        let mut confirmed = None;
        while let Some((_, confirmation)) = self.rounds.pop_front_if(|(round, _)| *round <= answered) {
            confirmed = Some(confirmation);
        }
        core.outputs.extend(confirmed.map(Output::Confirmed));
    }
}

impl LearnerLink {
    /// The last entry that the learner may have.
    pub(super) fn limit(&self, core: &Core) -> Zxid {
        if self.observer { core.history.committed() } else { core.history.tip() }
    }

    pub(super) fn send_entries(
        &mut self,
        core: &mut Core,
        to: ServerId,
        entries: Vec<LogEntry>,
        bytes: usize,
    ) {
        let Some(last) = entries.last().map(|entry| entry.zxid) else { return };
        self.launch(core.now, last, bytes);
        self.phase = Phase::Streaming(last);
        let committed = core.history.committed();
        let body = if self.observer {
            self.told = self.told.max(last);
            Body::Inform { entries }
        } else {
            self.told = self.told.max(committed);
            Body::Propose { entries, committed }
        };
        self.send(core, to, body);
    }
}
