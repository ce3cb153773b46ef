//! Every setting of a `zoo.cfg`, taken and judged by itself and beside the others.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quorate::protocol::words::WordSet;

use super::settings::Settings;
use super::zoo_cfg::{
    ClientAuth, Clients, EnsembleServer, KeyFiles, Listen, PeerSecurity, SecureListen, StorageSettings,
    ZooCfg,
};
use super::{Entry, HostPort, Problem, Properties, ensemble};

/// Clients come all at once when a server comes back; one that finds no room tries again only a second later.
const DEFAULT_BACKLOG: u32 = 4_096;
/// ZooKeeper's default of `jute.maxbuffer`.
const DEFAULT_MAX_BUFFER: u32 = 0xf_ffff;
/// The largest data that servers can send each other.
const MOST_MAX_BUFFER: i64 = 4 << 20;
/// An hour; nobody means a longer tick.
const MOST_TICK: i64 = 3_600_000;

/// Takes everything. Where it gives none it has noted a problem; where it gives something it may have as well.
pub(super) fn take(settings: &mut Settings, dynamic: Option<&Properties>) -> Option<ZooCfg> {
    let (servers, standalone) = ensemble::take(settings, dynamic);
    let data_dir = data_dir(settings);
    let (tick, (session_min, session_max)) = times(settings);
    let (init_limit, sync_limit) = limits(settings, !standalone);
    let clients = clients(settings, &servers);
    let cfg = ZooCfg {
        file: Arc::clone(settings.file()),
        data_dir: data_dir.clone().unwrap_or_default(),
        data_log_dir: settings.text("dataLogDir").map(PathBuf::from),
        tick,
        init_limit,
        sync_limit,
        session_min,
        session_max,
        peers: peers(settings, &servers, standalone),
        standalone,
        peer_type: peer_type(settings),
        cluster: settings
            .number("clusterId", "a number", 0..=i64::MAX)
            .map_or(1, |(id, _)| id.unsigned_abs()),
        listen_on_all: settings.flag("quorumListenOnAllIPs").unwrap_or(false),
        clients,
        storage: storage(settings),
        words: words(settings),
        extended_types: settings.flag("extendedTypesEnabled").unwrap_or(false),
        super_digest: super_digest(settings),
        super_subject: settings.text("X509AuthenticationProvider.superUser"),
        admin: admin(settings),
        metrics: metrics(settings),
        servers,
    };
    said_otherwise(settings);
    data_dir.map(|_| cfg)
}

fn data_dir(settings: &mut Settings) -> Option<PathBuf> {
    let data_dir = settings.text("dataDir").map(PathBuf::from);
    if data_dir.is_none() {
        let file = Arc::clone(settings.file());
        settings.problem(Problem::missing(
            &file,
            "dataDir is not set",
            "write dataDir=/a/directory/of/this/server/alone",
        ));
    }
    data_dir
}

fn times(settings: &mut Settings) -> (Duration, (Duration, Duration)) {
    let tick = settings.number("tickTime", "milliseconds", 1..=MOST_TICK).map_or(3_000, |(tick, _)| tick);
    let tick = tick.unsigned_abs();
    let most = i64::from(i32::MAX);
    let least =
        settings.number("minSessionTimeout", "milliseconds", -1..=most).filter(|(least, _)| *least > 0);
    let largest =
        settings.number("maxSessionTimeout", "milliseconds", -1..=most).filter(|(most, _)| *most > 0);
    let session_min = least.as_ref().map_or(tick.saturating_mul(2), |(least, _)| least.unsigned_abs());
    let session_max = largest.as_ref().map_or(tick.saturating_mul(20), |(most, _)| most.unsigned_abs());
    if session_min > session_max {
        let wrong = format!("sessions would last at least {session_min} ms and at most {session_max} ms");
        let write = "write minSessionTimeout no larger than maxSessionTimeout (by default 2 and 20 ticks)";
        if let Some((_, entry)) = least.or(largest) {
            settings.problem(Problem::at(&entry, wrong, write));
        }
    }
    (Duration::from_millis(tick), (Duration::from_millis(session_min), Duration::from_millis(session_max)))
}

