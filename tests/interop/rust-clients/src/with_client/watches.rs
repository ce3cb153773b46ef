use zookeeper_client::{AddWatchMode, Client, EventType, OneshotWatcher, PersistentWatcher};

use super::{connect, persistent as node};
use crate::ensemble::Ensemble;
use crate::outcome::{Outcome, same, within};

pub async fn one_shot(ensemble: &Ensemble) -> Outcome {
    let (one, other) = (connect(&ensemble.host(0)).await?, connect(&ensemble.host(2)).await?);
    one.mkdir("/client/watched", &node()).await?;
    other.sync("/").await?;

    let (none, created) = other.check_and_watch_stat("/client/watched/a").await?;
    same!(none, None, "before it is created");
    let (_, children) = other.list_and_watch_children("/client/watched").await?;
    let (stat, _) = one.create("/client/watched/a", b"0", &node()).await?;
    event(created, EventType::NodeCreated, "/client/watched/a", stat.czxid).await?;
    event(children, EventType::NodeChildrenChanged, "/client/watched", stat.czxid).await?;

    // Who has been told of a change reads it, or what came later.
    for n in 1..=3_u8 {
        let (_, _, data) = other.get_and_watch_data("/client/watched/a").await?;
        let (_, exists) = other.check_and_watch_stat("/client/watched/a").await?;
        let stat = one.set_data("/client/watched/a", &[n], None).await?;
        event(data, EventType::NodeDataChanged, "/client/watched/a", stat.mzxid).await?;
        event(exists, EventType::NodeDataChanged, "/client/watched/a", stat.mzxid).await?;
        same!(other.get_data("/client/watched/a").await?, (vec![n], stat), "what is read after the event");
    }

    let (_, _, data) = other.get_and_watch_data("/client/watched/a").await?;
    let (_, _, own) = other.get_and_watch_children("/client/watched/a").await?;
    let (_, _, children) = other.get_and_watch_children("/client/watched").await?;
    one.delete("/client/watched/a", None).await?;
    let gone = one.check_stat("/client/watched").await?.ok_or("the parent is gone")?.pzxid;
    event(data, EventType::NodeDeleted, "/client/watched/a", gone).await?;
    event(own, EventType::NodeDeleted, "/client/watched/a", gone).await?;
    event(children, EventType::NodeChildrenChanged, "/client/watched", gone).await?;

    // One that is given up is taken back from the server, too.
    let (_, _, given_up) = other.get_and_watch_data("/client/watched").await?;
    drop(given_up);
    ensemble.no_watch_is_left().await
}

pub async fn persistent(ensemble: &Ensemble) -> Outcome {
    let (one, other) = (connect(&ensemble.host(1)).await?, connect(&ensemble.host(0)).await?);
    one.mkdir("/client/lasting/deep", &node()).await?;
    other.sync("/").await?;
    let mut node_watch = other.watch("/client/lasting", AddWatchMode::Persistent).await?;
    let mut tree_watch = other.watch("/client/lasting/deep", AddWatchMode::PersistentRecursive).await?;

    let deep = changes(&one, "/client/lasting/deep").await?;
    let top = changes(&one, "/client/lasting").await?;
    one.delete("/client/lasting/deep", None).await?;
    one.delete("/client/lasting", None).await?;
    one.create("/client/lasting", b"", &node()).await?;

    use EventType::{NodeChildrenChanged, NodeCreated, NodeDataChanged, NodeDeleted};
    let [data, child, grandchild] = ["", "/c", "/c/d"].map(|tail| format!("/client/lasting/deep{tail}"));
    let wanted = [
        (NodeDataChanged, &data),
        (NodeCreated, &child),
        (NodeDataChanged, &child),
        (NodeCreated, &grandchild),
        (NodeDeleted, &grandchild),
        (NodeDeleted, &child),
        (NodeDeleted, &data),
    ];
    let got = events(&mut tree_watch, wanted.len()).await?;
    same!(
        got,
        wanted.map(|(kind, path)| (kind, path.clone())),
        "what a recursive watch tells ({deep} changes)"
    );

    // Of its children it tells that they have changed; of those below them, nothing.
    let wanted = [
        NodeDataChanged,
        NodeChildrenChanged,
        NodeChildrenChanged,
        NodeChildrenChanged,
        NodeDeleted,
        NodeCreated,
    ];
    let got = events(&mut node_watch, wanted.len()).await?;
    same!(
        got,
        wanted.map(|kind| (kind, "/client/lasting".to_owned())),
        "what a persistent watch tells ({top} changes)"
    );
    drop((node_watch, tree_watch));
    ensemble.no_watch_is_left().await
}

/// Changes the node, a child and a grandchild; gives how many changes those were.
async fn changes(client: &Client, path: &str) -> Outcome<usize> {
    let (child, grandchild) = (format!("{path}/c"), format!("{path}/c/d"));
    client.set_data(path, b"1", None).await?;
    client.create(&child, b"", &node()).await?;
    client.set_data(&child, b"1", None).await?;
    client.create(&grandchild, b"", &node()).await?;
    client.delete(&grandchild, None).await?;
    client.delete(&child, None).await?;
    Ok(6)
}

async fn event(watcher: OneshotWatcher, kind: EventType, path: &str, zxid: i64) -> Outcome {
    let event = within("a watch tells", watcher.changed()).await?;
    same!((event.event_type, event.path.as_str(), event.zxid), (kind, path, zxid), "what a watch tells");
    Ok(())
}

async fn events(watcher: &mut PersistentWatcher, count: usize) -> Outcome<Vec<(EventType, String)>> {
    let mut events = Vec::new();
    while events.len() < count {
        let event = within("a watch tells", watcher.changed()).await?;
        events.push((event.event_type, event.path));
    }
    Ok(events)
}
