use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::IntoFuture;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::executor::{LocalPool, LocalSpawner};
use futures::task::LocalSpawnExt as _;

use super::super::{Client, ClientOptions};

use crate::node::manual_clock::ManualClock;
use crate::node::{Attach, Clock, Connection, Connector, Delivery, OpenError, ServerEnd};
use crate::peer::{Answer, CloseReason, Connected, Reply, Request};
use crate::types::{
    ClientId, Epoch, ErrorCode, NumberedRequest, Password, RequestId, SessionId, Stat, WallTime, WatchEvent,
    WatchEventKind, Write, Written, ZnodePath, Zxid,
};

/// The session timeout that the scripted server grants.
pub(super) const TIMEOUT: Duration = Duration::from_secs(9);

/// A server of which a test plays the part.
#[derive(Clone, Default)]
pub(super) struct Server {
    ends: Arc<Mutex<VecDeque<(Attach, ServerEnd)>>>,
    pub(super) down: Arc<AtomicBool>,
}

impl Connector for Server {
    fn open(&self, attach: Attach) -> Result<Connection, OpenError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(OpenError::Stopped);
        }
        let (connection, end) = Connection::pair(ClientId::new(1), 512, 512);
        self.ends.lock().unwrap().push_back((attach, end));
        Ok(connection)
    }
}

/// A client, its servers, its clock and its executor.
pub(super) struct World {
    pub(super) pool: LocalPool,
    pub(super) spawner: LocalSpawner,
    pub(super) clock: ManualClock,
    pub(super) servers: Vec<Server>,
    pub(super) client: Client,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(1, ClientOptions { session_timeout: TIMEOUT, ..ClientOptions::new([7; 32]) })
    }

    pub(super) fn with(servers: usize, options: ClientOptions) -> Self {
        let pool = LocalPool::new();
        let spawner = pool.spawner();
        let clock = ManualClock::default();
        let servers: Vec<Server> = (0..servers).map(|_| Server::default()).collect();
        let connectors = servers.iter().map(|server| Arc::new(server.clone()) as Arc<dyn Connector>);
        let shared_clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let (client, driver) = Client::new(connectors, shared_clock, options).unwrap();
        spawner.spawn_local(driver).unwrap();
        Self { pool, spawner, clock, servers, client }
    }

    /// Lets everything run until nothing can.
    pub(super) fn run(&mut self) {
        self.pool.run_until_stalled();
    }

    /// Lets what happened take effect, then moves the clock, then lets that take effect.
    pub(super) fn advance(&mut self, span: Duration) {
        self.run();
        self.clock.advance(span);
        self.run();
    }

    /// What server `index` was asked to begin with; it has not answered yet.
    pub(super) fn attempt(&mut self, index: usize) -> Option<(Attach, Link)> {
        self.run();
        let (attach, end) = self.servers[index].ends.lock().unwrap().pop_front()?;
        Some((attach, Link { end: Some(end), zxid: 0 }))
    }

    /// Server 0 attaches the client, to session 0x77.
    pub(super) fn attach(&mut self) -> Link {
        self.attach_to(0)
    }

    pub(super) fn attach_to(&mut self, index: usize) -> Link {
        let (attach, mut link) = self.attempt(index).expect("the client asks this server");
        link.connect(&attach);
        self.run();
        link
    }

    /// Issues a call now, in this place of the order; what it comes to can be asked for later.
    pub(super) fn issue<T: 'static>(
        &mut self,
        call: impl IntoFuture<Output = T, IntoFuture: 'static>,
    ) -> Outcome<T> {
        let call = call.into_future();
        let outcome = Outcome(Rc::new(RefCell::new(None)));
        let told = outcome.clone();
        self.spawner.spawn_local(async move { *told.0.borrow_mut() = Some(call.await) }).unwrap();
        self.run();
        outcome
    }
}

/// What a call came to, if it came to anything yet.
pub(super) struct Outcome<T>(Rc<RefCell<Option<T>>>);

impl<T> Clone for Outcome<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Outcome<T> {
    pub(super) fn take(&self) -> Option<T> {
        self.0.borrow_mut().take()
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.borrow().is_none()
    }
}

/// The server's end of a connection, and the server's position.
pub(super) struct Link {
    end: Option<ServerEnd>,
    pub(super) zxid: u32,
}

impl Link {
    pub(super) fn connect(&mut self, attach: &Attach) {
        let resumed = attach.resume.is_some();
        self.deliver(Delivery::Connected(Connected {
            client: ClientId::new(1),
            session: SessionId::from_u64(0x77),
            password: Password::new([9; 16]),
            timeout_millis: TIMEOUT.as_millis() as u32,
            resumed,
        }));
    }

    /// The requests that have arrived.
    pub(super) fn requests(&mut self) -> Vec<(u64, Request)> {
        let inbound = &mut self.end.as_mut().expect("the link is open").inbound;
        std::iter::from_fn(|| inbound.next().now_or_never().flatten()).collect()
    }

    /// Whether the client has dropped the connection.
    pub(super) fn is_dropped(&mut self) -> bool {
        let inbound = &mut self.end.as_mut().expect("the link is open").inbound;
        inbound.next().now_or_never() == Some(None)
    }

    pub(super) fn deliver(&mut self, delivery: Delivery) {
        self.end.as_mut().expect("the link is open").outbound.deliver(delivery).unwrap();
    }

    /// Answers at the server's position.
    pub(super) fn answer(&mut self, tag: u64, answer: Answer) {
        self.reply(tag, Ok(answer));
    }

    pub(super) fn refuse(&mut self, tag: u64, code: ErrorCode) {
        self.reply(tag, Err(code));
    }

    pub(super) fn event(&mut self, at: Zxid, kind: WatchEventKind, path: &str) {
        self.deliver(Delivery::Watch(event(at, kind, path)));
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        self.end.take().expect("the link is open").outbound.close(reason);
    }

    fn reply(&mut self, tag: u64, result: Result<Answer, ErrorCode>) {
        let result = result.map_err(Into::into);
        let zxid = zxid(self.zxid);
        self.deliver(Delivery::Reply(Reply { client: ClientId::new(1), tag, zxid, result }));
    }
}

pub(super) fn zxid(counter: u32) -> Zxid {
    if counter == 0 { Zxid::ZERO } else { Zxid::new(Epoch::new(1), counter) }
}

pub(super) fn event(at: Zxid, kind: WatchEventKind, path: &str) -> WatchEvent {
    WatchEvent { zxid: at, kind, path: ZnodePath::parse(path).unwrap() }
}

pub(super) fn stat() -> Stat {
    Stat {
        czxid: zxid(1),
        mzxid: zxid(1),
        pzxid: zxid(1),
        ctime: WallTime::default(),
        mtime: WallTime::default(),
        version: 0,
        cversion: 0,
        aversion: 0,
        ephemeral_owner: SessionId::NONE,
        data_length: 0,
        num_children: 0,
    }
}

/// The answer to a `set`.
pub(super) fn set() -> Answer {
    Answer::Written(Written::DataSet(stat()))
}

/// The path and the number of a `set`.
pub(super) fn set_of(request: &Request) -> (String, NumberedRequest) {
    match request {
        Request::Write { write: Write::SetData { path, .. }, number: Some(number) } => {
            (path.as_str().to_owned(), *number)
        }
        other => panic!("no numbered set: {other:?}"),
    }
}

pub(super) fn number(id: u64, answered_below: u64) -> NumberedRequest {
    NumberedRequest { id: RequestId::new(id), answered_below: RequestId::new(answered_below) }
}
