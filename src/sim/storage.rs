use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::storage::{Storage, StorageError};
use crate::types::{LogEntry, Recovered, SeededRng, ServerId, SnapshotChunk, Standing, WriteBatch, Zxid};

use super::check::{Checker, Seen};
use super::coverage::{Coverage, Point};
use super::{Actor, Executor, Latency, Trace};

/// A server's storage as its world sees it: it takes virtual time, and the checker hears of everything. The
/// storage under it is a real one.
pub(super) struct SimStorage {
    pub(super) server: ServerId,
    pub(super) inner: Arc<dyn Storage>,
    /// Set when the storage has been opened whole, or made.
    pub(super) formed: Arc<AtomicBool>,
    pub(super) executor: Executor,
    pub(super) trace: Trace,
    pub(super) checker: Checker,
    pub(super) coverage: Coverage,
    pub(super) latency: Latency,
    pub(super) rng: Mutex<SeededRng>,
}

impl SimStorage {
    /// Takes a part of an operation's time: before the work, and after it. So a crash comes before it, or when it is
    /// done but not yet confirmed.
    async fn pass(&self, part: Duration) {
        if !part.is_zero() {
            self.executor.sleep(part).await;
        }
    }

    fn draw(&self) -> (Duration, Duration) {
        let mut rng = self.rng();
        (self.latency.draw(&mut rng), self.latency.draw(&mut rng) / 4)
    }

    fn rng(&self) -> MutexGuard<'_, SeededRng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, seen: &Seen<'_>) {
        self.checker.see(self.executor.now(), self.server, seen);
    }

    fn note(&self, kind: &'static str, numbers: &[u64], detail: impl FnOnce() -> String) {
        self.trace.note(self.executor.now(), Actor::Server(self.server), kind, numbers, detail);
    }

    /// Traces how an operation ended.
    fn noted<T>(&self, kind: &'static str, result: Result<T, StorageError>) -> Result<T, StorageError> {
        self.note(kind, &[u64::from(result.is_ok())], || match &result {
            Ok(_) => "done".to_owned(),
            Err(error) => error.to_string(),
        });
        result
    }
}

#[async_trait]
impl Storage for SimStorage {
    async fn recover(&self) -> Result<Recovered, StorageError> {
        let (before, after) = self.draw();
        self.pass(before).await;
        let recovered = self.noted("recover", self.inner.recover().await)?;
        self.formed.store(true, Ordering::Relaxed);
        self.pass(after).await;
        self.note("recovered", &[recovered.tip().as_u64(), recovered.log.len() as u64], || {
            let snapshot =
                recovered.snapshot.map_or("no snapshot".to_owned(), |zxid| format!("a snapshot at {zxid}"));
            let standing = match &recovered.standing {
                Standing::Whole => String::new(),
                Standing::Suspect(why) => format!("; suspect: {why}"),
            };
            format!(
                "epoch {} promised, history of epoch {} up to {}, {snapshot}{standing}",
                recovered.accepted_epoch,
                recovered.current_epoch,
                recovered.tip(),
            )
        });
        let confirmed = self.checker.with_cluster(|cluster| {
            cluster.servers.get(&self.server).map_or(Zxid::ZERO, |view| view.durable.tip())
        });
        for (point, reached) in [
            (Point::RecoveredSnapshot, recovered.snapshot.is_some()),
            (Point::RecoveredTail, recovered.tip() > confirmed),
            (Point::RecoveredSuspect, recovered.standing != Standing::Whole),
        ] {
            if reached {
                self.coverage.sometimes(point);
            }
        }
        self.see(&Seen::Recovered(&recovered));
        Ok(recovered)
    }

    async fn write(&self, batch: WriteBatch) -> Result<(), StorageError> {
        self.note("write", &[batch.ops.len() as u64], || describe(&batch));
        self.see(&Seen::Writing(&batch));
        let (before, after) = self.draw();
        self.pass(before).await;
        self.noted("wrote", self.inner.write(batch).await)?;
        self.pass(after).await;
        self.see(&Seen::Written);
        Ok(())
    }

    async fn read_log(&self, after: Zxid, limit: usize) -> Result<Vec<LogEntry>, StorageError> {
        let (before, _) = self.draw();
        self.pass(before).await;
        self.noted("read_log", self.inner.read_log(after, limit).await)
    }

    async fn save_snapshot(&self, chunk: SnapshotChunk) -> Result<(), StorageError> {
        let (zxid, last) = (chunk.zxid, chunk.last);
        let (before, after) = self.draw();
        self.pass(before).await;
        self.noted("save", self.inner.save_snapshot(chunk).await)?;
        self.pass(after).await;
        if last {
            self.see(&Seen::SnapshotSaved(zxid));
        }
        Ok(())
    }

    async fn read_snapshot(
        &self,
        at: Zxid,
        offset: u64,
        limit: usize,
    ) -> Result<SnapshotChunk, StorageError> {
        let (before, _) = self.draw();
        self.pass(before).await;
        self.noted("read_snap", self.inner.read_snapshot(at, offset, limit).await)
    }
}

fn describe(batch: &WriteBatch) -> String {
    use crate::types::LogOp;
    let steps: Vec<_> = batch
        .ops
        .iter()
        .map(|op| match op {
            LogOp::Append(entries) => match (entries.first(), entries.last()) {
                (Some(first), Some(last)) => format!("Append({}..={})", first.zxid, last.zxid),
                _ => "Append()".to_owned(),
            },
            op => format!("{op:?}"),
        })
        .collect();
    steps.join(" ")
}