fn limits(settings: &mut Settings, in_ensemble: bool) -> (u32, u32) {
    let mut limit = |key: &str, example: u32| {
        let known = settings.entry(key).is_some();
        let limit = settings.count(key, "ticks", 1..=1_000_000);
        if !known && in_ensemble {
            let file = Arc::clone(settings.file());
            let write = format!("write {key}={example}, in ticks, equal on all servers");
            settings.problem(Problem::missing(&file, format!("{key} is not set"), write));
        }
        limit.unwrap_or(example)
    };
    (limit("initLimit", 10), limit("syncLimit", 5))
}

fn clients(settings: &mut Settings, servers: &BTreeMap<u64, EnsembleServer>) -> Clients {
    let host = settings.entry("clientPortAddress");
    let port = settings.port("clientPort").filter(|port| *port != 0);
    let in_lines = servers.values().any(|server| server.line.client.is_some());
    let plain = match (port, &host) {
        (Some(port), host) => Some(Listen { host: host.as_ref().map(|entry| entry.value.clone()), port }),
        (None, Some(host)) if !in_lines => {
            settings.problem(Problem::at(host, "there is no clientPort", "write clientPort=2181 besides"));
            None
        }
        (None, _) => None,
    };
    let secure = secure(settings);
    if plain.is_none() && secure.is_none() && !in_lines {
        settings.warn_all("no clientPort is set: no client can connect; write clientPort=2181");
    }
    Clients {
        plain,
        secure,
        per_address: settings.count("maxClientCnxns", "a number of connections", 0..=1_000_000).unwrap_or(60),
        total: settings.count("maxCnxns", "a number of connections", 0..=1_000_000).unwrap_or(0),
        backlog: settings
            .number("clientPortListenBacklog", "a number of connections", -1..=i64::from(i32::MAX))
            .and_then(|(backlog, _)| u32::try_from(backlog).ok())
            .unwrap_or(DEFAULT_BACKLOG),
        max_buffer: settings
            .number("jute.maxbuffer", "bytes", 1_024..=MOST_MAX_BUFFER)
            .and_then(|(bytes, _)| u32::try_from(bytes).ok())
            .unwrap_or(DEFAULT_MAX_BUFFER),
    }
}

fn secure(settings: &mut Settings) -> Option<SecureListen> {
    let host = settings.text("secureClientPortAddress");
    let entry = settings.entry("secureClientPort");
    let port = settings.port("secureClientPort").filter(|port| *port != 0);
    let client_auth = client_auth(settings);
    let keys = pem(settings, "ssl.keyStore");
    let authorities = pem(settings, "ssl.trustStore");
    let (entry, port) = (entry?, port?);
    let Some(keys) = keys else {
        let write =
            "write ssl.keyStore.location=/path/server.pem, a file with the private key and the certificates";
        settings.problem(Problem::at(&entry, "there is no certificate for this port", write));
        return None;
    };
    if authorities.is_none() && client_auth != ClientAuth::None {
        let write = "write ssl.trustStore.location=/path/ca.pem, or ssl.clientAuth=none to ask clients for no certificate";
        settings.problem(Problem::at(
            &entry,
            "there is nothing to judge the certificates of clients by",
            write,
        ));
    }
    Some(SecureListen { listen: Listen { host, port }, keys: KeyFiles { keys, authorities }, client_auth })
}

fn client_auth(settings: &mut Settings) -> ClientAuth {
    let Some(entry) = settings.entry("ssl.clientAuth") else { return ClientAuth::Need };
    match entry.value.to_ascii_lowercase().as_str() {
        "need" => ClientAuth::Need,
        "want" => ClientAuth::Want,
        "none" => ClientAuth::None,
        _ => {
            settings.problem(Problem::at(&entry, "not known", "write need, want or none"));
            ClientAuth::Need
        }
    }
}

