use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::codec;
use crate::peer::{Answer, Input, Limits, Output, ReadLevel, Reply, Request, WatchRequest};
use crate::tree::{Tree, TreeLimits};
use crate::types::{
    Caller, Change, ClientId, Identity, ServerId, SessionId, Time, Transaction, Txn, WatchEvent, Zxid,
};

use super::Failure;
use super::check::{Checker, Cluster, Seen};
use super::watch_oracle::WatchOracle;

/// Knows what every reply and every watch event must be: it replays the ghost's committed sequence in a tree of its own,
/// one for every server, as far as that server has come, and compares each reply whole.
///
/// (reliability of client-visible behaviour: linearizable writes, reads of one state, watch before data.)
#[derive(Clone)]
pub(super) struct Oracle {
    state: Arc<Mutex<State>>,
}

struct State {
    limits: Limits,
    servers: BTreeMap<ServerId, Replica>,
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
struct Replica {
    tree: Tree,
    at: Zxid,
    clients: BTreeMap<ClientId, Attached>,
    watches: WatchOracle,
}

struct Attached {
    caller: Caller,
    /// In the order in which they came.
    asked: VecDeque<(u64, Request)>,
}

impl Oracle {
    pub(super) fn new(limits: Limits) -> Self {
        let state = State { limits, servers: BTreeMap::new(), counters: OracleCounters::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The server's process has ended: nobody is attached to it.
    pub(super) fn down(&self, server: ServerId) {
        self.lock().servers.remove(&server);
    }

    pub(super) fn counters(&self) -> OracleCounters {
        self.lock().counters
    }

    pub(super) fn input(&self, server: ServerId, input: &Input) {
        let mut state = self.lock();
        let replica = state.replica(server);
        match input {
            Input::Connect(connect) => {
                let caller = Caller { session: SessionId::NONE, identities: connect.identities.clone() };
                replica.clients.insert(connect.client, Attached { caller, asked: VecDeque::new() });
            }
            Input::Request(request) => {
                if let Some(client) = replica.clients.get_mut(&request.client) {
                    if let Request::AddIdentity(identity) = &request.request {
                        client.caller.identities.push(identity.clone());
                    }
                    client.asked.push_back((request.tag, request.request.clone()));
                }
            }
            Input::Disconnect(client) => replica.forget(*client),
            _ => {}
        }
    }

    /// The server has applied everything up to `zxid`. Who hears of it was decided now, by what clients had proved to be.
    pub(super) fn applied(&self, at: Time, server: ServerId, zxid: Zxid, checker: &Checker) {
        let mut state = self.lock();
        let replica = state.replica(server);
        let judged = checker.with_cluster(|cluster| replica.advance(server, zxid, cluster));
        let judged = judged.and_then(|()| replica.watches.none_left(zxid));
        drop(state);
        if let Err((invariant, what)) = judged {
            checker.fail(Failure::Violated { at, invariant, what: format!("S{server}: {what}") });
        }
    }

    pub(super) fn output(&self, at: Time, server: ServerId, output: &Output, checker: &Checker) {
        match output {
            Output::Reply(Reply { zxid, .. }) | Output::Watch { event: WatchEvent { zxid, .. }, .. } => {
                checker.see(at, server, &Seen::Shown(*zxid));
            }
            _ => {}
        }
        let mut state = self.lock();
        let State { counters, .. } = &mut *state;
        let mut counted = *counters;
        let replica = state.replica(server);
        let judged = checker.with_cluster(|cluster| match output {
            Output::Connected(connected) => {
                if let Some(client) = replica.clients.get_mut(&connected.client) {
                    client.caller.session = connected.session;
                }
                Ok(())
            }
            Output::Reply(reply) => replica.judge_reply(server, reply, cluster, &mut counted),
            Output::Watch { client, event } => {
                replica.judge_event(server, *client, event, cluster, &mut counted)
            }
            Output::Closed { client, .. } => {
                replica.forget(*client);
                Ok(())
            }
            _ => Ok(()),
        });
        state.counters = counted;
        drop(state);
        if let Err((invariant, what)) = judged {
            checker.fail(Failure::Violated { at, invariant, what: format!("S{server}: {what}") });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn replica(&mut self, server: ServerId) -> &mut Replica {
        let Self { limits, servers, .. } = self;
        servers.entry(server).or_insert_with(|| Replica {
            tree: tree(limits),
            at: Zxid::ZERO,
            clients: BTreeMap::new(),
            watches: WatchOracle::default(),
        })
    }
}

type Judged = Result<(), (&'static str, String)>;

impl Replica {
    fn forget(&mut self, client: ClientId) {
        self.clients.remove(&client);
        self.watches.forget(client);
    }

    /// Replays what is committed up to `zxid`, as the history of this server has it, and expects the events of it.
    fn advance(&mut self, server: ServerId, zxid: Zxid, cluster: &Cluster) -> Judged {
        let history = cluster.servers.get(&server);
        let bounds = (std::ops::Bound::Excluded(self.at), std::ops::Bound::Unbounded);
        if zxid <= self.at {
            return Ok(());
        }
        for (next, payload) in cluster.ghost.committed.range(bounds).take_while(|(next, _)| **next <= zxid) {
            let transaction: Transaction = codec::decode(payload)
                .map_err(|error| ("Decodable", format!("the transaction at {next}: {error}")))?;
            let mut changes = Vec::new();
            apply(&mut self.tree, *next, &transaction, &mut changes);
            let clients = &self.clients;
            let identities = |client: ClientId| -> Vec<Identity> {
                clients.get(&client).map_or_else(Vec::new, |client| client.caller.identities.clone())
            };
            self.watches.expect(&changes, &identities);
            self.at = *next;
        }
        // What this server has not applied itself it cannot show, unless the ghost is behind it.
        let applied = history.is_some_and(|view| view.asked.covers(zxid));
        if self.at < zxid && !applied {
            return Err(("Integrity", format!("shows the state at {zxid}, which it does not have")));
        }
        Ok(())
    }

    fn judge_reply(
        &mut self,
        server: ServerId,
        reply: &Reply,
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
        let caller = client.caller.clone();
        match &request {
            Request::Write { write, .. } => {
                let committed = cluster.ghost.committed.get(&reply.zxid);
                if reply.result.is_ok() && committed.is_none() {
                    let what =
                        format!("{write:?} is acknowledged at {}, where nothing is committed", reply.zxid);
                    return Err(("AckedIsCommitted", what));
                }
                counters.writes += 1;
                self.advance(server, reply.zxid, cluster)?;
            }
            // A local read does not wait for its turn: others may have been answered from a later state.
            Request::Read { level: ReadLevel::Local, watch: false, .. } if reply.zxid < self.at => {}
            Request::Read { read, watch, .. } => {
                if reply.zxid < self.at {
                    let what = format!("{read:?} shows {} after {}", reply.zxid, self.at);
                    return Err(("ReadOrder", what));
                }
                self.advance(server, reply.zxid, cluster)?;
                let found = self.tree.read(&caller, read);
                let same = match (&reply.result, &found) {
                    (Ok(Answer::Found(shown)), Ok(found)) => shown == found,
                    (Err(refusal), Err(code)) => refusal.code == *code,
                    _ => false,
                };
                // A request can also be refused for reasons that are not the tree's.
                let judged = match &reply.result {
                    Err(refusal) => !OUTSIDE.contains(&refusal.code),
                    Ok(_) => true,
                };
                if judged && !same {
                    let what = format!(
                        "{read:?} at {} shows {:?}, but the committed history makes it {found:?}",
                        reply.zxid, reply.result
                    );
                    return Err(("ReadsHistory", what));
                }
                counters.reads += 1;
                if *watch && judged {
                    self.watches.read(reply.client, read, &found);
                }
            }
            Request::Watch(watch) => {
                self.advance(server, reply.zxid, cluster)?;
                if reply.result.is_ok() && !matches!(reply.result, Ok(Answer::Compacted { .. })) {
                    self.watches.asked(reply.client, &caller.identities, watch, &self.tree)?;
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
        cluster: &Cluster,
        counters: &mut OracleCounters,
    ) -> Judged {
        self.advance(server, event.zxid, cluster)?;
        counters.events += 1;
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

/// Refusals that do not come from the tree.
const OUTSIDE: [crate::types::ErrorCode; 4] = [
    crate::types::ErrorCode::SessionExpired,
    crate::types::ErrorCode::SessionMoved,
    crate::types::ErrorCode::Throttled,
    crate::types::ErrorCode::NotReadOnly,
];

fn tree(limits: &Limits) -> Tree {
    Tree::new(TreeLimits { data_len: limits.data_len, ..TreeLimits::default() })
}

fn apply(tree: &mut Tree, zxid: Zxid, transaction: &Transaction, changes: &mut Vec<Change>) {
    if !matches!(transaction.txn, Txn::CreateSession { .. } | Txn::Repeated) {
        // What came of it was told when it was answered.
        let _outcome = tree.apply(zxid, transaction.session, transaction.time, &transaction.txn, changes);
    }
}
