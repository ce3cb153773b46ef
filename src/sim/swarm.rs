use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::peer::{Limits, Timing};
use crate::storage::RecoveryPolicy;
use crate::types::{SeededRng, ServerId, Time};

use super::disk::Loss;
use super::{
    Aftermath, Case, Failure, FaultKind, Files, JoinHandle, Keep, Latency, Plan, RegisterCounters, Shape,
    Topology, TraceEvent, Workload, World, WorldConfig, WorldCounters,
};

/// How long a healed quorum may take, in virtual time, to elect a leader and commit a write. To become level it has five times that, as
/// long as the hindmost comes nearer.
const LIVELY: Duration = Duration::from_secs(60);

/// How long clients go on after the faults have ended.
const WORK_GOES_ON: Duration = Duration::from_secs(10);

/// What a [`Swarm`] demands of its worlds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// That nothing wrong happens under faults, and that a quorum comes to life when it is healed.
    #[default]
    Safety,
    /// After some faults, with the rest of the ensemble broken for good: leader, commits, answers, quiet.
    Liveness,
}

/// Random worlds: each seed draws its own ensemble, limits, clients, kinds of faults and rates.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// What is demanded.
    pub mode: Mode,
    /// The kinds of faults that a seed may draw from.
    pub kinds: Vec<FaultKind>,
    /// How long faults happen, in virtual time.
    pub span: Duration,
    /// What becomes of the events of the trace.
    pub keep: Keep,
}

impl Default for Swarm {
    fn default() -> Self {
        Self::new(Mode::Safety)
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
    /// In liveness mode, how the world was left.
    pub aftermath: Option<Aftermath>,
    /// How long it lasted in virtual time.
    pub lasted: Duration,
    /// What was counted.
    pub counters: WorldCounters,
    /// What the check of linearizability came to.
    pub registers: RegisterCounters,
    /// What went wrong.
    pub failure: Option<Failure>,
    /// The events that were kept.
    pub events: Vec<TraceEvent>,
}

impl Swarm {
    /// All kinds of faults, for as long as suits the mode.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        let span = match mode {
            Mode::Safety => Duration::from_secs(8),
            // Only to have a past: what is wrong afterwards matters.
            Mode::Liveness => Duration::from_secs(5),
        };
        Self { mode, kinds: FaultKind::ALL.to_vec(), span, keep: Keep::Nothing }
    }

    /// Runs one seed.
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
        // A disk that may have lost what was acknowledged must not be needed for a quorum.
        let sound = topology.voters.iter().copied().filter(|server| !plan.victims.contains(server)).collect();
        let longest = if rng.chance(1, 16) { 10 } else { 7 };
        // Worlds whose clients never rest take as long as ten others, so they are rare.
        let shortest = if rng.chance(1, 16) { 5 } else { 40 };
        let workload = Workload {
            pause: Duration::from_millis(shortest << rng.below(5)),
            session_timeout: Duration::from_millis(400 << rng.below(5)),
            pipeline: 1 << rng.below(longest),
            // The largest fill the least segment of the log alone.
            data_len: 1 << rng.below(if config.limits.snapshot_chunk >= 4096 { 14 } else { 12 }),
            registers: if rng.chance(1, 3) { 25 } else { 0 },
            quotas: rng.chance(1, 6),
            // In pieces of a few bytes neither would ever arrive.
            huge: config.limits.snapshot_chunk >= 4096 && rng.chance(1, 25),
            crowd: if config.limits.snapshot_chunk >= 4096 && rng.chance(1, 2_000) { 100_000 } else { 0 },
            ..Workload::default()
        };
        // Nobody wants anything for minutes, rarely for hours.
        let idle = match rng.below(3_000) {
            0 => Duration::from_secs(2 * 3_600),
            1..=10 => Duration::from_secs(600),
            _ => Duration::ZERO,
        };
        let aftermath = match self.mode {
            Mode::Safety => Aftermath::healed(draw_core(&mut rng, &topology, sound)),
            Mode::Liveness => Aftermath::draw(&mut rng, &topology, sound),
        };
        Case {
            seed,
            mode: self.mode,
            config,
            clients,
            workload,
            plan,
            until,
            work_until: until + WORK_GOES_ON,
            aftermath,
            lively: LIVELY,
            idle,
        }
    }
}

impl Case {
    /// Runs it: its faults while its clients work, and then what its mode demands.
    #[must_use]
    pub fn run(&self, keep: Keep) -> SwarmReport {
        self.run_watched(keep, |_| {})
    }

