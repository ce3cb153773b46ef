use std::collections::VecDeque;
use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::client::{Client, ClientError, OneShotWatch, WatchStream};
use crate::types::{
    Acl, AclEntry, CreateMode, ErrorCode, Expected, Identity, Lifetime, Permissions, Read, RequestPath,
    SeededRng, Time, Ttl, Write, Zxid,
};

use super::check::Checker;
use super::registers::Registers;
use super::{Failure, JoinHandle, Process, World};

/// Random clients that do everything that clients can do, on few paths so that they meet. What they are told is
/// judged by the world's oracle; here only what a client alone can judge is: that its conditional writes are executed
/// exactly once, and that a linearizable read shows all that anybody had seen before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workload {
    /// How long each client waits between two steps, at most.
    pub pause: Duration,
    /// The session timeout that clients ask for.
    pub session_timeout: Duration,
    /// How many requests are under way at once, at most.
    pub pipeline: u64,
    /// The largest data of a node, in bytes.
    pub data_len: u64,
    /// How many steps each client takes in all.
    pub steps: u64,
    /// How many of a hundred steps use nodes of which every operation is recorded, for the check of linearizability.
    pub registers: u64,
    /// Whether quotas are set, and met.
    pub quotas: bool,
    /// Whether some data is as long as a server takes, or by one byte longer.
    pub huge: bool,
    /// How many children one node gets, for once.
    pub crowd: u64,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            pause: Duration::from_millis(200),
            session_timeout: Duration::from_secs(4),
            pipeline: 20,
            data_len: 200,
            steps: u64::MAX,
            registers: 0,
            quotas: false,
            huge: false,
            crowd: 0,
        }
    }
}

impl Workload {
    /// Starts `clients` processes that work until `until`, each of which ends when it has all its answers.
    pub fn start(&self, world: &World, clients: u64, until: Time) -> Vec<JoinHandle<()>> {
        let seen = Arc::new(Mutex::new(Zxid::ZERO));
        let workers = (0..clients).map(|_| {
            let process = world.process();
            let worker = Worker {
                options: self.clone(),
                weak: world.weak(),
                process: process.clone(),
                checker: world.inner().checker().clone(),
                registers: world.inner().registers.clone(),
                rng: world.fork_rng(),
                seen: Arc::clone(&seen),
                until,
            };
            // A handle of the world in a task of the world would keep both alive for ever; `World::end` frees them.
            process.spawn(worker.work())
        });
        workers.collect()
    }
}

struct Worker {
    options: Workload,
    weak: super::world::WeakWorld,
    process: Process,
    checker: Checker,
    registers: Registers,
    rng: SeededRng,
    /// The largest position that any client has seen.
    seen: Arc<Mutex<Zxid>>,
    until: Time,
}

/// What a client keeps between steps.
#[derive(Default)]
struct Kept {
    watches: VecDeque<OneShotWatch>,
    streams: VecDeque<WatchStream>,
    /// The version of the node that only this client writes.
    version: Option<i32>,
}

impl Worker {
    async fn work(mut self) {
        while self.now().is_some_and(|now| now < self.until) && self.options.steps > 0 {
            let Some(world) = self.weak.upgrade() else { return };
            let pause = Duration::from_millis(self.rng.below(200));
            let mut options = world.client_options();
            options.session_timeout = self.options.session_timeout;
            let client = self.process.client_with(options);
            let sleep = world.sleep(pause);
            drop(world);
            sleep.await;
            let ended = self.session(&client).await;
            if ended.is_ok() {
                // By closing or by just going away: the last handle closes too.
                if self.rng.chance(1, 2) {
                    let _whatever_it_says = client.close().await;
                }
            }
        }
    }

    fn now(&self) -> Option<Time> {
        self.weak.upgrade().map(|world| world.now())
    }

