use std::collections::BTreeSet;
use std::time::Duration;

use crate::types::{ServerId, Time};

use super::{Case, Failure, Fault, LinkFaults, Shape};

/// What is left of time behind the last fault, and so how much shorter is worth a world: half of it.
const LEFT: Duration = Duration::from_secs(1);

/// Makes a failing case smaller for as long as it fails in the same way: fewer servers and clients, fewer faults, a shorter
/// span, fewer operations, usual limits.
///
/// What is tried, and in which order, depends on nothing but the case and what became of it, so shrinking repeats. It takes the
/// large steps first, and begins again after a round that found something, because what is needed often changes when something
/// else has gone. (Faults are removed as in delta debugging: halves, then quarters, down to single ones.)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shrink {
    /// How many worlds are run, at most.
    pub attempts: u64,
    /// From how many seeds a world is run that has other servers or clients than the one that failed: chance falls
    /// otherwise in it, and the first seed may just miss the failure.
    pub seeds: u64,
}

impl Default for Shrink {
    fn default() -> Self {
        Self { attempts: 2_000, seeds: 4 }
    }
}

/// What a case was made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shrunk {
    /// The smallest case that was found.
    pub case: Case,
    /// How it fails.
    pub failure: Failure,
    /// How many worlds were run.
    pub attempts: u64,
    /// Whether nothing smaller was left to be tried; otherwise time or attempts ran out.
    pub complete: bool,
}

impl Shrink {
    /// Shrinks `case`, which fails with `failure`. `run` runs a case and says how it fails, if it does; `stop` is asked
    /// before each run.
    pub fn shrink(
        &self,
        case: &Case,
        failure: &Failure,
        run: impl FnMut(&Case) -> Option<Failure>,
        stop: impl FnMut() -> bool,
    ) -> Shrunk {
        let mut smallest =
            Shrunk { case: case.clone(), failure: failure.clone(), attempts: 0, complete: false };
        // They say what the faults were drawn from, which will not be true any more.
        smallest.case.plan.kinds.clear();
        let mut search = Search { shrink: *self, smallest, run, stop, stopped: false };
        search.cut_what_comes_after();
        loop {
            let before = search.smallest.case.clone();
            search.remove_servers();
            search.remove_clients();
            search.cut_what_comes_after();
            search.remove_kinds();
            search.remove_faults();
            search.cut_what_comes_after();
            search.hasten();
            search.shorten();
            search.calm();
            search.make_usual();
            search.lessen_the_aftermath();
            if search.stopped {
                break;
            }
            if search.smallest.case == before {
                search.smallest.complete = true;
                break;
            }
        }
        let plan = &mut search.smallest.case.plan;
        plan.victims.retain(|victim| plan.faults.iter().any(|(_, fault)| damages(fault, *victim)));
        search.smallest
    }
}

struct Search<R, S> {
    shrink: Shrink,
    smallest: Shrunk,
    run: R,
    stop: S,
    stopped: bool,
}

impl<R: FnMut(&Case) -> Option<Failure>, S: FnMut() -> bool> Search<R, S> {
    /// Takes the candidate if it fails in the same way.
    fn attempt(&mut self, candidate: Case) -> bool {
        self.stopped |= self.smallest.attempts >= self.shrink.attempts || (self.stop)();
        if self.stopped || candidate == self.smallest.case {
            return false;
        }
        self.smallest.attempts += 1;
        match (self.run)(&candidate) {
            Some(failure) if is_same(&failure, &self.smallest.failure) => {
                self.smallest.case = candidate;
                self.smallest.failure = failure;
                true
            }
            _ => false,
        }
    }

    /// As [`attempt`](Self::attempt), from several seeds.
    fn attempt_from_seeds(&mut self, candidate: &Case) -> bool {
        (0..self.shrink.seeds.max(1)).any(|offset| {
            let seed = candidate.seed.wrapping_add(offset);
            self.attempt(Case { seed, ..candidate.clone() })
        })
    }

    fn change(&mut self, change: impl FnOnce(&mut Case)) -> bool {
        let mut candidate = self.smallest.case.clone();
        change(&mut candidate);
        self.attempt(candidate)
    }

