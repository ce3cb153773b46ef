//! Clients: attaching, requests, answers.

use std::sync::Arc;

use crate::types::{ClientId, Epoch, ErrorCode, Found, Read, Refusal, Zxid};

use super::clients::{Body, Connecting, Pending};
use super::forward::{Back, Forward, ForwardedWrite, Word};
use super::size::weigh;
use super::{
    Answer, ClientRequest, CloseReason, Connect, Connected, Output, Peer, PeerEvent, ReadLevel, Reply,
    Request,
};

/// How many sessions one message says of that they were heard from.
const TOUCHES: usize = 100_000;

/// What an answer costs beside the nodes that it shows, in nodes.
const ANSWER: u64 = 5;

impl Peer {
    pub(super) fn serve(&mut self, epoch: Epoch) {
        self.serving = true;
        self.next_tick = Some(self.now.time + self.config.timing.tick / 2);
        self.event(PeerEvent::Serving { epoch });
    }

    /// Detaches everybody: without a leader no answer can be vouched for.
    pub(super) fn stop_serving(&mut self) {
        if std::mem::replace(&mut self.serving, false) {
            self.event(PeerEvent::NotServing);
        }
        self.leading = None;
        self.backs.clear();
        self.backlog.forget_clients();
        self.asked.clear();
        self.gathering = None;
        self.next_tick = None;
        for client in self.clients.detach_all() {
            self.watches.forget_client(client);
            self.emit(Output::Closed { client, reason: CloseReason::NotServing });
        }
        // For nobody is anything held back any more, and what comes next builds upon it.
        self.apply_held();
    }

    /// Twice per tick: tell the leader who was heard from; as a leader, remove what is due.
    pub(super) fn tick(&mut self) {
        self.next_tick = Some(self.now.time + self.config.timing.tick / 2);
        for heard in self.clients.take_heard().chunks(TOUCHES) {
            // A link that is gone tells so by itself.
            let _lost_with_the_link = self.tell_leader(Forward::Touch(heard.to_vec()));
        }
        self.reap();
    }

    pub(super) fn handle_connect(&mut self, connect: Connect) {
        let Connect { client, resume, timeout_millis, last_seen, identities } = connect;
        let refusal = if self.clients.knows(client) {
            Some(CloseReason::Overloaded)
        } else if !self.serving {
            Some(CloseReason::NotServing)
        } else if last_seen > self.state.applied {
            Some(CloseReason::Behind)
        } else {
            None
        };
        if let Some(reason) = refusal {
            return self.emit(Output::Closed { client, reason });
        }
        // Random, so that a transaction of an earlier life of this server is never taken for an answer.
        let number = self.rng.next_u64();
        self.clients.await_session(client, Connecting { number, identities });
        let asked = self.tell_leader(match resume {
            Some((session, password)) => Forward::Resume { client, session, password },
            None => Forward::Open { client, number, timeout_millis },
        });
        if !asked && self.clients.give_up(client) {
            self.emit(Output::Closed { client, reason: CloseReason::NotServing });
        }
    }

    pub(super) fn handle_disconnect(&mut self, client: ClientId) {
        if !self.clients.give_up(client) && self.clients.detach(client) {
            self.watches.forget_client(client);
        }
    }

