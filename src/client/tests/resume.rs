//! Lasting watches against a naive model: whatever breaks when, each reader is told every event after its
//! beginning exactly once and in order.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::channel::oneshot;
use proptest::prelude::*;

use super::super::call::{Ask, Asked, Start};
use super::super::mailbox::Mailbox;
use super::super::session::{Session, Verdict};
use super::super::subscription::Subscription;
use super::super::watch::WatchItem;
use super::world::{event, zxid};

use crate::peer::{Answer, Connected, Reply, Request, WatchRequest};
use crate::types::{ClientId, Password, SessionId, WatchEvent, WatchEventKind, WatchMode, Zxid};

#[derive(Clone, Debug)]
enum Step {
    /// The next transaction, of so many events.
    Commit(usize),
    /// The same, but the connection breaks after some of the events have arrived.
    BreakWithin { events: usize, arrived: usize },
    /// The server takes and answers the next request.
    Answer,
    /// The client sends what it has to send.
    Send,
    /// The connection breaks, and another one is made.
    Break,
    /// A new reader, which wants what happened in the last so many transactions as well, or only what comes.
    Subscribe(Option<u32>),
    /// A sign of life.
    Ping,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4_usize).prop_map(Step::Commit),
        1 => (2..4_usize, 0..3_usize).prop_map(|(events, arrived)| Step::BreakWithin { events, arrived }),
        5 => Just(Step::Answer),
        5 => Just(Step::Send),
        1 => Just(Step::Break),
        1 => proptest::option::of(0..6_u32).prop_map(Step::Subscribe),
        1 => Just(Step::Ping),
    ]
}

struct Model {
    session: Session,
    /// All events; the transaction numbered n is at zxid n.
    history: Vec<WatchEvent>,
    position: u32,
    /// Whether the server has the watch.
    watched: bool,
    requests: VecDeque<(u64, Request)>,
    readers: Vec<Reader>,
}

struct Reader {
    mailbox: Mailbox<WatchItem>,
    tag: u64,
    /// Where it begins; unknown until the server has said.
    begin: Option<Zxid>,
    told: Vec<WatchEvent>,
}

impl Model {
    fn new() -> Self {
        let mut model = Self {
            session: Session::new(Duration::from_secs(10)),
            history: Vec::new(),
            position: 0,
            watched: false,
            requests: VecDeque::new(),
            readers: Vec::new(),
        };
        model.connect();
        model
    }

    fn connect(&mut self) {
        let connected = Connected {
            client: ClientId::new(1),
            session: SessionId::from_u64(1),
            password: Password::new([0; 16]),
            timeout_millis: 10_000,
            resumed: true,
        };
        assert_eq!(self.session.connected(&connected), Verdict::Go);
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Commit(events) => self.commit(*events, usize::MAX),
            Step::BreakWithin { events, arrived } => {
                self.commit(*events, *arrived);
                self.reconnect();
            }
            Step::Answer => self.answer(),
            Step::Send => self.send(),
            Step::Break => self.reconnect(),
            Step::Subscribe(back) => self.subscribe(*back),
            Step::Ping => self.session.ping(),
        }
    }

    fn commit(&mut self, events: usize, arrive: usize) {
        self.position += 1;
        for number in 0..events {
            let event = event(zxid(self.position), WatchEventKind::Created, &format!("/a/{number}"));
            if self.watched && number < arrive {
                self.session.watch(&event);
            }
            self.history.push(event);
        }
    }

    fn reconnect(&mut self) {
        self.session.detached();
        self.watched = false;
        self.requests.clear();
        self.connect();
    }

    fn send(&mut self) {
        while let Some(request) = self.session.next_request() {
            self.requests.push_back(request);
        }
    }

    fn answer(&mut self) {
        let Some((tag, request)) = self.requests.pop_front() else { return };
        let now = zxid(self.position);
        match request {
            Request::Watch(WatchRequest::Add { .. }) => {
                self.watched = true;
                if let Some(reader) = self.readers.iter_mut().find(|reader| reader.tag == tag) {
                    reader.begin.get_or_insert(now);
                }
            }
            Request::Watch(WatchRequest::Resume { since, .. }) => {
                self.watched = true;
                for event in self.history.iter().filter(|event| event.zxid > since) {
                    self.session.watch(event);
                }
            }
            _ => {}
        }
        let result = Ok(Answer::Done);
        let verdict = self.session.reply(Reply { client: ClientId::new(1), tag, zxid: now, result });
        assert_eq!(verdict, Verdict::Go);
    }

    fn subscribe(&mut self, back: Option<u32>) {
        let begin = back.map(|back| zxid(self.position.saturating_sub(back)));
        let mailbox = Mailbox::new(10_000);
        let since = begin.unwrap_or(Zxid::ZERO);
        let mode = WatchMode::PersistentRecursive;
        let subscription = Subscription::new("/a".into(), mode, since, mailbox.clone(), 10_000);
        let (answer, _nobody) = oneshot::channel();
        let start = begin.map_or(Start::Now, Start::After);
        let id = self.readers.len() as u64;
        self.session.accept(Asked { ask: Ask::Subscribe(subscription, id, start), answer });
        let tag = self.session.last_tag();
        self.readers.push(Reader { mailbox, tag, begin, told: Vec::new() });
    }

    fn check(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for reader in &mut self.readers {
            while let Poll::Ready(Some(item)) = reader.mailbox.poll_next(&mut context) {
                match item {
                    WatchItem::Event(event) => reader.told.push(event),
                    WatchItem::Lost { .. } => panic!("nothing was lost"),
                }
            }
            let Some(begin) = reader.begin else {
                assert!(reader.told.is_empty());
                continue;
            };
            let expected: Vec<_> = self.history.iter().filter(|event| event.zxid > begin).cloned().collect();
            assert!(expected.starts_with(&reader.told), "told {:?}\nof   {expected:?}", reader.told);
        }
    }

    /// Lets everything be sent and answered; then nothing may be missing.
    fn settle(&mut self) {
        loop {
            self.send();
            if self.requests.is_empty() {
                break;
            }
            self.answer();
        }
        self.check();
        for reader in &self.readers {
            let begin = reader.begin.expect("it was answered");
            let expected = self.history.iter().filter(|event| event.zxid > begin).count();
            assert_eq!(reader.told.len(), expected);
        }
    }
}

#[test]
fn several_watches_that_are_resumed_at_once_do_not_take_each_others_replay_for_their_own() {
    let steps = [
        Step::Subscribe(None),
        Step::Subscribe(None),
        Step::Subscribe(None),
        Step::Send,
        Step::Answer,
        Step::Answer,
        Step::Answer,
        Step::BreakWithin { events: 2, arrived: 0 },
    ];
    let mut model = Model::new();
    steps.iter().for_each(|step| model.take(step));
    model.settle();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_is_told_every_event_once_and_in_order(steps in prop::collection::vec(step(), 1..60)) {
        let mut model = Model::new();
        for step in &steps {
            model.take(step);
            model.check();
        }
        model.settle();
    }
}
