use super::*;

#[test]
fn a_write_survives_the_crash_of_the_leader() {
    let world = World::new(7);
    world
        .run(async {
            let client = world.client();
            client.create("/motto", "many hands").await.unwrap();
            world.leader().await.crash();
            client.set("/motto", "make light work").await.unwrap();
            let data = client.get("/motto").await.unwrap();
            assert_eq!(data.data.as_deref(), Some(&b"make light work"[..]));
        })
        .unwrap();
}

#[test]
fn a_world_in_which_nothing_can_happen_any_more_says_so() {
    let config = WorldConfig { time_limit: Duration::from_secs(1), ..WorldConfig::default() };
    let world = World::with(7, config);
    let found = world.run(std::future::pending::<()>());
    assert!(matches!(found, Err(Failure::TooSlow { .. })), "the servers still have deadlines: {found:?}");
    for server in world.servers() {
        server.crash();
    }
    let found = world.run(std::future::pending::<()>());
    assert!(matches!(found, Err(Failure::Deadlocked { .. })), "{found:?}");
}
