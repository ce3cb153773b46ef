//! Three OS processes over TCP, killed by SIGKILL under load: what was acknowledged is there, and once.
//! `cargo run --release --features tokio --example three_processes -- --kills 20`
//!
//! The program starts itself three times, as servers; four writers live in them, as in a service that embeds one. A
//! write is acknowledged when its line has come out of its server's process. It makes a sequential node, which would be
//! there twice if it was executed twice. In the end this process starts all three on what they left, and compares.
#![expect(clippy::disallowed_methods, reason = "a program for the clock on the wall")]
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{self, Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{cell::RefCell, env, error::Error, fs, iter, net::TcpListener, sync::mpsc, thread};

use futures::future::try_join_all;
use quorate::client::{Client, ClientOptions};
use quorate::node::{Node, entropy};
use quorate::storage::{FileStorage, FileStorageOptions, IfEmpty};
use quorate::transport::tcp::Security;
use quorate::{ClusterId, ServerId};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
/// How long it may take until what must come is there.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a server and a client of it. `args` are where the data is, which is `new` once, and the addresses.
fn start(number: usize, new: bool, args: &[String]) -> Result<(Node, Client)> {
    let (dir, server) = (format!("{}/{number}", args[0]), ServerId::new(number as u64));
    let options = FileStorageOptions::new(ClusterId::new(3), server, IfEmpty::Refuse);
    new.then(|| FileStorage::format(&dir, &options)).transpose()?;
    let peers = (0..).map(ServerId::new).zip(args[1..].iter().cloned()).collect();
    let (node, driver) = Node::embed(dir, options, peers, Security::LoopbackOnly)?;
    tokio::spawn(async move { driver.await.unwrap_or_else(|error| println!("server {number}: {error}")) });
    let (client, driver) = Client::new([&node], node.clock(), ClientOptions::new(entropy()?))?;
    tokio::spawn(driver);
    Ok((node, client.within(PATIENCE)))
}

/// A server's process, which ends with its parent.
#[tokio::main]
async fn serve(number: usize, new: bool, args: &[String]) -> Result<()> {
    let (node, client) = start(number, new, args).map_err(|error| format!("server {number}: {error}"))?;
    for writer in (number..4).step_by(3) {
        let work = write(writer, node.clone(), client.clone());
        tokio::spawn(async move { work.await.or_else(|e| writeln!(io::stdout(), "server {number}: {e}")) });
    }
    Ok(io::stdin().read_line(&mut String::new()).map(drop)?)
}

/// Says of each write what it is, the server's part in it, and the epoch.
async fn write(writer: usize, node: Node, client: Client) -> Result<()> {
    let session = client.connected().await?;
    for count in 0.. {
        let made = client.create(format!("/{session}-{writer}-{count}-"), "").sequential().await?;
        let (now, epoch) = (node.status().await?, made.stat.czxid.epoch());
        writeln!(io::stdout(), "{session}-{writer}-{count} {} {:?} {epoch}", now.server, now.role)?;
    }
    Ok(())
}

/// Starts the servers, kills one after the other, and starts it again. If this fails, the servers end with this process.
fn run(kills: usize) -> Result<()> {
    let dir = env::temp_dir().join(format!("quorate-processes-{}", process::id()));
    // Below the ports that systems give to outgoing connections: these must still be free after a restart. The first of
    // four stays taken, so that the others are not chosen by another run.
    let bind = |port| TcpListener::bind(format!("127.0.0.1:{port}")).ok();
    let mut fours = (0..5_000).map(|n| 10_000 + (process::id() + n) % 5_000 * 4).map(|port| port..port + 4);
    let mut free: Vec<_> = fours.find_map(|four| four.map(bind).collect()).ok_or("no free ports")?;
    let addresses = free.drain(1..).map(|one| Ok(one.local_addr()?.to_string()));
    let args = iter::once(Ok(dir.display().to_string())).chain(addresses).collect::<Result<Vec<_>>>()?;
    let ((lines, out), (tell, told)) = (io::pipe()?, mpsc::channel());
    let mut lines = BufReader::new(lines).lines().map_while(io::Result::ok);
    thread::spawn(move || lines.try_for_each(|line| tell.send((Instant::now(), line))));
    let start = |server: usize, when: &str| -> Result<(usize, Child)> {
        let mut command = Command::new(env::current_exe()?);
        command.args([&server.to_string(), when]).args(&args).stdin(Stdio::piped()).stdout(out.try_clone()?);
        Ok((server, command.spawn().map_err(|error| format!("server {server} cannot start: {error}"))?))
    };
    let kill = |mut server: Child| server.kill().and_then(|()| server.wait()).map(drop);
    let (mut acknowledged, mut times) = (BTreeSet::new(), Vec::new());
    let servers = (0..3).map(|n| start(n, "new")).collect::<Result<BTreeMap<_, _>>>().map(RefCell::new)?;
    // Waits for a write after `after`, of this epoch or later, by who is meant; gives when, by which server, and its epoch.
    let mut wait = |after: Instant, epoch: u32, is_meant: &dyn Fn(usize, &str) -> bool| {
        while after.elapsed() < PATIENCE {
            for (number, server) in servers.borrow_mut().iter_mut() {
                let Some(status) = server.try_wait()? else { continue };
                return Err(format!("server {number} has ended, and was not killed here: {status}").into());
            }
            let Ok((now, line)) = told.recv_timeout(Duration::from_millis(100)) else { continue };
            let words: Vec<_> = line.split(' ').collect();
            let [write, server, role, of] = words[..] else { return Err(line.into()) };
            let (server, of): (usize, u32) = (server.parse()?, of.parse()?);
            acknowledged.insert(write.to_owned());
            if now >= after && of >= epoch && is_meant(server, role) {
                return Result::Ok((now, server, of));
            }
        }
        Err(format!("the write that must come next has not come within {PATIENCE:?}").into())
    };
    for _ in 0..kills {
        let [dice, pause, ..] = entropy()?;
        let soon = || Instant::now() + Duration::from_millis(4 * u64::from(pause));
        let (killed, leader, epoch) = wait(soon(), 0, &|_, role| role == "Leading")?;
        let victim = if dice < 64 { (leader + 1 + usize::from(dice) % 2) % 3 } else { leader };
        servers.borrow_mut().remove(&victim).map(kill).transpose()?;
        // A new leader's write is of a new epoch.
        let (part, led) = if victim == leader { ("the leader of", 1) } else { ("a follower in", 0) };
        let took = wait(killed, epoch + led, &|by, _| by != victim)?.0 - killed;
        println!("killed server {victim}, {part} epoch {epoch}: next write after {took:.1?}");
        times.extend((led == 1).then_some(took));
        wait(soon(), 0, &|by, _| by != victim)?;
        servers.borrow_mut().extend([start(victim, "again")?]);
        wait(Instant::now(), 0, &|by, _| by == victim)?;
    }
    servers.into_inner().into_values().try_for_each(kill)?;
    drop(out);
    acknowledged.extend(told.iter().filter_map(|(_, line)| Some(line.split_once(' ')?.0.to_owned())));
    let compared = async { tokio::time::timeout(PATIENCE, compare(&args, &acknowledged)).await };
    tokio::runtime::Runtime::new()?.block_on(compared).map_err(|_| "the servers do not agree in time")??;
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    println!("{} kills of the leader, next write after {median:.1?} (median)", times.len());
    Ok(fs::remove_dir_all(dir)?)
}

/// Compares the servers' states, which are trees and sessions, and looks in one for what is lost or there twice.
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
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--kills", kills] => run(kills.parse()?),
        [server, when, ..] => serve(server.parse()?, when == "new", &args[2..]),
        _ => Err("usage: three_processes --kills N".into()),
    }
}
