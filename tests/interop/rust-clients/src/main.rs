//! ZooKeeper's clients in Rust against three real `quorate server` processes.
//!
//! ```text
//! cargo run --manifest-path tests/interop/rust-clients/Cargo.toml --target-dir target/rust-clients -- \
//!     --program target/debug/quorate [--kills 2]
//! ```
//!
//! `zookeeper-client`, `zookeeper-async` and `tokio-zookeeper`, as they are on crates.io, do what each of them can do: every
//! kind of node with its Stat, versions, transactions, ACLs, watches, sessions, their own recipes. Then the leader gets SIGKILL
//! while the first two write: both carry on with their sessions within the session timeout, and what was acknowledged is there,
//! once. (The third knows one server only.) Exit code 0 when everything held; otherwise what did not is said.

mod ensemble;
mod failover;
mod outcome;
mod with_async;
mod with_client;
mod with_tokio;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ensemble::{Ensemble, SERVERS};
use outcome::{Outcome, tell};
use tokio::time::timeout;

/// No step takes as long; one that does hangs.
const STEP: Duration = Duration::from_secs(150);

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match arguments() {
        Ok((program, kills)) => run(program, kills).await,
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(format_args!("FAILED: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Outcome<(PathBuf, u32)> {
    let (mut program, mut kills) = (PathBuf::from("target/debug/quorate"), 2);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--program" => program = value.into(),
            "--kills" => kills = value.parse().map_err(|error| format!("--kills {value}: {error}"))?,
            _ => return Err(format!("{name} is not known; there are --program and --kills").into()),
        }
    }
    Ok((program, kills))
}

async fn run(program: PathBuf, kills: u32) -> Outcome {
    let mut ensemble = Ensemble::new(&program)?;
    let dir = ensemble.dir.clone();
    match steps(&mut ensemble, kills).await {
        Ok(()) => Ok(std::fs::remove_dir_all(dir)?),
        Err(failure) => Err(format!("{failure}; the servers' logs are in {}", dir.display()).into()),
    }
}

/// Runs the steps in their order; each is told when it has held.
async fn steps(ensemble: &mut Ensemble, kills: u32) -> Outcome {
    macro_rules! step {
        ($name:expr, $step:expr) => {
            match timeout(STEP, $step).await {
                Ok(Ok(())) => tell(format_args!("ok   {}", $name)),
                Ok(Err(failure)) => return Err(format!("{}: {failure}", $name).into()),
                Err(_) => return Err(format!("{}: hangs", $name).into()),
            }
        };
    }
    for n in 0..SERVERS {
        ensemble.start(n)?;
    }
    step!("three servers, one of them leads", async { ensemble.all_serve().await.map(drop) });
    step!("zookeeper-client: every kind of node", with_client::nodes::kinds(ensemble));
    step!("zookeeper-client: data, versions, children", with_client::nodes::versions(ensemble));
    step!("zookeeper-client: transactions", with_client::nodes::transactions(ensemble));
    step!("zookeeper-client: ACLs", with_client::nodes::acls(ensemble));
    step!("zookeeper-client: one-shot watches", with_client::watches::one_shot(ensemble));
    step!("zookeeper-client: persistent and recursive watches", with_client::watches::persistent(ensemble));
    step!("zookeeper-client: sessions and ephemerals", with_client::sessions::sessions(ensemble));
    step!("zookeeper-client: lock and election", with_client::sessions::locks(ensemble));
    step!("zookeeper-async: every kind of node", with_async::kinds(ensemble));
    step!("zookeeper-async: data, versions, children", with_async::versions(ensemble));
    step!("zookeeper-async: ACLs", with_async::acls(ensemble));
    step!("zookeeper-async: watches", with_async::watches(ensemble));
    step!("zookeeper-async: requests that do not wait for the session", with_async::impatient(ensemble));
    step!("zookeeper-async: latch, lock, queue", with_async::recipes(ensemble));
    step!("tokio-zookeeper: nodes, transactions, watches", with_tokio::everything(ensemble));
    step!("no watch is left behind", ensemble.no_watch_is_left());
    step!(format!("the leader is killed {kills} times"), failover::leader_killed(ensemble, kills));
    step!("the servers stop cleanly", ensemble.stop());
    Ok(())
}
