use std::collections::{BTreeMap, BTreeSet};

use crate::types::{ClientId, Origin, ServerId, SessionId, Zxid};

use super::chronicle::Entry;

/// One connection at a time speaks for a session. (ZooKeeper: a request that does not come through the session's owner is
/// refused with `SessionMovedException`, -118; spec of sessions: one live owner per session.)
///
/// What holds, exactly:
///
/// 1. Each committed transaction of a session, but for its creation and its expiry, came through a connection to which a
///    server had given the session.
/// 2. A connection that was asked for when another had the session already is its new owner from when the leader hears of it.
///    Nobody sees that moment, but it lies before the first transaction of the new owner: from that position on no
///    transaction of the old one is committed.
/// 3. A server on which that first transaction is applied has closed the old connection.
/// 4. No server has two connections of a session.
///
/// So a move is lazy. An old connection that has not heard of it goes on to read, from a state that only gets older. What it
/// wrote before the new owner's first write may still be committed, as if it had been faster than the move; so may be,
/// while the new owner only reads, what the leader had already taken: nobody can tell the two apart. That suffices because
/// a client counts its writes (it sends again what was not answered before all others, and each is executed once),
/// and because a read of the new owner is never older than what the old one has shown.
///
/// A connection has the same number on its server never again, over restarts too.
#[derive(Default)]
pub(super) struct Ownership {
    /// How many of the committed transactions were judged.
    judged: usize,
    /// Counts what happens to connections, to tell what came before what.
    moment: u64,
    /// When each connection that waits for its session was asked for.
    asking: BTreeMap<Connection, u64>,
    holders: BTreeMap<SessionId, BTreeMap<Connection, Holder>>,
    /// The connections that have a session now.
    attached: BTreeSet<Connection>,
    /// Those of them that another has taken the place of, and where.
    outdated: BTreeMap<Connection, Zxid>,
}

type Connection = (ServerId, ClientId);

/// A connection to which a session was given.
struct Holder {
    asked: u64,
    answered: u64,
    wrote: bool,
    /// Where the next owner has written first.
    until: Option<Zxid>,
}

const NAME: &str = "SessionOwner";

