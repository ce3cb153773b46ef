//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::process;
use crate::run::{self, LogFormat};
use crate::shell::{self, ShellArgs};
use crate::up;

/// A coordination server: ZooKeeper's model and protocol, without a JVM
#[derive(Parser, Debug)]
#[command(name = "quorate", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  quorate server zoo.cfg        Run the server of this configuration until it is stopped
  quorate start zoo.cfg         The same in the background
  quorate status zoo.cfg        Say whether it leads or follows
  quorate shell ls /            Ask the server at localhost:2181 for the children of the root
  quorate up                    Three servers at once, to develop against

A zoo.cfg for one server:
  tickTime=2000
  dataDir=/var/lib/quorate
  clientPort=2181

One for three adds, on all of them, and a file dataDir/myid with the server's number:
  initLimit=10
  syncLimit=5
  server.1=zk1.example:2888:3888
  server.2=zk2.example:2888:3888
  server.3=zk3.example:2888:3888
  sslQuorum=true
  ssl.quorum.keyStore.location=/etc/quorate/server.pem
  ssl.quorum.trustStore.location=/etc/quorate/ca.pem
All traffic between servers uses the first of the two ports.

Exit codes: 0 done, 1 it failed, 2 the configuration is refused, 3 the data directory cannot be used.";

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a server in the foreground
    ///
    /// Stops cleanly on SIGTERM and SIGINT. What it acknowledged survives SIGKILL and a power cut. Logs go to
    /// stderr; RUST_LOG chooses how much (error, warn, info, debug, or module=level).
    #[command(visible_alias = "start-foreground")]
    Server(Server),
    /// Start a server in the background
    ///
    /// Its log is quorate.log in dataDir (or in $ZOO_LOG_DIR), its number quorate.pid.
    Start(Configured),
    /// Stop the server that was started
    Stop(Configured),
    /// Stop the server, then start it
    Restart(Configured),
    /// Say how the server is doing: leader, follower, observer or standalone
    ///
    /// Asks `srvr` on the client port; 4lw.commands.whitelist must have it, and has by default.
    Status(Configured),
    /// Talk to a server: zkCli's commands, interactive or one at a time
    ///
    /// Options stand before the command, with one dash as in zkCli: -server (default localhost:2181; more behind
    /// commas, then perhaps a path that all others are below), -timeout in milliseconds (default 30000), -r for a
    /// server that only reads. Without a command it reads them from the terminal or a pipe; `help` lists them.
    Shell(ShellArgs),
    /// Run a whole ensemble on this machine, for development
    ///
    /// Prints the connection string and how the servers are doing, until Ctrl-C.
    Up(up::Options),
}

#[derive(clap::Args, Debug)]
struct Configured {
    /// The configuration file
    #[arg(value_name = "ZOO_CFG")]
    config: PathBuf,
}

#[derive(clap::Args, Debug)]
struct Server {
    #[command(flatten)]
    configured: Configured,
    /// How to write the log
    #[arg(long, value_enum, default_value_t = LogFormat::Human)]
    log_format: LogFormat,
    /// Leave the terminal: what `start` does.
    #[arg(long, hide = true)]
    detached: bool,
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(dispatch(cli.command)),
        Err(error) => {
            eprintln!("quorate: the threads could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command) -> ExitCode {
    match command {
        Command::Server(server) => {
            run::main(&server.configured.config, server.log_format, server.detached).await
        }
        Command::Start(configured) => process::start(&configured.config).await,
        Command::Stop(configured) => process::stop(&configured.config).await,
        Command::Restart(configured) => process::restart(&configured.config).await,
        Command::Status(configured) => process::status(&configured.config).await,
        Command::Shell(args) => shell::main(&args),
        Command::Up(options) => up::main(options).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
