//! How to test code that uses a quorum: the code under test takes a `Client` and is ordinary async code; the test runs it in
//! many worlds and breaks what it likes. `cargo run --features sim --example test_your_service`.

use std::time::Duration;

use quorate::ErrorCode;
use quorate::client::{Client, ClientError};
use quorate::sim::{self, World};

/// The code under test: counts in a node, with as many others at the same time as there are.
async fn increment(client: &Client, path: &str) -> Result<u64, ClientError> {
    loop {
        let node = client.get(path).await?;
        let count: u64 = String::from_utf8_lossy(&node.bytes()).parse().unwrap_or(0);
        let next = (count + 1).to_string();
        match client.set(path, next).version(node.stat.version).await {
            Ok(_) => return Ok(count + 1),
            Err(error) if error.is(ErrorCode::BadVersion) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The test: three processes count to ten each, while servers crash.
async fn nobody_miscounts(world: World) {
    let client = world.client();
    client.create("/count", "0").await.expect("the quorum takes a write");
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let process = world.process();
            let client = process.client();
            process.spawn(async move {
                for _ in 0..10 {
                    increment(&client, "/count").await.expect("the session lives");
                }
            })
        })
        .collect();
    for _ in 0..3 {
        world.sleep(Duration::from_millis(300)).await;
        let leader = world.leader().await;
        leader.crash();
        world.sleep(Duration::from_millis(500)).await;
        leader.restart();
    }
    for worker in workers {
        worker.await.expect("the process was not killed");
    }
    client.sync().await.expect("the quorum answers");
    let count = client.get("/count").await.expect("the node is there").bytes();
    assert_eq!(count, "30");
}

fn main() {
    // In a `#[test]` function this is all there is. A failure names its seed and shows what led to it.
    sim::check(0..20, nobody_miscounts);
    println!("20 worlds, and nobody miscounted");
}
