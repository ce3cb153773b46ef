//! The texts, in the forms that scripts take apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::peer::{Role, Status};
use crate::types::{SessionId, ZnodePath};

use super::{ConnectionReport, HostFacts, ServerReport, VERSION, Word};

/// What most words are answered with while the server has no quorum.
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// The text of `word`, as ZooKeeper writes it. The two that reset counters only say so: the host does it.
#[must_use]
pub fn answer(word: Word, report: &ServerReport, host: &dyn HostFacts) -> String {
    match word {
        Word::Ruok => return "imok".to_owned(),
        Word::Envi => return environment(host),
        Word::Gtmk | Word::Stmk => return "0".to_owned(),
        _ => {}
    }
    let Some(status) = report.status.as_ref().filter(|status| status.serving) else {
        return if word == Word::Isro { "null".to_owned() } else { NOT_SERVING.to_owned() };
    };
    match word {
        Word::Isro => "rw".to_owned(),
        Word::Srvr => server(report, status, None),
        Word::Stat => server(report, status, Some(&report.connections)),
        Word::Mntr => figures(report, status, host),
        Word::Conf => lines(host.configuration(), "="),
        Word::Cons => {
            let mut text = String::new();
            for connection in &report.connections {
                put_connection(&mut text, connection, true);
            }
            text + "\n"
        }
        Word::Crst => "Connection stats reset.\n".to_owned(),
        Word::Srst => "Server stats reset.\n".to_owned(),
        Word::Dirs => {
            let (data, log) = host.directory_sizes();
            format!("datadir_size: {data}\nlogdir_size: {log}\n")
        }
        Word::Dump => dump(report),
        Word::Hash => format!("{:#x}\t{:016x}\n", status.applied.as_u64(), status.digest),
        Word::Wchc => watches_by_session(report),
        Word::Wchp => watches_by_path(report),
        Word::Wchs => watch_summary(report, status),
        Word::Ruok | Word::Envi | Word::Gtmk | Word::Stmk => String::new(),
    }
}

/// The part that the server plays, as ZooKeeper's scripts know it.
pub(in crate::protocol) fn mode(report: &ServerReport, status: &Status) -> &'static str {
    match status.role {
        _ if report.servers <= 1 => "standalone",
        Role::Leading => "leader",
        Role::Following => "follower",
        Role::Observing => "observer",
        Role::Looking => "looking",
    }
}

fn version_line() -> String {
    format!("{VERSION}, built on unknown")
}

fn server(report: &ServerReport, status: &Status, connections: Option<&[ConnectionReport]>) -> String {
    let mut text = format!("Zookeeper version: {}\n", version_line());
    if let Some(connections) = connections {
        text.push_str("Clients:\n");
        for connection in connections {
            put_connection(&mut text, connection, false);
        }
        text.push('\n');
    }
    let latency = &report.activity.latency;
    let _ = write!(
        text,
        "Latency min/avg/max: {}/{}/{}\nReceived: {}\nSent: {}\nConnections: {}\nOutstanding: {}\nZxid: {:#x}\n\
         Mode: {}\nNode count: {}\n",
        latency.min.as_millis(),
        decimal(latency.average_millis()),
        latency.max.as_millis(),
        report.activity.received,
        report.activity.sent,
        report.connection_count,
        report.outstanding,
        status.applied.as_u64(),
        mode(report, status),
        status.znodes,
    );
    text
}

fn put_connection(text: &mut String, connection: &ConnectionReport, full: bool) {
    let ConnectionReport { address, session, outstanding, activity, .. } = connection;
    let _ = write!(
        text,
        " /{address}[{}](queued={outstanding},recved={},sent={}",
        u8::from(*session != SessionId::NONE),
        activity.received,
        activity.sent
    );
    if full && *session != SessionId::NONE {
        let last = activity.last;
        let _ = write!(
            text,
            ",sid={session},lop={},est={},to={}",
            last.and_then(|last| last.op.name()).unwrap_or("NA"),
            connection.established_millis,
            connection.timeout_millis
        );
        if let Some(last) = last {
            let _ = write!(text, ",lcxid={:#x},lzxid={:#x}", last.xid, last.zxid.as_u64());
        }
        let latency = &activity.latency;
        let _ = write!(
            text,
            ",lresp={},llat={},minlat={},avglat={},maxlat={}",
            connection.answered_millis,
            latency.last.as_millis(),
            latency.min.as_millis(),
            latency.average_millis() as u64,
            latency.max.as_millis()
        );
    }
    text.push_str(")\n");
}