    /// As [`run`](Self::run), in a world that was first shown to `prepare`.
    pub(super) fn run_watched(&self, keep: Keep, prepare: impl FnOnce(&World)) -> SwarmReport {
        let world = World::with(self.seed, WorldConfig { keep, ..self.config.clone() });
        prepare(&world);
        // Whatever panics is a fault of what runs in the world, and is told like every other, with its seed.
        let judged = catch_unwind(AssertUnwindSafe(|| self.judge(&world)));
        let judged = judged.unwrap_or_else(|panic| Err(Failure::of_panic(world.now(), &*panic)));
        let report = SwarmReport {
            seed: self.seed,
            hash: world.trace_hash(),
            servers: (self.config.voters, self.config.observers),
            kinds: self.plan.kinds.clone(),
            aftermath: (self.mode == Mode::Liveness).then(|| self.aftermath.clone()),
            lasted: world.now().since(Time::ZERO),
            counters: world.counters(),
            registers: *judged.as_ref().unwrap_or(&RegisterCounters::default()),
            failure: judged.err(),
            events: world.trace().events(),
        };
        world.end();
        report
    }

    fn judge(&self, world: &World) -> Result<RegisterCounters, Failure> {
        world.schedule(&self.plan);
        let working = self.workload.start(world, self.clients, self.work_until);
        match self.mode {
            Mode::Safety => world.run(self.safety(world)),
            Mode::Liveness => world.run(self.liveness(world, working)),
        }??;
        world.judge_registers()
    }

    /// Faults; then a majority is healed, all else stays as broken as it is, and the majority must come to life.
    async fn safety(&self, world: &World) -> Result<(), Failure> {
        world.sleep_until(self.until).await;
        world.heal(&self.aftermath.core);
        world.demand_progress(&self.aftermath.core, self.lively).await?;
        if self.idle.is_zero() {
            return Ok(());
        }
        world.sleep(self.idle).await;
        world.demand_progress(&self.aftermath.core, self.lively).await
    }

    /// Faults; then a core is healed, all else is broken for good, and the core owes all that it can owe.
    async fn liveness(&self, world: &World, working: Vec<JoinHandle<()>>) -> Result<(), Failure> {
        let aftermath = &self.aftermath;
        world.sleep_until(self.until).await;
        world.heal(&aftermath.core);
        if aftermath.shape != Shape::Clique {
            // Who alone reaches a quorum must know all that was acknowledged: that a leader can be elected whose history is not the
            // newest, nobody promises. (SCN-35)
            world.demand_progress(&aftermath.core, self.lively).await?;
        }
        aftermath.inflict(world);
        world.demand_liveness(&aftermath.core, working, self.lively).await
    }
}

/// A majority of the voters, drawn from those that can be healed: with whatever disks they have.
fn draw_core(rng: &mut SeededRng, topology: &Topology, sound: Vec<ServerId>) -> Vec<ServerId> {
    let mut core = sound;
    while core.len() > topology.voters.len() / 2 + 1 {
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
        time_limit: Duration::from_secs(4 * 3_600),
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
        limits.log_window = 1 << rng.below(5);
    }
    if rng.chance(1, 2) {
        limits.snapshot_every = 1 << rng.below(7);
    }
    if rng.chance(1, 2) {
        limits.snapshot_chunk = 16 << rng.below(9);
    }
    if rng.chance(1, 4) {
        limits.last_counter = 3 + u32::try_from(rng.below(200)).unwrap_or(0);
    }
    if rng.chance(1, 4) {
        limits.outstanding = 1 << rng.below(4);
    }
    if rng.chance(1, 3) {
        limits.remembered_changes = usize::try_from(rng.below(20)).unwrap_or(0);
    }
    if rng.chance(1, 4) {
        limits.data_len = 100;
    }
    if rng.chance(1, 4) {
        limits.portion = 1 + rng.below(50);
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_in_a_world_is_a_failure_of_its_seed() {
        let swarm = Swarm { span: Duration::from_secs(1), ..Swarm::default() };
        let report = swarm.case(3).run_watched(Keep::Nothing, |world| {
            let later = world.clone();
            drop(world.spawn(async move {
                later.sleep(Duration::from_secs(1)).await;
                panic!("planted");
            }));
        });
        let at = Time::from_millis(1_000);
        assert_eq!(report.failure, Some(Failure::Panicked { at, what: "planted".to_owned() }));
        assert_eq!(report.seed, 3);
    }
}
