//! The figures of `zab` and `peer` on a machine that is busy with other things: `cargo bench --bench figures`.
//!
//! Cases take turns in many short rounds, each timed by the processor time of its thread, so that neither a preemption nor a
//! change of the load falls on one of them alone. What is told is the quickest round and the first quartile, in
//! nanoseconds per write. `cargo bench --bench figures -- ROUNDS [CASE]` runs more rounds, or only the cases whose names
//! contain CASE; with few rounds it is what to run under an instruction counter.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark")]

#[path = "trio/peer.rs"]
mod peers;
#[path = "trio/zab.rs"]
mod zabs;

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};

/// How many writes a round has.
const WRITES: u64 = 2048;

struct Case {
    name: String,
    round: Box<dyn FnMut()>,
    nanos: Vec<u64>,
}

fn main() {
    // `cargo test` only wants to see that it works.
    let usual = if std::env::args().any(|argument| argument == "--bench") { 200 } else { 1 };
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let rounds: usize = arguments.next().map_or(usual, |rounds| rounds.parse().expect("a number of rounds"));
    let filter = arguments.next().unwrap_or_default();
    let mut cases = Vec::new();
    for batch in [1, 64, 256, 1024] {
        let mut add = |name: String, make: fn(u64) -> Box<dyn FnMut()>| {
            if name.contains(&filter) {
                cases.push(Case { name, round: make(batch), nanos: Vec::new() });
            }
        };
        add(format!("zab, {batch} in flight"), zab);
        add(format!("peer at the leader, {batch} in flight"), |batch| peer(batch, true));
        add(format!("peer at a follower, {batch} in flight"), |batch| peer(batch, false));
    }
    for _ in 0..rounds {
        for case in &mut cases {
            let begun = busy();
            (case.round)();
            case.nanos.push(busy() - begun);
        }
    }
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    for Case { name, nanos, .. } in &mut cases {
        nanos.sort_unstable();
        let per_write = |nanos: u64| nanos as f64 / WRITES as f64;
        let (least, quartile) = (per_write(nanos[0]), per_write(nanos[nanos.len() / 4]));
        println!("{name:36} least {least:7.0} ns, quartile {quartile:7.0} ns: {:.2} M/s", 1e3 / quartile);
    }
}

fn zab(batch: u64) -> Box<dyn FnMut()> {
    let mut trio = zabs::Trio::new();
    let payload = Bytes::from(vec![7; 100]);
    Box::new(move || (0..WRITES / batch).for_each(|_| trio.commit(batch, &payload)))
}

fn peer(batch: u64, at_leader: bool) -> Box<dyn FnMut()> {
    let mut trio = peers::Trio::new(at_leader);
    let data = Bytes::from(vec![7; 100]);
    Box::new(move || (0..WRITES / batch).for_each(|_| trio.commit(batch, &data)))
}

/// The processor time of this thread, in nanoseconds.
fn busy() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
