//! Snapshots: its own, and those a leader sends.

use crate::types::{SnapshotChunk, Zxid};

use super::snapshot::SnapshotWriter;
use super::{Output, Peer, PeerEvent, RestoreError, State, StateRestore};

/// The snapshots in the making. At most one piece is with the storage at a time.
#[derive(Debug)]
pub(super) struct Saving {
    /// How many transactions were applied since the newest snapshot.
    applied: u64,
    /// A learner needs a snapshot at or after this position.
    wanted: Option<Zxid>,
    own: Option<SnapshotWriter>,
    /// A piece that the leader sent and that the storage has not got yet; ZAB hands them over one at a time.
    received: Option<SnapshotChunk>,
    restore: Option<StateRestore>,
    in_flight: Option<InFlight>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    zxid: Zxid,
    offset: u64,
    end: u64,
    last: bool,
    own: bool,
}

impl Saving {
    pub(super) fn new() -> Self {
        Self { applied: 0, wanted: None, own: None, received: None, restore: None, in_flight: None }
    }

    pub(super) fn count_applied(&mut self) {
        self.applied += 1;
    }
}

impl Peer {
    /// Hands the storage the next piece, if there is one and it has none.
    pub(super) fn save_snapshot(&mut self) {
        if self.saving.in_flight.is_some() || self.halted {
            return;
        }
        if let Some(chunk) = self.saving.received.take() {
            return match self.saving.restore.as_mut().map(|restore| restore.feed(&chunk)) {
                Some(Ok(())) => self.save_chunk(chunk, false),
                Some(Err(error)) => self.refuse_snapshot(&error),
                None => self.refuse_snapshot(&RestoreError::Short),
            };
        }
        if self.saving.restore.is_some() {
            return;
        }
        let due = self.saving.applied >= self.config.limits.snapshot_every
            || self.saving.wanted.is_some_and(|at_least| at_least <= self.state.applied);
        if due && self.saving.own.is_none() {
            self.saving.applied = 0;
            self.saving.wanted = None;
            self.saving.own = Some(SnapshotWriter::begin(&mut self.state));
        }
        let max = self.config.limits.snapshot_chunk;
        let state = &mut self.state;
        if let Some(chunk) = self.saving.own.as_mut().and_then(|own| own.next_chunk(state, max)) {
            self.save_chunk(chunk, true);
        }
    }

    /// A learner can only be brought level by a snapshot at or after this position.
    pub(super) fn want_snapshot(&mut self, at_least: Zxid) {
        if self.saving.own.as_ref().is_none_or(|own| own.zxid() < at_least) {
            self.saving.wanted = Some(at_least);
        }
    }

    /// A piece of the leader's state arrived. It is saved, and the state is made of it, piece by piece.
    pub(super) fn receive_snapshot(&mut self, chunk: SnapshotChunk) {
        if let Some(own) = self.saving.own.take() {
            own.abandon(&mut self.state);
        }
        if chunk.offset == 0 {
            self.saving.restore = Some(StateRestore::new(&self.config));
        }
        self.saving.received = Some(chunk);
    }

    /// A transfer that was going on has ended, with its link: what arrived of it must not keep this server from
    /// taking snapshots of its own.
    pub(super) fn forget_transfer(&mut self) {
        let saving = &mut self.saving;
        if saving.received.is_none() && saving.in_flight.is_none_or(|piece| piece.own) {
            saving.restore = None;
        }
    }

    pub(super) fn handle_snapshot_saved(&mut self, zxid: Zxid, offset: u64) {
        let in_flight = self.saving.in_flight.take_if(|piece| piece.zxid == zxid && piece.offset == offset);
        let Some(piece) = in_flight else { return };
        if piece.own {
            if piece.last && self.saving.own.take_if(|own| own.zxid() == zxid).is_some() {
                self.zab.handle_own_snapshot(zxid);
                self.event(PeerEvent::SnapshotSaved { zxid, bytes: piece.end });
            }
            return;
        }
        // Whatever part the server plays by now: ZAB counts on one answer to each piece.
        if piece.last {
            match self.saving.restore.take().map_or(Err(RestoreError::Short), StateRestore::finish) {
                Ok(state) => self.install(state),
                Err(error) => return self.refuse_snapshot(&error),
            }
        }
        self.zab.handle_chunk_saved(self.now.time, zxid, offset);
    }

    pub(super) fn handle_snapshot_not_saved(&mut self, zxid: Zxid, offset: u64) {
        let in_flight = self.saving.in_flight.take_if(|piece| piece.zxid == zxid && piece.offset == offset);
        let Some(piece) = in_flight else { return };
        self.event(PeerEvent::SnapshotNotSaved { zxid });
        if piece.own {
            if let Some(own) = self.saving.own.take_if(|own| own.zxid() == zxid) {
                own.abandon(&mut self.state);
            }
        } else {
            self.saving.restore = None;
            self.zab.handle_snapshot_refused(self.now.time);
        }
    }

    fn save_chunk(&mut self, chunk: SnapshotChunk, own: bool) {
        let SnapshotChunk { zxid, offset, last, .. } = chunk;
        let end = offset + chunk.bytes.len() as u64;
        self.saving.in_flight = Some(InFlight { zxid, offset, end, last, own });
        self.emit(Output::SaveSnapshot(chunk));
    }

    fn install(&mut self, state: State) {
        self.state = state;
        self.saving.applied = 0;
        self.digests.clear();
        self.recent.reset(self.state.applied);
    }

    fn refuse_snapshot(&mut self, error: &RestoreError) {
        self.saving.restore = None;
        if let Some(leader) = self.zab.leader() {
            self.event(PeerEvent::PeerMisbehaved { peer: leader, what: format!("a bad snapshot: {error}") });
        }
        self.zab.handle_snapshot_refused(self.now.time);
    }
}