type Judged = Result<(), (&'static str, String)>;

impl Ownership {
    /// A client asks a server for a session.
    pub(super) fn asked(&mut self, server: ServerId, client: ClientId) {
        self.moment += 1;
        self.asking.insert((server, client), self.moment);
    }

    /// A server gives a client its session.
    pub(super) fn answered(&mut self, server: ServerId, client: ClientId, session: SessionId) -> Judged {
        self.moment += 1;
        let answered = self.moment;
        let asked = self.asking.remove(&(server, client));
        let holders = self.holders.entry(session).or_default();
        let holder = Holder { asked: asked.unwrap_or(0), answered, wrote: false, until: None };
        holders.insert((server, client), holder);
        // Answers are seen after all that the server took in the same turn: a client that left in it has nothing any more.
        if asked.is_none() {
            return Ok(());
        }
        let other = holders.range(all_of(server)).find(|(other, _)| self.attached.contains(other));
        if let Some(((_, other), _)) = other {
            return Err((NAME, format!("{client:?} is given session {session}, which {other:?} has there")));
        }
        self.attached.insert((server, client));
        Ok(())
    }

    /// The connection has ended.
    pub(super) fn left(&mut self, server: ServerId, client: ClientId) {
        self.asking.remove(&(server, client));
        self.attached.remove(&(server, client));
        self.outdated.remove(&(server, client));
    }

    /// The server's process has ended.
    pub(super) fn down(&mut self, server: ServerId) {
        self.asking.retain(|(of, _), _| *of != server);
        self.attached.retain(|(of, _)| *of != server);
        self.outdated.retain(|(of, _), _| *of != server);
    }

    /// How many transactions it has judged: those behind them are due.
    pub(super) const fn judged(&self) -> usize {
        self.judged
    }

    /// These were committed next.
    pub(super) fn committed(&mut self, entries: &[Entry]) -> Judged {
        for Entry { zxid, session, origin, .. } in entries {
            self.judged += 1;
            let is_creation = session.as_u64() == zxid.as_u64();
            if let Some(Origin { server, client, .. }) = origin.filter(|_| !is_creation) {
                self.judge(*zxid, *session, (server, client))?;
            }
        }
        Ok(())
    }

    /// A server has done some work, and applied all up to `zxid`.
    pub(super) fn applied(&self, server: ServerId, zxid: Zxid) -> Judged {
        if self.outdated.is_empty() {
            return Ok(());
        }
        match self.outdated.range(all_of(server)).find(|(_, until)| **until <= zxid) {
            Some(((_, client), until)) => {
                let what =
                    format!("{client:?} still has a session at {zxid} that wrote through another at {until}");
                Err((NAME, what))
            }
            None => Ok(()),
        }
    }

    fn judge(&mut self, zxid: Zxid, session: SessionId, through: Connection) -> Judged {
        let (server, client) = through;
        let came = || format!("{zxid} of session {session} came through {client:?} of S{server}");
        let Some(holders) = self.holders.get_mut(&session) else {
            return Err((NAME, format!("{}; nobody was given it", came())));
        };
        let Some(holder) = holders.get_mut(&through) else {
            return Err((NAME, format!("{}, which was not given it", came())));
        };
        if let Some(until) = holder.until {
            return Err((NAME, format!("{}, but it has written through another at {until}", came())));
        }
        if std::mem::replace(&mut holder.wrote, true) {
            return Ok(());
        }
        let asked = holder.asked;
        let before = holders.iter_mut().filter(|(_, other)| other.answered < asked && other.until.is_none());
        for (connection, other) in before {
            other.until = Some(zxid);
            if self.attached.contains(connection) {
                self.outdated.insert(*connection, zxid);
            }
        }
        Ok(())
    }
}

fn all_of(server: ServerId) -> std::ops::RangeInclusive<Connection> {
    (server, ClientId::new(0))..=(server, ClientId::new(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Epoch;

    const OLD: Connection = (ServerId::new(1), ClientId::new(10));
    const NEW: Connection = (ServerId::new(2), ClientId::new(20));

    fn zxid(counter: u32) -> Zxid {
        Zxid::new(Epoch::new(1), counter)
    }

    /// The session that 1.1 creates.
    fn session() -> SessionId {
        SessionId::from_u64(zxid(1).as_u64())
    }

    fn asks(ownership: &mut Ownership, (server, client): Connection) {
        ownership.asked(server, client);
    }

    fn gets(ownership: &mut Ownership, (server, client): Connection) -> bool {
        ownership.answered(server, client, session()).is_ok()
    }

    /// Whether it is sound that the session's transaction at this position came through this connection.
    fn writes(ownership: &mut Ownership, counter: u32, (server, client): Connection) -> bool {
        let origin = Origin { server, client, number: counter.into() };
        ownership.committed(&[Entry::through(zxid(counter), session(), Some(origin))]).is_ok()
    }

    /// A session that was created and has written through `OLD`.
    fn owned() -> Ownership {
        let mut ownership = Ownership::default();
        asks(&mut ownership, OLD);
        assert!(writes(&mut ownership, 1, OLD), "its creation");
        assert!(gets(&mut ownership, OLD));
        assert!(writes(&mut ownership, 2, OLD));
        ownership
    }

    /// The same, which moved to `NEW`.
    fn moved() -> Ownership {
        let mut ownership = owned();
        asks(&mut ownership, NEW);
        assert!(gets(&mut ownership, NEW));
        ownership
    }

    #[test]
    fn scn_64_a_write_through_the_old_connection_behind_one_through_the_new_is_found() {
        let mut ownership = moved();
        assert!(writes(&mut ownership, 3, OLD), "it may have been faster than the move");
        assert!(writes(&mut ownership, 4, NEW));
        assert!(writes(&mut ownership, 5, NEW));
        assert!(!writes(&mut ownership, 6, OLD));
    }

    #[test]
    fn a_write_through_the_old_connection_is_found_even_if_it_never_wrote_before() {
        let mut ownership = Ownership::default();
        asks(&mut ownership, OLD);
        assert!(gets(&mut ownership, OLD));
        asks(&mut ownership, NEW);
        assert!(gets(&mut ownership, NEW));
        assert!(writes(&mut ownership, 2, NEW));
        let expiry = Entry::through(zxid(3), session(), None);
        assert!(ownership.committed(&[expiry]).is_ok(), "that came through nobody");
        assert!(!writes(&mut ownership, 4, OLD));
    }

    #[test]
    fn a_session_may_move_on_and_on_but_not_back_to_a_connection() {
        let mut ownership = moved();
        assert!(writes(&mut ownership, 3, NEW));
        let third = (OLD.0, ClientId::new(11));
        ownership.left(OLD.0, OLD.1);
        asks(&mut ownership, third);
        assert!(gets(&mut ownership, third));
        assert!(writes(&mut ownership, 4, third), "back on the first server");
        assert!(!writes(&mut ownership, 5, NEW));
    }

    #[test]
    fn of_connections_that_were_asked_for_at_once_nobody_knows_which_is_the_owner() {
        let mut ownership = owned();
        let third = (ServerId::new(3), ClientId::new(30));
        asks(&mut ownership, NEW);
        asks(&mut ownership, third);
        assert!(gets(&mut ownership, third) && gets(&mut ownership, NEW));
        assert!(writes(&mut ownership, 3, NEW) && writes(&mut ownership, 4, third));
        assert!(!writes(&mut ownership, 5, OLD), "but it is neither of them");
    }

    #[test]
    fn a_write_through_a_connection_that_was_never_given_the_session_is_found() {
        let mut ownership = owned();
        asks(&mut ownership, NEW);
        assert!(!writes(&mut ownership, 3, NEW));
        assert!(!writes(&mut Ownership::default(), 3, OLD));
    }

    #[test]
    fn an_old_connection_that_its_server_does_not_close_is_found() {
        let mut ownership = moved();
        assert!(ownership.applied(OLD.0, zxid(3)).is_ok(), "its server may not know yet");
        assert!(writes(&mut ownership, 4, NEW));
        assert!(ownership.applied(OLD.0, zxid(3)).is_ok());
        assert!(ownership.applied(NEW.0, zxid(4)).is_ok());
        assert!(ownership.applied(OLD.0, zxid(4)).is_err());
        ownership.left(OLD.0, OLD.1);
        assert!(ownership.applied(OLD.0, zxid(4)).is_ok());
    }

    #[test]
    fn two_connections_of_a_session_on_one_server_are_found() {
        let second = (OLD.0, ClientId::new(11));
        let mut ownership = owned();
        asks(&mut ownership, second);
        assert!(!gets(&mut ownership, second));
        for is_down in [true, false] {
            let mut ownership = owned();
            if is_down {
                ownership.down(OLD.0)
            } else {
                ownership.left(OLD.0, OLD.1)
            }
            asks(&mut ownership, second);
            assert!(gets(&mut ownership, second));
        }
    }
}