    pub(super) fn handle_request(&mut self, request: ClientRequest) {
        let ClientRequest { client: id, tag, request } = request;
        // A client that was detached a moment ago may still have sent this.
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.waiting() >= self.config.limits.requests_per_client {
            return self.close(id, CloseReason::Overloaded);
        }
        let session = client.caller.session;
        let is_first = client.waiting() == 0;
        let forward = match request {
            Request::Write { write, number: request } => match weigh(&write, &client.caller.identities) {
                Ok(weight) => {
                    let number = client.push(tag, Body::Write(None));
                    let caller = Arc::clone(&client.caller);
                    let write = ForwardedWrite { client: id, number, caller, write, request };
                    Some((Forward::Write(write), weight))
                }
                Err(refusal) => {
                    client.push(tag, Body::Ready(Err(refusal)));
                    None
                }
            },
            Request::CloseSession => {
                let number = client.push(tag, Body::Close(None));
                Some((Forward::Close { client: id, number, session }, 0))
            }
            Request::Read { read, level: ReadLevel::Local, watch } => {
                let reply = self.look(id, &read, watch, &mut 0).map(Answer::Found);
                self.reply(id, tag, self.state.applied, reply.map_err(Refusal::from));
                None
            }
            Request::Read { read, level, watch } => {
                let confirmed = level == ReadLevel::Session;
                let number = client.push(tag, Body::Read { read, watch, confirmed });
                if !confirmed {
                    self.gather(id, number);
                }
                None
            }
            Request::Sync => {
                let number = client.push(tag, Body::Sync { confirmed: false });
                self.gather(id, number);
                None
            }
            Request::Watch(watch) => {
                client.push(tag, Body::Watch(watch));
                None
            }
            Request::AddIdentity(identity) => {
                let identities = &mut Arc::make_mut(&mut client.caller).identities;
                let known = identities.contains(&identity);
                let answer = if known || identities.len() < self.config.limits.identities_per_client {
                    identities.extend((!known).then_some(identity));
                    Ok(Answer::Done)
                } else {
                    Err(ErrorCode::Throttled.into())
                };
                client.push(tag, Body::Ready(answer));
                None
            }
            Request::Ping => {
                client.push(tag, Body::Ready(Ok(Answer::Done)));
                None
            }
            Request::WhoAmI => {
                client.push(tag, Body::WhoAmI);
                None
            }
        };
        self.clients.hear(session);
        let Some((forward, weight)) = forward else {
            // Nothing is before it, so whoever handed it over sees how long it takes. What waits needs no push.
            if is_first && let Some(pending) = self.clients.get_mut(id).and_then(|client| client.pop_ready())
            {
                self.respond(id, pending);
            }
            return;
        };
        if self.clients.keeps_back(id) {
            self.clients.keep_back(id, forward, weight);
            if self.clients.kept_back() > self.config.limits.outstanding_len {
                self.close(id, CloseReason::Overloaded);
            }
        } else if !self.tell_leader(forward) {
            self.close(id, CloseReason::NotServing);
        }
    }

    /// Answers a request, which must be ready. Says how many nodes' worth of work that was.
    pub(super) fn respond(&mut self, id: ClientId, Pending { tag, body }: Pending) -> u64 {
        let applied = self.state.applied;
        let mut work = 0;
        let (zxid, result) = match body {
            Body::Write(outcome) => match outcome {
                Some((zxid, result)) => (zxid, result.map(Answer::Written)),
                None => return 0,
            },
            Body::Close(outcome) => match outcome {
                Some((zxid, result)) => (zxid, result.map(|_| Answer::Done)),
                None => return 0,
            },
            Body::Read { read, watch, .. } => {
                work = ANSWER;
                let found = self.look(id, &read, watch, &mut work);
                (applied, found.map(Answer::Found).map_err(Refusal::from))
            }
            Body::Watch(request) => {
                work = ANSWER + self.work_of(&request);
                (applied, self.change_watches(id, request).map_err(Refusal::from))
            }
            Body::Sync { .. } => (applied, Ok(Answer::Done)),
            Body::Ready(answer) => (applied, answer),
            Body::WhoAmI => {
                let identities = self.clients.get(id).map(|client| client.caller.identities.clone());
                let identities = identities.unwrap_or_default();
                work = ANSWER + identities.len() as u64;
                (applied, Ok(Answer::Identities(identities)))
            }
        };
        self.reply(id, tag, zxid, result);
        work
    }

    pub(super) fn attach(&mut self, connected: Connected) {
        let Some(previous) = self.clients.attach(connected.client, connected.session) else { return };
        if let Some(previous) = previous {
            self.watches.forget_client(previous);
            self.emit(Output::Closed { client: previous, reason: CloseReason::Moved });
        }
        self.emit(Output::Connected(connected));
    }

    pub(super) fn close(&mut self, client: ClientId, reason: CloseReason) {
        if self.clients.detach(client) {
            self.watches.forget_client(client);
            self.emit(Output::Closed { client, reason });
        }
    }

