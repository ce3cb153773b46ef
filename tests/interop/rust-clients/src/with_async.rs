//! The crate `zookeeper-async`. It has no transactions, no `sync` and no persistent watches, and sets no watch again after a
//! reconnect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use zookeeper_async::recipes::distributed_queue::DistributedQueue;
use zookeeper_async::recipes::leader_latch::LeaderLatch;
use zookeeper_async::recipes::shared_lock::lock;
use zookeeper_async::{
    Acl, CreateMode, Permission, Stat, WatchedEvent, WatchedEventType, ZkError, ZooKeeper, ZooKeeperExt,
};

use crate::ensemble::{Ensemble, SERVERS, SESSION};
use crate::outcome::{Failure, Outcome, hold, matched, same, same_as_new, until, within};

/// How long the client waits before it tries the next server. Its own default is not at all.
const RETRY: Duration = Duration::from_millis(20);

/// A client of these servers; a path behind them becomes its root.
pub async fn connect(hosts: &str) -> Outcome<ZooKeeper> {
    Ok(ZooKeeper::connect_with_retry_time(hosts, SESSION, |_| {}, RETRY).await?)
}

fn open() -> Vec<Acl> {
    Acl::open_unsafe().clone()
}

pub async fn kinds(ensemble: &Ensemble) -> Outcome {
    let one = connect(&ensemble.host(0)).await?;
    one.ensure_path("/async/kinds").await?;
    let hour = Duration::from_secs(3600);
    let owner =
        one.create2("/async/kinds/probe", vec![], open(), CreateMode::Ephemeral).await?.1.ephemeral_owner;
    hold!(owner > 0, "the session's number: {owner:#x}");
    for (name, number, mode, owner) in [
        ("persistent", "", CreateMode::Persistent, 0),
        ("ephemeral", "", CreateMode::Ephemeral, owner),
        ("container", "", CreateMode::Container, 0),
        ("ttl", "", CreateMode::PersistentWithTTL, 0),
        ("ps-", "0000000005", CreateMode::PersistentSequential, 0),
        ("es-", "0000000006", CreateMode::EphemeralSequential, owner),
        ("ts-", "0000000007", CreateMode::PersistentSequentialWithTTL, 0),
    ] {
        let path = format!("/async/kinds/{name}");
        let data = name.as_bytes().to_vec();
        let (created, stat) = if mode.is_ttl() {
            one.create2_ttl(&path, data, open(), mode, hour).await?
        } else {
            one.create2(&path, data, open(), mode).await?
        };
        same!(created, format!("{path}{number}"), "the path of {mode}");
        same_as_new!(stat, name.len() as i32, owner);
        let (data, got) = one.get_data(&created, false).await?;
        same!((&data[..], flat(&got)), (name.as_bytes(), flat(&stat)), "{created}, asked for");
    }
    // The same without a Stat in the answer, as old clients ask.
    same!(
        one.create("/async/kinds/plain", vec![], open(), CreateMode::Persistent).await?,
        "/async/kinds/plain",
        "path"
    );
    let short = Duration::from_millis(100);
    one.create_ttl("/async/kinds/short", vec![], open(), CreateMode::PersistentWithTTL, short).await?;
    until("it goes by itself", async || {
        Ok(one.exists("/async/kinds/short", false).await?.is_none().then_some(()))
    })
    .await?;

    let other = connect(&ensemble.host(1)).await?;
    let ephemeral = "/async/kinds/ephemeral";
    until("another server has it", async || Ok(other.exists(ephemeral, false).await?)).await?;
    one.close().await?;
    until("it goes with its session", async || {
        Ok(other.exists(ephemeral, false).await?.is_none().then_some(()))
    })
    .await?;
    Ok(other.close().await?)
}

