use std::fmt::Write as _;

use quorate::peer::{Role, Status};
use quorate::{ServerId, Zxid};

use crate::observe::Sample;

/// What is shown of one server.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Row {
    server: ServerId,
    role: Role,
    serving: bool,
    epoch: u32,
    applied: Zxid,
    sessions: u64,
    clients: u64,
    watches: u64,
    reads: f64,
    writes: f64,
    write_ms: f64,
}

impl Row {
    pub(super) fn new(status: &Status, sample: &Sample) -> Self {
        Self {
            server: status.server,
            role: status.role,
            serving: status.serving,
            epoch: status.epoch.number(),
            applied: status.applied,
            sessions: status.sessions,
            clients: status.clients,
            watches: status.watches,
            reads: sample.reads,
            writes: sample.writes,
            write_ms: sample.write_ms,
        }
    }

    fn role(&self) -> &'static str {
        match self.role {
            _ if !self.serving => "looking",
            Role::Looking => "looking",
            Role::Following => "follower",
            Role::Leading => "leader",
            Role::Observing => "observer",
        }
    }
}

/// The status, drawn anew in place on a terminal, and told line by line, as far as it changes, anywhere else.
#[derive(Debug)]
pub(super) struct Screen {
    heading: String,
    terminal: bool,
    begun: bool,
    told: Vec<(ServerId, String)>,
}

const TITLES: &str =
    "server  role      epoch  zxid          lag  clients  sessions  watches   reads/s  writes/s  write ms";

impl Screen {
    pub(super) fn new(heading: String, terminal: bool) -> Self {
        Self { heading, terminal, begun: false, told: Vec::new() }
    }

    /// What to print to show these rows.
    pub(super) fn draw(&mut self, rows: Vec<Row>) -> String {
        if self.terminal { self.redraw(&rows) } else { self.tell(&rows) }
    }

    /// What to print in the end.
    pub(super) fn close(&self) -> String {
        // The cursor comes back.
        if self.terminal && self.begun { "\x1b[?25h\nstopping\n".to_owned() } else { "stopping\n".to_owned() }
    }

    fn redraw(&mut self, rows: &[Row]) -> String {
        let furthest = rows.iter().map(|row| row.applied).max().unwrap_or(Zxid::ZERO);
        let mut page = format!("{}\n\n\x1b[2m{TITLES}\x1b[0m\n", self.heading);
        for row in rows {
            let colour = match row.role() {
                "leader" => "32",
                "looking" => "33",
                _ => "36",
            };
            // Writing to a string does not fail.
            let _ = writeln!(
                page,
                "{:<7} \x1b[{colour}m{:<9}\x1b[0m {:>5}  {:<12} {:>4} {:>8} {:>9} {:>8} {:>9.0} {:>9.0} {:>9.2}",
                row.server.number(),
                row.role(),
                row.epoch,
                format!("0x{:x}", row.applied.as_u64()),
                lag(row.applied, furthest),
                row.clients,
                row.sessions,
                row.watches,
                row.reads,
                row.writes,
                row.write_ms
            );
        }
        // The first time on a clean screen without a cursor; each line clears what was behind it.
        let start = if self.begun { "\x1b[H" } else { "\x1b[2J\x1b[H\x1b[?25l" };
        self.begun = true;
        format!("{start}{}\x1b[J", page.replace('\n', "\x1b[K\n"))
    }

    fn tell(&mut self, rows: &[Row]) -> String {
        let mut text = String::new();
        if !self.begun {
            self.begun = true;
            text = format!("{}\n", self.heading);
        }
        for row in rows {
            let line = format!(
                "server {}: {}, epoch {}, {} clients, {} sessions",
                row.server.number(),
                row.role(),
                row.epoch,
                row.clients,
                row.sessions
            );
            match self.told.iter_mut().find(|(server, _)| *server == row.server) {
                Some((_, told)) if *told == line => continue,
                Some((_, told)) => told.clone_from(&line),
                None => self.told.push((row.server, line.clone())),
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// How many transactions behind; of another epoch it is not known.
fn lag(applied: Zxid, furthest: Zxid) -> String {
    if applied.epoch() == furthest.epoch() {
        furthest.counter().saturating_sub(applied.counter()).to_string()
    } else {
        "-".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use quorate::Epoch;

    use super::*;

    fn row(server: u64, role: Role, counter: u32) -> Row {
        Row {
            server: ServerId::new(server),
            role,
            serving: role != Role::Looking,
            epoch: 2,
            applied: Zxid::new(Epoch::new(2), counter),
            sessions: 4,
            clients: 1,
            watches: 7,
            reads: 1200.4,
            writes: 80.0,
            write_ms: 1.239,
        }
    }

    #[test]
    fn on_a_terminal_one_page_is_drawn_in_place() {
        let mut screen = Screen::new("connect to x".to_owned(), true);
        let first = screen.draw(vec![row(1, Role::Leading, 9), row(2, Role::Following, 5)]);
        let second = screen.draw(vec![row(1, Role::Leading, 9), row(2, Role::Looking, 5)]);
        assert!(first.starts_with("\x1b[2J") && second.starts_with("\x1b[Hconnect"), "{first:?} {second:?}");
        let plain: Vec<_> = first.split('\n').collect();
        assert_eq!(
            plain[3].replace("\x1b[32m", "").replace("\x1b[0m", "").replace("\x1b[K", ""),
            "1       leader        2  0x200000009     0        1         4        7      1200        80      1.24"
        );
        assert!(plain[4].contains("follower") && plain[4].contains("   4        1"), "{:?}", plain[4]);
        assert!(second.contains("looking"));
        assert!(screen.close().contains("\x1b[?25h"));
    }

    #[test]
    fn elsewhere_a_line_is_told_for_each_change() {
        let mut screen = Screen::new("connect to x".to_owned(), false);
        let first = screen.draw(vec![row(1, Role::Looking, 9), row(2, Role::Following, 5)]);
        assert_eq!(
            first,
            "connect to x\nserver 1: looking, epoch 2, 1 clients, 4 sessions\n\
             server 2: follower, epoch 2, 1 clients, 4 sessions\n"
        );
        assert_eq!(screen.draw(vec![row(1, Role::Looking, 10), row(2, Role::Following, 6)]), "");
        assert_eq!(
            screen.draw(vec![row(1, Role::Leading, 10)]),
            "server 1: leader, epoch 2, 1 clients, 4 sessions\n"
        );
    }
}
