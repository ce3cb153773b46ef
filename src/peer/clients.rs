use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::types::{Caller, ClientId, Identity, Read, Refusal, SessionId, Written, Zxid};

use super::forward::Forward;
use super::{Answer, WatchRequest};

/// The clients attached to this server, and those that are about to be.
#[derive(Debug, Default)]
pub(super) struct Clients {
    attached: BTreeMap<ClientId, Client>,
    by_session: BTreeMap<SessionId, ClientId>,
    connecting: BTreeMap<ClientId, Connecting>,
    /// Sessions heard from since this was last taken.
    heard: BTreeSet<SessionId>,
    /// How many bytes the writes that are kept back have.
    kept_back: usize,
}

/// A client that waits for its session.
#[derive(Debug)]
pub(super) struct Connecting {
    pub(super) number: u64,
    pub(super) identities: Vec<Identity>,
}

/// An attached client.
#[derive(Debug)]
pub(super) struct Client {
    /// Shared with the writes that are on their way.
    pub(super) caller: Arc<Caller>,
    /// Requests that are not answered, in order, numbered without a gap.
    queue: VecDeque<Pending>,
    next_number: u64,
    /// Reads that wait for the leader's word, and the writes behind them, which are kept back: a read must not see
    /// what its own client asked for later.
    order: VecDeque<Ordered>,
    /// Its first request could be answered, and waits for its turn.
    pub(super) is_behind: bool,
}

#[derive(Debug)]
enum Ordered {
    /// A read or a sync of this number.
    Read(u64),
    /// A request to the leader of this size.
    Write(Forward, usize),
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) tag: u64,
    pub(super) body: Body,
}

/// What a waiting request is about.
#[derive(Debug)]
pub(super) enum Body {
    /// Waits for its transaction to be applied.
    Write(Option<(Zxid, Result<Written, Refusal>)>),
    /// The end of the session; waits for its transaction to be applied.
    Close(Option<(Zxid, Result<Written, Refusal>)>),
    /// Waits for the requests before it and, if linearizable, for the leader's word.
    Read { read: Read, watch: bool, confirmed: bool },
    /// A change of watches; waits for the requests before it.
    Watch(WatchRequest),
    /// Waits for the leader's word.
    Sync { confirmed: bool },
    /// This is the answer; waits for the requests before it.
    Ready(Result<Answer, Refusal>),
    /// Waits for the requests before it.
    WhoAmI,
}

impl Clients {
    pub(super) fn await_session(&mut self, client: ClientId, connecting: Connecting) {
        self.connecting.insert(client, connecting);
    }

    pub(super) fn connecting(&self, client: ClientId) -> Option<&Connecting> {
        self.connecting.get(&client)
    }

    /// Whether the host has used the number already.
    pub(super) fn knows(&self, client: ClientId) -> bool {
        self.connecting.contains_key(&client) || self.attached.contains_key(&client)
    }

    pub(super) fn give_up(&mut self, client: ClientId) -> bool {
        self.connecting.remove(&client).is_some()
    }

    /// Attaches a client that was waiting. Returns the client that had the session on this server until now.
    /// `None` where the client has gone meanwhile.
    pub(super) fn attach(&mut self, client: ClientId, session: SessionId) -> Option<Option<ClientId>> {
        let Connecting { number, identities } = self.connecting.remove(&client)?;
        let previous = self.by_session.insert(session, client);
        if let Some(gone) = previous.and_then(|previous| self.attached.remove(&previous)) {
            self.kept_back -= gone.kept_back();
        }
        self.heard.insert(session);
        let next_number = number.wrapping_add(1);
        self.attached.insert(
            client,
            Client {
                caller: Arc::new(Caller { session, identities }),
                queue: VecDeque::new(),
                next_number,
                order: VecDeque::new(),
                is_behind: false,
            },
        );
        Some(previous)
    }

    pub(super) fn get(&self, client: ClientId) -> Option<&Client> {
        self.attached.get(&client)
    }

    pub(super) fn get_mut(&mut self, client: ClientId) -> Option<&mut Client> {
        self.attached.get_mut(&client)
    }

    pub(super) fn of_session(&self, session: SessionId) -> Option<ClientId> {
        self.by_session.get(&session).copied()
    }

