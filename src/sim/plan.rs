use std::time::Duration;

use crate::types::{SeededRng, ServerId, Time};

use super::{Fault, Latency, LinkFaults, Rate, WorldConfig};

/// A family of faults that a [`Plan`] may draw.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum FaultKind {
    /// One server is cut off from some others, in both directions.
    Partition,
    /// One direction is cut.
    PartitionOneway,
    /// One server alone sees all others, or the servers only see their neighbours.
    PartialPartition,
    /// A direction is held and let go later.
    Hold,
    /// What travels is lost.
    Reset,
    /// Frames get lost.
    Loss,
    /// Frames arrive twice.
    Duplication,
    /// Frames overtake each other.
    Reordering,
    /// Frames outlive the restart of their receiver.
    StaleFrames,
    /// The network is slow, with a heavy tail.
    SlowNetwork,
    /// One server is slow to reach.
    SlowServer,
    /// A process ends and starts again later.
    Crash,
    /// A machine loses power.
    PowerLoss,
    /// All machines lose power at once.
    PowerLossOfAll,
    /// A process is restarted at once.
    Bounce,
    /// A process stops for a while.
    Pause,
    /// A monotonic clock jumps forward.
    ClockJump,
    /// Monotonic clocks run fast or slow.
    ClockDrift,
    /// A wall clock jumps.
    WallJump,
    /// A disk runs full.
    DiskFull,
    /// A write fails.
    IoError,
    /// A sync fails.
    FsyncError,
    /// A write is torn by a power loss.
    TornWrite,
    /// A bit flips on a disk. Within the budget: fewer servers than a majority needs.
    BitFlip,
    /// A disk is replaced by an empty one. Within the same budget.
    WipeDisk,
    /// Two servers get each other's disks.
    SwapDisks,
    /// A client's connection breaks.
    Disconnect,
    /// A client is cut off until its session has expired.
    ExpireSession,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::Partition,
        Self::PartitionOneway,
        Self::PartialPartition,
        Self::Hold,
        Self::Reset,
        Self::Loss,
        Self::Duplication,
        Self::Reordering,
        Self::StaleFrames,
        Self::SlowNetwork,
        Self::SlowServer,
        Self::Crash,
        Self::PowerLoss,
        Self::PowerLossOfAll,
        Self::Bounce,
        Self::Pause,
        Self::ClockJump,
        Self::ClockDrift,
        Self::WallJump,
        Self::DiskFull,
        Self::IoError,
        Self::FsyncError,
        Self::TornWrite,
        Self::BitFlip,
        Self::WipeDisk,
        Self::SwapDisks,
        Self::Disconnect,
        Self::ExpireSession,
    ];
}

/// Who there is for faults to happen to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Topology {
    /// The servers that vote.
    pub voters: Vec<ServerId>,
    /// The servers that do not.
    pub observers: Vec<ServerId>,
    /// How many clients there are; they are numbered from 0.
    pub clients: u64,
}

impl Topology {
    /// Who there is in a world of this kind.
    #[must_use]
    pub fn of(config: &WorldConfig, clients: u64) -> Self {
        Self {
            voters: (1..=config.voters).map(ServerId::new).collect(),
            observers: (config.voters + 1..=config.voters + config.observers).map(ServerId::new).collect(),
            clients,
        }
    }
}

/// What happens to a world and when: drawn as a whole from a seed, and independent of what the world does, so
/// that a failing plan can be shortened.
///
/// Each seed draws its own subset of kinds and its own rates, because a run in which everything happens all the time
/// never gets far enough to see most of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// The kinds that were drawn.
    pub kinds: Vec<FaultKind>,
    /// What links do to frames from the start.
    pub links: LinkFaults,
    /// The faults, in the order of their times.
    pub faults: Vec<(Time, Fault)>,
    /// The servers whose disks may lose what was durable; fewer than any majority needs.
    pub victims: Vec<ServerId>,
}

impl Plan {
    /// A plan for faults from `start` to `end`, of a random subset of the kinds in `allowed`.
    #[must_use]
    pub fn draw(
        rng: &mut SeededRng,
        topology: &Topology,
        allowed: &[FaultKind],
        start: Time,
        end: Time,
    ) -> Self {
        let density = 1 + rng.below(3);
        let kinds: Vec<_> = allowed.iter().copied().filter(|_| rng.chance(density, 5)).collect();
        let mut victims = topology.voters.clone();
        while victims.len() > topology.voters.len().saturating_sub(1) / 2 {
            let index = index_below(rng, victims.len());
            victims.swap_remove(index);
        }
        let mut drawing = Drawing { rng, topology, end, victims, faults: Vec::new() };
        let mut links = LinkFaults::default();
        for kind in &kinds {
            drawing.link_rates(*kind, &mut links);
            // Once in 60 ms to once in 8 s: more often, and a server does nothing but start.
            let interval = 60_000 << drawing.rng.below(8);
            let mut at = start;
            loop {
                at += Duration::from_micros(interval / 2 + drawing.rng.below(interval));
                if at >= end {
                    break;
                }
                drawing.fault(*kind, at);
            }
        }
        let Drawing { victims, mut faults, .. } = drawing;
        faults.sort_by_key(|(at, _)| *at);
        Self { kinds, links, faults, victims }
    }
}

