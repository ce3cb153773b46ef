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
