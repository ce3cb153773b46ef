use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;
use std::time::Duration;

use futures::channel::oneshot;

use crate::types::{SeededRng, ServerId, Time};

use super::Failure;
use super::ready::{TaskId, TaskWaker, Woken};

/// Whose task it is. What happens to a process happens to all tasks of one actor at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Actor {
    /// The test itself; nothing happens to it.
    World,
    /// A server of the ensemble.
    Server(ServerId),
    /// A client process.
    Client(u64),
}

impl Actor {
    /// A number that is different for every actor, for the trace.
    pub(crate) const fn code(self) -> u64 {
        match self {
            Self::World => 0,
            Self::Server(server) => (1 << 56) | server.number(),
            Self::Client(number) => (2 << 56) | number,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => f.write_str("world"),
            Self::Server(server) => write!(f, "S{server}"),
            Self::Client(number) => write!(f, "C{number}"),
        }
    }
}

/// A single-threaded executor on virtual time. Time moves only when no task can run, and then at once to the
/// next deadline; which of several ready tasks runs next is drawn from the seed. A clone is another handle.
///
/// Tasks are polled by whoever calls [`step`](Self::step), in that thread. A wake from any other thread is a
/// failure: what another thread does cannot be replayed.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

struct Shared {
    /// Microseconds. Asked for with everything that happens, and so apart from the rest.
    now: AtomicU64,
    state: Mutex<State>,
    woken: Arc<Woken>,
}

impl Executor {
    /// An executor without tasks at [`Time::ZERO`]. With `shuffle` the order of ready tasks is drawn from
    /// `rng`; without, it is the order in which they were woken.
    #[must_use]
    pub fn new(rng: SeededRng, shuffle: bool) -> Self {
        let state = State {
            rng,
            shuffle,
            tasks: BTreeMap::new(),
            actors: BTreeMap::new(),
            timers: BTreeMap::new(),
            next_number: 1,
            polls_now: 0,
            spinners: BTreeMap::new(),
            limits: ExecutorLimits::default(),
            counters: ExecutorCounters::default(),
            thread: None,
        };
        let (now, woken) = (AtomicU64::new(Time::ZERO.as_micros()), Arc::default());
        Self { shared: Arc::new(Shared { now, state: Mutex::new(state), woken }) }
    }

    /// Replaces the bounds past which a world has stalled or leaks.
    pub fn set_limits(&self, limits: ExecutorLimits) {
        self.lock().limits = limits;
    }

