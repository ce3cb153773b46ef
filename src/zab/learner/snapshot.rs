//! How a learner takes a snapshot over from its leader: piece by piece, and as a whole only at the end.

use crate::types::SnapshotChunk;

use super::super::core::{Core, Saving};
use super::super::message::Body;
use super::{Fault, Learner, Phase};

/// How many pieces may wait. A leader has fewer under way.
const WAITING: usize = 8;

impl Learner {
    pub(super) fn handle_chunk(&mut self, core: &mut Core, chunk: SnapshotChunk) -> Result<(), Fault> {
        let Phase::Receiving { zxid, next } = &mut self.phase else {
            return Err(Fault("it sends a piece of a snapshot out of turn".to_owned()));
        };
        if (chunk.zxid, chunk.offset) != (*zxid, *next) || self.pieces.len() >= WAITING {
            return Err(Fault(format!("byte {} of its snapshot is not the next", chunk.offset)));
        }
        *next = next.saturating_add(chunk.bytes.len() as u64);
        self.pieces.push_back(chunk);
        self.save_piece(core);
        Ok(())
    }

    /// Saves the next piece when the one before is saved.
    pub(super) fn save_piece(&mut self, core: &mut Core) {
        if core.saving.is_none()
            && let Some(link) = &self.link
            && let Some(chunk) = self.pieces.pop_front()
        {
            core.save_chunk(link.id(), chunk);
        }
    }

    /// A piece is stored; the snapshot is installed if that was its last.
    pub(in super::super) fn handle_saved(&mut self, core: &mut Core, saved: &Saving) {
        let Some(link) = self.link.as_mut().filter(|link| link.id() == saved.link) else {
            // It was of an earlier link. The history may have waited for it to be reported.
            self.handle_persisted(core);
            return;
        };
        if saved.last {
            self.phase = Phase::Level;
            self.acked = saved.zxid;
            self.announced = self.announced.max(saved.zxid);
        }
        let message = link.number(Body::ChunkSaved { zxid: saved.zxid, through: saved.through });
        core.send(self.leader, message);
        self.save_piece(core);
    }
}
