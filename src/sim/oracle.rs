use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::peer::{Answer, Input, Limits, Output, ReadLevel, Reply, Request, Status, WatchRequest};
use crate::types::{Caller, ClientId, ServerId, SessionId, Time, WatchEvent, Write, Written, Zxid};

use super::Failure;
use super::check::{Checker, Cluster, Seen};
use super::chronicle::{Chronicle, just_before};
use super::coverage::Coverage;
use super::ownership::Ownership;
use super::watch_oracle::WatchOracle;

/// Knows what every reply and every watch event must be: the ghost's committed sequence is replayed once, in a tree that
/// remembers every version, and each reply is compared whole with the state at its zxid.
///
/// (reliability of client-visible behaviour: linearizable writes, reads of one state, watch before data.)
#[derive(Clone)]
pub(super) struct Oracle {
    /// How many requests of one client may wait.
    most_requests: usize,
    state: Arc<Mutex<State>>,
}

struct State {
    chronicle: Chronicle,
    servers: BTreeMap<ServerId, Replica>,
    owners: Ownership,
    counters: OracleCounters,
}

/// What the oracle compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OracleCounters {
    /// Reads compared whole.
    pub reads: u64,
    /// Writes whose answer was compared.
    pub writes: u64,
    /// Watch events that were expected and came.
    pub events: u64,
}

/// What one server should know.
#[derive(Default)]
struct Replica {
    at: Zxid,
    clients: BTreeMap<ClientId, Attached>,
    /// Those that were attached when this turn began, and are no more.
    left: BTreeSet<ClientId>,
    watches: WatchOracle,
}

struct Attached {
    caller: Caller,
    /// In the order in which they came.
    asked: VecDeque<(u64, Request)>,
    /// How much those of them must show that ask for the latest state.
    least: BTreeMap<u64, Zxid>,
}

impl Oracle {
    pub(super) fn new(limits: &Limits, coverage: Coverage) -> Self {
        let state = State {
            chronicle: Chronicle::new(coverage),
            servers: BTreeMap::new(),
            owners: Ownership::default(),
            counters: OracleCounters::default(),
        };
        Self { most_requests: limits.requests_per_client, state: Arc::new(Mutex::new(state)) }
    }

    /// The server's process has ended: nobody is attached to it.
    pub(super) fn down(&self, server: ServerId) {
        let mut state = self.lock();
        state.servers.remove(&server);
        state.owners.down(server);
    }

    pub(super) fn counters(&self) -> OracleCounters {
        self.lock().counters
    }

    /// How many requests wait at a server.
    pub(super) fn unanswered(&self, server: ServerId) -> usize {
        let state = self.lock();
        let clients = state.servers.get(&server).into_iter().flat_map(|replica| replica.clients.values());
        clients.map(|client| client.asked.len()).sum()
    }

    pub(super) fn input(&self, server: ServerId, input: &Input) {
        let mut state = self.lock();
        let State { servers, owners, chronicle, .. } = &mut *state;
        let replica = servers.entry(server).or_default();
        match input {
            Input::Connect(connect) => {
                owners.asked(server, connect.client);
                let caller = Caller { session: SessionId::NONE, identities: connect.identities.clone() };
                let client = Attached { caller, asked: VecDeque::new(), least: BTreeMap::new() };
                replica.clients.insert(connect.client, client);
            }
            Input::Request(request) => {
                if let Some(client) = replica.clients.get_mut(&request.client) {
                    if asks_for_latest(&request.request) {
                        client.least.insert(request.tag, chronicle.last_up_to(Zxid::MAX));
                    }
                    if let Request::AddIdentity(identity) = &request.request {
                        client.caller.identities.push(identity.clone());
                    }
                    client.asked.push_back((request.tag, request.request.clone()));
                }
            }
            Input::Disconnect(client) => {
                owners.left(server, *client);
                replica.forget(*client);
            }
            _ => {}
        }
    }

