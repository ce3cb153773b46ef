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
async fn a_server_whose_disk_was_lost_waits_until_it_has_again_what_it_acknowledged() {
    let dir = Dir::new();
    let mut sites = Site::three(&dir, "");
    sites.iter_mut().for_each(Site::run);
    let mut client = Client::connect(sites[0].client).await;
    assert_eq!(client.create("/kept", b"x").await, Some(0));
    for site in &mut sites {
        assert_eq!(site.terminate().await, Some(0));
    }
    std::fs::remove_dir_all(sites[2].data.join("quorate")).unwrap();
    sites[2].add("db.autocreate=false\n");
    sites[2].run();
    until("the log says that it does not vote", || async {
        sites[2].log().contains("standing=Suspect").then_some(())
    })
    .await;
    // With one that has the data there is no quorum: the empty one's vote does not make one.
    sites[0].run();
    assert_eq!(sites[0].get("/health/live").await.0, 200);
    assert_eq!(sites[0].get("/health/ready").await.0, 503);
    sites[1].run();
    assert_eq!(sites[2].mode().await, "follower");
    let mut client = Client::connect(sites[2].client).await;
    assert_eq!(client.sync().await, Some(0));
    assert_eq!(client.get("/kept").await, Some(Ok(b"x".to_vec())));
}

#[tokio::test]
async fn an_observer_answers_forwards_and_says_what_it_is() {
    let dir = Dir::new();
    let mut sites = Site::ensemble(&dir, &["", "", "", ":observer"], "syncLimit=5\n");
    sites.iter_mut().for_each(Site::run);
    let mut modes = Vec::new();
    for site in &sites {
        modes.push(site.mode().await);
    }
    assert_eq!(modes.pop().as_deref(), Some("observer"));
    modes.sort();
    assert_eq!(modes, ["follower", "follower", "leader"]);
    let mut client = Client::connect(sites[3].client).await;
    assert_eq!(client.create("/x", b"1").await, Some(0));
    assert_eq!(client.get("/x").await, Some(Ok(b"1".to_vec())));

    let mut told = serde_json::Value::Null;
    for site in &sites[..3] {
        let body: serde_json::Value = serde_json::from_str(&site.get("/commands/observers").await.1).unwrap();
        if body["synced_observers"] == 1 {
            told = body;
        }
    }
    assert_eq!(told["observers"], serde_json::json!([4]), "the leader knows its observer");
    // Without its vote the others go on; without two of theirs it does not make up for them.
    sites[0].kill().await;
    until("the rest serves", || async {
        let mut client = Client::connect(sites[3].client).await;
        (client.set("/x", b"2").await? == 0).then_some(())
    })
    .await;
    sites[1].kill().await;
    until("two of four are no quorum of three", || async {
        (sites[3].get("/health/ready").await.0 == 503).then_some(())
    })
    .await;
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
