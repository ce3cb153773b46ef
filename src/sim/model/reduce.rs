//! What need not be looked at: messages that say nothing to anyone, orders of events that make no difference, ends.

use crate::types::Lane;
use crate::zab::{Body, Role};

use super::replica::Input;
use super::zab::{COUNTERS, CRASHES, CUT, Event, GHOST, IMPATIENCE, LEADS, LOSSES, PARTITIONS, REPEATS, TICKS, ZabModel};

impl ZabModel<'_> {
    /// Whether no disk and no history can ever change any more within the bounds: nobody leads, nobody can be elected, and no
    /// disk has anything to do.
    pub(super) fn is_over(&self, state: &[u32]) -> bool {
        self.counter(state, LEADS) == 0
            && (0..self.servers()).all(|server| {
                let replica = self.replica(state, server);
                replica.role() != Role::Leader && replica.writes() == 0
            })
    }

    /// Removes the messages that change nothing and are answered by nothing, now and whatever happens before they
    /// arrive: those of a link that the receiver does not listen to and never will again. A server that may be elected yet
    /// would answer some of them.
    pub(super) fn forget_the_void(&mut self, state: &mut [u32]) {
        for line in 0..self.lines.len() {
            if self.is_empty(state, line) {
                continue;
            }
            let queue = self.queue(state, line);
            let live: Vec<_> = queue.iter().copied().filter(|message| !self.is_void(state, line, *message)).collect();
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
        let before = state.get(server).copied().unwrap_or_default();
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
                    let queue = self.queues.get(super::search::get(state, self.servers() + COUNTERS + line));
                    let messages: Vec<_> = queue.iter().map(|message| self.replicas.message(*message)).collect();
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
        let silent = others.map(|other| self.replica(state, other)).all(|other| {
            other.leader() != Some(sid) && !other.has_learner(sid)
        });
        next.filter(|_| silent)
    }

    /// Whether an event changes no disk's history and nothing that only the properties know.
    fn is_unseen(&mut self, state: &[u32], server: usize, event: Event) -> bool {
        use super::search::Model;
        let Ok(next) = self.next(state, event) else { return false };
        self.counter(state, GHOST) == self.counter(&next, GHOST)
            && self.replica(state, server).log == self.replica(&next, server).log
    }
}
