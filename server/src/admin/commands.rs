use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use quorate::peer::{Role, WatchReport};
use quorate::protocol::words::{ConnectionReport, VERSION};
use quorate::{SessionId, ZnodePath};
use serde_json::{Map, Value, json};

use super::browser::hex;
use super::facts::Facts;
use super::{Admin, disk, metrics, settings};

/// Every command by its name, its other names, and what it tells.
const COMMANDS: &[(&str, &[&str], &str)] = &[
    ("configuration", &["conf", "config"], "the settings of this server"),
    ("connections", &["cons"], "the connections of clients"),
    ("dirs", &[], "the sizes of the directories, in bytes"),
    ("dump", &[], "the sessions and their ephemeral nodes"),
    ("environment", &["env", "envi"], "what the program runs on"),
    ("hash", &[], "the digest of the state, which is equal on all servers at equal zxid"),
    ("is_read_only", &["isro"], "whether the server answers reads only; it never does"),
    ("last_snapshot", &["lsnp"], "the newest snapshot on the disk"),
    ("leader", &["lead"], "who leads"),
    ("monitor", &["mntr"], "all metrics"),
    ("observers", &["obsr"], "the observers of this leader"),
    ("ruok", &[], "nothing; that it answers is the answer"),
    ("server_stats", &["srvr"], "how the server is doing"),
    ("stats", &["stat"], "the same, with the connections"),
    ("voting_view", &[], "the servers that vote"),
    ("watches", &["wchc"], "what is watched, by session"),
    ("watches_by_path", &["wchp"], "what is watched, by path"),
    ("watch_summary", &["wchs"], "how many watches there are"),
    ("zabstate", &[], "which phase of the protocol the server is in"),
];

pub(super) fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/commands", get(list))
        .route("/commands/", get(list))
        .route("/commands/{name}", get(run))
}

async fn list() -> Response {
    let links = COMMANDS.iter().map(|(name, others, what)| {
        let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
        format!("<li><a href=\"/commands/{name}\">{name}</a>{others}: {what}</li>\n")
    });
    let text =
        format!("<!doctype html><title>quorate commands</title><ul>\n{}</ul>\n", links.collect::<String>());
    ([(header::CONTENT_SECURITY_POLICY, "default-src 'none'")], Html(text)).into_response()
}

async fn run(State(admin): State<Arc<Admin>>, Path(asked): Path<String>) -> Response {
    let known = COMMANDS.iter().find(|(name, others, _)| *name == asked || others.contains(&asked.as_str()));
    let Some((name, ..)) = known else {
        return answer(&asked, StatusCode::NOT_FOUND, Err(format!("Unknown command: {asked}")));
    };
    let lists =
        ["connections", "dump", "stats", "watches", "watches_by_path", "watch_summary"].contains(name);
    let facts = if lists { Facts::in_full(&admin).await } else { Facts::of(&admin).await };
    let facts = match facts {
        Ok(facts) => facts,
        Err(error) => return answer(name, StatusCode::SERVICE_UNAVAILABLE, Err(error.to_string())),
    };
    // These ask for nothing that a server without a quorum does not know.
    let always =
        ["configuration", "environment", "is_read_only", "last_snapshot", "ruok", "zabstate", "dirs"];
    if !facts.status.serving && !always.contains(name) {
        let error = "This ZooKeeper instance is not currently serving requests".to_owned();
        return answer(name, StatusCode::SERVICE_UNAVAILABLE, Err(error));
    }
    answer(name, StatusCode::OK, Ok(tell(&admin, &facts, name)))
}

/// What ZooKeeper's admin server answers: the command, an error or none, and what was asked for.
fn answer(name: &str, status: StatusCode, told: Result<Map<String, Value>, String>) -> Response {
    let (mut fields, error) = match told {
        Ok(fields) => (fields, Value::Null),
        Err(error) => (Map::new(), Value::String(error)),
    };
    fields.insert("command".to_owned(), json!(name));
    fields.insert("error".to_owned(), error);
    (status, Json(Value::Object(fields))).into_response()
}

