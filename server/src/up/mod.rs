//! `quorate up`: a whole ensemble on this machine, in one process, for development.
//!
//! Its servers are real ones, each with a `zoo.cfg` and a data directory of its own.

mod configs;
mod screen;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::select_all;
use tokio::time::interval;

use self::screen::{Row, Screen};
use crate::run::{Failure, LogFormat, Server, load, logging, signals};

/// How often the screen is drawn.
const FRAME: Duration = Duration::from_millis(500);

/// What is to be run.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// How many servers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    pub servers: u16,
    /// Where the data and the zoo.cfg files are kept; without it nothing is kept
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// The first server's client port; the others follow. Ports for the servers are 700 and 1700 above
    #[arg(long, default_value_t = 2181, value_parser = clap::value_parser!(u16).range(1..=60_000))]
    pub port: u16,
    /// The first server's port of the admin page; the others follow
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    pub admin_port: u16,
}

/// Runs the ensemble until Ctrl-C, or until one of its servers fails.
pub async fn main(options: Options) -> ExitCode {
    // A log would run through the screen.
    logging::start_at(LogFormat::Human, if io::stdout().is_terminal() { "off" } else { "error" });
    let kept = options.dir.is_some();
    let dir = options
        .dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("quorate-up-{}", std::process::id())));
    let done = run(&options, &dir).await;
    if !kept && let Err(error) = std::fs::remove_dir_all(&dir) {
        eprintln!("quorate: {} could not be removed: {error}", dir.display());
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("quorate: {failure}");
            failure.exit_code()
        }
    }
}

async fn run(options: &Options, dir: &std::path::Path) -> Result<(), Failure> {
    let stop = signals::stop();
    let mut servers = Vec::new();
    for file in configs::write(options, dir)? {
        servers.push(Server::start(load(&file)?).await?);
    }
    let mut screen = Screen::new(heading(options), io::stdout().is_terminal());
    let result = watch(&mut servers, &mut screen, stop).await;
    print(&screen.close());
    for server in servers {
        // The first failure is the one to tell.
        if let Err(failure) = server.stop().await {
            tracing::warn!("{failure}");
        }
    }
    result
}

async fn watch(
    servers: &mut [Server],
    screen: &mut Screen,
    stop: impl Future<Output = &'static str>,
) -> Result<(), Failure> {
    let mut stop = Box::pin(stop);
    let mut frames = interval(FRAME);
    loop {
        let failed = select_all(servers.iter_mut().map(|server| server.ended().boxed()));
        tokio::select! {
            _ = &mut stop => return Ok(()),
            (failure, _, _) = failed => return Err(failure),
            _ = frames.tick() => {}
        }
        let mut rows = Vec::new();
        for server in servers.iter() {
            if let Ok(status) = server.node().status().await {
                rows.push(Row::new(&status, &server.admin().history().latest()));
            }
        }
        print(&screen.draw(rows));
    }
}

fn heading(options: &Options) -> String {
    let clients: Vec<_> = (0..options.servers).map(|n| format!("127.0.0.1:{}", options.port + n)).collect();
    let kept = match &options.dir {
        Some(dir) => format!("data and zoo.cfg files in {}", dir.display()),
        None => "nothing is kept (--dir D keeps it)".to_owned(),
    };
    format!(
        "connect to  {}\nadmin page  http://127.0.0.1:{}/\n{kept}; Ctrl-C stops all",
        clients.join(","),
        options.admin_port
    )
}

fn print(text: &str) {
    let mut out = io::stdout().lock();
    // Whoever closed the screen does not want to see it.
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
