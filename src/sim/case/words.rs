use std::fmt;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use crate::types::{ServerId, Time};

use super::super::{Fault, Latency, LinkFaults, Outage, Rate, Shape};

/// The words of a line, taken one by one. Errors say what was expected.
pub(super) struct Words<'a> {
    words: SplitWhitespace<'a>,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { words: line.split_whitespace() }
    }

    pub(super) fn word(&mut self, what: &str) -> Result<&'a str, String> {
        self.words.next().ok_or_else(|| format!("{what} is missing"))
    }

    pub(super) fn number<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.word(what)?;
        word.parse().map_err(|_| format!("`{word}` is no {what}"))
    }

    pub(super) fn server(&mut self) -> Result<ServerId, String> {
        server(self.word("server")?)
    }

    /// What is left is a list of servers.
    pub(super) fn servers(&mut self) -> Result<Vec<ServerId>, String> {
        self.words.by_ref().map(server).collect()
    }

    fn client(&mut self) -> Result<u64, String> {
        let word = self.word("client")?;
        word.strip_prefix('C')
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| format!("`{word}` is no client; the first is `C0`"))
    }

    fn span(&mut self) -> Result<Duration, String> {
        span(self.word("span")?)
    }

    fn rate(&mut self) -> Result<Rate, String> {
        Ok(Rate::millionths(self.number("rate in millionths")?))
    }

    fn latency(&mut self) -> Result<Latency, String> {
        let mut latency = Latency::default();
        for word in self.words.by_ref() {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` is no `name=value`"))?;
            set_latency(&mut latency, name, value)?;
        }
        Ok(latency)
    }

    /// What is left says what a link does to frames; what is not named is as in a good network.
    pub(super) fn link_faults(&mut self) -> Result<LinkFaults, String> {
        let mut faults = LinkFaults::default();
        for word in self.words.by_ref() {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` is no `name=value`"))?;
            let number = || value.parse().map_err(|_| format!("`{value}` is no number of millionths"));
            match name {
                "drop" => faults.drop = Rate::millionths(number()?),
                "duplicate" => faults.duplicate = Rate::millionths(number()?),
                "reorder" => faults.reorder = Rate::millionths(number()?),
                "stale" => faults.stale = Rate::millionths(number()?),
                "bytes_per_milli" => {
                    faults.bytes_per_milli =
                        value.parse().map_err(|_| format!("`{value}` is no number of bytes"))?;
                }
                _ => set_latency(&mut faults.latency, name, value)?,
            }
        }
        Ok(faults)
    }

    pub(super) fn fault(&mut self) -> Result<Fault, String> {
        let name = self.word("fault")?;
        let fault = match name {
            "partition" => Fault::Partition(self.server()?, self.server()?),
            "partition_oneway" => Fault::PartitionOneway(self.server()?, self.server()?),
            "hold" => Fault::Hold(self.server()?, self.server()?),
            "release" => Fault::Release(self.server()?, self.server()?),
            "repair" => Fault::Repair(self.server()?, self.server()?),
            "reset" => Fault::Reset(self.server()?, self.server()?),
            "link" => Fault::Link(self.server()?, self.server()?, self.link_faults()?),
            "drop_rate" => Fault::DropRate(self.rate()?),
            "duplicate_rate" => Fault::DuplicateRate(self.rate()?),
            "reorder" => Fault::Reorder(self.rate()?),
            "latency" => Fault::Latency(self.latency()?),
            "crash" => Fault::Crash(self.server()?),
            "power_loss" => Fault::PowerLoss(self.server()?),
            "power_loss_of_all" => Fault::PowerLossOfAll,
            "restart" => Fault::Restart(self.server()?),
            "bounce" => Fault::Bounce(self.server()?),
            "pause" => Fault::Pause(self.server()?),
            "resume" => Fault::Resume(self.server()?),
            "clock_jump" => Fault::ClockJump(self.server()?, self.span()?),
            "clock_rate" => Fault::ClockRate(self.server()?, self.number("rate in millionths")?),
            "wall_jump" => Fault::WallJump(self.server()?, self.number("number of milliseconds")?),
            "disk_full" => Fault::DiskFull(self.server()?, self.number("number of bytes")?),
            "io_error" => Fault::IoError(self.server()?),
            "fsync_error" => Fault::FsyncError(self.server()?),
            "torn_write" => Fault::TornWrite(self.server()?),
            "bit_flip" => Fault::BitFlip(self.server()?),
            "wipe_disk" => Fault::WipeDisk(self.server()?),
            "swap_disks" => Fault::SwapDisks(self.server()?, self.server()?),
            "repair_disk" => Fault::RepairDisk(self.server()?),
            "disconnect" => Fault::Disconnect(self.client()?),
            "expire_session" => Fault::ExpireSession(self.client()?),
            "reconnect" => Fault::Reconnect(self.client()?),
            _ => return Err(format!("`{name}` is no fault")),
        };
        Ok(fault)
    }

    pub(super) fn shape(&mut self) -> Result<Shape, String> {
        match self.word("shape")? {
            "clique" => Ok(Shape::Clique),
            "hub" => Ok(Shape::Hub(self.server()?)),
            "chain" => Ok(Shape::Chain),
            other => Err(format!("`{other}` is no shape")),
        }
    }

    pub(super) fn outage(&mut self) -> Result<Outage, String> {
        Ok(match self.word("outage")? {
            "none" => Outage::None,
            "down" => Outage::Down,
            "paused" => Outage::Paused,
            "disk_full" => Outage::DiskFull,
            "deaf" => Outage::Deaf,
            "mute" => Outage::Mute,
            "cut" => Outage::Cut,
            "leaf" => Outage::Leaf(self.server()?),
            "heard_by" => Outage::HeardBy(self.server()?),
            "stuck" => Outage::Stuck,
            "slow" => Outage::Slow(self.span()?),
            other => return Err(format!("`{other}` is no outage")),
        })
    }

    /// Nothing may be left.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.words.next().map_or(Ok(()), |word| Err(format!("`{word}` is too much")))
    }
}