fn tell(admin: &Admin, facts: &Facts, name: &str) -> Map<String, Value> {
    let status = &facts.status;
    let told = match name {
        "configuration" => Value::Object(settings::json(&admin.cfg, &admin.plan)),
        "connections" => connections(&facts.report.connections),
        "dirs" => {
            let [snapshots, log] = &admin.directories;
            json!({"datadir_size": disk::size(snapshots), "logdir_size": disk::size(log)})
        }
        "dump" => dump(facts),
        "environment" => environment(),
        "hash" => json!({"digests": [{
            "zxid": status.applied.as_u64(), "digest": status.digest, "digestVersion": 1,
        }]}),
        "is_read_only" => json!({"read_only": false}),
        "last_snapshot" => match disk::last_snapshot(&admin.directories[0]) {
            Some((zxid, at)) => json!({"zxid": hex(zxid), "timestamp": at}),
            None => json!({"zxid": "0x0", "timestamp": 0}),
        },
        "leader" => leader(admin, facts),
        "monitor" => {
            let mut fields = metrics::json(&metrics::collect(facts));
            fields.insert("version".to_owned(), json!(version()));
            fields.insert("server_state".to_owned(), json!(facts.mode()));
            fields.insert("peer_state".to_owned(), json!(peer_state(facts)));
            Value::Object(fields)
        }
        "observers" => {
            let observers: Vec<_> = status.learners.iter().filter(|learner| !learner.voting).collect();
            json!({
                "synced_observers": observers.iter().filter(|learner| learner.synced).count(),
                "observers": observers.iter().map(|learner| learner.server.number()).collect::<Vec<_>>(),
            })
        }
        "server_stats" => server_stats(admin, facts),
        "stats" => {
            let mut stats = server_stats(admin, facts);
            if let (Some(stats), Value::Object(lists)) =
                (stats.as_object_mut(), connections(&facts.report.connections))
            {
                stats.extend(lists);
            }
            stats
        }
        "voting_view" => voting_view(admin),
        "watches" => {
            let watched = facts.report.inspection.watches.iter();
            let by_session: Map<_, _> =
                watched.map(|w| (session(w.session), json!(texts(&w.paths)))).collect();
            json!({ "session_id_to_watched_paths": by_session })
        }
        "watches_by_path" => json!({ "path_to_session_ids": by_path(&facts.report.inspection.watches) }),
        "watch_summary" => {
            let watched = &facts.report.inspection.watches;
            json!({
                "num_connections": watched.len(),
                "num_paths": by_path(watched).len(),
                "num_total_watches": status.watches,
            })
        }
        "zabstate" => {
            let member = admin.plan.node.peer.ensemble.member(status.server);
            let phase = if status.role == Role::Looking {
                "election"
            } else if status.serving {
                "broadcast"
            } else {
                "synchronization"
            };
            json!({"zabstate": phase, "voting": member.is_some_and(|member| member.voting)})
        }
        _ => json!({}),
    };
    match told {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn version() -> &'static str {
    VERSION
}

/// As ZooKeeper writes the ids of sessions.
fn session(id: SessionId) -> String {
    hex(id.as_u64())
}

fn texts(paths: &[ZnodePath]) -> Vec<&str> {
    paths.iter().map(ZnodePath::as_str).collect()
}

/// Who watches each path.
pub(super) fn by_path(watches: &[WatchReport]) -> BTreeMap<&str, Vec<String>> {
    let mut by_path: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for watched in watches {
        for path in &watched.paths {
            by_path.entry(path.as_str()).or_default().push(session(watched.session));
        }
    }
    by_path
}

fn connections(connections: &[ConnectionReport]) -> Value {
    let told = |secure: bool| {
        let of_kind = connections.iter().filter(|connection| connection.is_secure == secure);
        of_kind.map(connection).collect::<Vec<_>>()
    };
    json!({"connections": told(false), "secure_connections": told(true)})
}

fn connection(connection: &ConnectionReport) -> Value {
    let activity = &connection.activity;
    json!({
        "remote_socket_address": connection.address.to_string(),
        "session_id": session(connection.session),
        "session_timeout": connection.timeout_millis,
        "outstanding_requests": connection.outstanding,
        "packets_received": activity.received,
        "packets_sent": activity.sent,
        "established": connection.established_millis,
        "last_operation": activity.last.and_then(|last| last.op.name()),
        "last_cxid": activity.last.map(|last| format!("{:#x}", last.xid)),
        "last_zxid": activity.last.map(|last| hex(last.zxid.as_u64())),
        "last_response_time": connection.answered_millis,
        "last_latency": activity.latency.last.as_millis() as u64,
        "min_latency": activity.latency.min.as_millis() as u64,
        "avg_latency": activity.latency.average_millis(),
        "max_latency": activity.latency.max.as_millis() as u64,
    })
}

/// ZooKeeper groups sessions by when they would expire, which only a leader knows; here they are grouped by their timeout.
fn dump(facts: &Facts) -> Value {
    let sessions = &facts.report.inspection.sessions;
    let mut by_timeout: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for known in sessions {
        by_timeout.entry(known.timeout_millis.to_string()).or_default().push(session(known.session));
    }
    let ephemerals = sessions.iter().filter(|known| !known.ephemerals.is_empty());
    let ephemerals: Map<_, _> =
        ephemerals.map(|known| (session(known.session), json!(texts(&known.ephemerals)))).collect();
    json!({"timeout_to_session_ids": by_timeout, "session_id_to_ephemeral_paths": ephemerals})
}

fn peer_state(facts: &Facts) -> &'static str {
    match facts.status.role {
        Role::Looking => "looking",
        Role::Following => "following - broadcast",
        Role::Leading => "leading - broadcast",
        Role::Observing => "observing - broadcast",
    }
}

