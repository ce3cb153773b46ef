use std::collections::BTreeMap;

use crate::peer::{Message, Role};
use crate::types::{ServerId, Zxid};
use crate::zab::Body;

use super::{Cluster, Invariant, Kind, Seen};

/// How many steps a learner may take until it has acknowledged what its disk has: a step may come between the disk's answer and the
/// learner's hearing of it.
const STEPS: u32 = 8;

/// A learner that serves acknowledges all that is durable on it, and soon: it keeps nothing to itself on which the leader waits. What only
/// a timeout would end is no fault of safety, and comes to life in time, so nothing else finds it. (ZAB paper, phase 3, step f2.)
#[derive(Default)]
pub(super) struct AckOwed {
    /// Where the epoch began that a leader told a learner of.
    begins: BTreeMap<(ServerId, ServerId), Zxid>,
    /// What a learner has acknowledged last.
    acked: BTreeMap<ServerId, Zxid>,
    /// What a learner had durably and not acknowledged, and for how many steps.
    owed: BTreeMap<ServerId, (Zxid, u32)>,
}

impl Invariant for AckOwed {
    fn name(&self) -> &'static str {
        "AckOwed"
    }

    fn heeds(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Says | Kind::Status | Kind::Down)
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        match seen {
            Seen::Says { to, message: Message::Zab(message) } => match &message.body {
                Body::NewLeader { tip, .. } => drop(self.begins.insert((server, *to), *tip)),
                Body::AckNewLeader { .. } => {
                    let tip = self.begins.get(&(*to, server)).copied().unwrap_or_default();
                    self.acked.insert(server, tip);
                }
                Body::Ack { zxid } => drop(self.acked.insert(server, *zxid)),
                _ => {}
            },
            Seen::Status(status) if status.serving && status.role != Role::Leading => {
                let Some(view) = cluster.servers.get(&server) else { return Ok(()) };
                let acked = self.acked.get(&server).copied().unwrap_or_default();
                let durable = view.durable.tip();
                if durable <= acked {
                    self.owed.remove(&server);
                    return Ok(());
                }
                let (owed, steps) = self.owed.entry(server).or_insert((durable, 0));
                if *owed <= acked {
                    (*owed, *steps) = (durable, 0);
                }
                *steps += 1;
                if *steps > STEPS {
                    return Err(format!("has {owed} durably and has acknowledged up to {acked} only"));
                }
            }
            Seen::Status(_) | Seen::Down => drop(self.owed.remove(&server)),
            _ => {}
        }
        Ok(())
    }
}
