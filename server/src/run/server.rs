use std::future::Future;
use std::sync::Arc;

use quorate::node::{Node, NodeError, SystemClock};
use tokio::task::JoinHandle;

use super::{Failure, Loaded, PidFile, files, peers};

/// A server that runs: the node and all that listens for it.
#[derive(Debug)]
pub struct Server {
    node: Node,
    driver: JoinHandle<Result<(), NodeError>>,
    _pid: PidFile,
}

impl Server {
    /// Opens the data, the ports and the node, in this order.
    ///
    /// # Errors
    ///
    /// The first that could not be had; then nothing runs.
    pub async fn start(loaded: Loaded) -> Result<Self, Failure> {
        let Loaded { cfg, plan, .. } = loaded;
        let pid = PidFile::hold(&plan.directories.data)?;
        let clock =
            Arc::new(SystemClock::new().map_err(|source| Failure::Machine { what: "clock", source })?);
        let storage = Arc::new(files::open(&plan.directories, plan.storage.clone())?);
        files::forget_initialize(&plan.directories.data)?;
        let transport = peers::open(&plan.node, plan.peers.as_ref()).await?;
        let (node, driver) = Node::start(plan.node.clone(), transport, storage, clock)?;
        let driver = tokio::spawn(driver);
        tracing::info!(
            server = %plan.server(),
            data = %plan.directories.data.display(),
            standalone = cfg.standalone,
            "the server runs"
        );
        Ok(Self { node, driver, _pid: pid })
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Runs until `stop` resolves, with the reason, or the server fails.
    ///
    /// # Errors
    ///
    /// Why it failed.
    pub async fn run(mut self, stop: impl Future<Output = &'static str> + Send) -> Result<(), Failure> {
        tokio::select! {
            ended = &mut self.driver => {
                ended.map_err(|_| Failure::Vanished)??;
                // A node that nobody told to stop does not end well.
                Err(Failure::Vanished)
            }
            why = stop => {
                tracing::info!("{why}: the server stops");
                self.stop().await
            }
        }
    }

    /// Stops: what is being written is finished, clients are disconnected, sessions go on.
    ///
    /// # Errors
    ///
    /// When the storage failed on the way.
    pub async fn stop(self) -> Result<(), Failure> {
        self.node.shutdown();
        self.driver.await.map_err(|_| Failure::Vanished)??;
        tracing::info!("the server has stopped");
        Ok(())
    }
}
