//! What need not be looked at: messages that say nothing to anyone, orders of events that make no difference, ends.

use crate::types::Lane;
use crate::zab::{Body, Role};

use super::replica::Input;
use super::search::{Broken, Model, get, set};
use super::zab::{
    COUNTERS, CRASHES, CUT, Event, FOLLOWS, GHOST, IMPATIENCE, LEADS, LOSSES, PARTITIONS, PROPOSALS, REPEATS,
    TICKS, ZabModel,
};

impl ZabModel<'_> {
    /// Brings states that differ in nothing that matters any more to one.
    pub(super) fn normalise(&mut self, state: &mut [u32]) -> Result<(), Broken> {
        while self.is_moot(state)
            && let Some(server) = (0..self.servers()).find(|server| self.is_inert(state, *server))
        {
            let sid = server as u64 + 1;
            let before = get(state, server);
            if self.replica(state, server).role() != Role::Idle
                && let Some(broken) = &self.replicas.step(before, Input::TimeOut).broken
            {
                return Err(broken.clone());
            }
            set(state, server, self.replicas.husk(before));
            self.lose_all(state, |_, to| to == sid);
            if u64::from(self.counter(state, CUT)) == sid {
                set(state, self.servers() + CUT, 0);
            }
        }
        if self.is_moot(state) {
            let live = (0..self.servers()).any(|server| self.replica(state, server).is_up());
            let leads = (0..self.servers()).any(|server| self.replica(state, server).role() == Role::Leader);
            let useless: &[usize] = match (live, leads) {
                (true, true) => &[],
                (true, false) => &[FOLLOWS, PROPOSALS],
                (false, _) => &[FOLLOWS, PROPOSALS, CRASHES, PARTITIONS],
            };
            for counter in useless {
                set(state, self.servers() + *counter, 0);
            }
        }
        self.forget_the_void(state);
        Ok(())
    }

    /// Whether nobody without a role can get one any more within the bounds.
    pub(super) fn is_moot(&self, state: &[u32]) -> bool {
        let leads = |server| self.replica(state, server).role() == Role::Leader;
        self.counter(state, LEADS) == 0
            && (self.counter(state, FOLLOWS) == 0 || !(0..self.servers()).any(leads))
    }

    /// Whether a server matters by nothing but what is on its disk, as nobody can get a role any more: it has nothing to
    /// write, nobody that it follows leads or has left it a message, and if it leads, nobody follows it or has left it a message
    /// and it proposes nothing. All it could do is to end its role, to crash and to start; no disk, no history and no
    /// server that does matter would be touched by it.
    fn is_inert(&self, state: &[u32], server: usize) -> bool {
        let replica = self.replica(state, server);
        let sid = server as u64 + 1;
        let hears_of = |sender: Option<u64>| {
            self.lines.iter().enumerate().any(|(line, (from, to, _))| {
                *to == sid && sender.is_none_or(|sender| sender == *from) && !self.is_empty(state, line)
            })
        };
        if replica.is_husk() || replica.writes() > 0 {
            return false;
        }
        match (replica.role(), replica.leader()) {
            (Role::Idle, _) => true,
            (Role::Leader, _) => {
                let followed = (0..self.servers())
                    .any(|other| other != server && self.replica(state, other).leader() == Some(sid));
                let proposes = self.counter(state, PROPOSALS) > 0 && replica.is_established();
                !followed && !proposes && !hears_of(None)
            }
            (_, leader) => {
                let leading = leader.and_then(|leader| usize::try_from(leader - 1).ok());
                leading.is_some_and(|leading| self.replica(state, leading).role() != Role::Leader)
                    && !hears_of(leader)
            }
        }
    }

    /// Removes the messages that change nothing and are answered by nothing, now and whatever happens before they
    /// arrive: those of a link that the receiver does not listen to and never will again. A server that may be elected yet
    /// would answer some of them.
    fn forget_the_void(&mut self, state: &mut [u32]) {
        for line in 0..self.lines.len() {
            if self.is_empty(state, line) {
                continue;
            }
            let queue = self.queue(state, line);
            let live: Vec<_> =
                queue.iter().copied().filter(|message| !self.is_void(state, line, *message)).collect();
            if live.len() < queue.len() {
                self.set_queue(state, line, live);
            }
        }
    }

    fn is_void(&mut self, state: &[u32], line: usize, number: u32) -> bool {
        let Some((from, to, _)) = self.lines.get(line).copied() else { return false };
        let server = usize::try_from(to - 1).unwrap_or_default();
        let message = self.replicas.message(number);
        let receiver = self.replica(state, server);
        let void = match message.body {
            _ if receiver.is_husk() => true,
            Body::Join(_) | Body::Ping { .. } | Body::Pong { .. } => false,
            // They are said to learners only, of links that those opened.
            Body::NotLeading | Body::Refused(_) => !receiver.links.listens_to(message.link),
            _ => {
                receiver.role() != Role::Leader
                    && self.counter(state, LEADS) == 0
                    && !receiver.links.listens_to(message.link)
            }
        };
        if !void {
            return false;
        }
        let before = get(state, server);
        let step = self.replicas.step(before, Input::Arrive { from, message: number });
        step.next == before && step.sends.is_empty() && step.broken.is_none()
    }

    /// The events of one follower, if it is enough to look at those: all that can happen to it before it takes one of
    /// them is one of them, whatever the others do, and none of them is seen by any property of the whole.
    ///
    /// The faults are spent, so the others cannot take from it what it has. Its leader began its epoch and shares a whole link with
    /// it; so the leader sends on one lane only, and there is something on that already, and it keeps leading
    /// while it has this follower. The third server has nothing to say to it. So what it can do is to take the next
    /// message and to finish the next write; both touch nothing that an event of another server touches but the ends of queues,
    /// and commute with all of those. No cycle consists of such events only: each uses up a message of a leader or a write, and
    /// followers send none to followers.
    pub(super) fn enough(&mut self, state: &[u32]) -> Option<Vec<Event>> {
        let spent = [CUT, CRASHES, PARTITIONS, IMPATIENCE, TICKS, LOSSES, REPEATS];
        if spent.into_iter().any(|counter| self.counter(state, counter) > 0) {
            return None;
        }
        (0..self.servers()).find_map(|server| {
            let line = self.next_of_leader(state, server)?;
            let mut events = vec![Event::Arrive(line)];
            if self.replica(state, server).writes() > 0 {
                events.push(Event::Take(server, Input::Persisted));
            }
            events.iter().all(|event| self.is_unseen(state, server, *event)).then_some(events)
        })
    }

    /// The line with the next message of its leader, if all that is said above holds of this server.
    fn next_of_leader(&self, state: &[u32], server: usize) -> Option<usize> {
        let follower = self.replica(state, server);
        let sid = server as u64 + 1;
        if follower.role() != Role::Follower {
            return None;
        }
        let leader = follower.leader()?;
        let leading = self.replica(state, usize::try_from(leader - 1).ok()?);
        if !leading.has_begun() {
            return None;
        }
        let mut next = None;
        for (line, (from, to, lane)) in self.lines.iter().copied().enumerate() {
            let empty = self.is_empty(state, line);
            let fits = match (from == sid, to == sid, lane) {
                (false, true, Lane::Bulk) if from == leader => {
                    next = Some(line);
                    !empty
                }
                (true, false, Lane::Bulk) if to == leader => {
                    let queue = self.queues.get(get(state, self.servers() + COUNTERS + line));
                    let messages: Vec<_> =
                        queue.iter().map(|message| self.replicas.message(*message)).collect();
                    let whole = messages.windows(2).all(|pair| match pair {
                        [one, other] => one.link == other.link && one.sequence + 1 == other.sequence,
                        _ => false,
                    });
                    let first = messages.first().map(AsRef::as_ref);
                    whole && follower.links.share_all(sid, &leading.links, first)
                }
                (true, _, _) | (_, true, _) => empty,
                _ => true,
            };
            if !fits {
                return None;
            }
        }
        let others = (0..self.servers()).filter(|other| *other != server && *other as u64 + 1 != leader);
        let silent = others
            .map(|other| self.replica(state, other))
            .all(|other| other.leader() != Some(sid) && !other.has_learner(sid));
        next.filter(|_| silent)
    }

    /// Whether an event changes no disk's history and nothing that only the properties know.
    fn is_unseen(&mut self, state: &[u32], server: usize, event: Event) -> bool {
        let Ok(next) = self.next(state, event) else { return false };
        self.counter(state, GHOST) == self.counter(&next, GHOST)
            && self.replica(state, server).log == self.replica(&next, server).log
    }
}
