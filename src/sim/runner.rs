use std::fs;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use super::{Failure, Keep, Page, World, WorldConfig};

/// How many events before a failure are shown.
const SHOWN: usize = 60;

/// How many events before a failure its page is made of.
const RECORDED: usize = 200_000;

/// The variable of the environment that names a folder for pages.
const PAGES: &str = "QUORATE_PAGES";

/// The variable of the environment that names the only seed to run.
const SEED: &str = "QUORATE_SEED";

/// Runs a test in one world of three servers for each seed; for the `#[test]` functions of services that embed a
/// quorum.
///
/// The test panics to say that it failed. It is given the world, and asks it for clients and faults.
///
/// Where the environment names a folder in `QUORATE_PAGES`, a test that fails is run again, recorded, and leaves there
/// a [`Page`] that shows what happened. Where it has a number in `QUORATE_SEED`, that seed is run, and no other.
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
/// When a test panics or a world fails; it names the seed, and shows what happened last. When `QUORATE_SEED` is no number.
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
    let only = std::env::var_os(SEED).map(|only| only_seed(&only.to_string_lossy()));
    let seeds = seeds.into_iter().take_while(|_| only.is_none());
    for seed in only.into_iter().chain(seeds) {
        let config = WorldConfig { keep: Keep::Last(SHOWN), ..config.clone() };
        let world = World::with(seed, config.clone());
        let ran = catch_unwind(AssertUnwindSafe(|| world.run(test(world.clone()))));
        let failed = match &ran {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure.to_string()),
            Err(_) => Some("the test panicked".to_owned()),
        };
        if let Some(failure) = failed {
            tell(&world, &failure);
            world.end();
            match std::env::var_os(PAGES) {
                Some(folder) => leave_page(Path::new(&folder), seed, &config, &test),
                None => hint(seed),
            }
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

/// Runs a test that failed once more, and writes the page of it.
#[expect(clippy::print_stderr, reason = "a failed check says where its page is")]
fn leave_page<F: Future<Output = ()>>(
    folder: &Path,
    seed: u64,
    config: &WorldConfig,
    test: impl Fn(World) -> F,
) {
    let world = World::with(seed, WorldConfig { keep: Keep::Last(RECORDED), ..config.clone() });
    let ran = catch_unwind(AssertUnwindSafe(|| world.run(test(world.clone()))));
    let outcome = ran.unwrap_or_else(|panic| Err(Failure::of_panic(world.now(), &*panic)));
    let page = Page::of(&world, outcome.as_ref().err());
    world.end();
    let name = std::thread::current().name().unwrap_or("test").replace("::", "-");
    let file = folder.join(format!("{name}-seed-{seed}.html"));
    match fs::create_dir_all(folder).and_then(|()| fs::write(&file, page.to_string())) {
        Ok(()) => eprintln!("what happened is shown in {}", file.display()),
        Err(error) => eprintln!("no page was written to {}: {error}", file.display()),
    }
}

#[expect(clippy::print_stderr, reason = "a failed check says how to see more")]
fn hint(seed: u64) {
    eprintln!(
        "{SEED}={seed} runs this seed alone; set {PAGES} to a folder for a page that shows what happened"
    );
}

/// The seed that the environment asks for.
#[expect(clippy::panic, reason = "documented: another seed than the one asked for would show nothing")]
fn only_seed(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|error| panic!("{SEED}={text}: {error}"))
}

#[expect(clippy::print_stderr, reason = "a failed check tells what led to it")]
fn tell(world: &World, failure: &str) {
    eprintln!("seed {} at {}: {failure}; what happened last:", world.seed(), world.now());
    for event in world.trace().events() {
        eprintln!("{event}");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_test_that_does_something_else_the_second_time_is_found() {
        let config = WorldConfig::default();
        let runs = Cell::new(0);
        let changes = async |world: World| {
            runs.set(runs.get() + 1);
            world.server(runs.get()).crash();
        };
        match same_twice(5, &config, changes) {
            Err(Failure::Diverged { seed: 5, first, second }) => assert_ne!(first, second),
            other => panic!("{other:?}"),
        }
        assert!(same_twice(5, &config, async |world: World| world.server(1).crash()).is_ok());
    }

    #[test]
    fn the_only_seed_is_a_number() {
        assert_eq!(only_seed(" 51 "), 51);
        let wrong = catch_unwind(|| only_seed("all"));
        assert!(
            wrong.is_err_and(|panic| panic.downcast_ref::<String>().is_some_and(|what| what.contains("all")))
        );
    }

    #[test]
    fn a_test_that_panics_leaves_a_page_with_what_it_said() {
        let folder = std::env::temp_dir().join(format!("quorate-pages-{}", std::process::id()));
        let config = WorldConfig::default();
        leave_page(&folder, 5, &config, async |world: World| {
            let leader = world.leader().await;
            assert_eq!(leader.id().number(), 0, "nobody is the zeroth");
        });
        let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let page = fs::read_to_string(&files[0]).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(files.len(), 1);
        assert!(files[0].to_string_lossy().ends_with("-seed-5.html"), "{files:?}");
        assert!(page.contains("\"name\":\"Panicked\",\"what\":\"assertion"), "the page does not say it");
        assert!(page.contains("nobody is the zeroth"));
    }
}