struct Drawing<'a> {
    rng: &'a mut SeededRng,
    topology: &'a Topology,
    end: Time,
    victims: Vec<ServerId>,
    faults: Vec<(Time, Fault)>,
}

impl Drawing<'_> {
    /// What a kind changes about all links from the start.
    fn link_rates(&mut self, kind: FaultKind, links: &mut LinkFaults) {
        // From one in a thousand to one in eight.
        let rate = Rate::millionths(1_000 << self.rng.below(8));
        match kind {
            FaultKind::Loss => links.drop = rate,
            FaultKind::Duplication => links.duplicate = rate,
            FaultKind::Reordering => links.reorder = rate,
            FaultKind::StaleFrames => links.stale = Rate::percent(50),
            FaultKind::SlowNetwork => {
                links.latency = Latency {
                    min: Duration::from_micros(100 << self.rng.below(7)),
                    spread: Duration::from_micros(400 << self.rng.below(7)),
                    tail: rate,
                };
            }
            _ => {}
        }
    }

    fn fault(&mut self, kind: FaultKind, at: Time) {
        let (a, b) = (self.server(), self.server());
        let healed = at + self.span();
        match kind {
            FaultKind::Partition => {
                for other in self.some_others(a) {
                    self.push(at, Fault::Partition(a, other));
                    self.push(healed, Fault::Repair(a, other));
                }
            }
            FaultKind::PartitionOneway => {
                let others = if self.rng.chance(1, 2) { vec![b] } else { self.some_others(a) };
                let inward = self.rng.chance(1, 2);
                for other in others {
                    let (from, to) = if inward { (other, a) } else { (a, other) };
                    self.push(at, Fault::PartitionOneway(from, to));
                    self.push(healed, Fault::Repair(a, other));
                }
            }
            FaultKind::PartialPartition => self.partial_partition(a, at, healed),
            FaultKind::Hold => {
                self.push(at, Fault::Hold(a, b));
                self.push(healed, Fault::Release(a, b));
            }
            FaultKind::Reset => self.push(at, Fault::Reset(a, b)),
            FaultKind::SlowServer => {
                let latency = Latency::fixed(Duration::from_millis(1 << self.rng.below(10)));
                let slow = LinkFaults { latency, ..LinkFaults::default() };
                for other in self.others(a) {
                    self.push(at, Fault::Link(a, other, slow));
                    self.push(healed, Fault::Link(a, other, LinkFaults::default()));
                }
            }
            FaultKind::Crash => self.down(at, healed, Fault::Crash(a), a),
            FaultKind::PowerLoss => self.down(at, healed, Fault::PowerLoss(a), a),
            FaultKind::PowerLossOfAll => {
                // Rarely, or nothing ever gets done.
                if self.rng.chance(1, 4) {
                    self.push(at, Fault::PowerLossOfAll);
                    for server in self.servers() {
                        let restarted = at + self.span();
                        self.push(restarted, Fault::Restart(server));
                    }
                }
            }
            FaultKind::Bounce => self.push(at, Fault::Bounce(a)),
            FaultKind::Pause => {
                self.push(at, Fault::Pause(a));
                self.push(healed, Fault::Resume(a));
            }
            FaultKind::ClockJump => {
                let span = self.span();
                self.push(at, Fault::ClockJump(a, span));
            }
            FaultKind::ClockDrift => {
                let millionths = 900_000 + self.rng.below(200_001);
                self.push(at, Fault::ClockRate(a, millionths));
            }
            FaultKind::WallJump => {
                let millis = i64::try_from(self.rng.below(7_200_000)).unwrap_or(0) - 3_600_000;
                self.push(at, Fault::WallJump(a, millis));
            }
            _ => self.disk_or_client_fault(kind, a, at, healed),
        }
    }

    fn disk_or_client_fault(&mut self, kind: FaultKind, a: ServerId, at: Time, healed: Time) {
        let victim = (!self.victims.is_empty()).then(|| index_below(self.rng, self.victims.len()));
        let victim = victim.and_then(|index| self.victims.get(index).copied());
        let client = self.rng.below(self.topology.clients.max(1));
        match kind {
            FaultKind::DiskFull => {
                // Often for less than is written before it is repaired.
                let most = 1 << self.rng.below(17);
                let room = self.rng.below(most);
                self.push(at, Fault::DiskFull(a, room));
                self.push(healed, Fault::RepairDisk(a));
                self.push(healed, Fault::Restart(a));
            }
            FaultKind::IoError => self.down(at, healed, Fault::IoError(a), a),
            FaultKind::FsyncError => self.down(at, healed, Fault::FsyncError(a), a),
            FaultKind::TornWrite => self.down(at, healed, Fault::TornWrite(a), a),
            FaultKind::BitFlip => {
                if let Some(victim) = victim {
                    self.push(at, Fault::BitFlip(victim));
                    self.down(at, healed, Fault::Crash(victim), victim);
                }
            }
            FaultKind::WipeDisk => {
                if let Some(victim) = victim {
                    self.down(at, healed, Fault::WipeDisk(victim), victim);
                }
            }
            FaultKind::SwapDisks => {
                let other = self.server();
                if other != a {
                    self.push(at, Fault::SwapDisks(a, other));
                    // Both are asked to start with the wrong disk, and then with their own again.
                    for (when, fault) in [
                        (at, Fault::Restart(a)),
                        (at, Fault::Restart(other)),
                        (healed, Fault::SwapDisks(a, other)),
                        (healed, Fault::Restart(a)),
                        (healed, Fault::Restart(other)),
                    ] {
                        self.push(when, fault);
                    }
                }
            }
            FaultKind::Disconnect => self.push(at, Fault::Disconnect(client)),
            FaultKind::ExpireSession => {
                self.push(at, Fault::ExpireSession(client));
                self.push(healed, Fault::Reconnect(client));
            }
            _ => {}
        }
    }

    /// The hub sees all, the others only the hub; or a line on which each sees its neighbours.
    fn partial_partition(&mut self, hub: ServerId, at: Time, healed: Time) {
        let servers = self.servers();
        let line = self.rng.chance(1, 2);
        for (index, a) in servers.iter().enumerate() {
            for (distance, b) in servers.iter().skip(index + 1).enumerate() {
                let linked = if line { distance == 0 } else { *a == hub || *b == hub };
                if !linked {
                    self.push(at, Fault::Partition(*a, *b));
                    self.push(healed, Fault::Repair(*a, *b));
                }
            }
        }
    }

    fn down(&mut self, at: Time, healed: Time, fault: Fault, server: ServerId) {
        self.push(at, fault);
        self.push(healed, Fault::Restart(server));
    }

    fn push(&mut self, at: Time, fault: Fault) {
        // What would be healed after the end stays as it is: the world heals what it wants to be healed.
        if at <= self.end {
            self.faults.push((at, fault));
        }
    }

    fn servers(&self) -> Vec<ServerId> {
        self.topology.voters.iter().chain(&self.topology.observers).copied().collect()
    }

    fn server(&mut self) -> ServerId {
        let servers = self.servers();
        let index = index_below(self.rng, servers.len());
        servers.get(index).copied().unwrap_or(ServerId::new(0))
    }

    fn others(&self, server: ServerId) -> Vec<ServerId> {
        self.servers().into_iter().filter(|other| *other != server).collect()
    }

    fn some_others(&mut self, server: ServerId) -> Vec<ServerId> {
        let all = self.rng.chance(1, 2);
        self.others(server).into_iter().filter(|_| all || self.rng.chance(1, 2)).collect()
    }

    /// 1 ms to 4 s, as often short as long.
    fn span(&mut self) -> Duration {
        let millis = 1 << self.rng.below(12);
        Duration::from_micros(millis * 1_000 + self.rng.below(millis * 1_000))
    }
}

