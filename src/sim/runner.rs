use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{Failure, Keep, World, WorldConfig};

/// How many events before a failure are shown.
const SHOWN: usize = 60;

/// Runs a test in one world of three servers for each seed; for the `#[test]` functions of services that embed a
/// quorum.
///
/// The test panics to say that it failed. It is given the world, and asks it for clients and faults.
///
/// ```
/// use quorate::sim;
///
/// sim::check(0..3, async |world: sim::World| {
///     let (one, other) = (world.client(), world.client());
///     one.create("/here", "").ephemeral().await.unwrap();
///     one.close().await.unwrap();
///     other.sync().await.unwrap();
///     assert!(other.exists("/here").await.unwrap().is_none());
/// });
/// ```
///
/// # Panics
///
/// When a test panics or a world fails; it names the seed, and shows what happened last.
#[track_caller]
pub fn check<F: Future<Output = ()>>(seeds: impl IntoIterator<Item = u64>, test: impl Fn(World) -> F) {
    check_with(seeds, &WorldConfig::default(), test);
}

/// As [`check`], in worlds of this kind.
///
/// # Panics
///
/// When a test panics or a world fails; it names the seed, and shows what happened last.
#[track_caller]
pub fn check_with<F: Future<Output = ()>>(
    seeds: impl IntoIterator<Item = u64>,
    config: &WorldConfig,
    test: impl Fn(World) -> F,
) {
    for seed in seeds {
        let config = WorldConfig { keep: Keep::Last(SHOWN), ..config.clone() };
        let world = World::with(seed, config);
        let ran = catch_unwind(AssertUnwindSafe(|| world.run(test(world.clone()))));
        let failed = match &ran {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure.to_string()),
            Err(_) => Some("the test panicked".to_owned()),
        };
        if let Some(failure) = failed {
            tell(&world, &failure);
            world.end();
            match ran {
                Err(panic) => resume_unwind(panic),
                #[expect(clippy::panic, reason = "documented: a failed check fails its test")]
                _ => panic!("seed {seed}: {failure}"),
            }
        }
        world.end();
    }
}

/// Runs a test twice in one world each and compares what happened: a test that is deterministic has one hash.
///
/// # Errors
///
/// [`Failure::Diverged`] when the two runs differ, and whatever made one of them fail.
pub fn same_twice<F: Future<Output = ()>>(
    seed: u64,
    config: &WorldConfig,
    test: impl Fn(World) -> F,
) -> Result<u64, Failure> {
    let run = || {
        let world = World::with(seed, config.clone());
        let ran = world.run(test(world.clone()));
        let hash = world.trace_hash();
        world.end();
        ran.map(|()| hash)
    };
    let (first, second) = (run()?, run()?);
    if first == second { Ok(first) } else { Err(Failure::Diverged { seed, first, second }) }
}

#[expect(clippy::print_stderr, reason = "a failed check tells what led to it")]
fn tell(world: &World, failure: &str) {
    eprintln!("seed {} at {}: {failure}; what happened last:", world.seed(), world.now());
    for event in world.trace().events() {
        eprintln!("{event}");
    }
}
