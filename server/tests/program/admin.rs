use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::Client;
use super::harness::{Dir, Site, get, until};

async fn json(site: &Site, path: &str) -> Value {
    let (_, body) = site.get(path).await;
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

#[tokio::test]
async fn the_admin_server_tells_what_zookeepers_tells() {
    let dir = Dir::new();
    let mut site = Site::alone(&dir, "");
    site.run();
    let mut client = Client::connect(site.client).await;
    assert_eq!(client.create("/app", b"data").await, Some(0));
    client.get("/app").await.unwrap().unwrap();

    for name in [
        "configuration",
        "connections",
        "dirs",
        "dump",
        "environment",
        "hash",
        "is_read_only",
        "last_snapshot",
        "leader",
        "monitor",
        "observers",
        "ruok",
        "server_stats",
        "stats",
        "voting_view",
        "watches",
        "watches_by_path",
        "watch_summary",
        "zabstate",
    ] {
        let told = json(&site, &format!("/commands/{name}")).await;
        assert_eq!((&told["command"], &told["error"]), (&Value::from(name), &Value::Null), "{told}");
        assert!(told.as_object().unwrap().len() > 2 || name == "ruok", "{name} tells something: {told}");
    }
    assert_eq!(json(&site, "/commands/srvr").await["server_stats"]["server_state"], "standalone");
    assert_eq!(json(&site, "/commands/conf").await["client_port"], site.client);
    assert_eq!(json(&site, "/commands/leader").await["is_leader"], true);
    let monitor = json(&site, "/commands/mntr").await;
    assert_eq!(
        (&monitor["znode_count"], &monitor["num_alive_connections"]),
        (&5.into(), &1.into()),
        "{monitor}"
    );
    assert!(monitor["cnt_fsynctime"].as_u64().unwrap() > 0);
    assert!(monitor["packets_received"].as_u64().unwrap() >= 2);
    let connections = json(&site, "/commands/cons").await;
    assert_eq!(connections["connections"][0]["session_timeout"], 10_000, "{connections}");
    let (code, body) = site.get("/commands/nonsense").await;
    assert_eq!(code, 404);
    assert!(body.contains("Unknown command: nonsense"));
    assert!(site.get("/commands").await.1.contains("href=\"/commands/ruok\""));
}

#[tokio::test]
async fn who_only_holds_connections_takes_no_more_than_the_ports_give() {
    let dir = Dir::new();
    let [port] = super::harness::ports();
    let class = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";
    let more = format!(
        "metricsProvider.className={class}\nmetricsProvider.httpHost=127.0.0.1\nmetricsProvider.httpPort={port}\n"
    );
    let mut site = Site::alone(&dir, &more);
    site.run();
    Client::connect(site.client).await;
    for port in [port, site.admin] {
        until("the port answers", || get(port, "/metrics", "localhost")).await;
        let mut held = Vec::new();
        for _ in 0..64 {
            held.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        }
        let early = timeout(Duration::from_millis(300), get(port, "/metrics", "localhost")).await;
        assert!(early.is_err(), "one connection too many is taken at {port}");
        drop(held);
        assert_eq!(get(port, "/metrics", "localhost").await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn prometheus_finds_the_metrics_that_people_alert_on() {
    let dir = Dir::new();
    let [port] = super::harness::ports();
    let class = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";
    let more = format!(
        "metricsProvider.className={class}\nmetricsProvider.httpHost=127.0.0.1\nmetricsProvider.httpPort={port}\n"
    );
    let mut site = Site::alone(&dir, &more);
    site.run();
    let mut client = Client::connect(site.client).await;
    assert_eq!(client.create("/app", b"data").await, Some(0));
    let (_, text) = site.get("/metrics").await;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = name.split('{').next().unwrap();
        let base = name.trim_end_matches("_count").trim_end_matches("_sum");
        assert!(
            [name, base].iter().any(|name| text.contains(&format!("# TYPE {name} "))),
            "{line} has a type"
        );
    }
    for name in [
        "znode_count",
        "num_alive_connections",
        "approximate_data_size",
        "watch_count",
        "election_time_count",
        "open_file_descriptor_count",
        "max_file_descriptor_count",
        "fsynctime_count",
        "snapshottime_count",
        "avg_latency",
        "outstanding_requests",
        "uptime",
        "ephemerals_count",
        "global_sessions",
        "packets_received",
        "packets_sent",
        "readlatency_count",
        "updatelatency_count",
        "quorum_size",
        "learners",
        "synced_followers",
        "pending_syncs",
        "looking_count",
        "proposal_count",
        "commit_count",
        "unavailable_time_count",
        "auth_failed_count",
        "connection_rejected",
        "node_changed_watch_count",
    ] {
        assert!(text.contains(&format!("\n{name} ")), "{name} is missing in\n{text}");
    }
    let (code, _) = get(port, "/metrics", "prometheus.example").await.unwrap();
    assert_eq!(code, 200, "the port for metrics answers a network");
    assert_eq!(get(port, "/commands/ruok", "x").await.unwrap().0, 404, "and nothing else");
}

#[tokio::test]
async fn the_page_shows_what_everybody_may_read_and_nothing_else() {
    let dir = Dir::new();
    let mut site = Site::alone(&dir, "");
    site.run();
    let mut client = Client::connect(site.client).await;
    assert_eq!(client.create("/open", b"<script>alert(1)</script>").await, Some(0));
    assert_eq!(client.create("/closed", b"secret").await, Some(0));
    assert_eq!(client.close_to_others("/closed").await, Some(0));

    let open = json(&site, "/api/tree?path=/open").await;
    assert_eq!(open["data"]["text"], "<script>alert(1)</script>");
    assert_eq!((&open["stat"]["version"], &open["acl"][0]["id"]), (&0.into(), &"anyone".into()));
    let (code, body) = site.get("/api/tree?path=/closed").await;
    assert_eq!(code, 403);
    assert!(!body.contains("secret"), "{body}");
    assert_eq!(site.get("/api/tree?path=/none").await.0, 404);
    assert_ne!(site.get("/api/tree?path=no//path").await.0, 200);
    let root = json(&site, "/api/tree").await;
    assert_eq!(root["children"], serde_json::json!(["closed", "open", "zookeeper"]));

    let (code, page) = site.get("/").await;
    assert_eq!(code, 200);
    assert!(page.contains("/page.js") && !page.contains("http"), "it loads nothing from elsewhere");
    assert_eq!(site.get("/page.js").await.0, 200);
    assert_eq!(site.get("/page.css").await.0, 200);
    until("a second was looked at", || async {
        let told = json(&site, "/api/overview").await;
        (!told["history"]["at"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    let facts = json(&site, "/api/facts").await;
    assert_eq!(facts["connections"].as_array().unwrap().len(), 1, "{facts}");
}

#[tokio::test]
async fn a_page_of_another_site_cannot_read_a_loopback_admin_server() {
    let dir = Dir::new();
    let mut site = Site::alone(&dir, "");
    site.run();
    site.mode().await;
    for (host, code) in [
        ("localhost", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("LOCALHOST:1", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:8080", 403),
        ("", 403),
    ] {
        assert_eq!(get(site.admin, "/api/overview", host).await.unwrap().0, code, "{host}");
    }
}
