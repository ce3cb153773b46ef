use std::fs;
use std::future::Future;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long anything may take on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(30);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate");

/// Asks until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            sleep(POLL).await;
        }
    };
    timeout(DEADLINE, asked).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

/// A directory that goes with the test.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("program-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Ports that were free a moment ago.
pub(crate) fn ports<const N: usize>() -> [u16; N] {
    ports_of(1)[0]
}

fn ports_of<const N: usize>(sets: usize) -> Vec<[u16; N]> {
    let held: Vec<_> = (0..N * sets).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let port = |at: usize| held[at].local_addr().unwrap().port();
    (0..sets).map(|set| std::array::from_fn(|at| port(set * N + at))).collect()
}

/// One server: its configuration, and its process while it runs.
pub(crate) struct Site {
    pub(crate) file: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) client: u16,
    pub(crate) admin: u16,
    child: Option<Child>,
}

impl Site {
    /// A server alone.
    pub(crate) fn alone(dir: &Dir, more: &str) -> Self {
        let [client, admin] = ports();
        Self::new(&dir.0, client, admin, more)
    }

    /// Three servers of one ensemble.
    pub(crate) fn three(dir: &Dir, more: &str) -> Vec<Self> {
        Self::ensemble(dir, &["", "", ""], more)
    }

    /// Servers of one ensemble; each with what stands behind its ports in its line.
    pub(crate) fn ensemble(dir: &Dir, roles: &[&str], more: &str) -> Vec<Self> {
        let ports: Vec<[u16; 4]> = ports_of(roles.len());
        let lines: String = (ports.iter().zip(roles).zip(1..))
            .map(|(([quorum, election, ..], role), n)| {
                format!("server.{n}=127.0.0.1:{quorum}:{election}{role}\n")
            })
            .collect();
        // Long, so that a busy machine deposes no leader; a process that has gone is noticed at once.
        let more = format!("initLimit=20\nsyncLimit=20\n{lines}{more}");
        let sites = ports.iter().zip(1..).map(|([.., client, admin], n)| {
            let site = Self::new(&dir.0.join(format!("{n}")), *client, *admin, &more);
            fs::write(site.data.join("myid"), format!("{n}\n")).unwrap();
            site
        });
        sites.collect()
    }

    fn new(home: &Path, client: u16, admin: u16, more: &str) -> Self {
        let data = home.join("data");
        fs::create_dir_all(&data).unwrap();
        let file = home.join("zoo.cfg");
        let text = format!(
            "tickTime=500\ndataDir={}\nclientPortAddress=127.0.0.1\nclientPort={client}\nadmin.serverPort={admin}\n{more}",
            data.display()
        );
        fs::write(&file, text).unwrap();
        Self { file, data, client, admin, child: None }
    }

    /// Runs the server in the foreground.
    pub(crate) fn run(&mut self) {
        self.spawn(Command::new(PROGRAM));
    }

    /// The same from a shell that lets it have so many files at first.
    pub(crate) fn run_limited(&mut self, files: u32) {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -S -n {files}; exec \"$0\" \"$@\""), PROGRAM]);
        self.spawn(command);
    }

    fn spawn(&mut self, mut command: Command) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.data.join("log")).unwrap();
        command.arg("server").arg(&self.file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.kill_on_drop(true).spawn().unwrap());
    }

    /// Adds lines to the configuration.
    pub(crate) fn add(&self, lines: &str) {
        let text = fs::read_to_string(&self.file).unwrap();
        fs::write(&self.file, format!("{text}{lines}")).unwrap();
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.as_ref().unwrap().id().unwrap()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.data.join("log")).unwrap_or_default()
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.child.take().unwrap().kill().await.unwrap();
    }

    /// SIGTERM; gives the exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.exit().await
    }

    /// Waits until the process has ended; gives the exit code.
    pub(crate) async fn exit(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        timeout(DEADLINE, child.wait()).await.expect("the process ends").unwrap().code()
    }

    /// A command of the program with this server's file.
    pub(crate) async fn command(&self, name: &str) -> (Option<i32>, String) {
        let Output { status, stdout, .. } =
            Command::new(PROGRAM).arg(name).arg(&self.file).output().await.unwrap();
        (status.code(), String::from_utf8(stdout).unwrap())
    }

    /// What the server says to be, once it says so.
    pub(crate) async fn mode(&self) -> String {
        until("the server serves", || async {
            let (code, text) = self.command("status").await;
            (code == Some(0))
                .then(|| text.lines().find_map(|line| line.strip_prefix("Mode: ")).unwrap().to_owned())
        })
        .await
    }

    /// The status line and the body of what the admin server answers.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        until("the admin server answers", || get(self.admin, path, "localhost")).await
    }
}

/// What the HTTP server at this port answers, if there is one.
pub(crate) async fn get(port: u16, path: &str, host: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
