//! Three OS processes over TCP, killed by SIGKILL under load: what was acknowledged is there, and once.
//! `cargo run --release --features tokio --example three_processes -- --kills 20`
//!
//! The program starts itself three times, as servers; four writers live in them, as in a service that embeds one. A
//! write is acknowledged when its line has come out of its server's process. It makes a sequential node, which would be
//! there twice if it was executed twice. In the end this process starts all three on what they left, and compares.
#![expect(clippy::disallowed_methods, reason = "a program for the clock on the wall")]
use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, error::Error, iter};

use futures::future::try_join_all;
use quorate::client::{Client, ClientOptions};
use quorate::node::{Node, entropy};
use quorate::storage::{FileStorage, FileStorageOptions, IfEmpty};
use quorate::transport::tcp::Security;
use quorate::{ClusterId, ServerId};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Starts a server and a client of it. `args` are where the data is, which is `new` once, and the addresses.
fn start(number: usize, new: bool, args: &[String]) -> Result<(Node, Client)> {
    let (dir, server) = (format!("{}/{number}", args[0]), ServerId::new(number as u64));
    let options = FileStorageOptions::new(ClusterId::new(3), server, IfEmpty::Refuse);
    if new {
        FileStorage::format(&dir, &options)?;
    }
    let peers = (0..).map(ServerId::new).zip(args[1..].iter().cloned()).collect();
    let (node, driver) = Node::embed(dir, options, peers, Security::LoopbackOnly)?;
    tokio::spawn(async { driver.await.unwrap_or_else(|error| println!("{error}")) });
    let (client, driver) = Client::new([&node], node.clock(), ClientOptions::new(entropy()?))?;
    tokio::spawn(driver);
    Ok((node, client))
}

/// A server's process, which ends with its parent.
#[tokio::main]
async fn serve(number: usize, new: bool, args: &[String]) -> Result<()> {
    let (node, client) = start(number, new, args)?;
    for writer in (number..4).step_by(3) {
        let work = write(writer, node.clone(), client.clone());
        tokio::spawn(async { work.await.unwrap_or_else(|error| println!("{error}")) });
    }
    Ok(io::stdin().read_line(&mut String::new()).map(drop)?)
}

/// Says of each write what it is, the server's part in it, and the epoch.
async fn write(writer: usize, node: Node, client: Client) -> Result<()> {
    let session = client.connected().await?;
    for count in 0.. {
        let made = client.create(format!("/{session}-{writer}-{count}-"), "").sequential().await?;
        let (now, epoch) = (node.status().await?, made.stat.czxid.epoch());
        println!("{session}-{writer}-{count} {} {:?} {epoch}", now.server, now.role);
    }
    Ok(())
}

/// Starts the servers, kills one after the other, and starts it again.
fn run(kills: usize, args: &[String]) -> Result<()> {
    let (told, tell) = io::pipe()?;
    let start = |server: usize, when: &str| -> Result<Child> {
        let mut command = Command::new(env::current_exe()?);
        command.args([&server.to_string(), when]).args(args).stdin(Stdio::piped()).stdout(tell.try_clone()?);
        Ok(command.spawn()?)
    };
    let (mut lines, mut acknowledged) = (BufReader::new(told).lines(), BTreeSet::new());
    // Waits for a write after `after`, of this epoch or a later one, by a server of such a number and role; gives when it
    // came, from which server, and its epoch. None comes when all have ended.
    let mut wait = |after: Instant, epoch: u32, is_meant: &dyn Fn(usize, &str) -> bool| {
        for line in lines.by_ref() {
            let (now, line) = (Instant::now(), line?);
            let words: Vec<_> = line.split(' ').collect();
            let [write, server, role, of] = words[..] else { return Err(line.into()) };
            let (server, of): (usize, u32) = (server.parse()?, of.parse()?);
            acknowledged.insert(write.to_owned());
            if now >= after && of >= epoch && is_meant(server, role) {
                return Result::Ok(Some((now, server, of)));
            }
        }
        Ok(None)
    };
    let mut servers = (0..3).map(|server| start(server, "new")).collect::<Result<Vec<_>>>()?;
    let mut times = Vec::new();
    for _ in 0..kills {
        let [dice, pause, ..] = entropy()?;
        let pause = Duration::from_millis(4 * u64::from(pause));
        let under_load = wait(Instant::now() + pause, 0, &|_, role| role == "Leading")?;
        let (killed, leader, epoch) = under_load.ok_or("all have ended")?;
        let victim = if dice < 64 { (leader + 1 + usize::from(dice) % 2) % 3 } else { leader };
        servers[victim].kill()?;
        servers[victim].wait()?;
        // A new leader's write is of a new epoch.
        let led = victim == leader;
        let next = wait(killed, epoch + u32::from(led), &|by, _| by != victim)?.ok_or("all have ended")?;
        let (part, took) = (if led { "the leader of" } else { "a follower in" }, next.0 - killed);
        println!("killed server {victim}, {part} epoch {epoch}: next write after {took:.1?}");
        times.extend(led.then_some(took));
        wait(Instant::now() + pause, 0, &|by, _| by != victim)?;
        servers[victim] = start(victim, "again")?;
        wait(Instant::now(), 0, &|by, _| by == victim)?;
    }
    for server in &mut servers {
        server.kill()?;
        server.wait()?;
    }
    drop(tell);
    wait(Instant::now(), 0, &|_, _| false)?;
    compare(args, &acknowledged)?;
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    println!("{} kills of the leader, next write after {median:.1?} (median)", times.len());
    Ok(())
}

/// Compares the servers' states, which are trees and sessions, and looks in one for what is lost or there twice.
#[tokio::main]
async fn compare(args: &[String], acknowledged: &BTreeSet<String>) -> Result<()> {
    let servers = (0..3).map(|server| start(server, false, args)).collect::<Result<Vec<_>>>()?;
    let names = servers[0].1.children("/").linearizable().await?.names;
    let made: Vec<_> = names.iter().filter_map(|name| Some(name.rsplit_once('-')?.0)).collect();
    let there = made.iter().map(|write| write.to_string()).collect();
    let (lost, twice) = (acknowledged.difference(&there).count(), made.len() - there.len());
    println!("{} writes were acknowledged: {lost} are lost, {twice} are there twice", acknowledged.len());
    let states = loop {
        let all = try_join_all(servers.iter().map(|(node, _)| node.status())).await?;
        if all.iter().all(|one| one.applied == all[0].applied && one.serving) {
            break BTreeSet::from_iter(all.iter().map(|one| (one.applied, one.digest)));
        }
    };
    states.iter().for_each(|(zxid, digest)| println!("state at {zxid}: {digest:016x}"));
    if lost + twice == 0 && states.len() == 1 { Ok(()) } else { Err("that must not be".into()) }
}

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let kills = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--kills", kills] => kills.parse()?,
        [server, when, ..] => return serve(server.parse()?, when == "new", &args[2..]),
        _ => return Err("usage: three_processes --kills N".into()),
    };
    let dir = env::temp_dir().join(format!("quorate-processes-{}", std::process::id()));
    // Below the ports that the system gives to outgoing connections: these must still be free after a restart.
    let addresses = (0..3).map(|n| format!("127.0.0.1:{}", 10_000 + std::process::id() % 20_000 + n));
    let args: Vec<_> = iter::once(dir.display().to_string()).chain(addresses).collect();
    run(kills, &args)?;
    Ok(std::fs::remove_dir_all(dir)?)
}
