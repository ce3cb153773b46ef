//! Answers that would make a step too long, and the transactions that must not overtake them.
//!
//! Reads that were asked behind a write can all be answered once it is applied, and each may cost what its node's size is. So
//! they are answered in portions, each at another moment: between two of them the host hands over what else there is, and
//! heartbeats are sent and heard.

use std::collections::VecDeque;
use std::time::Duration;

use crate::types::{ClientId, Time, Transaction, Zxid};

use super::{Limits, Peer};

/// How long after a portion the next one is due: at another moment, and no later than it has to be.
const PAUSE: Duration = Duration::from_micros(1);

/// What is put off.
#[derive(Debug)]
pub(super) struct Backlog {
    /// How much work a moment has room for, in visited nodes. It is counted and not measured, so that the same inputs give
    /// the same outputs.
    portion: u64,
    /// The moment that `left` is for.
    moment: Time,
    /// How much of the portion is left.
    left: u64,
    /// Clients whose turn will come, in this order, and maybe some that have gone.
    behind: VecDeque<ClientId>,
    /// Committed transactions from the first one on that has to wait.
    held: VecDeque<Held>,
    /// How many bytes they have, encoded.
    held_len: usize,
}

/// A committed transaction that waits.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) zxid: Zxid,
    pub(super) transaction: Transaction,
    /// How many bytes it has, encoded.
    pub(super) len: usize,
}

impl Backlog {
    pub(super) fn new(now: Time, portion: u64) -> Self {
        Self {
            portion,
            moment: now,
            left: portion,
            behind: VecDeque::new(),
            held: VecDeque::new(),
            held_len: 0,
        }
    }

    /// When the next portion is due, if there is more to answer.
    pub(super) fn due(&self) -> Option<Time> {
        (!self.behind.is_empty()).then(|| self.moment + PAUSE)
    }

    /// All clients have gone.
    pub(super) fn forget_clients(&mut self) {
        self.behind.clear();
    }

    pub(super) fn hold(&mut self, held: Held) {
        self.held_len += held.len;
        self.held.push_back(held);
    }

    pub(super) fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether more waits than a leader would have taken on.
    pub(super) fn holds_too_much(&self, limits: &Limits) -> bool {
        self.held.len() > limits.outstanding || self.held_len > limits.outstanding_len
    }

    /// The client whose answers all the others wait for.
    pub(super) fn holder(&self) -> Option<ClientId> {
        self.held.front()?.transaction.origin.map(|origin| origin.client)
    }

    /// The first transaction, if it may be applied now.
    pub(super) fn release_if(&mut self, may: impl FnOnce(&Held) -> bool) -> Option<Held> {
        let held = self.held.pop_front_if(|held| may(held))?;
        self.held_len -= held.len;
        Some(held)
    }

    /// Gives each moment a portion of its own.
    fn begin_moment(&mut self, now: Time) {
        if self.moment < now {
            self.moment = now;
            self.left = self.portion;
        }
    }

    fn spend(&mut self, work: u64) {
        self.left = self.left.saturating_sub(work);
    }

    fn is_spent(&self) -> bool {
        self.left == 0
    }
}

impl Peer {
    /// Answers the client's requests as far as they are ready and the portion lasts, in order.
    pub(super) fn advance(&mut self, id: ClientId) {
        self.backlog.begin_moment(self.now.time);
        while let Some(client) = self.clients.get_mut(id).filter(|client| !client.is_behind) {
            if self.backlog.is_spent() && client.first_costs_work() {
                client.is_behind = true;
                return self.backlog.behind.push_back(id);
            }
            let Some(pending) = client.pop_ready() else { return };
            let work = self.respond(id, pending);
            self.backlog.spend(work);
        }
    }

    /// Goes on with the answers that were put off, each client in its turn.
    pub(super) fn catch_up(&mut self) {
        if self.backlog.due().is_none_or(|due| due > self.now.time) {
            return;
        }
        self.backlog.begin_moment(self.now.time);
        while !self.backlog.is_spent()
            && let Some(id) = self.backlog.behind.pop_front()
        {
            if let Some(client) = self.clients.get_mut(id) {
                client.is_behind = false;
                self.advance(id);
            }
        }
    }
}
