use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::node::{Attach, Delivery};
use crate::peer::{Answer, ReadLevel, Request, WatchRequest};
use crate::types::{RequestId, SessionId, Time, Zxid};

use super::Failure;
use super::check::Checker;

/// What every client may count on, judged by what reaches it: a session never goes back in zxid, even when it moves to
/// another server; a read in order shows nothing that the same client asks for later; events stand before the state they
/// lead to and in the order of the transactions; a session that has ended never comes back. (ZooKeeper's consistency guarantees:
/// single system image, sequential consistency.)
#[derive(Clone)]
pub(super) struct SessionCheck {
    checker: Checker,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    connections: u64,
    /// The session that each connection asks to take up, until it is told.
    resuming: BTreeMap<u64, SessionId>,
    /// The session of each connection, and the last event and the last reply that came on it.
    attached: BTreeMap<u64, Attached>,
    sessions: BTreeMap<SessionId, Known>,
    /// The newest connection of each client.
    latest: BTreeMap<u64, u64>,
}

struct Attached {
    session: SessionId,
    last_event: Zxid,
    /// The state that its last read in order showed.
    last_read: Zxid,
    /// The requests without an answer, in the order in which they were sent.
    asked: VecDeque<Asked>,
}

/// A request that is on its way.
struct Asked {
    tag: u64,
    turn: Order,
    /// Whether it changes something and was never sent before, on no connection.
    is_new_write: bool,
}

/// When a request is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// After all that were sent before it.
    Kept,
    /// The same, and before it come events of the past.
    Replayed,
    /// At once.
    Free,
}

#[derive(Default)]
struct Known {
    client: u64,
    /// The largest state that was shown to it.
    shown: Zxid,
    /// The largest number of the writes that were sent for it.
    sent: Option<RequestId>,
    ended: bool,
}

impl SessionCheck {
    pub(super) fn new(checker: Checker) -> Self {
        Self { checker, state: Arc::new(Mutex::new(State::default())) }
    }

    /// The number of a new connection of a client, which asks to be attached. It has left the one before it.
    pub(super) fn connection(&self, client: u64, attach: &Attach) -> u64 {
        let mut state = self.lock();
        state.connections += 1;
        let number = state.connections;
        if let Some(left) = state.latest.insert(client, number) {
            state.attached.remove(&left);
            state.resuming.remove(&left);
        }
        if let Some((session, _)) = attach.resume {
            state.resuming.insert(number, session);
            if let Some(known) = state.sessions.get_mut(&session) {
                // What was on its way when the connection broke was never seen by it.
                known.shown = known.shown.min(attach.last_seen);
            }
        }
        number
    }

    /// A client sends a request.
    pub(super) fn asked(&self, connection: u64, tag: u64, request: &Request) {
        let turn = match request {
            Request::Read { level: ReadLevel::Local, .. } => Order::Free,
            Request::Watch(WatchRequest::Resume { .. }) => Order::Replayed,
            _ => Order::Kept,
        };
        let State { attached, sessions, .. } = &mut *self.lock();
        let Some(attached) = attached.get_mut(&connection) else { return };
        let known = sessions.get_mut(&attached.session);
        let is_new_write = known.is_some_and(|known| known.sends(request));
        attached.asked.push_back(Asked { tag, turn, is_new_write });
    }

    /// Something reaches a client.
    pub(super) fn delivered(&self, at: Time, client: u64, connection: u64, delivery: &Delivery) {
        // What is still on its way on a connection that the client has left reaches nobody.
        if self.lock().latest.get(&client) != Some(&connection) {
            return;
        }
        if let Err((invariant, what)) = self.lock().judge(client, connection, delivery) {
            self.violated(at, client, invariant, what);
        }
    }

