//! draft
use quorate::sim::model::*;
use std::time::Instant;
fn main() {
    let kind = std::env::args().nth(1).unwrap();
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let v: Vec<u32> = std::env::args().skip(3).map(|a| a.parse().unwrap()).collect();
    let t=Instant::now();
    let r = if kind == "e" {
    let mut b = ElectionBounds::new(vec![(1,1); n]);
    b.flight = v[0] as usize; b.deadlines=v[1]; b.losses=v[2]; b.repeats=v[3]; b.crashes=v[4]; b.restarts=v[5]; b.ends=v[6];
    b.demand_one_leader_per_round = v[7]==1;
    b.delays = v[8].checked_sub(1); b.limit = v[9] as u64 * 1_000_000;
    b.check()
    } else {
    let mut b = ZabBounds::new(n as u64);
    b.leads=v[0]; b.follows=v[1]; b.proposals=v[2]; b.crashes=v[3]; b.partitions=v[4]; b.impatience=v[5]; b.ticks=v[6]; b.losses=v[7]; b.repeats=v[8];
    b.flaw=[None,Some(ZabFlaw::EarlyDisk),Some(ZabFlaw::ForgetfulDisk),Some(ZabFlaw::HastyEpochs),Some(ZabFlaw::SingleQuorum)][v[9] as usize];
    b.limit = v[10] as u64 * 1_000_000;
    b.check()
    };
    println!("{:?} states {} events {} depth {} ends {} locals {} complete {}", t.elapsed(), r.states, r.events, r.depth, r.ends, r.local_states, r.complete);
    if let Some(v)=r.violation { println!("{v}"); }
}
