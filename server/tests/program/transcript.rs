use std::fs;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::harness::{DEADLINE, Dir, PROGRAM, Site};

/// What the recording has written for the path of the run; the run's own is as long, since some answers count letters.
const ROOT: (&str, &str) = ("/ROOT", "/interop-r");

/// A command and what it printed: on standard output behind `  | `, on standard error behind `  ! `.
#[derive(PartialEq, Eq, Debug)]
struct Exchange {
    command: String,
    printed: Vec<String>,
}

#[tokio::test]
async fn the_shell_prints_what_zkcli_was_recorded_to_print() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/zkcli-3.8.0.transcript");
    let recorded = exchanges(&fs::read_to_string(file).unwrap());
    assert!(recorded.len() > 150, "{}", recorded.len());

    let dir = Dir::new();
    let mut site = Site::alone(&dir, "extendedTypesEnabled=true\n");
    site.run();
    site.mode().await;
    let mut shell = Shell::open(&format!("127.0.0.1:{}", site.client)).await;
    let mut differences = Vec::new();
    for exchange in recorded {
        let printed = shell.ask(&exchange.command.replace(ROOT.0, ROOT.1)).await;
        if printed != exchange.printed {
            differences.push((exchange, printed));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

fn exchanges(text: &str) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("> "), exchanges.last_mut()) {
            (Some(command), _) => {
                exchanges.push(Exchange { command: command.to_owned(), printed: Vec::new() })
            }
            (None, Some(exchange)) => exchange.printed.push(line.to_owned()),
            (None, None) => {}
        }
    }
    exchanges
}

/// The shell, with something to ask that marks the end of what came before on both of its outputs.
struct Shell {
    input: ChildStdin,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
    _child: Child,
}

impl Shell {
    async fn open(server: &str) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["shell", "-server", server])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut shell = Self {
            input: child.stdin.take().unwrap(),
            out: BufReader::new(child.stdout.take().unwrap()).lines(),
            err: BufReader::new(child.stderr.take().unwrap()).lines(),
            _child: child,
        };
        while !line(&mut shell.out).await.contains("state:SyncConnected") {}
        shell
    }

    async fn ask(&mut self, command: &str) -> Vec<String> {
        self.input.write_all(format!("{command}\nprintwatches\nredo 99999\n").as_bytes()).await.unwrap();
        let mut printed = Vec::new();
        loop {
            let line = line(&mut self.out).await;
            if line.starts_with("printwatches is ") {
                break;
            }
            printed.push(format!("  | {}", plain(&line)));
        }
        loop {
            let line = line(&mut self.err).await;
            if line == "Command index out of range" {
                break;
            }
            // The list of all commands has ours in it.
            if !line.starts_with('\t') && !line.starts_with("quorate shell [-server") {
                printed.push(format!("  ! {}", plain(&line)));
            }
        }
        printed
    }
}

async fn line(lines: &mut Lines<impl AsyncBufRead + Unpin>) -> String {
    timeout(DEADLINE, lines.next_line()).await.expect("a line in time").unwrap().expect("a line")
}

/// The line without what differs from run to run, as the recording has it.
fn plain(line: &str) -> String {
    let line = line.replace(ROOT.1, ROOT.0);
    let kind = match line.split_once(" = ") {
        Some((name @ ("cZxid" | "mZxid" | "pZxid"), _)) => Some((name, "zxid")),
        Some((name @ ("ctime" | "mtime"), _)) => Some((name, "date")),
        Some((name @ "ephemeralOwner", owner)) if owner != "0x0" => Some((name, "session")),
        _ => None,
    };
    kind.map(|(name, kind)| format!("{name} = <{kind}>")).unwrap_or(line)
}
