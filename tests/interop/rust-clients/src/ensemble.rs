use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::outcome::{Outcome, hold, until, within};

/// The session timeout that every client asks for.
pub const SESSION: Duration = Duration::from_secs(10);
/// How long one administrator's text may take.
const TEXT: Duration = Duration::from_secs(2);
pub const SERVERS: usize = 3;

/// Three `quorate server` processes on the loopback address, each from a zoo.cfg.
pub struct Ensemble {
    program: PathBuf,
    pub dir: PathBuf,
    servers: Vec<Server>,
}

struct Server {
    file: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Ensemble {
    pub fn new(program: &Path) -> Outcome<Self> {
        let program = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
        let dir = std::env::temp_dir().join(format!("quorate-rust-clients-{}", std::process::id()));
        let ports = free_ports(SERVERS * 3)?;
        let lines: String = (0..SERVERS)
            .map(|n| {
                let [quorum, election] = [ports[SERVERS + n], ports[2 * SERVERS + n]];
                format!("server.{}=127.0.0.1:{quorum}:{election}\n", n + 1)
            })
            .collect();
        let mut servers = Vec::new();
        for (n, &port) in ports.iter().take(SERVERS).enumerate() {
            let home = dir.join((n + 1).to_string());
            let (data, file) = (home.join("data"), home.join("zoo.cfg"));
            fs::create_dir_all(&data)?;
            fs::write(data.join("myid"), format!("{}\n", n + 1))?;
            let data = data.display();
            // Long limits, so that a busy machine deposes no leader; a process that has gone is noticed at once.
            fs::write(
                &file,
                format!(
                    "tickTime=500\ninitLimit=20\nsyncLimit=20\ndataDir={data}\nclientPortAddress=127.0.0.1\n\
                     clientPort={port}\nadmin.enableServer=false\nmaxSessionTimeout=40000\n\
                     extendedTypesEnabled=true\n4lw.commands.whitelist=srvr,wchs\n{lines}"
                ),
            )?;
            servers.push(Server { file, port, process: None });
        }
        Ok(Self { program, dir, servers })
    }

    pub fn start(&mut self, n: usize) -> Outcome {
        let server = &mut self.servers[n];
        let log = fs::OpenOptions::new().create(true).append(true).open(server.file.with_extension("log"))?;
        let mut command = Command::new(&self.program);
        command.arg("server").arg(&server.file).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        server.process = Some(command.kill_on_drop(true).spawn()?);
        Ok(())
    }

    /// SIGKILL.
    pub async fn kill(&mut self, n: usize) -> Outcome {
        if let Some(mut process) = self.servers[n].process.take() {
            process.kill().await?;
        }
        Ok(())
    }

    /// SIGTERM for all; each has to end with exit code 0.
    pub async fn stop(&mut self) -> Outcome {
        for server in &self.servers {
            let pid = server.process.as_ref().and_then(Child::id).and_then(|id| Pid::from_raw(id as i32));
            kill_process(pid.ok_or("a server has ended by itself")?, Signal::TERM)?;
        }
        for server in &mut self.servers {
            if let Some(mut process) = server.process.take() {
                let status = within("a server stops", process.wait()).await??;
                hold!(status.code() == Some(0), "a server ended with {status}");
            }
        }
        Ok(())
    }

    /// All servers, this one first.
    pub fn hosts(&self, first: usize) -> String {
        let hosts: Vec<_> = (0..SERVERS).map(|n| self.host((first + n) % SERVERS)).collect();
        hosts.join(",")
    }

    pub fn host(&self, n: usize) -> String {
        format!("127.0.0.1:{}", self.servers[n].port)
    }

    /// What the server answers to a four-letter word, if it answers.
    pub async fn text(&self, n: usize, word: &str) -> Option<String> {
        let asked = async {
            let mut stream = TcpStream::connect(self.host(n)).await.ok()?;
            stream.write_all(word.as_bytes()).await.ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await.ok()?;
            Some(text)
        };
        timeout(TEXT, asked).await.ok()?
    }

    pub async fn mode(&self, n: usize) -> Option<String> {
        let text = self.text(n, "srvr").await?;
        text.lines().find_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned)
    }

    /// Waits until one server leads and all others follow; gives the leader.
    pub async fn all_serve(&mut self) -> Outcome<usize> {
        until("all servers serve", async || {
            for (n, server) in self.servers.iter_mut().enumerate() {
                if let Some(status) =
                    server.process.as_mut().and_then(|process| process.try_wait().transpose())
                {
                    return Err(format!("server {} has ended: {}", n + 1, status?).into());
                }
            }
            let (mut leader, mut followers) = (None, 0);
            for n in 0..SERVERS {
                match self.mode(n).await.as_deref() {
                    Some("leader") => leader = Some(n),
                    Some("follower") => followers += 1,
                    _ => {}
                }
            }
            Ok(leader.filter(|_| followers == SERVERS - 1))
        })
        .await
    }

    /// Waits until no server holds a watch.
    pub async fn no_watch_is_left(&self) -> Outcome {
        until("no server holds a watch", async || {
            for n in 0..SERVERS {
                let text = self.text(n, "wchs").await.unwrap_or_default();
                if !text.lines().any(|line| line == "Total watches:0") {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
    }
}

/// Ports that were free a moment ago.
fn free_ports(count: usize) -> Outcome<Vec<u16>> {
    let held = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    held.iter().map(|each| Ok(each.local_addr()?.port())).collect()
}
