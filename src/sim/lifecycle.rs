use std::sync::{Arc, Mutex};

use crate::node::{Node, NodeConfig, NodeError};
use crate::peer::PeerConfig;
use crate::types::{ClusterId, ServerId};

use super::check::Seen;
use super::coverage::Point;
use super::eye::Eye;
use super::storage::SimStorage;
use super::{Actor, Failure, World};

/// The processes of servers: how they start and how they end.
impl World {
    /// Starts a server's process, unless it runs. Says whether it does so now.
    pub(super) fn start(&self, server: ServerId) -> bool {
        let inner = self.inner();
        let mut state = self.lock();
        let mut rng = state.rng.fork();
        let Some(machine) = state.machines.get_mut(&server) else { return false };
        if machine.node.is_some() {
            return false;
        }
        let (storage, formed) = match machine.open() {
            Ok(opened) => opened,
            Err(error) => {
                let excused = machine.is_excused();
                machine.ended = Some(error.to_string());
                let stopped = machine.is_stopped();
                if stopped {
                    machine.power_loss(&mut rng);
                } else {
                    machine.disk.kill();
                }
                drop(state);
                if stopped {
                    self.count_fault("power_loss");
                }
                self.note(Actor::Server(server), "unopened", &[], || error.to_string());
                if !excused {
                    self.unexcused(server, &error.to_string());
                }
                return false;
            }
        };
        machine.incarnation += 1;
        let incarnation = machine.incarnation;
        let mut seed = [0; 32];
        rng.fill(&mut seed);
        let peer = PeerConfig {
            timing: inner.config.timing.clone(),
            limits: inner.config.limits.clone(),
            ..PeerConfig::new(ClusterId::new(1), server, inner.ensemble.clone(), seed)
        };
        let storage = SimStorage {
            server,
            inner: storage,
            formed,
            executor: inner.executor().clone(),
            trace: inner.trace.clone(),
            checker: inner.checker().clone(),
            coverage: inner.coverage.clone(),
            latency: inner.config.disk_latency,
            rng: Mutex::new(rng),
        };
        let eye = Eye {
            server,
            executor: inner.executor().clone(),
            trace: inner.trace.clone(),
            checker: inner.checker().clone(),
            oracle: inner.oracle.clone(),
            coverage: inner.coverage.clone(),
            leases: inner.leases.clone(),
            led: Mutex::new(false),
        };
        let started = Node::start_observed(
            NodeConfig::new(peer),
            Arc::new(inner.network.transport(server)),
            Arc::new(storage),
            Arc::new(machine.clock.clone()),
            Arc::new(eye),
        );
        let (node, run) = match started {
            Ok(started) => started,
            Err(error) => {
                inner.checker().fail(Failure::Misused(error.to_string()));
                return false;
            }
        };
        machine.node = Some(node.clone());
        machine.ended = None;
        for lines in state.processes.values() {
            lines.set_node(server, Some(node.clone()));
        }
        drop(state);
        self.note(Actor::Server(server), "start", &[incarnation], String::new);
        let world = self.weak();
        inner.executor().spawn(Actor::Server(server), "node", async move {
            let ended = run.await;
            if let Some(world) = world.upgrade() {
                world.ended(server, incarnation, ended);
            }
        });
        true
    }

    /// Ends a server's process without a word; says whether it ran.
    pub(super) fn stop(&self, server: ServerId) -> bool {
        let mut state = self.lock();
        let Some(node) = state.machines.get_mut(&server).and_then(|machine| machine.node.take()) else {
            return false;
        };
        for lines in state.processes.values() {
            lines.set_node(server, None);
        }
        drop(state);
        drop(node);
        self.note(Actor::Server(server), "down", &[], String::new);
        let inner = self.inner();
        inner.network.close(server);
        inner.executor().kill(Actor::Server(server));
        self.with_machine(server, |machine| machine.disk.kill());
        inner.oracle.down(server);
        inner.leases.down(server);
        inner.checker().see(self.now(), server, &Seen::Down);
        true
    }

    /// A server's future has ended by itself.
    fn ended(&self, server: ServerId, incarnation: u64, ended: Result<(), NodeError>) {
        let told = match &ended {
            Ok(()) => "shut down".to_owned(),
            Err(error) => error.to_string(),
        };
        self.note(Actor::Server(server), "ended", &[incarnation], || told.clone());
        let fork = self.fork_rng();
        let state = self.with_machine(server, |machine| {
            let mut rng = fork;
            let excused =
                ended.is_ok() || machine.is_excused() && matches!(ended, Err(NodeError::Storage(_)));
            machine.ended = Some(told.clone());
            let stopped = machine.is_stopped();
            if stopped {
                machine.power_loss(&mut rng);
            }
            (excused, stopped)
        });
        let Some((excused, stopped)) = state else { return };
        if stopped {
            self.count_fault("power_loss");
        }
        if matches!(ended, Err(NodeError::Storage(_))) {
            self.inner().coverage.sometimes(Point::StorageFailed);
        }
        if !excused {
            self.unexcused(server, &told);
        }
        self.stop(server);
    }

    fn unexcused(&self, server: ServerId, told: &str) {
        self.inner().checker().fail(Failure::Violated {
            at: self.now(),
            invariant: "NodeRuns",
            what: format!("S{server} stopped by itself: {told}"),
        });
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
