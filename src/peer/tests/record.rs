//! What all peers of a cluster put out, counted, hashed and, where that is wanted, written down.

use std::collections::BTreeMap;

use twox_hash::XxHash3_64;

use crate::codec;
use crate::peer::{Message, Output};
use crate::types::{LogOp, ServerId, Time};
use crate::zab::Body;

#[derive(Default)]
pub(super) struct Record {
    /// A hash of every output so far, to the byte.
    pub(super) hash: u64,
    /// How many outputs of each kind each server has put out.
    pub(super) count: BTreeMap<(ServerId, &'static str), usize>,
    /// The messages of ZAB since the last look, if they are wanted.
    pub(super) messages: Option<Vec<String>>,
}

impl Record {
    pub(super) fn note(&mut self, now: Time, server: ServerId, output: &Output) {
        *self.count.entry((server, kind(output))).or_default() += 1;
        self.add(&now.as_micros().to_be_bytes());
        self.add(&server.number().to_be_bytes());
        match output {
            Output::Send { to, lane, message } => {
                self.add(format!("{to} {lane:?}").as_bytes());
                self.add(&codec::encode(message).unwrap());
                if let (Some(messages), Message::Zab(zab)) = (&mut self.messages, message)
                    && !matches!(zab.body, Body::Ping { .. } | Body::Pong { .. })
                {
                    messages.push(format!("{server} -> {to} {}", told(&zab.body)));
                }
            }
            Output::Persist { id, batch } => {
                self.add(&id.number().to_be_bytes());
                for op in &batch.ops {
                    match op {
                        LogOp::Append(entries) => self.add(&codec::encode(entries).unwrap()),
                        op => self.add(format!("{op:?}").as_bytes()),
                    }
                }
            }
            Output::SaveSnapshot(chunk) => self.add(&codec::encode(chunk).unwrap()),
            Output::Connected(connected) => {
                self.add(connected.password.as_bytes());
                self.add(format!("{connected:?}").as_bytes());
            }
            output => self.add(format!("{output:?}").as_bytes()),
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.hash = XxHash3_64::oneshot_with_seed(self.hash.wrapping_add(bytes.len() as u64), bytes);
    }
}

fn kind(output: &Output) -> &'static str {
    match output {
        Output::Persist { .. } => "Persist",
        Output::Send { .. } => "Send",
        Output::ReadLog { .. } => "ReadLog",
        Output::ReadSnapshot { .. } => "ReadSnapshot",
        Output::SaveSnapshot(_) => "SaveSnapshot",
        Output::Connected(_) => "Connected",
        Output::Reply(_) => "Reply",
        Output::Watch { .. } => "Watch",
        Output::Closed { .. } => "Closed",
        Output::Event(_) => "Event",
        Output::Halt(_) => "Halt",
    }
}

/// A message as a person would tell of it.
fn told(body: &Body) -> String {
    match body {
        Body::Join(join) => format!("Join, accepted {}", join.accepted),
        Body::LeaderInfo { epoch, .. } => format!("LeaderInfo, epoch {epoch}"),
        Body::AckEpoch(ack) => format!("AckEpoch, history up to {} of epoch {}", ack.tip, ack.current),
        Body::Sync(mode) => format!("Sync {mode:?}"),
        Body::Chunk(chunk) => {
            let last = if chunk.last { ", the last" } else { "" };
            format!("Chunk of {} at {}{last}", chunk.zxid, chunk.offset)
        }
        Body::ChunkSaved { zxid, through } => format!("ChunkSaved of {zxid} through {through}"),
        Body::Propose { entries, committed } => {
            let zxids: Vec<_> = entries.iter().map(|entry| entry.zxid.to_string()).collect();
            format!("Propose {}, committed {committed}", zxids.join(" "))
        }
        Body::Forward { payloads } => format!("Forward, {} requests", payloads.len()),
        Body::Answer { payloads } => format!("Answer, {} words", payloads.len()),
        body => format!("{body:?}"),
    }
}
