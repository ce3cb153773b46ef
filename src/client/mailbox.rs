use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A bounded queue between the client's future and one reader. The writer never waits: what finds no room
/// is folded into one last item, which stands behind all others until the reader has caught up.
#[derive(Debug)]
pub(super) struct Mailbox<T>(Arc<Mutex<Inner<T>>>);

#[derive(Debug)]
struct Inner<T> {
    queue: VecDeque<T>,
    capacity: usize,
    last: Option<T>,
    closed: bool,
    reader: Option<Waker>,
}

impl<T> Mailbox<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let inner = Inner { queue: VecDeque::new(), capacity, last: None, closed: false, reader: None };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Adds an item, or what `fold` makes of it where there is no room.
    pub(super) fn push(&self, item: T, fold: impl FnOnce(T) -> T) {
        let mut inner = self.lock();
        if inner.last.is_some() || inner.queue.len() >= inner.capacity {
            inner.last = Some(fold(item));
        } else {
            inner.queue.push_back(item);
        }
        Self::wake(inner);
    }

    /// Ends the queue; what is in it can still be read.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        Self::wake(inner);
    }

    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut inner = self.lock();
        let next = inner.queue.pop_front();
        match next.or_else(|| inner.last.take()) {
            Some(item) => Poll::Ready(Some(item)),
            None if inner.closed => Poll::Ready(None),
            None => {
                inner.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether the other side has gone.
    pub(super) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(mut inner: MutexGuard<'_, Inner<T>>) {
        let reader = inner.reader.take();
        drop(inner);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
