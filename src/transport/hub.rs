use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::Transport;
use super::inbox::{Inbox, QueueLimit};
use crate::types::{ClusterId, Lane, ServerId};

const URGENT: QueueLimit = QueueLimit { frames: 1024, bytes: 4 << 20 };
const BULK: QueueLimit = QueueLimit { frames: 65_536, bytes: 64 << 20 };

/// The network of an ensemble whose servers all live in one process: for tests, examples, and a service
/// that wants a quorum of one.
///
/// Frames are handed over at once, in order, each once. From each sender, 1,024 frames (4 MiB) may wait in the
/// urgent lane of a receiver and 65,536 (64 MiB) in the bulk lane; what comes on top is dropped. Clones are the same hub.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    cluster: ClusterId,
    network: Mutex<Network>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Network {
    servers: BTreeMap<ServerId, Arc<Inbox>>,
    /// Pairs without a link, the smaller server first.
    cut: BTreeSet<(ServerId, ServerId)>,
}

impl Hub {
    /// The network of this ensemble, without servers.
    #[must_use]
    pub fn new(cluster: ClusterId) -> Self {
        let shared = Shared { cluster, network: Mutex::default(), dropped: AtomicU64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// The ensemble whose network it is.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.shared.cluster
    }

    /// Connects a server with all the others. If it was connected before, this is its restart: the older
    /// transport is closed, and what waited in it is lost.
    #[must_use]
    pub fn join(&self, server: ServerId) -> HubTransport {
        let inbox = Arc::new(Inbox::new(URGENT, BULK));
        let older = self.lock().servers.insert(server, Arc::clone(&inbox));
        if let Some(older) = older {
            older.close();
        }
        HubTransport { hub: self.clone(), server, inbox }
    }

    /// Cuts the link between two servers, in both directions. What has arrived already stays.
    pub fn disconnect(&self, one: ServerId, other: ServerId) {
        self.lock().cut.insert(pair(one, other));
    }

    /// Repairs the link between two servers. What was sent meanwhile is lost.
    pub fn reconnect(&self, one: ServerId, other: ServerId) {
        self.lock().cut.remove(&pair(one, other));
    }

    /// How many frames were dropped so far: for want of room, of a link, or of the receiver.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    fn deliver(&self, sender: &HubTransport, to: ServerId, lane: Lane, frame: Bytes) -> bool {
        if sender.inbox.is_closed() || to == sender.server {
            return false;
        }
        let receiver = {
            let network = self.lock();
            if network.cut.contains(&pair(sender.server, to)) {
                return false;
            }
            network.servers.get(&to).map(Arc::clone)
        };
        receiver.is_some_and(|inbox| inbox.offer(sender.server, lane, frame))
    }

