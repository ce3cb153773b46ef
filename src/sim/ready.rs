use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;
use std::thread::ThreadId;

use crate::types::SeededRng;

/// A task of an executor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct TaskId(u64);

impl TaskId {
    pub(super) const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// The ready queue; apart from the rest, because a waker may be called anywhere.
#[derive(Default)]
pub(super) struct Woken {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<TaskId>,
    /// Which threads woke something since somebody asked; two are enough to know that one is foreign.
    threads: Vec<ThreadId>,
}

impl Woken {
    pub(super) fn push(&self, id: TaskId) {
        let mut queue = self.lock();
        let thread = std::thread::current().id();
        if !queue.threads.contains(&thread) && queue.threads.len() < 2 {
            queue.threads.push(thread);
        }
        queue.ready.push_back(id);
    }

    pub(super) fn pop(&self, rng: Option<&mut SeededRng>) -> Option<TaskId> {
        let mut queue = self.lock();
        match rng {
            Some(rng) if queue.ready.len() > 1 => {
                let index = usize::try_from(rng.below(queue.ready.len() as u64)).unwrap_or(0);
                queue.ready.swap_remove_back(index)
            }
            _ => queue.ready.pop_front(),
        }
    }

    /// Whether a thread other than `own` woke anything since the last call.
    pub(super) fn take_foreign(&self, own: ThreadId) -> bool {
        std::mem::take(&mut self.lock().threads).iter().any(|thread| *thread != own)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct TaskWaker {
    id: TaskId,
    queued: AtomicBool,
    woken: Arc<Woken>,
}

impl TaskWaker {
    /// The waker of a task that is about to be queued for the first time.
    pub(super) fn queued(id: TaskId, woken: Arc<Woken>) -> Self {
        Self { id, queued: AtomicBool::new(true), woken }
    }

    /// The task was taken from the queue: the next wake queues it again.
    pub(super) fn taken(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.woken.push(self.id);
        }
    }
}
