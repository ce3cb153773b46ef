use std::collections::BTreeMap;
use std::fmt;

use hashbrown::HashMap;

use crate::types::{ClientId, ServerId, SessionId};

/// Leader only: which connection, on which server, owns a session now. A write that comes over any other is
/// answered [`SessionMoved`](crate::ErrorCode::SessionMoved).
#[derive(Default)]
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

/// By session: what is equal prints alike.
impl fmt::Debug for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owners: BTreeMap<_, _> = self.owners.iter().collect();
        f.debug_struct("Owners").field("owners", &owners).finish()
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

    #[test]
    fn equal_owners_print_alike_however_they_came_about() {
        let print = |numbers: &mut dyn Iterator<Item = u64>| {
            let mut owners = Owners::new();
            for number in numbers {
                owners.set(SessionId::from_u64(number), (ServerId::new(1), ClientId::new(number)));
            }
            format!("{owners:?}")
        };
        assert_eq!(print(&mut (1..9)), print(&mut (1..9).rev()));
    }
}