    async fn session(&mut self, client: &Client) -> Result<(), ClientError> {
        let mut kept = Kept::default();
        let own = format!("/own-{}-{}", self.process.number(), self.rng.below(1 << 40));
        client.create(own.as_str(), "").await?;
        kept.version = Some(0);
        if self.process.number() == 0 && self.options.crowd > 0 {
            let crowd = std::mem::take(&mut self.options.crowd);
            self.crowd(client, crowd).await?;
        }
        let steps = 1 + self.rng.below(200);
        for _ in 0..steps {
            if self.now().is_none_or(|now| now >= self.until) || self.options.steps == 0 {
                break;
            }
            self.options.steps -= 1;
            self.step(client, &own, &mut kept).await?;
            let micros = u64::try_from(self.options.pause.as_micros()).unwrap_or(u64::MAX);
            let pause = self.rng.below(micros.max(1)) >> self.rng.below(12);
            let Some(sleep) = self.weak.upgrade().map(|world| world.sleep(Duration::from_micros(pause)))
            else {
                break;
            };
            sleep.await;
        }
        Ok(())
    }

    async fn step(&mut self, client: &Client, own: &str, kept: &mut Kept) -> Result<(), ClientError> {
        if self.options.registers > 0 && self.rng.chance(self.options.registers, 100) {
            self.registers.operate(client, &mut self.rng).await?;
            return Ok(());
        }
        match self.rng.below(12) {
            0 => self.conditional(client, own, kept).await?,
            1 => self.linearizable(client).await?,
            2 => self.leave_watch(client, kept).await?,
            3 => self.follow_stream(client, kept).await?,
            4 => {
                let user = self.rng.below(3);
                tolerate(client.add_auth("digest", &format!("user{user}:secret")).await)?;
            }
            5 => {
                // Many at once; their order is theirs.
                let count = 1 + self.rng.below(self.options.pipeline.max(1));
                let calls: Vec<_> = (0..count).map(|_| self.call(client)).collect();
                for result in futures::future::join_all(calls).await {
                    tolerate(result)?;
                }
            }
            _ => tolerate(self.call(client).await)?,
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = (*seen).max(client.last_seen());
        Ok(())
    }

    /// Gives one node very many children, many in each transaction, and looks at them.
    async fn crowd(&mut self, client: &Client, all: u64) -> Result<(), ClientError> {
        let create = |path: String| {
            let (acl, mode) = (Acl::open(), CreateMode::PERSISTENT);
            Write::Create { path: path.as_str().into(), data: None, acl, mode }
        };
        tolerate(client.write(create("/crowd".to_owned())).await)?;
        for first in (0..all).step_by(500) {
            let some = first..all.min(first + 500);
            let creates = some.map(|number| create(format!("/crowd/{number}"))).collect();
            tolerate(client.write(Write::Multi(creates)).await)?;
        }
        tolerate(client.children("/crowd").await)?;
        let page = Read::ChildrenPage { path: "/crowd".into(), after: None, limit: 1_000 };
        tolerate(client.read(page).await)
    }

    /// A write that nobody else could make fail: if it does, the quorum executed an earlier one twice or lost it.
    async fn conditional(&mut self, client: &Client, own: &str, kept: &mut Kept) -> Result<(), ClientError> {
        let Some(version) = kept.version else { return Ok(()) };
        match client.set(own, self.rng.next_u64().to_string()).version(version).await {
            Ok(stat) if stat.version == version + 1 => kept.version = Some(stat.version),
            Err(ClientError::Refused(refusal)) if refusal.code == ErrorCode::Throttled => {}
            Err(error) if !matches!(error, ClientError::Refused(_)) => return Err(error),
            other => self.violated(
                "ExactlyOnce",
                format!("the only writer of {own} set it at version {version} and got {other:?}"),
            ),
        }
        Ok(())
    }

    async fn linearizable(&mut self, client: &Client) -> Result<(), ClientError> {
        let before = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = if self.rng.chance(1, 2) {
            client.sync().await.map(drop)
        } else {
            client.exists(self.path()).linearizable().await.map(drop)
        };
        let done = asked.is_ok();
        tolerate(asked)?;
        if done && client.last_seen() < before {
            let what = format!("a linearizable read shows {}, {before} had been seen", client.last_seen());
            self.violated("Linearizable", what);
        }
        Ok(())
    }

    async fn leave_watch(&mut self, client: &Client, kept: &mut Kept) -> Result<(), ClientError> {
        let path = self.path();
        let watch = match self.rng.below(3) {
            0 => client.get(path).watch().await.map(|watched| watched.watch),
            1 => client.exists(path).watch().await.map(|watched| watched.watch),
            _ => client.children(path).watch().await.map(|watched| watched.watch),
        };
        match watch {
            Ok(watch) => kept.watches.push_back(watch),
            other => tolerate(other.map(drop))?,
        }
        kept.watches.retain_mut(|watch| watch.now_or_never().is_none());
        if kept.watches.len() > 10 {
            kept.watches.pop_front();
        }
        Ok(())
    }

    async fn follow_stream(&mut self, client: &Client, kept: &mut Kept) -> Result<(), ClientError> {
        for stream in &mut kept.streams {
            while let Some(Some(_item)) = stream.next().now_or_never() {}
        }
        if kept.streams.len() < 3 {
            let watch = client.watch(self.path());
            let watch = if self.rng.chance(1, 2) { watch.recursive() } else { watch };
            match watch.await {
                Ok(stream) => kept.streams.push_back(stream),
                other => tolerate(other.map(drop))?,
            }
        } else if self.rng.chance(1, 3) {
            kept.streams.pop_front();
        }
        Ok(())
    }

    fn call(&mut self, client: &Client) -> BoxFuture<'static, Result<(), ClientError>> {
        match self.rng.below(10) {
            0..=5 => {
                let write = self.write(0);
                client.write(write).map(|result| result.map(drop)).boxed()
            }
            _ => {
                let read = self.read(0);
                let read = client.read(read);
                let call = match self.rng.below(4) {
                    0 => read.local(),
                    1 => read.linearizable(),
                    _ => read,
                };
                call.into_future().map(|result| result.map(drop)).boxed()
            }
        }
    }

