use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::types::{Epoch, LogEntry, Recovered, Standing};

/// Histories as ZAB makes them: each epoch begins with a prefix of the one before that holds all that it began with.
#[derive(Clone, Debug)]
struct Past {
    /// For each epoch: its number, how many entries its history begins with, how many its leader proposed.
    epochs: Vec<(u32, usize, usize)>,
}

impl Past {
    /// The history of a server that is in the `which`-th epoch and has `count` of its proposals.
    fn history(&self, which: usize, count: usize) -> Vec<Zxid> {
        let (epoch, initial, proposed) = self.epochs[which];
        let mut history = match which.checked_sub(1) {
            Some(before) => self.history(before, usize::MAX),
            None => Vec::new(),
        };
        history.truncate(initial);
        history.extend((1..=proposed.min(count)).map(|c| Zxid::new(Epoch::new(epoch), c as u32)));
        history
    }
}

fn past() -> impl Strategy<Value = Past> {
    prop::collection::vec((1..3_u32, 0..6_usize, 0..6_usize), 1..6).prop_map(|raw| {
        let mut past = Past { epochs: Vec::new() };
        let mut number = 0;
        for (step, kept, proposed) in raw {
            number += step;
            let initial = match past.epochs.last() {
                // At least what the epoch before began with, and some of what was proposed in it.
                Some((_, initial, proposed)) => initial + kept.min(*proposed),
                None => 0,
            };
            past.epochs.push((number, initial, proposed));
        }
        past
    })
}

/// A leader's history of which the first `snapshot` entries are in a snapshot, and the first `purged` nowhere else.
fn leader(history: &[Zxid], snapshot: usize, purged: usize) -> History {
    let entry = |zxid: &Zxid| LogEntry { zxid: *zxid, payload: Bytes::new() };
    let at = |count: usize| count.checked_sub(1).map_or(Zxid::ZERO, |last| history[last]);
    let recovered = Recovered {
        accepted_epoch: Epoch::ZERO,
        current_epoch: Epoch::ZERO,
        snapshot: (snapshot > 0).then(|| at(snapshot)),
        log_start: at(purged),
        log: history[snapshot..].iter().map(entry).collect(),
        standing: Standing::Whole,
    };
    History::new(recovered, 4)
}

fn common(left: &[Zxid], right: &[Zxid]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

proptest! {
    #[test]
    fn a_learner_keeps_exactly_what_it_has_in_common_with_its_leader(
        past in past(),
        follower in (any::<prop::sample::Index>(), 0..7_usize),
        count in 0..7_usize,
        cuts in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let ours = past.history(past.epochs.len() - 1, count);
        let theirs = past.history(follower.0.index(past.epochs.len()), follower.1);
        let snapshot = cuts.0.index(ours.len() + 1);
        let purged = cuts.1.index(snapshot + 1);
        let history = leader(&ours, snapshot, purged);
        let tip = theirs.last().copied().unwrap_or(Zxid::ZERO);
        let common = common(&ours, &theirs);
        let last_common = common.checked_sub(1).map_or(Zxid::ZERO, |last| ours[last]);
        match decide(&history, tip, false) {
            Decision::Diff(after) => {
                prop_assert_eq!((after, common), (tip, theirs.len()));
                prop_assert!(common >= purged);
            }
            Decision::Truncate(to) => {
                prop_assert_eq!(to, last_common);
                prop_assert!(common < theirs.len() && common >= purged);
            }
            Decision::Snapshot(zxid) => {
                prop_assert_eq!(Some(zxid), (snapshot > 0).then(|| ours[snapshot - 1]));
                // Only where the log does not reach, or what is in it before the snapshot is not known.
                prop_assert!(common < snapshot);
                prop_assert!(zxid >= last_common);
            }
            Decision::Wait(at_least) => prop_assert!(false, "there is nothing to wait for at {at_least}"),
        }
        if snapshot == 0 {
            prop_assert!(!matches!(decide(&history, tip, false), Decision::Snapshot(_)));
        }
    }

    #[test]
    fn a_snapshot_that_is_asked_for_holds_all_that_is_in_common(
        past in past(),
        follower in (any::<prop::sample::Index>(), 0..7_usize),
        cut in any::<prop::sample::Index>(),
    ) {
        let ours = past.history(past.epochs.len() - 1, 3);
        let theirs = past.history(follower.0.index(past.epochs.len()), follower.1);
        let snapshot = cut.index(ours.len() + 1);
        let history = leader(&ours, snapshot, 0);
        let common = common(&ours, &theirs);
        match decide(&history, theirs.last().copied().unwrap_or(Zxid::ZERO), true) {
            Decision::Snapshot(_) => prop_assert!(common <= snapshot),
            Decision::Wait(at_least) => {
                prop_assert!(at_least == Zxid::ZERO || ours.contains(&at_least));
                prop_assert!(snapshot == 0 || common > snapshot);
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