/// The file of a key store or trust store, which must be in PEM.
fn pem(settings: &mut Settings, store: &str) -> Option<PathBuf> {
    let declared = settings.entry(&format!("{store}.type"));
    let entry = settings.entry(&format!("{store}.location"))?;
    let other =
        |text: &str| ["jks", "p12", "pkcs12", "bcfks", "bcf"].contains(&text.to_ascii_lowercase().as_str());
    let path = PathBuf::from(&entry.value);
    let by_name = path.extension().is_some_and(|extension| other(&extension.to_string_lossy()));
    let wrong = match declared {
        Some(declared) => (!declared.value.eq_ignore_ascii_case("PEM")).then_some(declared),
        None => by_name.then(|| entry.clone()),
    };
    if let Some(wrong) = wrong {
        let write = format!(
            "convert the store to PEM (keytool -importkeystore … -deststoretype PKCS12, then openssl pkcs12 -nodes) \
             and write {store}.location=/path/file.pem"
        );
        settings.problem(Problem::at(&wrong, "only PEM files can be read", write));
    }
    Some(path)
}

fn peers(settings: &mut Settings, servers: &BTreeMap<u64, EnsembleServer>, standalone: bool) -> PeerSecurity {
    let trusted = settings.flag("quorumInsecureTrustedNetwork").unwrap_or(false);
    let tls = settings.entry("sslQuorum");
    let wants_tls = settings.flag("sslQuorum").unwrap_or(false);
    let auth = settings.entry("ssl.quorum.clientAuth");
    let keys = pem(settings, "ssl.quorum.keyStore");
    let authorities = pem(settings, "ssl.quorum.trustStore");
    if let (true, Some(tls)) = (wants_tls, &tls) {
        if trusted {
            let write = "remove one of the two lines";
            settings.problem(Problem::at(tls, "it contradicts quorumInsecureTrustedNetwork=true", write));
        }
        if let Some(auth) = auth.filter(|auth| !auth.value.eq_ignore_ascii_case("need")) {
            settings.warn(&auth, "servers always show each other their certificates");
        }
        return match (keys, authorities) {
            (Some(keys), Some(authorities)) => {
                PeerSecurity::Tls(KeyFiles { keys, authorities: Some(authorities) })
            }
            _ => {
                let write = "write ssl.quorum.keyStore.location=/path/peer.pem (private key and certificates) and \
                             ssl.quorum.trustStore.location=/path/ca.pem (the ensemble's own authority)";
                settings.problem(Problem::at(tls, "the keys or the authorities are missing", write));
                PeerSecurity::Unsaid
            }
        };
    }
    if trusted {
        return PeerSecurity::TrustedNetwork;
    }
    let exposed = servers.values().find(|server| !server.line.quorum.is_loopback());
    if let Some(exposed) = exposed.filter(|_| !standalone) {
        let file = Arc::clone(settings.file());
        let wrong = format!(
            "the servers are on several machines ({}), and nothing says how they know each other",
            exposed.line.quorum.host
        );
        let write = "write sslQuorum=true with ssl.quorum.keyStore.location and ssl.quorum.trustStore.location, or, where \
                     every machine that can reach the quorum ports is trusted, quorumInsecureTrustedNetwork=true";
        settings.problem(Problem::missing(&file, wrong, write));
    }
    PeerSecurity::Unsaid
}

fn peer_type(settings: &mut Settings) -> Option<bool> {
    let entry = settings.entry("peerType")?;
    match entry.value.to_ascii_lowercase().as_str() {
        "observer" => Some(true),
        "participant" => Some(false),
        _ => {
            settings.problem(Problem::at(&entry, "not known", "write observer or participant"));
            None
        }
    }
}

