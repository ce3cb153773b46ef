use std::time::Duration;

use crate::types::{ServerId, Time};

use super::check::Seen;
use super::connector::Lines;
use super::disk::{self, Operation};
use super::machine::Machine;
use super::{Actor, Fault, LinkFaults, Plan, Process, World};

impl World {
    /// Does something to the world.
    pub fn apply(&self, fault: Fault) {
        self.note(Actor::World, "fault", &[], || fault.to_string());
        let done = match fault {
            Fault::Disconnect(process) => self.with_lines(process, Lines::disconnect),
            Fault::ExpireSession(process) => self.with_lines(process, |lines| lines.set_blocked(true)),
            Fault::Reconnect(process) => self.with_lines(process, |lines| lines.set_blocked(false)),
            Fault::Restart(server) => self.start(server),
            Fault::Bounce(server) => {
                let ran = self.stop(server);
                self.start(server) && ran
            }
            Fault::Crash(server) => self.stop(server),
            Fault::Pause(server) => {
                self.inner().executor().pause(Actor::Server(server));
                self.runs(server)
            }
            Fault::Resume(server) => {
                let paused = self.inner().executor().is_paused(Actor::Server(server));
                self.inner().executor().resume(Actor::Server(server));
                paused
            }
            Fault::ClockJump(server, span) => self.with_clock(server, |clock| clock.jump(span)),
            Fault::ClockRate(server, rate) => self.with_clock(server, |clock| clock.set_rate(rate)),
            Fault::WallJump(server, millis) => self.with_clock(server, |clock| clock.jump_wall(millis)),
            other => self.apply_to_network(other).unwrap_or_else(|| self.apply_to_disk(other)),
        };
        if done {
            self.count_fault(fault.name());
        }
    }

    /// Says whether something was done, which is not between a server and itself; `None`: it is no fault
    /// of the network.
    fn apply_to_network(&self, fault: Fault) -> Option<bool> {
        let network = self.network();
        match fault {
            Fault::Partition(a, b) => network.partition(a, b),
            Fault::PartitionOneway(from, to) => network.partition_oneway(from, to),
            Fault::Hold(from, to) => network.hold(from, to),
            Fault::Release(from, to) => network.release(from, to),
            Fault::Repair(a, b) => network.repair(a, b),
            Fault::Reset(a, b) => network.reset(a, b),
            Fault::Link(from, to, faults) => network.set_faults(from, to, faults),
            Fault::DropRate(rate) => self.change_links(|faults| faults.drop = rate),
            Fault::DuplicateRate(rate) => self.change_links(|faults| faults.duplicate = rate),
            Fault::Reorder(rate) => self.change_links(|faults| faults.reorder = rate),
            Fault::Latency(latency) => self.change_links(|faults| faults.latency = latency),
            _ => return None,
        }
        let (Fault::Partition(a, b)
        | Fault::PartitionOneway(a, b)
        | Fault::Hold(a, b)
        | Fault::Release(a, b)
        | Fault::Repair(a, b)
        | Fault::Reset(a, b)
        | Fault::Link(a, b, _)) = fault
        else {
            return Some(true);
        };
        Some(a != b)
    }

    /// Lets the faults of a plan happen when their time comes.
    pub fn schedule(&self, plan: &Plan) {
        self.network().set_all_faults(plan.links);
        for (at, fault) in &plan.faults {
            let (world, fault) = (self.weak(), *fault);
            self.inner().executor().at(*at, move || {
                if let Some(world) = world.upgrade() {
                    world.apply(fault);
                }
            });
        }
    }

