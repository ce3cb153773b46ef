use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::client::Client;
use super::harness::{Dir, PROGRAM, get, ports, until};

#[tokio::test]
async fn one_command_gives_an_ensemble_that_goes_with_ctrl_c() {
    let dir = Dir::new();
    let (port, admin) = three_in_a_row();
    let mut child = Command::new(PROGRAM)
        .args([
            "up",
            "--servers",
            "3",
            "--port",
            &port.to_string(),
            "--admin-port",
            &admin.to_string(),
            "--dir",
        ])
        .arg(&dir.0)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let [a, b, c] = [port, port + 1, port + 2];
    assert_eq!(first, format!("connect to  127.0.0.1:{a},127.0.0.1:{b},127.0.0.1:{c}"));
    let told = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(": leader, epoch 1") {
                return line;
            }
        }
        panic!("nobody leads")
    };
    told.await;
    let mut one = Client::connect(a).await;
    assert_eq!(one.create("/x", b"1").await, Some(0));
    let mut other = Client::connect(c).await;
    assert_eq!(other.sync().await, Some(0));
    assert_eq!(other.get("/x").await, Some(Ok(b"1".to_vec())));
    until("the page is there", || get(admin, "/health/ready", "localhost")).await;

    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    assert!(dir.0.join("server-2/zoo.cfg").exists(), "what was asked to be kept is kept");
}

/// Ports for three servers, the ones for their quorum among them, and three for their pages.
fn three_in_a_row() -> (u16, u16) {
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let found = (0..100).find_map(|_| {
        let [port, admin] = ports();
        let wanted = |n: u16| port < 58_000 && free(port + n) && free(port + 700 + n) && free(admin + n);
        (0..3).all(wanted).then_some((port, admin))
    });
    found.expect("there are free ports")
}
