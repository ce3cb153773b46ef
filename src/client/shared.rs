use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::ClientError;
use super::call::Asked;
use super::mailbox::Mailbox;
use super::state::{STATES, SessionState, States};

use crate::types::{SessionId, Zxid};

/// What the handles of a client and its future share: the window of calls, and the state of the session.
///
/// The window is fair: calls enter it in the order in which they were first polled.
#[derive(Debug)]
pub(super) struct Shared(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// Calls that have entered and that the future has not taken yet.
    entered: VecDeque<Asked>,
    /// Calls that have entered and have no answer yet, and how many may.
    under_way: usize,
    window: usize,
    /// Calls that wait to enter, by their turn.
    waiting: BTreeMap<u64, Waker>,
    next_turn: u64,
    next_subscription: u64,
    unsubscribed: Vec<u64>,
    abandoned: bool,
    ended: Option<ClientError>,
    driver: Option<Waker>,
    state: SessionState,
    session: Option<SessionId>,
    last_seen: Zxid,
    listeners: Vec<Mailbox<SessionState>>,
    connecting: Vec<Waker>,
}

/// What the handles want of the future.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) entered: VecDeque<Asked>,
    pub(super) unsubscribed: Vec<u64>,
    /// The last handle is gone.
    pub(super) abandoned: bool,
}

impl Shared {
    pub(super) fn new(window: usize) -> Self {
        Self(Mutex::new(Inner {
            entered: VecDeque::new(),
            under_way: 0,
            window,
            waiting: BTreeMap::new(),
            next_turn: 0,
            next_subscription: 0,
            unsubscribed: Vec::new(),
            abandoned: false,
            ended: None,
            driver: None,
            state: SessionState::Connecting,
            session: None,
            last_seen: Zxid::ZERO,
            listeners: Vec::new(),
            connecting: Vec::new(),
        }))
    }

    /// Enters `call`, or waits for its turn, which it keeps in `turn`.
    pub(super) fn poll_enter(
        &self,
        context: &mut Context<'_>,
        turn: &mut Option<u64>,
        call: &mut Option<Asked>,
    ) -> Poll<Result<(), ClientError>> {
        let mut inner = self.lock();
        if let Some(error) = &inner.ended {
            return Poll::Ready(Err(error.clone()));
        }
        let first = inner.waiting.keys().next();
        if inner.under_way < inner.window && (first.is_none() || first == turn.as_ref()) {
            if let Some(turn) = turn.take() {
                inner.waiting.remove(&turn);
            }
            inner.under_way += 1;
            inner.entered.extend(call.take());
            let next = inner.next_to_enter();
            let driver = inner.driver.take();
            drop(inner);
            next.into_iter().chain(driver).for_each(Waker::wake);
            return Poll::Ready(Ok(()));
        }
        let turn = *turn.get_or_insert_with(|| {
            inner.next_turn += 1;
            inner.next_turn
        });
        inner.waiting.insert(turn, context.waker().clone());
        Poll::Pending
    }

    /// A call that waited for its turn was dropped.
    pub(super) fn give_up(&self, turn: u64) {
        let mut inner = self.lock();
        inner.waiting.remove(&turn);
        let next = inner.next_to_enter();
        drop(inner);
        next.into_iter().for_each(Waker::wake);
    }

    /// A number for a lasting watch.
    pub(super) fn new_subscription(&self) -> u64 {
        let mut inner = self.lock();
        inner.next_subscription += 1;
        inner.next_subscription
    }

    /// The stream of a lasting watch was dropped.
    pub(super) fn unsubscribe(&self, id: u64) {
        let mut inner = self.lock();
        if inner.ended.is_none() {
            inner.unsubscribed.push(id);
        }
        let driver = inner.driver.take();
        drop(inner);
        driver.into_iter().for_each(Waker::wake);
    }

    pub(super) fn abandon(&self) {
        let mut inner = self.lock();
        inner.abandoned = true;
        let driver = inner.driver.take();
        drop(inner);
        driver.into_iter().for_each(Waker::wake);
    }

    pub(super) fn poll_connected(&self, context: &mut Context<'_>) -> Poll<Result<SessionId, ClientError>> {
        let mut inner = self.lock();
        if let Some(error) = &inner.ended {
            return Poll::Ready(Err(error.clone()));
        }
        match (inner.state, inner.session) {
            (SessionState::Connected, Some(session)) => Poll::Ready(Ok(session)),
            _ => {
                if !inner.connecting.iter().any(|waker| waker.will_wake(context.waker())) {
                    inner.connecting.push(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    pub(super) fn state(&self) -> SessionState {
        self.lock().state
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        self.lock().session
    }

    pub(super) fn last_seen(&self) -> Zxid {
        self.lock().last_seen
    }

    pub(super) fn states(&self) -> States {
        let mailbox = Mailbox::new(STATES);
        let mut inner = self.lock();
        if inner.state.is_final() {
            mailbox.push(inner.state, |latest| latest);
            mailbox.close();
        } else {
            inner.listeners.retain(|listener| !listener.is_alone());
            inner.listeners.push(mailbox.clone());
        }
        States { mailbox }
    }

    /// What the handles want, for the future; leaves a wake-up for more.
    pub(super) fn take_wanted(&self, context: &mut Context<'_>) -> Wanted {
        let mut inner = self.lock();
        inner.driver = Some(context.waker().clone());
        Wanted {
            entered: std::mem::take(&mut inner.entered),
            unsubscribed: std::mem::take(&mut inner.unsubscribed),
            abandoned: inner.abandoned,
        }
    }

    /// So many calls have their answers.
    pub(super) fn left(&self, calls: usize, last_seen: Zxid) {
        let mut inner = self.lock();
        inner.last_seen = inner.last_seen.max(last_seen);
        inner.under_way = inner.under_way.saturating_sub(calls);
        let next = inner.next_to_enter();
        drop(inner);
        next.into_iter().for_each(Waker::wake);
    }

    pub(super) fn set_state(&self, state: SessionState, session: Option<SessionId>) {
        let mut inner = self.lock();
        inner.session = session.or(inner.session);
        if inner.state == state {
            return;
        }
        inner.state = state;
        inner.listeners.retain(|listener| !listener.is_alone());
        let listeners = inner.listeners.clone();
        let connecting = std::mem::take(&mut inner.connecting);
        drop(inner);
        for listener in listeners {
            listener.push(state, |latest| latest);
            if state.is_final() {
                listener.close();
            }
        }
        connecting.into_iter().for_each(Waker::wake);
    }

    /// Every call fails from now on; gives those that were not taken yet.
    pub(super) fn end(&self, state: SessionState, error: ClientError) -> VecDeque<Asked> {
        let mut inner = self.lock();
        inner.ended.get_or_insert(error);
        let entered = std::mem::take(&mut inner.entered);
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        waiting.into_values().for_each(Waker::wake);
        self.set_state(state, None);
        entered
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Who is to be woken because it may enter.
    fn next_to_enter(&self) -> Option<Waker> {
        if self.under_way < self.window { self.waiting.values().next().cloned() } else { None }
    }
}
