//! A session expires exactly when the test wants it, and nobody waits for it: `cargo run --features sim --example deterministic_expiry`.
//!
//! `Process::expire_session` completes at the moment at which the quorum has committed the end of the session: not a microsecond
//! earlier, and before anybody has been told. What holds just then, and what follows, can be tested step by step.

use std::time::Duration;

use quorate::Time;
use quorate::client::{ClientError, SessionState};
use quorate::sim::{Failure, World};

/// A holder of a lock loses its session. Says when it ended.
async fn loses_its_lock(world: &World) -> Time {
    let holder = world.process();
    let client = holder.client();
    client.create("/lock", "held").ephemeral().await.expect("the lock is free");
    let waiting = world.client();
    let lock = waiting.exists("/lock").watch().await.expect("the quorum answers");
    println!("{} the lock is held, and watched", world.now());

    // No word from the holder any more, and none that it is gone: the leader has to find out by silence.
    let cut = world.now();
    let ended = holder.expire_session().await;
    let expired = world.now();
    let end = ended[&client.session_id().expect("it had a session")];
    println!("{expired} its session has ended, at zxid {end}");
    let silent = expired.since(cut);
    assert!(silent > Duration::from_secs(9) && silent < Duration::from_secs(12), "{silent:?}");

    // At this moment the end is the last thing that was committed, and the lock is gone for who asks the quorum. The holder does
    // not know, and could not: this is where code goes on that it should not.
    assert_eq!(world.counters().last_committed, end);
    assert_eq!(client.state(), SessionState::Disconnected);
    let seen = waiting.exists("/lock").linearizable().await.expect("the quorum answers");
    assert_eq!(seen, None);

    // The watcher is told of just that change.
    let event = lock.watch.await.expect("the session of the waiting client lives");
    println!("{} {:?} of {}", world.now(), event.kind, event.path);
    assert_eq!(event.zxid, end);

    // The holder learns of it as soon as it reaches a server again.
    holder.reconnect();
    assert_eq!(client.sync().await, Err(ClientError::SessionExpired));
    assert_eq!(client.state(), SessionState::Expired);
    println!("{} the holder knows", world.now());
    expired
}

fn main() -> Result<(), Failure> {
    let run = || {
        let world = World::new(42);
        let expired = world.run(loses_its_lock(&world))?;
        let skipped = world.counters().executor.skipped;
        println!("{skipped:?} of virtual time were skipped; trace hash {:016x}\n", world.trace_hash());
        world.end();
        Ok((expired, world.trace_hash()))
    };
    assert_eq!(run()?, run()?, "the same seed, the same microsecond");
    Ok(())
}
