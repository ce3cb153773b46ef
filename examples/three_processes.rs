//! Three OS processes over TCP, killed by SIGKILL under load: what was acknowledged is there, and once.
//! `cargo run --release --features tokio --example three_processes -- --kills 20`
//!
//! The program starts itself three times, as servers; four writers live in them, as in a service that embeds one. A
//! write is acknowledged when its line has come out of its server's process. It makes a sequential node, which
//! would be there twice if executed twice. When a server is killed, its writers of even number go on at another one
//! at once, the others when it is back, in a new session.
#![expect(clippy::disallowed_methods, reason = "a program for the clock on the wall")]
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio, exit};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use quorate::client::{Client, ClientOptions};
use quorate::node::{Node, SystemClock, entropy};
use quorate::peer::{Ensemble, PeerConfig, PeerEvent};
use quorate::storage::{FileStorage, FileStorageOptions, IfEmpty};
use quorate::transport::tcp::{Security, TcpConfig, TcpTransport};
use quorate::{ClusterId, ServerId};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A server's process: obeys the lines on stdin, and tells on stdout what happens.
#[tokio::main]
async fn serve(number: u64, dir: &str, addresses: &[String]) -> Result<()> {
    let (cluster, server, clock) = (ClusterId::new(3), ServerId::new(number), Arc::new(SystemClock::new()?));
    let peers: BTreeMap<_, _> = (0..).map(ServerId::new).zip(addresses.iter().cloned()).collect();
    let config = PeerConfig::new(cluster, server, Ensemble::majority(peers.keys().copied()), entropy()?);
    let listen = peers[&server].parse()?;
    let tcp = TcpTransport::bind(TcpConfig::new(cluster, server, listen, peers, Security::LoopbackOnly))?;
    let options = FileStorageOptions::new(cluster, server, IfEmpty::StartNew);
    let storage = Arc::new(FileStorage::open(format!("{dir}/server-{number}"), options)?);
    let (node, driver) = Node::start(config.into(), Arc::new(tcp), storage, clock.clone())?;
    let mut events = node.events();
    tokio::spawn(async move { println!("failed: {:?}", driver.await) });
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let PeerEvent::RoleChanged { role, reason, .. } = event {
                println!("now {role:?}: {reason}");
            }
        }
    });
    for line in std::io::stdin().lines() {
        let (client, driver) = Client::new([&node], clock.clone(), ClientOptions::new(entropy()?))?;
        let line = line?;
        match line.split_once(' ') {
            Some((_, writer)) => {
                let writer = writer.to_owned();
                tokio::spawn(driver);
                tokio::spawn(async move { println!("failed: {:?}", write(client, writer).await) });
            }
            None if line == "list" => {
                tokio::spawn(driver);
                client.sync().await?;
                println!("> {}", client.children("/").await?.names.join(" "));
            }
            None => {
                let now = node.status().await?;
                let (epoch, digest) = (now.epoch.number(), now.digest);
                println!("> {:?} {} {epoch} {} {digest:016x}", now.role, now.serving, now.applied);
            }
        }
    }
    Ok(())
}

async fn write(client: Client, writer: String) -> Result<()> {
    for number in 0.. {
        let made = client.create(format!("/{writer}-{number}-"), "").sequential().await?;
        println!("+ {writer}-{number} {}", made.stat.czxid.epoch().number());
    }
    Ok(())
}

struct Parent {
    began: Instant,
    arguments: Vec<String>,
    /// What servers told.
    told: Arc<Mutex<Vec<(Instant, usize, String)>>>,
    servers: [Option<(Child, JoinHandle<()>)>; 3],
    /// Where each writer is.
    homes: [usize; 4],
}