/// One line of a plan: the word for the fault, and what it is done to.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Partition(a, b)
            | Self::PartitionOneway(a, b)
            | Self::Hold(a, b)
            | Self::Release(a, b)
            | Self::Repair(a, b)
            | Self::Reset(a, b)
            | Self::SwapDisks(a, b) => write!(f, " S{a} S{b}"),
            Self::Link(a, b, faults) => write!(f, " S{a} S{b}{}", link_words(faults)),
            Self::DropRate(rate) | Self::DuplicateRate(rate) | Self::Reorder(rate) => {
                write!(f, " {}", rate.count())
            }
            Self::Latency(latency) => f.write_str(&latency_words(latency)),
            Self::Crash(server)
            | Self::PowerLoss(server)
            | Self::Restart(server)
            | Self::Bounce(server)
            | Self::Pause(server)
            | Self::Resume(server)
            | Self::IoError(server)
            | Self::FsyncError(server)
            | Self::TornWrite(server)
            | Self::BitFlip(server)
            | Self::WipeDisk(server)
            | Self::RepairDisk(server) => write!(f, " S{server}"),
            Self::PowerLossOfAll => Ok(()),
            Self::ClockJump(server, span) => write!(f, " S{server} {}", span_word(*span)),
            Self::ClockRate(server, rate) => write!(f, " S{server} {rate}"),
            Self::WallJump(server, millis) => write!(f, " S{server} {millis}"),
            Self::DiskFull(server, room) => write!(f, " S{server} {room}"),
            Self::Disconnect(client) | Self::ExpireSession(client) | Self::Reconnect(client) => {
                write!(f, " C{client}")
            }
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = Words::new(text);
        let fault = words.fault()?;
        words.end()?;
        Ok(fault)
    }
}

pub(super) fn shape_words(shape: Shape) -> String {
    match shape {
        Shape::Clique => "clique".to_owned(),
        Shape::Hub(hub) => format!("hub S{hub}"),
        Shape::Chain => "chain".to_owned(),
    }
}

pub(super) fn outage_words(outage: Outage) -> String {
    let word = match outage {
        Outage::None => "none",
        Outage::Down => "down",
        Outage::Paused => "paused",
        Outage::DiskFull => "disk_full",
        Outage::Deaf => "deaf",
        Outage::Mute => "mute",
        Outage::Cut => "cut",
        Outage::Stuck => "stuck",
        Outage::Leaf(only) => return format!("leaf S{only}"),
        Outage::HeardBy(only) => return format!("heard_by S{only}"),
        Outage::Slow(span) => return format!("slow {}", span_word(span)),
    };
    word.to_owned()
}

/// A span, in microseconds: the simulator knows no shorter ones.
pub(super) fn span_word(span: Duration) -> String {
    format!("{}us", span.as_micros())
}

