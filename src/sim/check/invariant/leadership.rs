use std::collections::BTreeMap;

use crate::peer::{Message, Role};
use crate::types::{Epoch, ServerId};
use crate::zab::{self, Body};

use super::{Cluster, Invariant, Kind, Seen};

/// An epoch has one leader whose history it begins with, for ever: the first that says that it leads it, be it to one learner that it
/// has brought level or by serving. (TLA+ specification of ZAB: Leadership1 and Leadership2; ZAB paper, phase 2.)
#[derive(Default)]
pub(super) struct Leadership {
    leaders: BTreeMap<Epoch, ServerId>,
}

impl Invariant for Leadership {
    fn name(&self) -> &'static str {
        "Leadership"
    }

    fn heeds(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Says | Kind::Status)
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, _: &Cluster) -> Result<(), String> {
        match seen {
            Seen::Says {
                message: Message::Zab(zab::Message { body: Body::NewLeader { epoch, .. }, .. }),
                ..
            } => self.leads(server, *epoch),
            Seen::Status(status) if status.role == Role::Leading && status.serving => {
                self.leads(server, status.epoch)
            }
            _ => Ok(()),
        }
    }
}

impl Leadership {
    fn leads(&mut self, server: ServerId, epoch: Epoch) -> Result<(), String> {
        let leader = *self.leaders.entry(epoch).or_insert(server);
        if leader == server {
            return Ok(());
        }
        Err(format!("leads epoch {epoch}, which S{leader} has led"))
    }
}
