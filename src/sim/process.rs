use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use crate::client::{Client, ClientOptions};
use crate::codec;
use crate::types::{ServerId, SessionId, Transaction, Txn, Zxid};

use super::{Actor, Fault, JoinHandle, World};

/// A client process of a [`World`]: what runs in it is killed and paused together.
#[derive(Clone)]
pub struct Process {
    world: World,
    number: u64,
}

impl Process {
    pub(super) fn new(world: World, number: u64) -> Self {
        Self { world, number }
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// A client in this process, of all servers, with defaults.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client_with(self.world.client_options())
    }

    /// A client in this process, of all servers, first one that is drawn from the seed.
    ///
    /// # Panics
    ///
    /// When the options cannot work.
    #[must_use]
    #[track_caller]
    pub fn client_with(&self, options: ClientOptions) -> Client {
        let mut servers: Vec<_> = self.world.servers().iter().map(super::Server::id).collect();
        let first = self.world.fork_rng().below(servers.len() as u64);
        servers.rotate_left(usize::try_from(first).unwrap_or(0));
        self.client_of(&servers, options)
    }

    /// A client in this process that is told of these servers only, in this order.
    ///
    /// # Panics
    ///
    /// When there are none or the options cannot work.
    #[must_use]
    #[track_caller]
    pub fn client_of(&self, servers: &[ServerId], options: ClientOptions) -> Client {
        let lines = self.world.lines(self.number);
        let connectors = servers.iter().filter_map(|server| Some(lines.as_ref()?.to(*server)));
        let made = Client::new(connectors, Arc::new(self.world.clock()), options);
        #[expect(clippy::expect_used, reason = "documented: a test that asks for the impossible stops")]
        let (client, driver) = made.expect("a client");
        self.world.inner().executor().spawn(Actor::Client(self.number), "client", driver);
        client
    }

    /// Starts a task in this process.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.world.inner().executor().spawn(Actor::Client(self.number), "task", future)
    }

    /// Ends all tasks of the process; its connections break.
    pub fn kill(&self) {
        self.world.inner().executor().kill(Actor::Client(self.number));
    }

    /// Stops the process for a while; time goes on.
    pub fn pause(&self) {
        self.world.inner().executor().pause(Actor::Client(self.number));
    }

    /// Lets the process go on.
    pub fn resume(&self) {
        self.world.inner().executor().resume(Actor::Client(self.number));
    }

    /// Breaks its connections.
    pub fn disconnect(&self) {
        self.world.apply(Fault::Disconnect(self.number));
    }

    /// Cuts it off from all servers, without anybody noticing by more than silence. Its sessions expire if it stays so.
    pub fn cut_off(&self) {
        self.world.apply(Fault::ExpireSession(self.number));
    }

    /// Cuts it off, and completes at the moment at which the quorum has committed the end of the sessions that it has: each,
    /// with the position of its end. Nobody can know of it earlier, and the process itself knows of it when it is let in again
    /// with [`reconnect`](Self::reconnect), or when it gives up.
    ///
    /// A session counts from when a server has given it, hence [`Client::connected`] first. One that has ended before does not
    /// count; with none this completes at once. While nobody leads, nobody expires sessions, and this waits.
    ///
    /// ```
    /// use quorate::sim;
    ///
    /// sim::check(0..3, async |world: sim::World| {
    ///     let (holder, other) = (world.process(), world.client());
    ///     let client = holder.client();
    ///     client.create("/lock", "").ephemeral().await.unwrap();
    ///     holder.expire_session().await;
    ///     assert!(other.exists("/lock").linearizable().await.unwrap().is_none());
    ///     assert!(!client.state().is_final(), "it does not know yet");
    /// });
    /// ```
    pub async fn expire_session(&self) -> BTreeMap<SessionId, Zxid> {
        self.cut_off();
        let Some(lines) = self.world.lines(self.number) else { return BTreeMap::new() };
        let checker = self.world.inner().checker();
        let (before, mut known) = checker.with_cluster(|cluster| (cluster.ghost.last(), 0));
        let mut ends = BTreeMap::new();
        poll_fn(|context| {
            checker.with_cluster(|cluster| {
                let news = cluster.ghost.behind_first(known);
                known += news.len();
                ends.extend(news.iter().filter_map(|(zxid, payload)| Some((ended_by(payload)?, *zxid))));
            });
            if lines.sessions().iter().all(|session| ends.contains_key(session)) {
                return Poll::Ready(());
            }
            checker.wake_at_commit(context.waker());
            Poll::Pending
        })
        .await;
        let own = lines.sessions();
        ends.retain(|session, end| own.contains(session) && *end > before);
        ends
    }

    /// Lets it reach the servers again.
    pub fn reconnect(&self) {
        self.world.apply(Fault::Reconnect(self.number));
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({})", self.number)
    }
}