pub(super) fn span(word: &str) -> Result<Duration, String> {
    let (number, micros) = match word.strip_suffix("us") {
        Some(number) => (number, 1),
        None => match word.strip_suffix("ms") {
            Some(number) => (number, 1_000),
            None => (word.strip_suffix('s').unwrap_or(word), 1_000_000),
        },
    };
    number
        .parse::<u64>()
        .ok()
        .filter(|_| word.ends_with('s'))
        .and_then(|count| count.checked_mul(micros))
        .map(Duration::from_micros)
        .ok_or_else(|| format!("`{word}` is no span; write `250us`, `30ms` or `2s`"))
}

/// A moment in virtual time, in seconds with six digits.
pub(super) fn time(word: &str) -> Result<Time, String> {
    let wrong = || format!("`{word}` is no time; write seconds, as in `1.250000`");
    let number = word.strip_suffix('s').unwrap_or(word);
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 6 {
        return Err(wrong());
    }
    let seconds: u64 = seconds.parse().map_err(|_| wrong())?;
    let micros: u64 = format!("{fraction:0<6}").parse().map_err(|_| wrong())?;
    let total = seconds.checked_mul(1_000_000).and_then(|whole| whole.checked_add(micros));
    total.map(Time::from_micros).ok_or_else(wrong)
}

/// What of `faults` differs from a good network, as words with a blank before each.
pub(super) fn link_words(faults: &LinkFaults) -> String {
    let good = LinkFaults::default();
    let mut words = latency_words(&faults.latency);
    let numbers = [
        ("drop", u64::from(faults.drop.count()), u64::from(good.drop.count())),
        ("duplicate", u64::from(faults.duplicate.count()), u64::from(good.duplicate.count())),
        ("reorder", u64::from(faults.reorder.count()), u64::from(good.reorder.count())),
        ("stale", u64::from(faults.stale.count()), u64::from(good.stale.count())),
        ("bytes_per_milli", faults.bytes_per_milli, good.bytes_per_milli),
    ];
    for (name, number, usual) in numbers {
        if number != usual {
            words.push_str(&format!(" {name}={number}"));
        }
    }
    words
}

fn latency_words(latency: &Latency) -> String {
    let usual = Latency::default();
    let mut words = String::new();
    for (name, span, usual) in [("min", latency.min, usual.min), ("spread", latency.spread, usual.spread)] {
        if span != usual {
            words.push_str(&format!(" {name}={}", span_word(span)));
        }
    }
    if latency.tail != usual.tail {
        words.push_str(&format!(" tail={}", latency.tail.count()));
    }
    words
}

fn set_latency(latency: &mut Latency, name: &str, value: &str) -> Result<(), String> {
    match name {
        "min" => latency.min = span(value)?,
        "spread" => latency.spread = span(value)?,
        "tail" => {
            latency.tail =
                Rate::millionths(value.parse().map_err(|_| format!("`{value}` is no number of millionths"))?);
        }
        _ => return Err(format!("links have no `{name}`")),
    }
    Ok(())
}

fn server(word: &str) -> Result<ServerId, String> {
    word.strip_prefix('S')
        .and_then(|number| number.parse().ok())
        .map(ServerId::new)
        .ok_or_else(|| format!("`{word}` is no server; the first is `S1`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_are_read_as_they_are_written() {
        assert_eq!(span("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(span("30ms"), Ok(Duration::from_millis(30)));
        assert_eq!(span("2s"), Ok(Duration::from_secs(2)));
        assert!(span("2").is_err());
        assert!(span("18446744073709551615s").is_err());
        assert_eq!(time("1.25"), Ok(Time::from_micros(1_250_000)));
        assert_eq!(time(&Time::from_micros(71).to_string()), Ok(Time::from_micros(71)));
        assert!(time("1.0000001").is_err());
        assert!(time("1.-1").is_err());
    }

    #[test]
    fn a_fault_that_makes_no_sense_is_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<Fault>().unwrap_err();
        assert_eq!(refused("explode S1"), "`explode` is no fault");
        assert_eq!(refused("crash 1"), "`1` is no server; the first is `S1`");
        assert_eq!(refused("crash"), "server is missing");
        assert_eq!(refused("crash S1 S2"), "`S2` is too much");
        assert_eq!(refused("link S1 S2 speed=3"), "links have no `speed`");
    }
}
