use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::{Node, NodeDriver, SystemClock, entropy};

use crate::peer::{ConfigError, Ensemble, PeerConfig};
use crate::storage::{FileStorage, FileStorageOptions, StorageError};
use crate::transport::tcp::{Security, TcpConfig, TcpTransport, TransportError};
use crate::types::ServerId;

impl Node {
    /// Prepares the server that most services embed: on files in `dir`, over TCP between all of `peers`, which vote by
    /// majority, by the machine's clock. Every other choice is for [`start`](Self::start), which this calls.
    ///
    /// `options` say which server of which ensemble it is; it listens at its own address among `peers`. The directory must
    /// have been [formatted](FileStorage::format) once, or `options` say what an empty one means. To be called within a
    /// tokio runtime, for the sake of the connections; the future runs on any executor.
    ///
    /// ```no_run
    /// use std::collections::BTreeMap;
    ///
    /// use quorate::node::{EmbedError, Node};
    /// use quorate::storage::{FileStorageOptions, IfEmpty};
    /// use quorate::transport::tcp::Security;
    /// use quorate::{ClusterId, ServerId};
    ///
    /// # fn example() -> Result<(), EmbedError> {
    /// let peers = BTreeMap::from([1, 2, 3].map(|n| (ServerId::new(n), format!("127.0.0.1:{}", 7100 + n))));
    /// let options = FileStorageOptions::new(ClusterId::new(42), ServerId::new(1), IfEmpty::AwaitSync);
    /// let (node, driver) = Node::embed("data/server-1", options, peers, Security::LoopbackOnly)?;
    /// tokio::spawn(driver);
    /// # drop(node);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the directory or the address cannot be had, or the addresses cannot work. No server was started.
    pub fn embed(
        dir: impl Into<PathBuf>,
        options: FileStorageOptions,
        peers: BTreeMap<ServerId, String>,
        security: Security,
    ) -> Result<(Self, NodeDriver), EmbedError> {
        let (cluster, server) = (options.cluster, options.server);
        let ensemble = Ensemble::majority(peers.keys().copied());
        let config = PeerConfig::new(cluster, server, ensemble, entropy()?);
        config.validate()?;
        let clock = Arc::new(SystemClock::new()?);
        let storage = Arc::new(FileStorage::open(dir, options)?);
        let tcp = TcpTransport::bind(TcpConfig::among(peers, cluster, server, security)?)?;
        Ok(Self::start(config.into(), Arc::new(tcp), storage, clock)?)
    }
}

/// Why [`Node::embed`] prepared no server. Nothing was started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// The servers that were named do not make an ensemble with this one in it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The directory cannot be had.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The address cannot be had, or is not allowed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The operating system gives no entropy, or no thread for the clock.
    #[error("the operating system gives no entropy or no thread ({0}); see to its limits")]
    System(#[from] io::Error),
}
