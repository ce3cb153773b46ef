use std::fs;

use super::client::Client;
use super::harness::{Dir, Site};

#[tokio::test]
async fn a_server_is_started_asked_restarted_and_stopped_as_zkserver_does_it() {
    let dir = Dir::new();
    let site = Site::alone(&dir, "");
    let heading = format!("Using config: {}\n", site.file.display());
    let port = site.client;

    assert_eq!(site.command("status").await.0, Some(1));
    assert_eq!(site.command("start").await, (Some(0), format!("{heading}Starting quorate ... STARTED\n")));
    let expected = format!(
        "{heading}Client port found: {port}. Client address: 127.0.0.1. Client SSL: false.\nMode: standalone\n"
    );
    // It listens before it serves.
    site.mode().await;
    assert_eq!(site.command("status").await, (Some(0), expected));
    let pid = fs::read_to_string(site.data.join("quorate.pid")).unwrap();
    let (code, text) = site.command("start").await;
    assert_eq!(code, Some(1));
    assert!(text.ends_with(&format!("already running as process {}.\n", pid.trim())), "{text}");

    let mut client = Client::connect(port).await;
    assert_eq!(client.create("/kept", b"x").await, Some(0));
    let (code, text) = site.command("restart").await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Stopping quorate ... STOPPED\n") && text.ends_with("STARTED\n"), "{text}");
    assert_ne!(fs::read_to_string(site.data.join("quorate.pid")).unwrap(), pid, "it is another process");
    let mut client = Client::connect(port).await;
    assert_eq!(client.get("/kept").await, Some(Ok(b"x".to_vec())));

    assert_eq!(site.command("stop").await, (Some(0), format!("{heading}Stopping quorate ... STOPPED\n")));
    let (code, text) = site.command("stop").await;
    assert_eq!(code, Some(0));
    assert!(text.contains("no quorate to stop"), "{text}");
}

#[tokio::test]
async fn a_number_left_behind_by_a_crash_is_taken_for_no_process() {
    let dir = Dir::new();
    let mut site = Site::alone(&dir, "");
    site.run();
    site.mode().await;
    site.kill().await;
    assert!(!fs::read_to_string(site.data.join("quorate.pid")).unwrap().is_empty());
    assert!(site.command("stop").await.1.contains("no quorate to stop"));
    site.run();
    assert_eq!(site.mode().await, "standalone");
    assert_eq!(site.terminate().await, Some(0));
    assert_eq!(fs::read_to_string(site.data.join("quorate.pid")).unwrap(), "", "a clean end leaves none");
}

#[tokio::test]
async fn the_log_is_where_data_log_dir_says_and_is_found_there_again() {
    let dir = Dir::new();
    let log = dir.0.join("log-disk");
    let mut site = Site::alone(&dir, &format!("dataLogDir={}\nsnapCount=20\n", log.display()));
    site.run();
    let mut client = Client::connect(site.client).await;
    assert_eq!(client.create("/kept", b"0").await, Some(0));
    for _ in 0..50 {
        assert_eq!(client.set("/kept", b"1").await, Some(0));
    }
    site.kill().await;
    let names = |dir: &std::path::Path| -> Vec<String> {
        let entries = fs::read_dir(dir.join("quorate")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert!(names(&log).iter().any(|name| name.starts_with("log-")), "{:?}", names(&log));
    assert!(names(&site.data).iter().all(|name| name.starts_with("snapshot") || name == "lock"));
    assert!(names(&site.data).iter().any(|name| name.starts_with("snapshot-")), "{:?}", names(&site.data));

    site.run();
    let mut client = Client::connect(site.client).await;
    assert_eq!(client.get("/kept").await, Some(Ok(b"1".to_vec())));
    assert_eq!(site.terminate().await, Some(0));
}

#[tokio::test]
async fn the_log_is_json_when_asked() {
    let dir = Dir::new();
    let site = Site::alone(&dir, "ticktime=5\n");
    let out = fs::File::create(dir.0.join("json")).unwrap();
    let mut child = tokio::process::Command::new(super::harness::PROGRAM)
        .args(["server", "--log-format", "json"])
        .arg(&site.file)
        .stderr(out)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    site.mode().await;
    child.kill().await.unwrap();
    let text = fs::read_to_string(dir.0.join("json")).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["level"], "WARN");
    assert!(lines[0]["message"].as_str().unwrap().contains("did you mean `tickTime`?"), "{text}");
    assert!(lines.len() > 3);
}
