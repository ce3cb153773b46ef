use crate::peer::Message;
use crate::types::{Epoch, ServerId, Zxid};
use crate::zab::Body;

use super::{Cluster, Invariant, Kind, Seen};

/// What a server says of its own history, as a candidate or in its promise to a leader, is durable: no entry counts in an
/// election that a power cut may take. (ZOOKEEPER-3911, ZOOKEEPER-4646; SCN-01, SCN-27.)
pub(super) struct VoteHonesty;

impl Invariant for VoteHonesty {
    fn name(&self) -> &'static str {
        "VoteHonesty"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Says
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let (Seen::Says { message, .. }, Some(view)) = (seen, cluster.servers.get(&server)) else {
            return Ok(());
        };
        let said: Option<(Epoch, Zxid)> = match message {
            Message::Election(told) => told.candidate.map(|vote| (vote.epoch, vote.zxid)),
            Message::Zab(message) => match &message.body {
                Body::AckEpoch(promise) => Some((promise.current, promise.tip)),
                _ => None,
            },
        };
        let Some((epoch, tip)) = said else { return Ok(()) };
        let durable = &view.durable;
        // What its storage has confirmed it may not have been told yet, so that it may say less; never more.
        if epoch <= durable.current && tip <= durable.tip() && durable.covers(tip) {
            return Ok(());
        }
        Err(format!(
            "says that its history is of epoch {epoch} and ends at {tip}; durable are epoch {} and {}",
            durable.current,
            durable.tip()
        ))
    }
}
