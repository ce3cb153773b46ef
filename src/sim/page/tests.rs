use std::fs;
use std::path::Path;
use std::time::Duration;

use super::super::{FaultKind, Keep, Mode, Swarm, WorldConfig};
use super::*;
use crate::types::ServerId;

/// A value of JSON, read by the letter of RFC 8259.
#[derive(Clone, PartialEq, Debug)]
enum Value {
    Null,
    Number(i64),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    fn get(&self, name: &str) -> &Self {
        let Self::Object(members) = self else { panic!("{name} of {self:?}") };
        &members.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    fn list(&self) -> &[Self] {
        let Self::List(items) = self else { panic!("{self:?} is no list") };
        items
    }

    fn text(&self) -> &str {
        let Self::Text(text) = self else { panic!("{self:?} is no text") };
        text
    }

    fn number(&self) -> i64 {
        let Self::Number(number) = self else { panic!("{self:?} is no number") };
        *number
    }

    fn numbers(&self) -> Vec<i64> {
        self.list().iter().map(Self::number).collect()
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn whole(text: &str) -> Value {
        let mut reader = Reader { rest: text };
        let value = reader.value();
        assert_eq!(reader.rest, "", "something follows");
        value
    }

    fn takes(&mut self, token: &str) -> bool {
        self.rest.strip_prefix(token).map(|rest| self.rest = rest).is_some()
    }

    #[track_caller]
    fn expects(&mut self, token: &str) {
        assert!(self.takes(token), "{token} is missing before {:.40}", self.rest);
    }

    fn items<T>(&mut self, end: &str, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        if self.takes(end) {
            return items;
        }
        loop {
            items.push(item(self));
            if self.takes(end) {
                return items;
            }
            self.expects(",");
        }
    }

    fn value(&mut self) -> Value {
        if self.takes("null") {
            Value::Null
        } else if self.takes("[") {
            Value::List(self.items("]", Self::value))
        } else if self.takes("{") {
            let member = |reader: &mut Self| {
                let name = reader.string();
                reader.expects(":");
                (name, reader.value())
            };
            Value::Object(self.items("}", member))
        } else if self.rest.starts_with('"') {
            Value::Text(self.string())
        } else {
            let end = self.rest.find([',', ']', '}']).unwrap();
            let (number, rest) = self.rest.split_at(end);
            self.rest = rest;
            Value::Number(number.parse().unwrap())
        }
    }

    fn string(&mut self) -> String {
        self.expects("\"");
        let mut text = String::new();
        let mut letters = self.rest.char_indices();
        loop {
            let (at, letter) = letters.next().unwrap();
            match letter {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return text;
                }
                '\\' => match letters.next().unwrap().1 {
                    'u' => {
                        let code: String = (0..4).map(|_| letters.next().unwrap().1).collect();
                        text.push(char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap());
                    }
                    other => text.push(other),
                },
                other => {
                    assert!(other >= ' ' && other != '<', "{other:?} is not escaped");
                    text.push(other);
                }
            }
        }
    }
}

fn data_of(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    Reader::whole(rest.split_once("</script>").unwrap().0)
}

fn swarm() -> Swarm {
    use FaultKind::{Bounce, Crash, Disconnect, Duplication, Hold, Loss, Partition, Pause};
    let kinds = vec![Bounce, Crash, Disconnect, Duplication, Hold, Loss, Partition, Pause];
    Swarm { kinds, span: Duration::from_secs(2), ..Swarm::default() }
}

/// A run of three or more servers and an observer in which things go wrong.
fn eventful() -> (Case, SwarmReport) {
    let case = (0..)
        .map(|seed| swarm().case(seed))
        .find(|case| {
            (case.config.voters, case.config.observers) == (3, 1)
                && case.plan.faults.len() > 20
                && case.plan.kinds.contains(&FaultKind::Duplication)
        })
        .unwrap();
    let report = case.run(Keep::All);
    (case, report)
}

#[test]
fn a_page_has_all_lanes_and_everything_in_it_refers_to_something_that_is_there() {
    let (case, report) = eventful();
    assert_eq!(report.failure, None);
    let page = Page::of_case(&case, &report, "again").to_string();
    let data = data_of(&page);

    let lanes: Vec<_> =
        data.get("lanes").list().iter().map(|lane| (lane.list()[0].text(), lane.list()[1].text())).collect();
    assert_eq!(lanes[..4], [("S1", "voter"), ("S2", "voter"), ("S3", "voter"), ("S4", "observer")]);
    assert_eq!(lanes[4], ("C0", "client"));
    // The clients of the workload, and the one that writes in the end.
    assert_eq!(lanes.len() as u64, 4 + case.clients + 1);
    assert_eq!(data.get("failure"), &Value::Null);
    assert_eq!(data.get("case").text().parse::<Case>(), Ok(case));

    let lane = -1..lanes.len() as i64;
    let kind = 0..data.get("kinds").list().len() as i64;
    let text = 0..data.get("texts").list().len() as i64;
    let end = data.get("until").number();
    assert_eq!(end, micros(Time::ZERO + report.lasted));
    let messages: Vec<_> = data.get("messages").list().iter().map(Value::numbers).collect();
    let sent = report.events.iter().filter(|event| event.kind == "send").count();
    assert!(messages.len() > sent, "{} of {sent}", messages.len());
    for message in &messages {
        let [from, to, sent, ended, fate, of, gist, whole, number] = message[..] else {
            panic!("{message:?}")
        };
        assert!(
            from >= 0 && lane.contains(&from) && to >= 0 && lane.contains(&to) && from != to,
            "{message:?}"
        );
        assert!((0..=end).contains(&sent) && (ended == -1 || (sent..=end).contains(&ended)), "{message:?}");
        assert!(
            (0..5).contains(&fate) && kind.contains(&of) && text.contains(&gist) && text.contains(&whole)
        );
        assert!(number > 0 && number as u64 <= report.counters.events);
    }
    for mark in data.get("marks").list().iter().map(Value::numbers) {
        assert!(
            lane.contains(&mark[0])
                && (0..=end).contains(&mark[1])
                && kind.contains(&mark[2])
                && text.contains(&mark[3])
        );
    }
    for work in data.get("works").list().iter().map(Value::numbers) {
        assert!(work[0] >= 0 && lane.contains(&work[0]) && text.contains(&work[3]));
    }
    for trouble in data.get("troubles").list().iter().map(Value::numbers) {
        assert!(trouble[1] == -1 || trouble[0] <= trouble[1]);
        assert!(trouble[4..].iter().all(|actor| lane.contains(actor)));
    }
}

#[test]
fn a_page_tells_the_run_as_it_was() {
    let (case, report) = eventful();
    let data = data_of(&Page::of_case(&case, &report, "again").to_string());
    let kinds: Vec<_> = data.get("kinds").list().iter().map(Value::text).collect();
    let messages: Vec<_> = data.get("messages").list().iter().map(Value::numbers).collect();
    let count =
        |wanted: &dyn Fn(&[i64]) -> bool| messages.iter().filter(|message| wanted(message)).count() as u64;

    // Every frame that was handed out is an arrow that arrives.
    let between_servers = |message: &[i64]| message[0] < 4 && message[1] < 4;
    let network = &report.counters.network;
    assert_eq!(
        count(&|message| between_servers(message) && message[3] >= 0 && message[4] == 0),
        network.delivered
    );
    assert_eq!(count(&|message| between_servers(message) && message[4] > 0), network.dropped);
    assert!(network.duplicated > 0);
    for expected in ["Vote", "Join", "AckEpoch", "Sync", "Propose", "Ack", "Commit", "Ping", "Pong", "Inform"]
    {
        assert!(kinds.contains(&expected), "no {expected} in {kinds:?}");
    }
    // Whatever kind of message there is, the page has a word for it.
    for message in &messages {
        let kind = kinds[message[5] as usize];
        assert!(WORDS.contains(&format!("\n  {kind}: ['")), "{kind} is not explained");
    }

    // Somebody leads and serves, and what is committed in the end is what the world counted.
    let states: Vec<_> = data.get("states").list().iter().map(Value::numbers).collect();
    assert!(states.iter().any(|state| state[2] == 2 && state[4] == 1));
    let last = states.iter().map(|state| state[7]).max().unwrap();
    assert_eq!(last as u64, report.counters.last_committed.as_u64());

    // What was planned is there, with its end.
    let troubles: Vec<_> = data.get("troubles").list().iter().map(Value::numbers).collect();
    let began: Vec<_> = troubles.iter().map(|trouble| (trouble[0], kinds[trouble[2] as usize])).collect();
    for (at, fault) in case.plan.faults.iter().filter(|(_, fault)| matches!(fault.name(), "crash" | "bounce"))
    {
        assert!(began.contains(&(micros(*at), fault.name())), "{fault} at {at}");
    }
    assert!(
        troubles.iter().all(|trouble| trouble[1] >= 0 || trouble[4..].contains(&3)),
        "the core was healed"
    );
}

#[test]
fn what_was_violated_stands_in_the_page_with_its_moment_and_its_server() {
    let world = World::with(3, WorldConfig { keep: Keep::All, ..WorldConfig::default() });
    let failure = world.run(async {
        world.leader().await;
        let (invariant, what) = ("Planted", "S2: </script> & \"quotes\"".to_owned());
        world.inner().checker().fail(Failure::Violated { at: world.now(), invariant, what });
        world.sleep(Duration::from_secs(1)).await;
    });
    let failure = failure.unwrap_err();
    let page = Page::of(&world, Some(&failure)).to_string();
    world.end();
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("http"), "it needs nothing from elsewhere");
    let data = data_of(&page);
    let shown = data.get("failure");
    assert_eq!(shown.get("name").text(), "Planted");
    assert_eq!(shown.get("what").text(), "S2: </script> & \"quotes\"");
    assert_eq!(shown.get("at").number(), micros(failure.at().unwrap()));
    assert_eq!(shown.get("lane").number(), 1);
}

