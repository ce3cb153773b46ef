use std::collections::BTreeMap;

use crate::peer::Message;
use crate::types::{Epoch, ServerId};
use crate::zab::{Body, Promise};

use super::{Cluster, Invariant, Kind, Seen};

/// A voter promises an epoch to one leader only, across its restarts too. Whoever has lost its disk may have forgotten; its
/// promise does not count. (ZAB paper, phase 1, step f1; SCN-18, SCN-50.)
#[derive(Default)]
pub(super) struct PromiseOnce {
    given: BTreeMap<(ServerId, Epoch), ServerId>,
}

impl Invariant for PromiseOnce {
    fn name(&self) -> &'static str {
        "PromiseOnce"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Says
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let Seen::Says { to, message: Message::Zab(message) } = seen else { return Ok(()) };
        let Body::AckEpoch(promise) = &message.body else { return Ok(()) };
        let damaged = cluster.servers.get(&server).is_none_or(|view| view.damaged || !view.voting);
        if damaged || promise.promise != Promise::Given {
            return Ok(());
        }
        let first = *self.given.entry((server, promise.epoch)).or_insert(*to);
        if first == *to {
            return Ok(());
        }
        Err(format!("promises epoch {} to S{to}, and has promised it to S{first}", promise.epoch))
    }
}