fn storage(settings: &mut Settings) -> StorageSettings {
    let kept = settings.number("autopurge.snapRetainCount", "a number of snapshots", 0..=100_000);
    if let Some((0..3, entry)) = &kept {
        settings.warn(entry, "at least 3 snapshots are kept, as in ZooKeeper");
    }
    if let Some((0, entry)) = settings.number("autopurge.purgeInterval", "hours", 0..=i64::from(i32::MAX)) {
        settings.warn(
            &entry,
            "old snapshots are always purged, when a new one is there; it is never necessary to switch it on",
        );
    }
    StorageSettings {
        snapshot_every: settings.count("snapCount", "transactions", 2..=u32::MAX).unwrap_or(100_000),
        snapshots_kept: kept.and_then(|(kept, _)| u32::try_from(kept).ok()).unwrap_or(3).max(3),
        preallocate_kib: settings.count("preAllocSize", "kibibytes", 1..=1 << 20),
        log_window: settings.count("commitLogCount", "entries", 1..=10_000_000),
        autocreate: settings.flag("db.autocreate").unwrap_or(true),
    }
}

fn words(settings: &mut Settings) -> WordSet {
    let Some(entry) = settings.entry("4lw.commands.whitelist") else { return WordSet::default() };
    let listed = entry.value.to_ascii_lowercase();
    let (words, unknown) = WordSet::parse(&listed);
    for word in unknown {
        settings.warn(&entry, format!("there is no four-letter word `{word}`"));
    }
    words
}

/// `super:` and the base64 of a SHA-1.
fn super_digest(settings: &mut Settings) -> Option<String> {
    let entry = settings.entry("DigestAuthenticationProvider.superDigest")?;
    let is_hash = |hash: &str| {
        hash.len() == 28
            && hash.ends_with('=')
            && hash.chars().take(27).all(|c| c.is_ascii_alphanumeric() || "+/".contains(c))
    };
    if entry.value.split_once(':').is_some_and(|(user, hash)| user == "super" && is_hash(hash)) {
        return Some(entry.value);
    }
    let mut hidden: Entry = entry;
    hidden.value = "…".to_owned();
    let write =
        "write super: and what `echo -n super:PASSWORD | openssl dgst -binary -sha1 | openssl base64` prints";
    settings.problem(Problem::at(&hidden, "not the digest of a super user", write));
    None
}

fn admin(settings: &mut Settings) -> Option<HostPort> {
    let enabled = settings.flag("admin.enableServer").unwrap_or(true);
    // ZooKeeper opens this port to everybody. Whoever can read it sees data, so here that is asked for by name.
    let host = settings.text("admin.serverAddress").unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = settings.port("admin.serverPort").unwrap_or(8080);
    if let Some(entry) = settings.entry("admin.commandURL").filter(|entry| entry.value != "/commands") {
        settings.warn(&entry, "the commands are at /commands");
    }
    enabled.then(|| HostPort::new(host, port))
}

fn metrics(settings: &mut Settings) -> Option<HostPort> {
    let provider = settings.entry("metricsProvider.className");
    let host = settings.text("metricsProvider.httpHost").unwrap_or_else(|| "0.0.0.0".to_owned());
    let port = settings.port("metricsProvider.httpPort").unwrap_or(7000);
    settings.entry("metricsProvider.exportJvmInfo");
    let provider = provider?;
    match provider.value.rsplit('.').next() {
        Some("PrometheusMetricsProvider") => Some(HostPort::new(host, port)),
        Some("DefaultMetricsProvider" | "NullMetricsProvider") => None,
        _ => {
            let write = "metrics are at /metrics of the admin server; write \
                         org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider for a port of their own";
            settings.problem(Problem::at(&provider, "this provider is not here", write));
            None
        }
    }
}

/// Settings that can only be what they are here anyway.
fn said_otherwise(settings: &mut Settings) {
    if let Some((_, entry)) =
        settings.number("electionAlg", "3", 0..=3).filter(|(algorithm, _)| *algorithm != 3)
    {
        settings.problem(Problem::at(&entry, "there is one election algorithm", "remove the line"));
    }
}
