//! A session expires, to the microsecond, without waiting for it: `cargo run --features sim --example deterministic_expiry`.

use std::time::Duration;

use quorate::sim::{Failure, World};

fn main() -> Result<(), Failure> {
    let world = World::new(42);
    world.run(async {
        let holder = world.process();
        let client = holder.client();
        client.create("/lock", "held").ephemeral().await.expect("the lock is free");

        let waiting = world.client();
        let lock = waiting.exists("/lock").watch().await.expect("the quorum answers");
        println!("{} the lock is held", world.now());

        // No word from the holder any more, and none that it is gone: the leader has to find out by silence.
        holder.cut_off();
        let cut = world.now();
        let event = lock.watch.await.expect("the session of the waiting client lives");
        println!("{} {:?} of {}", world.now(), event.kind, event.path);
        let silent = world.now().since(cut);
        assert!(silent > Duration::from_secs(9) && silent < Duration::from_secs(12), "{silent:?}");
    })?;
    let skipped = world.counters().executor.skipped;
    println!("{skipped:?} of virtual time were skipped; trace hash {:016x}", world.trace_hash());
    world.end();
    Ok(())
}