fn index_below(rng: &mut SeededRng, length: usize) -> usize {
    usize::try_from(rng.below(length as u64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn draw(seed: u64) -> Plan {
        let topology = Topology {
            voters: (1..=5).map(ServerId::new).collect(),
            observers: vec![ServerId::new(6)],
            clients: 3,
        };
        let rng = &mut SeededRng::from_number(seed);
        Plan::draw(rng, &topology, &FaultKind::ALL, Time::from_millis(100), Time::from_millis(20_000))
    }

    #[test]
    fn a_plan_repeats_from_its_seed_and_seeds_differ() {
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn every_kind_is_drawn_by_some_seed_and_no_seed_draws_all() {
        let plans: Vec<_> = (0..60).map(draw).collect();
        let seen: BTreeSet<_> = plans.iter().flat_map(|plan| plan.kinds.iter().copied()).collect();
        assert_eq!(seen.len(), FaultKind::ALL.len());
        assert!(plans.iter().all(|plan| plan.kinds.len() < FaultKind::ALL.len()));
    }

    #[test]
    fn durable_data_is_only_damaged_on_fewer_servers_than_a_majority() {
        for plan in (0..200).map(draw) {
            let damaged: BTreeSet<_> = plan
                .faults
                .iter()
                .filter_map(|(_, fault)| match fault {
                    Fault::BitFlip(server) | Fault::WipeDisk(server) => Some(*server),
                    _ => None,
                })
                .collect();
            assert!(damaged.len() <= 2, "{damaged:?}");
        }
    }

    #[test]
    fn faults_stand_in_the_order_of_their_times_and_within_the_span() {
        for plan in (0..50).map(draw) {
            assert!(plan.faults.is_sorted_by_key(|(at, _)| *at));
            let span = Time::from_millis(100)..=Time::from_millis(20_000);
            assert!(plan.faults.iter().all(|(at, _)| span.contains(at)));
        }
    }
}
