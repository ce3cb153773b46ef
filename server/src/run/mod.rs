//! One server in the foreground: from a configuration file to exit code.

mod clients;
mod failure;
mod files;
mod host;
mod load;
pub(crate) mod logging;
mod peers;
mod pid_file;
mod server;
pub(crate) mod signals;
mod split;

use std::path::Path;
use std::process::ExitCode;

pub use failure::Failure;
pub use load::{Loaded, load};
pub use logging::LogFormat;
pub(crate) use pid_file::path as pid_path;
pub use pid_file::{PidFile, running};
pub use server::Server;

/// Runs the server of this file until it is told to stop, or fails.
pub async fn main(file: &Path, format: LogFormat, detached: bool) -> ExitCode {
    logging::start(format);
    if detached {
        signals::leave_terminal();
    }
    match serve(file).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The log may be JSON and elsewhere; what ends the program is told plainly too.
            tracing::error!("{failure}");
            eprintln!("quorate: {failure}");
            failure.exit_code()
        }
    }
}

async fn serve(file: &Path) -> Result<(), Failure> {
    let loaded = load(file)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let server = Server::start(loaded).await?;
    server.run(signals::stop()).await
}