    /// The server has done some work, and applied what it says. Who hears of that was decided now, by what clients had
    /// proved to be.
    pub(super) fn applied(&self, at: Time, status: &Status, checker: &Checker) {
        let (server, zxid) = (status.server, status.applied);
        let most = self.most_requests;
        self.judge(at, server, checker, |replica, chronicle, cluster, owners, _| {
            replica.left.clear();
            replica.advance(server, zxid, chronicle, cluster)?;
            replica.watches.none_left(zxid)?;
            owners.applied(server, zxid)?;
            chronicle.judge_counts(zxid, status.znodes, status.sessions)?;
            match replica.clients.iter().find(|(_, client)| client.asked.len() > most) {
                Some((client, _)) => {
                    Err(("BoundedQueues", format!("{client:?} has more than {most} requests waiting")))
                }
                None => Ok(()),
            }
        });
    }

    pub(super) fn output(&self, at: Time, server: ServerId, output: &Output, checker: &Checker) {
        match output {
            Output::Reply(Reply { zxid, .. }) | Output::Watch { event: WatchEvent { zxid, .. }, .. } => {
                checker.see(at, server, &Seen::Shown(*zxid));
            }
            Output::Connected(_) | Output::Closed { .. } => {}
            _ => return,
        }
        self.judge(at, server, checker, |replica, chronicle, cluster, owners, counters| {
            match output {
                Output::Connected(connected) => {
                    if let Some(client) = replica.clients.get_mut(&connected.client) {
                        client.caller.session = connected.session;
                    }
                    return owners.answered(server, connected.client, connected.session);
                }
                Output::Reply(reply) => {
                    let (known, asked) = (&mut *replica, &mut *counters);
                    return known.judge_reply(server, reply, chronicle, cluster, asked);
                }
                Output::Watch { client, event } => {
                    counters.events += 1;
                    return replica.judge_event(server, *client, event, chronicle, cluster);
                }
                Output::Closed { client, .. } => {
                    owners.left(server, *client);
                    replica.forget(*client);
                }
                _ => {}
            }
            Ok(())
        });
    }

