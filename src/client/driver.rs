use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};

use super::session::{Session, Verdict, error_of};
use super::shared::Shared;
use super::{ClientError, ClientOptions, SessionState};

use crate::node::{Clock, Connector, Deliveries, Delivery, Requests, Sleep};
use crate::peer::CloseReason;
use crate::types::{SeededRng, Time};

/// How many deliveries are taken before requests are sent again.
const TURN: usize = 256;

/// How many turns are taken before other tasks of the executor get theirs.
const TURNS_PER_POLL: usize = 16;

/// The work of a [`Client`](super::Client), as a future to spawn on any executor. It keeps the session
/// attached to some server, sends what is asked and hands out what comes; it ends with the session.
///
/// Dropping it ends every call and watch with [`Stopped`](super::ClientError::Stopped); the session expires by itself.
#[must_use = "a client does nothing unless its driver is spawned"]
pub struct ClientDriver {
    shared: Arc<Shared>,
    servers: Vec<Arc<dyn Connector>>,
    clock: Arc<dyn Clock>,
    options: ClientOptions,
    rng: SeededRng,
    session: Session,
    link: Link,
    /// The server that is tried next, or is attached.
    server: usize,
    /// Attempts in a row that came to nothing.
    failures: u32,
    /// When a server last spoke for the session.
    heard: Time,
    /// When something was last sent.
    sent: Time,
    alarm: Option<(Time, Sleep)>,
}

enum Link {
    Apart { retry_at: Time },
    Attaching { requests: Requests, deliveries: Deliveries, give_up_at: Time },
    Attached { requests: Requests, deliveries: Deliveries },
}

impl ClientDriver {
    pub(super) fn new(
        shared: Arc<Shared>,
        servers: Vec<Arc<dyn Connector>>,
        clock: Arc<dyn Clock>,
        options: ClientOptions,
    ) -> Self {
        let now = clock.now().time;
        Self {
            shared,
            servers,
            clock,
            rng: SeededRng::new(options.seed),
            session: Session::new(options.session_timeout),
            options,
            link: Link::Apart { retry_at: now },
            server: 0,
            failures: 0,
            heard: now,
            sent: now,
            alarm: None,
        }
    }

    /// Does all that can be done now; says whether that was anything.
    fn turn(&mut self, context: &mut Context<'_>, now: Time) -> Result<bool, SessionState> {
        let mut any = self.take_wanted(context)?;
        any |= self.take_deliveries(context, now)?;
        any |= self.keep_time(now)?;
        any |= self.send(context, now);
        let answered = self.session.take_answered();
        if answered > 0 {
            self.shared.left(answered, self.session.last_seen());
        }
        Ok(any)
    }

    fn take_wanted(&mut self, context: &mut Context<'_>) -> Result<bool, SessionState> {
        let wanted = self.shared.take_wanted(context);
        let any = !wanted.entered.is_empty() || !wanted.unsubscribed.is_empty();
        wanted.entered.into_iter().for_each(|call| self.session.accept(call));
        wanted.unsubscribed.into_iter().for_each(|id| self.session.unsubscribe(id));
        if wanted.abandoned {
            self.session.close();
        }
        if self.session.id().is_none() && (wanted.abandoned || self.session.only_closes()) {
            // There is no session to be closed.
            return Err(SessionState::Closed);
        }
        Ok(any)
    }

    fn take_deliveries(&mut self, context: &mut Context<'_>, now: Time) -> Result<bool, SessionState> {
        for taken in 0..TURN {
            let (Link::Attaching { deliveries, .. } | Link::Attached { deliveries, .. }) = &mut self.link
            else {
                return Ok(taken > 0);
            };
            let Poll::Ready(delivery) = deliveries.poll_next_unpin(context) else {
                return Ok(taken > 0);
            };
            // A server that only refuses says nothing of the session: without a quorum nobody keeps it alive.
            if !matches!(delivery, Some(Delivery::Closed(_)) | None) {
                self.heard = now;
            }
            let verdict = match delivery {
                Some(Delivery::Connected(connected)) => {
                    let verdict = self.session.connected(&connected);
                    if verdict == Verdict::Go {
                        self.attached();
                    }
                    verdict
                }
                Some(Delivery::Reply(reply)) => self.session.reply(reply),
                Some(Delivery::Watch(event)) => {
                    self.session.watch(&event);
                    Verdict::Go
                }
                Some(Delivery::Closed(reason)) => self.session.closed(reason),
                None => self.session.closed(CloseReason::NotServing),
            };
            match verdict {
                Verdict::Go => {}
                Verdict::Reattach => self.detach(now),
                Verdict::End(state) => return Err(state),
            }
        }
        Ok(true)
    }

    /// Attaches, gives up on a server that is silent, shows a sign of life, lets the session go.
    fn keep_time(&mut self, now: Time) -> Result<bool, SessionState> {
        let Some(deadline) = self.deadline() else { return Ok(false) };
        if now < deadline {
            return Ok(false);
        }
        if self.expiry().is_some_and(|expiry| expiry <= now) {
            tracing::warn!(session = ?self.session.id(), "no server was reached for too long; the session is given up");
            return Err(self.session.ended());
        }
        match &self.link {
            Link::Apart { .. } => self.open(now),
            Link::Attaching { .. } => self.detach(now),
            Link::Attached { .. } if self.silence() <= now => self.detach(now),
            Link::Attached { .. } => {
                self.sent = now;
                self.session.ping();
            }
        }
        Ok(true)
    }

    /// The next moment at which [`keep_time`](Self::keep_time) has something to do.
    fn deadline(&self) -> Option<Time> {
        let due = match &self.link {
            Link::Apart { retry_at } => *retry_at,
            Link::Attaching { give_up_at, .. } => *give_up_at,
            Link::Attached { .. } => (self.sent + self.session.timeout() / 3).min(self.silence()),
        };
        Some(self.expiry().map_or(due, |expiry| expiry.min(due)))
    }

