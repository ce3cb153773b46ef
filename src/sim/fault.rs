use std::time::Duration;

use crate::types::ServerId;

use super::{LinkFaults, Rate};

/// Something that is done to a world. A fault that does not apply, such as the crash of a server that is down,
/// does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Both directions between two servers are cut.
    Partition(ServerId, ServerId),
    /// The direction from the first to the second is cut.
    PartitionOneway(ServerId, ServerId),
    /// What the first sends to the second is held.
    Hold(ServerId, ServerId),
    /// What the first sent to the second and was held is let go.
    Release(ServerId, ServerId),
    /// Both directions between two servers are mended.
    Repair(ServerId, ServerId),
    /// All that travels between two servers is lost.
    Reset(ServerId, ServerId),
    /// The direction from the first to the second treats frames like this from now on.
    Link(ServerId, ServerId, LinkFaults),
    /// Every direction loses frames at this rate.
    DropRate(Rate),
    /// Every direction doubles frames at this rate.
    DuplicateRate(Rate),
    /// Every direction lets frames overtake each other at this rate.
    Reorder(Rate),
    /// Every direction has this latency.
    Latency(super::Latency),
    /// The process of a server ends without a word. What it wrote stays, synced or not.
    Crash(ServerId),
    /// The machine of a server loses power. What was not synced is lost, as the world's disks lose it.
    PowerLoss(ServerId),
    /// All machines lose power at once.
    PowerLossOfAll,
    /// The server starts again, with what is on its disk.
    Restart(ServerId),
    /// The process of a server ends and starts again at once.
    Bounce(ServerId),
    /// The server does nothing for a while; its time goes on.
    Pause(ServerId),
    /// The server goes on.
    Resume(ServerId),
    /// The server's monotonic clock jumps forward.
    ClockJump(ServerId, Duration),
    /// The server's monotonic clock runs at this speed, in millionths of the true one.
    ClockRate(ServerId, u64),
    /// The server's wall clock jumps by so many milliseconds.
    WallJump(ServerId, i64),
    /// The server's disk has room for so many more bytes.
    DiskFull(ServerId, u64),
    /// The next change of the server's disk fails, unless it is a sync.
    IoError(ServerId),
    /// The next sync of the server's disk fails, and what was to be synced may be lost.
    FsyncError(ServerId),
    /// The next write to the server's disk is carried out in part only, and the machine loses power.
    TornWrite(ServerId),
    /// A bit of what is durable on the server's disk flips.
    BitFlip(ServerId),
    /// The server's disk is replaced by an empty one; it is down meanwhile.
    WipeDisk(ServerId),
    /// Two servers, down meanwhile, get each other's disks.
    SwapDisks(ServerId, ServerId),
    /// The server's disk is as good as new, what is on it stays: room again, no errors to come.
    RepairDisk(ServerId),
    /// The connection of a client breaks.
    Disconnect(u64),
    /// A client is cut off from all servers, until its session expires and longer.
    ExpireSession(u64),
    /// A client that was cut off reaches its servers again.
    Reconnect(u64),
}

impl Fault {
    /// The servers that it names.
    pub(super) fn servers(&self) -> impl Iterator<Item = ServerId> {
        let (one, other) = match *self {
            Self::Partition(a, b)
            | Self::PartitionOneway(a, b)
            | Self::Hold(a, b)
            | Self::Release(a, b)
            | Self::Repair(a, b)
            | Self::Reset(a, b)
            | Self::Link(a, b, _)
            | Self::SwapDisks(a, b) => (Some(a), Some(b)),
            Self::Crash(a)
            | Self::PowerLoss(a)
            | Self::Restart(a)
            | Self::Bounce(a)
            | Self::Pause(a)
            | Self::Resume(a)
            | Self::ClockJump(a, _)
            | Self::ClockRate(a, _)
            | Self::WallJump(a, _)
            | Self::DiskFull(a, _)
            | Self::IoError(a)
            | Self::FsyncError(a)
            | Self::TornWrite(a)
            | Self::BitFlip(a)
            | Self::WipeDisk(a)
            | Self::RepairDisk(a) => (Some(a), None),
            Self::DropRate(_)
            | Self::DuplicateRate(_)
            | Self::Reorder(_)
            | Self::Latency(_)
            | Self::PowerLossOfAll
            | Self::Disconnect(_)
            | Self::ExpireSession(_)
            | Self::Reconnect(_) => (None, None),
        };
        one.into_iter().chain(other)
    }

    /// The client that it names.
    pub(super) fn client(&self) -> Option<u64> {
        match *self {
            Self::Disconnect(client) | Self::ExpireSession(client) | Self::Reconnect(client) => Some(client),
            _ => None,
        }
    }

    /// The word for what it does, for traces and counts.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Partition(..) => "partition",
            Self::PartitionOneway(..) => "partition_oneway",
            Self::Hold(..) => "hold",
            Self::Release(..) => "release",
            Self::Repair(..) => "repair",
            Self::Reset(..) => "reset",
            Self::Link(..) => "link",
            Self::DropRate(..) => "drop_rate",
            Self::DuplicateRate(..) => "duplicate_rate",
            Self::Reorder(..) => "reorder",
            Self::Latency(..) => "latency",
            Self::Crash(..) => "crash",
            Self::PowerLoss(..) => "power_loss",
            Self::PowerLossOfAll => "power_loss_of_all",
            Self::Restart(..) => "restart",
            Self::Bounce(..) => "bounce",
            Self::Pause(..) => "pause",
            Self::Resume(..) => "resume",
            Self::ClockJump(..) => "clock_jump",
            Self::ClockRate(..) => "clock_rate",
            Self::WallJump(..) => "wall_jump",
            Self::DiskFull(..) => "disk_full",
            Self::IoError(..) => "io_error",
            Self::FsyncError(..) => "fsync_error",
            Self::TornWrite(..) => "torn_write",
            Self::BitFlip(..) => "bit_flip",
            Self::WipeDisk(..) => "wipe_disk",
            Self::SwapDisks(..) => "swap_disks",
            Self::RepairDisk(..) => "repair_disk",
            Self::Disconnect(..) => "disconnect",
            Self::ExpireSession(..) => "expire_session",
            Self::Reconnect(..) => "reconnect",
        }
    }
}
