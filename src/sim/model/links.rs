use std::collections::BTreeMap;

use crate::zab::{Body, LinkId, Message, Role, Zab};

/// What of a machine's links can be told from what it said and heard. The machine decides by its own; this only says where the
/// order of events makes no difference, and says nothing where it is not sure.
#[derive(Clone, Hash, Default)]
pub(super) struct Links {
    /// The newest link of a follower, and how many numbered messages it sent there.
    own: Option<(LinkId, u64)>,
    /// By which link a leader told each learner of its epoch.
    informed: BTreeMap<u64, LinkId>,
    /// The last numbered message that a leader took on the newest link of each learner.
    taken: BTreeMap<u64, (LinkId, u64)>,
}

impl Links {
    pub(super) fn send(&mut self, to: u64, message: &Message) {
        match message.body {
            Body::Join(_) => self.own = Some((message.link, message.sequence)),
            Body::LeaderInfo { .. } => {
                self.informed.insert(to, message.link);
            }
            _ => {}
        }
        if let Some((link, sent)) = &mut self.own
            && *link == message.link
        {
            *sent = message.sequence.max(*sent);
        }
    }

    pub(super) fn receive(&mut self, from: u64, message: &Message) {
        if matches!(message.body, Body::Join(_)) {
            self.taken.insert(from, (message.link, message.sequence));
        } else if let Some((link, taken)) = self.taken.get_mut(&from)
            && (*link, *taken + 1) == (message.link, message.sequence)
        {
            *taken = message.sequence;
        }
    }

    /// Forgets what the machine has no more.
    pub(super) fn settle(&mut self, zab: &Zab) {
        if zab.role() == Role::Leader {
            let is_learner = |sid: u64| zab.learners().any(|learner| learner.server.number() == sid);
            self.own = None;
            self.informed.retain(|sid, _| is_learner(*sid));
            self.taken.retain(|sid, _| is_learner(*sid));
        } else {
            self.informed.clear();
            self.taken.clear();
        }
        if zab.role() == Role::Idle {
            self.own = None;
        }
    }

    /// Whether a follower may listen to this link.
    pub(super) fn listens_to(&self, link: LinkId) -> bool {
        self.own.is_some_and(|(own, _)| own == link)
    }

    /// Whether this follower and its leader share a link, and the leader lacks nothing of it but what is under way, of
    /// which `next` is the first.
    pub(super) fn share_all(&self, own: u64, leader: &Self, next: Option<&Message>) -> bool {
        let Some((link, sent)) = self.own else { return false };
        let Some((of, taken)) = leader.taken.get(&own).copied() else { return false };
        let follows = match next {
            Some(next) => (next.link, next.sequence) == (link, taken + 1),
            None => taken == sent,
        };
        of == link && leader.informed.get(&own) == Some(&link) && follows
    }
}
