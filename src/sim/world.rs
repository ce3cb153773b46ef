use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::client::ClientOptions;
use crate::peer::{Ensemble, Limits, Role, Timing};
use crate::types::{SeededRng, ServerId, Time};

use super::check::Checker;
use super::connector::Lines;
use super::coverage::Coverage;
use super::disk::FaultsMet;
use super::leases::Leases;
use super::machine::{Files, Machine};
use super::oracle::Oracle;
use super::registers::Registers;
use super::sessions::SessionCheck;
use super::{
    Actor, Executor, Failure, JoinHandle, Keep, Latency, LinkFaults, Network, Process, Server, SimClock,
    Sleep, Step, Trace, WorldCounters,
};

/// How a world is built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorldConfig {
    /// How many servers vote; they are numbered from 1.
    pub voters: u64,
    /// How many observe; their numbers follow.
    pub observers: u64,
    /// The spans that the servers go by.
    pub timing: Timing,
    /// What may grow how far in the servers.
    pub limits: Limits,
    /// What links between servers do to frames from the start.
    pub links: LinkFaults,
    /// How long a request or an answer travels between a client and a server.
    pub client_latency: Latency,
    /// How long an operation of a disk takes.
    pub disk_latency: Latency,
    /// How the servers keep their files, and what their disks do to them.
    pub files: Files,
    /// Whether the order of tasks that are ready is drawn from the seed.
    pub shuffle: bool,
    /// What becomes of the events of the trace.
    pub keep: Keep,
    /// How much virtual time [`World::run`] gives what it runs.
    pub time_limit: Duration,
}

impl Default for WorldConfig {
    /// Three servers on a good network.
    fn default() -> Self {
        Self {
            voters: 3,
            observers: 0,
            timing: Timing::default(),
            limits: Limits::default(),
            links: LinkFaults::default(),
            client_latency: Latency::default(),
            disk_latency: Latency::default(),
            files: Files::default(),
            shuffle: true,
            keep: Keep::Nothing,
            time_limit: Duration::from_secs(600),
        }
    }
}

/// Servers, clients, their network, disks and clocks, in one thread, on virtual time, from one seed.
///
/// The servers run the production [`Node`](crate::node::Node) over the production codec; clients are the
/// production [`Client`](crate::client::Client). What is simulated is what they stand on. All that happens repeats exactly from the
/// seed, so a test that failed once fails again, and can be traced.
///
/// A clone is another handle to the same world.
///
/// ```
/// use std::time::Duration;
///
/// use quorate::sim::{Failure, World};
///
/// # fn main() -> Result<(), Failure> {
/// let world = World::new(7);
/// world.run(async {
///     let client = world.client();
///     client.create("/motto", "many hands").await.unwrap();
///     world.leader().await.crash();
///     client.set("/motto", "make light work").await.unwrap();
/// })?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct World {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    seed: u64,
    pub(super) config: WorldConfig,
    pub(super) ensemble: Ensemble,
    executor: Executor,
    pub(super) trace: Trace,
    pub(super) network: Network,
    checker: Checker,
    pub(super) oracle: Oracle,
    sessions: SessionCheck,
    pub(super) leases: Leases,
    pub(super) registers: Registers,
    pub(super) coverage: Coverage,
    state: Mutex<State>,
    running: AtomicBool,
}

pub(super) struct State {
    pub(super) rng: SeededRng,
    pub(super) machines: BTreeMap<ServerId, Machine>,
    pub(super) processes: BTreeMap<u64, Lines>,
    faults: BTreeMap<&'static str, u64>,
}

