use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use quorate::node::NodeError;
use quorate::peer::ConfigError;
use quorate::protocol::TlsError;
use quorate::storage::StorageError;
use quorate::transport::tcp::TransportError;
use thiserror::Error;

use crate::config::Refused;

/// Why a server does not run, or runs no longer. What it acknowledged is on its disk.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// A file that is needed cannot be read. Nothing was started.
    #[error("{file} cannot be read: {source}; correct the path, or its permissions")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration is wrong. Nothing was started.
    #[error("the configuration is refused:\n{0}")]
    Refused(#[from] Refused),
    /// The configuration contradicts itself. Nothing was started.
    #[error("the configuration is refused: {0}")]
    Config(#[from] ConfigError),
    /// The directory cannot be written. Nothing was started.
    #[error("{dir} cannot be used for data: {source}; let the server's user write there")]
    DataDirectory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process serves this directory. Nothing was started.
    #[error("process {pid} runs on {dir} already; stop it first, or give this server a dataDir of its own")]
    Running {
        /// The process.
        pid: String,
        /// The directory.
        dir: PathBuf,
    },
    /// The storage cannot be opened. Nothing was started.
    #[error("the data cannot be opened: {0}")]
    Storage(#[from] StorageError),
    /// A host name stands for no address. Nothing was started.
    #[error("`{host}` stands for no address of this machine: {reason}; correct the name")]
    Unresolved {
        /// The name.
        host: String,
        /// Why.
        reason: String,
    },
    /// A port cannot be had. Nothing was started.
    #[error("{what}: could not listen at {address}: {source}; is the port taken?")]
    Listen {
        /// For whom it is.
        what: &'static str,
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The way to the other servers cannot be opened. Nothing was started.
    #[error("the quorum port: {0}")]
    Transport(#[from] TransportError),
    /// The port for clients with TLS cannot be opened. Nothing was started.
    #[error(
        "the secure client port: {0}; correct the files of ssl.keyStore.location and ssl.trustStore.location"
    )]
    ClientTls(#[from] TlsError),
    /// The machine lacks something that every process has: entropy, a clock, threads.
    #[error("the machine gives no {what}: {source}")]
    Machine {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The server stopped by itself.
    #[error("the server stopped: {0}")]
    Node(#[from] NodeError),
    /// The server's task ended without a word: a fault of the software.
    #[error("the server ended without saying why; please report the lines above")]
    Vanished,
}

impl Failure {
    /// 2 where the configuration is to be corrected, 3 where the data directory is, otherwise 1.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unreadable { .. } | Self::Refused(_) | Self::Config(_) => ExitCode::from(2),
            Self::DataDirectory { .. }
            | Self::Running { .. }
            | Self::Storage(_)
            | Self::Node(NodeError::Storage(_) | NodeError::Restore { .. } | NodeError::SnapshotGap { .. }) => {
                ExitCode::from(3)
            }
            _ => ExitCode::FAILURE,
        }
    }
}
