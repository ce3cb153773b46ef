use crate::peer::Message;
use crate::types::ServerId;
use crate::zab::Body;

use super::{Cluster, Invariant, Kind, Seen};

/// Nobody acknowledges, or proposes an epoch, before what that rests on is durable. (ZAB paper, phases 1 to 3; SCN-04 to
/// SCN-07, SCN-18: the same mistake in the same place, six times.)
pub(super) struct AckDurable;

impl Invariant for AckDurable {
    fn name(&self) -> &'static str {
        "AckDurable"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Says
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let (Seen::Says { message: Message::Zab(message), .. }, Some(view)) =
            (seen, cluster.servers.get(&server))
        else {
            return Ok(());
        };
        let durable = &view.durable;
        let rests = match &message.body {
            Body::Ack { zxid } => durable.tip() >= *zxid && durable.covers(*zxid),
            Body::AckNewLeader { epoch } => durable.current >= *epoch,
            Body::AckEpoch(promise) => durable.accepted >= promise.epoch,
            Body::LeaderInfo { epoch, .. } => durable.accepted >= *epoch,
            _ => return Ok(()),
        };
        if rests {
            return Ok(());
        }
        Err(format!(
            "says {:?}; durable are epochs {}/{} and a history up to {}",
            message.body,
            durable.accepted,
            durable.current,
            durable.tip()
        ))
    }
}