impl World {
    /// Three servers on a good network, started.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(seed, WorldConfig::default())
    }

    /// The world that `config` describes, its servers started.
    #[must_use]
    pub fn with(seed: u64, config: WorldConfig) -> Self {
        let mut rng = SeededRng::from_number(seed);
        let executor = Executor::new(rng.fork(), config.shuffle);
        let trace = Trace::new(config.keep);
        let network = Network::new(executor.clone(), trace.clone(), rng.fork());
        network.set_all_faults(config.links);
        let voters = (1..=config.voters).map(ServerId::new);
        let observers = (config.voters + 1..=config.voters + config.observers).map(ServerId::new);
        let ensemble = Ensemble::majority(voters).with_observers(observers);
        let checker = Checker::new(ensemble.members().map(|(server, member)| (server, member.voting)));
        let machines = ensemble
            .members()
            .map(|(server, _)| {
                let machine = Machine::new(server, SimClock::new(executor.clone()), config.files);
                (server, machine)
            })
            .collect();
        let coverage = Coverage::new();
        let state = State { rng, machines, processes: BTreeMap::new(), faults: BTreeMap::new() };
        let world = Self {
            inner: Arc::new(Inner {
                seed,
                oracle: Oracle::new(&config.limits, coverage.clone()),
                coverage,
                leases: Leases::new(config.timing.tick),
                registers: Registers::default(),
                sessions: SessionCheck::new(checker.clone()),
                config,
                ensemble,
                executor,
                trace,
                network,
                checker,
                state: Mutex::new(state),
                running: AtomicBool::new(false),
            }),
        };
        for server in world.servers() {
            server.restart();
        }
        world
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// Virtual time since the world was built.
    #[must_use]
    pub fn now(&self) -> Time {
        self.inner.executor.now()
    }

    /// A true clock, for code that wants one.
    #[must_use]
    pub fn clock(&self) -> SimClock {
        SimClock::new(self.inner.executor.clone())
    }

    /// Completes after a span of virtual time.
    pub fn sleep(&self, span: Duration) -> Sleep {
        self.inner.executor.sleep(span)
    }

    /// What `future` gives, or `None` if that takes longer than `span` of virtual time.
    pub async fn timeout<T>(&self, span: Duration, future: impl Future<Output = T>) -> Option<T> {
        match futures::future::select(pin!(future), self.sleep(span)).await {
            futures::future::Either::Left((value, _)) => Some(value),
            futures::future::Either::Right(_) => None,
        }
    }

    /// Starts a task that belongs to no process.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.inner.executor.spawn(Actor::World, "task", future)
    }

    /// The servers, voters first.
    #[must_use]
    pub fn servers(&self) -> Vec<Server> {
        self.inner.ensemble.members().map(|(server, _)| Server::new(self.clone(), server)).collect()
    }

    /// A server by its number, from 1.
    ///
    /// # Panics
    ///
    /// When the world has no such server.
    #[must_use]
    #[track_caller]
    pub fn server(&self, number: u64) -> Server {
        let server = ServerId::new(number);
        assert!(self.inner.ensemble.member(server).is_some(), "the world has no server {number}");
        Server::new(self.clone(), server)
    }

    /// The network between the servers.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.inner.network
    }

    /// The established leader: of several that think they lead, the one of the newest epoch.
    #[must_use]
    pub fn current_leader(&self) -> Option<Server> {
        let leader = self.inner.checker.with_cluster(|cluster| {
            cluster
                .servers
                .values()
                .filter_map(|view| view.status.as_ref())
                .filter(|status| status.role == Role::Leading && status.serving)
                .max_by_key(|status| status.epoch)
                .map(|status| status.server)
        });
        leader.map(|server| Server::new(self.clone(), server))
    }

    /// Waits for an established leader.
    pub async fn leader(&self) -> Server {
        loop {
            if let Some(leader) = self.current_leader() {
                return leader;
            }
            self.sleep(Duration::from_millis(5)).await;
        }
    }

    /// A new client process, which reaches all servers.
    #[must_use]
    pub fn process(&self) -> Process {
        let mut state = self.lock();
        let number = state.processes.len() as u64;
        let lines = Lines::new(
            number,
            self.inner.executor.clone(),
            self.inner.trace.clone(),
            self.inner.sessions.clone(),
            self.inner.config.client_latency,
            state.rng.fork(),
        );
        for (server, machine) in &state.machines {
            lines.set_node(*server, machine.node.clone());
        }
        state.processes.insert(number, lines);
        drop(state);
        Process::new(self.clone(), number)
    }

    /// A client process by its number, from 0.
    #[must_use]
    pub fn process_numbered(&self, number: u64) -> Option<Process> {
        self.lock().processes.contains_key(&number).then(|| Process::new(self.clone(), number))
    }

    /// A client in a process of its own, which reaches all servers.
    #[must_use]
    pub fn client(&self) -> crate::client::Client {
        self.process().client()
    }

    /// Runs the world until `future` completes.
    ///
    /// # Errors
    ///
    /// When an invariant is violated, a server stops by itself without an excuse, the world stalls or leaks, nothing can happen any
    /// more, or the time limit is over.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        if self.inner.running.swap(true, Ordering::Relaxed) {
            return Err(Failure::Misused("`run` was called from within `run`".to_owned()));
        }
        let result = self.drive(future);
        self.inner.running.store(false, Ordering::Relaxed);
        result
    }

    /// Runs the world for a span of virtual time.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_for(&self, span: Duration) -> Result<(), Failure> {
        self.run(self.sleep(span))
    }

    /// Kills everything, and drops what is left of it. A world whose tasks hold handles to it is only freed by this.
    pub fn end(&self) {
        let state = self.lock();
        let processes: Vec<_> = state.processes.keys().copied().collect();
        drop(state);
        for number in processes {
            self.inner.executor.kill(Actor::Client(number));
        }
        for server in self.servers() {
            self.inner.executor.kill(Actor::Server(server.id()));
        }
        self.inner.executor.kill(Actor::World);
        self.inner.executor.clear_timers();
        let mut state = self.lock();
        let nodes: Vec<_> = state.machines.values_mut().filter_map(|machine| machine.node.take()).collect();
        state.processes.clear();
        drop(state);
        drop(nodes);
    }

    /// The hash of all that happened. Equal seeds and equal tests have equal hashes.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.inner.trace.hash()
    }

    /// All that happened, as far as it was kept.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.inner.trace
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> WorldCounters {
        let committed =
            self.inner.checker.with_cluster(|cluster| (cluster.ghost.len() as u64, cluster.ghost.last()));
        WorldCounters {
            executor: self.inner.executor.counters(),
            network: self.inner.network.counters(),
            oracle: self.inner.oracle.counters(),
            checks: self.inner.checker.checks(),
            committed: committed.0,
            last_committed: committed.1,
            events: self.inner.trace.count(),
            faults: self.faults(),
            coverage: self.inner.coverage.hits(),
            epochs: self.inner.checker.with_cluster(|cluster| cluster.led.len() as u64),
        }
    }

    /// What was done to the world, and what of that which was planned for its disks has come.
    fn faults(&self) -> BTreeMap<&'static str, u64> {
        let state = self.lock();
        let mut faults = state.faults.clone();
        for machine in state.machines.values() {
            let FaultsMet { io_errors, fsync_errors, full, torn, .. } = machine.disk.faults_met();
            for (name, count) in [
                ("io_error", io_errors),
                ("fsync_error", fsync_errors),
                ("disk_full", full),
                ("torn_write", torn),
            ] {
                if count > 0 {
                    *faults.entry(name).or_default() += count;
                }
            }
        }
        faults
    }

    fn drive<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let executor = &self.inner.executor;
        let until = executor.now() + self.inner.config.time_limit;
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut future = pin!(future);
        loop {
            if woken.0.swap(false, Ordering::Relaxed)
                && let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                self.inner.checker.finish(executor.now());
                return self.inner.checker.failure().map_or(Ok(value), Err);
            }
            if let Some(failure) = self.inner.checker.failure() {
                return Err(failure);
            }
            if executor.step(until)? == Step::Idle && !woken.0.load(Ordering::Relaxed) {
                let at = executor.now();
                return Err(if executor.has_timers() {
                    Failure::TooSlow { at, what: "what `run` was given".to_owned() }
                } else {
                    Failure::Deadlocked { at, what: "what `run` was given" }
                });
            }
        }
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(super) fn weak(&self) -> WeakWorld {
        WeakWorld { inner: Arc::downgrade(&self.inner) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with_machine<T>(
        &self,
        server: ServerId,
        work: impl FnOnce(&mut Machine) -> T,
    ) -> Option<T> {
        self.lock().machines.get_mut(&server).map(work)
    }

    pub(super) fn lines(&self, process: u64) -> Option<Lines> {
        self.lock().processes.get(&process).cloned()
    }

    pub(super) fn fork_rng(&self) -> SeededRng {
        self.lock().rng.fork()
    }

    pub(super) fn count_fault(&self, name: &'static str) {
        *self.lock().faults.entry(name).or_default() += 1;
    }

    pub(super) fn client_options(&self) -> ClientOptions {
        let mut seed = [0; 32];
        self.lock().rng.fill(&mut seed);
        ClientOptions::new(seed)
    }

    pub(super) fn note(
        &self,
        actor: Actor,
        kind: &'static str,
        numbers: &[u64],
        detail: impl FnOnce() -> String,
    ) {
        self.inner.trace.note(self.now(), actor, kind, numbers, detail);
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.inner.seed)
            .field("now", &self.now())
            .field("trace", &self.inner.trace)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn executor(&self) -> &Executor {
        &self.executor
    }

    pub(super) fn checker(&self) -> &Checker {
        &self.checker
    }
}

/// A handle that does not keep a world alive, for what the world itself holds.
#[derive(Clone)]
pub(super) struct WeakWorld {
    inner: Weak<Inner>,
}

impl WeakWorld {
    pub(super) fn upgrade(&self) -> Option<World> {
        self.inner.upgrade().map(|inner| World { inner })
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
