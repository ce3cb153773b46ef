use super::support::*;
use crate::sim::disk::{Fault, Loss, SimDisk};
use crate::storage::StorageError;
use crate::types::{Epoch, LogEntry, LogOp, Recovered, SeededRng, Standing, Zxid};

/// One thing that a server asks of its storage.
enum Step {
    Write(Vec<LogOp>),
    Save(Zxid, usize),
}

/// What a store may be found with: all that a server can see of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct State {
    accepted: Epoch,
    current: Epoch,
    history: Vec<LogEntry>,
    base: Zxid,
}

impl State {
    fn apply(&mut self, op: &LogOp) {
        match op {
            LogOp::AcceptedEpoch(epoch) => self.accepted = *epoch,
            LogOp::CurrentEpoch(epoch) => self.current = *epoch,
            LogOp::Append(entries) => self.history.extend(entries.iter().cloned()),
            LogOp::TruncateAfter(zxid) => self.history.retain(|entry| entry.zxid <= *zxid),
            LogOp::ResetTo(zxid) => {
                self.history.clear();
                self.base = *zxid;
            }
            LogOp::PurgeUpTo(_) => {}
        }
    }

    fn tip(&self) -> Zxid {
        self.history.last().map_or(self.base, |entry| entry.zxid)
    }

    /// Whether what was found is this state, seen from whichever snapshot.
    fn is(&self, found: &Recovered) -> bool {
        let after = found.snapshot.unwrap_or(Zxid::ZERO);
        let log: Vec<LogEntry> = self.history.iter().filter(|entry| entry.zxid > after).cloned().collect();
        (found.accepted_epoch, found.current_epoch, found.tip()) == (self.accepted, self.current, self.tip())
            && found.log == log
            && after >= self.base
    }
}

/// A life: two epochs, rolls, a snapshot, a truncation, a received snapshot, a purge.
fn life() -> Vec<Step> {
    vec![
        Step::Write(vec![LogOp::AcceptedEpoch(Epoch::new(1)), LogOp::CurrentEpoch(Epoch::new(1))]),
        Step::Write(vec![LogOp::Append(entries(1, 1..=4, 700))]),
        Step::Write(vec![LogOp::Append(entries(1, 5..=9, 700))]),
        Step::Save(zxid(1, 3), 1500),
        Step::Write(vec![LogOp::Append(entries(1, 10..=10, 20)), LogOp::AcceptedEpoch(Epoch::new(2))]),
        Step::Write(vec![
            LogOp::TruncateAfter(zxid(1, 6)),
            LogOp::Append(entries(2, 1..=3, 300)),
            LogOp::CurrentEpoch(Epoch::new(2)),
        ]),
        Step::Save(zxid(1, 6), 200),
        Step::Save(zxid(2, 2), 900),
        Step::Write(vec![LogOp::Append(entries(2, 4..=6, 900)), LogOp::PurgeUpTo(zxid(2, 3))]),
        Step::Save(zxid(4, 7), 700),
        Step::Write(vec![
            LogOp::AcceptedEpoch(Epoch::new(5)),
            LogOp::ResetTo(zxid(4, 7)),
            LogOp::Append(entries(5, 1..=2, 100)),
            LogOp::CurrentEpoch(Epoch::new(5)),
        ]),
        Step::Write(vec![
            LogOp::Append(entries(5, 3..=4, 100)),
            LogOp::AcceptedEpoch(Epoch::new(6)),
            LogOp::Append(entries(6, 1..=1, 600)),
            LogOp::CurrentEpoch(Epoch::new(6)),
            LogOp::Append(entries(6, 2..=2, 100)),
        ]),
    ]
}

/// Lives until something fails. Gives the last state that was acknowledged, and those that the failed step may have
/// left: after each of its operations, and after each entry of an append.
fn live(storage: &Driver) -> (Vec<State>, Result<(), StorageError>) {
    let mut state = State::default();
    for step in life() {
        let (outcome, states) = match &step {
            Step::Save(zxid, len) => (storage.save(*zxid, &vec![9; *len]), vec![state.clone()]),
            Step::Write(ops) => {
                let mut states = vec![state.clone()];
                let mut next = state.clone();
                for op in ops {
                    if let LogOp::Append(entries) = op {
                        for entry in entries {
                            next.apply(&LogOp::Append(vec![entry.clone()]));
                            states.push(next.clone());
                        }
                    } else {
                        next.apply(op);
                        states.push(next.clone());
                    }
                }
                (storage.write(ops.clone()), states)
            }
        };
        if outcome.is_err() {
            return (states, outcome);
        }
        state = states.last().cloned().unwrap_or_default();
    }
    (vec![state], Ok(()))
}