#[test]
fn a_long_run_is_cut_and_the_page_says_so() {
    let (case, mut report) = eventful();
    let whole = data_of(&Page::of_case(&case, &report, "again").to_string());
    assert_eq!(whole.get("note").text(), "");
    let page = |report: &SwarmReport| Page::of_case(&case, report, "again");
    let first = data_of(&page(&report).at_most(1_000).to_string());
    assert_eq!(first.get("from").number(), 0);
    assert!(first.get("until").number() < whole.get("until").number());
    assert!(first.get("note").text().contains("--from"), "{:?}", first.get("note"));

    report.failure = Some(Failure::Misused("planted".to_owned()));
    let last = data_of(&page(&report).at_most(1_000).to_string());
    assert_eq!(last.get("until"), whole.get("until"));
    assert!(last.get("from").number() > 0);
    let (from, until) = (Time::from_millis(500), Time::from_millis(700));
    let middle = data_of(&page(&report).between(from, until).to_string());
    assert!((500_000..700_000).contains(&middle.get("from").number()));
    // How things stood when the window begins is known.
    assert!(middle.get("states").list().iter().any(|state| state.numbers()[1] < 500_000));
    for message in middle.get("messages").list().iter().map(Value::numbers) {
        assert!(message[2] <= 700_000 && (message[3] == -1 || message[3] >= 500_000), "{message:?}");
    }
}

