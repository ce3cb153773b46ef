use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use twox_hash::XxHash3_64;

use crate::transport::Transport;
use crate::types::{Lane, SeededRng, ServerId, Time};

use super::{Actor, Executor, FrameFault, LinkFaults, Trace};

/// How many frames wait at a server that does not receive; more are dropped.
const INBOX_FRAMES: usize = 100_000;

/// The network between the servers of a world. Chance comes from the world's seed. A clone is another handle.
#[derive(Clone)]
pub struct Network {
    executor: Executor,
    trace: Trace,
    state: Arc<Mutex<State>>,
}

impl Network {
    /// A network without faults.
    #[must_use]
    pub fn new(executor: Executor, trace: Trace, rng: SeededRng) -> Self {
        let state = State {
            rng,
            incarnations: 0,
            inboxes: BTreeMap::new(),
            links: BTreeMap::new(),
            defaults: LinkFaults::default(),
            counters: NetworkCounters::default(),
            trip: None,
            muted: None,
        };
        Self { executor, trace, state: Arc::new(Mutex::new(state)) }
    }

    /// The transport of a server that starts now. An earlier one of the same server is closed.
    pub fn transport(&self, server: ServerId) -> SimTransport {
        self.close(server);
        let mut state = self.lock();
        state.incarnations += 1;
        let incarnation = state.incarnations;
        state.inboxes.insert(server, Inbox { incarnation, frames: VecDeque::new(), waker: None });
        SimTransport { network: self.clone(), server, incarnation }
    }

    /// The server is gone: what was sent to it and has not arrived is lost.
    pub fn close(&self, server: ServerId) {
        let inbox = self.lock().inboxes.remove(&server);
        if let Some(waker) = inbox.and_then(|inbox| inbox.waker) {
            waker.wake();
        }
    }

    /// Cuts both directions between two servers; what travels is lost.
    pub fn partition(&self, a: ServerId, b: ServerId) {
        self.partition_oneway(a, b);
        self.partition_oneway(b, a);
    }

    /// Cuts the direction from one server to another; what travels is lost.
    pub fn partition_oneway(&self, from: ServerId, to: ServerId) {
        let mut state = self.lock();
        let link = state.link(from, to);
        link.cut = true;
        link.generation += 1;
    }

    /// Holds all that is sent from one server to another from now on, until [`release`](Self::release).
    pub fn hold(&self, from: ServerId, to: ServerId) {
        self.lock().link(from, to).hold = true;
    }

    /// Lets go what was held, in order.
    pub fn release(&self, from: ServerId, to: ServerId) {
        let mut state = self.lock();
        let link = state.link(from, to);
        link.hold = false;
        let held = std::mem::take(&mut link.held);
        for frame in held {
            state.counters.held -= 1;
            self.schedule(&mut state, frame);
        }
    }

    /// Mends both directions between two servers: no cut, and what was held is let go.
    pub fn repair(&self, a: ServerId, b: ServerId) {
        for (from, to) in [(a, b), (b, a)] {
            self.lock().link(from, to).cut = false;
            self.release(from, to);
        }
    }

    /// Loses all that travels between two servers at present, as when a connection is reset.
    pub fn reset(&self, a: ServerId, b: ServerId) {
        let mut state = self.lock();
        state.link(a, b).generation += 1;
        state.link(b, a).generation += 1;
    }

    /// Replaces what one direction does to frames.
    pub fn set_faults(&self, from: ServerId, to: ServerId, faults: LinkFaults) {
        self.lock().link(from, to).faults = faults;
    }

    /// What one direction does to frames.
    #[must_use]
    pub fn faults(&self, from: ServerId, to: ServerId) -> LinkFaults {
        self.lock().link(from, to).faults
    }

    /// Replaces what every direction does to frames, also those that were not used yet.
    pub fn set_all_faults(&self, faults: LinkFaults) {
        let mut state = self.lock();
        state.defaults = faults;
        for link in state.links.values_mut() {
            link.faults = faults;
        }
    }

    /// Whether a frame that is sent now from one server to another could arrive.
    #[must_use]
    pub fn is_connected(&self, from: ServerId, to: ServerId) -> bool {
        let mut state = self.lock();
        let link = state.link(from, to);
        !link.cut && !link.hold
    }

