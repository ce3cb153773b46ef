//! `quorate shell`: ZooKeeper's zkCli, its commands, options and outputs, without a JVM; for quorate and for ZooKeeper.
//!
//! The output formats are those of zkCli 3.8, since scripts read them; `tests/interop/zkcli.py` compares the two.
//! Where zkCli ends with a Java stack trace, this says what is wrong and goes on.

mod acl_text;
mod client;
mod command;
mod completion;
mod error;
mod flags;
mod interpreter;
mod options;
mod output;
mod terminal;
mod words;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use interpreter::{Next, Shell};
use options::Options;

/// What stands behind `quorate shell` on the command line.
#[derive(clap::Args, Debug)]
pub struct ShellArgs {
    #[arg(
        value_name = "OPTIONS AND COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        help = "[-server host:port[,host:port…][/path]] [-timeout ms] [-r] [command …]"
    )]
    words: Vec<String>,
}

/// Runs the shell: one command if there is one, else what is typed or piped in. Blocks; the exit code is 0 if the last
/// command did what it was told, 1 if not, and 2 if the options are wrong.
#[must_use]
pub fn main(args: &ShellArgs) -> ExitCode {
    let options = match Options::parse(&args.words) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("Error: {error}");
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read the output, such as `head`, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("quorate shell: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> io::Result<bool> {
    writeln!(io::stdout(), "Connecting to {}", options.connect.text)?;
    if let Some(command) = options.command.clone() {
        return run_one(options, &command);
    }
    writeln!(io::stdout(), "Welcome to quorate!")?;
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        terminal::run(options)
    } else {
        run_piped(options)
    }
}

fn run_one(options: Options, command: &[String]) -> io::Result<bool> {
    let mut shell = Shell::open(options, print_event)?;
    let done = shell.run(command, &mut io::stdout(), &mut io::stderr());
    shell.leave();
    done.map(|_| shell.succeeded())
}

fn run_piped(options: Options) -> io::Result<bool> {
    let mut shell = Shell::open(options, print_event)?;
    for line in io::stdin().lock().split(b'\n') {
        let line = match String::from_utf8(line?) {
            Ok(line) => line,
            // What a node would get in place of the other bytes is not what was meant.
            Err(error) => {
                eprintln!("a line that is not UTF-8 is left out: {error}");
                continue;
            }
        };
        if shell.run_line(&line, &mut io::stdout(), &mut io::stderr())? == Next::Quit {
            break;
        }
    }
    shell.leave();
    Ok(shell.succeeded())
}

fn print_event(text: String) {
    // Nobody hears of events once the output has gone; the next command finds that out.
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}