    /// Forgets a client; whether it was attached.
    pub(super) fn detach(&mut self, client: ClientId) -> bool {
        let Some(gone) = self.attached.remove(&client) else {
            return false;
        };
        self.kept_back -= gone.kept_back();
        if self.by_session.get(&gone.caller.session) == Some(&client) {
            self.by_session.remove(&gone.caller.session);
        }
        true
    }

    /// Forgets everybody; who it was, in order.
    pub(super) fn detach_all(&mut self) -> Vec<ClientId> {
        let everybody: BTreeSet<ClientId> =
            self.attached.keys().chain(self.connecting.keys()).copied().collect();
        *self = Self::default();
        everybody.into_iter().collect()
    }

    pub(super) fn hear(&mut self, session: SessionId) {
        self.heard.insert(session);
    }

    pub(super) fn take_heard(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.heard).into_iter().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.attached.len()
    }

    /// How many bytes the writes that are kept back have.
    pub(super) fn kept_back(&self) -> usize {
        self.kept_back
    }

    /// Whether the client's requests to the leader are kept back now.
    pub(super) fn keeps_back(&self, id: ClientId) -> bool {
        self.attached.get(&id).is_some_and(|client| !client.order.is_empty())
    }

    /// Keeps a request of this size back.
    pub(super) fn keep_back(&mut self, id: ClientId, forward: Forward, size: usize) {
        if let Some(client) = self.attached.get_mut(&id) {
            client.order.push_back(Ordered::Write(forward, size));
            self.kept_back += size;
        }
    }

    /// The next request that was kept back and may go to the leader now.
    pub(super) fn let_go(&mut self, id: ClientId) -> Option<Forward> {
        let client = self.attached.get_mut(&id)?;
        while let Some(Ordered::Read(number)) = client.order.front() {
            let number = *number;
            if client.pending(number).is_some_and(|pending| pending.is_unconfirmed()) {
                return None;
            }
            client.order.pop_front();
        }
        match client.order.pop_front()? {
            Ordered::Write(forward, size) => {
                self.kept_back -= size;
                Some(forward)
            }
            Ordered::Read(_) => None,
        }
    }
}

impl Client {
    /// Queues a request; its number among those of this connection.
    pub(super) fn push(&mut self, tag: u64, body: Body) -> u64 {
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        let pending = Pending { tag, body };
        if pending.is_unconfirmed() {
            self.order.push_back(Ordered::Read(number));
        }
        self.queue.push_back(pending);
        number
    }

    /// The waiting request of this number.
    pub(super) fn pending(&mut self, number: u64) -> Option<&mut Pending> {
        let behind = self.next_number.wrapping_sub(number);
        let at = (self.queue.len() as u64).checked_sub(behind)?;
        self.queue.get_mut(usize::try_from(at).ok()?)
    }

    /// Takes the first request if nothing keeps it from being answered.
    pub(super) fn pop_ready(&mut self) -> Option<Pending> {
        self.queue.pop_front_if(|first| first.is_ready())
    }

    /// Whether nothing but the work that it costs keeps the first request from being answered.
    pub(super) fn first_costs_work(&self) -> bool {
        self.queue.front().is_some_and(|first| first.is_ready() && first.costs_work())
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    fn kept_back(&self) -> usize {
        let size = |ordered: &Ordered| if let Ordered::Write(_, size) = ordered { *size } else { 0 };
        self.order.iter().map(size).sum()
    }
}

impl Pending {
    fn is_ready(&self) -> bool {
        match &self.body {
            Body::Write(outcome) | Body::Close(outcome) => outcome.is_some(),
            Body::Read { confirmed, .. } | Body::Sync { confirmed } => *confirmed,
            Body::Watch(_) | Body::Ready(_) | Body::WhoAmI => true,
        }
    }

    /// Whether there is more to do than to tell what is known.
    fn costs_work(&self) -> bool {
        matches!(self.body, Body::Read { .. } | Body::Watch(_) | Body::WhoAmI)
    }

    fn is_unconfirmed(&self) -> bool {
        matches!(self.body, Body::Read { confirmed: false, .. } | Body::Sync { confirmed: false })
    }
}
