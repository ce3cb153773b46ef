use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use quorate::peer::Role;
use serde_json::{Map, Value, json};

use super::browser::hex;
use super::facts::Facts;
use super::{Admin, disk, metrics};

/// Every command by its name, its other names, and what it tells.
const COMMANDS: &[(&str, &[&str], &str)] = &[
    ("configuration", &["conf", "config"], "the settings of this server"),
    ("dirs", &[], "the sizes of the directories, in bytes"),
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
    let facts = match Facts::of(&admin).await {
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
        "configuration" => configuration(admin),
        "dirs" => {
            let [snapshots, log] = &admin.directories;
            json!({"datadir_size": disk::size(snapshots), "logdir_size": disk::size(log)})
        }
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
        "server_stats" | "stats" => server_stats(admin, facts),
        "voting_view" => voting_view(admin),
        "watch_summary" => json!({"num_total_watches": status.watches}),
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

fn version() -> String {
    format!("quorate {}", env!("CARGO_PKG_VERSION"))
}

fn peer_state(facts: &Facts) -> &'static str {
    match facts.status.role {
        Role::Looking => "looking",
        Role::Following => "following - broadcast",
        Role::Leading => "leading - broadcast",
        Role::Observing => "observing - broadcast",
    }
}

fn configuration(admin: &Admin) -> Value {
    let cfg = &admin.cfg;
    let own = cfg.servers.get(&admin.plan.server().number());
    let clients = &admin.plan.clients;
    json!({
        "client_port": clients.plain.as_ref().map_or(-1, |listen| i32::from(listen.port)),
        "secure_client_port": clients.secure.as_ref().map_or(-1, |secure| i32::from(secure.listen.port)),
        "data_dir": cfg.data_dir.join("quorate").display().to_string(),
        "data_log_dir": admin.directories[1].display().to_string(),
        "tick_time": cfg.tick.as_millis() as u64,
        "max_client_cnxns": clients.per_address,
        "min_session_timeout": cfg.session_min.as_millis() as u64,
        "max_session_timeout": cfg.session_max.as_millis() as u64,
        "server_id": admin.plan.server().number(),
        "initLimit": cfg.init_limit,
        "syncLimit": cfg.sync_limit,
        "electionAlg": 3,
        "quorumPort": own.map(|own| own.line.quorum.port),
        "peerType": own.map(|own| u8::from(own.line.observer)),
    })
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
    json!({
        "version": version(),
        "read_only": false,
        "server_stats": {
            "server_state": facts.mode(),
            "last_processed_zxid": facts.status.applied.as_u64(),
            "outstanding_requests": facts.totals.outstanding,
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