fn figures(report: &ServerReport, status: &Status, host: &dyn HostFacts) -> String {
    let latency = &report.activity.latency;
    let mut all: Vec<(String, String)> = Vec::new();
    let mut put = |key: &str, value: String| all.push((format!("zk_{key}"), value));
    put("version", version_line());
    put("server_state", mode(report, status).to_owned());
    put("avg_latency", decimal(latency.average_millis()));
    put("min_latency", latency.min.as_millis().to_string());
    put("max_latency", latency.max.as_millis().to_string());
    put("packets_received", report.activity.received.to_string());
    put("packets_sent", report.activity.sent.to_string());
    put("num_alive_connections", report.connection_count.to_string());
    put("outstanding_requests", report.outstanding.to_string());
    put("znode_count", status.znodes.to_string());
    put("watch_count", status.watches.to_string());
    put("ephemerals_count", report.inspection.ephemerals.to_string());
    put("approximate_data_size", report.inspection.data_size.to_string());
    put("global_sessions", status.sessions.to_string());
    put("local_sessions", "0".to_owned());
    put("connection_rejected", report.rejected.to_string());
    put("auth_failed_count", report.activity.auth_failed.to_string());
    put("uptime", report.uptime.as_millis().to_string());
    if report.servers > 1 {
        put("quorum_size", report.voters.to_string());
        put("peer_state", peer_state(status.role).to_owned());
    }
    if status.role == Role::Leading && report.servers > 1 {
        let synced = |voting| status.learners.iter().filter(|l| l.synced && l.voting == voting).count();
        put("learners", status.learners.len().to_string());
        put("synced_followers", synced(true).to_string());
        put("synced_observers", synced(false).to_string());
        put("synced_non_voting_followers", "0".to_owned());
    }
    for (key, value) in host.metrics() {
        put(&key, value);
    }
    lines(all, "\t")
}

fn peer_state(role: Role) -> &'static str {
    match role {
        Role::Leading => "leading - broadcast",
        Role::Following => "following - broadcast",
        Role::Observing => "observing - broadcast",
        Role::Looking => "looking",
    }
}

fn environment(host: &dyn HostFacts) -> String {
    let mut all = vec![
        ("zookeeper.version".to_owned(), version_line()),
        ("os.name".to_owned(), std::env::consts::OS.to_owned()),
        ("os.arch".to_owned(), std::env::consts::ARCH.to_owned()),
    ];
    all.extend(host.environment());
    format!("Environment:\n{}", lines(all, "="))
}

fn dump(report: &ServerReport) -> String {
    let inspection = &report.inspection;
    let mut text = format!("SessionTracker dump:\nGlobal Sessions({}):\n", inspection.sessions.len());
    for known in &inspection.sessions {
        let _ = writeln!(text, "{}\t{}ms", known.session, known.timeout_millis);
    }
    let _ =
        write!(text, "ephemeral nodes dump:\nSessions with Ephemerals ({}):\n", inspection.ephemeral_owners);
    for known in inspection.sessions.iter().filter(|known| !known.ephemerals.is_empty()) {
        let _ = writeln!(text, "{}:", known.session);
        for path in &known.ephemerals {
            let _ = writeln!(text, "\t{path}");
        }
    }
    text
}

fn watches_by_session(report: &ServerReport) -> String {
    let mut text = String::new();
    for watched in &report.inspection.watches {
        let _ = writeln!(text, "{}", watched.session);
        for path in &watched.paths {
            let _ = writeln!(text, "\t{path}");
        }
    }
    text + "\n"
}

fn watches_by_path(report: &ServerReport) -> String {
    let mut paths: BTreeMap<&ZnodePath, Vec<SessionId>> = BTreeMap::new();
    for watched in &report.inspection.watches {
        for path in &watched.paths {
            paths.entry(path).or_default().push(watched.session);
        }
    }
    let mut text = String::new();
    for (path, sessions) in paths {
        let _ = writeln!(text, "{path}");
        for session in sessions {
            let _ = writeln!(text, "\t{session}");
        }
    }
    text + "\n"
}

fn watch_summary(report: &ServerReport, status: &Status) -> String {
    let watches = &report.inspection.watches;
    let paths: BTreeSet<&ZnodePath> = watches.iter().flat_map(|watched| &watched.paths).collect();
    format!(
        "{} connections watching {} paths\nTotal watches:{}\n",
        watches.len(),
        paths.len(),
        status.watches
    )
}

fn lines(all: Vec<(String, String)>, between: &str) -> String {
    all.into_iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{key}{between}{value}");
        text
    })
}

/// Up to four places, at least one, as Java prints it.
fn decimal(number: f64) -> String {
    format!("{:?}", (number * 10_000.0).round() / 10_000.0)
}
