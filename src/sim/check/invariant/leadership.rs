use std::collections::BTreeMap;

use crate::peer::Role;
use crate::types::{Epoch, ServerId};

use super::{Cluster, Invariant, Kind, Seen};

/// An epoch has one established leader, for ever. (TLA+ specification of ZAB: Leadership1 and Leadership2.)
#[derive(Default)]
pub(super) struct Leadership {
    leaders: BTreeMap<Epoch, ServerId>,
}

impl Invariant for Leadership {
    fn name(&self) -> &'static str {
        "Leadership"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Status
    }

    fn after(&mut self, server: ServerId, seen: &Seen<'_>, _: &mut Cluster) -> Result<(), String> {
        let Seen::Status(status) = seen else { return Ok(()) };
        if status.role != Role::Leading || !status.serving {
            return Ok(());
        }
        let leader = *self.leaders.entry(status.epoch).or_insert(server);
        if leader == server {
            return Ok(());
        }
        Err(format!("leads epoch {}, which S{leader} has led", status.epoch))
    }
}