impl Parent {
    fn start(&mut self, server: usize) -> Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(server.to_string()).args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let lines =
            BufReader::new(child.stdout.take().ok_or("no stdout")?).lines().map_while(std::io::Result::ok);
        let (began, told) = (self.began, Arc::clone(&self.told));
        let reader = spawn(move || {
            for line in lines {
                if !line.starts_with(['+', '>']) {
                    say(began, &format!("server {server} {line}"));
                }
                if line.starts_with("failed") {
                    exit(1);
                }
                told.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), server, line));
            }
        });
        self.servers[server] = Some((child, reader));
        (0..4).filter(|writer| self.homes[*writer] == server).try_for_each(|writer| self.resume(writer))
    }

    /// Begins a session of a writer at its home; no two have one name.
    fn resume(&self, writer: usize) -> Result<()> {
        self.tell(self.homes[writer], &format!("write {writer}-{}", self.began.elapsed().as_micros()))
    }

    fn kill(&mut self, server: usize) -> Result<Instant> {
        let (mut child, reader) = self.servers[server].take().ok_or("it does not run")?;
        let now = Instant::now();
        child.kill()?;
        child.wait()?;
        reader.join().map_err(|_| "the reader failed")?;
        Ok(now)
    }

    fn tell(&self, server: usize, line: &str) -> Result<()> {
        let (child, _) = self.servers[server].as_ref().ok_or("it does not run")?;
        Ok(writeln!(child.stdin.as_ref().ok_or("no stdin")?, "{line}")?)
    }

    /// The first line told after `since` that `seek` takes; waits for it.
    fn wait<T>(&self, since: Instant, seek: impl Fn(usize, &str) -> Option<T>) -> Result<(Instant, T)> {
        while since.elapsed() < Duration::from_secs(60) {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let new = told.iter().rev().take_while(|(at, ..)| *at > since);
            if let Some(first) = new.filter_map(|(at, from, line)| Some((*at, seek(*from, line)?))).last() {
                return Ok(first);
            }
            drop(told);
            sleep(Duration::from_millis(1));
        }
        Err("waited for a minute in vain".into())
    }

    fn ask(&self, server: usize, line: &str) -> Result<Vec<String>> {
        let now = Instant::now();
        self.tell(server, line)?;
        let answer = |from, line: &str| line.strip_prefix("> ").filter(|_| from == server).map(str::to_owned);
        Ok(self.wait(now, answer)?.1.split(' ').map(str::to_owned).collect())
    }

    /// Waits until the servers stand so that `seek` finds something.
    fn status<T>(&self, seek: impl Fn(&[Vec<String>]) -> Option<T>) -> Result<T> {
        for _ in 0..600 {
            let all = (0..3).map(|server| self.ask(server, "status")).collect::<Result<Vec<_>>>()?;
            if let Some(found) = seek(&all).filter(|_| all.iter().all(|words| words[1] == "true")) {
                return Ok(found);
            }
            sleep(Duration::from_millis(50));
        }
        Err("the servers did not come level".into())
    }

    fn run(mut self, kills: u32) -> Result<()> {
        (0..3).try_for_each(|server| self.start(server))?;
        let mut times = [Vec::new(), Vec::new()];
        for kill in 1..=kills {
            let leads = |all: &[Vec<String>]| all.iter().position(|words| words[0] == "Leading");
            let (leader, epoch) = self.status(|all| leads(all).map(|at| (at, all[at][2].parse::<u32>())))?;
            let [dice, pause, ..] = entropy()?;
            sleep(Duration::from_millis(200 + 4 * u64::from(pause)));
            let victim = if dice < 64 { (leader + 1 + usize::from(dice) % 2) % 3 } else { leader };
            let least = if victim == leader { epoch? + 1 } else { 0 };
            let killed = self.kill(victim)?;
            let later =
                |line: &str| line.rsplit(' ').next()?.parse().ok().filter(|epoch: &u32| *epoch >= least);
            let seek = |from, line: &str| later(line).filter(|_| from != victim && line.starts_with('+'));
            let took = self.wait(killed, seek)?.0 - killed;
            times[usize::from(victim != leader)].push(took);
            let part = if victim == leader { "the leader" } else { "a follower" };
            say(self.began, &format!("kill {kill}: server {victim}, {part}; first write after {took:?}"));
            for writer in (0..4).step_by(2).filter(|writer| self.homes[*writer] == victim).collect::<Vec<_>>()
            {
                self.homes[writer] = (victim + 1) % 3;
                self.resume(writer)?;
            }
            sleep(Duration::from_millis(4 * u64::from(pause)));
            self.start(victim)?;
        }
        self.status(|_| Some(()))?;
        say(self.began, "all are killed, start again without writers, and are compared");
        self.homes = [3; 4];
        (0..3).try_for_each(|server| self.kill(server).map(drop))?;
        (0..3).try_for_each(|server| self.start(server))?;
        let level = self
            .status(|all| all.iter().all(|words| words[3..] == all[0][3..]).then(|| all[0][3..].join(" ")))?;
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let acknowledged: BTreeSet<String> = told
            .iter()
            .filter_map(|(.., line)| Some(line.strip_prefix("+ ")?.split_once(' ')?.0.to_owned()))
            .collect();
        drop(told);
        for server in 0..3 {
            let names = self.ask(server, "list")?;
            let names: Vec<_> = names.iter().filter_map(|name| Some(name.rsplit_once('-')?.0)).collect();
            let there: BTreeSet<_> = names.iter().copied().collect();
            let lost = acknowledged.iter().find(|write| !there.contains(write.as_str()));
            let twice = names.len() - there.len();
            if twice > 0 || lost.is_some() {
                return Err(
                    format!("server {server}: {twice} writes are there twice, lost is {lost:?}").into()
                );
            }
        }
        say(
            self.began,
            &format!("{} acknowledged writes, all there, none twice; level at {level}", acknowledged.len()),
        );
        for (who, mut times) in ["leader", "follower"].into_iter().zip(times) {
            times.sort();
            if let Some(median) = times.get(times.len() / 2) {
                println!(
                    "{} kills of the {who}: median {median:?}, from {:?} to {:?}",
                    times.len(),
                    times[0],
                    times[times.len() - 1]
                );
            }
        }
        Ok(())
    }
}

fn say(began: Instant, what: &str) {
    println!("{:8.3}s  {what}", began.elapsed().as_secs_f64());
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let kills = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--kills", kills] => kills.parse()?,
        [server, dir, ..] => return serve(server.parse()?, dir, &arguments[2..]),
        _ => return Err("usage: three_processes --kills N".into()),
    };
    let dir = std::env::temp_dir().join(format!("quorate-processes-{}", std::process::id()));
    // Below the ports that the system gives to outgoing connections: these must still be free after a restart.
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let ports = (10_000 + (std::process::id() % 20_000) as u16..).filter(free).take(3);
    let mut start = vec![dir.display().to_string()];
    start.extend(ports.map(|port| format!("127.0.0.1:{port}")));
    let parent = Parent {
        began: Instant::now(),
        arguments: start,
        told: Arc::default(),
        servers: [None, None, None],
        homes: [0, 1, 2, 0],
    };
    parent.run(kills)?;
    Ok(std::fs::remove_dir_all(dir)?)
}