    /// When the session is taken for lost: its timeout and a third after the last word from a server, because
    /// the leader, which alone expires it, may have heard from us a little later than we from it.
    fn expiry(&self) -> Option<Time> {
        let attached = matches!(self.link, Link::Attached { .. });
        (!attached && self.session.id().is_some()).then(|| self.heard + self.session.timeout() * 4 / 3)
    }

    /// When the attached server is taken for dead.
    fn silence(&self) -> Time {
        self.heard + self.session.timeout() * 2 / 3
    }

    fn open(&mut self, now: Time) {
        let Some(server) = self.servers.get(self.server) else { return };
        let attach = self.session.attach(&self.options.identities);
        match server.open(attach) {
            Ok(connection) => {
                let (requests, deliveries) = connection.split();
                self.link = Link::Attaching { requests, deliveries, give_up_at: now + self.patience() };
            }
            Err(error) => {
                tracing::debug!(server = self.server, %error, "a server gave no connection");
                self.detach(now);
            }
        }
    }

    /// How long a server may take to attach the client: its share of the timeout, so that each is asked in time; and twice as
    /// long whenever all were asked in vain, up to the whole, because it may be the way to the leader that is slow.
    fn patience(&self) -> Duration {
        let servers = u32::try_from(self.servers.len()).unwrap_or(u32::MAX).max(1);
        let timeout = self.session.timeout();
        (timeout / servers).saturating_mul(1 << (self.failures / servers).min(20)).min(timeout)
    }

    fn attached(&mut self) {
        self.failures = 0;
        let apart = Link::Apart { retry_at: Time::ZERO };
        self.link = match std::mem::replace(&mut self.link, apart) {
            Link::Attaching { requests, deliveries, .. } => Link::Attached { requests, deliveries },
            other => other,
        };
        tracing::info!(session = ?self.session.id(), server = self.server, "the client is connected");
        self.shared.set_state(SessionState::Connected, self.session.id());
    }

    /// Drops the connection; the next server is tried after a while.
    fn detach(&mut self, now: Time) {
        self.session.detached();
        self.server = (self.server + 1) % self.servers.len().max(1);
        self.failures = self.failures.saturating_add(1);
        let delay = self.delay();
        self.link = Link::Apart { retry_at: now + delay };
        if self.session.id().is_some() {
            tracing::info!(session = ?self.session.id(), retry_in = ?delay, "the client is disconnected");
            self.shared.set_state(SessionState::Disconnected, None);
        }
    }

    /// How long to wait before the next attempt: hardly at all while there are servers that were not tried,
    /// then longer and longer. Chance keeps the clients of a failed server from coming all at once.
    fn delay(&mut self) -> Duration {
        let rounds = self.failures.saturating_sub(u32::try_from(self.servers.len()).unwrap_or(u32::MAX));
        let longest = self.options.retry_max.max(self.options.retry_min);
        let span = self.options.retry_min.saturating_mul(1_u32 << rounds.min(20)).min(longest);
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let least = if rounds == 0 { 0 } else { micros / 2 };
        Duration::from_micros(least + self.rng.below(micros - least))
    }

    fn send(&mut self, context: &mut Context<'_>, now: Time) -> bool {
        let mut any = false;
        while let Link::Attached { requests, .. } = &mut self.link {
            // What a server takes at a time it says with the connection; the window may be wider.
            if !self.session.has_request() || self.session.unanswered() >= requests.limit() {
                break;
            }
            match requests.poll_ready(context) {
                Poll::Pending => break,
                // Why it is closed is the last delivery, which is taken in the next turn.
                Poll::Ready(Err(_)) => break,
                Poll::Ready(Ok(())) => {}
            }
            let Some((tag, request)) = self.session.next_request() else { break };
            any = true;
            self.sent = now;
            if requests.start_send(tag, request).is_err() {
                break;
            }
        }
        any
    }

    /// Sets the alarm to the next deadline; says whether it has gone off already.
    fn set_alarm(&mut self, context: &mut Context<'_>) -> bool {
        let Some(deadline) = self.deadline() else { return false };
        loop {
            match &mut self.alarm {
                Some((at, sleep)) if *at <= deadline => {
                    if sleep.poll_unpin(context).is_pending() {
                        return false;
                    }
                    let due = *at == deadline;
                    self.alarm = None;
                    if due {
                        return true;
                    }
                }
                _ => self.alarm = Some((deadline, self.clock.sleep_until(deadline))),
            }
        }
    }

    fn end(&mut self, state: SessionState) {
        tracing::info!(session = ?self.session.id(), ?state, "the session has ended");
        let late = self.shared.end(state, error_of(state));
        self.session.end(state);
        // Calls that no turn has seen yet.
        for call in late {
            drop(call.answer.send(Err(error_of(state))));
        }
    }
}

impl Future for ClientDriver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS_PER_POLL {
            let now = self.clock.now().time;
            match self.turn(context, now) {
                Err(state) => {
                    self.end(state);
                    return Poll::Ready(());
                }
                Ok(true) => {}
                Ok(false) if self.set_alarm(context) => {}
                Ok(false) => return Poll::Pending,
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl std::fmt::Debug for ClientDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientDriver").field("session", &self.session.id()).finish_non_exhaustive()
    }
}

impl Drop for ClientDriver {
    /// A future that is dropped before its end leaves no call waiting.
    fn drop(&mut self) {
        if !self.shared.state().is_final() {
            drop(self.shared.end(SessionState::Closed, ClientError::Stopped));
            self.session.fail(&ClientError::Stopped);
        }
    }
}
