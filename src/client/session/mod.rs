mod chores;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures::channel::oneshot;

use chores::{Chore, watch_request};

use super::call::{Answered, Ask, Asked, Start};
use super::subscription::Subscription;
use super::watch::{OneShotKind, OneShots};
use super::{ClientError, SessionState};

use crate::node::Attach;
use crate::peer::{Answer, CloseReason, Connected, Reply, Request};
use crate::types::{
    ErrorCode, Identity, NumberedRequest, Password, Read, RequestId, SessionId, WatchEvent, Zxid,
};

/// How often one call is sent again because the quorum says that its session has moved.
const MOVES: u8 = 3;

/// The client's side of a session, without any I/O: what is to be sent, and what becomes of what comes.
#[derive(Debug)]
pub(super) struct Session {
    identity: Option<(SessionId, Password)>,
    timeout: Duration,
    /// The largest position that was seen: no server may be behind it.
    last_seen: Zxid,
    /// The position up to which every event has come.
    covered: Zxid,
    next_tag: u64,
    next_write: RequestId,
    /// Calls without an answer, in the order of issue; the first `sent` were sent on this connection.
    calls: VecDeque<Pending>,
    sent: usize,
    /// What else is to be sent, before any further call.
    chores: VecDeque<Chore>,
    /// What else was sent and has no answer yet.
    chores_sent: BTreeMap<u64, Chore>,
    /// How many of the chores that a new connection begins with have no answer yet.
    restoring: usize,
    identities: Vec<Identity>,
    one_shots: OneShots,
    subscriptions: BTreeMap<u64, Subscription>,
    closing: bool,
    /// How many calls were answered since this was last asked.
    answered: usize,
}

#[derive(Debug)]
struct Pending {
    tag: u64,
    number: Option<RequestId>,
    body: Body,
    moves: u8,
    answer: oneshot::Sender<Result<Answered, ClientError>>,
}

/// A call in the form in which it can be sent again.
#[derive(Debug)]
enum Body {
    Plain(Request),
    Write(crate::types::Write),
    Subscribe { id: u64, start: Start },
}

/// What the driver has to do because of what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    /// Drop this connection and attach again.
    Reattach,
    /// It is over.
    End(SessionState),
}

