use super::client::Client;
use super::harness::{Dir, Site, until};

#[tokio::test]
async fn three_servers_lose_their_leader_by_sigkill_and_nothing_else() {
    let dir = Dir::new();
    let mut sites = Site::three(&dir, "");
    sites.iter_mut().for_each(Site::run);

    let mut modes = Vec::new();
    for site in &sites {
        modes.push(site.mode().await);
    }
    let leader = modes.iter().position(|mode| mode == "leader").expect("one leads");
    assert_eq!(modes.iter().filter(|mode| *mode == "follower").count(), 2, "{modes:?}");

    let follower = (leader + 1) % 3;
    let mut client = Client::connect(sites[follower].client).await;
    assert_eq!(client.create("/kept", b"before").await, Some(0));
    let epoch = epoch(&sites[follower]).await;

    sites[leader].kill().await;

    let elected = until("another leads", || async {
        for (at, site) in sites.iter().enumerate().filter(|(at, _)| *at != leader) {
            if site.command("status").await.1.contains("Mode: leader") {
                return Some(at);
            }
        }
        None
    })
    .await;
    let mut client = Client::connect(sites[elected].client).await;
    assert_eq!(client.get("/kept").await, Some(Ok(b"before".to_vec())));
    assert_eq!(client.set("/kept", b"after").await, Some(0));
    assert!(self::epoch(&sites[elected]).await > epoch, "a new leader, a new epoch");

    sites[leader].run();
    assert_eq!(sites[leader].mode().await, "follower");
    let mut client = Client::connect(sites[leader].client).await;
    assert_eq!(client.sync().await, Some(0));
    assert_eq!(client.get("/kept").await, Some(Ok(b"after".to_vec())), "it has what it missed");

    for site in &mut sites {
        assert_eq!(site.terminate().await, Some(0), "{}", site.log());
    }
}

#[tokio::test]
async fn a_server_without_a_quorum_lives_and_is_not_ready() {
    let dir = Dir::new();
    let mut sites = Site::three(&dir, "");
    sites[0].run();
    let (code, body) = sites[0].get("/health/ready").await;
    assert_eq!((code, body.as_str()), (503, "there is no quorum in reach\n"));
    assert_eq!(sites[0].get("/health/live").await.0, 200);
    let (code, body) = sites[0].get("/commands/monitor").await;
    assert_eq!(code, 503);
    assert!(body.contains("not currently serving requests"), "{body}");
    let (code, text) = sites[0].command("status").await;
    assert_eq!(code, Some(1), "{text}");

    sites[1].run();
    until("there is a quorum", || async { (sites[0].get("/health/ready").await.0 == 200).then_some(()) })
        .await;
    assert_eq!(sites[0].terminate().await, Some(0));
}

async fn epoch(site: &Site) -> u64 {
    let body = site.get("/api/overview").await.1;
    serde_json::from_str::<serde_json::Value>(&body).unwrap()["epoch"].as_u64().unwrap()
}
