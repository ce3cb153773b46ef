use serde_json::{Map, Value, json};

use crate::config::{Plan, ZooCfg};

/// The settings of a server, as the admin command `configuration` names them.
pub(super) fn json(cfg: &ZooCfg, plan: &Plan) -> Map<String, Value> {
    let lines = lines(cfg, plan).into_iter();
    // The command has other names than the four-letter word for these.
    let name = |name: String| match name.as_str() {
        "clientPort" => "client_port".to_owned(),
        "secureClientPort" => "secure_client_port".to_owned(),
        "dataDir" => "data_dir".to_owned(),
        "dataLogDir" => "data_log_dir".to_owned(),
        "tickTime" => "tick_time".to_owned(),
        "maxClientCnxns" => "max_client_cnxns".to_owned(),
        "minSessionTimeout" => "min_session_timeout".to_owned(),
        "maxSessionTimeout" => "max_session_timeout".to_owned(),
        "serverId" => "server_id".to_owned(),
        _ => name,
    };
    lines
        .map(|(key, value)| {
            let value = value.parse::<i64>().map_or_else(|_| json!(value), |number| json!(number));
            (name(key), value)
        })
        .collect()
}

/// The same as lines of the four-letter word `conf`. No secret is among them.
pub(crate) fn lines(cfg: &ZooCfg, plan: &Plan) -> Vec<(String, String)> {
    let [snapshots, log] = plan.directories.both();
    let mut lines: Vec<(&str, String)> = Vec::new();
    if let Some(listen) = &plan.clients.plain {
        lines.push(("clientPort", listen.port.to_string()));
    }
    if let Some(secure) = &plan.clients.secure {
        lines.push(("secureClientPort", secure.listen.port.to_string()));
    }
    lines.extend([
        ("dataDir", snapshots.display().to_string()),
        ("dataDirSize", super::disk::size(&snapshots).to_string()),
        ("dataLogDir", log.display().to_string()),
        ("dataLogSize", super::disk::size(&log).to_string()),
        ("tickTime", cfg.tick.as_millis().to_string()),
        ("maxClientCnxns", cfg.clients.per_address.to_string()),
        ("minSessionTimeout", cfg.session_min.as_millis().to_string()),
        ("maxSessionTimeout", cfg.session_max.as_millis().to_string()),
        ("serverId", plan.server().to_string()),
    ]);
    if let Some(own) = cfg.servers.get(&plan.server().number()).filter(|_| !cfg.standalone) {
        lines.extend([
            ("initLimit", cfg.init_limit.to_string()),
            ("syncLimit", cfg.sync_limit.to_string()),
            ("electionAlg", "3".to_owned()),
            ("quorumPort", own.line.quorum.port.to_string()),
            ("peerType", u8::from(own.line.observer).to_string()),
        ]);
    }
    lines.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