/// The session that a transaction ends.
fn ended_by(payload: &[u8]) -> Option<SessionId> {
    let transaction: Transaction = codec::decode(payload).ok()?;
    matches!(transaction.txn, Txn::CloseSession { .. }).then_some(transaction.session)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{WorldConfig, same_twice};
    use super::*;
    use crate::client::{ClientError, SessionState};

    fn with_timeout(seconds: u64) -> ClientOptions {
        ClientOptions { session_timeout: Duration::from_secs(seconds), ..ClientOptions::new([7; 32]) }
    }

    fn run(seed: u64, test: impl AsyncFn(&World)) {
        let world = World::new(seed);
        world.run(test(&world)).unwrap();
        world.end();
    }

    #[test]
    fn an_expiry_is_awaited_to_the_moment_of_its_commit() {
        run(3, async |world| {
            let (holder, waiting) = (world.process(), world.client());
            let client = holder.client();
            client.create("/lock", "").ephemeral().await.unwrap();
            let mut lock = waiting.exists("/lock").watch().await.unwrap();
            let ended = holder.expire_session().await;
            let end = ended[&client.session_id().unwrap()];
            assert_eq!(ended.len(), 1);
            assert_eq!(world.counters().last_committed, end, "nothing was committed since");
            assert!(futures::poll!(&mut lock.watch).is_pending(), "the event has not arrived yet");
            assert_eq!(client.state(), SessionState::Disconnected);

            let moment = world.now();
            let event = lock.watch.await.unwrap();
            assert_eq!(event.zxid, end);
            assert!(world.now().since(moment) < Duration::from_millis(50));
            holder.reconnect();
            assert_eq!(client.sync().await, Err(ClientError::SessionExpired));
        });
    }

    #[test]
    fn all_sessions_of_the_process_have_ended() {
        run(4, async |world| {
            let process = world.process();
            let (long, short) = (process.client_with(with_timeout(8)), process.client_with(with_timeout(4)));
            let sessions = [long.connected().await.unwrap(), short.connected().await.unwrap()];
            let other = world.client().connected().await.unwrap();
            let ended = process.expire_session().await;
            assert!(sessions.iter().all(|session| ended.contains_key(session)), "{ended:?}");
            assert!(ended[&sessions[1]] < ended[&sessions[0]]);
            assert!(!ended.contains_key(&other));
        });
    }

    #[test]
    fn what_has_no_session_any_more_is_not_waited_for() {
        run(5, async |world| {
            let (new, old) = (world.process(), world.process());
            let closed = old.client();
            closed.connected().await.unwrap();
            closed.close().await.unwrap();
            let moment = world.now();
            assert_eq!(new.expire_session().await, BTreeMap::new());
            assert_eq!(old.expire_session().await, BTreeMap::new());
            assert_eq!(world.now(), moment);
        });
    }

    #[test]
    fn a_session_that_its_client_has_not_heard_of_is_waited_for() {
        run(6, async |world| {
            let process = world.process();
            let client = process.client();
            let given = || world.lines(process.number()).unwrap().sessions();
            while given().is_empty() {
                world.sleep(Duration::from_micros(10)).await;
            }
            assert_eq!(client.session_id(), None);
            assert_eq!(process.expire_session().await.len(), 1);
        });
    }

    #[test]
    fn one_seed_expires_at_one_moment() {
        let moments = std::sync::Mutex::new(Vec::new());
        let expires = async |world: World| {
            let process = world.process();
            process.client().connected().await.unwrap();
            process.expire_session().await;
            moments.lock().unwrap().push(world.now());
        };
        same_twice(7, &WorldConfig::default(), expires).unwrap();
        let moments = moments.into_inner().unwrap();
        assert_eq!(moments[0], moments[1]);
    }
}