    fn judge(
        &self,
        at: Time,
        server: ServerId,
        checker: &Checker,
        judge: impl FnOnce(&mut Replica, &Chronicle, &Cluster, &mut Ownership, &mut OracleCounters) -> Judged,
    ) {
        let mut state = self.lock();
        let State { chronicle, servers, owners, counters } = &mut *state;
        let replica = servers.entry(server).or_default();
        let judged = checker.with_cluster(|cluster| {
            chronicle.follow(&cluster.ghost)?;
            owners.committed(chronicle.behind_first(owners.judged()))?;
            judge(replica, chronicle, cluster, owners, counters)
        });
        drop(state);
        if let Err((invariant, what)) = judged {
            checker.fail(Failure::Violated { at, invariant, what: format!("S{server}: {what}") });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Judged = Result<(), (&'static str, String)>;

impl Replica {
    fn forget(&mut self, client: ClientId) {
        if self.clients.remove(&client).is_some() {
            self.left.insert(client);
        }
        self.watches.forget(client);
    }

    /// Comes to the state at `zxid`, and expects the events of what lies before it.
    fn advance(&mut self, server: ServerId, zxid: Zxid, chronicle: &Chronicle, cluster: &Cluster) -> Judged {
        if zxid <= self.at {
            return Ok(());
        }
        if self.watches.is_empty() {
            self.at = self.at.max(chronicle.last_up_to(zxid));
        }
        for entry in chronicle.between(self.at, zxid) {
            let clients = &self.clients;
            let identities =
                |client| clients.get(&client).map_or(&[][..], |client| &client.caller.identities);
            self.watches.expect(&entry.changes, identities);
            self.at = entry.zxid;
        }
        // What this server has not applied itself it cannot show, unless the ghost is behind it.
        let applied = cluster.servers.get(&server).is_some_and(|view| view.asked.covers(zxid));
        if self.at < zxid && !applied {
            return Err(("Integrity", format!("shows the state at {zxid}, which it does not have")));
        }
        Ok(())
    }

    fn judge_reply(
        &mut self,
        server: ServerId,
        reply: &Reply,
        chronicle: &Chronicle,
        cluster: &Cluster,
        counters: &mut OracleCounters,
    ) -> Judged {
        let Some(client) = self.clients.get_mut(&reply.client) else { return Ok(()) };
        // A local read waits for nothing, not even for its turn.
        let local = |request: &Request| matches!(request, Request::Read { level: ReadLevel::Local, .. });
        let Some(place) = client.asked.iter().position(|(tag, _)| *tag == reply.tag) else {
            return Err(("ClientOrder", format!("#{} is answered, but was not asked", reply.tag)));
        };
        let earlier =
            client.asked.iter().take(place).find(|(_, request)| !local(request)).map(|(tag, _)| *tag);
        let Some((_, request)) = client.asked.remove(place) else { return Ok(()) };
        if let Some(due) = earlier.filter(|_| !local(&request)) {
            return Err(("ClientOrder", format!("#{} is answered before #{due}", reply.tag)));
        }
        let is_outside = reply.result.as_ref().is_err_and(|refusal| OUTSIDE.contains(&refusal.code));
        let least = client.least.remove(&reply.tag).filter(|least| reply.zxid < *least && !is_outside);
        if let Some(least) = least {
            let what = format!("{request:?} shows {}; when it was asked, {least} was committed", reply.zxid);
            return Err(("LatestShown", what));
        }
        // What came behind the request may have counted already when it was executed, or not yet.
        let behind = client.asked.iter().skip(place);
        let added = behind.filter(|(_, request)| matches!(request, Request::AddIdentity(_))).count();
        let caller = client.caller.clone();
        match &request {
            Request::Write { write, .. } => {
                counters.writes += 1;
                judge_write(caller.session, write, reply, chronicle)?;
                if !is_outside {
                    chronicle.judge_asked(caller.session, &caller.identities, added, write, reply.zxid)?;
                }
                if reply.result.is_ok() {
                    chronicle.judge_permission(&caller.identities, write, reply.zxid)?;
                }
                self.advance(server, reply.zxid, chronicle, cluster)?;
            }
            Request::Read { read, watch, level } => {
                // A local read does not wait for its turn: others may have been answered from a later state.
                let free = *level == ReadLevel::Local && !watch;
                if reply.zxid < self.at && !free {
                    let what = format!("{read:?} shows {} after {}", reply.zxid, self.at);
                    return Err(("ReadOrder", what));
                }
                self.advance(server, reply.zxid, chronicle, cluster)?;
                // A request can also be refused for reasons that are not the tree's.
                if is_outside {
                    return self.watches.none_before(reply.client, reply.zxid.min(self.at));
                }
                let Some(found) = chronicle.read(&caller, reply.zxid, read) else { return Ok(()) };
                let same = match (&reply.result, &found) {
                    (Ok(Answer::Found(shown)), Ok(found)) => shown == found,
                    (Err(refusal), Err(code)) => refusal.code == *code,
                    _ => false,
                };
                if !same {
                    let what = format!(
                        "{read:?} at {} shows {:?}, but the committed history makes it {found:?}",
                        reply.zxid, reply.result
                    );
                    return Err(("ReadsHistory", what));
                }
                counters.reads += 1;
                if *watch {
                    self.watches.read(reply.client, read, &found);
                }
            }
            Request::Watch(watch) => {
                self.advance(server, reply.zxid, chronicle, cluster)?;
                if reply.result.is_ok() && !matches!(reply.result, Ok(Answer::Compacted { .. })) {
                    let lookup = |path: &str| chronicle.lookup(path, self.at);
                    let changes_since = |since| {
                        let entries = chronicle.between(since, self.at).iter();
                        entries.flat_map(|entry| &entry.changes).collect()
                    };
                    let (all, client) = (&caller.identities, reply.client);
                    self.watches.asked(client, all, added, watch, lookup, changes_since)?;
                }
            }
            _ => {}
        }
        self.watches.none_before(reply.client, reply.zxid.min(self.at))
    }

    fn judge_event(
        &mut self,
        server: ServerId,
        client: ClientId,
        event: &WatchEvent,
        chronicle: &Chronicle,
        cluster: &Cluster,
    ) -> Judged {
        self.advance(server, event.zxid, chronicle, cluster)?;
        if self.left.contains(&client) {
            // It hears nothing any more, and what its server had begun to tell it is not held against that one.
            return Ok(());
        }
        if self.restoring(client) && !self.watches.expects(client, event) {
            // Found out after a reconnect; its cause lies before this connection.
            self.watches.told_late(client, event);
            return Ok(());
        }
        self.watches.came(client, event)
    }

    /// Whether a restored or resumed watch may be replaying what it missed.
    fn restoring(&self, client: ClientId) -> bool {
        self.clients.get(&client).is_some_and(|client| {
            client.asked.iter().any(|(_, request)| {
                matches!(request, Request::Watch(WatchRequest::Restore { .. } | WatchRequest::Resume { .. }))
            })
        })
    }
}

/// Whether a request waits until its server has applied all that was committed when it was asked.
const fn asks_for_latest(request: &Request) -> bool {
    matches!(request, Request::Sync | Request::Read { level: ReadLevel::Linearizable, .. })
}

/// Refusals that do not come from the tree.
const OUTSIDE: [crate::types::ErrorCode; 4] = [
    crate::types::ErrorCode::SessionExpired,
    crate::types::ErrorCode::SessionMoved,
    crate::types::ErrorCode::Throttled,
    crate::types::ErrorCode::NotReadOnly,
];

/// A write that is acknowledged is committed at its zxid, for this session, and came to just what the client is told.
fn judge_write(session: SessionId, write: &Write, reply: &Reply, chronicle: &Chronicle) -> Judged {
    let entry = chronicle.at(reply.zxid);
    match (&reply.result, entry) {
        (Ok(_), None) => {
            let what = format!("{write:?} is acknowledged at {}, where nothing is committed", reply.zxid);
            Err(("AckedIsCommitted", what))
        }
        (Ok(Answer::Written(told)), Some(entry)) => {
            let known = entry.outcome.as_ref();
            let came_to_it = known.is_none_or(|outcome| outcome.as_ref() == Ok(told));
            if entry.session == session && came_to_it && fits(write, told, reply.zxid, 0, chronicle) {
                return Ok(());
            }
            let what = format!(
                "{write:?} of session {session} is acknowledged at {} with {told:?}; there session {} did what came to {known:?}",
                reply.zxid, entry.session
            );
            Err(("WritesHistory", what))
        }
        // What is refused by a server itself has no place in the sequence.
        (Err(told), Some(entry)) if entry.session == session && !OUTSIDE.contains(&told.code) => match &entry
            .outcome
        {
            Some(Err(outcome)) if outcome != told => {
                let what = format!("{write:?} is refused at {} with {told:?}, not {outcome:?}", reply.zxid);
                Err(("WritesHistory", what))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Whether `told` can be the answer to `write`. Its multi has `of` writes; 0 if it stands alone.
fn fits(write: &Write, told: &Written, zxid: Zxid, of: usize, chronicle: &Chronicle) -> bool {
    match (write, told) {
        (Write::Create { path, mode, .. }, Written::Created { path: made, stat }) if mode.sequential => {
            let number = made.as_str().strip_prefix(path.as_str());
            // Of a write that was sent again it says when it was executed; the parent may be another by now.
            let bound =
                made.parent_str().and_then(|parent| below(parent, stat.czxid.min(zxid), of, chronicle));
            number.is_some_and(|number| {
                number.len() == 10 && number.parse::<u64>().is_ok_and(|n| bound.is_none_or(|all| n < all))
            })
        }
        (Write::Create { path, .. }, Written::Created { path: made, .. }) => path.as_str() == made.as_str(),
        (Write::Delete { .. }, Written::Deleted)
        | (Write::SetData { .. }, Written::DataSet(_))
        | (Write::SetAcl { .. }, Written::AclSet(_))
        | (Write::Check { .. }, Written::Checked) => true,
        (Write::DeleteTree { limit, .. }, Written::TreeDeleted { count }) => count <= limit,
        (Write::Multi(writes), Written::Multi(told)) => {
            let of = writes.len();
            let mut pairs = writes.iter().zip(told);
            of == told.len() && pairs.all(|(write, told)| fits(write, told, zxid, of, chronicle))
        }
        _ => false,
    }
}

/// What the number of a sequential node that was created at `zxid` lies below, if that can be said. Later writes of its
/// multi may have been counted by then; and they may have replaced its parent, so that only the one before them tells.
fn below(parent: &str, zxid: Zxid, of: usize, chronicle: &Chronicle) -> Option<u64> {
    let after = chronicle.created_below(parent, zxid)?;
    let earlier = chronicle.created_below(parent, just_before(zxid));
    Some(if of == 0 { after } else { after.max(earlier.unwrap_or(0) + of as u64) })
}

#[cfg(test)]
#[path = "oracle_tests.rs"]
mod tests;
