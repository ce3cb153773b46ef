use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::types::Standing;

fn entry(epoch: u32, counter: u32) -> LogEntry {
    LogEntry {
        zxid: Zxid::new(Epoch::new(epoch), counter),
        payload: Bytes::from(format!("{epoch}.{counter}")),
    }
}

fn empty(limit: usize) -> History {
    let recovered = Recovered {
        accepted_epoch: Epoch::ZERO,
        current_epoch: Epoch::ZERO,
        snapshot: None,
        log_start: Zxid::ZERO,
        log: Vec::new(),
        standing: Standing::Whole,
    };
    History::new(recovered, limit)
}

#[derive(Clone, Debug)]
enum Step {
    Append { new_epoch: bool },
    Truncate(prop::sample::Index),
    Durable(prop::sample::Index),
    Commit(prop::sample::Index),
    Deliver(usize),
    Purge(prop::sample::Index),
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::bool::weighted(0.2).prop_map(|new_epoch| Step::Append { new_epoch }),
        1 => any::<prop::sample::Index>().prop_map(Step::Truncate),
        3 => any::<prop::sample::Index>().prop_map(Step::Durable),
        3 => any::<prop::sample::Index>().prop_map(Step::Commit),
        3 => (0..6_usize).prop_map(Step::Deliver),
        1 => any::<prop::sample::Index>().prop_map(Step::Purge),
        1 => Just(Step::Reset),
    ]
}

/// The same, as plainly as it can be said: all entries from the beginning of time, and counts of them.
#[derive(Default)]
struct Model {
    all: Vec<LogEntry>,
    durable: usize,
    committed: usize,
    delivered: usize,
    /// What of it can be had no more.
    gone: usize,
}

impl Model {
    fn at(&self, count: usize) -> Zxid {
        count.checked_sub(1).map_or(Zxid::ZERO, |last| self.all[last].zxid)
    }
}

proptest! {
    #[test]
    fn the_history_is_what_a_plain_list_would_be(steps in prop::collection::vec(step(), 0..120), limit in 0..5_usize) {
        let mut history = empty(limit);
        let mut model = Model::default();
        let mut epoch = 1;
        for step in steps {
            let tip = history.tip();
            match step {
                Step::Append { new_epoch } => {
                    epoch += u32::from(new_epoch);
                    let counter = if tip.epoch().number() == epoch { tip.counter() + 1 } else { 1 };
                    prop_assert!(!history.append(entry(epoch, counter + 1)), "a gap is not taken");
                    prop_assert!(history.append(entry(epoch, counter)));
                    model.all.push(entry(epoch, counter));
                }
                Step::Truncate(index) => {
                    let keep = index.index(model.all.len() + 1);
                    let may = keep >= model.committed;
                    prop_assert_eq!(history.may_truncate(model.at(keep)), may);
                    history.truncate(model.at(keep));
                    if may {
                        model.all.truncate(keep);
                        model.durable = model.durable.min(keep);
                        epoch += 1;
                    }
                }
                Step::Durable(index) => {
                    let to = index.index(model.all.len() + 1);
                    history.set_durable(model.at(to));
                    model.durable = model.durable.max(to);
                }
                Step::Commit(index) => {
                    let to = index.index(model.all.len() + 1);
                    prop_assert!(history.set_committed(model.at(to)));
                    model.committed = model.committed.max(to);
                    prop_assert!(!history.set_committed(Zxid::new(Epoch::new(epoch + 1), 1)));
                }
                Step::Deliver(count) => {
                    for _ in 0..count {
                        let due = model.delivered < model.durable.min(model.committed);
                        let expected = due.then(|| model.all[model.delivered].clone());
                        model.delivered += usize::from(due);
                        prop_assert_eq!(history.deliver(), expected);
                    }
                }
                Step::Purge(index) => {
                    let to = index.index(model.delivered + 1);
                    history.purge(model.at(to));
                    model.gone = model.gone.max(to);
                }
                Step::Reset => {
                    history.reset_to(tip);
                    let all = model.all.len();
                    model = Model { all: model.all, durable: model.durable, committed: all, delivered: all, gone: all };
                }
            }
            prop_assert_eq!(history.tip(), model.at(model.all.len()));
            prop_assert_eq!(history.durable(), model.at(model.durable));
            prop_assert_eq!(history.committed(), model.at(model.committed));
            prop_assert_eq!(history.delivered(), model.at(model.delivered));
            prop_assert!(history.base() <= history.delivered());
            prop_assert!(history.start() <= model.at(model.gone));
            for count in model.gone..=model.all.len() {
                let zxid = model.at(count);
                prop_assert!(history.contains(zxid), "{zxid}");
                prop_assert_eq!(history.floor(zxid), Some(zxid));
                let beyond = Zxid::new(zxid.epoch(), u32::MAX);
                let last = model.all.iter().rev().map(|entry| entry.zxid).find(|other| *other <= beyond);
                prop_assert_eq!(history.floor(beyond), last.or(Some(Zxid::ZERO)));
                let Some((entries, _)) = history.entries(zxid, Zxid::MAX, usize::MAX) else {
                    prop_assert!(zxid < history.base());
                    continue;
                };
                prop_assert_eq!(&entries[..], &model.all[count..]);
            }
        }
    }
}

#[test]
fn entries_come_in_pieces_of_the_size_that_was_asked_for() {
    let mut history = empty(10);
    for counter in 1..=9 {
        assert!(history.append(entry(1, counter)));
    }
    let piece = |after, limit, bytes| {
        let (entries, size) = history.entries(entry(1, after).zxid, entry(1, limit).zxid, bytes).unwrap();
        assert_eq!(size, entries.iter().map(weight).sum::<usize>());
        entries.iter().map(|entry| entry.zxid.counter()).collect::<Vec<_>>()
    };
    assert_eq!(piece(1, 9, 0), [2], "at least one");
    assert_eq!(piece(1, 9, 2 * weight(&entry(1, 1))), [2, 3]);
    assert_eq!(piece(1, 4, 1_000), [2, 3, 4]);
    assert_eq!(piece(4, 4, 1_000), [0; 0]);
}

#[test]
fn what_lies_before_a_recovered_snapshot_is_known_for_its_epoch_only() {
    let recovered = Recovered {
        accepted_epoch: Epoch::new(5),
        current_epoch: Epoch::new(5),
        snapshot: Some(entry(5, 9).zxid),
        log_start: entry(3, 4).zxid,
        log: vec![entry(5, 10)],
        standing: Standing::Whole,
    };
    let history = History::new(recovered, 10);
    assert_eq!(history.floor(entry(5, 3).zxid), Some(entry(5, 3).zxid));
    assert_eq!(
        history.floor(entry(3, 4).zxid),
        Some(entry(3, 4).zxid),
        "the start of the log is one of its positions"
    );
    assert_eq!(history.floor(entry(4, 1).zxid), None);
    assert_eq!(history.floor(entry(3, 5).zxid), None);
    assert_eq!(history.tip(), entry(5, 10).zxid);
    assert_eq!(history.delivered(), entry(5, 9).zxid);
}
