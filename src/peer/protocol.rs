//! Election and ZAB: roles, messages, the log.

use crate::codec;
use crate::election::{self, ElectionConfig, Vote};
use crate::quorum::Quorum;
use crate::types::{Epoch, Now, ServerId, Zxid};
use crate::zab::{self, ZabConfig};

use super::forward::Forward;
use super::leading::Leading;
use super::{LearnerLag, Message, Output, Peer, PeerConfig, PeerEvent, Role};

/// The seed of the digest by which two servers find out that their ensembles differ.
const ENSEMBLE_SEED: u64 = 0x656e_7365_6d62_6c65;

impl Peer {
    pub(super) fn handle_message(&mut self, from: ServerId, message: Message) {
        if from == self.config.server || self.config.ensemble.member(from).is_none() {
            let what = format!("a message from {from}, who is no other member of the ensemble");
            return self.event(PeerEvent::PeerMisbehaved { peer: from, what });
        }
        match message {
            Message::Election(notification) => {
                self.election.handle_notification(self.now.time, from, notification);
            }
            Message::Zab(message) => self.zab.handle_message(self.now.time, from, message),
        }
    }

    /// Lets the parts work until none has anything more to say, then hands the log what it is to write.
    pub(super) fn work(&mut self) {
        loop {
            self.apply_held();
            self.ask_for_index();
            let mut idle = true;
            while let Some(output) = self.election.poll_output() {
                idle = false;
                self.heed_election(output);
            }
            while let Some(output) = self.zab.poll_output() {
                idle = false;
                self.heed_zab(output);
            }
            self.begin_election();
            if idle || self.halted {
                break;
            }
        }
        self.save_snapshot();
        if let Some((id, batch)) = self.gate.next_batch() {
            self.emit(Output::Persist { id, batch });
        }
    }

    /// Begins the election that is wanted, once the tip of the log is durable and so can be told.
    pub(super) fn begin_election(&mut self) {
        if !self.wants_election || !self.zab.is_settled() {
            return;
        }
        self.wants_election = false;
        let voting = self.config.ensemble.member(self.config.server).is_some_and(|member| member.voting);
        let vote = |(epoch, zxid)| Vote { epoch, zxid, sid: self.config.server };
        let candidate = self.zab.candidate().filter(|_| voting).map(vote);
        self.election.start(self.now.time, candidate);
    }

    fn heed_election(&mut self, output: election::Output) {
        match output {
            election::Output::Send { to, notification } => {
                let message = Message::Election(notification);
                self.emit(Output::Send { to, lane: message.lane(), message });
            }
            election::Output::Started { round } => self.event(PeerEvent::ElectionStarted { round }),
            election::Output::VoteChanged { vote, because_of } => {
                let Vote { epoch, zxid, sid } = vote;
                self.event(PeerEvent::VoteChanged { candidate: sid, epoch, zxid, because_of });
            }
            election::Output::Decided { leader, round } => {
                self.event(PeerEvent::Elected { leader, round });
                let now = self.now.time;
                self.forget_transfer();
                let voting =
                    self.config.ensemble.member(self.config.server).is_some_and(|member| member.voting);
                if leader == self.config.server {
                    self.zab.lead(now);
                    self.play(Role::Leading, Some(leader), "elected");
                } else if voting {
                    self.zab.follow(now, leader);
                    self.play(Role::Following, Some(leader), "another was elected");
                } else {
                    self.zab.observe(now, leader);
                    self.play(Role::Observing, Some(leader), "a leader was found");
                }
            }
        }
    }

