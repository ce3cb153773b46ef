use std::io;

use tracing_subscriber::EnvFilter;

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object in each line.
    Json,
}

/// Writes the log to stderr from here on.
pub(super) fn start(format: LogFormat) {
    start_at(format, "info");
}

/// As `start`, with this much of it unless `RUST_LOG` says how much.
pub(crate) fn start_at(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let set = match format {
        LogFormat::Human => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    if let Err(error) = set {
        // Only where a host has its own log already.
        tracing::debug!("the log is written by somebody else: {error}");
    }
}
