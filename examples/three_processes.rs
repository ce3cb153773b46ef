//! Three OS processes over TCP, killed by SIGKILL under load: what was acknowledged is there, and once.
//! `cargo run --release --features tokio --example three_processes -- --kills 20`
//!
//! The program starts itself three times, as servers; four writers live in them, as in a service that embeds one. A
//! write is acknowledged when its line has come out of its server's process. It makes a sequential node, which
//! would be there twice if executed twice. When a server is killed, its writers of even number go on at another one
//! at once, the others when it is back; in a new session, with the number of their session before that of the write.
#![expect(clippy::disallowed_methods, reason = "a program for the clock on the wall")]
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio, exit};
use std::sync::Arc;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use quorate::client::{Client, ClientOptions};
use quorate::node::{Node, SystemClock, entropy};
use quorate::peer::{Ensemble, PeerConfig, PeerEvent};
use quorate::storage::{FileStorage, FileStorageOptions, IfEmpty};
use quorate::transport::tcp::{Security, TcpConfig, TcpTransport};
use quorate::{ClusterId, ServerId};
use tokio::sync::Mutex;

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
        match &*line? {
            "status" => {
                let now = node.status().await?;
                let (epoch, level) = (now.epoch.number(), format!("{}/{:016x}", now.applied, now.digest));
                println!("> {:?} {} {epoch} {level}", now.role, now.serving);
            }
            "list" => {
                tokio::spawn(driver);
                client.sync().await?;
                println!("> {}", client.children("/").await?.names.join(" "));
            }
            writer => {
                let work = write(client, writer.to_owned());
                tokio::spawn(driver);
                tokio::spawn(async move { println!("failed: {:?}", work.await) });
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
    /// What was told, when and by which server.
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
        let lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
        let (began, told) = (self.began, Arc::clone(&self.told));
        let reader = spawn(move || {
            for line in lines.map_while(std::io::Result::ok) {
                if !line.starts_with(['+', '>']) {
                    println!("{:8.3}s  server {server} {line}", began.elapsed().as_secs_f64());
                }
                if line.starts_with("failed") {
                    exit(1);
                }
                let mut told = told.blocking_lock();
                told.push((Instant::now(), server, line));
            }
        });
        self.servers[server] = Some((child, reader));
        (0..4).filter(|writer| self.homes[*writer] == server).try_for_each(|writer| self.resume(writer))
    }

    fn resume(&self, writer: usize) -> Result<()> {
        self.tell(self.homes[writer], &format!("{writer}-{}", self.began.elapsed().as_micros()))
    }

    fn kill(&mut self, server: usize) -> Result<Instant> {
        let (mut child, reader) = self.servers[server].take().ok_or("it does not run")?;
        let now = Instant::now();
        child.kill()?;
        child.wait()?;
        reader.join().map(|()| now).map_err(|_| "the reader failed".into())
    }

    fn tell(&self, server: usize, line: &str) -> Result<()> {
        let (child, _) = self.servers[server].as_ref().ok_or("it does not run")?;
        Ok(writeln!(child.stdin.as_ref().ok_or("no stdin")?, "{line}")?)
    }

    /// Waits for the first line behind the `known` ones that `seek` takes.
    fn wait<T>(&self, known: usize, seek: impl Fn(&(Instant, usize, String)) -> Option<T>) -> Result<T> {
        for _ in 0..60_000 {
            if let Some(found) = self.told.blocking_lock().iter().skip(known).find_map(&seek) {
                return Ok(found);
            }
            sleep(Duration::from_millis(1));
        }
        Err("waited for a minute in vain".into())
    }

    fn ask(&self, server: usize, line: &str) -> Result<Vec<String>> {
        let known = self.told.blocking_lock().len();
        self.tell(server, line)?;
        let answer = self.wait(known, |(_, from, line)| {
            line.strip_prefix("> ").filter(|_| *from == server).map(str::to_owned)
        })?;
        Ok(answer.split(' ').map(str::to_owned).collect())
    }

    /// Waits until all serve, and stand so that `seek` finds something.
    fn status<T>(&self, seek: impl Fn(&[Vec<String>]) -> Option<T>) -> Result<T> {
        for _ in 0..600 {
            let all = (0..3).map(|server| self.ask(server, "status")).collect::<Result<Vec<_>>>()?;
            if let (true, Some(found)) = (all.iter().all(|words| words[1] == "true"), seek(&all)) {
                return Ok(found);
            }
            sleep(Duration::from_millis(50));
        }
        Err("the servers do not come level".into())
    }

    /// Kills a server under load and starts it again; gives the time to the next write, if it was the leader.
    fn strike(&mut self) -> Result<Option<Duration>> {
        let [dice, pause, ..] = entropy()?.map(u64::from);
        sleep(Duration::from_millis(200 + 4 * pause));
        let (leader, epoch) = self.status(|all| {
            let leader = all.iter().position(|words| words[0] == "Leading")?;
            Some((leader, all[leader][2].parse::<u32>().ok()?))
        })?;
        let victim = if dice < 64 { (leader + 1 + dice as usize % 2) % 3 } else { leader };
        let (known, least) = (self.told.blocking_lock().len(), epoch + u32::from(victim == leader));
        let killed = self.kill(victim)?;
        // A new leader's write carries its epoch.
        let next = |(at, from, line): &(Instant, usize, String)| {
            let epoch: u32 = line.strip_prefix("+ ")?.split_once(' ')?.1.parse().ok()?;
            (*from != victim && epoch >= least).then(|| at.checked_duration_since(killed))?
        };
        let took = self.wait(known, next)?;
        let part = if victim == leader { "the leader" } else { "a follower" };
        println!(
            "{:8.3}s  KILLED server {victim}, {part}: next write after {took:.1?}",
            self.began.elapsed().as_secs_f64()
        );
        for writer in (0..4).step_by(2).filter(|writer| self.homes[*writer] == victim).collect::<Vec<_>>() {
            self.homes[writer] = (victim + 1) % 3;
            self.resume(writer)?;
        }
        sleep(Duration::from_millis(4 * pause));
        self.start(victim)?;
        Ok((victim == leader).then_some(took))
    }

    fn run(mut self, kills: usize) -> Result<()> {
        (0..3).try_for_each(|server| self.start(server))?;
        let times = (0..kills).map(|_| self.strike()).collect::<Result<Vec<_>>>()?;
        self.status(|_| Some(()))?;
        println!("all are killed, start again without writers, and are compared");
        self.homes = [3; 4];
        (0..3).try_for_each(|server| self.kill(server).map(drop))?;
        (0..3).try_for_each(|server| self.start(server))?;
        let level =
            self.status(|all| all.iter().all(|words| words[3] == all[0][3]).then(|| all[0][3].clone()))?;
        let told = self.told.blocking_lock().clone();
        let acknowledged = told.iter().filter_map(|(.., line)| line.strip_prefix("+ ")?.split_once(' '));
        let acknowledged: BTreeSet<_> = acknowledged.map(|(write, _)| write).collect();
        for server in 0..3 {
            let names = self.ask(server, "list")?;
            let names: Vec<_> = names.iter().filter_map(|name| Some(name.rsplit_once('-')?.0)).collect();
            let there = names.iter().copied().collect();
            let (lost, twice) = (acknowledged.difference(&there).count(), names.len() - there.len());
            if lost + twice > 0 {
                return Err(
                    format!("server {server}: {lost} writes are lost, {twice} are there twice").into()
                );
            }
        }
        println!("{} acknowledged writes are there, none twice; all at {level}", acknowledged.len());
        let mut times: Vec<_> = times.into_iter().flatten().collect();
        times.sort();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        println!(
            "{} kills of the leader, next write after {median:.0?} (median); all: {times:.0?}",
            times.len()
        );
        (0..3).try_for_each(|server| self.kill(server).map(drop))
    }
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
    let addresses = ports.map(|port| format!("127.0.0.1:{port}"));
    let arguments = [dir.display().to_string()].into_iter().chain(addresses).collect();
    let (servers, told) = ([None, None, None], Arc::default());
    Parent { began: Instant::now(), arguments, told, servers, homes: [0, 1, 2, 0] }.run(kills)?;
    Ok(std::fs::remove_dir_all(dir)?)
}