    fn leave(&self, server: ServerId, inbox: &Arc<Inbox>) {
        inbox.close();
        let mut network = self.lock();
        // After a restart the name belongs to the newer transport.
        if network.servers.get(&server).is_some_and(|current| Arc::ptr_eq(current, inbox)) {
            network.servers.remove(&server);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Network> {
        // Nothing panics while it is held.
        self.shared.network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = self.lock();
        f.debug_struct("Hub")
            .field("cluster", &self.shared.cluster)
            .field("servers", &network.servers.keys().collect::<Vec<_>>())
            .field("cut", &network.cut)
            .finish()
    }
}

/// One server's end of a [`Hub`]. Dropping it is the server's crash: the others' frames to it are lost from
/// then on. A frame to itself, or to a server that has not joined, is dropped.
#[derive(Debug)]
pub struct HubTransport {
    hub: Hub,
    server: ServerId,
    inbox: Arc<Inbox>,
}

impl HubTransport {
    /// The server whose end it is.
    #[must_use]
    pub fn server(&self) -> ServerId {
        self.server
    }
}

#[async_trait]
impl Transport for HubTransport {
    fn send(&self, to: ServerId, lane: Lane, frame: Bytes) {
        if !self.hub.deliver(self, to, lane, frame) {
            self.hub.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn recv(&self) -> Option<(ServerId, Bytes)> {
        self.inbox.recv().await
    }
}

impl Drop for HubTransport {
    fn drop(&mut self) {
        self.hub.leave(self.server, &self.inbox);
    }
}

fn pair(one: ServerId, other: ServerId) -> (ServerId, ServerId) {
    if one <= other { (one, other) } else { (other, one) }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::executor::block_on;

    use super::*;

    const ONE: ServerId = ServerId::new(1);
    const TWO: ServerId = ServerId::new(2);
    const THREE: ServerId = ServerId::new(3);

    #[derive(Default)]
    struct Woken(std::sync::atomic::AtomicBool);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn hub() -> Hub {
        Hub::new(ClusterId::new(7))
    }

    fn frame(number: usize) -> Bytes {
        Bytes::from(number.to_string())
    }

    /// All that has arrived, in the order in which it is received.
    fn drain(transport: &HubTransport) -> Vec<(ServerId, Bytes)> {
        std::iter::from_fn(|| transport.recv().now_or_never().flatten()).collect()
    }

    #[test]
    fn a_frame_arrives_with_the_name_of_its_sender() {
        let hub = hub();
        let (one, two) = (hub.join(ONE), hub.join(TWO));
        one.send(TWO, Lane::Bulk, frame(5));
        assert_eq!(block_on(two.recv()), Some((ONE, frame(5))));
        assert_eq!(drain(&one), []);
    }

    #[test]
    fn a_waiting_receiver_is_woken_by_a_frame() {
        let hub = hub();
        let (one, two) = (hub.join(ONE), hub.join(TWO));
        let sender = std::thread::spawn(move || {
            for number in 0..1000 {
                one.send(TWO, Lane::Bulk, frame(number));
            }
            one
        });
        let received: Vec<_> = (0..1000).filter_map(|_| block_on(two.recv())).collect();
        assert_eq!(received, (0..1000).map(|number| (ONE, frame(number))).collect::<Vec<_>>());
        drop(sender.join());
    }

    #[test]
    fn a_dropped_receive_loses_neither_a_frame_nor_the_wake_up_of_another() {
        let hub = hub();
        let (one, two) = (hub.join(ONE), hub.join(TWO));
        let (mut impatient, mut patient) = (two.recv(), two.recv());
        let woken = Arc::new(Woken::default());
        let waker = std::task::Waker::from(Arc::clone(&woken));
        assert!(
            impatient.poll_unpin(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
        );
        assert!(patient.poll_unpin(&mut std::task::Context::from_waker(&waker)).is_pending());
        one.send(TWO, Lane::Bulk, frame(1));
        drop(impatient);
        assert!(woken.0.load(Ordering::Relaxed));
        assert_eq!(block_on(patient), Some((ONE, frame(1))));
    }

    #[test]
    fn urgent_frames_are_received_first_and_each_lane_in_order() {
        let hub = hub();
        let (one, two) = (hub.join(ONE), hub.join(TWO));
        for (lane, number) in [(Lane::Bulk, 1), (Lane::Urgent, 2), (Lane::Bulk, 3), (Lane::Urgent, 4)] {
            one.send(TWO, lane, frame(number));
        }
        let order: Vec<_> = drain(&two).into_iter().map(|(_, frame)| frame).collect();
        assert_eq!(order, [frame(2), frame(4), frame(1), frame(3)]);
    }

    #[test]
    fn a_sender_that_floods_loses_its_own_later_frames_only() {
        let hub = hub();
        let (one, two, three) = (hub.join(ONE), hub.join(TWO), hub.join(THREE));
        for number in 0..URGENT.frames + 10 {
            one.send(TWO, Lane::Urgent, frame(number));
        }
        three.send(TWO, Lane::Urgent, frame(1));
        one.send(TWO, Lane::Bulk, frame(2));
        let received = drain(&two);
        assert_eq!(hub.dropped(), 10);
        assert_eq!(received.len(), URGENT.frames + 2);
        assert_eq!(received[URGENT.frames - 1], (ONE, frame(URGENT.frames - 1)));
        assert_eq!(received[URGENT.frames], (THREE, frame(1)));
        assert_eq!(received[URGENT.frames + 1], (ONE, frame(2)));
        one.send(TWO, Lane::Urgent, frame(3));
        assert_eq!(drain(&two), [(ONE, frame(3))]);
    }

    #[test]
    fn a_lane_is_bounded_in_bytes_too_but_takes_one_frame_of_any_size() {
        let hub = hub();
        let (one, two) = (hub.join(ONE), hub.join(TWO));
        let large = Bytes::from(vec![0; BULK.bytes + 1]);
        one.send(TWO, Lane::Bulk, large.clone());
        one.send(TWO, Lane::Bulk, frame(1));
        assert_eq!(drain(&two), [(ONE, large)]);
        assert_eq!(hub.dropped(), 1);
    }

    #[test]
    fn a_cut_link_loses_frames_in_both_directions_until_it_is_repaired() {
        let hub = hub();
        let (one, two, three) = (hub.join(ONE), hub.join(TWO), hub.join(THREE));
        one.send(TWO, Lane::Bulk, frame(0));
        hub.disconnect(TWO, ONE);
        one.send(TWO, Lane::Urgent, frame(1));
        two.send(ONE, Lane::Bulk, frame(2));
        three.send(TWO, Lane::Bulk, frame(3));
        assert_eq!(drain(&two), [(ONE, frame(0)), (THREE, frame(3))]);
        assert_eq!(drain(&one), []);
        hub.reconnect(ONE, TWO);
        one.send(TWO, Lane::Urgent, frame(4));
        assert_eq!(drain(&two), [(ONE, frame(4))]);
        assert_eq!(hub.dropped(), 2);
    }

    #[test]
    fn a_server_that_joins_again_replaces_its_older_transport() {
        let hub = hub();
        let (one, older) = (hub.join(ONE), hub.join(TWO));
        one.send(TWO, Lane::Bulk, frame(1));
        let newer = hub.join(TWO);
        assert_eq!(block_on(older.recv()), None);
        older.send(ONE, Lane::Bulk, frame(2));
        drop(older);
        one.send(TWO, Lane::Bulk, frame(3));
        newer.send(ONE, Lane::Bulk, frame(4));
        assert_eq!(drain(&newer), [(ONE, frame(3))]);
        assert_eq!(drain(&one), [(TWO, frame(4))]);
    }

    #[test]
    fn a_waiting_receive_ends_when_the_server_joins_again() {
        let hub = hub();
        let older = hub.join(ONE);
        let waiting = std::thread::spawn(move || block_on(older.recv()));
        let _newer = hub.join(ONE);
        assert_eq!(waiting.join().unwrap(), None);
    }

    #[test]
    fn frames_to_nobody_and_to_oneself_are_dropped() {
        let hub = hub();
        let (one, two) = (hub.join(ONE), hub.join(TWO));
        drop(two);
        one.send(ONE, Lane::Bulk, frame(1));
        one.send(TWO, Lane::Bulk, frame(2));
        one.send(THREE, Lane::Urgent, frame(3));
        assert_eq!(drain(&one), []);
        assert_eq!(hub.dropped(), 3);
    }
}
