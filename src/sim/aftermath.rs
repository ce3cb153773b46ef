use std::time::Duration;

use crate::types::{SeededRng, ServerId};

use super::{Fault, Latency, LinkFaults, Topology, World};

/// How the servers of a core reach each other, for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Shape {
    /// Each reaches each.
    Clique,
    /// All reach this one and it reaches all; no others reach each other. (SCN-34, quorum loss; Keeper's "bridge".)
    Hub(ServerId),
    /// Each reaches its neighbours in the order of their numbers, and nobody else. (SCN-36, chained.)
    Chain,
}

/// What is wrong with a server outside of the core, for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outage {
    /// Nothing.
    None,
    /// Its process has ended.
    Down,
    /// Its process does nothing, and its connections stay open.
    Paused,
    /// Its disk takes nothing any more.
    DiskFull,
    /// It hears nobody. (SCN-37; Keeper's "blind node".)
    Deaf,
    /// Nobody hears it. (Keeper's "blind others".)
    Mute,
    /// It reaches nobody.
    Cut,
    /// It reaches this server only.
    Leaf(ServerId),
    /// It hears all, and only this one hears it.
    HeardBy(ServerId),
    /// What it is sent is held, without an end.
    Stuck,
    /// It is slow to reach.
    Slow(Duration),
}

impl Outage {
    /// The server that it leaves it with.
    pub(super) const fn server(self) -> Option<ServerId> {
        match self {
            Self::Leaf(only) | Self::HeardBy(only) => Some(only),
            _ => None,
        }
    }
}

/// The state in which a world is left for good: a core that can make a quorum, and what is wrong with all others.
///
/// Uniformly random faults always heal; what never heals finds other mistakes. (TigerBeetle's split of safety and liveness.)
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aftermath {
    /// The servers that must live.
    pub core: Vec<ServerId>,
    /// How they reach each other.
    pub shape: Shape,
    /// What is wrong with the others.
    pub outages: Vec<(ServerId, Outage)>,
}

impl Aftermath {
    /// A core in which each reaches each, and nothing new is wrong with the others.
    #[must_use]
    pub const fn healed(core: Vec<ServerId>) -> Self {
        Self { core, shape: Shape::Clique, outages: Vec::new() }
    }

    /// Draws one. A majority among `sound` is the core of a clique; in other shapes all voters are needed.
    pub(super) fn draw(rng: &mut SeededRng, topology: &Topology, sound: Vec<ServerId>) -> Self {
        let voters = &topology.voters;
        let shape = match rng.below(6) {
            0 if voters.len() >= 3 => Shape::Hub(pick(rng, voters)),
            1 if (3..=5).contains(&voters.len()) => Shape::Chain,
            _ => Shape::Clique,
        };
        let mut core = if shape == Shape::Clique { sound } else { voters.clone() };
        while shape == Shape::Clique && core.len() > voters.len() / 2 + 1 {
            let index = usize::try_from(rng.below(core.len() as u64)).unwrap_or(0);
            core.swap_remove(index);
        }
        core.sort_unstable();
        let outside = voters.iter().chain(&topology.observers).filter(|server| !core.contains(server));
        let outages = outside.map(|server| (*server, draw_outage(rng, &core))).collect();
        Self { core, shape, outages }
    }

    /// Leaves the world like this. The core was healed before.
    pub(super) fn inflict(&self, world: &World) {
        let linked = |a: usize, b: usize| match self.shape {
            Shape::Clique => true,
            Shape::Hub(hub) => self.core.get(a) == Some(&hub) || self.core.get(b) == Some(&hub),
            Shape::Chain => a.abs_diff(b) == 1,
        };
        for (i, a) in self.core.iter().enumerate() {
            for (j, b) in self.core.iter().enumerate().skip(i + 1) {
                if !linked(i, j) {
                    world.apply(Fault::Partition(*a, *b));
                }
            }
        }
        for (server, outage) in &self.outages {
            self.strike(world, *server, *outage);
        }
    }

    fn strike(&self, world: &World, server: ServerId, outage: Outage) {
        let others = world.servers().into_iter().map(|other| other.id()).filter(|other| *other != server);
        let others: Vec<_> = others.collect();
        let cut = |from, to| world.apply(Fault::PartitionOneway(from, to));
        // It lives, and whatever was wrong with it before is not.
        if !matches!(outage, Outage::Down | Outage::Paused) {
            world.apply(Fault::Resume(server));
            world.apply(Fault::Restart(server));
        }
        for other in &others {
            match outage {
                Outage::Deaf => cut(*other, server),
                Outage::Mute => cut(server, *other),
                Outage::Cut => world.apply(Fault::Partition(server, *other)),
                Outage::Leaf(only) if *other != only => world.apply(Fault::Partition(server, *other)),
                Outage::HeardBy(only) if *other != only => cut(server, *other),
                Outage::Stuck => world.apply(Fault::Hold(*other, server)),
                Outage::Slow(span) => {
                    let latency = Latency::fixed(span);
                    let slow = LinkFaults { latency, ..LinkFaults::default() };
                    world.apply(Fault::Link(*other, server, slow));
                    world.apply(Fault::Link(server, *other, slow));
                }
                _ => {}
            }
        }
        match outage {
            Outage::Down => world.apply(Fault::Crash(server)),
            Outage::Paused => world.apply(Fault::Pause(server)),
            Outage::DiskFull => world.apply(Fault::DiskFull(server, 0)),
            _ => {}
        }
    }
}

fn draw_outage(rng: &mut SeededRng, core: &[ServerId]) -> Outage {
    match rng.below(11) {
        0 => Outage::None,
        1 => Outage::Down,
        2 => Outage::Paused,
        3 => Outage::DiskFull,
        4 => Outage::Deaf,
        5 => Outage::Mute,
        6 => Outage::Cut,
        7 => Outage::Leaf(pick(rng, core)),
        8 => Outage::HeardBy(pick(rng, core)),
        9 => Outage::Stuck,
        _ => Outage::Slow(Duration::from_millis(20 << rng.below(4))),
    }
}

fn pick(rng: &mut SeededRng, servers: &[ServerId]) -> ServerId {
    let index = usize::try_from(rng.below(servers.len() as u64)).unwrap_or(0);
    servers.get(index).copied().unwrap_or(ServerId::new(0))
}
