use std::collections::{BTreeMap, VecDeque};

use crate::peer::Message;
use crate::types::{Epoch, LogEntry, ServerId, Zxid};
use crate::zab::{Body, LinkId, SyncMode};

use super::super::history::History;
use super::{Cluster, Invariant, Kind, Seen};

/// What a learner acknowledges it was sent on that very link, and holds durably as it was sent: each entry with the same bytes,
/// one behind the other, and none between them. (TLA+ specification of ZooKeeper: consistency of ACK and of proposal; ZAB
/// paper, phases 2 and 3; SCN-04, SCN-06, SCN-11.)
#[derive(Default)]
pub(super) struct AckConsistent {
    /// By leader and learner.
    links: BTreeMap<(ServerId, ServerId), Sent>,
}

/// What a leader has sent on the newest link that it brings level.
struct Sent {
    link: LinkId,
    /// All up to here was compared.
    acked: Zxid,
    /// What was sent behind it.
    entries: VecDeque<LogEntry>,
    /// The epoch that the learner was told of, and the last entry before that.
    begins: Option<(Epoch, Zxid)>,
}

impl Invariant for AckConsistent {
    fn name(&self) -> &'static str {
        "AckConsistent"
    }

    fn heeds(&self, kind: Kind) -> bool {
        kind == Kind::Says
    }

    fn before(&mut self, server: ServerId, seen: &Seen<'_>, cluster: &Cluster) -> Result<(), String> {
        let Seen::Says { to, message: Message::Zab(message) } = seen else { return Ok(()) };
        let (link, learnt) = (message.link, (server, *to));
        match &message.body {
            Body::Sync(SyncMode::Diff(from) | SyncMode::Truncate(from) | SyncMode::Snapshot(from)) => {
                let sent = Sent { link, acked: *from, entries: VecDeque::new(), begins: None };
                self.links.insert(learnt, sent);
            }
            Body::Propose { entries, .. } | Body::Inform { entries } => {
                if let Some(sent) = self.links.get_mut(&learnt).filter(|sent| sent.link == link) {
                    sent.entries.extend(entries.iter().cloned());
                }
            }
            Body::NewLeader { epoch, tip } => {
                if let Some(sent) = self.links.get_mut(&learnt).filter(|sent| sent.link == link) {
                    sent.begins = Some((*epoch, *tip));
                }
            }
            Body::Ack { .. } | Body::AckNewLeader { .. } => {
                let sent = self.links.get_mut(&(*to, server)).filter(|sent| sent.link == link);
                let (Some(sent), Some(view)) = (sent, cluster.servers.get(&server)) else {
                    return Err(format!(
                        "says {:?} to S{to}, which has sent nothing on this link",
                        message.body
                    ));
                };
                return match (&message.body, sent.begins) {
                    (Body::Ack { zxid }, _) => sent.judge(*zxid, &view.durable),
                    (Body::AckNewLeader { epoch }, Some((begun, tip))) if *epoch == begun => {
                        sent.judge(tip, &view.durable)
                    }
                    (body, begins) => Err(format!("says {body:?} to S{to}, which told it of {begins:?}")),
                };
            }
            _ => {}
        }
        Ok(())
    }
}

impl Sent {
    /// The learner, of which this is durable, acknowledges all up to `upto`.
    fn judge(&mut self, upto: Zxid, durable: &History) -> Result<(), String> {
        if !durable.covers(self.acked) {
            return Err(format!("acknowledges {upto}, and has not {} before it", self.acked));
        }
        let mut held = durable.between(self.acked, upto);
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.zxid <= upto) {
            match held.next() {
                Some((zxid, payload)) if zxid == entry.zxid && *payload == entry.payload => self.acked = zxid,
                Some((zxid, _)) => {
                    let what =
                        format!("acknowledges {upto}, and has {zxid} where it was sent {}", entry.zxid);
                    return Err(if zxid == entry.zxid { format!("{what}, of other bytes") } else { what });
                }
                None => return Err(format!("acknowledges {upto}, and lacks {}", entry.zxid)),
            }
        }
        match held.next() {
            Some((zxid, _)) => Err(format!("acknowledges {upto}, and has {zxid}, which it was not sent")),
            None if self.acked < upto => {
                Err(format!("acknowledges {upto}, and was sent nothing behind {}", self.acked))
            }
            None => Ok(()),
        }
    }
}