#[test]
fn what_is_recorded_does_not_change_the_run() {
    for mode in [Mode::Safety, Mode::Liveness] {
        let swarm = Swarm { mode, span: Duration::from_secs(1), ..swarm() };
        let few = |case: &Case| case.config.voters == 3 && case.workload.pipeline < 16 && case.idle.is_zero();
        let case = (0..).map(|seed| swarm.case(seed)).find(few).unwrap();
        let kept = [Keep::All, Keep::Last(10), Keep::Between(Time::from_millis(100), Time::from_millis(200))];
        let bare = case.run(Keep::Nothing);
        for keep in kept {
            let recorded = case.run(keep);
            assert_eq!((recorded.hash, recorded.counters), (bare.hash, bare.counters.clone()), "{keep:?}");
        }
    }
}

/// The literals of a source, but for its tests, that are a name: one word that begins with a capital.
fn names_in(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    // A type says its name too, when it is shown.
    let code = code.lines().filter(|line| !line.trim().starts_with("//") && !line.contains("debug_struct("));
    let literals = code.flat_map(|line| line.split('"').skip(1));
    let is_name = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_uppercase())
            && word.contains(|letter: char| letter.is_ascii_lowercase())
            && word.chars().all(|letter| letter.is_ascii_alphabetic())
    };
    literals.filter(|word| is_name(word)).map(str::to_owned).collect()
}

