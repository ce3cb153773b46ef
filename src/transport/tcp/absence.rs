use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::types::ServerId;

/// Whose process has gone, as far as connections show it.
///
/// When a process ends, the system closes all its connections and refuses new ones. Either alone proves nothing: a connection
/// also breaks on the way, and a server refuses while it starts. So a peer has gone when it was there, the last of the
/// connections that it made to us has ended, and ours was refused since.
#[derive(Default, Debug)]
pub(super) struct Absence {
    peers: Mutex<BTreeMap<ServerId, Signs>>,
    news: Notify,
}

#[derive(Default, Debug)]
struct Signs {
    /// How many connections it has made to us that still stand.
    inbound: usize,
    /// Whether it was there since it had gone the last time.
    seen: bool,
    /// Whether it refused our last attempt.
    refused: bool,
    /// Whether it has gone, and nobody was told yet.
    untold: bool,
}

/// A connection that a peer has made to us, until it is dropped.
#[derive(Debug)]
pub(super) struct Inbound {
    absence: Arc<Absence>,
    peer: ServerId,
}

impl Absence {
    /// A peer has made a connection to us.
    pub(super) fn arrived(self: &Arc<Self>, peer: ServerId) -> Inbound {
        let mut peers = self.lock();
        let signs = peers.entry(peer).or_default();
        *signs = Signs { inbound: signs.inbound + 1, seen: true, refused: false, untold: false };
        Inbound { absence: Arc::clone(self), peer }
    }

    /// We have made a connection to a peer.
    pub(super) fn reached(&self, peer: ServerId) {
        let mut peers = self.lock();
        let signs = peers.entry(peer).or_default();
        *signs = Signs { inbound: signs.inbound, seen: true, refused: false, untold: false };
    }

    /// There is nobody at the address of a peer.
    pub(super) fn refused(&self, peer: ServerId) {
        self.change(peer, |signs| signs.refused = true);
    }

    /// The next peer that has gone.
    pub(super) async fn next(&self) -> ServerId {
        loop {
            let found = self
                .lock()
                .iter_mut()
                .find_map(|(peer, signs)| std::mem::take(&mut signs.untold).then_some(*peer));
            if let Some(peer) = found {
                return peer;
            }
            self.news.notified().await;
        }
    }

    fn change(&self, peer: ServerId, change: impl FnOnce(&mut Signs)) {
        let mut peers = self.lock();
        let signs = peers.entry(peer).or_default();
        change(signs);
        if signs.seen && signs.refused && signs.inbound == 0 {
            signs.seen = false;
            signs.untold = true;
            drop(peers);
            self.news.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServerId, Signs>> {
        // Nothing panics while it is held.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.absence.change(self.peer, |signs| signs.inbound = signs.inbound.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const PEER: ServerId = ServerId::new(2);

    fn told(absence: &Absence) -> bool {
        absence.next().now_or_never() == Some(PEER)
    }

    #[test]
    fn a_peer_has_gone_when_it_refuses_and_nothing_of_it_stands_and_is_told_once() {
        for refused_first in [true, false] {
            let absence = Arc::new(Absence::default());
            absence.reached(PEER);
            let (urgent, bulk) = (absence.arrived(PEER), absence.arrived(PEER));
            drop(urgent);
            if refused_first {
                absence.refused(PEER);
                assert!(!told(&absence), "the other connection stands");
                drop(bulk);
            } else {
                drop(bulk);
                assert!(!told(&absence), "the connections only broke");
                absence.refused(PEER);
            }
            assert!(told(&absence));
            absence.refused(PEER);
            assert!(!told(&absence), "it was told");
        }
    }

    #[test]
    fn a_peer_that_was_never_there_has_not_gone() {
        let absence = Arc::new(Absence::default());
        absence.refused(PEER);
        assert!(!told(&absence));
    }

    #[test]
    fn a_peer_that_is_back_before_anybody_was_told_has_not_gone() {
        for dialled in [true, false] {
            let absence = Arc::new(Absence::default());
            drop(absence.arrived(PEER));
            absence.refused(PEER);
            let _back = if dialled {
                absence.reached(PEER);
                None
            } else {
                Some(absence.arrived(PEER))
            };
            assert!(!told(&absence));
        }
    }
}
