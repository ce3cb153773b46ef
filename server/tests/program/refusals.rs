use std::fs;
use std::net::TcpListener;
use std::path::Path;

use tokio::process::Command;

use super::client::Client;
use super::harness::{Dir, PROGRAM, Site};

/// Exit code and stderr of a server that does not start.
async fn refused(file: &Path) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM).arg("server").arg(file).output().await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_every_line_that_is_wrong() {
    let dir = Dir::new();
    let file = dir.0.join("zoo.cfg");
    fs::write(&file, "tickTime=often\nclientPort=0x10\nserver.1=zk\n").unwrap();
    let (code, text) = refused(&file).await;
    assert_eq!(code, Some(2), "{text}");
    for says in [
        ":1: tickTime=often: not a whole number; write milliseconds",
        ":2: clientPort=0x10: not a whole number; write a port",
        ":3: server.1=zk: the quorum port is missing; write server.1=host:2888:3888",
        "dataDir is not set; write dataDir=",
    ] {
        assert!(text.contains(says), "{says} is not in {text}");
    }
    let (code, text) = refused(&dir.0.join("none.cfg")).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("none.cfg cannot be read: "), "{text}");
}

#[tokio::test]
async fn servers_on_several_machines_are_refused_until_the_file_says_how_they_know_each_other() {
    let dir = Dir::new();
    let file = dir.0.join("zoo.cfg");
    let lines = "initLimit=5\nsyncLimit=5\nserver.1=10.0.0.1:2888:3888\nserver.2=10.0.0.2:2888:3888\nserver.3=10.0.0.3:2888:3888\n";
    fs::write(&file, format!("dataDir={}\n{lines}", dir.0.display())).unwrap();
    let (code, text) = refused(&file).await;
    assert_eq!(code, Some(2));
    assert!(text.contains("write sslQuorum=true with ssl.quorum.keyStore.location"), "{text}");
    assert!(text.contains("quorumInsecureTrustedNetwork=true"), "{text}");
}

#[tokio::test]
async fn a_directory_serves_one_process() {
    let dir = Dir::new();
    let mut site = Site::alone(&dir, "");
    site.run();
    site.mode().await;
    let (code, text) = refused(&site.file).await;
    assert_eq!(code, Some(3), "{text}");
    let pid = fs::read_to_string(site.data.join("quorate.pid")).unwrap();
    assert!(text.contains(&format!("process {} runs on", pid.trim())), "{text}");
    assert_eq!(site.mode().await, "standalone", "the first is not disturbed");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let dir = Dir::new();
    let site = Site::alone(&dir, "");
    let _taken = TcpListener::bind(("127.0.0.1", site.client)).unwrap();
    let (code, text) = refused(&site.file).await;
    assert_eq!(code, Some(1));
    assert!(
        text.contains(&format!("the client port: could not listen at 127.0.0.1, port {}", site.client)),
        "{text}"
    );
    let (code, text) = site.command("start").await;
    assert_eq!(code, Some(1));
    assert!(text.ends_with("FAILED TO START\n"), "{text}");
}

#[tokio::test]
async fn a_taken_admin_port_does_not_keep_the_server_from_serving() {
    let dir = Dir::new();
    let mut site = Site::alone(&dir, "");
    let _taken = TcpListener::bind(("127.0.0.1", site.admin)).unwrap();
    site.run();
    assert_eq!(site.mode().await, "standalone");
    assert!(site.log().contains("the admin server could not listen at"), "{}", site.log());
}

#[tokio::test]
async fn damaged_data_ends_the_server_with_the_file_and_what_to_do() {
    let dir = Dir::new();
    let mut site = Site::alone(&dir, "");
    site.run();
    let mut client = Client::connect(site.client).await;
    for _ in 0..3 {
        client.create("/n", b"some data").await.unwrap();
        client.set("/n", b"other data").await.unwrap();
    }
    site.kill().await;
    let control = site.data.join("quorate/control");
    let len = fs::read(&control).unwrap().len();
    fs::write(&control, vec![0xa5; len]).unwrap();
    site.run();
    assert_eq!(site.exit().await, Some(3), "{}", site.log());
    let log = site.log();
    assert!(
        log.contains("quorate: the server stopped: the storage failed:") && log.contains("control"),
        "{log}"
    );
}

#[tokio::test]
async fn a_server_whose_disk_fails_ends_and_says_why() {
    let dir = Dir::new();
    let mut site = Site::alone(&dir, "");
    site.run();
    let mut client = Client::connect(site.client).await;
    assert_eq!(client.create("/n", b"x").await, Some(0));
    // The log's next segment finds no directory any more: as with a disk that was pulled.
    fs::rename(site.data.join("quorate"), dir.0.join("pulled")).unwrap();
    static LARGE: [u8; 1_000_000] = [7; 1_000_000];
    let mut acknowledged = 0;
    while client.set("/n", &LARGE).await == Some(0) {
        acknowledged += 1;
        assert!(acknowledged < 1_000, "the segment never ends");
    }
    assert_eq!(site.exit().await, Some(3), "{}", site.log());
    assert!(site.log().contains("quorate: the server stopped: the storage failed: "), "{}", site.log());

    fs::rename(dir.0.join("pulled"), site.data.join("quorate")).unwrap();
    site.run();
    let mut client = Client::connect(site.client).await;
    let kept = client.get("/n").await.unwrap().unwrap();
    assert_eq!(kept.len(), LARGE.len(), "what was acknowledged is there");
}
