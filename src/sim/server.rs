use std::fmt;
use std::time::Duration;

use crate::node::Node;
use crate::peer::Status;
use crate::types::ServerId;

use super::{Actor, Fault, World};

/// A server of a [`World`], to do things to.
#[derive(Clone)]
pub struct Server {
    world: World,
    id: ServerId,
}

impl Server {
    pub(super) fn new(world: World, id: ServerId) -> Self {
        Self { world, id }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// Ends its process without a word.
    pub fn crash(&self) {
        self.world.apply(Fault::Crash(self.id));
    }

    /// Starts its process, unless it runs.
    pub fn restart(&self) {
        self.world.apply(Fault::Restart(self.id));
    }

    /// Ends its process and starts it again at once.
    pub fn bounce(&self) {
        self.world.apply(Fault::Bounce(self.id));
    }

    /// Cuts its power now: what was not synced may be lost. ([`Fault::PowerLoss`] may also wait for the middle of the
    /// next operation of the disk.)
    pub fn power_loss(&self) {
        self.world.note(Actor::World, "fault", &[self.id.number()], || format!("power loss of S{}", self.id));
        self.world.cut_power(self.id);
    }

    /// Stops it for a while; time goes on.
    pub fn pause(&self) {
        self.world.apply(Fault::Pause(self.id));
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.world.apply(Fault::Resume(self.id));
    }

    /// Lets its monotonic clock jump forward.
    pub fn clock_jump(&self, span: Duration) {
        self.world.apply(Fault::ClockJump(self.id, span));
    }

    /// Replaces its disk by an empty one; its process ends.
    pub fn wipe_disk(&self) {
        self.world.apply(Fault::WipeDisk(self.id));
    }

    /// Cuts it off from another server.
    pub fn partition(&self, other: &Self) {
        self.world.apply(Fault::Partition(self.id, other.id));
    }

    /// Cuts it off from all other servers.
    pub fn isolate(&self) {
        for other in self.world.servers() {
            if other.id != self.id {
                self.partition(&other);
            }
        }
    }

    /// Mends its links to all other servers.
    pub fn rejoin(&self) {
        for other in self.world.servers() {
            if other.id != self.id {
                self.world.apply(Fault::Repair(self.id, other.id));
            }
        }
    }

    /// Whether its process runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.node().is_some()
    }

    /// Whether it is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.world.inner().executor().is_paused(Actor::Server(self.id))
    }

    /// The process, while it runs.
    #[must_use]
    pub fn node(&self) -> Option<Node> {
        self.world.with_machine(self.id, |machine| machine.node.clone()).flatten()
    }

    /// Why its process ended by itself last, if it did since it was started.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.world.with_machine(self.id, |machine| machine.ended.clone()).flatten()
    }

    /// How it was doing when it last did anything; none while it is down.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.world
            .inner()
            .checker()
            .with_cluster(|cluster| cluster.servers.get(&self.id).and_then(|view| view.status.clone()))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({:?})", self.id)
    }
}