    /// Heeds the leader's words whose position is applied, in order.
    pub(super) fn heed_backs(&mut self) {
        while self.backs.front().is_some_and(|back| back.after <= self.state.applied)
            && let Some(Back { word, .. }) = self.backs.pop_front()
        {
            match word {
                Word::Resumed { client, session, password, timeout_millis } => {
                    self.attach(Connected { client, session, password, timeout_millis, resumed: true });
                }
                Word::NotResumed { client } => self.refuse(client, CloseReason::Expired),
                Word::NotOpened { client } => self.refuse(client, CloseReason::NotServing),
                Word::Moved { client } => self.close(client, CloseReason::Moved),
                Word::Denied { client, number, code } => self.deny(client, number, code),
                Word::ReadIndex { token } => {
                    for (client, number) in self.asked.remove(&token).unwrap_or_default() {
                        self.confirm(client, number);
                    }
                }
            }
        }
    }

    /// Asks the leader for the reads and syncs that were gathered.
    pub(super) fn ask_for_index(&mut self) {
        if let Some(token) = self.gathering.take() {
            // A link that is gone tells so by itself, and then every client is detached.
            let _lost_with_the_link = self.tell_leader(Forward::ReadIndex { token });
        }
    }

    fn gather(&mut self, client: ClientId, number: u64) {
        let token = *self.gathering.get_or_insert_with(|| {
            self.next_token += 1;
            self.next_token
        });
        self.asked.entry(token).or_default().push((client, number));
    }

    fn confirm(&mut self, id: ClientId, number: u64) {
        if let Some(pending) = self.clients.get_mut(id).and_then(|client| client.pending(number))
            && let Body::Read { confirmed, .. } | Body::Sync { confirmed } = &mut pending.body
        {
            *confirmed = true;
            self.advance(id);
            while let Some(forward) = self.clients.let_go(id) {
                if !self.tell_leader(forward) {
                    return self.close(id, CloseReason::NotServing);
                }
            }
        }
    }

    fn refuse(&mut self, client: ClientId, reason: CloseReason) {
        if self.clients.give_up(client) {
            self.emit(Output::Closed { client, reason });
        }
    }

    fn deny(&mut self, id: ClientId, number: u64, code: ErrorCode) {
        if let Some(pending) = self.clients.get_mut(id).and_then(|client| client.pending(number))
            && matches!(pending.body, Body::Write(None) | Body::Close(None))
        {
            // Its position is that of the state in which it is answered: those before it may be applied by then.
            pending.body = Body::Ready(Err(code.into()));
            self.advance(id);
        }
        match code {
            ErrorCode::SessionExpired => self.close(id, CloseReason::Expired),
            ErrorCode::SessionMoved => self.close(id, CloseReason::Moved),
            _ => {}
        }
    }

    /// Sends a request to the leader, or heeds it where that is this server. Whether there is one.
    fn tell_leader(&mut self, forward: Forward) -> bool {
        if self.leading.is_some() {
            self.heed_forward(self.config.server, forward);
            return true;
        }
        match self.words.encode(&forward) {
            Ok(payload) => self.zab.forward(payload).is_ok(),
            Err(_) => false,
        }
    }

    fn reply(&mut self, client: ClientId, tag: u64, zxid: Zxid, result: Result<Answer, Refusal>) {
        self.emit(Output::Reply(Reply { client, tag, zxid, result }));
    }

    /// Reads, adds to `work` how many nodes that took, and leaves a watch where ZooKeeper would.
    fn look(&mut self, id: ClientId, read: &Read, watch: bool, work: &mut u64) -> Result<Found, ErrorCode> {
        let client = self.clients.get(id).ok_or(ErrorCode::SessionExpired)?;
        if watch {
            self.make_room_for_watches(id, 1)?;
        }
        let found = self.state.tree.read_counting(&client.caller, read, work);
        if watch {
            match (read, &found) {
                (Read::Get { path }, Ok(_)) | (Read::Exists { path }, Ok(_) | Err(ErrorCode::NoNode)) => {
                    if let Ok(path) = path.parse() {
                        self.watches.watch_data(id, &path);
                    }
                }
                (Read::Children { path }, Ok(_)) => {
                    if let Ok(path) = path.parse() {
                        self.watches.watch_children(id, &path);
                    }
                }
                _ => {}
            }
        }
        found
    }
}
