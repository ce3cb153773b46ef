use std::collections::BTreeMap;

use crate::types::{ServerId, Time, Zxid};

use super::super::wording::BEHIND;
use super::super::{Actor, TraceEvent};
use super::troubles::Troubles;

/// What a page shows, found in the events of a trace: who said what to whom, who played which part, what went wrong.
#[derive(Default)]
pub(super) struct Story {
    pub(super) messages: Vec<Message>,
    pub(super) states: Vec<State>,
    pub(super) marks: Vec<Mark>,
    pub(super) works: Vec<Work>,
    pub(super) troubles: Troubles,
    open: Open,
}

/// A message between two lanes.
pub(super) struct Message {
    pub(super) from: Actor,
    pub(super) to: Actor,
    pub(super) sent: Time,
    /// None while it travels.
    pub(super) ended: Option<Time>,
    pub(super) fate: Fate,
    pub(super) kind: String,
    pub(super) gist: String,
    pub(super) whole: String,
    /// Its number in the trace.
    pub(super) number: u64,
}

/// What became of a message. The numbers are those of the trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Arrived = 0,
    Cut = 1,
    Dropped = 2,
    Nobody = 3,
    Overflowed = 4,
}

/// How a server is doing from a moment on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    pub(super) server: ServerId,
    pub(super) at: Time,
    pub(super) part: Part,
    pub(super) leader: Option<ServerId>,
    pub(super) serving: bool,
    pub(super) epoch: u64,
    pub(super) logged: Zxid,
    pub(super) committed: Zxid,
    pub(super) applied: Zxid,
}

/// The part that a server plays, as it is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Looking = 0,
    Following = 1,
    Leading = 2,
    Observing = 3,
    Down = 4,
    Starting = 5,
}

/// Something at one moment.
pub(super) struct Mark {
    pub(super) actor: Actor,
    pub(super) at: Time,
    pub(super) kind: String,
    pub(super) text: String,
    pub(super) number: u64,
}

/// Something that a disk did.
pub(super) struct Work {
    pub(super) server: ServerId,
    pub(super) began: Time,
    pub(super) ended: Option<Time>,
    pub(super) what: String,
}

/// What is not finished yet, while events are read.
#[derive(Default)]
struct Open {
    /// The last thing that a server said to another.
    said: BTreeMap<(Actor, ServerId), String>,
    /// The messages that travel, by sender, receiver and hash, oldest first.
    travelling: BTreeMap<(ServerId, ServerId, u64), Vec<usize>>,
    /// The last message with this hash: what arrives once more is a copy of it.
    last: BTreeMap<(ServerId, ServerId, u64), usize>,
    states: BTreeMap<ServerId, State>,
    works: BTreeMap<ServerId, usize>,
    /// The server that each client talks to.
    attached: BTreeMap<u64, ServerId>,
}

impl Story {
    /// Reads events in their order.
    pub(super) fn read(events: &[TraceEvent]) -> Self {
        let mut story = Self::default();
        for event in events {
            match event.actor {
                Actor::Server(server) => story.read_server(server, event),
                Actor::Client(client) => story.read_client(client, event),
                Actor::World => story.read_world(event),
            }
        }
        story
    }