    /// Starts a task of `actor`. Dropping the handle lets the task go on.
    pub fn spawn<T: Send + 'static>(
        &self,
        actor: Actor,
        name: &'static str,
        future: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let (sender, receiver) = oneshot::channel();
        let future = async move {
            // The handle may have been dropped; then nobody wants to know.
            drop(sender.send(future.await));
        };
        let mut state = self.lock();
        let id = TaskId::new(state.number());
        let waker = Arc::new(TaskWaker::queued(id, Arc::clone(&self.shared.woken)));
        let task = Task { actor, name, future: Some(Box::pin(future)), waker: Arc::clone(&waker) };
        state.tasks.insert(id, task);
        state.actors.entry(actor).or_default().tasks.insert(id);
        drop(state);
        self.shared.woken.push(id);
        JoinHandle { receiver }
    }

    /// Drops all tasks of `actor`, as when its process is killed. Nothing of them runs any more but destructors.
    pub fn kill(&self, actor: Actor) {
        let mut state = self.lock();
        let Some(group) = state.actors.remove(&actor) else { return };
        let tasks: Vec<_> = group.tasks.iter().filter_map(|id| state.tasks.remove(id)).collect();
        drop(state);
        drop(tasks);
    }

    /// Stops polling the tasks of `actor`; what wakes them is remembered. Like SIGSTOP: time goes on.
    pub fn pause(&self, actor: Actor) {
        self.lock().actors.entry(actor).or_default().paused = true;
    }

    /// Lets the tasks of `actor` go on.
    pub fn resume(&self, actor: Actor) {
        if let Some(group) = self.lock().actors.get_mut(&actor) {
            group.paused = false;
            for id in std::mem::take(&mut group.parked) {
                self.shared.woken.push(id);
            }
        }
    }

    /// Whether `actor` is paused.
    #[must_use]
    pub fn is_paused(&self, actor: Actor) -> bool {
        self.lock().actors.get(&actor).is_some_and(|group| group.paused)
    }

    /// Calls `action` when the time has come, in no task.
    pub fn at(&self, time: Time, action: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        let key = (time.max(self.now()), state.number());
        state.timers.insert(key, Timer::Call(Box::new(action)));
    }

    /// Completes when virtual time is `deadline` or later.
    pub fn sleep_until(&self, deadline: Time) -> Sleep {
        Sleep { executor: self.clone(), deadline, key: None }
    }

    /// Completes after `span` of virtual time.
    pub fn sleep(&self, span: Duration) -> Sleep {
        self.sleep_until(self.now() + span)
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_micros(self.shared.now.load(Ordering::Relaxed))
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> ExecutorCounters {
        self.lock().counters
    }

    /// How many tasks of `actor` there are.
    #[must_use]
    pub fn tasks_of(&self, actor: Actor) -> usize {
        self.lock().actors.get(&actor).map_or(0, |group| group.tasks.len())
    }

    /// Whether anything is to happen at any time.
    #[must_use]
    pub fn has_timers(&self) -> bool {
        !self.lock().timers.is_empty()
    }

    /// Forgets everything that was to happen.
    pub(super) fn clear_timers(&self) {
        let timers = std::mem::take(&mut self.lock().timers);
        drop(timers);
    }

    /// Polls one ready task, or, if there is none, moves time to the next deadline that is at most `until` and
    /// does what is due then.
    ///
    /// # Errors
    ///
    /// [`Failure::Stalled`] when tasks run for ever without time moving, [`Failure::Leaked`] when there are too
    /// many tasks or timers, [`Failure::Foreign`] after a wake from another thread.
    pub fn step(&self, until: Time) -> Result<Step, Failure> {
        let mut state = self.lock();
        let thread = *state.thread.get_or_insert_with(|| std::thread::current().id());
        if self.shared.woken.take_foreign(thread) {
            return Err(Failure::Foreign);
        }
        if let Some((id, task)) = state.next_ready(&self.shared.woken) {
            drop(state);
            return self.poll(id, task);
        }
        let Some((&(due, _), _)) = state.timers.first_key_value() else {
            return Ok(Step::Idle);
        };
        if due > until {
            return Ok(Step::Idle);
        }
        self.move_to(&mut state, due);
        let timer = state.timers.pop_first();
        state.counters.timers += 1;
        drop(state);
        match timer {
            Some((_, Timer::Wake(waker))) => waker.wake(),
            Some((_, Timer::Call(action))) => action(),
            None => {}
        }
        Ok(Step::Timer)
    }

    /// Moves time to `until` without doing anything; for when [`step`](Self::step) found nothing before it.
    pub fn advance(&self, until: Time) {
        self.move_to(&mut self.lock(), until);
    }

    fn move_to(&self, state: &mut State, time: Time) {
        let now = self.now();
        if time > now {
            state.passes(time.since(now));
            self.shared.now.store(time.as_micros(), Ordering::Relaxed);
        }
    }

    fn poll(&self, id: TaskId, mut task: Taken) -> Result<Step, Failure> {
        let waker = Waker::from(task.waker);
        let done = task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut state = self.lock();
        state.counters.polls += 1;
        let actor = task.actor;
        if done {
            state.tasks.remove(&id);
            if let Some(group) = state.actors.get_mut(&actor) {
                group.tasks.remove(&id);
            }
        } else if let Some(slot) = state.tasks.get_mut(&id) {
            slot.future = Some(task.future);
        } else {
            // Killed while it ran.
            drop(state);
            drop(task.future);
            return Ok(Step::Polled(actor));
        }
        state.note_poll(self.now(), actor, task.name)?;
        Ok(Step::Polled(actor))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Executor")
            .field("now", &self.now())
            .field("tasks", &state.tasks.len())
            .field("timers", &state.timers.len())
            .finish_non_exhaustive()
    }
}

/// What one [`Executor::step`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A task of this actor was polled.
    Polled(Actor),
    /// A timer went off.
    Timer,
    /// There is nothing to do before the time that was given.
    Idle,
}

/// What an executor counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExecutorCounters {
    /// Polls of tasks.
    pub polls: u64,
    /// Timers that went off.
    pub timers: u64,
    /// Virtual time that passed.
    pub skipped: Duration,
    /// That part of it which passed in spans of 10 ms and more without anything happening.
    pub idle: Duration,
}

/// Bounds past which an executor says that something is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExecutorLimits {
    /// Polls without time moving.
    pub polls_per_instant: u64,
    /// Tasks at one time.
    pub tasks: usize,
    /// Timers at one time.
    pub timers: usize,
}

impl Default for ExecutorLimits {
    fn default() -> Self {
        Self { polls_per_instant: 200_000, tasks: 20_000, timers: 200_000 }
    }
}

/// Gives the result of a spawned task.
#[derive(Debug)]
pub struct JoinHandle<T> {
    receiver: oneshot::Receiver<T>,
}

