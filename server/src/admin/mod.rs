//! The admin server: HTTP for operators, scripts, Prometheus, and a page for people.
//!
//! | path | what |
//! |---|---|
//! | `/` | the page: ensemble, charts, tree, sessions, watches |
//! | `/commands`, `/commands/NAME` | ZooKeeper's commands, as JSON |
//! | `/metrics` | ZooKeeper's metrics, as Prometheus reads them |
//! | `/health/live`, `/health/ready` | 200 or 503: the server runs; it answers clients |
//! | `/api/…` | what the page shows |
//!
//! It reads and never writes. It has no log-in: it listens on the loopback address unless the
//! configuration says otherwise, shows the data of those nodes only that everybody may read, and, where it listens on a loopback
//! address, answers only requests that were made to one, so that no web page can read it through the browser of somebody who
//! sits there. It takes 64 connections at a time, at each port, and ends one that stands still for half a minute.

mod api;
mod browser;
mod commands;
pub(crate) mod disk;
mod facts;
mod health;
mod listener;
mod metrics;
mod neighbours;
mod page;
pub(crate) mod settings;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use quorate::Now;
use quorate::node::{Clock, Node};
use quorate::protocol::Service;
use tokio::net::TcpListener;
use tokio::time::sleep;

use self::browser::Browser;
use self::listener::BoundedListener;
use self::neighbours::Neighbours;
use crate::config::{Plan, ZooCfg};
use crate::observe::{Counters, History};

/// All that the admin server shows.
pub struct Admin {
    node: Node,
    service: Option<Service>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    history: History,
    browser: Browser,
    neighbours: Neighbours,
    cfg: ZooCfg,
    plan: Plan,
    started: Now,
    directories: [PathBuf; 2],
}

impl Admin {
    /// What there is to show of a server.
    #[must_use]
    pub fn new(
        node: Node,
        service: Option<Service>,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
        cfg: ZooCfg,
        plan: Plan,
    ) -> Arc<Self> {
        Arc::new(Self {
            browser: Browser::new(node.clone(), Arc::clone(&clock)),
            neighbours: Neighbours::new(&cfg, plan.server()),
            started: clock.now(),
            directories: plan.directories.both(),
            history: History::default(),
            node,
            service,
            clock,
            counters,
            cfg,
            plan,
        })
    }

    /// The last ten minutes.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Everything, as an axum router.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .merge(page::router())
            .merge(api::router())
            .merge(commands::router())
            .merge(health::router())
            .route("/metrics", get(metrics::show))
            .with_state(Arc::clone(self))
    }

    /// Keeps the charts going; ends with the server.
    pub async fn look(self: Arc<Self>) {
        while let Ok(status) = self.node.status().await {
            self.history.look(self.clock.now(), self.counters.totals(), &status);
            self.browser.rest();
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Serves everything at this listener until it is dropped.
    ///
    /// # Errors
    ///
    /// When the listener fails for good.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> std::io::Result<()> {
        let loopback = listener.local_addr()?.ip().is_loopback();
        let router = self.router();
        let router = if loopback { router.layer(from_fn_with_state((), only_from_here)) } else { router };
        axum::serve(BoundedListener::new(listener), router).await
    }

    /// Serves nothing but the metrics at this listener, as ZooKeeper's `PrometheusMetricsProvider` does.
    ///
    /// # Errors
    ///
    /// When the listener fails for good.
    pub async fn serve_metrics(self: Arc<Self>, listener: TcpListener) -> std::io::Result<()> {
        let router = Router::new().route("/metrics", get(metrics::show)).with_state(self);
        axum::serve(BoundedListener::new(listener), router).await
    }
}

pub(crate) use metrics::of_totals as own_metrics;

/// A page of another site can make a browser ask a loopback address under a name that it chose; that name is then in
/// the request.
async fn only_from_here(State(()): State<()>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_none_or(is_here) {
        return next.run(request).await;
    }
    let text = "this admin server listens on a loopback address and answers only under such an address; to open it to a \
                network write admin.serverAddress\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
