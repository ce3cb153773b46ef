use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::harness::{DEADLINE, Dir, PROGRAM, Site, ports, until};

/// What one run of the program gave: exit code, standard output without its greeting, standard error.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn run(server: &str, words: &[&str]) -> Ran {
    let output = Command::new(PROGRAM)
        .args(["shell", "-server", server, "-timeout", "5000"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let out = out.strip_prefix(&format!("Connecting to {server}\n")).unwrap_or(&out);
    // Not there where the command was refused before there was a connection.
    let connected = event("SyncConnected type:None path:null").join("\n") + "\n";
    let out = out.strip_prefix(&connected).unwrap_or(out).to_owned();
    Ran { code: output.status.code(), out, err: String::from_utf8(output.stderr).unwrap() }
}

async fn serving() -> (Dir, Site, String) {
    let dir = Dir::new();
    let mut site = Site::alone(&dir, "extendedTypesEnabled=true\n");
    site.run();
    site.mode().await;
    let server = format!("127.0.0.1:{}", site.client);
    (dir, site, server)
}

#[tokio::test]
async fn one_command_prints_what_zkcli_prints_and_exits_with_its_success() {
    let (_dir, _site, server) = serving().await;
    // The outputs of zkCli.sh 3.8.0: what was done is said on standard error, what was asked on standard output.
    for (words, code, out, err) in [
        (&["create", "/app", "hello"][..], 0, "", "Created /app\n"),
        (&["create", "/app"], 1, "", "Node already exists: /app\n"),
        (&["create", "-s", "/app/s-", "it's"], 0, "", "Created /app/s-0000000000\n"),
        (&["ls", "/app"], 0, "[s-0000000000]\n", ""),
        (&["ls", "-R", "/app"], 0, "/app\n/app/s-0000000000\n", ""),
        (&["get", "/app"], 0, "hello\n", ""),
        (&["get", "/app/s-0000000000"], 0, "it's\n", ""),
        (&["get", "/none"], 1, "", "Node does not exist: /none\n"),
        (&["set", "-v", "7", "/app", "x"], 1, "", "version No is not valid : /app\n"),
        (&["getAcl", "/app"], 0, "'world,'anyone\n: cdrwa\n", ""),
        (&["whoami"], 0, "Auth scheme: User\nip: 127.0.0.1\n", ""),
        (&["delete", "/app"], 1, "", "Node not empty: /app\n"),
        (&["deleteall", "/app"], 0, "", ""),
        (&["create", "-t", "60000", "/ttl"], 0, "", "Created /ttl\n"),
        (&["rmr", "/ttl"], 0, "", "The command 'rmr' has been deprecated. Please use 'deleteall' instead.\n"),
        (&["reconfig", "-remove", "1"], 1, "", "KeeperErrorCode = Reconfig is disabled\n"),
        (&["ls"], 1, "", "ls [-s] [-w] [-R] path\n"),
    ] {
        let ran = run(&server, words).await;
        assert_eq!((ran.code, &*ran.out, &*ran.err), (Some(code), out, err), "{words:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_connected_to_is_said_and_not_waited_for() {
    let [nobody] = ports();
    let ran = run(&format!("127.0.0.1:{nobody}"), &["ls", "/"]).await;
    assert_eq!((ran.code, &*ran.err), (Some(1), "KeeperErrorCode = ConnectionLoss for /\n"));
    let ran = run("127.0.0.1:nonsense", &["ls", "/"]).await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("has no valid port"), "{}", ran.err);
}

#[tokio::test]
async fn a_chroot_is_before_every_path() {
    let (_dir, _site, server) = serving().await;
    assert_eq!(run(&server, &["create", "/app"]).await.code, Some(0));
    let below = format!("{server}/app");
    assert_eq!(run(&below, &["create", "/a", "data"]).await.err, "Created /a\n");
    assert_eq!(run(&below, &["ls", "/"]).await.out, "[a]\n");
    assert_eq!(run(&below, &["get", "/b"]).await.err, "Node does not exist: /b\n");
    assert_eq!(run(&server, &["get", "/app/a"]).await.out, "data\n");
}

#[tokio::test]
async fn an_ephemeral_node_of_one_command_stays_until_the_session_times_out() {
    let (_dir, _site, server) = serving().await;
    assert_eq!(run(&server, &["create", "-e", "/e"]).await.code, Some(0));
    assert_eq!(run(&server, &["ls", "/"]).await.out, "[e, zookeeper]\n");
    until("the session has timed out", || async {
        (run(&server, &["ls", "/"]).await.out == "[zookeeper]\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn lines_from_a_pipe_are_commands() {
    let (_dir, _site, server) = serving().await;
    let mut shell = Typed::open(&server);
    assert_eq!(shell.ask("create /app 'two words'").await, [""; 0]);
    assert_eq!(shell.ask("get -w /app").await, ["two words"]);
    assert_eq!(shell.ask("set /app \"\"").await, event("SyncConnected type:NodeDataChanged path:/app"));
    assert_eq!(shell.ask("get /app").await, [""]);
    assert_eq!(shell.ask("history").await.last().unwrap(), "8 - history");
    assert_eq!(shell.ask("redo 2").await, [""], "the same once more");
    assert_eq!(shell.ask("printwatches off").await, [""; 0]);
    assert_eq!(shell.ask("printwatches on").await, [""; 0]);
    assert_eq!(shell.ask("close").await, event("Closed type:None path:null"));
    assert_eq!(shell.ask("ls /").await, ["Not connected"]);
    assert_eq!(shell.ask("connect").await, [""; 0]);
    assert_eq!(
        shell.ask("ls /app").await,
        event("SyncConnected type:None path:null")
            .iter()
            .chain(&["[]".to_owned()])
            .cloned()
            .collect::<Vec<_>>()
    );
    assert_eq!(shell.quit("get /none\nquit\nls /\n").await, Some(1), "the last command failed");
}

#[tokio::test]
async fn a_session_moves_to_another_server_with_its_watches_and_ephemerals() {
    let dir = Dir::new();
    let mut sites = Site::three(&dir, "");
    sites.iter_mut().for_each(Site::run);
    for site in &sites {
        site.mode().await;
    }
    // The shell tries the servers in this order.
    let servers: Vec<String> = sites.iter().map(|site| format!("127.0.0.1:{}", site.client)).collect();
    let mut shell = Typed::open(&servers.join(","));
    shell.ask("create -e /mine here").await;
    shell.ask("addauth digest me:secret").await;
    shell.ask("get -w /mine").await;
    shell.ask("addWatch /watched").await;

    sites[0].kill().await;
    shell.until_line("WatchedEvent state:Disconnected type:None path:null").await;
    shell.until_line("WatchedEvent state:SyncConnected type:None path:null").await;

    assert_eq!(shell.ask("getEphemerals").await, ["[/mine]"]);
    assert_eq!(shell.ask("whoami").await, ["Auth scheme: User", "ip: 127.0.0.1", "digest: me"]);
    shell.tell("create /watched\n").await;
    shell.until_line("WatchedEvent state:SyncConnected type:NodeCreated path:/watched").await;
    shell.tell("delete /mine\n").await;
    shell.until_line("WatchedEvent state:SyncConnected type:NodeDeleted path:/mine").await;
    assert_eq!(shell.quit("ls /\n").await, Some(0));
}

#[tokio::test]
async fn refused_credentials_end_the_session_and_connect_opens_another() {
    let (_dir, _site, server) = serving().await;
    let mut shell = Typed::open(&server);
    shell.ask("whoami").await;
    assert_eq!(shell.ask("addauth nonsense x").await, event("AuthFailed type:None path:null"));
    assert_eq!(shell.ask("whoami").await, ["Not connected"]);
    shell.ask("connect").await;
    shell.ask("sync /").await;
    assert_eq!(shell.ask("whoami").await, ["Auth scheme: User", "ip: 127.0.0.1"]);
    assert_eq!(shell.quit("").await, Some(0));
}

#[tokio::test]
async fn a_large_subtree_is_deleted_whatever_the_batch() {
    let (_dir, _site, server) = serving().await;
    let lines: String = (0..300).map(|number| format!("create -s /top/{number}-\n")).collect();
    let mut shell = Typed::open(&server);
    shell.ask("create /top").await;
    shell.tell(&lines).await;
    assert_eq!(shell.ask("getAllChildrenNumber /top").await, ["300"]);
    assert_eq!(shell.ask("deleteall /top -b 7").await, [""; 0]);
    assert_eq!(shell.ask("ls /").await, ["[zookeeper]"]);
    assert_eq!(shell.quit("").await, Some(0));
}

/// A shell that lines are typed into.
struct Typed {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Typed {
    fn open(server: &str) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["shell", "-server", server, "-timeout", "10000"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, input, output }
    }

    async fn tell(&mut self, lines: &str) {
        self.input.write_all(lines.as_bytes()).await.unwrap();
    }

    /// What a command prints. Before the first one the connection is waited for.
    async fn ask(&mut self, line: &str) -> Vec<String> {
        self.tell(&format!("{line}\nprintwatches\n")).await;
        let mut printed = Vec::new();
        loop {
            match &*self.line().await {
                "printwatches is on" | "printwatches is off" => break,
                line => printed.push(line.to_owned()),
            }
        }
        // The greeting, before the first command.
        if printed.first().is_some_and(|line| line.starts_with("Connecting to")) {
            let greeting = 2 + event("SyncConnected type:None path:null").len();
            assert!(printed.len() >= greeting, "{printed:?}");
            printed.drain(..greeting);
        }
        printed
    }

    async fn until_line(&mut self, wanted: &str) {
        while self.line().await != wanted {}
    }

    async fn line(&mut self) -> String {
        let line = timeout(DEADLINE, self.output.next_line()).await.expect("a line in time");
        line.unwrap().expect("a line")
    }

    /// The last lines; gives the exit code.
    async fn quit(mut self, lines: &str) -> Option<i32> {
        self.tell(lines).await;
        drop(self.input);
        timeout(DEADLINE, self.child.wait()).await.expect("the shell ends").unwrap().code()
    }
}

fn event(text: &str) -> Vec<String> {
    ["", "WATCHER::", "", &format!("WatchedEvent state:{text}")].map(str::to_owned).to_vec()
}
