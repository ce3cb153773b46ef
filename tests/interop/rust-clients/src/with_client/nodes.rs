use std::time::Duration;

use zookeeper_client::{
    Acl, Acls, AuthId, AuthUser, Client, CreateMode, Error, MultiReadResult, MultiWriteError,
    MultiWriteResult, Permission,
};

use super::{connect, open, persistent};
use crate::ensemble::Ensemble;
use crate::outcome::{Outcome, hold, matched, same, same_as_new, until};

pub async fn kinds(ensemble: &Ensemble) -> Outcome {
    let one = connect(&ensemble.hosts(0)).await?;
    one.mkdir("/client/kinds", &persistent()).await?;
    let session = one.session_id().0;
    for (name, mode, owner) in [
        ("persistent", CreateMode::Persistent, 0),
        ("ephemeral", CreateMode::Ephemeral, session),
        ("container", CreateMode::Container, 0),
    ] {
        let path = format!("/client/kinds/{name}");
        let (stat, _) = one.create(&path, name.as_bytes(), &open(mode)).await?;
        same_as_new!(stat, name.len() as i32, owner);
        same!(one.check_stat(&path).await?, Some(stat), "{path}, asked for");
    }
    let long = persistent().with_ttl(Duration::from_secs(3600));
    let (stat, _) = one.create("/client/kinds/ttl", b"t", &long).await?;
    same_as_new!(stat, 1, 0);

    // The number is the parent's count of creations, whatever their kind.
    let long = Some(Duration::from_secs(3600));
    for (number, mode, ttl, owner) in [
        (4, CreateMode::PersistentSequential, None, 0),
        (5, CreateMode::EphemeralSequential, None, session),
        (6, CreateMode::PersistentSequential, long, 0),
        (7, CreateMode::PersistentSequential, None, 0),
    ] {
        let options = ttl.into_iter().fold(open(mode), |options, ttl| options.with_ttl(ttl));
        let (stat, sequence) = one.create("/client/kinds/s-", b"", &options).await?;
        same_as_new!(stat, 0, owner);
        same!(sequence.into_i64(), number, "the sequence number");
        let path = format!("/client/kinds/s-{sequence}");
        same!(one.check_stat(&path).await?, Some(stat), "{path}, asked for");
    }

    // Containers and nodes with a time to live go by themselves, when they have no children.
    let short = persistent().with_ttl(Duration::from_millis(100));
    one.create("/client/kinds/short", b"", &short).await?;
    one.create("/client/kinds/container/child", b"", &persistent()).await?;
    one.delete("/client/kinds/container/child", None).await?;
    for path in ["/client/kinds/short", "/client/kinds/container"] {
        until("it goes by itself", async || Ok(one.check_stat(path).await?.is_none().then_some(()))).await?;
    }
    Ok(())
}

