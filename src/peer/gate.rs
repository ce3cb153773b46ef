use std::collections::VecDeque;

use crate::types::{LogOp, PersistId, WriteBatch};
use crate::zab::Ticket;

/// Turns durable steps into batches, one in flight at a time: what queues while a batch is being written is the
/// next one (group commit).
#[derive(Debug)]
pub(super) struct Gate {
    queue: VecDeque<(Ticket, LogOp)>,
    in_flight: Option<(PersistId, Ticket)>,
    next: PersistId,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { queue: VecDeque::new(), in_flight: None, next: PersistId::FIRST }
    }

    /// Queues a step.
    pub(super) fn push(&mut self, ticket: Ticket, op: LogOp) {
        self.queue.push_back((ticket, op));
    }

    /// The next batch, unless one is in flight or there is nothing to write.
    pub(super) fn next_batch(&mut self) -> Option<(PersistId, WriteBatch)> {
        if self.in_flight.is_some() {
            return None;
        }
        let (last, _) = self.queue.back()?;
        let id = self.next;
        self.in_flight = Some((id, *last));
        self.next = id.next();
        let mut ops: Vec<LogOp> = Vec::with_capacity(self.queue.len());
        for (_, op) in self.queue.drain(..) {
            match (ops.last_mut(), op) {
                (Some(LogOp::Append(entries)), LogOp::Append(more)) => entries.extend(more),
                (_, op) => ops.push(op),
            }
        }
        Some((id, WriteBatch { ops }))
    }

    /// The last step that is durable now that batch `id` is; none if that batch is not the one in flight.
    pub(super) fn persisted(&mut self, id: PersistId) -> Option<Ticket> {
        let (_, ticket) = self.in_flight.take_if(|(in_flight, _)| *in_flight == id)?;
        Some(ticket)
    }
}
