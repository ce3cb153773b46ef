use super::super::{Latency, Rate, Step};
use super::*;

const A: ServerId = ServerId::new(1);
const B: ServerId = ServerId::new(2);

struct Net {
    executor: Executor,
    network: Network,
    a: SimTransport,
    got: Arc<Mutex<Vec<u8>>>,
}

fn net(seed: u64, faults: LinkFaults) -> Net {
    let mut rng = SeededRng::from_number(seed);
    let executor = Executor::new(rng.fork(), true);
    let network = Network::new(executor.clone(), Trace::default(), rng.fork());
    network.set_all_faults(faults);
    let a = network.transport(A);
    let got = Arc::new(Mutex::new(Vec::new()));
    let net = Net { executor, network, a, got };
    net.start_b();
    net
}

impl Net {
    fn start_b(&self) {
        let (b, got) = (self.network.transport(B), Arc::clone(&self.got));
        self.executor.spawn(Actor::Server(B), "receiver", async move {
            while let Some((from, frame)) = b.recv().await {
                assert_eq!(from, A);
                got.lock().unwrap().push(frame[0]);
            }
        });
    }

    fn send(&self, bytes: impl IntoIterator<Item = u8>) {
        for byte in bytes {
            self.a.send(B, Lane::Bulk, Bytes::copy_from_slice(&[byte]));
        }
    }

    fn run(&self) {
        while self.executor.step(Time::from_millis(10_000)).unwrap() != Step::Idle {}
    }

    fn got(&self) -> Vec<u8> {
        self.run();
        std::mem::take(&mut *self.got.lock().unwrap())
    }
}

fn jittery() -> LinkFaults {
    let latency =
        Latency { spread: Duration::from_millis(50), tail: Rate::percent(10), ..Latency::default() };
    LinkFaults { latency, ..LinkFaults::default() }
}

#[test]
fn without_faults_frames_arrive_once_and_in_order_however_latency_varies() {
    for seed in 0..20 {
        let net = net(seed, jittery());
        net.send(0..50);
        assert_eq!(net.got(), (0..50).collect::<Vec<_>>());
    }
}

#[test]
fn each_rate_does_what_it_says() {
    let lossy = net(1, LinkFaults { drop: Rate::percent(50), ..LinkFaults::default() });
    lossy.send(0..200);
    let got = lossy.got();
    assert!((60..140).contains(&got.len()), "{}", got.len());
    assert!(got.is_sorted(), "loss does not reorder");

    let doubling = net(1, LinkFaults { duplicate: Rate::ALWAYS, ..LinkFaults::default() });
    doubling.send(0..10);
    assert_eq!(doubling.got(), (0..10).flat_map(|byte| [byte, byte]).collect::<Vec<_>>());

    let shuffling = net(1, LinkFaults { reorder: Rate::percent(30), ..jittery() });
    shuffling.send(0..50);
    let mut got = shuffling.got();
    assert!(!got.is_sorted());
    got.sort_unstable();
    assert_eq!(got, (0..50).collect::<Vec<_>>(), "reordering does not lose");
}

#[test]
fn a_partition_loses_what_travels_and_what_is_sent_until_it_is_repaired() {
    let net = net(1, LinkFaults::default());
    net.send([1]);
    net.network.partition_oneway(A, B);
    net.send([2]);
    assert!(!net.network.is_connected(A, B) && net.network.is_connected(B, A));
    assert!(net.got().is_empty());
    net.network.repair(A, B);
    net.send([3]);
    assert_eq!(net.got(), [3]);
}

#[test]
fn a_held_link_gives_everything_in_order_when_it_is_released() {
    let net = net(1, LinkFaults::default());
    net.network.hold(A, B);
    net.send(1..=3);
    assert!(net.got().is_empty());
    assert_eq!(net.network.counters().held, 3);
    net.network.release(A, B);
    net.send([4]);
    assert_eq!(net.got(), [1, 2, 3, 4]);
    assert_eq!(net.network.counters().held, 0);
}

#[test]
fn a_frame_to_a_server_that_restarts_meanwhile_is_lost_unless_frames_may_outlive_a_restart() {
    for (stale, expected) in [(Rate::NEVER, vec![]), (Rate::ALWAYS, vec![7])] {
        let net = net(1, LinkFaults { stale, ..LinkFaults::default() });
        net.send([7]);
        net.executor.kill(Actor::Server(B));
        net.start_b();
        assert_eq!(net.got(), expected);
    }
}

#[test]
fn a_transport_of_a_dead_incarnation_neither_sends_nor_receives() {
    let net = net(1, LinkFaults::default());
    let reborn = net.network.transport(A);
    net.send([1]);
    assert!(net.got().is_empty());
    reborn.send(B, Lane::Urgent, Bytes::from_static(&[2]));
    assert_eq!(net.got(), [2]);
    assert_eq!(futures::FutureExt::now_or_never(net.a.recv()), Some(None));
}

#[test]
fn the_urgent_lane_does_not_wait_for_a_slow_bulk_transfer() {
    let net = net(1, LinkFaults { bytes_per_milli: 10, ..LinkFaults::default() });
    net.a.send(B, Lane::Bulk, Bytes::from(vec![1; 10_000]));
    net.a.send(B, Lane::Urgent, Bytes::from_static(&[2]));
    assert_eq!(net.got(), [2, 1]);
}
