//! Synchronisation: each learner's history becomes a prefix of the leader's, then it is told of the new epoch; a
//! quorum of those that have both durably establishes the leader. (ZAB paper, phase 2.)

use crate::types::{Epoch, LogEntry, ServerId, SnapshotChunk, Zxid};

use super::super::core::Core;
use super::super::history::weight;
use super::super::message::{Body, SyncMode};
use super::super::output::{Note, Output};
use super::super::sync::{Decision, decide};
use super::learner_link::{Phase, Transfer};
use super::{Leader, Stage};

impl Leader {
    /// Begins with the learners that wait for it, and asks for more of the snapshots that are under way.
    pub(super) fn synchronise(&mut self, core: &mut Core) {
        let (followers, observers) = match self.stage {
            Stage::Synchronising { .. } => (true, false),
            Stage::Established { .. } => (true, true),
            _ => return,
        };
        for (server, learner) in &mut self.learners {
            if let Phase::Waiting { tip, asked } = learner.phase
                && if learner.observer { observers } else { followers }
            {
                let decision = decide(&core.history, tip, learner.wants_snapshot);
                let (name, mode, from) = match decision {
                    Decision::Diff(after) => ("DIFF", SyncMode::Diff(after), after),
                    Decision::Truncate(to) => ("TRUNC", SyncMode::Truncate(to), to),
                    Decision::Snapshot(zxid) => ("SNAP", SyncMode::Snapshot(zxid), zxid),
                    Decision::Wait(at_least) => {
                        if !asked && core.history.delivered() >= at_least {
                            learner.phase = Phase::Waiting { tip, asked: true };
                            core.outputs.push_back(Output::SnapshotWanted { at_least });
                        }
                        continue;
                    }
                };
                core.note(Note::LearnerSync { learner: *server, mode: name, from });
                learner.send(core, *server, Body::Sync(mode));
                learner.phase = match mode {
                    SyncMode::Snapshot(zxid) => Phase::Snapshot(Transfer::new(zxid)),
                    SyncMode::Diff(from) | SyncMode::Truncate(from) => {
                        learner.acked = from;
                        Phase::Streaming(from)
                    }
                };
            }
            if let Phase::Snapshot(transfer) = &mut learner.phase
                && !transfer.reading
                && !transfer.finished
                && transfer.pieces.len() < Transfer::FLIGHT
            {
                transfer.reading = true;
                core.outputs.push_back(Output::ReadSnapshot {
                    learner: *server,
                    zxid: transfer.zxid,
                    offset: transfer.read,
                    limit: core.config.chunk,
                });
            }
        }
    }

    pub(in super::super) fn handle_snapshot_read(
        &mut self,
        core: &mut Core,
        server: ServerId,
        chunk: Option<SnapshotChunk>,
    ) {
        let Some(learner) = self.learners.get_mut(&server) else { return };
        let Phase::Snapshot(transfer) = &mut learner.phase else { return };
        if !transfer.reading {
            return;
        }
        let Some(chunk) = chunk else {
            self.drop_learner(core, server, "the snapshot that was being sent is gone");
            return;
        };
        if (chunk.zxid, chunk.offset) != (transfer.zxid, transfer.read) {
            return;
        }
        if chunk.bytes.is_empty() && !chunk.last {
            self.drop_learner(core, server, "the snapshot that was being sent is cut short");
            return;
        }
        transfer.reading = false;
        transfer.finished = chunk.last;
        transfer.read = transfer.read.saturating_add(chunk.bytes.len() as u64);
        transfer.pieces.push_back(transfer.read);
        learner.send(core, server, Body::Chunk(chunk));
    }

    pub(super) fn handle_chunk_saved(&mut self, core: &mut Core, from: ServerId, zxid: Zxid, through: u64) {
        let Some(learner) = self.learners.get_mut(&from) else { return };
        if let Phase::Snapshot(transfer) = &mut learner.phase
            && transfer.zxid == zxid
            && transfer.pieces.front() == Some(&through)
        {
            transfer.pieces.pop_front();
            learner.progress = core.now;
            self.progress = core.now;
            if transfer.finished && transfer.pieces.is_empty() {
                learner.phase = Phase::Streaming(zxid);
                learner.land(core.now, zxid);
            }
        } else {
            self.expel(core, from, "it acknowledges a piece of a snapshot that was not sent".to_owned());
        }
    }