    fn read_server(&mut self, server: ServerId, event: &TraceEvent) {
        let first = event.numbers.first().copied().unwrap_or_default();
        match event.kind {
            "says" => {
                let said = event.detail.split_once(": ").map_or("", |(_, said)| said);
                self.open.said.insert((event.actor, ServerId::new(first)), said.to_owned());
            }
            "send" => self.sent(server, event),
            "arrive" => self.arrived(server, event),
            "turn" => self.turned(server, event),
            "write" => {
                self.open.works.insert(server, self.works.len());
                let what = event.detail.clone();
                self.works.push(Work { server, began: event.at, ended: None, what });
            }
            "wrote" => {
                let work = self.open.works.remove(&server).and_then(|index| self.works.get_mut(index));
                if let Some(work) = work {
                    work.ended = Some(event.at);
                    if event.detail != "done" {
                        work.what = format!("{}: {}", work.what, event.detail);
                    }
                }
                if event.detail != "done" {
                    self.mark(event, "WriteFailed", &format!("a write fails: {}", event.detail));
                }
            }
            "start" => {
                self.change(server, event.at, |state| state.part = Part::Starting);
                self.mark(event, "Started", "starts");
            }
            "down" => {
                self.open.works.remove(&server);
                self.change(server, event.at, |state| (state.part, state.serving) = (Part::Down, false));
                self.mark(event, "Down", "is down");
            }
            "recovered" => self.mark(event, "Recovered", &format!("has found on its disk: {}", event.detail)),
            "ended" => self.mark(event, "Ended", &format!("ends by itself: {}", event.detail)),
            "unopened" => self.mark(event, "Unopened", &format!("cannot open its storage: {}", event.detail)),
            "event" => {
                let (kind, text) = event.detail.split_once(' ').unwrap_or((&event.detail, ""));
                self.mark(event, kind, text);
            }
            _ => {}
        }
    }

    fn sent(&mut self, from: ServerId, event: &TraceEvent) {
        let [to, hash, fate] = event.numbers[..] else { return };
        let to = ServerId::new(to);
        let said = self.open.said.remove(&(event.actor, to)).unwrap_or_else(|| event.detail.clone());
        let (gist, whole) = said.split_once(BEHIND).unwrap_or((&said, ""));
        let (kind, gist) = gist.split_once(' ').unwrap_or((gist, ""));
        let fate = Fate::numbered(fate);
        if fate == Fate::Arrived {
            let index = self.messages.len();
            self.open.travelling.entry((from, to, hash)).or_default().push(index);
            self.open.last.insert((from, to, hash), index);
        }
        self.messages.push(Message {
            from: event.actor,
            to: Actor::Server(to),
            sent: event.at,
            ended: (fate != Fate::Arrived).then_some(event.at),
            fate,
            kind: kind.to_owned(),
            gist: gist.to_owned(),
            whole: whole.to_owned(),
            number: event.number,
        });
    }

    fn arrived(&mut self, to: ServerId, event: &TraceEvent) {
        let [from, hash, fate] = event.numbers[..] else { return };
        let key = (ServerId::new(from), to, hash);
        let travelling = self.open.travelling.get_mut(&key).filter(|indices| !indices.is_empty());
        let (index, copy) = match travelling.map(|indices| indices.remove(0)) {
            Some(index) => (Some(index), false),
            None => (self.open.last.get(&key).copied(), true),
        };
        let Some(message) = index.and_then(|index| self.messages.get_mut(index)) else { return };
        let fate = Fate::numbered(fate);
        if copy {
            let copy = Message {
                kind: message.kind.clone(),
                gist: format!("{} (a copy that the network made)", message.gist),
                whole: message.whole.clone(),
                ended: Some(event.at),
                fate,
                ..*message
            };
            self.messages.push(copy);
        } else {
            (message.ended, message.fate) = (Some(event.at), fate);
        }
    }

