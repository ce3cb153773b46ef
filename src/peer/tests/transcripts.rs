//! Histories of three servers as texts that can be read: a line `> command`, and below it what came of it.
//!
//! With `QUORATE_REWRITE=1` the texts are written anew, to be compared by eye.
//!
//! | command | meaning |
//! |---|---|
//! | `start 1 2 3`, `stop 3`, `isolate 3`, `heal` | servers and links |
//! | `run 50ms`, `await` | time passes; until all that run serve |
//! | `connect a 1`, `resume b a 2`, `forget a` | client `a` at server 1; `b` with the session of `a`; its answers go unread from now on |
//! | `create a /x`, `ephemeral a /x`, `set a /x y`, `get a /x`, `watch a /x`, `close a` | requests, with their answers |
//! | `send a /x` | a numbered create, without waiting; a second time for the same path it has the same number |
//! | `messages`, `quiet` | whether messages are shown |
//! | `state` | all servers that run |

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::cluster::{Cluster, Heard, create, sid, write};
use crate::peer::{Answer, PeerConfig, PeerEvent, ReadLevel, Request, Role};
use crate::types::{
    ClientId, CreateMode, Expected, Found, NumberedRequest, Read, Refusal, RequestId, ServerId, Write,
    Written,
};

struct Player {
    cluster: Cluster,
    clients: BTreeMap<String, ClientId>,
    heard: BTreeMap<String, usize>,
    numbers: BTreeMap<String, u64>,
    quiet: bool,
}

fn tune(config: &mut PeerConfig) {
    config.limits.snapshot_every = 10;
    config.limits.snapshot_chunk = 400;
    config.limits.log_window = 5;
}

#[track_caller]
fn play(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/peer/tests/transcripts").join(name);
    let written = std::fs::read_to_string(&path).unwrap();
    let mut player = Player {
        cluster: Cluster::new(3).tuned(tune),
        clients: BTreeMap::new(),
        heard: BTreeMap::new(),
        numbers: BTreeMap::new(),
        quiet: true,
    };
    let mut played = String::new();
    for line in written.lines() {
        if line.starts_with('#') {
            writeln!(played, "{line}").unwrap();
        } else if let Some(command) = line.strip_prefix("> ") {
            let came = player.command(command);
            writeln!(played, "\n{line}").unwrap();
            played.push_str(&came);
        }
    }
    if std::env::var_os("QUORATE_REWRITE").is_some() {
        std::fs::write(&path, played).unwrap();
    } else {
        assert_eq!(played, written, "{name}: if this is as it should be, rewrite it with QUORATE_REWRITE=1");
    }
}

impl Player {
    fn command(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        let mut out = String::new();
        let mut answer = None;
        match words[..] {
            ["start", ref servers @ ..] => {
                servers.iter().for_each(|server| self.cluster.start(server_of(server)))
            }
            ["stop", server] => self.cluster.stop(server_of(server)),
            ["isolate", server] => self.cluster.isolate(server_of(server)),
            ["heal"] => self.cluster.heal(),
            ["run", span] => {
                let millis = span.strip_suffix("ms").unwrap().parse().unwrap();
                self.cluster.run_for(Duration::from_millis(millis));
            }
            ["await"] => self.cluster.await_serving(),
            ["messages"] => self.quiet = false,
            ["quiet"] => self.quiet = true,
            ["connect", name, server] => {
                let client = self.cluster.begin_connect(server_of(server), None);
                self.attach(name, client);
            }
            ["resume", name, from, server] => {
                let session = self.cluster.session(self.clients[from]);
                let client = self.cluster.begin_connect(server_of(server), Some(session));
                self.attach(name, client);
            }
            ["forget", name] => drop(self.clients.remove(name)),
            ["create", name, path] => {
                answer = Some(self.ask(name, write(create(path, CreateMode::PERSISTENT))))
            }
            ["ephemeral", name, path] => {
                answer = Some(self.ask(name, write(create(path, CreateMode::EPHEMERAL))))
            }
            ["set", name, path, ref data @ ..] => {
                let data = Some(data.join(" ").into());
                let set = Write::SetData { path: path.into(), data, expected: Expected::Any };
                answer = Some(self.ask(name, write(set)));
            }
            ["get", name, path] => answer = Some(self.ask(name, get(path, false))),
            ["watch", name, path] => answer = Some(self.ask(name, get(path, true))),
            ["close", name] => answer = Some(self.ask(name, Request::CloseSession)),
            ["send", name, path] => {
                let next = self.numbers.len() as u64 + 1;
                let id = RequestId::new(*self.numbers.entry(path.to_owned()).or_insert(next));
                let number = Some(NumberedRequest { id, answered_below: RequestId::new(1) });
                let write = create(path, CreateMode::PERSISTENT_SEQUENTIAL);
                self.cluster.send(self.clients[name], Request::Write { write, number });
            }
            ["state"] => self.state(&mut out),
            _ => panic!("no command: {command}"),
        }
        self.tell(&mut out);
        if let Some(answer) = answer {
            writeln!(out, "{answer}").unwrap();
        }
        out
    }

    fn attach(&mut self, name: &str, client: ClientId) {
        self.clients.insert(name.to_owned(), client);
        self.heard.insert(name.to_owned(), 0);
        self.cluster.run_until("an end", |c| {
            c.clients[&client].connected.is_some() || c.clients[&client].closed.is_some()
        });
    }