    /// What was planned for after the failure had no part in it. A world that does not fail ends sooner without it.
    fn cut_what_comes_after(&mut self) {
        if let Some(at) = moment(&self.smallest.failure) {
            self.change(|case| {
                case.plan.faults.retain(|(when, _)| *when <= at);
                case.until = case.until.min(at + LEFT);
                case.work_until = case.work_until.min(at + LEFT);
            });
        }
    }

    fn remove_servers(&mut self) {
        loop {
            let case = &self.smallest.case;
            let voters = [1, 2, 3, 5].into_iter().filter(|voters| *voters < case.config.voters);
            let sizes: Vec<_> = voters
                .map(|voters| (voters, 0))
                .chain((case.config.observers > 0).then_some((case.config.voters, 0)))
                .chain(case.config.voters.checked_sub(1).filter(|voters| *voters > 0).map(|less| (less, 0)))
                .collect();
            let mut taken = BTreeSet::new();
            let found = sizes.into_iter().filter(|size| taken.insert(*size)).any(|(voters, observers)| {
                let candidate = with_servers(&self.smallest.case, voters, observers);
                self.attempt_from_seeds(&candidate)
            });
            if !found {
                return;
            }
        }
    }

    fn remove_clients(&mut self) {
        loop {
            let clients = self.smallest.case.clients;
            let fewer: BTreeSet<_> = [0, 1, clients / 2, clients.saturating_sub(1)].into();
            let found = fewer.into_iter().filter(|fewer| *fewer < clients).any(|fewer| {
                let mut candidate = Case { clients: fewer, ..self.smallest.case.clone() };
                candidate.plan.faults.retain(|(_, fault)| fault.client().is_none_or(|client| client < fewer));
                self.attempt_from_seeds(&candidate)
            });
            if !found {
                return;
            }
        }
    }

    /// All faults of one name at once, and all that links do by chance.
    fn remove_kinds(&mut self) {
        let names: BTreeSet<_> =
            self.smallest.case.plan.faults.iter().map(|(_, fault)| fault.name()).collect();
        for name in names {
            self.change(|case| case.plan.faults.retain(|(_, fault)| fault.name() != name));
        }
        let good = LinkFaults::default();
        if !self.change(|case| case.plan.links = good) {
            self.change(|case| case.plan.links.drop = good.drop);
            self.change(|case| case.plan.links.duplicate = good.duplicate);
            self.change(|case| case.plan.links.reorder = good.reorder);
            self.change(|case| case.plan.links.stale = good.stale);
            self.change(|case| case.plan.links.latency = good.latency);
            self.change(|case| case.plan.links.bytes_per_milli = good.bytes_per_milli);
        }
    }

    fn remove_faults(&mut self) {
        let mut piece = self.smallest.case.plan.faults.len();
        while piece > 0 && !self.stopped {
            let mut at = 0;
            while at < self.smallest.case.plan.faults.len() && !self.stopped {
                let end = (at + piece).min(self.smallest.case.plan.faults.len());
                let removed = self.change(|case| drop(case.plan.faults.drain(at..end)));
                // Those behind have moved to here.
                at = if removed { at } else { end };
            }
            piece /= 2;
        }
    }

    /// Ends the faults right after the last one, and the work then too.
    fn shorten(&mut self) {
        let last = self.smallest.case.plan.faults.last().map_or(Time::ZERO, |(at, _)| *at);
        let Case { until, work_until, .. } = self.smallest.case;
        for end in [last + LEFT, halfway(last, until)] {
            if end + LEFT / 2 < until && self.change(|case| case.until = end) {
                break;
            }
        }
        for end in [self.smallest.case.until, halfway(self.smallest.case.until, work_until)] {
            if end + LEFT / 2 < work_until && self.change(|case| case.work_until = end) {
                break;
            }
        }
    }

    /// Lets everything happen earlier.
    fn hasten(&mut self) {
        let first = self.smallest.case.plan.faults.first().map_or(Time::ZERO, |(at, _)| *at);
        for divisor in [1, 2, 4] {
            let by = first.since(Time::ZERO) / divisor;
            let earlier = |time: Time| Time::ZERO + time.since(Time::ZERO).saturating_sub(by);
            let hastened = self.change(|case| {
                case.plan.faults.iter_mut().for_each(|(at, _)| *at = earlier(*at));
                case.until = earlier(case.until);
                case.work_until = earlier(case.work_until);
            });
            if hastened {
                break;
            }
        }
    }