pub async fn versions(ensemble: &Ensemble) -> Outcome {
    let (one, other) = (connect(&ensemble.host(0)).await?, connect(&ensemble.host(1)).await?);
    one.mkdir("/client/data", &persistent()).await?;
    let (created, _) = one.create("/client/data/a", b"first", &persistent()).await?;
    same!(one.get_data("/client/data/a").await?, (b"first".to_vec(), created), "data and Stat");

    let set = one.set_data("/client/data/a", b"more", Some(0)).await?;
    same!((set.version, set.data_length, set.czxid), (1, 4, created.czxid), "after a change");
    hold!(set.mzxid > created.mzxid && set.pzxid == created.pzxid, "zxids of {set:?}");
    other.sync("/").await?;
    same!(other.get_data("/client/data/a").await?, (b"more".to_vec(), set), "what another server has");
    let set = other.set_data("/client/data/a", b"", None).await?;
    same!((set.version, set.data_length), (2, 0), "after a change of any version");

    let (child, _) = other.create("/client/data/a/b", b"", &persistent()).await?;
    let (names, parent) = other.get_children("/client/data/a").await?;
    same!(names, ["b"], "children");
    same!((parent.cversion, parent.num_children, parent.pzxid), (1, 1, child.czxid), "the parent");
    same!((parent.version, parent.mzxid), (2, set.mzxid), "the parent's data");

    for (what, got, wanted) in [
        ("an old version", one.set_data("/client/data/a", b"x", Some(0)).await.err(), Error::BadVersion),
        ("an old version, deleted", one.delete("/client/data/a/b", Some(3)).await.err(), Error::BadVersion),
        ("a second one", one.create("/client/data/a", b"", &persistent()).await.err(), Error::NodeExists),
        ("with a child", one.delete("/client/data/a", None).await.err(), Error::NotEmpty),
        ("no parent", one.create("/client/no/a", b"", &persistent()).await.err(), Error::NoNode),
        ("no node", one.get_data("/client/no").await.err(), Error::NoNode),
        ("no node, set", one.set_data("/client/no", b"", None).await.err(), Error::NoNode),
    ] {
        same!(got, Some(wanted), "{what}");
    }
    one.create("/client/data/e", b"", &open(CreateMode::Ephemeral)).await?;
    let below = one.create("/client/data/e/x", b"", &persistent()).await;
    same!(below.err(), Some(Error::NoChildrenForEphemerals), "below an ephemeral");
    same!(one.count_descendants_number("/client/data").await?, 3, "all below");
    same!(one.list_ephemerals("/client/data").await?, ["/client/data/e"], "the session's ephemerals");
    one.delete("/client/data/a/b", Some(0)).await?;
    let parent = one.check_stat("/client/data/a").await?.ok_or("the parent is gone")?;
    same!((parent.cversion, parent.num_children), (2, 0), "the parent, without its child");
    hold!(parent.pzxid > child.czxid, "{parent:?} knows of the deletion");

    // A root of one's own.
    let rooted = connect(&format!("{}/client/data", ensemble.hosts(0))).await?;
    rooted.create("/c", b"", &persistent()).await?;
    one.sync("/").await?;
    hold!(one.check_stat("/client/data/c").await?.is_some(), "a node below the root");
    // What is in it differs; see docs/differences.md.
    one.get_config().await?;
    let refused = one.set_data("/zookeeper/config", b"", None).await;
    same!(refused.err(), Some(Error::NoAuth), "the configuration is not anyone's to write");
    Ok(())
}

pub async fn transactions(ensemble: &Ensemble) -> Outcome {
    let one = connect(&ensemble.hosts(1)).await?;
    one.mkdir("/client/multi", &persistent()).await?;
    one.create("/client/multi/old", b"0", &persistent()).await?;

    let mut writer = one.new_multi_writer();
    writer.add_create("/client/multi/a", b"1", &persistent())?;
    writer.add_create("/client/multi/s-", b"", &open(CreateMode::EphemeralSequential))?;
    writer.add_set_data("/client/multi/a", b"22", Some(0))?;
    writer.add_check_version("/client/multi/a", 1)?;
    writer.add_delete("/client/multi/old", Some(0))?;
    let results = writer.commit().await?;
    let [
        MultiWriteResult::Create { path: first, stat: created },
        MultiWriteResult::Create { path: second, stat: ephemeral },
        MultiWriteResult::SetData { stat: set },
        MultiWriteResult::Check,
        MultiWriteResult::Delete,
    ] = &results[..]
    else {
        return Err(format!("what a transaction tells: {results:?}").into());
    };
    same!((first.as_str(), second.as_str()), ("/client/multi/a", "/client/multi/s-0000000002"), "paths");
    same_as_new!(created, 1, 0);
    same!(ephemeral.ephemeral_owner, one.session_id().0, "the owner");
    hold!(set.mzxid == created.czxid && ephemeral.czxid == created.czxid, "one transaction: {results:?}");
    same!(set.version, 1, "the version");

    let mut reader = one.new_multi_reader();
    reader.add_get_data("/client/multi/a")?;
    reader.add_get_children("/client/multi")?;
    reader.add_get_data("/client/multi/old")?;
    let results = reader.commit().await?;
    let [MultiReadResult::Data { data, stat }, MultiReadResult::Children { children }, third] = &results[..]
    else {
        return Err(format!("what a reading transaction tells: {results:?}").into());
    };
    same!((&data[..], stat), (&b"22"[..], set), "data and Stat");
    same!(sorted(children.clone()), ["a", "s-0000000002"], "children");
    matched!(third, MultiReadResult::Error { err: Error::NoNode }, "what is not there");

    // One that fails: the failing operation is named, and nothing has been done.
    let mut writer = one.new_multi_writer();
    writer.add_set_data("/client/multi/a", b"333", None)?;
    writer.add_check_version("/client/multi/a", 7)?;
    writer.add_create("/client/multi/b", b"", &persistent())?;
    let refusal = MultiWriteError::OperationFailed { index: 1, source: Error::BadVersion };
    same!(writer.commit().await.err(), Some(refusal), "a check that fails");
    same!(one.get_data("/client/multi/a").await?, (b"22".to_vec(), *set), "what was there before");
    same!(one.check_stat("/client/multi/b").await?, None, "what was not there");

    let mut fenced = one.new_check_writer("/client/multi/a", Some(1))?;
    fenced.add_delete("/client/multi/a", None)?;
    same!(fenced.commit().await?, [MultiWriteResult::Delete], "a fenced write");
    Ok(())
}

