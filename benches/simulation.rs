//! How fast the simulator is: `cargo bench --features sim --bench simulation`.
//!
//! Five servers and twenty clients in one thread, without faults, from clients that only keep their sessions to clients
//! that never rest. All invariants and oracles watch. What is told is virtual time over processor time, and what the world did
//! in it; time in which nothing was to happen costs nothing, and is told apart.

#![allow(missing_docs, clippy::expect_used, reason = "a benchmark")]

use std::time::Duration;

use quorate::sim::{Workload, World, WorldConfig};
use rustix::time::{ClockId, clock_gettime};

const SERVERS: u64 = 5;
const CLIENTS: u64 = 20;

fn main() {
    // `cargo test` only wants to see that it works.
    let whole = std::env::args().any(|argument| argument == "--bench");
    println!(
        "{SERVERS} servers, {CLIENTS} clients     virtual s/s   not idle   operations/s   messages/s   events/s"
    );
    for (name, pause, pipeline, span) in [
        ("sessions only", None, 1, 3_600),
        ("an operation in 2 s", Some(Duration::from_secs(20)), 1, 1_800),
        ("5 operations in 1 s", Some(Duration::from_secs(2)), 1, 600),
        ("40 operations in 1 s", Some(Duration::from_millis(200)), 1, 60),
        ("as many as they can", Some(Duration::from_millis(1)), 20, 4),
    ] {
        let span = Duration::from_secs(if whole { span } else { 2 });
        let time_limit = span + Duration::from_secs(1);
        let world = World::with(1, WorldConfig { voters: SERVERS, time_limit, ..WorldConfig::default() });
        let began = busy();
        match pause {
            None => {
                let clients: Vec<_> = (0..CLIENTS).map(|_| world.process().client()).collect();
                world.run_for(span).expect("nothing goes wrong");
                drop(clients);
            }
            Some(pause) => {
                let workload = Workload { pause, pipeline, ..Workload::default() };
                drop(workload.start(&world, CLIENTS, world.now() + span));
                world.run_for(span).expect("nothing goes wrong");
            }
        }
        let spent = (busy() - began).as_secs_f64();
        let counted = world.counters();
        let passed = counted.executor.skipped.as_secs_f64();
        let idle = counted.executor.idle.as_secs_f64();
        let operations = counted.oracle.reads + counted.oracle.writes;
        println!(
            "{name:24} {:14.0} {:9.0}% {:14.0} {:12.0} {:10.0}",
            passed / spent,
            100.0 * (passed - idle) / passed,
            operations as f64 / spent,
            counted.network.sent as f64 / spent,
            counted.events as f64 / spent,
        );
        world.end();
    }
}

/// Processor time of this thread.
fn busy() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).expect("below a second"))
}
