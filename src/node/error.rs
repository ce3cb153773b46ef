use thiserror::Error;

use crate::peer::{Halt, PeerError, RestoreError};
use crate::storage::StorageError;
use crate::types::Zxid;

/// Why a server stopped. What it acknowledged is in its storage; all its clients are disconnected.
#[derive(Clone, PartialEq, Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The storage failed. It may hold any prefix of the last batch; see to the cause and start the server again.
    #[error("the storage failed: {0}")]
    Storage(#[from] StorageError),
    /// The snapshot that the storage found does not make a state; nothing was changed.
    #[error("the snapshot at {zxid} cannot be restored: {cause}; remove it, or let the quorum send another")]
    Restore {
        /// Which snapshot.
        zxid: Zxid,
        /// What is wrong with it.
        cause: RestoreError,
    },
    /// The storage gives a piece of a snapshot that is not the one asked for; nothing was changed.
    #[error(
        "the storage gave no piece of the snapshot at {zxid} that begins at {offset}; check it with the conformance suite"
    )]
    SnapshotGap {
        /// Which snapshot.
        zxid: Zxid,
        /// Where the piece should have begun.
        offset: u64,
    },
    /// What was recovered does not make a server; nothing was changed.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The server found that it must not go on; starting it again on the same data ends the same way.
    #[error(transparent)]
    Halted(#[from] Halt),
    /// The transport was closed under the server; start the server again with an open one.
    #[error("the transport was closed; start the server again with an open one")]
    TransportClosed,
}

/// The server has stopped: its future has ended or was dropped. How it ended is what the future resolved to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the server has stopped; start it again")]
pub struct NodeStopped;
