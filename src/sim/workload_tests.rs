use crate::types::Epoch;

use super::*;

/// A worker that draws from this seed.
fn worker(world: &World, rng: SeededRng) -> Worker {
    Worker {
        options: Workload::default(),
        weak: world.weak(),
        process: world.process(),
        checker: world.inner().checker().clone(),
        registers: Registers::default(),
        rng,
        seen: Arc::default(),
        until: Time::ZERO,
    }
}

/// What is found in a world in which this is done with a worker.
fn found(rng: SeededRng, deed: impl AsyncFnOnce(&World, Worker)) -> Result<(), Failure> {
    let world = World::new(11);
    let worker = worker(&world, rng);
    let ran = world.run(deed(&world, worker));
    world.end();
    ran
}

#[track_caller]
fn expect_violation(found: Result<(), Failure>, expected: &str) {
    match found {
        Err(Failure::Violated { invariant, .. }) => assert_eq!(invariant, expected),
        other => panic!("{expected} was not found violated, but {other:?}"),
    }
}

/// What is found when a node that only the worker writes is written by another too, as if the quorum executed a write twice, or
/// is deleted, as if it lost one.
fn found_when(meddle: impl AsyncFn(&Client)) -> Result<(), Failure> {
    found(SeededRng::from_number(11), async |world, mut worker| {
        let (client, other) = (worker.process.client(), world.client());
        client.create("/own", "").await.unwrap();
        let mut kept = Kept { version: Some(0), ..Kept::default() };
        worker.conditional(&client, "/own", &mut kept).await.unwrap();
        assert_eq!(kept.version, Some(1));
        meddle(&other).await;
        worker.conditional(&client, "/own", &mut kept).await.unwrap();
    })
}

#[test]
fn a_write_that_is_executed_twice_or_lost_is_found() {
    assert_eq!(found_when(async |_| {}), Ok(()));
    let set = found_when(async |other| {
        other.set("/own", "").await.unwrap();
    });
    expect_violation(set, "ExactlyOnce");
    let deleted = found_when(async |other| other.delete("/own").await.unwrap());
    expect_violation(deleted, "ExactlyOnce");
}

#[test]
fn a_linearizable_read_of_an_older_state_than_was_seen_is_found() {
    for by_sync in [true, false] {
        let drawn = |rng: &SeededRng| rng.clone().chance(1, 2) == by_sync;
        let rng = (0..).map(SeededRng::from_number).find(drawn).unwrap();
        let found_after = |seen: Option<Zxid>| {
            found(rng.clone(), async |world, mut worker| {
                let (client, other) = (worker.process.client(), world.client());
                other.create("/a", "").await.unwrap();
                worker.seen = Arc::new(Mutex::new(seen.unwrap_or(other.last_seen())));
                worker.linearizable(&client).await.unwrap();
            })
        };
        assert_eq!(found_after(None), Ok(()));
        let far = Zxid::new(Epoch::new(1_000), 1);
        expect_violation(found_after(Some(far)), "Linearizable");
    }
}
