//! What an operator wants to know beyond the [`Status`](super::Status).

use std::collections::BTreeMap;

use crate::types::{SessionId, ZnodePath};

use super::Peer;

/// How much of a peer is to be inspected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Detail {
    /// Numbers alone; costs next to nothing.
    Counts,
    /// Lists too; costs time and memory in proportion to what they hold, while the server does nothing else.
    Lists,
}

/// What a server holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Inspection {
    /// About how many bytes the names and the data of all nodes have.
    pub data_size: u64,
    /// How many ephemeral nodes there are.
    pub ephemerals: u64,
    /// How many sessions have ephemeral nodes.
    pub ephemeral_owners: u64,
    /// Of all sessions, in order: what is known. Empty unless lists were asked for.
    pub sessions: Vec<SessionReport>,
    /// Of this server's clients that have watches, in the order of their sessions: what they watch. Empty unless lists were asked for.
    pub watches: Vec<WatchReport>,
}

/// A session, as every server knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionReport {
    /// The session.
    pub session: SessionId,
    /// The timeout that was agreed, in milliseconds.
    pub timeout_millis: u32,
    /// Whether its client is attached to this server.
    pub is_here: bool,
    /// Its ephemeral nodes, in order.
    pub ephemerals: Vec<ZnodePath>,
}

/// What a client of this server watches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchReport {
    /// The client's session.
    pub session: SessionId,
    /// The paths, in order.
    pub paths: Vec<ZnodePath>,
}

impl Peer {
    /// What the server holds.
    #[must_use]
    pub fn inspect(&self, detail: Detail) -> Inspection {
        let tree = &self.state.tree;
        let mut inspection = Inspection {
            data_size: tree.approximate_data_size(),
            ephemerals: tree.ephemeral_count() as u64,
            ephemeral_owners: tree.ephemeral_owners().len() as u64,
            ..Inspection::default()
        };
        if detail == Detail::Lists {
            let report = |(session, known): (SessionId, &crate::session::Session)| SessionReport {
                session,
                timeout_millis: known.timeout_millis(),
                is_here: self.clients.of_session(session).is_some(),
                ephemerals: tree.ephemerals_of(session),
            };
            inspection.sessions = self.state.sessions.iter().map(report).collect();
            let watches: BTreeMap<SessionId, Vec<ZnodePath>> = self
                .watches
                .by_client()
                .filter_map(|(client, paths)| {
                    let session = self.clients.get(client)?.caller.session;
                    Some((session, paths.cloned().collect()))
                })
                .collect();
            inspection.watches =
                watches.into_iter().map(|(session, paths)| WatchReport { session, paths }).collect();
        }
        inspection
    }
}
