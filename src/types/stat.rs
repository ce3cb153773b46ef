use serde::{Deserialize, Serialize};

use super::{SessionId, WallTime, Zxid};

/// What is known of a znode beside its data; the eleven fields of ZooKeeper's `Stat`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Stat {
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The transaction that last changed its data; `czxid` at first.
    pub mzxid: Zxid,
    /// The transaction that last created or deleted a child of it; `czxid` at first.
    pub pzxid: Zxid,
    /// When it was created, by the leader's wall clock.
    pub ctime: WallTime,
    /// When its data last changed, by the leader's wall clock.
    pub mtime: WallTime,
    /// How often its data was changed. Wraps.
    pub version: i32,
    /// How often children were created and deleted. Wraps.
    pub cversion: i32,
    /// How often its ACL was changed. Wraps.
    pub aversion: i32,
    /// The session that it goes with, or [`SessionId::NONE`].
    pub ephemeral_owner: SessionId,
    /// The length of its data in bytes.
    pub data_length: i32,
    /// How many children it has.
    pub num_children: i32,
}
