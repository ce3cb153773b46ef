use super::super::{Fault, Rate};
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

/// Applies these words, has something written, and says what the network did meanwhile: lost, doubled, overtaken, and how long
/// the write took.
fn network_under(words: &[Fault]) -> (u64, u64, u64, Duration) {
    let world = World::new(7);
    let span = world
        .run(async {
            let client = world.client();
            client.create("/motto", "").await.unwrap();
            for word in words {
                world.apply(*word);
            }
            let began = world.now();
            for _ in 0..20 {
                client.set("/motto", "many hands").await.unwrap();
            }
            world.now().since(began)
        })
        .unwrap();
    let counters = world.network().counters();
    world.end();
    (counters.dropped, counters.duplicated, counters.reordered, span)
}

#[test]
fn each_word_for_links_does_what_it_says_and_nothing_else() {
    let one_in_ten = Rate::millionths(100_000);
    let (lost, doubled, overtaken, usual) = network_under(&[]);
    assert_eq!((lost, doubled, overtaken), (0, 0, 0));
    let (lost, doubled, overtaken, _) = network_under(&[Fault::DropRate(one_in_ten)]);
    assert!(lost > 0 && (doubled, overtaken) == (0, 0));
    let (lost, doubled, overtaken, _) = network_under(&[Fault::DuplicateRate(one_in_ten)]);
    assert!(doubled > 0 && (lost, overtaken) == (0, 0));
    let (lost, doubled, overtaken, _) = network_under(&[Fault::Reorder(one_in_ten)]);
    assert!(overtaken > 0 && (lost, doubled) == (0, 0));
    let (.., slow) = network_under(&[Fault::Latency(Latency::fixed(Duration::from_millis(20)))]);
    assert!(slow > 2 * usual && slow >= Duration::from_millis(40), "{usual:?}, {slow:?}");
    let (lost, doubled, overtaken, mended) =
        network_under(&[Fault::DropRate(one_in_ten), Fault::DropRate(Rate::NEVER)]);
    assert_eq!((lost, doubled, overtaken, mended), (0, 0, 0, usual));
}

#[test]
fn the_hash_tells_apart_what_clients_ask_and_are_told() {
    // One server: nothing passes between servers whose bytes would tell it.
    let hash = |path: &str| {
        let world = World::with(7, WorldConfig { voters: 1, ..WorldConfig::default() });
        world
            .run(async {
                let client = world.client();
                client.create("/motto", "many hands").await.unwrap();
                client.get(path).await.unwrap();
            })
            .unwrap();
        let hash = world.trace_hash();
        world.end();
        hash
    };
    assert_eq!(hash("/motto"), hash("/motto"));
    assert_ne!(hash("/motto"), hash("/"));
}
