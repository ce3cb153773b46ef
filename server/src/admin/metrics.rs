use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use super::facts::Facts;
use super::{Admin, disk};
use crate::observe::{Summary, Totals};

/// A metric, under the name that ZooKeeper gives it.
pub(super) struct Metric {
    name: &'static str,
    help: &'static str,
    value: Measure,
}

enum Measure {
    Gauge(f64),
    Counter(u64),
    Summary(Summary),
}

/// `GET /metrics`.
pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Response {
    match Facts::of(&admin).await {
        Ok(facts) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (kind, text(&collect(&facts))).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

/// All metrics of a server at one moment.
pub(super) fn collect(facts: &Facts) -> Vec<Metric> {
    let mut metrics = gauges(facts);
    metrics.extend(of_leader(facts));
    metrics.extend(sums(&facts.totals));
    metrics
}

fn gauge(name: &'static str, help: &'static str, value: f64) -> Metric {
    Metric { name, help, value: Measure::Gauge(value) }
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Metric {
    Metric { name, help, value: Measure::Counter(value) }
}

fn gauges(facts: &Facts) -> Vec<Metric> {
    let (status, report) = (&facts.status, &facts.report);
    let latency = &report.activity.latency;
    let millis = |span: std::time::Duration| span.as_secs_f64() * 1_000.0;
    let mut metrics = vec![
        gauge("avg_latency", "Milliseconds from a request to its reply", latency.average_millis()),
        gauge("min_latency", "The shortest of those", millis(latency.min)),
        gauge("max_latency", "The longest of those", millis(latency.max)),
        counter("packets_received", "Requests of clients", report.activity.received),
        counter("packets_sent", "Replies and events to clients", report.activity.sent),
        gauge("num_alive_connections", "Connections of clients", report.connection_count as f64),
        counter("connection_rejected", "Connections that were one too many", report.rejected),
        counter("auth_failed_count", "Credentials that were not accepted", report.activity.auth_failed),
        gauge("ephemerals_count", "Ephemeral nodes", report.inspection.ephemerals as f64),
        gauge("approximate_data_size", "Bytes of names and data", report.inspection.data_size as f64),
        gauge("local_sessions", "Sessions of this server alone; there are none", 0.0),
        gauge("uptime", "Milliseconds since the server started", facts.up.as_millis() as f64),
        gauge("znode_count", "Nodes in the tree", status.znodes as f64),
        gauge("watch_count", "Watches of this server's clients", status.watches as f64),
        gauge("global_sessions", "Sessions in the ensemble", status.sessions as f64),
        gauge("outstanding_requests", "Requests without a reply", report.outstanding as f64),
        gauge("serving", "1 while this server answers clients", f64::from(u8::from(status.serving))),
        gauge(
            "epoch",
            "The epoch that the server's history is complete for",
            f64::from(status.epoch.number()),
        ),
    ];
    metrics.extend(files());
    metrics
}

fn files() -> Vec<Metric> {
    let mut metrics = Vec::new();
    if let Some(open) = disk::open_files() {
        metrics.push(gauge("open_file_descriptor_count", "Files and sockets that are open", open as f64));
    }
    if let Some(most) = disk::most_open_files() {
        metrics.push(gauge("max_file_descriptor_count", "Files and sockets that may be open", most as f64));
    }
    metrics
}

fn of_leader(facts: &Facts) -> Vec<Metric> {
    let Some(since) = facts.totals.leading_since else { return Vec::new() };
    let learners = &facts.status.learners;
    let count = |voting: bool, synced: bool| {
        learners.iter().filter(|learner| learner.voting == voting && (learner.synced || !synced)).count()
            as f64
    };
    let behind = learners.iter().filter(|learner| !learner.synced).count() as f64;
    vec![
        gauge(
            "leader_uptime",
            "Milliseconds since this server leads",
            facts.now.time.since(since).as_millis() as f64,
        ),
        gauge("learners", "Learners that are connected", learners.len() as f64),
        gauge("quorum_size", "Voting servers, this one among them", count(true, false) + 1.0),
        gauge("synced_followers", "Followers that have been brought level", count(true, true)),
        gauge("synced_observers", "Observers that have been brought level", count(false, true)),
        gauge("synced_non_voting_followers", "Followers without a vote; there are none", 0.0),
        gauge("pending_syncs", "Learners that are being brought level", behind),
    ]
}

/// What the four-letter word `mntr` tells besides what the node and the listeners know.
pub(crate) fn of_totals(totals: &Totals) -> Map<String, Value> {
    let mut metrics = files();
    metrics.extend(sums(totals));
    json(&metrics)
}

fn sums(totals: &Totals) -> Vec<Metric> {
    let summary =
        |name, help, summary: &Summary| Metric { name, help, value: Measure::Summary(summary.clone()) };
    vec![
        summary("readlatency", "Milliseconds from a read's arrival to its reply", &totals.reads),
        summary("updatelatency", "Milliseconds from a write's arrival to its reply", &totals.updates),
        summary("fsynctime", "Milliseconds that a sync of the log takes", &totals.fsync),
        summary("sync_processor_batch_size", "Transactions in a sync of the log", &totals.batch),
        summary("snapshottime", "Milliseconds that a snapshot takes", &totals.snapshot),
        summary("election_time", "Milliseconds without a leader, each time", &totals.election),
        summary(
            "unavailable_time",
            "Milliseconds without answers to clients, each time",
            &totals.unavailable,
        ),
        counter("snapshot_error_count", "Snapshots that could not be saved", totals.snapshot_errors),
        counter("looking_count", "Elections begun", totals.looking),
        counter("proposal_count", "Transactions proposed as leader", totals.proposals),
        counter("commit_count", "Transactions seen committed", totals.commits),
        counter("diff_count", "Learners sent a part of the log", totals.diffs),
        counter("snap_count", "Learners sent the whole state", totals.snaps),
        counter("connection_request_count", "Clients that asked for a session", totals.connects),
        counter("stale_sessions_expired", "Sessions that ran out, as leader", totals.expired),
        counter("node_created_watch_count", "Events told of nodes created", totals.created_events),
        counter("node_deleted_watch_count", "Events told of nodes deleted", totals.deleted_events),
        counter("node_changed_watch_count", "Events told of data changed", totals.changed_events),
        counter("node_children_watch_count", "Events told of children changed", totals.children_events),
    ]
}

/// As Prometheus reads it.
pub(super) fn text(metrics: &[Metric]) -> String {
    let mut text = String::new();
    for Metric { name, help, value } in metrics {
        let kind = match value {
            Measure::Gauge(_) => "gauge",
            Measure::Counter(_) => "counter",
            Measure::Summary(_) => "summary",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        let _ = match value {
            Measure::Gauge(value) => writeln!(text, "{name} {value}"),
            Measure::Counter(value) => writeln!(text, "{name} {value}"),
            Measure::Summary(summary) => {
                for (quantile, value) in quantiles(summary) {
                    let _ = writeln!(text, "{name}{{quantile=\"{quantile}\"}} {value}");
                }
                writeln!(text, "{name}_count {}\n{name}_sum {}", summary.count(), summary.sum())
            }
        };
    }
    text
}

/// As the command `monitor` tells it.
pub(super) fn json(metrics: &[Metric]) -> Map<String, Value> {
    let mut map = Map::new();
    for Metric { name, value, .. } in metrics {
        match value {
            Measure::Gauge(value) => drop(map.insert((*name).to_owned(), whole(*value))),
            Measure::Counter(value) => drop(map.insert((*name).to_owned(), json!(value))),
            Measure::Summary(summary) => {
                map.insert(format!("avg_{name}"), json!(summary.mean()));
                map.insert(format!("max_{name}"), json!(summary.max()));
                map.insert(format!("cnt_{name}"), json!(summary.count()));
                map.insert(format!("sum_{name}"), json!(summary.sum()));
                for (quantile, value) in quantiles(summary) {
                    let percent = quantile.trim_start_matches("0.");
                    let percent = if percent == "5" { "50" } else { percent };
                    map.insert(format!("p{percent}_{name}"), json!(value));
                }
            }
        }
    }
    map
}

/// Gauges that are whole numbers are shown as such.
fn whole(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { json!(value as i64) } else { json!(value) }
}

fn quantiles(summary: &Summary) -> Vec<(&'static str, f64)> {
    let names = ["0.5", "0.95", "0.99", "0.999"];
    let values = summary.quantiles([0.5, 0.95, 0.99, 0.999]);
    values.map_or_else(Vec::new, |values| names.into_iter().zip(values).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_written_as_prometheus_reads_it() {
        let mut spans = Summary::default();
        (1..=100).for_each(|value| spans.add(f64::from(value)));
        let metrics = [
            Metric { name: "fsynctime", help: "How long", value: Measure::Summary(spans) },
            gauge("uptime", "Since", 7.0),
        ];
        assert_eq!(
            text(&metrics),
            "# HELP fsynctime How long\n# TYPE fsynctime summary\nfsynctime{quantile=\"0.5\"} 51\n\
             fsynctime{quantile=\"0.95\"} 95\nfsynctime{quantile=\"0.99\"} 99\nfsynctime{quantile=\"0.999\"} 100\n\
             fsynctime_count 100\nfsynctime_sum 5050\n# HELP uptime Since\n# TYPE uptime gauge\nuptime 7\n"
        );
        let told = json(&metrics);
        assert_eq!((&told["avg_fsynctime"], &told["uptime"]), (&json!(50.5), &json!(7)));
        for name in ["p50_fsynctime", "p95_fsynctime", "p99_fsynctime", "p999_fsynctime", "max_fsynctime"] {
            assert!(told.contains_key(name), "{name}");
        }
    }
}