pub async fn versions(ensemble: &Ensemble) -> Outcome {
    let one = connect(&ensemble.hosts(1)).await?;
    one.ensure_path("/async/data").await?;
    let (path, created) =
        one.create2("/async/data/a", b"first".to_vec(), open(), CreateMode::Persistent).await?;
    let set = one.set_data(&path, b"more".to_vec(), Some(0)).await?;
    same!(
        (set.version, set.data_length, set.czxid, set.pzxid),
        (1, 4, created.czxid, created.pzxid),
        "{set:?}"
    );
    hold!(set.mzxid > created.mzxid, "zxids of {set:?}");
    same!(one.set_data(&path, vec![], None).await?.version, 2, "after a change of any version");
    let (_, child) = one.create2("/async/data/a/b", vec![], open(), CreateMode::Persistent).await?;
    same!(one.get_children(&path, false).await?, ["b"], "children");
    let stat = one.exists(&path, false).await?.ok_or("it is gone")?;
    same!((stat.version, stat.cversion, stat.num_children, stat.pzxid), (2, 1, 1, child.czxid), "{stat:?}");
    let persistent = CreateMode::Persistent;
    for (what, got, wanted) in [
        ("an old version", one.set_data(&path, vec![], Some(0)).await.err(), ZkError::BadVersion),
        ("an old version, deleted", one.delete("/async/data/a/b", Some(3)).await.err(), ZkError::BadVersion),
        ("a second one", one.create(&path, vec![], open(), persistent).await.err(), ZkError::NodeExists),
        ("with a child", one.delete(&path, None).await.err(), ZkError::NotEmpty),
        ("no parent", one.create("/async/no/a", vec![], open(), persistent).await.err(), ZkError::NoNode),
        ("no node", one.get_data("/async/no", false).await.err(), ZkError::NoNode),
        ("no ACL", one.create("/async/data/c", vec![], vec![], persistent).await.err(), ZkError::InvalidACL),
    ] {
        same!(got, Some(wanted), "{what}");
    }
    one.create("/async/data/e", vec![], open(), CreateMode::Ephemeral).await?;
    let below = one.create("/async/data/e/x", vec![], open(), persistent).await;
    same!(below.err(), Some(ZkError::NoChildrenForEphemerals), "below an ephemeral");

    // A root of one's own.
    let rooted = connect(&format!("{}/async/data", ensemble.hosts(1))).await?;
    same!(rooted.create("/c", vec![], open(), persistent).await?, "/c", "a path below the root");
    until("a node below the root", async || Ok(one.exists("/async/data/c", false).await?)).await?;
    rooted.close().await?;
    one.delete_recursive("/async/data/a").await?;
    hold!(one.exists(&path, false).await?.is_none(), "{path} is deleted");
    Ok(one.close().await?)
}

pub async fn acls(ensemble: &Ensemble) -> Outcome {
    let (ann, bob) = (connect(&ensemble.host(0)).await?, connect(&ensemble.host(0)).await?);
    ann.ensure_path("/async/acl").await?;
    ann.add_auth("digest", b"ann:secret".to_vec()).await?;
    let path = "/async/acl/own";
    ann.create(path, b"s".to_vec(), Acl::creator_all().clone(), CreateMode::Persistent).await?;
    let (acl, stat) = ann.get_acl(path).await?;
    let own = Acl::new(Permission::ALL, "digest", "ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM=");
    same!(acl, std::slice::from_ref(&own), "whose it is");
    for (what, got) in [
        ("get", bob.get_data(path, false).await.err()),
        ("set", bob.set_data(path, vec![], None).await.err()),
        ("set the ACL", bob.set_acl(path, open(), None).await.err()),
    ] {
        same!(got, Some(ZkError::NoAuth), "{what}");
    }
    let shared = vec![own, Acl::new(Permission::READ, "world", "anyone")];
    let set = ann.set_acl(path, shared.clone(), Some(stat.aversion)).await?;
    same!((set.aversion, set.version, set.mzxid), (1, 0, stat.mzxid), "versions after a change of the ACL");
    same!(
        ann.set_acl(path, shared, Some(0)).await.err(),
        Some(ZkError::BadVersion),
        "an old version of the ACL"
    );
    same!(bob.get_data(path, false).await?.0, b"s", "what anyone may read");
    bob.add_auth("digest", b"ann:secret".to_vec()).await?;
    same!(bob.set_data(path, vec![], None).await?.version, 1, "who proves to be ann");
    ann.close().await?;
    Ok(bob.close().await?)
}

