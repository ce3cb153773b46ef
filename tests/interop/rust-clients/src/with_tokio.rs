//! The crate `tokio-zookeeper`. It knows one server's address and has no authentication.

use tokio_zookeeper::error::{Check, Create, Delete, Multi, SetData};
use tokio_zookeeper::{
    Acl, CreateMode, KeeperState, MultiResponse, WatchedEvent, WatchedEventType, ZooKeeper,
};
use tokio_zookeeper::{ZooKeeperBuilder, error};

use crate::ensemble::{Ensemble, SESSION};
use crate::outcome::{Outcome, hold, same, same_as_new, until, within};

async fn connect(host: &str) -> Outcome<ZooKeeper> {
    let mut builder = ZooKeeperBuilder::default();
    builder.set_timeout(SESSION);
    // The session-wide watcher hears what the others hear.
    let (client, _session_wide) = builder.connect(&host.parse()?).await?;
    Ok(client)
}

fn open() -> &'static [Acl] {
    Acl::open_unsafe()
}

pub async fn everything(ensemble: &Ensemble) -> Outcome {
    let (one, other) = (connect(&ensemble.host(1)).await?, connect(&ensemble.host(2)).await?);
    let persistent = CreateMode::Persistent;
    same!(one.create("/tokio", &b""[..], open(), persistent).await?, Ok("/tokio".to_owned()), "the path");
    nodes(&one).await?;
    transactions(&one).await?;
    until("another server has it", async || Ok(other.exists("/tokio").await?)).await?;
    watches(&one, &other).await?;

    one.create("/tokio/gone", &b""[..], open(), CreateMode::Ephemeral).await??;
    until("another server has it", async || Ok(other.exists("/tokio/gone").await?)).await?;
    let (gone, _) = other.with_watcher().exists("/tokio/gone").await?;
    drop(one);
    event(gone, WatchedEventType::NodeDeleted, "/tokio/gone").await
}

async fn nodes(one: &ZooKeeper) -> Outcome {
    let mut session = None;
    for (path, created, mode) in [
        ("/tokio/persistent", "/tokio/persistent", CreateMode::Persistent),
        ("/tokio/ephemeral", "/tokio/ephemeral", CreateMode::Ephemeral),
        ("/tokio/container", "/tokio/container", CreateMode::Container),
        ("/tokio/ps-", "/tokio/ps-0000000003", CreateMode::PersistentSequential),
        ("/tokio/es-", "/tokio/es-0000000004", CreateMode::EphemeralSequential),
    ] {
        same!(one.create(path, &b"data"[..], open(), mode).await?, Ok(created.to_owned()), "the path");
        let (data, stat) = one.get_data(created).await?.ok_or("it is not there")?;
        same!(data, b"data", "the data");
        let owner = match mode {
            CreateMode::Ephemeral | CreateMode::EphemeralSequential => {
                *session.get_or_insert(stat.ephemeral_owner)
            }
            CreateMode::Persistent | CreateMode::PersistentSequential | CreateMode::Container => 0,
        };
        same_as_new!(stat, 4, owner);
    }
    hold!(session.is_some_and(|owner| owner > 0), "the session's number: {session:?}");
    let path = "/tokio/persistent";
    let set = one.set_data(path, Some(0), &b"more"[..]).await??;
    same!((set.version, set.mzxid > set.czxid), (1, true), "after a change");
    let old = SetData::BadVersion { expected: 0 };
    same!(one.set_data(path, Some(0), &b""[..]).await?, Err(old), "an old version");
    same!(one.set_data("/no", None, &b""[..]).await?, Err(SetData::NoNode), "no node");
    same!(one.delete("/tokio", None).await?, Err(Delete::NotEmpty), "with children");
    same!(one.delete(path, Some(5)).await?, Err(Delete::BadVersion { expected: 5 }), "an old version");
    let again = one.create(path, &b""[..], open(), CreateMode::Persistent).await?;
    same!(again, Err(Create::NodeExists), "a second one");
    let below = one.create("/tokio/ephemeral/x", &b""[..], open(), CreateMode::Persistent).await?;
    same!(below, Err(Create::NoChildrenForEphemerals), "below an ephemeral");
    let refused = one.create("/tokio/own", &b""[..], Acl::creator_all(), CreateMode::Persistent).await?;
    same!(refused, Err(Create::InvalidAcl), "an ACL for those who proved something, of one who did not");
    let (acl, stat) = one.get_acl(path).await??;
    same!(acl, open(), "the ACL");
    let set = one.set_acl(path, Acl::read_unsafe(), Some(stat.aversion)).await??;
    same!(set.aversion, 1, "the version of the ACL");
    same!(one.set_data(path, None, &b""[..]).await?, Err(SetData::NoAuth), "what anyone may read only");
    same!(one.get_acl("/no").await?, Err(error::GetAcl::NoNode), "no node");
    let mut children = one.get_children("/tokio").await?.ok_or("the parent is gone")?;
    children.sort();
    same!(children, ["container", "ephemeral", "es-0000000004", "persistent", "ps-0000000003"], "children");
    Ok(())
}

