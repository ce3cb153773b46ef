use std::collections::VecDeque;

use bytes::Bytes;

use crate::types::{Epoch, LogOp, Recovered, SeededRng, ServerId, SnapshotChunk, Standing, Time, Zxid};

use super::config::ZabConfig;
use super::history::History;
use super::message::{LinkId, Message};
use super::output::{Confirmation, Note, Output, Ticket};

/// What a server has whatever role it plays.
#[cfg_attr(any(test, feature = "sim"), derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct Core {
    pub(super) config: ZabConfig,
    pub(super) history: History,
    pub(super) now: Time,
    pub(super) rng: SeededRng,
    pub(super) outputs: VecDeque<Output>,
    /// Whether something happened since the outputs were last worked out.
    pub(super) dirty: bool,
    /// The largest epoch that was promised; durable when all steps are.
    pub(super) accepted: Epoch,
    /// The epoch whose history is complete; durable when all steps are.
    pub(super) current: Epoch,
    /// To whose bid `accepted` was promised, if it was in this life: leader and bid.
    pub(super) promised: Option<(ServerId, u64)>,
    /// Whether what was acknowledged may be lost.
    pub(super) suspect: bool,
    /// The piece of a snapshot that is being saved. It outlives the role that received it.
    pub(super) saving: Option<Saving>,
    /// Reads of the log under way, oldest first: the role's generation, and the position.
    pub(super) reads: VecDeque<(u64, Zxid)>,
    /// Counts the roles that were played.
    pub(super) generation: u64,
    /// The last confirmation that was given a number.
    pub(super) confirmation: Confirmation,
    life: u64,
    links: u64,
    issued: Ticket,
    done: Ticket,
    /// Steps under way that change the log: its tip when they are durable.
    steps: VecDeque<(Ticket, Zxid)>,
}

/// A piece of a snapshot on its way to the disk.
#[cfg_attr(any(test, feature = "sim"), derive(Hash))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Saving {
    pub(super) link: LinkId,
    pub(super) zxid: Zxid,
    pub(super) offset: u64,
    pub(super) through: u64,
    pub(super) last: bool,
}

impl Core {
    pub(super) fn new(config: ZabConfig, recovered: Recovered, mut rng: SeededRng) -> Self {
        let life = rng.next_u64();
        let (accepted, current, tip) = (recovered.accepted_epoch, recovered.current_epoch, recovered.tip());
        let suspect = matches!(recovered.standing, Standing::Suspect(_));
        let history = History::new(recovered, config.window);
        Self {
            accepted,
            current,
            // What stands behind a gap was not taken over.
            suspect: suspect || history.tip() != tip || current > accepted,
            history,
            config,
            now: Time::ZERO,
            rng,
            outputs: VecDeque::new(),
            dirty: false,
            promised: None,
            saving: None,
            reads: VecDeque::new(),
            generation: 0,
            confirmation: Confirmation::default(),
            life,
            links: 0,
            issued: Ticket::default(),
            done: Ticket::default(),
            steps: VecDeque::new(),
        }
    }

    /// Takes note of the time, which does not run backwards.
    pub(super) fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.dirty = true;
    }

    /// Asks for a durable step.
    pub(super) fn persist(&mut self, op: LogOp) -> Ticket {
        self.issued = Ticket(self.issued.0 + 1);
        let tip = match &op {
            LogOp::Append(entries) => entries.last().map(|entry| entry.zxid),
            LogOp::TruncateAfter(to) => {
                for (_, tip) in &mut self.steps {
                    *tip = (*tip).min(*to);
                }
                Some(*to)
            }
            LogOp::ResetTo(zxid) => {
                // What earlier steps make durable is part of no history any more.
                self.steps.clear();
                Some(*zxid)
            }
            LogOp::AcceptedEpoch(_) | LogOp::CurrentEpoch(_) | LogOp::PurgeUpTo(_) => None,
        };
        if let Some(tip) = tip {
            self.steps.push_back((self.issued, tip));
        }
        self.outputs.push_back(Output::Persist { ticket: self.issued, op });
        self.issued
    }

    /// All steps up to `ticket` are durable.
    pub(super) fn complete(&mut self, ticket: Ticket) {
        self.done = self.done.max(ticket.min(self.issued));
        while let Some((_, tip)) = self.steps.pop_front_if(|(step, _)| *step <= self.done) {
            self.history.set_durable(tip);
        }
    }

    /// Asks for the entries that were appended to memory only to be made durable.
    pub(super) fn persist_appended(&mut self) {
        if self.history.has_unhanded() {
            let entries = self.history.hand_out();
            self.persist(LogOp::Append(entries));
        }
    }

    /// Makes the snapshot at `zxid`, which is durable and restored, the history.
    pub(super) fn install_snapshot(&mut self, zxid: Zxid) {
        self.history.reset_to(zxid);
        self.persist(LogOp::ResetTo(zxid));
    }

    pub(super) fn save_chunk(&mut self, link: LinkId, chunk: SnapshotChunk) {
        self.saving = Some(Saving {
            link,
            zxid: chunk.zxid,
            offset: chunk.offset,
            through: chunk.offset.saturating_add(chunk.bytes.len() as u64),
            last: chunk.last,
        });
        self.outputs.push_back(Output::SaveChunk(chunk));
    }

    pub(super) fn send(&mut self, to: ServerId, message: Message) {
        let lane = message.lane();
        self.outputs.push_back(Output::Send { to, lane, message });
    }

    pub(super) fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }

    pub(super) fn misbehaved(&mut self, peer: ServerId, what: impl Into<String>) {
        self.note(Note::Misbehaved { peer, what: what.into() });
    }

    /// Delivers all that can be, because what is put out next says that it was.
    pub(super) fn deliver(&mut self) {
        while let Some(entry) = self.history.deliver() {
            self.outputs.push_back(Output::Deliver { zxid: entry.zxid, payload: entry.payload });
        }
    }

    /// Delivers what can be up to there; whether all of that is delivered.
    pub(super) fn deliver_up_to(&mut self, last: Zxid) -> bool {
        while self.history.delivered() < last
            && let Some(entry) = self.history.deliver()
        {
            self.outputs.push_back(Output::Deliver { zxid: entry.zxid, payload: entry.payload });
        }
        self.history.delivered() >= last
    }

    /// The messages that carry these payloads, none much larger than the limit.
    pub(super) fn in_pieces(&self, payloads: Vec<Bytes>) -> Vec<Vec<Bytes>> {
        let mut pieces: Vec<Vec<Bytes>> = Vec::new();
        let mut room = 0;
        for payload in payloads {
            let size = payload.len() + 32;
            match pieces.last_mut() {
                Some(piece) if size <= room => {
                    room -= size;
                    piece.push(payload);
                }
                _ => {
                    room = self.config.chunk.saturating_sub(size);
                    pieces.push(vec![payload]);
                }
            }
        }
        pieces
    }

    /// A name for a new link.
    pub(super) const fn next_link(&mut self) -> LinkId {
        self.links += 1;
        LinkId { life: self.life, number: self.links }
    }

    /// The last step that was asked for.
    pub(super) const fn last_step(&self) -> Ticket {
        self.issued
    }

    pub(super) fn is_durable(&self, ticket: Ticket) -> bool {
        ticket <= self.done
    }

    /// Whether nothing under way can still change the durable state.
    pub(super) fn is_settled(&self) -> bool {
        self.done == self.issued && self.saving.is_none() && !self.history.has_unhanded()
    }
}