    /// Limits for one of the subtrees that clients use.
    fn quota(&mut self) -> Write {
        const LIMITS: [&str; 4] = ["count=5,bytes=-1", "countHardLimit=9", "byteHardLimit=900", "nonsense"];
        let target = if self.rng.chance(1, 2) { "/a" } else { "/b" };
        let limits = usize::try_from(self.rng.below(4)).ok().and_then(|index| LIMITS.get(index));
        let data = limits.map(|limits| Bytes::from_static(limits.as_bytes()));
        let of = format!("/zookeeper/quota{target}");
        let at = format!("{of}/zookeeper_limits");
        let path: RequestPath = at.as_str().into();
        let (acl, mode) = (Acl::open(), CreateMode::PERSISTENT);
        match self.rng.below(5) {
            0 => Write::Create { path: of.as_str().into(), data: None, acl, mode },
            1 => Write::Delete { path, expected: Expected::Any },
            2 => Write::SetData { path, data, expected: Expected::Any },
            _ => Write::Create { path, data, acl, mode },
        }
    }

    fn write(&mut self, depth: u32) -> Write {
        if self.options.quotas && self.rng.chance(1, 12) {
            return self.quota();
        }
        let path = self.path();
        match self.rng.below(if depth == 0 { 12 } else { 10 }) {
            0..=4 => {
                let lifetime = match self.rng.below(8) {
                    0 | 1 => Lifetime::Ephemeral,
                    2 => Lifetime::Container,
                    3 => {
                        let span = Duration::from_millis(1 + self.rng.below(3_000));
                        Ttl::new(span).map_or(Lifetime::Persistent, Lifetime::Ttl)
                    }
                    _ => Lifetime::Persistent,
                };
                let mode = CreateMode { lifetime, sequential: self.rng.chance(1, 4) };
                Write::Create { path, data: self.data(), acl: self.acl(), mode }
            }
            5 | 6 => Write::SetData { path, data: self.data(), expected: self.expected() },
            7 => Write::Delete { path, expected: self.expected() },
            8 => Write::Check { path, expected: self.expected() },
            9 => match self.rng.below(4) {
                0 => Write::DeleteTree { path, limit: u32::try_from(self.rng.below(20)).unwrap_or(1) },
                // The root stays open, or soon nobody could do anything.
                _ if path.as_str() == "/" => Write::Check { path, expected: Expected::Any },
                _ => Write::SetAcl { path, acl: self.acl(), expected: Expected::Any },
            },
            _ => {
                let count = self.rng.below(5);
                Write::Multi((0..count).map(|_| self.write(depth + 1)).collect())
            }
        }
    }