#[test]
fn a_crash_at_any_operation_loses_nothing_acknowledged_and_leaves_a_legal_state() {
    let disk = SimDisk::new();
    let (storage, _) = Driver::open(&disk);
    let first = disk.operations();
    live(&storage).1.unwrap();
    let last = disk.operations();
    assert!(last - first > 60, "the life is too short: {}", last - first);
    for at in first + 1..=last {
        for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::Torn, Fault::Error] {
            for (seed, loss) in [
                (0, None),
                (1, Some(Loss::Ordered)),
                (2, Some(Loss::Adversarial)),
                (3, Some(Loss::Adversarial)),
            ] {
                let disk = SimDisk::new();
                let (storage, _) = Driver::open(&disk);
                disk.fail_at(at, fault);
                let (legal, _) = live(&storage);
                drop(storage);
                match loss {
                    None => disk.kill(),
                    Some(loss) => disk.power_loss(&mut SeededRng::from_number(seed * 1000 + at), loss),
                }
                let case = format!("{fault:?} at operation {at}, then {loss:?}, seed {seed}");
                let (storage, found) = match Driver::open_with(&disk, options()) {
                    Ok(opened) => opened,
                    Err(error) => panic!("{case}: {error}"),
                };
                assert_eq!(found.standing, Standing::Whole, "{case}");
                assert!(
                    legal.iter().any(|state| state.is(&found)),
                    "{case}: found {found:?}\nlegal: {legal:?}"
                );
                // And it goes on, and keeps what it reported.
                let next = found.tip().next().unwrap();
                let next = LogEntry { zxid: next, payload: bytes::Bytes::from_static(b"next") };
                storage.append(vec![next.clone()]).unwrap();
                drop(storage);
                disk.power_loss(&mut SeededRng::from_number(at), Loss::Adversarial);
                let (_, again) = Driver::open(&disk);
                assert_eq!(again.log, [found.log.clone(), vec![next]].concat(), "{case}: after going on");
                assert_eq!(again.snapshot, found.snapshot, "{case}: after going on");
            }
        }
    }
}

#[test]
fn a_crash_at_any_operation_of_a_recovery_changes_nothing_of_what_the_next_one_finds() {
    // A torn tail, an unborn segment and an unfinished truncation to clean up.
    let broken = |seed| {
        let disk = SimDisk::new();
        let (storage, _) = Driver::open(&disk);
        storage.append(entries(1, 1..=12, 500)).unwrap();
        let before = disk.operations();
        disk.fail_at(before + 5 + seed % 4, Fault::CrashAfter);
        let _ = storage.write(vec![LogOp::TruncateAfter(zxid(1, 5))]);
        drop(storage);
        disk.power_loss(&mut SeededRng::from_number(seed), Loss::Adversarial);
        disk
    };
    for seed in 0..12 {
        let disk = broken(seed);
        let before = disk.operations();
        let (_, whole) = Driver::open(&disk);
        for at in before + 1..=disk.operations() {
            let disk = broken(seed);
            disk.fail_at(at, Fault::Torn);
            assert!(Driver::open_with(&disk, options()).is_err());
            disk.power_loss(&mut SeededRng::from_number(seed + at), Loss::Adversarial);
            assert_eq!(Driver::open(&disk).1, whole, "operation {at} of the recovery, seed {seed}");
        }
    }
}

#[test]
fn a_crash_at_any_operation_of_the_first_start_can_be_started_again() {
    let disk = SimDisk::new();
    drop(Driver::open(&disk));
    for at in 1..=disk.operations() {
        for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::Torn, Fault::Full] {
            for seed in 0..6 {
                let disk = SimDisk::new();
                disk.fail_at(at, fault);
                assert!(Driver::open_with(&disk, options()).is_err());
                disk.power_loss(&mut SeededRng::from_number(seed), Loss::Adversarial);
                let (storage, found) = Driver::open(&disk);
                assert_eq!((found.tip(), found.standing), (Zxid::ZERO, Standing::Whole));
                storage.append(entries(1, 1..=1, 10)).unwrap();
            }
        }
    }
}
