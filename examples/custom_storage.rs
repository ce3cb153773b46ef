//! A storage of one's own: a journal in one file, with a `MemoryStorage` that holds what the journal says.
//!
//! The conformance suite judges it in one line; then a quorum keeps its data in it, stops, and finds it again.
//! What `FileStorage` does and it does not: the file never gets shorter, and damage in its middle passes for its end.

use std::fs::{File, create_dir_all, remove_dir_all};
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{error::Error, iter, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use futures::executor::{ThreadPool, block_on};
use futures::{future::join, lock::Mutex};
use quorate::client::{Client, ClientOptions};
use quorate::node::{Node, SystemClock, entropy};
use quorate::peer::{Ensemble, PeerConfig};
use quorate::storage::{MemoryStorage, Storage, StorageError, conformance};
use quorate::transport::Hub;
use quorate::types::{LogEntry, LogOp, Recovered, SnapshotChunk, WriteBatch};
use quorate::{ClusterId, ServerId, Zxid, codec};
use serde::{Deserialize, Serialize};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// A line of the journal.
#[derive(Serialize, Deserialize)]
enum Record {
    /// The server started: what a start forgets is forgotten here, each time that the journal is read.
    Started,
    Step(LogOp),
    Chunk(SnapshotChunk),
}

struct Journal {
    path: PathBuf,
    /// What the journal comes to.
    memory: MemoryStorage,
    /// None before the recovery, and after a failure: nobody knows what is in the file then.
    file: Mutex<Option<File>>,
}

impl Journal {
    fn new(path: PathBuf) -> Self {
        Self { path, memory: MemoryStorage::new(), file: Mutex::new(None) }
    }

    /// Makes records durable. It works within the call: with a slow disk better hand it to a thread.
    fn append(file: &mut Option<File>, records: impl Iterator<Item = Record>) -> Result<(), StorageError> {
        let mut open = file.take().ok_or(StorageError::Poisoned("the journal failed before".into()))?;
        for record in records {
            open.write_all(&codec::encode_frame(&record).map_err(io)?).map_err(io)?;
        }
        open.sync_data().map_err(io)?;
        *file = Some(open);
        Ok(())
    }
}

fn io(cause: impl Error) -> StorageError {
    StorageError::Io { doing: "keeping the journal".into(), cause: cause.to_string() }
}

#[async_trait]
impl Storage for Journal {
    async fn recover(&self) -> Result<Recovered, StorageError> {
        let mut file = File::options().read(true).append(true).create(true).open(&self.path).map_err(io)?;
        let (mut bytes, mut at) = (Vec::new(), 0);
        file.read_to_end(&mut bytes).map_err(io)?;
        // The last write before a power cut may be there in part; nobody was told that it is durable.
        while let Ok(len) = codec::frame_len(&bytes[at..])
            && let Some(frame) = bytes.get(at..at + len)
            && let Ok(record) = codec::decode_frame(frame)
        {
            match record {
                Record::Started => drop(self.memory.recover().await?),
                Record::Step(step) => self.memory.write(WriteBatch { ops: vec![step] }).await?,
                Record::Chunk(chunk) => self.memory.save_snapshot(chunk).await?,
            }
            at += len;
        }
        file.set_len(at as u64).map_err(io)?;
        // A new file is only there after a power cut when its directory has been synced too.
        self.path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all()).map_err(io)?;
        let mut open = self.file.lock().await;
        *open = Some(file);
        Self::append(&mut open, iter::once(Record::Started))?;
        self.memory.recover().await
    }

    async fn write(&self, batch: WriteBatch) -> Result<(), StorageError> {
        let mut file = self.file.lock().await;
        // It refuses what does not fit the state.
        self.memory.write(batch.clone()).await?;
        let records = batch.ops.into_iter().flat_map(|step| match step {
            // Each by itself: a record has an upper limit, a batch has none.
            LogOp::Append(all) => all.into_iter().map(|one| LogOp::Append(vec![one])).collect(),
            step => vec![step],
        });
        Self::append(&mut file, records.map(Record::Step))
    }

    async fn read_log(&self, after: Zxid, limit: usize) -> Result<Vec<LogEntry>, StorageError> {
        self.memory.read_log(after, limit).await
    }

    async fn save_snapshot(&self, chunk: SnapshotChunk) -> Result<(), StorageError> {
        let mut file = self.file.lock().await;
        self.memory.save_snapshot(chunk.clone()).await?;
        Self::append(&mut file, iter::once(Record::Chunk(chunk)))
    }

    async fn read_snapshot(&self, at: Zxid, from: u64, limit: usize) -> Result<SnapshotChunk, StorageError> {
        self.memory.read_snapshot(at, from, limit).await
    }
}

/// Starts a quorum of one on the journal at `path`, makes a node in it, looks at all nodes, and stops it.
async fn live(path: PathBuf, pool: &ThreadPool) -> Result<()> {
    let (hub, server) = (Hub::new(ClusterId::new(1)), ServerId::new(1));
    let config = PeerConfig::new(hub.cluster(), server, Ensemble::majority([server]), entropy()?);
    let (transport, storage) = (Arc::new(hub.join(server)), Arc::new(Journal::new(path)));
    let (node, server) = Node::start(config.into(), transport, storage, Arc::new(SystemClock::new()?))?;
    let (client, driver) = Client::new([&node], node.clock(), ClientOptions::new(entropy()?))?;
    pool.spawn_ok(driver);
    let story = async {
        let made = client.create("/life-", "").sequential().await;
        let all = client.children("/").await;
        node.shutdown();
        println!("made {}, there are {:?}; the server stops", made?.path, all?.names);
        Ok(())
    };
    let (end, told) = join(server, story).await;
    end?;
    told
}

fn main() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("quorate-journal-{}", std::process::id()));
    create_dir_all(&dir)?;
    let cases = AtomicU64::new(0);
    conformance::check(&|| {
        let path = dir.join(format!("case-{}", cases.fetch_add(1, Ordering::Relaxed)));
        Box::new(move || Box::new(Journal::new(path.clone())) as Box<dyn Storage>)
    });
    println!("the journal does what every storage must do");
    for _ in 0..3 {
        block_on(live(dir.join("journal"), &ThreadPool::new()?))?;
    }
    Ok(remove_dir_all(dir)?)
}
