use super::{Clock, NodeConfig, NodeError};

use crate::peer::{Peer, State, StateRestore};
use crate::storage::Storage;
use crate::types::Zxid;

/// Opens the storage, reads the snapshot piece by piece, and makes the peer of it and of the log.
pub(super) async fn recover(
    config: &NodeConfig,
    storage: &dyn Storage,
    clock: &dyn Clock,
) -> Result<Peer, NodeError> {
    let server = config.peer.server;
    let recovered = storage.recover().await?;
    tracing::info!(
        %server,
        snapshot = ?recovered.snapshot,
        tip = %recovered.tip(),
        epoch = %recovered.current_epoch,
        standing = ?recovered.standing,
        "the storage is open",
    );
    let state = match recovered.snapshot {
        Some(zxid) => Some(restore(config, storage, zxid).await?),
        None => None,
    };
    Ok(Peer::new(config.peer.clone(), recovered, state, clock.now())?)
}

async fn restore(config: &NodeConfig, storage: &dyn Storage, zxid: Zxid) -> Result<State, NodeError> {
    let limits = &config.peer.limits;
    let unsound = |cause| NodeError::Restore { zxid, cause };
    let mut restore = StateRestore::new(&config.peer);
    let mut offset = 0_u64;
    loop {
        let chunk = storage.read_snapshot(zxid, offset, limits.snapshot_chunk).await?;
        // A storage that stands still would keep us here for ever.
        let stuck = chunk.bytes.is_empty() && !chunk.last;
        if chunk.zxid != zxid || chunk.offset != offset || stuck {
            return Err(NodeError::SnapshotGap { zxid, offset });
        }
        restore.feed(&chunk).map_err(unsound)?;
        if chunk.last {
            return restore.finish().map_err(unsound);
        }
        offset = offset.saturating_add(chunk.bytes.len() as u64);
    }
}