pub async fn watches(ensemble: &Ensemble) -> Outcome {
    // What no other watcher takes comes here.
    let (tell, mut others) = mpsc::unbounded_channel();
    let session_wide = move |event| drop(tell.send(event));
    let other = ZooKeeper::connect_with_retry_time(&ensemble.host(1), SESSION, session_wide, RETRY).await?;
    let one = connect(&ensemble.host(0)).await?;
    one.ensure_path("/async/watched").await?;
    until("another server has it", async || Ok(other.exists("/async/watched", false).await?)).await?;
    let (parent, path) = ("/async/watched", "/async/watched/a");

    let (created, tell) = watcher();
    hold!(other.exists_w(path, tell).await?.is_none(), "it is not there yet");
    let (children, tell) = watcher();
    same!(other.get_children_w(parent, tell).await?, [""; 0], "children");
    one.create(path, vec![], open(), CreateMode::Persistent).await?;
    event(created, WatchedEventType::NodeCreated, path).await?;
    event(children, WatchedEventType::NodeChildrenChanged, parent).await?;
    for n in 1..=3_u8 {
        let (changed, tell) = watcher();
        other.get_data_w(path, tell).await?;
        one.set_data(path, vec![n], None).await?;
        event(changed, WatchedEventType::NodeDataChanged, path).await?;
        same!(other.get_data(path, false).await?.0, [n], "what is read after the event");
    }
    let (gone, tell) = watcher();
    other.get_data_w(path, tell).await?;
    one.delete(path, None).await?;
    event(gone, WatchedEventType::NodeDeleted, path).await?;

    // Without a watcher of its own: once, although the node changes twice.
    hold!(other.exists(parent, true).await?.is_some(), "the parent is there");
    one.set_data(parent, vec![1], None).await?;
    let set = one.set_data(parent, vec![2], None).await?;
    until("the second change is there", async || {
        let stat = other.exists(parent, false).await?.ok_or("the parent is gone")?;
        Ok((stat.mzxid == set.mzxid).then_some(()))
    })
    .await?;
    let told = within("the session's watcher tells", others.recv()).await?.ok_or("the client has gone")?;
    same!(
        (told.event_type, told.path.as_deref()),
        (WatchedEventType::NodeDataChanged, Some(parent)),
        "{told:?}"
    );
    // This one's event comes after whatever there was before.
    other.exists(path, true).await?;
    one.create(path, vec![], open(), CreateMode::Persistent).await?;
    let told = within("the session's watcher tells", others.recv()).await?.ok_or("the client has gone")?;
    same!((told.event_type, told.path.as_deref()), (WatchedEventType::NodeCreated, Some(path)), "{told:?}");
    one.close().await?;
    Ok(other.close().await?)
}

/// This client sends what it is asked for right behind its request for a session, and does not wait for the answer.
pub async fn impatient(ensemble: &Ensemble) -> Outcome {
    let setup = connect(&ensemble.hosts(0)).await?;
    setup.ensure_path("/async/impatient").await?;
    for n in 0..SERVERS {
        let client = Arc::new(connect(&ensemble.host(n)).await?);
        let data = |number: usize| vec![b'x'; 1 + number * 1500];
        let mut asked = JoinSet::new();
        for number in 0..8 {
            let (client, path) = (client.clone(), format!("/async/impatient/{n}-{number}"));
            asked.spawn(
                async move { client.create(&path, data(number), open(), CreateMode::Persistent).await },
            );
        }
        while let Some(answer) = asked.join_next().await {
            answer??;
        }
        for number in 0..8 {
            let path = format!("/async/impatient/{n}-{number}");
            hold!(client.get_data(&path, false).await?.0 == data(number), "the data of {path}");
        }
        client.close().await?;
    }
    Ok(setup.close().await?)
}

