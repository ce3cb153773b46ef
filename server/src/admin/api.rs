use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use quorate::peer::{Role, SessionReport};
use quorate::protocol::words::ConnectionReport;
use quorate::{ServerId, SessionId, ZnodePath};
use serde_json::{Value, json};

use super::Admin;
use super::browser::{Unseen, hex};
use super::commands::by_path;
use super::facts::{Facts, role_name};
use crate::observe::Sample;

pub(super) fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/api/overview", get(overview))
        .route("/api/facts", get(facts))
        .route("/api/tree", get(tree))
}

async fn overview(State(admin): State<Arc<Admin>>) -> Response {
    let facts = match Facts::of(&admin).await {
        Ok(facts) => facts,
        Err(error) => return failure(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    };
    let status = &facts.status;
    let samples = admin.history.samples();
    let series = |of: fn(&Sample) -> f64| {
        samples.iter().map(|sample| (of(sample) * 100.0).round() / 100.0).collect::<Vec<_>>()
    };
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "server": status.server.number(),
        "mode": facts.mode(),
        "serving": status.serving,
        "leader": status.leader.map(ServerId::number),
        "epoch": status.epoch.number(),
        "logged": hex(status.logged.as_u64()),
        "committed": hex(status.committed.as_u64()),
        "applied": hex(status.applied.as_u64()),
        "digest": format!("{:016x}", status.digest),
        "znodes": status.znodes,
        "sessions": status.sessions,
        "clients": status.clients,
        "watches": status.watches,
        "up_ms": facts.up.as_millis() as u64,
        "ensemble": ensemble(&admin, &facts).await,
        "history": {
            "at": samples.iter().map(|sample| sample.at).collect::<Vec<_>>(),
            "reads": series(|s| s.reads),
            "writes": series(|s| s.writes),
            "events": series(|s| s.events),
            "read_ms": series(|s| s.read_ms),
            "write_ms": series(|s| s.write_ms),
            "fsync_ms": series(|s| s.fsync_ms),
            "sessions": series(|s| s.sessions as f64),
            "clients": series(|s| s.clients as f64),
            "watches": series(|s| s.watches as f64),
        },
    }))
    .into_response()
}

/// Every server as far as this one can know: itself, what a leader knows of its learners, and what the others say when
/// they are asked.
async fn ensemble(admin: &Admin, facts: &Facts) -> Vec<Value> {
    let status = &facts.status;
    let words = admin.neighbours.ask(facts.now.time).await;
    let members = admin.plan.node.peer.ensemble.members();
    let rows = members.map(|(id, member)| {
        let address = admin.cfg.servers.get(&id.number()).map(|server| server.line.quorum.to_string());
        let learner = status.learners.iter().find(|learner| learner.server == id);
        let word = words.get(&id);
        let said = word.and_then(Option::as_ref);
        let role = if id == status.server {
            facts.mode().to_owned()
        } else if let Some(said) = said {
            said.mode.clone()
        } else if matches!(word, Some(None)) && learner.is_none() {
            "away".to_owned()
        } else if status.leader == Some(id) {
            role_name(Role::Leading).to_owned()
        } else if learner.is_some() {
            role_name(if member.voting { Role::Following } else { Role::Observing }).to_owned()
        } else {
            "unknown".to_owned()
        };
        let behind = learner.and_then(|learner| {
            let (theirs, ours) = (learner.acknowledged, status.logged);
            (theirs.epoch() == ours.epoch()).then(|| ours.counter().saturating_sub(theirs.counter()))
        });
        json!({
            "id": id.number(),
            "me": id == status.server,
            "voting": member.voting,
            "weight": member.weight,
            "address": address,
            "role": role,
            "zxid": if id == status.server { Some(hex(status.applied.as_u64())) } else { said.map(|said| said.zxid.clone()) },
            "connections": said.map(|said| said.connections).or((id == status.server).then_some(status.clients)),
            "latency": said.map(|said| said.latency.clone()),
            "synced": learner.map(|learner| learner.synced),
            "behind": behind,
            "silent_ms": learner.map(|learner| learner.silent_for.as_millis() as u64),
        })
    });
    rows.collect()
}

/// How many rows of each list are shown.
const ROWS: usize = 200;

/// The lists: sessions, connections, watches.
async fn facts(State(admin): State<Arc<Admin>>) -> Response {
    let facts = match Facts::in_full(&admin).await {
        Ok(facts) => facts,
        Err(error) => return failure(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    };
    let inspection = &facts.report.inspection;
    let sessions: Vec<_> = inspection.sessions.iter().take(ROWS).map(session).collect();
    let connections: Vec<_> = facts.report.connections.iter().take(ROWS).map(connection).collect();
    let by_path = by_path(&inspection.watches);
    let watches: Vec<_> = by_path
        .iter()
        .take(ROWS)
        .map(|(path, sessions)| json!({"path": path, "sessions": sessions}))
        .collect();
    Json(json!({
        "sessions_more": inspection.sessions.len() > ROWS,
        "connections_more": facts.report.connections.len() > ROWS,
        "watches_more": by_path.len() > ROWS,
        "sessions": sessions,
        "connections": connections,
        "watches": watches,
    }))
    .into_response()
}

fn session(known: &SessionReport) -> Value {
    json!({
        "id": hex(known.session.as_u64()),
        "timeout_ms": known.timeout_millis,
        "here": known.is_here,
        "ephemerals": known.ephemerals.iter().take(ROWS).map(ZnodePath::as_str).collect::<Vec<_>>(),
    })
}

fn connection(connection: &ConnectionReport) -> Value {
    let latency = &connection.activity.latency;
    let session = Some(connection.session).filter(|session| *session != SessionId::NONE);
    let (least, mean, most) = (latency.min.as_millis(), latency.average_millis(), latency.max.as_millis());
    json!({
        "address": format!("{}{}", connection.address, if connection.is_secure { " (TLS)" } else { "" }),
        "session": session.map(|session| hex(session.as_u64())),
        "received": connection.activity.received,
        "sent": connection.activity.sent,
        "waiting": connection.outstanding,
        "latency": format!("{least} / {mean:.1} / {most}"),
    })
}

async fn tree(State(admin): State<Arc<Admin>>, Query(asked): Query<BTreeMap<String, String>>) -> Response {
    let path = asked.get("path").map_or("/", String::as_str);
    match admin.browser.node(path).await {
        Ok(node) => Json(node).into_response(),
        Err(Unseen::Refused(code)) => {
            let status = match code {
                quorate::ErrorCode::NoNode => StatusCode::NOT_FOUND,
                quorate::ErrorCode::NoAuth => StatusCode::FORBIDDEN,
                _ => StatusCode::BAD_REQUEST,
            };
            failure(status, code.to_string())
        }
        Err(Unseen::Unavailable(why)) => failure(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

pub(super) fn failure(status: StatusCode, error: String) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
