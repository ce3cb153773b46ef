use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc;
use zookeeper_client::{Acls, Client, CreateMode, Error, EventType, LockOptions, LockPrefix, SessionState};

use super::{connect, open, persistent};
use crate::ensemble::{Ensemble, SERVERS, SESSION};
use crate::outcome::{Failure, Outcome, hold, same, until, within};

/// How many clients contend for the lock, and how often each of them holds it.
const CONTENDERS: usize = 6;
const ROUNDS: u32 = 3;

pub async fn sessions(ensemble: &Ensemble) -> Outcome {
    let watching = connect(&ensemble.host(2)).await?;
    watching.mkdir("/client/sessions", &persistent()).await?;

    let closing = connect(&ensemble.host(0)).await?;
    same!(closing.session_timeout(), SESSION, "the session timeout");
    closing.sync("/").await?;
    closing.create("/client/sessions/e", b"", &open(CreateMode::Ephemeral)).await?;
    watching.sync("/").await?;
    let (stat, gone) = watching.check_and_watch_stat("/client/sessions/e").await?;
    same!(stat.map(|stat| stat.ephemeral_owner), Some(closing.session_id().0), "the owner");
    drop(closing);
    let event = within("the ephemeral goes with its session", gone.changed()).await?;
    same!(event.event_type, EventType::NodeDeleted, "what the watch tells");

    // A session is taken up at another server, with its ephemerals, and ends when it is closed there.
    let detached = Client::connector().with_session_timeout(SESSION).with_detached();
    let detached = detached.connect(&ensemble.host(0)).await?;
    let (stat, _) = detached.create("/client/sessions/d", b"", &open(CreateMode::Ephemeral)).await?;
    let session = detached.into_session();
    let id = session.id();
    let resumed = Client::connector().with_session_timeout(SESSION).with_session(session.clone());
    let resumed = resumed.connect(&ensemble.host(1)).await?;
    same!(resumed.session_id(), id, "the session's number");
    resumed.sync("/").await?;
    same!(resumed.check_stat("/client/sessions/d").await?, Some(stat), "the ephemeral");
    let mut states = resumed.state_watcher();
    same!(states.state(), SessionState::SyncConnected, "the state");
    drop(resumed);
    let state = within("the session is closed", async {
        loop {
            let state = states.changed().await;
            if state.is_terminated() {
                return state;
            }
        }
    });
    same!(state.await?, SessionState::Closed, "the state in the end");
    until("its ephemeral goes", async || {
        Ok(watching.check_stat("/client/sessions/d").await?.is_none().then_some(()))
    })
    .await?;
    let late = Client::connector().with_session(session).connect(&ensemble.host(2)).await;
    same!(late.err(), Some(Error::SessionExpired), "a session that has ended");
    Ok(())
}

pub async fn locks(ensemble: &Ensemble) -> Outcome {
    let setup = connect(&ensemble.hosts(0)).await?;
    setup.mkdir("/client/recipes", &persistent()).await?;
    setup.create("/client/recipes/count", b"0", &persistent()).await?;
    exclusion(ensemble).await?;
    setup.sync("/").await?;
    let (count, stat) = setup.get_data("/client/recipes/count").await?;
    let wanted = CONTENDERS as u32 * ROUNDS;
    same!(String::from_utf8(count)?, wanted.to_string(), "what was counted under the lock");
    same!(stat.version, wanted as i32, "how often it was written");
    election(ensemble, &setup).await
}

/// Each reads, adds one and writes, without a look at versions: only the lock keeps them apart.
async fn exclusion(ensemble: &Ensemble) -> Outcome {
    let inside = Arc::new(AtomicU32::new(0));
    let mut running = Vec::new();
    for n in 0..CONTENDERS {
        let (client, inside) = (connect(&ensemble.host(n % SERVERS)).await?, inside.clone());
        running.push(tokio::spawn(async move {
            for _ in 0..ROUNDS {
                let prefix = LockPrefix::new_curator("/client/recipes/lock", "lock-")?;
                let options = LockOptions::new(Acls::anyone_all()).with_ancestor_options(persistent())?;
                let lock = client.lock(prefix, b"", options).await?;
                let others = inside.fetch_add(1, Ordering::SeqCst);
                hold!(others == 0, "{others} others hold the lock");
                client.sync("/").await?;
                let (count, _) = client.get_data("/client/recipes/count").await?;
                let count: u32 = String::from_utf8(count)?.parse()?;
                let count = (count + 1).to_string();
                lock.set_data("/client/recipes/count", count.as_bytes(), None).await?;
                inside.fetch_sub(1, Ordering::SeqCst);
            }
            Ok::<_, Failure>(())
        }));
    }
    for each in running {
        within("all have held the lock", each).await???;
    }
    Ok(())
}

/// One leads; when it lets go, the next in line does.
async fn election(ensemble: &Ensemble, setup: &Client) -> Outcome {
    setup.create("/client/recipes/election", b"", &persistent()).await?;
    let prefix = || LockPrefix::new_shared("/client/recipes/election/n-");
    let (told, mut leaders) = mpsc::unbounded_channel();
    for n in 0..SERVERS {
        let (client, prefix, told) = (connect(&ensemble.hosts(n)).await?, prefix()?, told.clone());
        tokio::spawn(async move {
            let leads = client.lock(prefix, b"", Acls::anyone_all()).await.map(|lock| lock.into_owned());
            // The client goes along, so that its session lasts until whoever hears of this has done with it.
            told.send((n, leads, client))
        });
        until("it is a candidate", async || {
            let candidates = setup.list_children("/client/recipes/election").await?.len();
            Ok((candidates == n + 1).then_some(()))
        })
        .await?;
    }
    for n in 0..SERVERS {
        let (leader, leads, client) = within("one leads", leaders.recv()).await?.ok_or("no one leads")?;
        let lock = leads?;
        same!(leader, n, "who leads");
        hold!(leaders.try_recv().is_err(), "one leads, no other");
        hold!(lock.lock_path().ends_with(&format!("n-{n:010}")), "the leader's node: {}", lock.lock_path());
        drop((lock, client));
    }
    Ok(())
}