    /// Fewer operations.
    fn calm(&mut self) {
        for steps in [1, 2, 4, 8, 16, 32, 64, 128] {
            if steps < self.smallest.case.workload.steps && self.change(|case| case.workload.steps = steps) {
                break;
            }
        }
        for pipeline in [1, 4] {
            if pipeline < self.smallest.case.workload.pipeline
                && self.change(|case| case.workload.pipeline = pipeline)
            {
                break;
            }
        }
        if self.smallest.case.workload.data_len > 1 {
            self.change(|case| case.workload.data_len = 1);
        }
    }

    /// Less that stays wrong for good.
    fn lessen_the_aftermath(&mut self) {
        let mut place = 0;
        while let Some(server) = self.smallest.case.aftermath.outages.get(place).map(|(server, _)| *server) {
            if !self.change(|case| case.aftermath.outages.retain(|(other, _)| *other != server)) {
                place += 1;
            }
        }
        self.change(|case| case.aftermath.shape = Shape::Clique);
    }

    /// Numbers that are not what they usually are, such as tiny limits.
    fn make_usual(&mut self) {
        const MADE_SMALL: [&str; 5] = ["voters", "observers", "clients", "until", "work_until"];
        for (name, usual) in self.smallest.case.unusual() {
            if MADE_SMALL.contains(&name)
                || ["workload.steps", "workload.pipeline", "workload.data_len"].contains(&name)
            {
                continue;
            }
            let mut candidate = self.smallest.case.clone();
            if candidate.set(name, &usual).is_ok() {
                self.attempt(candidate);
            }
        }
    }
}

/// Whether two failures are one: the same invariant, or the same way not to come to an end.
fn is_same(one: &Failure, other: &Failure) -> bool {
    match (one, other) {
        (Failure::Violated { invariant: one, .. }, Failure::Violated { invariant: other, .. }) => {
            one == other
        }
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

/// When it failed, unless that may be because of all that came before the end.
fn moment(failure: &Failure) -> Option<Time> {
    failure.at().filter(|_| !matches!(failure, Failure::TooSlow { .. }))
}

fn halfway(from: Time, to: Time) -> Time {
    from + to.since(from) / 2
}

/// The case with fewer servers. Those with the largest numbers go, and the faults that name them; observers move up.
fn with_servers(case: &Case, voters: u64, observers: u64) -> Case {
    let mut smaller = case.clone();
    smaller.config.voters = voters;
    smaller.config.observers = observers;
    let is_there = |server: ServerId| server.number() <= voters + observers;
    smaller.plan.faults.retain(|(_, fault)| fault.servers().all(is_there));
    let minority = usize::try_from(voters.saturating_sub(1) / 2).unwrap_or(usize::MAX);
    smaller.plan.victims.retain(|server| server.number() <= voters);
    // Damage stays within its budget: fewer servers than a majority needs.
    for server in smaller.plan.victims.split_off(minority.min(smaller.plan.victims.len())) {
        smaller.plan.faults.retain(|(_, fault)| !damages(fault, server));
    }
    let victims = &smaller.plan.victims;
    // In other shapes than a clique all voters are needed.
    let clique = case.aftermath.shape == Shape::Clique;
    let needed = if clique { voters / 2 + 1 } else { voters };
    let needed = usize::try_from(needed).unwrap_or(usize::MAX);
    let is_voter = |server: &ServerId| server.number() <= voters;
    let mut core: Vec<_> = case.aftermath.core.iter().copied().filter(is_voter).collect();
    for server in (1..=voters).map(ServerId::new) {
        if core.len() < needed && !core.contains(&server) && !(clique && victims.contains(&server)) {
            core.push(server);
        }
    }
    core.truncate(needed);
    core.sort_unstable();
    let aftermath = &mut smaller.aftermath;
    if matches!(aftermath.shape, Shape::Hub(hub) if !is_voter(&hub)) {
        aftermath.shape = Shape::Hub(ServerId::new(1));
    }
    aftermath.outages.retain(|(server, outage)| {
        is_there(*server) && !core.contains(server) && outage.server().is_none_or(is_there)
    });
    aftermath.core = core;
    smaller
}

fn damages(fault: &Fault, server: ServerId) -> bool {
    matches!(fault, Fault::BitFlip(victim) | Fault::WipeDisk(victim) if *victim == server)
}

#[cfg(test)]
#[path = "shrink_tests.rs"]
mod tests;
