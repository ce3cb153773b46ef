//! The leader is killed while clients of two crates write.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::sleep;
use zookeeper_async::{Acl, ZkError, ZooKeeper};
use zookeeper_client::{
    Acls, AddWatchMode, Client, CreateMode, Error, EventType, LockPrefix, OneshotWatcher, PersistentWatcher,
    SessionState,
};

use crate::ensemble::{Ensemble, SERVERS, SESSION};
use crate::outcome::{Failure, Outcome, hold, same, tell, until, within};
use crate::{with_async, with_client};

/// How long a worker waits after its connection broke.
const RETRY: Duration = Duration::from_millis(5);

/// What became of a write.
enum Tried {
    Done(Written),
    /// The connection broke: it was executed, or will be, or never.
    Unknown,
    /// The server says that it has been done before.
    Already,
}

struct Written {
    zxid: i64,
    version: i32,
}

/// What a worker asks for.
enum Write {
    Create { path: String, mode: CreateMode },
    Set { path: String, data: Vec<u8>, version: i32 },
}

/// A client that writes. The same for both crates.
trait Store: Send + Sync + 'static {
    fn attempt(&self, write: &Write) -> impl Future<Output = Outcome<Tried>> + Send;
}

impl Store for Client {
    async fn attempt(&self, write: &Write) -> Outcome<Tried> {
        let written = match write {
            Write::Create { path, mode } => self
                .create(path, b"", &with_client::open(*mode))
                .await
                .map(|(stat, _)| Written { zxid: stat.czxid, version: stat.version }),
            Write::Set { path, data, version } => self
                .set_data(path, data, Some(*version))
                .await
                .map(|stat| Written { zxid: stat.mzxid, version: stat.version }),
        };
        match written {
            Ok(written) => Ok(Tried::Done(written)),
            Err(Error::NodeExists | Error::BadVersion) => Ok(Tried::Already),
            Err(error) if broke(&error) => Ok(Tried::Unknown),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether only the connection broke. A socket's own error comes as `Custom`.
fn broke(error: &Error) -> bool {
    matches!(error, Error::ConnectionLoss | Error::Custom(_))
}

impl Store for ZooKeeper {
    async fn attempt(&self, write: &Write) -> Outcome<Tried> {
        use zookeeper_async::CreateMode as Mode;
        let written = match write {
            Write::Create { path, mode } => {
                let mode = if *mode == CreateMode::Ephemeral { Mode::Ephemeral } else { Mode::Persistent };
                let created = self.create2(path, vec![], Acl::open_unsafe().clone(), mode).await;
                created.map(|(_, stat)| Written { zxid: stat.czxid, version: stat.version })
            }
            Write::Set { path, data, version } => self
                .set_data(path, data.clone(), Some(*version))
                .await
                .map(|stat| Written { zxid: stat.mzxid, version: stat.version }),
        };
        match written {
            Ok(written) => Ok(Tried::Done(written)),
            Err(ZkError::NodeExists | ZkError::BadVersion) => Ok(Tried::Already),
            Err(ZkError::ConnectionLoss) => Ok(Tried::Unknown),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a worker knows to be written.
#[derive(Default)]
struct Ledger {
    /// Nodes, by their number.
    created: u32,
    /// Changes of the worker's counter; that node's version.
    sets: i32,
    /// How many acknowledgements were lost with a connection, though the write was done.
    unacknowledged: u32,
    last_zxid: i64,
    last: Option<Instant>,
}

struct Worker {
    name: String,
    ledger: Arc<Mutex<Ledger>>,
    stopping: Arc<AtomicBool>,
    running: JoinHandle<Outcome>,
}

impl Worker {
    /// Creates node after node, and counts each in a node of its own.
    fn start(name: String, store: impl Store) -> Self {
        let (ledger, stopping) = (Arc::<Mutex<Ledger>>::default(), Arc::<AtomicBool>::default());
        let (kept, stop, own) = (ledger.clone(), stopping.clone(), name.clone());
        let running = tokio::spawn(async move {
            let create = |path, mode| Write::Create { path, mode };
            let counter = format!("/counters/{own}");
            acknowledged(&store, &kept, create(counter.clone(), CreateMode::Persistent)).await?;
            acknowledged(&store, &kept, create(format!("/alive/{own}"), CreateMode::Ephemeral)).await?;
            while !stop.load(Ordering::SeqCst) {
                let number = lock(&kept).created;
                let version = lock(&kept).sets;
                let path = format!("/load/{own}-{number}");
                acknowledged(&store, &kept, create(path, CreateMode::Persistent)).await?;
                lock(&kept).created += 1;
                let data = (number + 1).to_string().into_bytes();
                let set = Write::Set { path: counter.clone(), data, version };
                if let Some(written) = acknowledged(&store, &kept, set).await? {
                    same!(written.version, version + 1, "the version of {counter}");
                }
                lock(&kept).sets += 1;
            }
            Ok(())
        });
        Self { name, ledger, stopping, running }
    }

    fn wrote_since(&self, moment: Instant) -> bool {
        lock(&self.ledger).last.is_some_and(|last| last > moment)
    }

    fn epoch(&self) -> i64 {
        lock(&self.ledger).last_zxid >> 32
    }
}

/// Tries until it is done; gives nothing when the acknowledgement was lost.
async fn acknowledged(store: &impl Store, ledger: &Mutex<Ledger>, write: Write) -> Outcome<Option<Written>> {
    let mut in_doubt = false;
    let written = loop {
        match store.attempt(&write).await? {
            Tried::Done(written) => break Some(written),
            Tried::Already => {
                hold!(in_doubt, "done before, and no acknowledgement was lost: it was executed twice");
                break None;
            }
            Tried::Unknown => {
                in_doubt = true;
                sleep(RETRY).await;
            }
        }
    };
    let mut ledger = lock(ledger);
    ledger.last = Some(Instant::now());
    if let Some(written) = &written {
        hold!(written.zxid > ledger.last_zxid, "zxid {:#x} after {:#x}", written.zxid, ledger.last_zxid);
        ledger.last_zxid = written.zxid;
    } else {
        ledger.unacknowledged += 1;
    }
    Ok(written)
}

pub async fn leader_killed(ensemble: &mut Ensemble, kills: u32) -> Outcome {
    let setup = with_client::connect(&ensemble.hosts(0)).await?;
    for path in ["/load", "/counters", "/alive", "/mark", "/held"] {
        setup.create(path, b"", &with_client::persistent()).await?;
    }
    let mut workers = Vec::new();
    for n in 0..SERVERS {
        let client = with_client::connect(&ensemble.hosts(n)).await?;
        workers.push(Worker::start(format!("client{n}"), client));
        let client = with_async::connect(&ensemble.hosts(n)).await?;
        workers.push(Worker::start(format!("async{n}"), client));
    }
    let mut bystander = Bystander::new(ensemble).await?;
    until("all workers write", async || {
        told(&mut workers).await?;
        Ok((workers.iter().all(|worker| lock(&worker.ledger).sets > 0)).then_some(()))
    })
    .await?;
    let alive = ephemerals(&setup).await?;
    same!(alive.len(), workers.len(), "how many workers there are");

    for round in 1..=kills {
        let victim = ensemble.all_serve().await?;
        let began = Instant::now();
        until("all workers write", async || {
            told(&mut workers).await?;
            Ok(workers.iter().all(|worker| worker.wrote_since(began)).then_some(()))
        })
        .await?;
        let epoch = workers.iter().map(Worker::epoch).max().unwrap_or_default();
        ensemble.kill(victim).await?;
        let killed = Instant::now();
        until("every client writes under another leader", async || {
            told(&mut workers).await?;
            Ok(workers.iter().all(|worker| worker.epoch() > epoch).then_some(()))
        })
        .await?;
        let took = killed.elapsed();
        hold!(took < SESSION, "{took:?} until all clients write again");
        tell(format_args!(
            "       server {}, the leader of epoch {epoch}, killed: all clients write again after {:.2} s",
            victim + 1,
            took.as_secs_f64()
        ));
        bystander.carries_on(&setup, round).await?;
        ensemble.start(victim)?;
    }
    ensemble.all_serve().await?;
    same!(ephemerals(&setup).await?, alive, "the sessions' nodes");
    tell(format_args!(
        "       the watching client's connection broke {} times, its watches did not",
        bystander.broke
    ));
    accounts(ensemble, workers).await
}

/// Who does not write while leaders go: it holds a lock and watches.
struct Bystander {
    holder: Client,
    held: String,
    watching: Client,
    once: OneshotWatcher,
    always: PersistentWatcher,
    /// How often its connection broke.
    broke: u32,
}

impl Bystander {
    async fn new(ensemble: &Ensemble) -> Outcome<Self> {
        let holder = with_client::connect(&ensemble.hosts(1)).await?;
        let prefix = LockPrefix::new_shared("/held/n-")?;
        let lock = holder.lock(prefix, b"", Acls::anyone_all()).await?.into_owned();
        let held = lock.lock_path().to_owned();
        // Let go with its session, not before.
        std::mem::forget(lock);
        let watching = with_client::connect(&ensemble.hosts(2)).await?;
        watching.sync("/").await?;
        let (_, _, once) = watching.get_and_watch_data("/mark").await?;
        let always = watching.watch("/mark", AddWatchMode::Persistent).await?;
        Ok(Self { holder, held, watching, once, always, broke: 0 })
    }

    /// The watches that were set before the leader went tell what is changed later; the lock is still held.
    async fn carries_on(&mut self, setup: &Client, round: u32) -> Outcome {
        same!(again(async || self.holder.list_children("/held").await).await?.len(), 1, "who is in line");
        let stat =
            again(async || self.holder.check_stat(&self.held).await).await?.ok_or("the lock is lost")?;
        same!(stat.ephemeral_owner, self.holder.session_id().0, "whose lock it is");

        // A persistent watch is not told what happened while its client was away.
        again(async || self.watching.sync("/").await).await?;
        again(async || setup.set_data("/mark", round.to_string().as_bytes(), None).await).await?;
        let always = within("a persistent watch tells", async {
            loop {
                let event = self.always.changed().await;
                if event.event_type != EventType::Session {
                    return event;
                }
                self.broke += u32::from(event.session_state == SessionState::Disconnected);
            }
        });
        same!(always.await?.event_type, EventType::NodeDataChanged, "what a persistent watch tells");
        let (data, _, again_once) = again(async || self.watching.get_and_watch_data("/mark").await).await?;
        same!(data, round.to_string().into_bytes(), "what is read after the event");
        let once = std::mem::replace(&mut self.once, again_once);
        same!(
            within("a watch tells", once.changed()).await?.event_type,
            EventType::NodeDataChanged,
            "what a watch tells"
        );
        Ok(())
    }
}

/// Fails if a worker has.
async fn told(workers: &mut [Worker]) -> Outcome {
    for worker in workers {
        if worker.running.is_finished() {
            let outcome = (&mut worker.running).await?;
            return Err(format!("{} has ended: {outcome:?}", worker.name).into());
        }
    }
    Ok(())
}

/// Every acknowledged write is on every server, and no other; none was done twice.
async fn accounts(ensemble: &Ensemble, workers: Vec<Worker>) -> Outcome {
    let (mut names, mut counters, mut lost) = (BTreeSet::new(), Vec::new(), 0);
    for worker in &workers {
        worker.stopping.store(true, Ordering::SeqCst);
    }
    for worker in workers {
        within("a worker ends", worker.running).await???;
        let ledger = lock(&worker.ledger);
        names.extend((0..ledger.created).map(|number| format!("{}-{number}", worker.name)));
        counters.push((format!("/counters/{}", worker.name), ledger.created, ledger.sets));
        lost += ledger.unacknowledged;
    }
    for n in 0..SERVERS {
        let reader = with_client::connect(&ensemble.host(n)).await?;
        reader.sync("/").await?;
        let there: BTreeSet<_> = reader.list_children("/load").await?.into_iter().collect();
        let [missing, unknown] = [&names - &there, &there - &names];
        hold!(missing.is_empty(), "server {}: acknowledged and not there: {missing:?}", n + 1);
        hold!(unknown.is_empty(), "server {}: there and not acknowledged: {unknown:?}", n + 1);
        for (path, created, sets) in &counters {
            let (data, stat) = reader.get_data(path).await?;
            same!(String::from_utf8(data)?, created.to_string(), "server {}: what {path} counted", n + 1);
            same!(stat.version, *sets, "server {}: how often {path} was written", n + 1);
        }
    }
    let sets: i32 = counters.iter().map(|(_, _, sets)| sets).sum();
    tell(format_args!(
        "       {} nodes and {sets} changes are on every server, each once ({lost} of their acknowledgements were lost)",
        names.len()
    ));
    Ok(())
}

/// The workers' ephemerals, each with the zxid that created it and its session.
async fn ephemerals(setup: &Client) -> Outcome<Vec<(String, i64, i64)>> {
    again(async || setup.sync("/").await).await?;
    let mut found = Vec::new();
    let mut names = again(async || setup.list_children("/alive").await).await?;
    names.sort();
    for name in names {
        let path = format!("/alive/{name}");
        let stat = again(async || setup.check_stat(&path).await).await?.ok_or("an ephemeral has gone")?;
        found.push((name, stat.czxid, stat.ephemeral_owner));
    }
    Ok(found)
}

/// Asks again while the connection breaks, as an application does.
async fn again<T>(mut ask: impl AsyncFnMut() -> Result<T, Error>) -> Outcome<T> {
    until("an answer comes", async || match ask().await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if broke(&error) => Ok(None),
        Err(error) => Err(Failure::from(error)),
    })
    .await
}

fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