    fn violated(&self, at: Time, client: u64, invariant: &'static str, what: String) {
        self.checker.fail(Failure::Violated { at, invariant, what: format!("C{client}: {what}") });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Sends a request for it. Says whether that is a write which was not sent before.
    fn sends(&mut self, request: &Request) -> bool {
        match request {
            Request::Write { number: Some(number), .. } => {
                let is_new = self.sent.is_none_or(|sent| sent < number.id);
                self.sent = self.sent.max(Some(number.id));
                is_new
            }
            Request::Write { number: None, .. } => true,
            _ => false,
        }
    }
}

impl State {
    fn judge(
        &mut self,
        client: u64,
        connection: u64,
        delivery: &Delivery,
    ) -> Result<(), (&'static str, String)> {
        match delivery {
            Delivery::Connected(connected) => {
                let session = connected.session;
                self.resuming.remove(&connection);
                let known = self.sessions.entry(session).or_insert(Known { client, ..Known::default() });
                if known.client != client {
                    return Err(("SessionUnique", format!("session {session} is that of C{}", known.client)));
                }
                if known.ended {
                    return Err(("SessionEnds", format!("session {session} has ended and is back")));
                }
                let (last_event, last_read) = (Zxid::ZERO, Zxid::ZERO);
                let attached = Attached { session, last_event, last_read, asked: VecDeque::new() };
                self.attached.insert(connection, attached);
            }
            Delivery::Reply(reply) => {
                let Some(attached) = self.attached.get_mut(&connection) else {
                    return Err(("ConnectedFirst", format!("{reply:?} comes before the session")));
                };
                let place = attached.asked.iter().position(|asked| asked.tag == reply.tag);
                let due =
                    attached.asked.iter().find(|asked| asked.turn != Order::Free).map(|asked| asked.tag);
                let answered = place.and_then(|place| attached.asked.remove(place));
                let Some(asked) =
                    answered.filter(|asked| asked.turn == Order::Free || due == Some(asked.tag))
                else {
                    return Err(("ClientOrder", format!("#{} is answered, {due:?} is due", reply.tag)));
                };
                match &reply.result {
                    Ok(Answer::Written(_)) if asked.is_new_write && reply.zxid <= attached.last_read => {
                        let (tag, zxid, shown) = (reply.tag, reply.zxid, attached.last_read);
                        let what =
                            format!("#{tag} was executed at {zxid}, and a read before it showed {shown}");
                        return Err(("ReadBeforeWrite", what));
                    }
                    Ok(Answer::Found(_)) if asked.turn == Order::Kept => attached.last_read = reply.zxid,
                    _ => {}
                }
                let Some(known) = self.sessions.get_mut(&attached.session) else { return Ok(()) };
                // The answer to a write that was sent again is as old as the write.
                let reads = !matches!(reply.result, Ok(Answer::Written(_)) | Err(_));
                if reads && reply.zxid < known.shown {
                    let what = format!("shown {} after {}", reply.zxid, known.shown);
                    return Err(("SingleImage", what));
                }
                known.shown = known.shown.max(reply.zxid);
            }
            Delivery::Watch(event) => {
                let Some(attached) = self.attached.get_mut(&connection) else {
                    return Err(("ConnectedFirst", format!("{event:?} comes before the session")));
                };
                // A watch that is taken up again tells first what it missed, which may be older than what other watches told;
                // one that was left again does not know when it was.
                if event.zxid == Zxid::ZERO
                    || attached.asked.iter().any(|asked| asked.turn == Order::Replayed)
                {
                    return Ok(());
                }
                if event.zxid < attached.last_event {
                    let what = format!("event {event:?} comes after one of {}", attached.last_event);
                    return Err(("WatchOrder", what));
                }
                attached.last_event = event.zxid;
            }
            Delivery::Closed(reason) => {
                use crate::peer::CloseReason::{ClosedByClient, Expired};
                let attached = self.attached.remove(&connection).map(|attached| attached.session);
                let session = attached.or(self.resuming.remove(&connection));
                let known = session.and_then(|session| self.sessions.get_mut(&session));
                if let (Some(known), Expired | ClosedByClient) = (known, reason) {
                    known.ended = true;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