    /// Lets something happen at the frame of this number, counted from 1 since the network was made. `crash` ends the process
    /// that is named to it; it is called as soon as what that process does at that moment is done, and what it still
    /// sends until then is lost.
    pub(super) fn trip(&self, frame: u64, fault: FrameFault, crash: impl FnOnce(ServerId) + Send + 'static) {
        self.lock().trip = Some(Trip { frame, fault, crash: Box::new(crash) });
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> NetworkCounters {
        self.lock().counters
    }

    fn send(&self, from: (ServerId, u64), to: ServerId, lane: Lane, bytes: Bytes) {
        let mut state = self.lock();
        let state = &mut *state;
        let (from, incarnation) = from;
        let is_muted = state.muted == Some((from, incarnation));
        if is_muted || state.inboxes.get(&from).is_none_or(|inbox| inbox.incarnation != incarnation) {
            return;
        }
        let receiver = state.inboxes.get(&to).map_or(0, |inbox| inbox.incarnation);
        let link = state.links.entry((from, to)).or_insert_with(|| Link::new(state.defaults));
        let (faults, generation) = (link.faults, link.generation);
        state.counters.sent += 1;
        state.counters.bytes += bytes.len() as u64;
        let fault = state.trip.take_if(|trip| trip.frame == state.counters.sent).map(|trip| {
            if matches!(trip.fault, FrameFault::CrashBefore | FrameFault::CrashAfter) {
                state.muted = Some((from, incarnation));
                self.executor.at(self.executor.now(), move || (trip.crash)(from));
            }
            trip.fault
        });
        let fate = if link.cut || matches!(fault, Some(FrameFault::Lose | FrameFault::CrashBefore)) {
            Fate::Cut
        } else if faults.drop.draw(&mut state.rng) {
            Fate::Dropped
        } else {
            Fate::Travels
        };
        let hash = XxHash3_64::oneshot(&bytes);
        let length = bytes.len();
        self.note(Actor::Server(from), "send", &[to.number(), hash, fate as u64], || {
            format!("to S{to} {lane:?} {length} bytes {hash:016x} {fate:?}")
        });
        if fate != Fate::Travels {
            state.counters.dropped += 1;
            return;
        }
        let repeated = faults.duplicate.draw(&mut state.rng) || fault == Some(FrameFault::Repeat);
        let copies = if repeated { 2 } else { 1 };
        state.counters.duplicated += copies - 1;
        for _ in 0..copies {
            let frame = Frame { from, to, lane, bytes: bytes.clone(), hash, receiver, generation };
            let link = state.link(from, to);
            if link.hold {
                link.held.push(frame);
                state.counters.held += 1;
            } else {
                self.schedule(state, frame);
            }
        }
    }

    /// Puts a frame on its way.
    fn schedule(&self, state: &mut State, frame: Frame) {
        let now = self.executor.now();
        let State { rng, links, defaults, counters, .. } = state;
        let link = links.entry((frame.from, frame.to)).or_insert_with(|| Link::new(*defaults));
        let faults = link.faults;
        let last = link.last_arrival.entry(frame.lane).or_default();
        let mut departs = now;
        if let Some(micros) = (frame.bytes.len() as u64 * 1_000).checked_div(faults.bytes_per_milli) {
            let free = link.free_at.entry(frame.lane).or_default();
            departs = now.max(*free) + Duration::from_micros(micros);
            *free = departs;
        }
        let mut arrives = departs + faults.latency.draw(rng);
        if faults.reorder.draw(rng) {
            counters.reordered += 1;
        } else {
            arrives = arrives.max(*last);
            *last = arrives;
        }
        counters.in_flight += 1;
        let network = self.clone();
        self.executor.at(arrives, move || network.arrive(frame));
    }

    fn arrive(&self, frame: Frame) {
        let mut state = self.lock();
        let state = &mut *state;
        state.counters.in_flight -= 1;
        let Frame { from, to, hash, .. } = frame;
        let link = state.link(from, to);
        let (generation, faults) = (link.generation, link.faults);
        let fate = if generation != frame.generation {
            Fate::Cut
        } else {
            match state.inboxes.get(&to) {
                None => Fate::Nobody,
                Some(inbox) if inbox.frames.len() >= INBOX_FRAMES => Fate::Overflowed,
                Some(inbox) if inbox.incarnation != frame.receiver && !faults.stale.draw(&mut state.rng) => {
                    Fate::Nobody
                }
                Some(_) => Fate::Travels,
            }
        };
        self.note(Actor::Server(to), "arrive", &[from.number(), hash, fate as u64], || {
            format!("from S{from} {hash:016x} {fate:?}")
        });
        match state.inboxes.get_mut(&to) {
            Some(inbox) if fate == Fate::Travels => {
                inbox.frames.push_back((from, frame.bytes));
                state.counters.delivered += 1;
                if let Some(waker) = inbox.waker.take() {
                    waker.wake();
                }
            }
            _ => state.counters.dropped += 1,
        }
    }

    fn note(&self, actor: Actor, kind: &'static str, numbers: &[u64], detail: impl FnOnce() -> String) {
        self.trace.note(self.executor.now(), actor, kind, numbers, detail);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({:?})", self.counters())
    }
}

/// What a network counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NetworkCounters {
    /// Frames handed in.
    pub sent: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames handed out, copies included.
    pub delivered: u64,
    /// Frames lost: cut, dropped, sent to nobody, or past a full inbox.
    pub dropped: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Frames that did not keep their place.
    pub reordered: u64,
    /// Frames that travel at present.
    pub in_flight: u64,
    /// Frames that are held at present.
    pub held: u64,
}