impl<T> Future for JoinHandle<T> {
    /// An error when the task's actor was killed first.
    type Output = Result<T, Killed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(context).map_err(|_| Killed)
    }
}

/// A task ended because its process was killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the task was killed with its process")]
pub struct Killed;

/// Completes at its deadline; see [`Executor::sleep_until`].
#[derive(Debug)]
#[must_use = "a sleep does nothing unless awaited"]
pub struct Sleep {
    executor: Executor,
    deadline: Time,
    key: Option<(Time, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { executor, deadline, key } = &mut *self;
        if executor.now() >= *deadline {
            return Poll::Ready(());
        }
        let mut state = executor.lock();
        let waker = context.waker();
        match key.and_then(|key| state.timers.get_mut(&key)) {
            Some(Timer::Wake(known)) if known.will_wake(waker) => {}
            Some(slot) => *slot = Timer::Wake(waker.clone()),
            None => {
                let made = (*deadline, state.number());
                state.timers.insert(made, Timer::Wake(waker.clone()));
                *key = Some(made);
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let timer = self.executor.lock().timers.remove(&key);
            drop(timer);
        }
    }
}

/// From which span on without anything happening a world counts as idle.
const IDLE: Duration = Duration::from_millis(10);

type BoxedTask = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    actor: Actor,
    name: &'static str,
    /// None while it is being polled.
    future: Option<BoxedTask>,
    waker: Arc<TaskWaker>,
}

/// A task taken out to be polled.
struct Taken {
    actor: Actor,
    name: &'static str,
    future: BoxedTask,
    waker: Arc<TaskWaker>,
}

enum Timer {
    Wake(Waker),
    Call(Box<dyn FnOnce() + Send>),
}

#[derive(Default)]
struct Group {
    tasks: BTreeSet<TaskId>,
    paused: bool,
    /// Woken while paused.
    parked: Vec<TaskId>,
}

struct State {
    rng: SeededRng,
    shuffle: bool,
    tasks: BTreeMap<TaskId, Task>,
    actors: BTreeMap<Actor, Group>,
    timers: BTreeMap<(Time, u64), Timer>,
    next_number: u64,
    polls_now: u64,
    /// Who was polled how often since half of the bound was reached.
    spinners: BTreeMap<(Actor, &'static str), u64>,
    limits: ExecutorLimits,
    counters: ExecutorCounters,
    thread: Option<ThreadId>,
}

impl State {
    fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    fn passes(&mut self, span: Duration) {
        self.counters.skipped += span;
        if span >= IDLE {
            self.counters.idle += span;
        }
        self.polls_now = 0;
        self.spinners.clear();
    }

    fn next_ready(&mut self, woken: &Woken) -> Option<(TaskId, Taken)> {
        loop {
            let id = woken.pop(self.shuffle.then_some(&mut self.rng))?;
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let group = self.actors.entry(task.actor).or_default();
            if group.paused {
                group.parked.push(id);
                continue;
            }
            task.waker.taken();
            if let Some(future) = task.future.take() {
                let waker = Arc::clone(&task.waker);
                return Some((id, Taken { actor: task.actor, name: task.name, future, waker }));
            }
        }
    }

    fn note_poll(&mut self, now: Time, actor: Actor, name: &'static str) -> Result<(), Failure> {
        self.polls_now += 1;
        let limits = self.limits;
        if self.polls_now > limits.polls_per_instant / 2 {
            *self.spinners.entry((actor, name)).or_default() += 1;
        }
        if self.polls_now > limits.polls_per_instant {
            let mut who: Vec<_> = self.spinners.iter().map(|(task, polls)| (*polls, *task)).collect();
            who.sort_unstable_by(|a, b| b.cmp(a));
            let who: Vec<_> = who
                .iter()
                .take(5)
                .map(|(polls, (actor, name))| format!("{actor} {name}: {polls} polls"))
                .collect();
            return Err(Failure::Stalled { at: now, who: who.join(", ") });
        }
        if self.tasks.len() > limits.tasks || self.timers.len() > limits.timers {
            let mut names = BTreeMap::<_, usize>::new();
            for task in self.tasks.values() {
                *names.entry((task.actor, task.name)).or_default() += 1;
            }
            let most = names.iter().max_by_key(|(_, count)| **count);
            let most = most.map_or_else(String::new, |((actor, name), n)| format!("{n} of {actor} {name}"));
            let (tasks, timers) = (self.tasks.len(), self.timers.len());
            return Err(Failure::Leaked {
                at: now,
                what: format!("{tasks} tasks ({most}), {timers} timers"),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;