/// The names of all invariants of worlds. A name in the simulator's code that is not one of the page itself, of a message or of
/// the models, which are no worlds, is that of an invariant.
fn invariants() -> BTreeSet<String> {
    let sim = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sim");
    let mut folders = vec![sim.clone()];
    let mut names = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.file_stem().unwrap().to_string_lossy().ends_with("tests");
            if ["page", "model", "wording.rs"].iter().any(|other| path == sim.join(other)) || is_test {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(names_in(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    names
}

#[test]
fn every_invariant_is_explained_and_nothing_else() {
    let invariants = invariants();
    for invariant in super::super::check::invariants() {
        assert!(invariants.contains(invariant.name()), "{} was not found", invariant.name());
    }
    let (_, words) = WORDS.split_once("const INVARIANTS = {\n").unwrap();
    let (explained, words) = words.split_once("\n};").unwrap();
    let explained = explained.lines().map(|line| line.trim().split_once(": '").unwrap().0.to_owned());
    let (_, others) = words.split_once("const NO_INVARIANTS = new Set([").unwrap();
    let others: BTreeSet<_> = others.split('\'').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(others, names_in(include_str!("mod.rs")), "what else the page says of a failure");
    let explained: BTreeSet<_> = explained.filter(|name| !others.contains(name)).collect();
    let differ: Vec<_> = explained.symmetric_difference(&invariants).collect();
    assert!(differ.is_empty(), "not explained, or not there: {differ:?}");
}

#[test]
fn a_fault_lasts_from_its_beginning_to_what_ends_it() {
    let mut troubles = troubles::Troubles::default();
    let second = |number: u64| Time::from_millis(number * 1_000);
    let faults = [
        "partition S1 S2",
        "hold S2 S3",
        "crash S1",
        "partition S1 S2",
        "repair S2 S1",
        "clock_rate S3 900000",
        "pause S2",
        "resume S2",
        "clock_rate S3 950000",
        "swap_disks S1 S2",
        "swap_disks S1 S2",
        "expire_session C0",
    ];
    for (number, fault) in (1..).zip(faults) {
        troubles.read(second(number), fault);
    }
    troubles.heal(second(20), "[S1, S3]");
    let told: Vec<_> = troubles
        .list
        .iter()
        .map(|trouble| {
            let ended = trouble.ended.map(|ended| ended.as_micros() / 1_000_000);
            (trouble.fault.name(), trouble.began.as_micros() / 1_000_000, ended)
        })
        .collect();
    let expected = [
        ("partition", 1, Some(5)),
        ("hold", 2, None),
        ("crash", 3, Some(3)),
        ("clock_rate", 6, Some(9)),
        ("pause", 7, Some(8)),
        ("clock_rate", 9, Some(20)),
        ("swap_disks", 10, Some(11)),
        ("expire_session", 12, Some(20)),
    ];
    assert_eq!(told, expected);
    let actors: Vec<_> = troubles.list[0].actors().collect();
    assert_eq!(actors, [1, 2].map(|number| Actor::Server(ServerId::new(number))));
}
