use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::channel::oneshot;
use futures::{FutureExt as _, Stream};

use super::ClientError;
use super::mailbox::Mailbox;
use super::shared::Shared;

use crate::types::{RequestPath, WatchEvent, WatchEventKind, Zxid};

/// A one-shot watch, as a future: it resolves with the first change after the read that left it. It lives through reconnects.
///
/// Dropping it forgets the watch.
#[derive(Debug)]
#[must_use = "a watch tells nothing unless it is awaited"]
pub struct OneShotWatch(oneshot::Receiver<Result<WatchEvent, ClientError>>);

impl Future for OneShotWatch {
    type Output = Result<WatchEvent, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context).map(|event| event.unwrap_or(Err(ClientError::Stopped)))
    }
}

/// What a lasting watch brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WatchItem {
    /// Something changed.
    Event(WatchEvent),
    /// Events up to this position may be missing: the client was away for longer than the servers remember,
    /// or the reader was too slow. Read the state again; the events after the position follow.
    Lost {
        /// The position.
        through: Zxid,
    },
}

/// A lasting watch, as a `Stream`. After a reconnect it goes on where it was, without a gap and without
/// telling anything twice; where that cannot be done it says [`WatchItem::Lost`].
///
/// It ends with the session. Dropping it removes the watch.
#[derive(Debug)]
pub struct WatchStream {
    pub(super) id: u64,
    pub(super) mailbox: Mailbox<WatchItem>,
    pub(super) shared: Arc<Shared>,
}

impl WatchStream {
    /// The next change; `None` when the session has ended.
    pub async fn next(&mut self) -> Option<WatchItem> {
        std::future::poll_fn(|context| self.mailbox.poll_next(context)).await
    }
}

impl Stream for WatchStream {
    type Item = WatchItem;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<WatchItem>> {
        self.mailbox.poll_next(context)
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        self.shared.unsubscribe(self.id);
    }
}

/// Where a read leaves a one-shot watch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OneShotKind {
    Data,
    Exist,
    Child,
}

/// The one-shot watches of a session.
#[derive(Debug, Default)]
pub(super) struct OneShots {
    data: Table,
    exist: Table,
    child: Table,
}

type Table = BTreeMap<RequestPath, Vec<Entry>>;

#[derive(Debug)]
struct Entry {
    /// The position of the read; a change up to here is in what the read found.
    since: Zxid,
    fire: oneshot::Sender<Result<WatchEvent, ClientError>>,
}

impl OneShots {
    pub(super) fn add(&mut self, kind: OneShotKind, path: RequestPath, since: Zxid) -> OneShotWatch {
        let (fire, fired) = oneshot::channel();
        let entries = self.table(kind).entry(path).or_default();
        entries.retain(|entry| !entry.fire.is_canceled());
        entries.push(Entry { since, fire });
        OneShotWatch(fired)
    }

    /// Tells an event to those whom it is for. An event at [`Zxid::ZERO`] was found out after a reconnect
    /// and is for all; another is not for watches that were left after it.
    pub(super) fn fire(&mut self, event: &WatchEvent) {
        use WatchEventKind::{ChildrenChanged, Created, DataChanged, Deleted};

        let kinds: &[OneShotKind] = match event.kind {
            Created | DataChanged => &[OneShotKind::Data, OneShotKind::Exist],
            Deleted => &[OneShotKind::Data, OneShotKind::Exist, OneShotKind::Child],
            ChildrenChanged => &[OneShotKind::Child],
        };
        let path = RequestPath::from(&event.path);
        for kind in kinds {
            let table = self.table(*kind);
            let Some(entries) = table.remove(&path) else { continue };
            let (due, early): (Vec<_>, Vec<_>) =
                entries.into_iter().partition(|entry| event.zxid == Zxid::ZERO || event.zxid > entry.since);
            if !early.is_empty() {
                table.insert(path.clone(), early);
            }
            for entry in due {
                // Whoever does not wait any more needs not be told.
                drop(entry.fire.send(Ok(event.clone())));
            }
        }
    }

    /// All of them fail.
    pub(super) fn fail(&mut self, error: &ClientError) {
        let tables = [&mut self.data, &mut self.exist, &mut self.child];
        for entry in tables.into_iter().flat_map(|table| std::mem::take(table).into_values()).flatten() {
            drop(entry.fire.send(Err(error.clone())));
        }
    }

    /// Those that somebody still waits for.
    pub(super) fn waiting(&mut self) -> Vec<(OneShotKind, RequestPath)> {
        let mut waiting = Vec::new();
        for kind in [OneShotKind::Data, OneShotKind::Exist, OneShotKind::Child] {
            let table = self.table(kind);
            table.retain(|_, entries| {
                entries.retain(|entry| !entry.fire.is_canceled());
                !entries.is_empty()
            });
            waiting.extend(table.keys().map(|path| (kind, path.clone())));
        }
        waiting
    }

    fn table(&mut self, kind: OneShotKind) -> &mut Table {
        match kind {
            OneShotKind::Data => &mut self.data,
            OneShotKind::Exist => &mut self.exist,
            OneShotKind::Child => &mut self.child,
        }
    }
}
