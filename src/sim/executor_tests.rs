use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const FOREVER: Time = Time::from_micros(u64::MAX);

fn executor() -> Executor {
    Executor::new(SeededRng::from_number(1), false)
}

fn run(executor: &Executor) {
    while executor.step(FOREVER).unwrap() != Step::Idle {}
}

fn log() -> (Arc<Mutex<Vec<String>>>, impl Fn(&str) + Clone + Send + 'static) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&log);
    (log, move |line: &str| writer.lock().unwrap().push(line.to_owned()))
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines_and_time_skips_to_them() {
    let executor = executor();
    let (log, write) = log();
    for millis in [30_u64, 10, 20] {
        let (inner, write) = (executor.clone(), write.clone());
        executor.spawn(Actor::World, "sleeper", async move {
            inner.sleep(Duration::from_millis(millis)).await;
            write(&format!("{millis} at {}", inner.now()));
        });
    }
    run(&executor);
    assert_eq!(*log.lock().unwrap(), ["10 at 0.010000s", "20 at 0.020000s", "30 at 0.030000s"]);
    assert_eq!(executor.counters().skipped, Duration::from_millis(30));
}

#[test]
fn a_killed_actor_does_nothing_more_and_its_handles_say_so() {
    let executor = executor();
    let (log, write) = log();
    let (client, inner) = (Actor::Client(1), executor.clone());
    let handle = executor.spawn(client, "victim", {
        let write = write.clone();
        async move {
            inner.sleep(Duration::from_secs(1)).await;
            write("survived");
        }
    });
    executor.spawn(Actor::World, "witness", async move {
        write(&format!("{:?}", handle.await));
    });
    let killer = executor.clone();
    executor.at(Time::from_millis(500), move || killer.kill(client));
    run(&executor);
    assert_eq!(*log.lock().unwrap(), ["Err(Killed)"]);
    assert_eq!(executor.tasks_of(client), 0);
    assert_eq!(executor.now(), Time::from_millis(500), "the timer of the dead is gone");
}

#[test]
fn a_task_that_kills_its_own_actor_ends_there() {
    let executor = executor();
    let (log, write) = log();
    let inner = executor.clone();
    executor.spawn(Actor::Client(1), "suicide", async move {
        inner.kill(Actor::Client(1));
        write("last words");
        inner.sleep(Duration::from_secs(1)).await;
        write("afterlife");
    });
    run(&executor);
    assert_eq!(*log.lock().unwrap(), ["last words"]);
}

#[test]
fn a_paused_actor_goes_on_later_with_what_woke_it_meanwhile() {
    let executor = executor();
    let (log, write) = log();
    let (client, inner) = (Actor::Client(1), executor.clone());
    executor.spawn(client, "sleeper", async move {
        inner.sleep(Duration::from_millis(10)).await;
        write(&format!("woke at {}", inner.now()));
    });
    executor.step(FOREVER).unwrap();
    executor.pause(client);
    let resumer = executor.clone();
    executor.at(Time::from_millis(70), move || resumer.resume(client));
    run(&executor);
    assert_eq!(*log.lock().unwrap(), ["woke at 0.070000s"]);
}

#[test]
fn tasks_that_spin_without_time_moving_are_named() {
    let executor = executor();
    executor.set_limits(ExecutorLimits { polls_per_instant: 100, ..ExecutorLimits::default() });
    executor.spawn(Actor::Client(7), "spinner", async {
        std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        })
        .await;
    });
    let failure = std::iter::repeat_with(|| executor.step(FOREVER)).find_map(Result::err).unwrap();
    assert!(failure.to_string().contains("C7 spinner"), "{failure}");
}

#[test]
fn an_endless_supply_of_tasks_is_a_leak() {
    let executor = executor();
    executor.set_limits(ExecutorLimits { tasks: 10, ..ExecutorLimits::default() });
    let inner = executor.clone();
    executor.spawn(Actor::World, "leaky", async move {
        loop {
            executor_sleeper(&inner);
            inner.sleep(Duration::from_millis(1)).await;
        }
    });
    let failure = std::iter::repeat_with(|| executor.step(FOREVER)).find_map(Result::err).unwrap();
    assert!(matches!(failure, Failure::Leaked { .. }), "{failure}");
}

fn executor_sleeper(executor: &Executor) {
    let inner = executor.clone();
    executor.spawn(Actor::Client(1), "forever", async move {
        inner.sleep(Duration::from_secs(3600)).await;
    });
}

#[test]
fn a_wake_from_another_thread_fails_the_world() {
    let executor = executor();
    let slot = Arc::new(Mutex::new(None));
    let shared = Arc::clone(&slot);
    executor.spawn(Actor::World, "waiter", async move {
        std::future::poll_fn(|context| {
            *shared.lock().unwrap() = Some(context.waker().clone());
            Poll::<()>::Pending
        })
        .await;
    });
    run(&executor);
    let waker = slot.lock().unwrap().take().unwrap();
    std::thread::spawn(move || waker.wake()).join().unwrap();
    assert!(matches!(executor.step(FOREVER), Err(Failure::Foreign)));
}

#[test]
fn the_order_of_ready_tasks_is_drawn_from_the_seed_and_repeats() {
    fn order(seed: u64) -> Vec<String> {
        let executor = Executor::new(SeededRng::from_number(seed), true);
        let (log, write) = log();
        for number in 0..8 {
            let write = write.clone();
            executor.spawn(Actor::World, "task", async move { write(&number.to_string()) });
        }
        run(&executor);
        log.lock().unwrap().clone()
    }
    assert_eq!(order(1), order(1));
    assert!((2..10).any(|seed| order(seed) != order(1)));
}

#[test]
fn nothing_after_the_given_time_happens() {
    let executor = executor();
    let fired = Arc::new(AtomicU64::new(0));
    for millis in [5, 15] {
        let fired = Arc::clone(&fired);
        executor.at(Time::from_millis(millis), move || {
            fired.fetch_add(1, Ordering::Relaxed);
        });
    }
    let until = Time::from_millis(10);
    while executor.step(until).unwrap() != Step::Idle {}
    executor.advance(until);
    assert_eq!((fired.load(Ordering::Relaxed), executor.now()), (1, until));
}