    fn read(&mut self, depth: u32) -> Read {
        let path = self.path();
        match self.rng.below(if depth == 0 { 9 } else { 8 }) {
            0 | 1 => Read::Get { path },
            2 => Read::Exists { path },
            3 => Read::Children { path },
            4 => Read::ChildrenPage {
                path,
                after: None,
                limit: 1 + u32::try_from(self.rng.below(4)).unwrap_or(1),
            },
            5 => Read::Acl { path },
            6 => Read::Ephemerals { prefix: path },
            7 => Read::CountDescendants { path },
            _ => {
                let count = self.rng.below(4);
                Read::Many((0..count).map(|_| self.read(depth + 1)).collect())
            }
        }
    }

    /// One of few paths; sometimes one that is none.
    fn path(&mut self) -> RequestPath {
        const NAMES: [&str; 4] = ["a", "b", "c", "dd"];
        if self.rng.chance(1, 200) {
            return "not/a/path".into();
        }
        let depth = self.rng.below(4);
        let mut path = String::new();
        for _ in 0..depth {
            path.push('/');
            path.push_str(NAMES.get(usize::try_from(self.rng.below(4)).unwrap_or(0)).unwrap_or(&"a"));
        }
        if path.is_empty() { "/".into() } else { path.as_str().into() }
    }

    fn data(&mut self) -> Option<Bytes> {
        if self.rng.chance(1, 10) {
            return None;
        }
        if self.options.huge && self.rng.chance(1, 200) {
            // Right below, at and above what is taken.
            let length = (1 << 20) - 1 + usize::try_from(self.rng.below(3)).unwrap_or(0);
            return Some(vec![7; length].into());
        }
        let length = self.rng.below(self.options.data_len.max(1)) >> self.rng.below(6);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.rng.fill(&mut bytes);
        Some(bytes.into())
    }

    fn expected(&mut self) -> Expected {
        match self.rng.below(3) {
            0 => Expected::Version(i32::try_from(self.rng.below(3)).unwrap_or(0)),
            _ => Expected::Any,
        }
    }

    fn acl(&mut self) -> Acl {
        let anyone = |permissions| AclEntry { permissions, identity: Identity::anyone() };
        match self.rng.below(12) {
            0 => Acl::read_only(),
            1 => Acl::creator_only(),
            2 => Acl::new([anyone(Permissions::WRITE), anyone(Permissions::CREATE)]),
            3 => Acl::new([]),
            _ => Acl::open(),
        }
    }

    fn violated(&self, invariant: &'static str, what: String) {
        let Some(at) = self.now() else { return };
        let what = format!("C{}: {what}", self.process.number());
        self.checker.fail(Failure::Violated { at, invariant, what });
    }
}

/// A refusal is an answer like any other; anything else ends the session.
fn tolerate<T>(result: Result<T, ClientError>) -> Result<(), ClientError> {
    match result {
        Ok(_) | Err(ClientError::Refused(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "workload_tests.rs"]
mod tests;
