//! What a message says and what happened, in a line that a person can read: first a word for its kind, then the
//! gist, and for messages behind a `·` all of it.

use crate::codec;
use crate::election::Notification;
use crate::peer::{Message, PeerEvent};
use crate::types::{LogEntry, SessionId, Transaction, Zxid};
use crate::zab::{self, AckEpoch, Body, Join, SyncMode};

/// How many characters of a message are written, at most.
const WHOLE: usize = 1_500;

/// What stands between the gist of a message and all of it.
pub(super) const BEHIND: &str = " · ";

/// A message between servers.
pub(super) fn said(message: &Message) -> String {
    let (kind, gist) = match message {
        Message::Election(notification) => ("Vote", vote(notification)),
        Message::Zab(message) => body(&message.body),
    };
    let blank = if gist.is_empty() { "" } else { " " };
    let all = match message {
        Message::Zab(zab::Message {
            link,
            sequence,
            body: Body::Propose { entries, .. } | Body::Inform { entries },
        }) => {
            let lines: Vec<_> = entries.iter().map(entry).collect();
            shortened(format!(
                "number {sequence} on link {}/{}\n{}",
                link.life,
                link.number,
                lines.join("\n")
            ))
        }
        message => shortened(format!("{message:?}")),
    };
    format!("{kind}{blank}{gist}{BEHIND}{all}")
}

/// A transaction, taken out of its envelope.
fn entry(entry: &LogEntry) -> String {
    let zxid = entry.zxid;
    match codec::decode::<Transaction>(&entry.payload) {
        Ok(Transaction { session: SessionId::NONE, txn, .. }) => {
            format!("{zxid} by the quorum itself: {txn:?}")
        }
        Ok(Transaction { session, txn, .. }) => format!("{zxid} of session {session}: {txn:?}"),
        Err(error) => format!("{zxid}, which cannot be decoded: {error}"),
    }
}

/// The text, or the first part of one that is very long.
fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(WHOLE) {
        let more = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("… and {more} more bytes"));
    }
    text
}

fn vote(notification: &Notification) -> String {
    let Notification { state, round, vote, ask, .. } = notification;
    let vote = match vote {
        Some(vote) => format!("for S{} (epoch {}, at {})", vote.sid, vote.epoch, vote.zxid),
        None => "for nobody".to_owned(),
    };
    format!("{vote} in round {round}, {state:?}{}", if *ask { ", asks" } else { "" })
}

