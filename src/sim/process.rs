use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::client::{Client, ClientOptions};
use crate::types::ServerId;

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