    /// Says whether something was done; what is only planned counts when it comes.
    fn apply_to_disk(&self, fault: Fault) -> bool {
        let mut rng = self.fork_rng();
        match fault {
            Fault::PowerLoss(server) => {
                // Half of the time in the middle of what the disk does next, if it does anything soon.
                let at = [disk::Fault::CrashBefore, disk::Fault::CrashAfter, disk::Fault::Torn];
                let at = usize::try_from(rng.below(6)).ok().and_then(|index| at.get(index).copied());
                match at {
                    Some(fault) if self.runs(server) => {
                        let nth = rng.below(4);
                        self.with_machine(server, |machine| machine.fail_operation(nth, fault));
                        let world = self.weak();
                        let soon = self.now() + Duration::from_millis(100);
                        self.inner().executor().at(soon, move || {
                            // Unless that has come, or its disk was repaired meanwhile.
                            if let Some(world) = world.upgrade()
                                && world.with_machine(server, |machine| machine.is_fault_planned())
                                    == Some(true)
                            {
                                world.cut_power(server);
                            }
                        });
                    }
                    _ => self.cut_power(server),
                }
            }
            Fault::PowerLossOfAll => {
                for server in self.servers() {
                    self.cut_power(server.id());
                }
            }
            Fault::TornWrite(server) => {
                self.with_machine(server, |machine| {
                    machine.disk.fail_next(&[Operation::Write], disk::Fault::Torn)
                });
            }
            Fault::IoError(server) => {
                let writes = &[Operation::Write, Operation::Shape];
                self.with_machine(server, |machine| machine.disk.fail_next(writes, disk::Fault::Error));
            }
            Fault::FsyncError(server) => {
                self.with_machine(server, |machine| {
                    machine.disk.fail_next(&[Operation::Sync], disk::Fault::Error)
                });
            }
            Fault::DiskFull(server, room) => {
                self.with_machine(server, |machine| machine.fill(room));
            }
            Fault::RepairDisk(server) => {
                self.with_machine(server, |machine| machine.repair());
            }
            Fault::BitFlip(server) => {
                return self.damage(server, |machine| machine.flip_bit(&mut rng)) == Some(true);
            }
            Fault::WipeDisk(server) => {
                self.stop(server);
                return self.damage(server, Machine::wipe).is_some();
            }
            Fault::SwapDisks(a, b) => return self.swap_disks(a, b),
            _ => {}
        }
        false
    }

    /// Says whether both had a disk to give.
    fn swap_disks(&self, a: ServerId, b: ServerId) -> bool {
        // A disk that was never used, or was replaced, belongs to nobody yet: to be given it is to lose one's own.
        let own = |server| self.with_machine(server, |machine| machine.has_own_data()) == Some(true);
        if !own(a) || !own(b) {
            return false;
        }
        self.stop(a);
        self.stop(b);
        let disk = |server| self.with_machine(server, |machine| machine.disk_to_swap());
        let (Some((disk_a, of_a)), Some((disk_b, of_b))) = (disk(a), disk(b)) else { return false };
        disk_a.swap(&disk_b);
        self.with_machine(a, |machine| machine.disk_of = of_b);
        self.with_machine(b, |machine| machine.disk_of = of_a);
        a != b
    }

    /// Puts a server's own disk back, wherever it is.
    pub(super) fn give_back(&self, server: ServerId) {
        let holder =
            self.servers().into_iter().map(|holder| holder.id()).find(|holder| {
                self.with_machine(*holder, |machine| machine.disk_of == server).unwrap_or(false)
            });
        if let Some(holder) = holder.filter(|holder| *holder != server) {
            self.swap_disks(server, holder);
        }
    }

    /// The machine loses power now; what was to happen to its disk for it does not happen any more.
    pub(super) fn cut_power(&self, server: ServerId) {
        self.stop(server);
        self.count_fault("power_loss");
        let mut rng = self.fork_rng();
        self.with_machine(server, |machine| {
            machine.disk.clear_faults();
            machine.power_loss(&mut rng);
        });
    }

    /// Damages a server's disk, unless it is another's: that one may not be meant to lose anything.
    fn damage<T>(&self, server: ServerId, damage: impl FnOnce(&mut Machine) -> T) -> Option<T> {
        if self.with_machine(server, |machine| machine.disk_of == server) != Some(true) {
            return None;
        }
        self.inner().checker().see(self.now(), server, &Seen::Damaged);
        self.with_machine(server, damage)
    }

    fn runs(&self, server: ServerId) -> bool {
        self.with_machine(server, |machine| machine.node.is_some()) == Some(true)
    }

    fn with_lines(&self, process: u64, change: impl FnOnce(&Lines)) -> bool {
        self.lines(process).map(|lines| change(&lines)).is_some()
    }

    fn change_links(&self, change: impl Fn(&mut LinkFaults)) {
        let servers = self.servers();
        for a in &servers {
            for b in &servers {
                let mut faults = self.network().faults(a.id(), b.id());
                change(&mut faults);
                self.network().set_faults(a.id(), b.id(), faults);
            }
        }
    }

    /// Says whether there is such a server.
    pub(super) fn with_clock(&self, server: ServerId, change: impl FnOnce(&super::SimClock)) -> bool {
        // Outside the lock: a change of the clock wakes who sleeps on it.
        self.with_machine(server, |machine| machine.clock.clone()).map(|clock| change(&clock)).is_some()
    }

    /// All processes, in order.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        (0..).map_while(|number| self.process_numbered(number)).collect()
    }

    /// Waits until virtual time is `time`.
    pub async fn sleep_until(&self, time: Time) {
        self.inner().executor().sleep_until(time).await;
    }
}
