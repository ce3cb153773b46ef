use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::time::timeout;

use super::Admin;

/// A server that does not say within this how it is does not live.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn router() -> Router<Arc<Admin>> {
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready))
}

/// 200 while the server runs, with a quorum or without: it is no reason to start it again.
async fn live(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
    match timeout(PATIENCE, admin.node.status()).await {
        Ok(Ok(_)) => (StatusCode::OK, "live\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the server does not answer\n"),
    }
}

/// 200 while the server answers clients.
async fn ready(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
    match timeout(PATIENCE, admin.node.status()).await {
        Ok(Ok(status)) if status.serving => (StatusCode::OK, "ready\n"),
        Ok(Ok(_)) => (StatusCode::SERVICE_UNAVAILABLE, "there is no quorum in reach\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the server does not answer\n"),
    }
}