pub async fn recipes(ensemble: &Ensemble) -> Outcome {
    let mut clients = Vec::new();
    for n in 0..SERVERS {
        clients.push(Arc::new(connect(&ensemble.host(n)).await?));
    }
    clients[0].ensure_path("/async/recipes/queue").await?;
    for client in &clients {
        until("all have it", async || Ok(client.exists("/async/recipes/queue", false).await?)).await?;
    }
    latch(&clients).await?;
    exclusion(&clients[..2]).await?;

    let queues =
        clients.iter().map(|client| DistributedQueue::new("/async/recipes/queue".into(), client.clone()));
    let queues: Vec<_> = queues.collect();
    for n in 0..9_u8 {
        queues[usize::from(n) % SERVERS].put(vec![n]).await?;
    }
    let mut taken = Vec::new();
    until("all is taken", async || {
        if let Some(item) = queues[taken.len() % SERVERS].try_take().await? {
            taken.extend(item);
        }
        Ok((taken.len() == 9).then_some(()))
    })
    .await?;
    let last = queues[0].peek().await?;
    same!((sorted(taken), last), ((0..9).collect(), None), "what was in the queue");
    for client in &clients {
        client.close().await?;
    }
    Ok(())
}

async fn latch(clients: &[Arc<ZooKeeper>]) -> Outcome {
    let mut latches = Vec::new();
    for (n, client) in clients.iter().enumerate() {
        let latch = LeaderLatch::new(client.clone(), n.to_string(), "/async/recipes/latch".into());
        latch.start().await?;
        latches.push(latch);
    }
    for n in 0..latches.len() {
        until("the next in line leads", async || Ok(latches[n].has_leadership().then_some(()))).await?;
        let leaders = latches.iter().filter(|latch| latch.has_leadership()).count();
        same!(leaders, 1, "how many lead");
        latches[n].stop().await?;
    }
    Ok(())
}

/// With two clients: with more of them in line this crate's lock searches a list that is not sorted as it believes.
async fn exclusion(clients: &[Arc<ZooKeeper>]) -> Outcome {
    let inside = Arc::new(AtomicU32::new(0));
    let mut running = Vec::new();
    for client in clients {
        let (client, inside) = (client.clone(), inside.clone());
        running.push(tokio::spawn(async move {
            for _ in 0..4 {
                let guard = lock(client.clone(), "/async/recipes/lock".into()).await?;
                let others = inside.fetch_add(1, Ordering::SeqCst);
                hold!(others == 0, "{others} others hold the lock");
                client.exists("/async/recipes", false).await?;
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(guard);
            }
            Ok::<_, Failure>(())
        }));
    }
    for each in running {
        within("all have held the lock", each).await???;
    }
    matched!(inside.load(Ordering::SeqCst), 0, "who holds the lock in the end");
    Ok(())
}

fn watcher() -> (oneshot::Receiver<WatchedEvent>, impl FnOnce(WatchedEvent) + Send + 'static) {
    let (tell, told) = oneshot::channel();
    (told, move |event| drop(tell.send(event)))
}

async fn event(told: oneshot::Receiver<WatchedEvent>, kind: WatchedEventType, path: &str) -> Outcome {
    let event = within("a watch tells", told).await??;
    same!((event.event_type, event.path.as_deref()), (kind, Some(path)), "what a watch tells");
    Ok(())
}

/// This crate's Stat cannot be compared.
fn flat(stat: &Stat) -> [i64; 11] {
    let numbers =
        [stat.version, stat.cversion, stat.aversion, stat.data_length, stat.num_children].map(i64::from);
    let [version, cversion, aversion, len, children] = numbers;
    let Stat { czxid, mzxid, ctime, mtime, ephemeral_owner, pzxid, .. } = *stat;
    [czxid, mzxid, pzxid, ctime, mtime, ephemeral_owner, version, cversion, aversion, len, children]
}

fn sorted(mut items: Vec<u8>) -> Vec<u8> {
    items.sort_unstable();
    items
}
