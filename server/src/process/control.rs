use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::words::ask;
use crate::config::ZooCfg;
use crate::run::{Failure, Loaded, load, running};

const LOG: &str = "quorate.log";
/// How often something is looked at that somebody waits for.
const POLL: Duration = Duration::from_millis(50);
/// How long a server may take to open its data and its ports before `start` goes without having seen it.
const START: Duration = Duration::from_secs(30);
/// How long a server may take to finish what it is writing.
const STOP: Duration = Duration::from_secs(30);
/// How long `status` waits for an answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Starts the server of this file in the background; returns when it listens, or has failed.
pub async fn start(file: &Path) -> ExitCode {
    let Some(loaded) = begin(file) else { return ExitCode::from(2) };
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    print!("Starting quorate ... ");
    match pid(&loaded.cfg.data_dir) {
        Some(pid) => {
            println!("already running as process {pid}.");
            return ExitCode::FAILURE;
        }
        None => flush(),
    }
    let log = log_file(&loaded.cfg.data_dir);
    let mut child = match spawn(file, &log) {
        Ok(child) => child,
        Err(error) => {
            println!("FAILED TO START");
            eprintln!("{}: {error}", log.display());
            return ExitCode::FAILURE;
        }
    };
    match timeout(START, listens(&mut child, &loaded.cfg)).await {
        Ok(true) => {
            println!("STARTED");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            println!("FAILED TO START");
            show_end(&log);
            ExitCode::FAILURE
        }
        Err(_) => {
            println!("STARTED, and is still opening its data; see {}", log.display());
            ExitCode::SUCCESS
        }
    }
}

/// Stops the server of this file; returns when it has gone.
pub async fn stop(file: &Path) -> ExitCode {
    let Some(loaded) = begin(file) else { return ExitCode::from(2) };
    if stop_running(&loaded.cfg).await { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Stops the server of this file if it runs, and starts it.
pub async fn restart(file: &Path) -> ExitCode {
    let Some(loaded) = begin(file) else { return ExitCode::from(2) };
    if !stop_running(&loaded.cfg).await {
        return ExitCode::FAILURE;
    }
    start(file).await
}

/// Prints where the server of this file is reached and what it does.
pub async fn status(file: &Path) -> ExitCode {
    let Some(loaded) = begin(file) else { return ExitCode::from(2) };
    let Some(listen) = &loaded.plan.clients.plain else {
        println!("Client port not found: there is no clientPort to ask at; see the admin server.");
        return ExitCode::FAILURE;
    };
    let host = listen.host.as_deref().filter(|host| !is_any(host)).unwrap_or("localhost");
    println!("Client port found: {}. Client address: {host}. Client SSL: false.", listen.port);
    let answer = match ask(host, listen.port, "srvr", ANSWER).await {
        Ok(answer) => answer,
        Err(error) => {
            println!("Error contacting service. It is probably not running.");
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match answer.lines().find(|line| line.starts_with("Mode: ")) {
        Some(mode) => {
            println!("{mode}");
            ExitCode::SUCCESS
        }
        None => {
            println!("Error contacting service. It is probably not running.");
            // Such as that it has no quorum, or may not say.
            eprintln!("{}", answer.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Whether a host stands for every address of the machine.
fn is_any(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

fn begin(file: &Path) -> Option<Loaded> {
    println!("Using config: {}", file.display());
    match load(file) {
        Ok(loaded) => Some(loaded),
        Err(failure) => {
            report(&failure);
            None
        }
    }
}

fn report(failure: &Failure) {
    eprintln!("quorate: {failure}");
}

async fn stop_running(cfg: &ZooCfg) -> bool {
    print!("Stopping quorate ... ");
    let Some(pid) = pid(&cfg.data_dir) else {
        println!("no quorate to stop (no process holds {})", crate::run::pid_path(&cfg.data_dir).display());
        return true;
    };
    flush();
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(Err(error)) = number.map(|pid| kill_process(pid, Signal::TERM)) {
        println!("FAILED");
        eprintln!("process {pid} could not be told: {error}");
        return false;
    }
    let gone = async {
        while self::pid(&cfg.data_dir).is_some() {
            sleep(POLL).await;
        }
    };
    if timeout(STOP, gone).await.is_ok() {
        println!("STOPPED");
        return true;
    }
    println!("FAILED");
    eprintln!(
        "process {pid} has not stopped within {} s; `kill -9 {pid}` loses nothing that was acknowledged",
        STOP.as_secs()
    );
    false
}

fn pid(data_dir: &Path) -> Option<u32> {
    match running(data_dir) {
        Ok(pid) => pid,
        Err(error) => {
            eprintln!("{}: {error}", crate::run::pid_path(data_dir).display());
            None
        }
    }
}

fn log_file(data_dir: &Path) -> PathBuf {
    std::env::var_os("ZOO_LOG_DIR").map_or_else(|| data_dir.to_owned(), PathBuf::from).join(LOG)
}

fn spawn(file: &Path, log: &Path) -> std::io::Result<Child> {
    if let Some(dir) = log.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let out = OpenOptions::new().create(true).append(true).open(log)?;
    Command::new(std::env::current_exe()?)
        .args(["server", "--detached"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
}

/// Waits until the process holds its data directory and answers at its client port; false when it ends instead.
async fn listens(child: &mut Child, cfg: &ZooCfg) -> bool {
    loop {
        if let Ok(Some(_)) | Err(_) = child.try_wait() {
            return false;
        }
        if pid(&cfg.data_dir) == child.id() && reachable(cfg).await {
            return true;
        }
        sleep(POLL).await;
    }
}

async fn reachable(cfg: &ZooCfg) -> bool {
    let Some(listen) = &cfg.clients.plain else { return true };
    let host = listen.host.as_deref().filter(|host| !is_any(host)).unwrap_or("localhost");
    tokio::net::TcpStream::connect((host, listen.port)).await.is_ok()
}

/// The end of the log, which says why a server did not start.
fn show_end(log: &Path) {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    for line in lines.get(lines.len().saturating_sub(5)..).unwrap_or_default() {
        eprintln!("{line}");
    }
}

fn flush() {
    use std::io::Write as _;
    // Whoever cannot read the line gets on without it.
    drop(std::io::stdout().flush());
}
