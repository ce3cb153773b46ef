use std::time::Duration;

use crate::peer::{Limits, Timing};
use crate::storage::RecoveryPolicy;
use crate::types::{SeededRng, ServerId, Time};

use super::disk::Loss;
use super::{
    Case, Failure, FaultKind, Files, Keep, Latency, Plan, Topology, TraceEvent, Workload, World, WorldConfig,
    WorldCounters,
};

/// How long a healed quorum may take, in virtual time, to elect a leader, commit a write and become level.
const LIVELY: Duration = Duration::from_secs(60);

/// Random worlds: each seed draws its own ensemble, limits, clients, kinds of faults and rates.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// The kinds of faults that a seed may draw from.
    pub kinds: Vec<FaultKind>,
    /// How long faults happen, in virtual time.
    pub span: Duration,
    /// What becomes of the events of the trace.
    pub keep: Keep,
}

impl Default for Swarm {
    fn default() -> Self {
        Self { kinds: FaultKind::ALL.to_vec(), span: Duration::from_secs(15), keep: Keep::Nothing }
    }
}

/// What became of one seed.
#[derive(Clone, Debug)]
pub struct SwarmReport {
    /// The seed.
    pub seed: u64,
    /// The hash of all that happened.
    pub hash: u64,
    /// How many servers vote, and how many observe.
    pub servers: (u64, u64),
    /// The kinds of faults that were drawn.
    pub kinds: Vec<FaultKind>,
    /// How long it lasted in virtual time.
    pub lasted: Duration,
    /// What was counted.
    pub counters: WorldCounters,
    /// What went wrong.
    pub failure: Option<Failure>,
    /// The events that were kept.
    pub events: Vec<TraceEvent>,
}

impl Swarm {
    /// Runs one seed: first for safety, under faults; then for liveness, with a majority healed and all else
    /// as broken as it was.
    #[must_use]
    pub fn run(&self, seed: u64) -> SwarmReport {
        self.case(seed).run(self.keep)
    }

    /// The world that a seed draws.
    #[must_use]
    pub fn case(&self, seed: u64) -> Case {
        let mut rng = SeededRng::from_number(seed ^ 0x5377_6172_6d00_0000);
        let config = draw_config(&mut rng);
        let clients = 1 + rng.below(4);
        let topology = Topology::of(&config, clients);
        let start = Time::from_millis(rng.below(2_000));
        let until = start + self.span;
        let plan = Plan::draw(&mut rng, &topology, &self.kinds, start, until);
        let core = draw_core(&mut rng, &topology, &plan);
        let workload = Workload {
            pause: Duration::from_millis(5 << rng.below(7)),
            session_timeout: Duration::from_millis(400 << rng.below(5)),
            pipeline: 1 << rng.below(7),
            data_len: 1 << rng.below(12),
            ..Workload::default()
        };
        Case {
            seed,
            config,
            clients,
            workload,
            plan,
            until,
            work_until: until + LIVELY / 6,
            core,
            lively: LIVELY,
        }
    }
}

impl Case {
    /// Runs it: its faults while its clients work, then its core is healed and must come to life.
    #[must_use]
    pub fn run(&self, keep: Keep) -> SwarmReport {
        self.run_watched(keep, |_| {})
    }

    /// As [`run`](Self::run), in a world that was first shown to `prepare`.
    pub(super) fn run_watched(&self, keep: Keep, prepare: impl FnOnce(&World)) -> SwarmReport {
        let world = World::with(self.seed, WorldConfig { keep, ..self.config.clone() });
        prepare(&world);
        world.schedule(&self.plan);
        self.workload.start(&world, self.clients, self.work_until);
        let outcome = world.run(async {
            world.sleep_until(self.until).await;
            world.heal(&self.core);
            world.demand_progress(&self.core, self.lively).await
        });
        let failure = outcome.and_then(|lively| lively).err();
        let report = SwarmReport {
            seed: self.seed,
            hash: world.trace_hash(),
            servers: (self.config.voters, self.config.observers),
            kinds: self.plan.kinds.clone(),
            lasted: world.now().since(Time::ZERO),
            counters: world.counters(),
            failure,
            events: world.trace().events(),
        };
        world.end();
        report
    }
}

/// A majority of the voters, drawn from those that can be healed: with whatever disks they have.
fn draw_core(rng: &mut SeededRng, topology: &Topology, plan: &Plan) -> Vec<ServerId> {
    let mut core: Vec<_> = topology.voters.clone();
    let majority = core.len() / 2 + 1;
    // A disk that may have lost what was acknowledged must not be needed for a quorum.
    core.retain(|server| !plan.victims.contains(server));
    while core.len() > majority {
        let index = usize::try_from(rng.below(core.len() as u64)).unwrap_or(0);
        core.swap_remove(index);
    }
    core.sort_unstable();
    core
}

fn draw_config(rng: &mut SeededRng) -> WorldConfig {
    const VOTERS: [u64; 10] = [1, 2, 3, 3, 3, 3, 4, 5, 5, 7];
    let voters = VOTERS.get(usize::try_from(rng.below(10)).unwrap_or(0)).copied().unwrap_or(3);
    let observers = if rng.chance(1, 3) { 1 + rng.below(2) } else { 0 };
    WorldConfig {
        voters,
        observers,
        timing: Timing::default(),
        limits: draw_limits(rng),
        disk_latency: Latency {
            min: Duration::from_micros(rng.below(1_000)),
            spread: Duration::from_micros(1 << rng.below(16)),
            ..Latency::default()
        },
        files: draw_files(rng),
        client_latency: Latency { spread: Duration::from_micros(1 << rng.below(15)), ..Latency::default() },
        ..WorldConfig::default()
    }
}

fn draw_files(rng: &mut SeededRng) -> Files {
    Files {
        loss: if rng.chance(1, 2) { Loss::Ordered } else { Loss::Adversarial },
        recovery: RecoveryPolicy::Resynchronise,
        segment_len: 4096 << rng.below(8),
        preallocate: 512 << rng.below(6),
        snapshots_kept: 1 + usize::try_from(rng.below(3)).unwrap_or(0),
    }
}

/// Tiny limits reach corners far sooner than long runs.
fn draw_limits(rng: &mut SeededRng) -> Limits {
    let mut limits = Limits::default();
    if rng.chance(1, 2) {
        limits.log_window = 1 + usize::try_from(rng.below(20)).unwrap_or(0);
    }
    if rng.chance(1, 2) {
        limits.snapshot_every = 1 + rng.below(100);
    }
    if rng.chance(1, 2) {
        limits.snapshot_chunk = 16 << rng.below(9);
    }
    if rng.chance(1, 4) {
        limits.last_counter = 3 + u32::try_from(rng.below(200)).unwrap_or(0);
    }
    if rng.chance(1, 4) {
        limits.outstanding = 1 + usize::try_from(rng.below(10)).unwrap_or(0);
    }
    if rng.chance(1, 3) {
        limits.remembered_changes = usize::try_from(rng.below(20)).unwrap_or(0);
    }
    if rng.chance(1, 4) {
        limits.data_len = 100;
    }
    limits
}
