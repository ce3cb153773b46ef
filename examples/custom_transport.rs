//! A transport of one's own: queues of the standard library between the servers, and they lose, double and hold up
//! frames on purpose. First the conformance suite judges it, then a quorum works over it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{collections::BTreeMap, error::Error, future::poll_fn, task::Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::{ThreadPool, block_on};
use futures::task::AtomicWaker;
use quorate::client::{Client, ClientOptions};
use quorate::node::{Clock, Node, SystemClock, entropy};
use quorate::peer::{Ensemble, PeerConfig};
use quorate::storage::MemoryStorage;
use quorate::transport::{Transport, conformance};
use quorate::{ClusterId, Lane, ServerId};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SERVERS: [ServerId; 3] = [ServerId::new(1), ServerId::new(2), ServerId::new(3)];

/// How many frames may wait in each queue; what comes on top is lost.
const ROOM: usize = 4_096;

/// The wires between the servers. Clones are the same wires.
#[derive(Clone, Default)]
struct Wires {
    ends: Arc<Mutex<BTreeMap<(ServerId, ServerId), Wire>>>,
    sent: Arc<AtomicU64>,
}

/// The way from one server to another: a queue for each lane, so that what is urgent waits for no bulk, and a queue
/// of its own for each sender, so that one that floods is in the way of no other.
struct Wire {
    urgent: SyncSender<Bytes>,
    bulk: SyncSender<Bytes>,
    arrived: Arc<AtomicWaker>,
    held_up: Option<Bytes>,
}

/// One server's end of the wires.
struct End {
    server: ServerId,
    wires: Wires,
    /// The urgent queues and then the others: from whom, and what.
    queues: Mutex<[Vec<(ServerId, Receiver<Bytes>)>; 2]>,
    arrived: Arc<AtomicWaker>,
    turn: AtomicUsize,
}

impl Wires {
    fn join(&self, server: ServerId) -> End {
        let arrived = Arc::new(AtomicWaker::new());
        let mut queues = [Vec::new(), Vec::new()];
        for from in SERVERS {
            let ((urgent, first), (bulk, second)) = (sync_channel(ROOM), sync_channel(ROOM));
            queues[0].push((from, first));
            queues[1].push((from, second));
            let wire = Wire { urgent, bulk, arrived: arrived.clone(), held_up: None };
            self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert((from, server), wire);
        }
        End { server, wires: self.clone(), queues: Mutex::new(queues), arrived, turn: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Transport for End {
    fn send(&self, to: ServerId, lane: Lane, frame: Bytes) {
        let mut wires = self.wires.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wire) = wires.get_mut(&(self.server, to)) else { return };
        let queue = match lane {
            Lane::Urgent => &wire.urgent,
            Lane::Bulk => &wire.bulk,
        };
        let frames = match self.wires.sent.fetch_add(1, Ordering::Relaxed) % 100 {
            20 => vec![],
            40 => vec![frame.clone(), frame],
            60 => wire.held_up.replace(frame).into_iter().collect(),
            80 => [Some(frame), wire.held_up.take()].into_iter().flatten().collect(),
            _ => vec![frame],
        };
        for frame in frames {
            // Full, or the receiver is gone: the frame is lost, and that is all. Nobody ever waits here.
            let _lost = queue.try_send(frame).is_err();
        }
        wire.arrived.wake();
    }

    async fn recv(&self) -> Option<(ServerId, Bytes)> {
        // A frame is taken out in the very poll that returns it: dropping the future loses none.
        poll_fn(|context| {
            self.arrived.register(context.waker());
            let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            for lane in queues.iter() {
                for (from, queue) in lane.iter().cycle().skip(turn % lane.len()).take(lane.len()) {
                    if let Ok(frame) = queue.try_recv() {
                        return Poll::Ready(Some((*from, frame)));
                    }
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[async_trait]
impl conformance::Network for Wires {
    async fn start(&self, server: ServerId) -> Box<dyn Transport> {
        Box::new(self.join(server))
    }

    async fn pause(&self) {
        std::thread::yield_now();
    }
}

async fn run(clock: Arc<dyn Clock>, pool: ThreadPool) -> Result<()> {
    conformance::check(&Wires::default()).await?;
    println!("the transport does what every transport must do");

    let wires = Wires::default();
    let mut nodes = Vec::new();
    for server in SERVERS {
        let config = PeerConfig::new(ClusterId::new(1), server, Ensemble::majority(SERVERS), entropy()?);
        let (transport, storage) = (Arc::new(wires.join(server)), Arc::new(MemoryStorage::new()));
        let (node, driver) = Node::start(config.into(), transport, storage, clock.clone())?;
        pool.spawn_ok(async move { driver.await.unwrap_or_else(|error| eprintln!("{error}")) });
        nodes.push(node);
    }
    let (client, driver) = Client::new(&nodes, clock, ClientOptions::new(entropy()?))?;
    pool.spawn_ok(driver);
    client.create("/count", "0").await?;
    for count in 1..=500 {
        client.set("/count", count.to_string()).await?;
    }
    let found = client.get("/count").linearizable().await?;
    let sent = wires.sent.load(Ordering::Relaxed);
    println!("500 writes: the value is {:?}, the version {}", found.bytes(), found.stat.version);
    println!("of {sent} frames about {0} were lost, {0} doubled and {0} held up", sent / 100);
    Ok(client.close().await?)
}

fn main() -> Result<()> {
    block_on(run(Arc::new(SystemClock::new()?), ThreadPool::new()?))
}
