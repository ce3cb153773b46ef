//! What an election costs: from the start of all servers until all have decided. The clock is virtual, so this is
//! the work of the machines alone; the time that a real election waits is printed once before.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use quorate::election::{Election, ElectionConfig, Output, ServerState, Vote};
use quorate::quorum::Quorum;
use quorate::{Epoch, SeededRng, ServerId, Time, Zxid};

fn servers(count: u64) -> Vec<ServerId> {
    (1..=count).map(ServerId::new).collect()
}

fn ensemble(count: u64) -> Vec<Election> {
    let members = servers(count);
    let machine = |server: &ServerId| {
        let config = ElectionConfig {
            server: *server,
            quorum: Quorum::majority(members.clone()),
            peers: members.clone(),
            finalize_wait: Duration::from_millis(50),
            notification_min: Duration::from_millis(50),
            notification_max: Duration::from_secs(2),
        };
        Election::new(config, SeededRng::from_number(server.number()))
    };
    members.iter().map(machine).collect()
}

/// Starts the first `up` servers at once and runs them until they have decided: the virtual time and the messages that
/// it took, with a millisecond for every message's way.
fn elect(mut elections: Vec<Election>, up: usize) -> (Duration, usize) {
    elections.truncate(up);
    let mut now = Time::ZERO;
    let mut sent = 0;
    let mut wire = VecDeque::new();
    for (election, server) in elections.iter_mut().zip(1..) {
        let sid = ServerId::new(server);
        election.start(now, Some(Vote { epoch: Epoch::new(1), zxid: Zxid::new(Epoch::new(1), 7), sid }));
    }
    while elections.iter().any(|election| election.state() == ServerState::Looking) {
        for (election, from) in elections.iter_mut().zip(1..) {
            while let Some(output) = election.poll_output() {
                if let Output::Send { to, notification } = output {
                    sent += 1;
                    wire.push_back((now + Duration::from_millis(1), ServerId::new(from), to, notification));
                }
            }
        }
        let timer = elections.iter().filter_map(Election::poll_timeout).min();
        let arrival = wire.front().map(|(at, ..)| *at);
        let Some(next) = timer.into_iter().chain(arrival).min() else { break };
        now = next;
        while let Some((_, from, to, notification)) = wire.pop_front_if(|(at, ..)| *at <= now) {
            if let Some(election) = elections.get_mut(to.number() as usize - 1) {
                election.handle_notification(now, from, notification);
            }
        }
        elections.iter_mut().for_each(|election| election.handle_timeout(now));
    }
    (now.since(Time::ZERO), sent)
}

fn bench(criterion: &mut Criterion) {
    for (up, of) in [(5, 5), (4, 5), (3, 3), (2, 3)] {
        let (took, sent) = elect(ensemble(of), up as usize);
        println!("{up} of {of} servers, 1 ms each way: decided after {took:?} and {sent} messages");
    }
    criterion.bench_function("election/5_of_5", |bencher| {
        bencher.iter_batched(
            || ensemble(5),
            |elections| black_box(elect(elections, 5)),
            criterion::BatchSize::SmallInput,
        );
    });
    criterion.bench_function("election/4_of_5", |bencher| {
        bencher.iter_batched(
            || ensemble(5),
            |elections| black_box(elect(elections, 4)),
            criterion::BatchSize::SmallInput,
        );
    });
    let quorum = Quorum::majority(servers(5));
    criterion.bench_function("quorum/reached_5", |bencher| {
        bencher.iter(|| quorum.reached(|server| Some(black_box(server.number() * 7 % 5))));
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