impl Session {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            identity: None,
            timeout,
            last_seen: Zxid::ZERO,
            covered: Zxid::ZERO,
            next_tag: 0,
            next_write: RequestId::new(1),
            calls: VecDeque::new(),
            sent: 0,
            chores: VecDeque::new(),
            chores_sent: BTreeMap::new(),
            restoring: 0,
            identities: Vec::new(),
            one_shots: OneShots::default(),
            subscriptions: BTreeMap::new(),
            closing: false,
            answered: 0,
        }
    }

    /// What a new connection begins with.
    pub(super) fn attach(&self, identities: &[Identity]) -> Attach {
        Attach {
            resume: self.identity,
            timeout_millis: u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX),
            last_seen: self.last_seen,
            identities: identities.to_vec(),
        }
    }

    pub(super) fn id(&self) -> Option<SessionId> {
        self.identity.map(|(id, _)| id)
    }

    /// The timeout that was granted, or that is asked for.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn last_seen(&self) -> Zxid {
        self.last_seen
    }

    /// Whether nothing but its end is asked for.
    pub(super) fn only_closes(&self) -> bool {
        self.closing && self.calls.len() == 1
    }

    /// How many calls were answered since this was last asked.
    pub(super) fn take_answered(&mut self) -> usize {
        std::mem::take(&mut self.answered)
    }

    /// Takes a call in. Its place in the order is the one after all that were taken before.
    pub(super) fn accept(&mut self, asked: Asked) {
        let Asked { ask, answer } = asked;
        if self.closing {
            self.answered += 1;
            drop(answer.send(Err(ClientError::Closed)));
            return;
        }
        let mut number = None;
        let body = match ask {
            Ask::Write(write) => {
                number = Some(self.next_write);
                self.next_write = self.next_write.next();
                Body::Write(write)
            }
            Ask::Read { read, level, watch } => Body::Plain(Request::Read { read, level, watch }),
            Ask::Sync => Body::Plain(Request::Sync),
            Ask::WhoAmI => Body::Plain(Request::WhoAmI),
            Ask::AddIdentity(identity) => Body::Plain(Request::AddIdentity(identity)),
            Ask::Subscribe(subscription, id, start) => {
                self.subscriptions.insert(id, subscription);
                Body::Subscribe { id, start }
            }
            Ask::Close => {
                self.closing = true;
                Body::Plain(Request::CloseSession)
            }
        };
        let tag = self.tag();
        self.calls.push_back(Pending { tag, number, body, moves: 0, answer });
    }

    /// Asks for the end of the session though nobody waits for it any more.
    pub(super) fn close(&mut self) {
        if !self.closing {
            let (answer, _nobody) = oneshot::channel();
            self.accept(Asked { ask: Ask::Close, answer });
        }
    }

    /// A stream was dropped.
    pub(super) fn unsubscribe(&mut self, id: u64) {
        if let Some(Subscription { path, mode, .. }) = self.subscriptions.remove(&id) {
            self.chores.push_back(Chore::Remove { path, mode });
        }
    }

    /// A sign of life is due.
    pub(super) fn ping(&mut self) {
        if self.sent == self.calls.len() && self.chores.is_empty() {
            self.chores.push_back(Chore::Ping);
        }
    }

    /// A server has attached the client: what it knew of the connection before is to be told again, before
    /// anything else is asked.
    pub(super) fn connected(&mut self, connected: &Connected) -> Verdict {
        if self.identity.is_some_and(|(id, _)| id != connected.session) {
            // Never a silent new session in place of the old one.
            return Verdict::End(self.ended());
        }
        self.identity = Some((connected.session, connected.password));
        self.timeout = Duration::from_millis(u64::from(connected.timeout_millis).max(1));
        self.begin_anew();
        Verdict::Go
    }

    /// The connection is gone: what was not answered is to be sent again on the next one.
    pub(super) fn detached(&mut self) {
        self.sent = 0;
        self.chores.clear();
        self.chores_sent.clear();
        self.restoring = 0;
        for subscription in self.subscriptions.values_mut() {
            subscription.detached(self.covered);
        }
    }

    /// The next request to send, and its tag.
    pub(super) fn next_request(&mut self) -> Option<(u64, Request)> {
        while let Some(chore) = self.chores.pop_front() {
            if let Some(request) = self.request_of_chore(&chore) {
                let tag = self.tag();
                self.chores_sent.insert(tag, chore);
                return Some((tag, request));
            }
        }
        let answered_below = self.calls.iter().find_map(|call| call.number).unwrap_or(self.next_write);
        loop {
            let call = self.calls.get(self.sent)?;
            let tag = call.tag;
            let request = match &call.body {
                Body::Plain(request) => request.clone(),
                Body::Write(write) => Request::Write {
                    write: write.clone(),
                    number: call.number.map(|id| NumberedRequest { id, answered_below }),
                },
                Body::Subscribe { id, start } => match self.subscriptions.get_mut(id) {
                    Some(subscription) => {
                        subscription.asked();
                        Request::Watch(watch_request(subscription, *start))
                    }
                    // Its stream was dropped before it began.
                    None => {
                        self.calls.remove(self.sent);
                        self.answered += 1;
                        continue;
                    }
                },
            };
            self.sent += 1;
            return Some((tag, request));
        }
    }

    /// Whether there is something to send.
    pub(super) fn has_request(&self) -> bool {
        !self.chores.is_empty() || self.sent < self.calls.len()
    }

    /// How many requests of this connection have no answer.
    pub(super) fn unanswered(&self) -> usize {
        self.sent + self.chores_sent.len()
    }

    pub(super) fn watch(&mut self, event: &WatchEvent) {
        self.last_seen = self.last_seen.max(event.zxid);
        self.one_shots.fire(event);
        let replaying = self.chores_sent.values().any(|chore| matches!(chore, Chore::Resume(_)))
            || self
                .calls
                .iter()
                .take(self.sent)
                .any(|call| matches!(call.body, Body::Subscribe { start: Start::After(_), .. }));
        for subscription in self.subscriptions.values_mut() {
            subscription.offer(event, replaying);
        }
    }

    pub(super) fn reply(&mut self, reply: Reply) -> Verdict {
        self.last_seen = self.last_seen.max(reply.zxid);
        match reply.result {
            Err(refusal) if refusal.code == ErrorCode::SessionExpired => return Verdict::End(self.ended()),
            Ok(_) | Err(_) => {}
        }
        self.answered_to_others(reply.tag);
        if let Some(chore) = self.chores_sent.remove(&reply.tag) {
            let verdict = self.chore_done(chore, &reply);
            self.cover(reply.zxid);
            return verdict;
        }
        let Some(at) = self.calls.iter().take(self.sent).position(|call| call.tag == reply.tag) else {
            // An answer to nothing: the server and we disagree about what this connection carries.
            return Verdict::Reattach;
        };
        if let (Err(refusal), Some(call)) = (&reply.result, self.calls.get_mut(at))
            && refusal.code == ErrorCode::SessionMoved
            && call.moves < MOVES
        {
            call.moves += 1;
            return Verdict::Reattach;
        }
        self.cover(reply.zxid);
        let Some(call) = self.calls.remove(at) else { return Verdict::Reattach };
        self.sent -= 1;
        self.answered += 1;
        self.answer(call, reply)
    }

    /// The number of the request that was taken in last.
    #[cfg(test)]
    pub(super) fn last_tag(&self) -> u64 {
        self.next_tag
    }

    /// What a close by the server means.
    pub(super) fn closed(&self, reason: CloseReason) -> Verdict {
        match reason {
            CloseReason::Expired => Verdict::End(self.ended()),
            CloseReason::ClosedByClient => Verdict::End(SessionState::Closed),
            _ => Verdict::Reattach,
        }
    }

    /// It is over: what was asked to be closed is, and all else under way fails.
    pub(super) fn end(&mut self, state: SessionState) {
        let closes = |call: &Pending| matches!(call.body, Body::Plain(Request::CloseSession));
        if self.calls.back().is_some_and(closes)
            && let Some(close) = self.calls.pop_back()
        {
            let done = Answered { zxid: self.last_seen, result: Ok(Answer::Done), watch: None };
            drop(close.answer.send(Ok(done)));
        }
        self.fail(&error_of(state));
    }

    /// Everything under way fails.
    pub(super) fn fail(&mut self, error: &ClientError) {
        for call in std::mem::take(&mut self.calls) {
            drop(call.answer.send(Err(error.clone())));
        }
        self.sent = 0;
        self.one_shots.fail(error);
        std::mem::take(&mut self.subscriptions).into_values().for_each(|subscription| subscription.end());
    }

    /// The state in which a session ends that the quorum has ended: if that was asked for, it is no surprise.
    pub(super) fn ended(&self) -> SessionState {
        if self.closing { SessionState::Closed } else { SessionState::Expired }
    }

    fn tag(&mut self) -> u64 {
        self.next_tag += 1;
        self.next_tag
    }

    /// Tells all subscriptions but the one that asked for it that a request was answered.
    fn answered_to_others(&mut self, tag: u64) {
        let asked_by = match self.chores_sent.get(&tag) {
            Some(Chore::Resume(id) | Chore::Add(id)) => Some(*id),
            Some(_) => None,
            None => self.calls.iter().find(|call| call.tag == tag).and_then(|call| match call.body {
                Body::Subscribe { id, .. } => Some(id),
                _ => None,
            }),
        };
        for (id, subscription) in &mut self.subscriptions {
            if Some(*id) != asked_by {
                subscription.not_yet();
            }
        }
    }

    /// All events up to here have come, unless watches are still being restored.
    fn cover(&mut self, zxid: Zxid) {
        if self.restoring == 0 {
            self.covered = self.covered.max(zxid);
            for subscription in self.subscriptions.values_mut() {
                subscription.covered(zxid);
            }
        }
    }

    fn answer(&mut self, call: Pending, reply: Reply) -> Verdict {
        let mut watch = None;
        let mut verdict = Verdict::Go;
        match (call.body, &reply.result) {
            (Body::Plain(Request::Read { read, watch: true, .. }), result) => {
                let kind = match (&read, result) {
                    (Read::Get { .. } | Read::Exists { .. }, Ok(_)) => Some(OneShotKind::Data),
                    (Read::Exists { .. }, Err(refusal)) if refusal.code == ErrorCode::NoNode => {
                        Some(OneShotKind::Exist)
                    }
                    (Read::Children { .. }, Ok(_)) => Some(OneShotKind::Child),
                    _ => None,
                };
                if let (Some(kind), Read::Get { path } | Read::Exists { path } | Read::Children { path }) =
                    (kind, read)
                {
                    watch = Some(self.one_shots.add(kind, path, reply.zxid));
                }
            }
            (Body::Plain(Request::AddIdentity(identity)), Ok(_)) if !self.identities.contains(&identity) => {
                self.identities.push(identity);
            }
            (Body::Plain(Request::CloseSession), Ok(_)) => verdict = Verdict::End(SessionState::Closed),
            (Body::Subscribe { id, .. }, Err(_)) => {
                self.subscriptions.remove(&id);
            }
            (Body::Subscribe { id, .. }, Ok(Answer::Compacted { .. })) => {
                self.chores.push_front(Chore::Add(id));
            }
            (Body::Subscribe { id, start: Start::Now }, Ok(_)) => {
                self.subscription(id, |one| one.begun(reply.zxid));
            }
            (Body::Subscribe { id, start: Start::After(_) }, Ok(_)) => {
                self.subscription(id, |one| one.resumed(reply.zxid));
            }
            _ => {}
        }
        let answered = Answered { zxid: reply.zxid, result: reply.result, watch };
        // Whoever dropped the call does not want to know.
        drop(call.answer.send(Ok(answered)));
        verdict
    }

    fn subscription(&mut self, id: u64, change: impl FnOnce(&mut Subscription)) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            change(subscription);
        }
    }
}

/// What calls fail with in a final state.
pub(super) fn error_of(state: SessionState) -> ClientError {
    if state == SessionState::Expired { ClientError::SessionExpired } else { ClientError::Closed }
}
