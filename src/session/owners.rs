use hashbrown::HashMap;

use crate::types::{ClientId, ServerId, SessionId};

/// Leader only: which connection, on which server, owns a session now. A write that comes over any other is
/// answered [`SessionMoved`](crate::ErrorCode::SessionMoved).
#[derive(Debug, Default)]
pub struct Owners {
    // Look-ups only: the order of a hash map reaches nobody.
    owners: HashMap<SessionId, (ServerId, ClientId)>,
}

impl Owners {
    /// Nobody owns anything, as at the start of a reign.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on this connection owns the session, and no other does.
    pub fn set(&mut self, session: SessionId, owner: (ServerId, ClientId)) {
        self.owners.insert(session, owner);
    }

    /// The session has ended.
    pub fn remove(&mut self, session: SessionId) {
        self.owners.remove(&session);
    }

    /// The reign has ended.
    pub fn clear(&mut self) {
        self.owners.clear();
    }

    /// Who owns the session; none since the reign began, if it was neither created nor taken up again.
    #[must_use]
    pub fn owner(&self, session: SessionId) -> Option<(ServerId, ClientId)> {
        self.owners.get(&session).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_one_owner_and_the_last_to_take_it_is_that() {
        let session = SessionId::from_u64(7);
        let here = (ServerId::new(1), ClientId::new(10));
        let there = (ServerId::new(2), ClientId::new(10));
        let mut owners = Owners::new();
        assert_eq!(owners.owner(session), None);
        owners.set(session, here);
        owners.set(session, there);
        assert_eq!(owners.owner(session), Some(there));
        owners.remove(session);
        assert_eq!(owners.owner(session), None);
        owners.set(session, here);
        owners.clear();
        assert_eq!(owners.owner(session), None);
    }
}