pub async fn acls(ensemble: &Ensemble) -> Outcome {
    let (ann, bob) = (connect(&ensemble.host(1)).await?, connect(&ensemble.host(2)).await?);
    ann.mkdir("/client/acl", &persistent()).await?;
    ann.auth("digest", b"ann:secret").await?;
    let users = ann.list_auth_users().await?;
    hold!(users.contains(&AuthUser::new("digest", "ann")), "who one is: {users:?}");
    hold!(users.contains(&AuthUser::new("ip", "127.0.0.1")), "who one is: {users:?}");

    let own = CreateMode::Persistent.with_acls(Acls::creator_all());
    ann.create("/client/acl/own", b"s", &own).await?;
    let (acl, stat) = ann.get_acl("/client/acl/own").await?;
    // The digest is SHA-1 of `ann:secret`.
    let id = AuthId::new("digest", "ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM=");
    same!(acl, [Acl::new(Permission::ALL, id.clone())], "whose it is");
    bob.sync("/").await?;
    no_auth(&bob, "/client/acl/own").await?;

    let shared = [Acl::new(Permission::ALL, id), Acl::new(Permission::READ, AuthId::anyone())];
    let set = ann.set_acl("/client/acl/own", &shared, Some(stat.aversion)).await?;
    same!((set.aversion, set.version, set.mzxid), (1, 0, stat.mzxid), "versions after a change of the ACL");
    let late = ann.set_acl("/client/acl/own", &shared, Some(0)).await;
    same!(late.err(), Some(Error::BadVersion), "an old version of the ACL");
    bob.sync("/").await?;
    same!(bob.get_data("/client/acl/own").await?.0, b"s", "what anyone may read");
    same!(bob.set_data("/client/acl/own", b"", None).await.err(), Some(Error::NoAuth), "and not write");
    bob.auth("digest", b"ann:secret").await?;
    same!(bob.set_data("/client/acl/own", b"b", None).await?.version, 1, "who proves to be ann");
    let none = CreateMode::Persistent.with_acls(Acls::creator_all());
    let anonymous = connect(&ensemble.host(0)).await?;
    let refused = anonymous.create("/client/acl/anonymous", b"", &none).await;
    same!(
        refused.err(),
        Some(Error::InvalidAcl),
        "an ACL for those who proved something, of one who did not"
    );

    let eve = connect(&ensemble.host(0)).await?;
    same!(eve.auth("nonsense", b"x").await.err(), Some(Error::AuthFailed), "a scheme that there is not");
    Ok(())
}

async fn no_auth(client: &Client, path: &str) -> Outcome {
    for (what, got) in [
        ("get", client.get_data(path).await.err()),
        ("set", client.set_data(path, b"", None).await.err()),
        ("create", client.create(&format!("{path}/x"), b"", &persistent()).await.err()),
        ("set the ACL", client.set_acl(path, &Acls::anyone_all(), None).await.err()),
        ("children", client.list_children(path).await.err()),
    ] {
        same!(got, Some(Error::NoAuth), "{what}");
    }
    Ok(())
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}