fn body(body: &Body) -> (&'static str, String) {
    match body {
        Body::Join(Join { accepted, observer, suspect, wants_snapshot, .. }) => {
            let mut gist = format!("promised epoch {accepted}");
            for (word, is_so) in [("observer", observer), ("suspect", suspect), ("snapshot", wants_snapshot)]
            {
                if *is_so {
                    gist.push_str(", ");
                    gist.push_str(word);
                }
            }
            ("Join", gist)
        }
        Body::LeaderInfo { epoch, .. } => ("LeaderInfo", format!("epoch {epoch}")),
        Body::AckEpoch(AckEpoch { epoch, promise, current, tip }) => {
            ("AckEpoch", format!("epoch {epoch} {promise:?}, has epoch {current} up to {tip}"))
        }
        Body::Sync(SyncMode::Diff(from)) => ("Sync", format!("DIFF after {from}")),
        Body::Sync(SyncMode::Truncate(to)) => ("Sync", format!("TRUNC back to {to}")),
        Body::Sync(SyncMode::Snapshot(at)) => ("Sync", format!("SNAP at {at}")),
        Body::Chunk(chunk) => {
            let end = if chunk.last { ", the last" } else { "" };
            let (length, offset) = (chunk.bytes.len(), chunk.offset);
            ("Chunk", format!("of {}: {length} bytes at {offset}{end}", chunk.zxid))
        }
        Body::ChunkSaved { zxid, through } => ("ChunkSaved", format!("of {zxid} up to byte {through}")),
        Body::Propose { entries, committed } => {
            ("Propose", format!("{}, committed {committed}", range(entries)))
        }
        Body::Inform { entries } => ("Inform", range(entries)),
        Body::Ack { zxid } => ("Ack", format!("up to {zxid}")),
        Body::Commit { zxid } => ("Commit", format!("up to {zxid}")),
        Body::NewLeader { epoch, tip } => ("NewLeader", format!("epoch {epoch}, history up to {tip}")),
        Body::AckNewLeader { epoch } => ("AckNewLeader", format!("epoch {epoch}")),
        Body::UpToDate { committed } => ("UpToDate", format!("committed {committed}")),
        Body::Forward { payloads } => ("Forward", counted(payloads.len(), "request")),
        Body::Answer { payloads } => ("Answer", counted(payloads.len(), "answer")),
        Body::Ping { round, .. } => ("Ping", format!("round {round}")),
        Body::Pong { round, .. } => ("Pong", format!("round {round}")),
        Body::Reset => ("Reset", String::new()),
        Body::NotLeading => ("NotLeading", String::new()),
        Body::Refused(why) => ("Refused", format!("{why:?}")),
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn range(entries: &[LogEntry]) -> String {
    let zxid = |entry: Option<&LogEntry>| entry.map_or(Zxid::ZERO, |entry| entry.zxid);
    match entries.len() {
        0 => "nothing new".to_owned(),
        1 => zxid(entries.first()).to_string(),
        _ => format!("{} to {}", zxid(entries.first()), zxid(entries.last())),
    }
}

/// Something that a server tells of itself.
pub(super) fn happened(event: &PeerEvent) -> String {
    match event {
        PeerEvent::ElectionStarted { round } => format!("ElectionStarted looks for a leader, round {round}"),
        PeerEvent::VoteChanged { candidate, epoch, zxid, because_of } => {
            format!(
                "VoteChanged votes for S{candidate} (epoch {epoch}, at {zxid}), convinced by S{because_of}"
            )
        }
        PeerEvent::Elected { leader, round } => format!("Elected elects S{leader} in round {round}"),
        PeerEvent::RoleChanged { role, leader, reason } => {
            let leader = leader.map_or(String::new(), |leader| format!(", leader S{leader}"));
            format!("RoleChanged is {role:?} now{leader}: {reason}")
        }
        PeerEvent::LearnerSync { learner, mode, from } => {
            format!("LearnerSync brings S{learner} level by {mode} from {from}")
        }
        PeerEvent::RolledBack { to, from } => {
            format!("RolledBack removes what its leader does not have: from {from} back to {to}")
        }
        PeerEvent::LinkReset { peer, why } => format!("LinkReset loses its link with S{peer}: {why}"),
        PeerEvent::Serving { epoch } => format!("Serving serves clients in epoch {epoch}"),
        PeerEvent::NotServing => "NotServing serves clients no more".to_owned(),
        PeerEvent::SnapshotSaved { zxid, bytes } => {
            format!("SnapshotSaved has a snapshot at {zxid}, {bytes} bytes")
        }
        PeerEvent::SnapshotNotSaved { zxid } => format!("SnapshotNotSaved gives up its snapshot at {zxid}"),
        PeerEvent::SessionExpired { session } => format!("SessionExpired expires session {session}"),
        PeerEvent::PeerMisbehaved { peer, what } => {
            format!("PeerMisbehaved drops what S{peer} sent: {what}")
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::types::{Epoch, Txn, WallTime};
    use crate::zab::LinkId;

    fn said_of(payload: Bytes) -> String {
        let zxid = Zxid::new(Epoch::new(3), 7);
        let entries = vec![LogEntry { zxid, payload }];
        let body = Body::Propose { entries, committed: Zxid::ZERO };
        said(&Message::Zab(zab::Message { link: LinkId { life: 1, number: 2 }, sequence: 9, body }))
    }

    #[test]
    fn a_proposal_is_told_with_what_is_proposed() {
        let transaction = Transaction {
            session: SessionId::NONE,
            time: WallTime::default(),
            origin: None,
            request: None,
            witness: None,
            txn: Txn::Delete { path: "/a".parse().unwrap() },
        };
        let said = said_of(codec::encode(&transaction).unwrap());
        let (gist, all) = said.split_once(BEHIND).unwrap();
        assert_eq!(gist, "Propose 3.7, committed 0.0");
        assert!(all.starts_with("number 9 on link 1/2\n3.7 by the quorum itself: Delete"), "{all}");
        assert!(all.contains("\"/a\""), "{all}");
        assert!(said_of(Bytes::from_static(b"\xff")).contains("3.7, which cannot be decoded"));
    }

    #[test]
    fn what_is_very_long_is_cut_between_letters() {
        let text = shortened("é".repeat(WHOLE + 3));
        assert!(text.ends_with("é… and 6 more bytes"), "{text}");
        assert_eq!(shortened("short".to_owned()), "short");
    }
}
