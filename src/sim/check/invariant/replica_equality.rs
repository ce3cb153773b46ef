use std::collections::BTreeMap;

use crate::types::{ServerId, Zxid};

use super::{Cluster, Invariant, Kind, Seen};

/// All servers have the same state at the same position. (ZOOKEEPER-3512; the digest that every replica keeps.)
#[derive(Default)]
pub(super) struct ReplicaEquality {
    digests: BTreeMap<Zxid, (u64, ServerId)>,
}

impl Invariant for ReplicaEquality {
    fn name(&self) -> &'static str {
        "ReplicaEquality"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Status
    }

    fn after(&mut self, server: ServerId, seen: &Seen<'_>, _: &mut Cluster) -> Result<(), String> {
        let Seen::Status(status) = seen else { return Ok(()) };
        let (digest, first) = *self.digests.entry(status.applied).or_insert((status.digest, server));
        if digest == status.digest {
            return Ok(());
        }
        Err(format!(
            "at {} its state has the digest {:016x}, that of S{first} was {digest:016x}",
            status.applied, status.digest
        ))
    }
}
