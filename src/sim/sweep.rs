use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::types::ServerId;

use super::disk;
use super::{Failure, Fault, World, WorldConfig};

/// What happens to every operation of a disk that is swept.
const DISK_FAULTS: [disk::Fault; 7] = [
    disk::Fault::CrashBefore,
    disk::Fault::CrashAfter,
    disk::Fault::Torn,
    disk::Fault::Error,
    disk::Fault::ErrorMidway,
    disk::Fault::ErrorAfter,
    disk::Fault::Full,
];

/// How long a process that ended stays down.
const DOWN: Duration = Duration::from_millis(50);

/// How long the ensemble may take at the end, in virtual time, to commit a write. To become level it has five times that, as long as the
/// hindmost comes nearer.
const LIVELY: Duration = Duration::from_secs(60);

/// Runs one test again and again, each time with one fault at another operation of a disk or of the network: before, in the
/// middle of, and after every one of them.
///
/// The test runs once without a fault, to count its operations. A server that the fault ends is started again 50 ms later, its
/// disk repaired; those that the test itself stops are its own matter. At the end all servers must commit one more write and
/// come to one state. All invariants are checked in every run. The test itself must take errors as they come.
///
/// What a server does when it first opens an empty directory is not swept, nor are reads of disks and connections of clients.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The seed of all worlds: they differ in the fault alone.
    pub seed: u64,
    /// How the worlds are built.
    pub config: WorldConfig,
    /// Only every so many points are run.
    pub stride: usize,
}

/// Where something goes wrong, and what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SweepPoint {
    /// At the operation of a server's disk with this number, from 0.
    Disk(ServerId, u64, disk::Fault),
    /// At the frame between servers with this number, from 1.
    Frame(u64, FrameFault),
}

/// What happens at a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameFault {
    /// It is lost.
    Lose,
    /// It arrives twice.
    Repeat,
    /// The process of its sender ends before it is sent.
    CrashBefore,
    /// The process of its sender ends when it is sent.
    CrashAfter,
}

impl FrameFault {
    const ALL: [Self; 4] = [Self::Lose, Self::Repeat, Self::CrashBefore, Self::CrashAfter];
}

/// What a sweep saw.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct SweepReport {
    /// How many operations of disks the test has.
    pub disk_operations: u64,
    /// How many frames it sends between servers.
    pub frames: u64,
    /// How many points were run: each of those with each fault, or every so many of them.
    pub points: u64,
    /// In how many runs the fault came: in all of them, if the test repeats from its seed. A sweep that passes over points has
    /// shown nothing of them.
    pub reached: u64,
    /// What went wrong where.
    pub failures: Vec<(SweepPoint, Failure)>,
}

impl Default for Sweep {
    /// Three servers with limits so small that snapshots, purges and the ends of epochs come often.
    fn default() -> Self {
        let mut config = WorldConfig::default();
        config.limits.snapshot_every = 4;
        config.limits.snapshot_chunk = 256;
        config.limits.log_window = 2;
        config.limits.last_counter = 10;
        config.files.segment_len = 4_096;
        config.files.preallocate = 512;
        Self { seed: 1, config, stride: 1 }
    }
}

impl Sweep {
    /// Runs `test` once without a fault and once for each point.
    ///
    /// # Errors
    ///
    /// What went wrong in the run without a fault.
    pub fn run<F: Future<Output = ()>>(&self, test: impl Fn(World) -> F) -> Result<SweepReport, Failure> {
        let (operations, frames) = self.count(&test)?;
        let mut report = SweepReport {
            disk_operations: operations.iter().map(|(_, count)| count).sum(),
            frames,
            ..SweepReport::default()
        };
        let disks = operations.iter().flat_map(|(server, count)| {
            (0..*count).flat_map(|at| DISK_FAULTS.map(|fault| SweepPoint::Disk(*server, at, fault)))
        });
        let frames = (1..=frames).flat_map(|at| FrameFault::ALL.map(|fault| SweepPoint::Frame(at, fault)));
        for point in disks.chain(frames).step_by(self.stride.max(1)) {
            report.points += 1;
            match self.run_point(point, &test) {
                Ok(reached) => report.reached += u64::from(reached),
                Err(failure) => report.failures.push((point, failure)),
            }
        }
        Ok(report)
    }