async fn transactions(one: &ZooKeeper) -> Outcome {
    let persistent = CreateMode::Persistent;
    let builder =
        one.multi().create("/tokio/m", &b""[..], open(), persistent).set_data("/tokio/m", Some(0), &b"1"[..]);
    let builder = builder.check("/tokio/m", 1).create("/tokio/n", &b""[..], open(), persistent);
    let results = builder.delete("/tokio/n", None).run().await?;
    let stat = one.exists("/tokio/m").await?.ok_or("it is not there")?;
    same!(
        results,
        [
            Ok(MultiResponse::Create("/tokio/m".into())),
            Ok(MultiResponse::SetData(stat)),
            Ok(MultiResponse::Check),
            Ok(MultiResponse::Create("/tokio/n".into())),
            Ok(MultiResponse::Delete),
        ],
        "what a transaction tells"
    );
    let builder = one.multi().set_data("/tokio/m", None, &b"2"[..]).check("/tokio/m", 9);
    let results = builder.delete("/tokio/m", None).run().await?;
    let refusal = Multi::Check { source: Check::BadVersion { expected: 9 } };
    same!(results, [Err(Multi::RolledBack), Err(refusal), Err(Multi::Skipped)], "one that fails");
    same!(one.get_data("/tokio/m").await?, Some((b"1".to_vec(), stat)), "what was there before");
    Ok(())
}

async fn watches(one: &ZooKeeper, other: &ZooKeeper) -> Outcome {
    let path = "/tokio/watched";
    let (created, none) = other.with_watcher().exists(path).await?;
    same!(none, None, "before it is created");
    let (children, _) = other.with_watcher().get_children("/tokio").await?.ok_or("the parent is gone")?;
    one.create(path, &b""[..], open(), CreateMode::Persistent).await??;
    event(created, WatchedEventType::NodeCreated, path).await?;
    event(children, WatchedEventType::NodeChildrenChanged, "/tokio").await?;
    for n in 1..=3_u8 {
        let (changed, ..) = other.with_watcher().get_data(path).await?.ok_or("it is gone")?;
        let stat = one.set_data(path, None, vec![n]).await??;
        event(changed, WatchedEventType::NodeDataChanged, path).await?;
        same!(other.get_data(path).await?, Some((vec![n], stat)), "what is read after the event");
    }
    let (gone, ..) = other.with_watcher().get_data(path).await?.ok_or("it is gone")?;
    one.delete(path, None).await??;
    event(gone, WatchedEventType::NodeDeleted, path).await
}

async fn event<E: std::error::Error + Send + Sync + 'static>(
    told: impl Future<Output = Result<WatchedEvent, E>>,
    event_type: WatchedEventType,
    path: &str,
) -> Outcome {
    let event = within("a watch tells", told).await??;
    same!(
        event,
        WatchedEvent { event_type, keeper_state: KeeperState::SyncConnected, path: path.to_owned() },
        "what a watch tells"
    );
    Ok(())
}
