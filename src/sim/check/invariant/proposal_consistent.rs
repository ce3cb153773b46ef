use std::collections::BTreeMap;

use crate::peer::Message;
use crate::types::{LogEntry, ServerId, Zxid};
use crate::zab::{Body, LinkId, SyncMode};

use super::{Cluster, Invariant, Kind, Seen};

/// A learner is sent its leader's history and nothing else: on each link from the position at which the synchronisation begins,
/// each entry behind its predecessor, none left out, and NEWLEADER behind all that the epoch begins with. (TLA+ specification of
/// ZooKeeper: consistency of proposal; SCN-12, SCN-13, SCN-19.)
#[derive(Default)]
pub(super) struct ProposalConsistent {
    /// By leader and learner: the newest link that is brought level.
    links: BTreeMap<(ServerId, ServerId), Stream>,
}

struct Stream {
    link: LinkId,
    /// All up to here was sent.
    sent: Zxid,
    /// Whether a snapshot was promised of which the last piece was not sent.
    owes_snapshot: bool,
}

impl Invariant for ProposalConsistent {
    fn name(&self) -> &'static str {
        "ProposalConsistent"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Says
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let Seen::Says { to, message: Message::Zab(message) } = seen else { return Ok(()) };
        let (link, view) = (message.link, || cluster.servers.get(&server));
        let entries: &[LogEntry] = match &message.body {
            Body::Sync(mode) => {
                let (SyncMode::Diff(from) | SyncMode::Truncate(from) | SyncMode::Snapshot(from)) = *mode;
                // Its own last proposals may still wait to be written.
                if view().is_some_and(|view| from <= view.asked.tip() && !view.asked.covers(from)) {
                    return Err(format!("brings S{to} level by {mode:?}, which it does not have itself"));
                }
                let owes_snapshot = matches!(mode, SyncMode::Snapshot(_));
                self.links.insert((server, *to), Stream { link, sent: from, owes_snapshot });
                return Ok(());
            }
            Body::Propose { entries, .. } | Body::Inform { entries } => entries,
            Body::Chunk(_) | Body::NewLeader { .. } => &[],
            _ => return Ok(()),
        };
        let Some(stream) = self.links.get_mut(&(server, *to)).filter(|stream| stream.link == link) else {
            return Err(format!("sends S{to} something before it says how it is brought level"));
        };
        if let Body::Chunk(chunk) = &message.body {
            stream.owes_snapshot &= !chunk.last;
            return Ok(());
        }
        if stream.owes_snapshot {
            return Err(format!("goes on before S{to} was sent the last of the snapshot at {}", stream.sent));
        }
        // The last ones may still wait to be written: of them only the order is known.
        let from = stream.sent;
        let upto = entries.last().map_or(from, |entry| entry.zxid);
        let mut own = view().into_iter().flat_map(|view| view.asked.between(from, upto));
        for entry in entries {
            let is_next = match own.next() {
                Some((zxid, payload)) => (zxid, payload) == (entry.zxid, &entry.payload),
                None => entry.zxid.follows(stream.sent),
            };
            if !is_next {
                return Err(format!(
                    "sends S{to} {} behind {}, where it has another",
                    entry.zxid, stream.sent
                ));
            }
            stream.sent = entry.zxid;
        }
        match &message.body {
            Body::NewLeader { tip, .. } if *tip != stream.sent => Err(format!(
                "tells S{to} that an epoch begins behind {tip}, and has sent up to {}",
                stream.sent
            )),
            _ => Ok(()),
        }
    }
}