    pub(super) fn handle_ack_new_leader(&mut self, core: &mut Core, from: ServerId, epoch: Epoch) {
        let established = self.is_established();
        let own = self.epoch();
        let Some(learner) = self.learners.get_mut(&from) else { return };
        let Some(tip) = learner.new_leader.filter(|_| own == Some(epoch)) else {
            self.expel(core, from, "it acknowledges an epoch that it was not told of".to_owned());
            return;
        };
        learner.acked_new_leader = true;
        learner.land(core.now, tip);
        // What it lost, if anything, it has again; before the leader is established it does not help to decide that.
        if learner.suspect && established {
            (learner.counts, learner.suspect) = (true, false);
        }
        if learner.is_level() {
            self.live.insert(from, core.now);
        }
        self.progress = core.now;
        self.recount = true;
    }

    /// With a quorum that holds this server's history and the epoch durably, all of the history is committed.
    pub(super) fn establish(&mut self, core: &mut Core) {
        let Stage::Synchronising { epoch, step } = self.stage else { return };
        let reached = |core: &Core| {
            core.config.quorum.is_reached(|server| self.holds(core, true, server, |l| l.is_level()))
        };
        if !core.is_durable(step) || !reached(core) {
            return;
        }
        let tip = core.history.tip();
        core.history.set_committed(tip);
        core.deliver();
        self.stage = Stage::Established { epoch };
        for (server, learner) in &mut self.learners {
            if learner.acked_new_leader && learner.suspect {
                (learner.counts, learner.suspect) = (true, false);
            }
            if learner.is_level() {
                self.live.insert(*server, core.now);
            }
        }
        core.outputs.push_back(Output::Established { epoch });
    }

    /// Entries that were read from the log, for all learners that are there.
    pub(in super::super) fn handle_log_read(&mut self, core: &mut Core, after: Zxid, entries: &[LogEntry]) {
        let mut previous = after;
        let sound = entries.iter().take_while(|entry| {
            let next = entry.zxid.follows(previous) && entry.zxid <= core.history.tip();
            previous = entry.zxid;
            next
        });
        let sound = sound.count();
        let servers: Vec<_> = self.learners.keys().copied().collect();
        for server in servers {
            let Some(learner) = self.learners.get_mut(&server) else { continue };
            if !matches!(&learner.phase, Phase::Streaming(sent) if *sent == after) {
                continue;
            }
            let limit = learner.limit(core);
            let entries: Vec<_> =
                entries.iter().take(sound).filter(|entry| entry.zxid <= limit).cloned().collect();
            if !entries.is_empty() {
                let bytes = entries.iter().map(weight).sum();
                learner.send_entries(core, server, entries, bytes);
            } else if after >= core.history.base() {
                // What is needed is in memory by now, or not committed yet.
            } else if learner.new_leader.is_some() {
                self.drop_learner(core, server, "the log does not reach back to where the learner is");
            } else {
                // The log was cut meanwhile: only a snapshot helps. It restarts the synchronisation of the same link.
                learner.phase = Phase::Waiting { tip: after, asked: false };
                learner.wants_snapshot = true;
            }
        }
    }

    /// Asks for entries that are in the log only, for one learner at a time, in turn.
    pub(super) fn read_log(&mut self, core: &mut Core) {
        if !core.reads.is_empty() {
            return;
        }
        let flight = core.config.flight();
        let needs = self.learners.iter().filter_map(|(server, learner)| match learner.phase {
            Phase::Streaming(sent)
                if sent < core.history.base() && sent < learner.limit(core) && learner.has_room(flight) =>
            {
                Some((*server, sent))
            }
            _ => None,
        });
        let next = needs.clone().find(|(server, _)| Some(*server) > self.last_read_for);
        let Some((server, after)) = next.or_else(|| needs.clone().next()) else { return };
        self.last_read_for = Some(server);
        core.reads.push_back((core.generation, after));
        core.outputs.push_back(Output::ReadLog { after, limit: core.config.chunk });
    }
}