    fn ask(&mut self, name: &str, request: Request) -> String {
        let answer = self.cluster.ask(self.clients[name], request);
        format!("{name}: {}", told(&answer))
    }

    fn state(&self, out: &mut String) {
        for server in [1, 2, 3].map(sid) {
            if !self.cluster.runs(server) {
                writeln!(out, "{server} is down").unwrap();
                continue;
            }
            let status = self.cluster.status(server);
            let role = match (status.role, status.leader) {
                (Role::Following, Some(leader)) => format!("follows {leader}"),
                (role, _) => format!("{role:?}").to_lowercase(),
            };
            let serving = if status.serving { ", serves" } else { "" };
            writeln!(
                out,
                "{server} {role}{serving}, epoch {}, logged {}, committed {}, applied {}, {} znodes, {} sessions, digest {:016x}",
                status.epoch, status.logged, status.committed, status.applied, status.znodes, status.sessions,
                status.digest
            )
            .unwrap();
        }
    }

    /// What happened since the last command.
    fn tell(&mut self, out: &mut String) {
        let messages = self.cluster.record.messages.replace(Vec::new()).unwrap_or_default();
        for message in messages.iter().filter(|_| !self.quiet) {
            writeln!(out, "    {message}").unwrap();
        }
        for (server, event) in std::mem::take(&mut self.cluster.events) {
            if let Some(event) = happened(&event) {
                writeln!(out, "{server} {event}").unwrap();
            }
        }
        for (name, client) in &self.clients {
            let known = &self.cluster.clients[client];
            let told = self.heard.entry(name.clone()).or_default();
            if *told == 0
                && let Some(connected) = &known.connected
            {
                let again = if connected.resumed { "has its session again" } else { "has a session" };
                writeln!(out, "{name}: {again}, {}", connected.session).unwrap();
                *told += 1;
            }
            for heard in known.heard.iter().skip(told.saturating_sub(1)) {
                *told += 1;
                match heard {
                    Heard::Event(event) => {
                        writeln!(out, "{name}: {:?} {} at {}", event.kind, event.path, event.zxid)
                    }
                    Heard::Reply(tag) => writeln!(out, "{name}: reply {tag} at {}", known.replies[tag].0),
                }
                .unwrap();
            }
            if let Some(reason) = known.closed
                && *told < usize::MAX / 2
            {
                writeln!(out, "{name}: closed, {reason:?}").unwrap();
                *told = usize::MAX / 2;
            }
        }
    }
}

fn server_of(word: &str) -> ServerId {
    sid(word.parse().unwrap())
}

fn get(path: &str, watch: bool) -> Request {
    Request::Read { read: Read::Get { path: path.into() }, level: ReadLevel::Linearizable, watch }
}

fn told(answer: &Result<Answer, Refusal>) -> String {
    match answer {
        Ok(Answer::Written(Written::Created { path, stat })) => format!("created {path} at {}", stat.czxid),
        Ok(Answer::Written(Written::DataSet(stat))) => format!("version {} at {}", stat.version, stat.mzxid),
        Ok(Answer::Found(Found::Data { data, stat })) => {
            let data = data.as_ref().map(|data| String::from_utf8_lossy(data).into_owned());
            format!("{:?}, version {}", data.unwrap_or_default(), stat.version)
        }
        Ok(Answer::Done) => "done".to_owned(),
        Ok(other) => format!("{other:?}"),
        Err(refusal) => format!("refused, {:?}", refusal.code),
    }
}

fn happened(event: &PeerEvent) -> Option<String> {
    Some(match event {
        PeerEvent::RoleChanged { role, leader: Some(leader), .. } if *role != Role::Leading => {
            format!("is {role:?} {leader}")
        }
        PeerEvent::RoleChanged { role, reason, .. } => format!("is {role:?}: {reason}"),
        PeerEvent::VoteChanged { candidate, epoch, zxid, because_of } => {
            format!("votes for {candidate} with {zxid} of epoch {epoch}, because of {because_of}")
        }
        PeerEvent::LearnerSync { learner, mode, from } => format!("gives {learner} {mode} from {from}"),
        PeerEvent::RolledBack { from, to } => format!("rolls back from {from} to {to}"),
        PeerEvent::LinkReset { peer, why } => format!("drops its link with {peer}: {why}"),
        PeerEvent::Serving { epoch } => format!("serves in epoch {epoch}"),
        PeerEvent::NotServing => "does not serve".to_owned(),
        PeerEvent::SnapshotSaved { zxid, .. } => format!("has saved a snapshot of {zxid}"),
        PeerEvent::SessionExpired { session } => format!("lets the session {session} expire"),
        PeerEvent::PeerMisbehaved { peer, what } => format!("finds that {peer} misbehaves: {what}"),
        _ => return None,
    })
}

#[test]
fn the_first_election_and_one_write() {
    play("first_election.txt");
}

#[test]
fn a_follower_restarts_and_is_given_what_it_missed() {
    play("follower_restarts.txt");
}

#[test]
fn a_leader_that_logged_alone_is_rolled_back() {
    play("leader_rolled_back.txt");
}

#[test]
fn a_follower_far_behind_is_given_the_whole_state() {
    play("far_behind.txt");
}

#[test]
fn a_silent_session_expires_and_its_ephemeral_is_watched() {
    play("session_expires.txt");
}

#[test]
fn a_write_that_is_pending_when_the_leader_is_lost_is_sent_again() {
    play("pending_write.txt");
}
