use crate::types::{ServerId, Time};

use super::super::{Actor, Fault, Latency, LinkFaults};

/// The faults, each with its end where it has one.
#[derive(Default)]
pub(super) struct Troubles {
    pub(super) list: Vec<Trouble>,
}

/// Something that is wrong for a while, or goes wrong at one moment.
pub(super) struct Trouble {
    pub(super) began: Time,
    pub(super) ended: Option<Time>,
    pub(super) fault: Fault,
    /// What it is, in words.
    pub(super) what: String,
}

impl Troubles {
    /// A fault was applied; `text` is how it says itself.
    pub(super) fn read(&mut self, at: Time, text: &str) {
        let Ok(fault) = text.parse::<Fault>() else { return };
        let mut is_mended = mends(&fault);
        for trouble in &mut self.list {
            if trouble.ended.is_none() && ends(&fault, &trouble.fault) {
                trouble.ended = Some(at);
                // A second exchange of the same disks gives them back.
                is_mended |= matches!(fault, Fault::SwapDisks(..));
            }
        }
        // Plans draw pairs; what is between a server and itself does nothing.
        let mut servers = fault.servers();
        if matches!((servers.next(), servers.next()), (Some(a), Some(b)) if a == b) {
            return;
        }
        if is_mended || self.list.iter().any(|known| known.ended.is_none() && known.fault == fault) {
            return;
        }
        let ended = (!lasts(&fault)).then_some(at);
        self.list.push(Trouble { began: at, ended, fault, what: plain(&fault) });
    }

    /// These servers and all that is between them were healed, and no link does anything by chance any more.
    pub(super) fn heal(&mut self, at: Time, servers: &str) {
        let core: Vec<_> = servers
            .split(|letter: char| !letter.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .map(ServerId::new)
            .collect();
        for trouble in self.list.iter_mut().filter(|trouble| trouble.ended.is_none()) {
            let mut servers = trouble.fault.servers().peekable();
            let by_chance = servers.peek().is_none() || matches!(trouble.fault, Fault::Link(..));
            if by_chance || servers.all(|server| core.contains(&server)) {
                trouble.ended = Some(at);
            }
        }
    }
}

impl Trouble {
    /// The lanes that it concerns.
    pub(super) fn actors(&self) -> impl Iterator<Item = Actor> {
        self.fault.servers().map(Actor::Server).chain(self.fault.client().map(Actor::Client))
    }
}

/// Whether a fault lasts until another ends it.
fn lasts(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Partition(..)
            | Fault::PartitionOneway(..)
            | Fault::Hold(..)
            | Fault::Link(..)
            | Fault::DropRate(..)
            | Fault::DuplicateRate(..)
            | Fault::Reorder(..)
            | Fault::Latency(..)
            | Fault::Pause(..)
            | Fault::ClockRate(..)
            | Fault::DiskFull(..)
            | Fault::SwapDisks(..)
            | Fault::ExpireSession(..)
    )
}

/// Whether it only ends another.
fn mends(fault: &Fault) -> bool {
    match fault {
        Fault::Release(..)
        | Fault::Repair(..)
        | Fault::Resume(..)
        | Fault::Restart(..)
        | Fault::RepairDisk(..)
        | Fault::Reconnect(..) => true,
        Fault::Link(_, _, faults) => *faults == LinkFaults::default(),
        Fault::ClockRate(_, rate) => *rate == 1_000_000,
        _ => false,
    }
}