/// What ZooKeeper tells of Java we have not; no variable of the environment is told, since secrets may be among them.
fn environment() -> Value {
    json!({
        "quorate.version": version(),
        "os.name": std::env::consts::OS,
        "os.arch": std::env::consts::ARCH,
        "user.dir": std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default(),
        "pid": std::process::id(),
    })
}

fn leader(admin: &Admin, facts: &Facts) -> Value {
    let leader = facts.status.leader;
    let line = leader.and_then(|leader| admin.cfg.servers.get(&leader.number()));
    json!({
        "is_leader": facts.status.role == Role::Leading,
        "leader_id": leader.map(quorate::ServerId::number),
        "leader_ip": line.map(|line| line.line.quorum.host.clone()),
    })
}

fn server_stats(admin: &Admin, facts: &Facts) -> Value {
    let [snapshots, log] = &admin.directories;
    let activity = &facts.report.activity;
    json!({
        "version": version(),
        "read_only": false,
        "server_stats": {
            "server_state": facts.mode(),
            "last_processed_zxid": facts.status.applied.as_u64(),
            "outstanding_requests": facts.report.outstanding,
            "packets_received": activity.received,
            "packets_sent": activity.sent,
            "auth_failed_count": activity.auth_failed,
            "num_alive_client_connections": facts.report.connection_count,
            "min_latency": activity.latency.min.as_millis() as u64,
            "avg_latency": activity.latency.average_millis(),
            "max_latency": activity.latency.max.as_millis() as u64,
            "uptime": facts.up.as_millis() as u64,
            "data_dir_size": disk::size(snapshots),
            "log_dir_size": disk::size(log),
        },
        "node_count": facts.status.znodes,
    })
}

fn voting_view(admin: &Admin) -> Value {
    let voters = admin.cfg.servers.iter().filter(|(_, server)| !server.line.observer);
    let view: Map<_, _> = voters
        .map(|(id, server)| {
            let client = server.line.client.as_ref();
            let client = client
                .map(|client| format!("{}:{}", client.host.as_deref().unwrap_or("0.0.0.0"), client.port));
            let told = json!({
                "server_addresses": [server.line.quorum.to_string()],
                "client_address": client,
                "learner_type": "participant",
            });
            (id.to_string(), told)
        })
        .collect();
    json!({ "current_config": view })
}
