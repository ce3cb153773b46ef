use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::StreamExt as _;
use futures::future::{AbortHandle, Abortable};

use crate::node::{
    Attach, Connection, Connector, Deliveries, Delivery, Inbound, Node, OpenError, Outbound, Requests,
};
use crate::types::{SeededRng, ServerId, SessionId};

use super::sessions::SessionCheck;
use super::trace::contents;
use super::{Actor, Executor, Latency, Trace};

/// How many requests, or deliveries, travel at once on one connection.
const WINDOW: usize = 512;

/// The way from one client to the servers: with latency, and broken or blocked when the world wants it.
#[derive(Clone)]
pub(super) struct Lines {
    client: u64,
    executor: Executor,
    trace: Trace,
    check: SessionCheck,
    state: Arc<Mutex<State>>,
}

struct State {
    rng: SeededRng,
    latency: Latency,
    blocked: bool,
    waiting: Vec<Waker>,
    nodes: BTreeMap<ServerId, Node>,
    connections: Vec<AbortHandle>,
    /// All that servers ever gave it, known to it or still on the way.
    sessions: BTreeSet<SessionId>,
}

impl Lines {
    pub(super) fn new(
        client: u64,
        executor: Executor,
        trace: Trace,
        check: SessionCheck,
        latency: Latency,
        rng: SeededRng,
    ) -> Self {
        let state = State {
            rng,
            latency,
            blocked: false,
            waiting: Vec::new(),
            nodes: BTreeMap::new(),
            connections: Vec::new(),
            sessions: BTreeSet::new(),
        };
        Self { client, executor, trace, check, state: Arc::new(Mutex::new(state)) }
    }

    /// What the client connects through to this server.
    pub(super) fn to(&self, server: ServerId) -> Arc<dyn Connector> {
        Arc::new(Line { lines: self.clone(), server })
    }

    /// The server runs, or does not.
    pub(super) fn set_node(&self, server: ServerId, node: Option<Node>) {
        let mut state = self.lock();
        match node {
            Some(node) => drop(state.nodes.insert(server, node)),
            None => drop(state.nodes.remove(&server)),
        }
    }

    /// Breaks all connections; both ends notice.
    pub(super) fn disconnect(&self) {
        let connections = std::mem::take(&mut self.lock().connections);
        connections.iter().for_each(AbortHandle::abort);
    }

    /// Lets nothing through, without any end noticing, until it is unblocked.
    pub(super) fn set_blocked(&self, blocked: bool) {
        let mut state = self.lock();
        state.blocked = blocked;
        if !blocked {
            std::mem::take(&mut state.waiting).into_iter().for_each(Waker::wake);
        }
    }

    /// The sessions that servers have given the client, whether it has heard of them or not.
    pub(super) fn sessions(&self) -> BTreeSet<SessionId> {
        self.lock().sessions.clone()
    }

    fn open(&self, server: ServerId, attach: Attach) -> Result<Connection, OpenError> {
        let node = {
            let state = self.lock();
            if state.blocked { None } else { state.nodes.get(&server).cloned() }
        };
        self.note("open", &[server.number(), u64::from(node.is_some())], || format!("to S{server}"));
        let node = node.ok_or(OpenError::Stopped)?;
        let number = self.check.connection(self.client, &attach);
        let inner = node.open(attach)?;
        let (outer, end) = Connection::pair(inner.client(), WINDOW, WINDOW * 8);
        let (requests, deliveries) = inner.split();
        let up = self.clone().carry_up(number, end.inbound, requests);
        let down = self.clone().carry_down(server, number, deliveries, end.outbound);
        let (abort, registration) = AbortHandle::new_pair();
        {
            let mut state = self.lock();
            state.connections.retain(|connection| !connection.is_aborted());
            state.connections.push(abort.clone());
        }
        let both = Abortable::new(async move { futures::join!(up, down) }, registration);
        self.executor.spawn(Actor::Client(self.client), "connection", async move {
            let _ended_by_both_or_by_the_world = both.await;
            abort.abort();
        });
        Ok(outer)
    }

    async fn carry_up(self, number: u64, inbound: Inbound, mut requests: Requests) {
        let sent = inbound.inspect(|(tag, request)| self.check.asked(number, *tag, request));
        let mut delayed = sent.map(|item| self.delay(item)).buffered(WINDOW);
        while let Some((tag, request)) = delayed.next().await {
            self.note("request", &[tag, contents(&request)], || format!("#{tag} {request:?}"));
            if requests.send(tag, request).await.is_err() {
                return;
            }
        }
        // A client that went while the line was blocked is noticed when it is not any more.
        Unblocked { lines: &self }.await;
    }

    async fn carry_down(self, server: ServerId, number: u64, deliveries: Deliveries, mut outbound: Outbound) {
        let given = deliveries.inspect(|item| {
            if let Delivery::Connected(connected) = item {
                self.lock().sessions.insert(connected.session);
            }
        });
        let mut delayed = given.map(|item| self.delay(item)).buffered(WINDOW);
        while let Some(delivery) = delayed.next().await {
            self.note_delivery(server, &delivery);
            self.check.delivered(self.executor.now(), self.client, number, &delivery);
            if let Delivery::Closed(reason) = delivery {
                return outbound.close(reason);
            }
            if outbound.deliver(delivery).is_err() {
                return;
            }
        }
    }

    /// What arrives after a while, and not while the line is blocked. Order is kept by whoever awaits in order.
    fn delay<T>(&self, item: T) -> impl Future<Output = T> {
        let span = {
            let mut state = self.lock();
            let State { rng, latency, .. } = &mut *state;
            latency.draw(rng)
        };
        let sleep = self.executor.sleep(span);
        async move {
            sleep.await;
            Unblocked { lines: self }.await;
            item
        }
    }

    fn note_delivery(&self, server: ServerId, delivery: &Delivery) {
        self.note("delivery", &[contents(delivery)], || format!("from S{server} {delivery:?}"));
    }

    fn note(&self, kind: &'static str, numbers: &[u64], detail: impl FnOnce() -> String) {
        self.trace.note(self.executor.now(), Actor::Client(self.client), kind, numbers, detail);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Line {
    lines: Lines,
    server: ServerId,
}

impl Connector for Line {
    fn open(&self, attach: Attach) -> Result<Connection, OpenError> {
        self.lines.open(self.server, attach)
    }
}

struct Unblocked<'a> {
    lines: &'a Lines,
}

impl Future for Unblocked<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lines.lock();
        if state.blocked {
            state.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}