/// The [`Transport`] of one incarnation of a server.
pub struct SimTransport {
    network: Network,
    server: ServerId,
    incarnation: u64,
}

#[async_trait]
impl Transport for SimTransport {
    fn send(&self, to: ServerId, lane: Lane, frame: Bytes) {
        self.network.send((self.server, self.incarnation), to, lane, frame);
    }

    async fn recv(&self) -> Option<(ServerId, Bytes)> {
        std::future::poll_fn(|context| {
            let mut state = self.network.lock();
            match state.inboxes.get_mut(&self.server) {
                Some(inbox) if inbox.incarnation == self.incarnation => match inbox.frames.pop_front() {
                    Some(frame) => Poll::Ready(Some(frame)),
                    None => {
                        inbox.waker = Some(context.waker().clone());
                        Poll::Pending
                    }
                },
                _ => Poll::Ready(None),
            }
        })
        .await
    }
}

impl fmt::Debug for SimTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimTransport(S{} incarnation {})", self.server, self.incarnation)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Travels,
    Cut,
    Dropped,
    Nobody,
    Overflowed,
}

struct Frame {
    from: ServerId,
    to: ServerId,
    lane: Lane,
    bytes: Bytes,
    hash: u64,
    /// The incarnation that it was sent to.
    receiver: u64,
    /// The link's generation when it was sent.
    generation: u64,
}

struct Inbox {
    incarnation: u64,
    frames: VecDeque<(ServerId, Bytes)>,
    waker: Option<Waker>,
}

struct Link {
    faults: LinkFaults,
    cut: bool,
    hold: bool,
    held: Vec<Frame>,
    /// Grows whenever what travels is lost.
    generation: u64,
    /// The arrival of the last frame that keeps its place.
    last_arrival: BTreeMap<Lane, Time>,
    /// When the line is free again.
    free_at: BTreeMap<Lane, Time>,
}

impl Link {
    fn new(faults: LinkFaults) -> Self {
        Self {
            faults,
            cut: false,
            hold: false,
            held: Vec::new(),
            generation: 0,
            last_arrival: BTreeMap::new(),
            free_at: BTreeMap::new(),
        }
    }
}

struct State {
    rng: SeededRng,
    incarnations: u64,
    inboxes: BTreeMap<ServerId, Inbox>,
    links: BTreeMap<(ServerId, ServerId), Link>,
    defaults: LinkFaults,
    counters: NetworkCounters,
    trip: Option<Trip>,
    /// A process that sends nothing any more, because it ends at this very moment.
    muted: Option<(ServerId, u64)>,
}

/// Something that is to happen at one frame.
struct Trip {
    frame: u64,
    fault: FrameFault,
    crash: Box<dyn FnOnce(ServerId) + Send>,
}

impl State {
    fn link(&mut self, from: ServerId, to: ServerId) -> &mut Link {
        self.links.entry((from, to)).or_insert_with(|| Link::new(self.defaults))
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