/// Whether `now` is the end of `then`.
fn ends(now: &Fault, then: &Fault) -> bool {
    let pair = |a: &ServerId, b: &ServerId, c: &ServerId, d: &ServerId| (a, b) == (c, d) || (a, b) == (d, c);
    match (now, then) {
        (Fault::Repair(a, b), Fault::Partition(c, d) | Fault::PartitionOneway(c, d) | Fault::Hold(c, d)) => {
            pair(a, b, c, d)
        }
        (Fault::Release(a, b), Fault::Hold(c, d)) | (Fault::Link(a, b, _), Fault::Link(c, d, _)) => {
            (a, b) == (c, d)
        }
        (Fault::SwapDisks(a, b), Fault::SwapDisks(c, d)) => pair(a, b, c, d),
        (Fault::Resume(a), Fault::Pause(b))
        | (Fault::ClockRate(a, _), Fault::ClockRate(b, _))
        | (Fault::RepairDisk(a), Fault::DiskFull(b, _)) => a == b,
        (Fault::Reconnect(a), Fault::ExpireSession(b)) => a == b,
        (Fault::DropRate(_), Fault::DropRate(_))
        | (Fault::DuplicateRate(_), Fault::DuplicateRate(_))
        | (Fault::Reorder(_), Fault::Reorder(_))
        | (Fault::Latency(_), Fault::Latency(_)) => true,
        _ => false,
    }
}

/// A link that does nothing but take its time.
fn slow(latency: Latency) -> LinkFaults {
    LinkFaults { latency, ..LinkFaults::default() }
}

/// A fault in words for who has never seen one.
fn plain(fault: &Fault) -> String {
    let percent = |rate: u32| f64::from(rate) / 10_000.0;
    match fault {
        Fault::Partition(a, b) => format!("S{a} and S{b} are cut off from each other"),
        Fault::PartitionOneway(a, b) => format!("nothing gets from S{a} to S{b}"),
        Fault::Hold(a, b) => format!("what S{a} sends to S{b} is held back"),
        Fault::Reset(a, b) => format!("what travels between S{a} and S{b} is lost"),
        Fault::Link(a, b, LinkFaults { latency, .. }) if fault == &Fault::Link(*a, *b, slow(*latency)) => {
            format!("the way from S{a} to S{b} takes {:?}", latency.min)
        }
        Fault::Link(a, b, _) => format!("the way from S{a} to S{b} is bad ({fault})"),
        Fault::DropRate(rate) => format!("{} % of all messages are lost", percent(rate.count())),
        Fault::DuplicateRate(rate) => format!("{} % of all messages arrive twice", percent(rate.count())),
        Fault::Reorder(rate) => format!("{} % of all messages overtake others", percent(rate.count())),
        Fault::Latency(_) => format!("the network is slow ({fault})"),
        Fault::Crash(a) => format!("S{a} crashes"),
        Fault::PowerLoss(a) => format!("S{a} loses power; what was not synced is gone"),
        Fault::PowerLossOfAll => "all servers lose power".to_owned(),
        Fault::Bounce(a) => format!("S{a} is restarted"),
        Fault::Pause(a) => format!("S{a} stands still"),
        Fault::ClockJump(a, span) => format!("the clock of S{a} jumps by {span:?}"),
        Fault::ClockRate(a, rate) => {
            format!("the clock of S{a} runs at {} %", percent(u32::try_from(*rate).unwrap_or(u32::MAX)))
        }
        Fault::WallJump(a, millis) => format!("the calendar of S{a} jumps by {millis} ms"),
        Fault::DiskFull(a, room) => format!("the disk of S{a} has room for {room} more bytes"),
        Fault::IoError(a) => format!("the next write to the disk of S{a} fails"),
        Fault::FsyncError(a) => format!("the next sync of the disk of S{a} fails"),
        Fault::TornWrite(a) => format!("S{a} loses power in the middle of its next write"),
        Fault::BitFlip(a) => format!("a bit flips on the disk of S{a}"),
        Fault::WipeDisk(a) => format!("S{a} gets an empty disk"),
        Fault::SwapDisks(a, b) => format!("S{a} and S{b} have each other's disks"),
        Fault::Disconnect(client) => format!("the connection of C{client} breaks"),
        Fault::ExpireSession(client) => format!("C{client} is cut off from all servers"),
        Fault::Release(..)
        | Fault::Repair(..)
        | Fault::Restart(..)
        | Fault::Resume(..)
        | Fault::RepairDisk(..)
        | Fault::Reconnect(..) => fault.to_string(),
    }
}
