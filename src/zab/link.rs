use std::time::Duration;

use crate::types::Time;

use super::message::{Body, LinkId, Message};

/// One end of a link: numbers what is sent, and judges the numbers of what arrives.
#[cfg_attr(any(test, feature = "sim"), derive(Hash))]
#[derive(Clone, Debug)]
pub(super) struct Link {
    id: LinkId,
    sent: u64,
    received: u64,
    /// What the other end says it sent, if that did not all arrive, and since when nothing of it has.
    missing: Option<(u64, Time)>,
}

/// What to do with a numbered message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// It is the next one.
    Take,
    /// It arrived before.
    Repeated,
    /// One before it is missing: the link must be reset.
    Gap,
}

impl Link {
    pub(super) const fn new(id: LinkId) -> Self {
        Self { id, sent: 0, received: 0, missing: None }
    }

    pub(super) const fn id(&self) -> LinkId {
        self.id
    }

    /// How many numbered messages were sent.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// The next numbered message.
    pub(super) const fn number(&mut self, body: Body) -> Message {
        self.sent += 1;
        Message { link: self.id, sequence: self.sent, body }
    }

    /// A message without a number.
    pub(super) const fn plain(&self, body: Body) -> Message {
        Message { link: self.id, sequence: 0, body }
    }

    pub(super) fn admit(&mut self, now: Time, sequence: u64) -> Admission {
        if sequence <= self.received {
            return Admission::Repeated;
        }
        if sequence != self.received + 1 {
            return Admission::Gap;
        }
        self.received = sequence;
        if let Some((claimed, since)) = &mut self.missing {
            *since = now;
            if self.received >= *claimed {
                self.missing = None;
            }
        }
        Admission::Take
    }

    /// The other end says that it sent this many. The heartbeat that says so may have overtaken them.
    pub(super) fn claim(&mut self, now: Time, sent: u64) {
        if sent > self.received && self.missing.is_none_or(|(claimed, _)| claimed < sent) {
            let since = self.missing.map_or(now, |(_, since)| since);
            self.missing = Some((sent, since));
        }
    }

    /// When the link is given up because what was sent did not arrive, nor anything else for `patience`.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Time> {
        self.missing.map(|(_, since)| since + patience)
    }
}

#[cfg(any(test, feature = "sim"))]
impl Link {
    /// Every instant that it knows of.
    pub(super) fn each_time(&mut self, mut change: impl FnMut(&mut Time)) {
        if let Some((_, since)) = &mut self.missing {
            change(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    fn link() -> Link {
        Link::new(LinkId { life: 1, number: 1 })
    }

    #[test]
    fn messages_are_taken_once_and_in_order() {
        let (mut sender, mut receiver) = (link(), link());
        let numbers: Vec<_> = (0..3).map(|_| sender.number(Body::Reset).sequence).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(receiver.admit(Time::ZERO, 1), Admission::Take);
        assert_eq!(receiver.admit(Time::ZERO, 1), Admission::Repeated);
        assert_eq!(receiver.admit(Time::ZERO, 3), Admission::Gap);
        assert_eq!(receiver.admit(Time::ZERO, 2), Admission::Take);
        assert_eq!(receiver.admit(Time::ZERO, 3), Admission::Take);
        assert_eq!(receiver.admit(Time::ZERO, 2), Admission::Repeated);
    }

    #[test]
    fn a_link_is_overdue_when_nothing_of_what_is_missing_arrives_for_long() {
        let at = Time::from_millis;
        let mut link = link();
        link.claim(at(10), 0);
        assert_eq!(link.deadline(PATIENCE), None);
        link.claim(at(10), 2);
        link.claim(at(50), 3);
        assert_eq!(link.deadline(PATIENCE), Some(at(110)), "a later claim is no progress");
        link.admit(at(60), 1);
        assert_eq!(link.deadline(PATIENCE), Some(at(160)), "a message is");
        link.admit(at(70), 2);
        link.admit(at(80), 3);
        assert_eq!(link.deadline(PATIENCE), None);
    }
}
