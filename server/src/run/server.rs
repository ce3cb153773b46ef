use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use quorate::node::{Node, NodeError, SystemClock};
use quorate::protocol::Service;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::host::Host;
use super::{Failure, Loaded, PidFile, clients, files, peers};
use crate::admin::Admin;
use crate::config::HostPort;
use crate::observe::Counters;

/// How long clients have to take what waits for them when the server stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// A server that runs: the node and all that listens for it.
pub struct Server {
    node: Node,
    /// None once it has ended.
    driver: Option<JoinHandle<Result<(), NodeError>>>,
    services: Vec<Service>,
    /// The work of those.
    doors: JoinSet<()>,
    admin: Arc<Admin>,
    /// What else listens and looks; ends with the server.
    tasks: JoinSet<()>,
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
        let storage = Arc::new(files::open(&plan)?);
        files::forget_initialize(&plan.directories.data)?;
        let transport = peers::open(&plan.node, plan.peers.as_ref()).await?;
        let counters = Arc::new(Counters::default());
        let observer = Arc::clone(&counters);
        let (node, driver) =
            Node::start_observed(plan.node.clone(), transport, storage, clock.clone(), observer)?;
        let (mut doors, mut tasks) = (JoinSet::new(), JoinSet::new());
        let host = Host::new(&cfg, &plan, Arc::clone(&counters));
        let services = clients::open(&node, &cfg, &plan.clients, host, &mut doors).await?;
        // From here on nothing can fail.
        let driver = Some(tokio::spawn(driver));
        let admin =
            Admin::new(node.clone(), services.first().cloned(), clock, counters, cfg.clone(), plan.clone());
        tasks.spawn(Arc::clone(&admin).look());
        open_admin(&mut tasks, &admin, cfg.admin.as_ref(), cfg.metrics.as_ref()).await;
        tracing::info!(
            server = %plan.server(),
            data = %plan.directories.data.display(),
            standalone = cfg.standalone,
            "the server runs"
        );
        Ok(Self { node, driver, services, doors, admin, tasks, _pid: pid })
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// What is counted and kept of it.
    #[must_use]
    pub fn admin(&self) -> &Arc<Admin> {
        &self.admin
    }

    /// Waits until the server ends by itself, which it does when it fails; gives the reason.
    pub async fn ended(&mut self) -> Failure {
        let Some(driver) = &mut self.driver else { return Failure::Vanished };
        let ended = driver.await;
        self.driver = None;
        match ended {
            Ok(Err(error)) => error.into(),
            // A node that nobody told to stop does not end well.
            Ok(Ok(())) | Err(_) => Failure::Vanished,
        }
    }

    /// Runs until `stop` resolves, with the reason, or the server fails.
    ///
    /// # Errors
    ///
    /// Why it failed.
    pub async fn run(mut self, stop: impl Future<Output = &'static str> + Send) -> Result<(), Failure> {
        tokio::select! {
            failure = self.ended() => Err(failure),
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
    pub async fn stop(mut self) -> Result<(), Failure> {
        for service in &self.services {
            service.stop();
        }
        // Clients are told what waits for them, if they take it soon.
        let told = async { while self.doors.join_next().await.is_some() {} };
        if timeout(FAREWELL, told).await.is_err() {
            tracing::debug!("some clients did not take what waited for them");
        }
        self.node.shutdown();
        self.tasks.abort_all();
        if let Some(driver) = self.driver.take() {
            driver.await.map_err(|_| Failure::Vanished)??;
        }
        tracing::info!("the server has stopped");
        Ok(())
    }
}

/// Opens the admin server and the port for metrics. A server without them is better than none: as in ZooKeeper it runs
/// nevertheless.
async fn open_admin(
    tasks: &mut JoinSet<()>,
    admin: &Arc<Admin>,
    at: Option<&HostPort>,
    metrics: Option<&HostPort>,
) {
    if let Some((listener, at)) = listen(at, "the admin server", "admin.serverPort").await {
        tracing::info!("the admin page is at http://{at}/");
        let admin = Arc::clone(admin);
        tasks.spawn(async move { ended("the admin server", admin.serve(listener).await) });
    }
    if let Some((listener, at)) = listen(metrics, "the port for metrics", "metricsProvider.httpPort").await {
        tracing::info!("metrics are at http://{at}/metrics");
        let admin = Arc::clone(admin);
        tasks.spawn(async move { ended("the port for metrics", admin.serve_metrics(listener).await) });
    }
}

async fn listen<'a>(
    at: Option<&'a HostPort>,
    what: &'static str,
    key: &'static str,
) -> Option<(TcpListener, &'a HostPort)> {
    let at = at?;
    match TcpListener::bind((at.host.as_str(), at.port)).await {
        Ok(listener) => Some((listener, at)),
        Err(error) => {
            tracing::error!(
                "{what} could not listen at {at}: {error}; the server runs without it; write another {key}"
            );
            None
        }
    }
}

fn ended(what: &'static str, result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::error!("{what} has ended: {error}");
    }
}