    /// Runs `test` with this fault alone. Says whether it came.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub fn run_point<F: Future<Output = ()>>(
        &self,
        point: SweepPoint,
        test: impl Fn(World) -> F,
    ) -> Result<bool, Failure> {
        let world = World::with(self.seed, self.config.clone());
        let tripped = Arc::new(Mutex::new(None));
        match point {
            SweepPoint::Disk(server, at, fault) => {
                world.with_machine(server, |machine| {
                    machine.disk.surely_fail_at(machine.disk.operations() + 1 + at, fault)
                });
            }
            SweepPoint::Frame(at, fault) => {
                let (weak, tripped) = (world.weak(), Arc::clone(&tripped));
                world.network().trip(at, fault, move |server| {
                    *tripped.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
                    if let Some(world) = weak.upgrade() {
                        world.apply(Fault::Crash(server));
                    }
                });
            }
        }
        let all: Vec<_> = world.servers().into_iter().map(|server| server.id()).collect();
        start_again(&world, tripped);
        let outcome = world.run(async {
            test(world.clone()).await;
            world.heal(&all);
            world.demand_progress(&all, LIVELY).await
        });
        let reached = match point {
            SweepPoint::Disk(server, ..) => {
                world.with_machine(server, |machine| machine.disk.is_fault_sure()) == Some(false)
            }
            SweepPoint::Frame(at, _) => world.network().counters().sent >= at,
        };
        world.end();
        outcome?.map(|()| reached)
    }

    /// How many operations each disk sees, and how many frames the network, when nothing goes wrong.
    fn count<F: Future<Output = ()>>(
        &self,
        test: impl Fn(World) -> F,
    ) -> Result<(Vec<(ServerId, u64)>, u64), Failure> {
        let world = World::with(self.seed, self.config.clone());
        let operations = || -> Vec<_> {
            let servers = world.servers().into_iter().map(|server| server.id());
            let count = |server| world.with_machine(server, |machine| machine.disk.operations());
            servers.map(|server| (server, count(server).unwrap_or_default())).collect()
        };
        let before = operations();
        // As in the runs with a fault: they are the same until it comes.
        start_again(&world, Arc::default());
        let outcome = world.run(test(world.clone()));
        let during =
            before.iter().zip(operations()).map(|((server, before), (_, after))| (*server, after - before));
        let counted = (during.collect(), world.network().counters().sent);
        world.end();
        outcome.map(|()| counted)
    }
}

/// The life of a quorum in short: it is elected; a client writes, through several snapshots and the end of an epoch; a follower
/// and then the leader lose their power and come back; the client reads.
///
/// Errors are expected of it, and that it goes on.
pub async fn life_of_a_quorum(world: World) {
    let client = world.client();
    let _ = client.create("/life", "begins").await;
    for number in 0..4 {
        let _ = client.create(format!("/life/day-{number}").as_str(), "").await;
    }
    let leader = world.leader().await.id();
    if let Some(follower) = world.servers().into_iter().find(|server| server.id() != leader) {
        follower.power_loss();
        let _ = client.set("/life", "goes on").await;
        follower.restart();
    }
    for number in 4..9 {
        let _ = client.create(format!("/life/day-{number}").as_str(), "").await;
    }
    let leader = world.leader().await;
    leader.power_loss();
    let _ = client.delete("/life/day-1").await;
    leader.restart();
    let _ = client.set("/life", "ends").await;
    let _ = client.get("/life").await;
    let _ = client.close().await;
}

/// The life of those that are behind: the last server, an observer if there is one, is away while more is written than logs keep;
/// a follower comes back with an empty disk, and then another without what it had not synced; the client reads.
///
/// Errors are expected of it, and that it goes on.
pub async fn life_of_learners(world: World) {
    let client = world.client();
    let _ = client.create("/life", "begins").await;
    let away = world.servers().into_iter().next_back();
    if let Some(away) = &away {
        away.crash();
    }
    for number in 0..9 {
        let _ = client.create(format!("/life/day-{number}").as_str(), "").await;
    }
    let leader = world.leader().await.id();
    let mut followers = world.servers().into_iter().filter(|server| server.id() != leader);
    if let Some(emptied) = followers.next() {
        emptied.wipe_disk();
        emptied.restart();
    }
    if let Some(away) = &away {
        away.restart();
    }
    let _ = client.set("/life", "goes on").await;
    if let Some(forgetful) = followers.next() {
        forgetful.power_loss();
        forgetful.restart();
    }
    let _ = client.delete("/life/day-1").await;
    let _ = client.get("/life").await;
    let _ = client.close().await;
}

/// Starts servers again, their disks repaired, that have ended by themselves or were crashed at a frame.
fn start_again(world: &World, tripped: Arc<Mutex<Option<ServerId>>>) {
    let janitor = world.clone();
    world.spawn(async move {
        loop {
            janitor.sleep(DOWN).await;
            let crashed = tripped.lock().unwrap_or_else(PoisonError::into_inner).take();
            for server in janitor.servers().into_iter().filter(|server| !server.is_running()) {
                if server.ended().is_some() || crashed == Some(server.id()) {
                    janitor.apply(Fault::RepairDisk(server.id()));
                    server.restart();
                }
            }
        }
    });
}

impl fmt::Display for SweepPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(server, at, fault) => {
                write!(f, "{fault:?} at operation {at} of the disk of S{server}")
            }
            Self::Frame(at, fault) => write!(f, "{fault:?} at frame {at}"),
        }
    }
}