    fn heed_zab(&mut self, output: zab::Output) {
        match output {
            zab::Output::Persist { ticket, op } => self.gate.push(ticket, op),
            zab::Output::Send { to, lane, message } => {
                self.emit(Output::Send { to, lane, message: Message::Zab(message) });
            }
            zab::Output::Deliver { zxid, payload } => self.deliver(zxid, payload),
            zab::Output::ReadLog { after, limit } => self.emit(Output::ReadLog { after, limit }),
            zab::Output::ReadSnapshot { learner, zxid, offset, limit } => {
                self.emit(Output::ReadSnapshot { learner, zxid, offset, limit });
            }
            zab::Output::SnapshotWanted { at_least } => self.want_snapshot(at_least),
            zab::Output::SaveChunk(chunk) => self.receive_snapshot(chunk),
            zab::Output::Forwarded { from, payload } => match codec::decode_shared::<Forward>(payload) {
                Ok(forward) => self.heed_forward(from, forward),
                Err(error) => {
                    // What came before and after it on the link is in order, and waits for this one's answer.
                    let what = format!("a request that cannot be decoded: {error}");
                    self.zab.reject(self.now.time, from, what);
                }
            },
            zab::Output::Answered { payload } => match codec::decode(&payload) {
                Ok(back) => {
                    self.backs.push_back(back);
                    self.heed_backs();
                }
                Err(error) => {
                    if let Some(leader) = self.zab.leader() {
                        let what = format!("an answer that cannot be decoded: {error}");
                        self.zab.reject(self.now.time, leader, what);
                    }
                }
            },
            zab::Output::Established { epoch } => {
                self.forget_transfer();
                self.settle(self.config.server, epoch);
                let guard = self.config.timing.tick;
                self.leading = Some(Leading::begin(&self.state, self.now.time, guard));
                self.serve(epoch);
            }
            zab::Output::Synced { epoch } => {
                self.forget_transfer();
                if let Some(leader) = self.zab.leader() {
                    self.settle(leader, epoch);
                }
                self.serve(epoch);
            }
            zab::Output::LinkLost => self.stop_serving(),
            zab::Output::Confirmed(confirmation) => self.heed_confirmed(confirmation),
            zab::Output::StoodDown { reason } => {
                self.stop_serving();
                self.wants_election = true;
                self.play(Role::Looking, None, &reason.to_string());
            }
            zab::Output::Note(note) => self.heed_note(note),
        }
    }

    fn heed_note(&mut self, note: zab::Note) {
        match note {
            zab::Note::LearnerSync { learner, mode, from } => {
                self.event(PeerEvent::LearnerSync { learner, mode, from });
            }
            zab::Note::RolledBack { from, to } => self.event(PeerEvent::RolledBack { to, from }),
            zab::Note::LinkReset { peer, why } => self.event(PeerEvent::LinkReset { peer, why }),
            zab::Note::Misbehaved { peer, what } => self.misbehaved(peer, what),
        }
    }

    /// From now on every member of this epoch tells the same vote. (SCN-29)
    fn settle(&mut self, leader: ServerId, epoch: Epoch) {
        self.election.settle(Vote { epoch, zxid: Zxid::new(epoch, 0), sid: leader });
    }

    fn play(&mut self, role: Role, leader: Option<ServerId>, reason: &str) {
        self.role = role;
        self.event(PeerEvent::RoleChanged { role, leader, reason: reason.to_owned() });
    }

    fn misbehaved(&mut self, peer: ServerId, what: String) {
        self.event(PeerEvent::PeerMisbehaved { peer, what });
    }

    pub(super) fn learner_lags(&self, now: Now) -> Vec<LearnerLag> {
        self.zab
            .learners()
            .map(|learner| LearnerLag {
                server: learner.server,
                voting: learner.voting,
                synced: learner.synced,
                acknowledged: learner.acknowledged,
                silent_for: now.time.since(learner.last_heard),
            })
            .collect()
    }
}

pub(super) fn election_config(config: &PeerConfig) -> ElectionConfig {
    ElectionConfig {
        server: config.server,
        quorum: quorum(config),
        peers: others(config).collect(),
        finalize_wait: config.timing.finalize_wait,
        notification_min: config.timing.notification_min,
        notification_max: config.timing.notification_max,
    }
}

pub(super) fn zab_config(config: &PeerConfig) -> ZabConfig {
    let timing = &config.timing;
    let observers =
        config.ensemble.members().filter(|(_, member)| !member.voting).map(|(server, _)| server).collect();
    ZabConfig {
        server: config.server,
        quorum: quorum(config),
        observers,
        ensemble: ensemble_digest(config),
        heartbeat: timing.tick / 2,
        init_timeout: timing.tick.saturating_mul(timing.init_limit),
        sync_timeout: timing.tick.saturating_mul(timing.sync_limit),
        window: config.limits.log_window,
        chunk: config.limits.snapshot_chunk,
        last_counter: config.limits.last_counter,
    }
}

fn quorum(config: &PeerConfig) -> Quorum {
    let voters = config.ensemble.members().filter(|(_, member)| member.voting);
    Quorum::hierarchical(voters.map(|(server, member)| (server, member.weight, member.group)))
}

fn others(config: &PeerConfig) -> impl Iterator<Item = ServerId> + '_ {
    config.ensemble.members().map(|(server, _)| server).filter(|server| *server != config.server)
}

/// Equal for servers that were told the same of their ensemble.
fn ensemble_digest(config: &PeerConfig) -> u64 {
    let mut words = vec![config.cluster.number()];
    for (server, member) in config.ensemble.members() {
        words.extend([
            server.number(),
            u64::from(member.voting),
            u64::from(member.weight),
            u64::from(member.group),
        ]);
    }
    let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_be_bytes).collect();
    twox_hash::XxHash3_64::oneshot_with_seed(ENSEMBLE_SEED, &bytes)
}