    fn turned(&mut self, server: ServerId, event: &TraceEvent) {
        let mut words = event.detail.split_whitespace();
        let part = match words.next() {
            Some("Looking") => Part::Looking,
            Some("Following") => Part::Following,
            Some("Leading") => Part::Leading,
            Some("Observing") => Part::Observing,
            _ => return,
        };
        let mut pairs = BTreeMap::new();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            pairs.insert(name, value);
        }
        let value = |name| pairs.get(name).copied().unwrap_or_default();
        let number = |name| event.numbers.get(name).copied().unwrap_or_default();
        self.change(server, event.at, |state| {
            state.part = part;
            state.leader = value("leader").strip_prefix("Some(S").and_then(|rest| {
                rest.strip_suffix(')').and_then(|number| number.parse().ok()).map(ServerId::new)
            });
            state.serving = value("serving") == "true";
            state.epoch = value("epoch").parse().unwrap_or_default();
            state.logged = zxid(value("logged"));
            state.committed = Zxid::from_u64(number(0));
            state.applied = Zxid::from_u64(number(1));
        });
    }

    fn change(&mut self, server: ServerId, at: Time, change: impl FnOnce(&mut State)) {
        let unknown = State {
            server,
            at,
            part: Part::Down,
            leader: None,
            serving: false,
            epoch: 0,
            logged: Zxid::ZERO,
            committed: Zxid::ZERO,
            applied: Zxid::ZERO,
        };
        let before = self.open.states.get(&server).copied();
        let mut state = State { at, ..before.unwrap_or(unknown) };
        change(&mut state);
        if before.is_none_or(|before| State { at, ..before } != state) {
            self.open.states.insert(server, state);
            self.states.push(state);
        }
    }

    fn read_client(&mut self, client: u64, event: &TraceEvent) {
        match event.kind {
            "open" => {
                if let [server, reached] = event.numbers[..] {
                    let server = ServerId::new(server);
                    self.open.attached.insert(client, server);
                    let fate = if reached == 1 { Fate::Arrived } else { Fate::Nobody };
                    self.told(
                        event,
                        (event.actor, Actor::Server(server)),
                        fate,
                        "Connect",
                        "asks to be attached",
                        "",
                    );
                }
            }
            "request" => {
                if let Some(server) = self.open.attached.get(&client).copied() {
                    let lanes = (event.actor, Actor::Server(server));
                    self.told(
                        event,
                        lanes,
                        Fate::Arrived,
                        "Request",
                        &shortened(&event.detail),
                        &event.detail,
                    );
                }
            }
            "delivery" => {
                let told = event.detail.strip_prefix("from S").and_then(|rest| rest.split_once(' '));
                let Some((server, told)) = told else { return };
                let Ok(server) = server.parse().map(ServerId::new) else { return };
                let kind = match told.split(['(', ' ']).next().unwrap_or_default() {
                    "Connected" => "Attached",
                    "Watch" => "WatchEvent",
                    "Closed" => "Detached",
                    _ => "Reply",
                };
                let lanes = (Actor::Server(server), event.actor);
                self.told(event, lanes, Fate::Arrived, kind, &shortened(told), told);
            }
            _ => {}
        }
    }

    /// What passes between clients and servers is in the trace when it arrives.
    fn told(
        &mut self,
        event: &TraceEvent,
        (from, to): (Actor, Actor),
        fate: Fate,
        kind: &str,
        gist: &str,
        whole: &str,
    ) {
        self.messages.push(Message {
            from,
            to,
            sent: event.at,
            ended: Some(event.at),
            fate,
            kind: kind.to_owned(),
            gist: gist.to_owned(),
            whole: whole.to_owned(),
            number: event.number,
        });
    }

    fn read_world(&mut self, event: &TraceEvent) {
        match event.kind {
            "fault" => self.troubles.read(event.at, &event.detail),
            "heal" => {
                self.troubles.heal(event.at, &event.detail);
                let core = event.detail.trim_matches(['[', ']']);
                let text = format!("the faults end; {core} are healed and must come to life");
                self.mark(event, "Healed", &text);
            }
            _ => {}
        }
    }

    fn mark(&mut self, event: &TraceEvent, kind: &str, text: &str) {
        let (actor, at, number) = (event.actor, event.at, event.number);
        self.marks.push(Mark { actor, at, kind: kind.to_owned(), text: text.to_owned(), number });
    }
}

impl Fate {
    fn numbered(number: u64) -> Self {
        match number {
            0 => Self::Arrived,
            1 => Self::Cut,
            2 => Self::Dropped,
            3 => Self::Nobody,
            _ => Self::Overflowed,
        }
    }
}

/// A position as it is shown, `epoch.counter`.
fn zxid(word: &str) -> Zxid {
    let halves = word
        .split_once('.')
        .and_then(|(epoch, counter)| Some((epoch.parse::<u32>().ok()?, counter.parse::<u32>().ok()?)));
    halves.map_or(Zxid::ZERO, |(epoch, counter)| Zxid::new(crate::types::Epoch::new(epoch), counter))
}

fn shortened(text: &str) -> String {
    const SHORT: usize = 90;
    match text.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}
