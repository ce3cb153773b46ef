use futures::FutureExt as _;

use super::steps::*;
use super::{Case, Harness};
use crate::types::{Epoch, LogEntry, LogOp, Standing, Zxid};

cases![
    an_empty_store_recovers_empty,
    what_was_written_is_there_after_a_restart,
    the_steps_of_one_batch_take_effect_in_order,
    an_append_that_leaves_a_gap_is_refused,
    a_refused_step_undoes_nothing_and_does_nothing_of_its_batch,
    epochs_never_go_back,
    the_current_epoch_is_at_most_the_accepted_one,
    truncation_works_at_every_boundary,
    truncation_to_a_position_beside_the_log_is_refused,
    what_is_appended_after_a_truncation_stays_through_a_restart,
    a_new_epoch_after_a_truncation_stays_through_a_restart,
    a_log_can_be_truncated_to_nothing,
    the_log_is_read_from_any_position_within_the_limit,
    what_is_not_there_is_absent,
    large_and_empty_payloads_come_back_as_they_were,
];

async fn an_empty_store_recovers_empty(harness: &dyn Harness) -> Verdict {
    let storage = harness.open();
    let found = recover(&*storage).await?;
    same(
        "what was found",
        &digest(&found),
        &Expected { accepted: 0, current: 0, snapshot: None, log: vec![] },
    )?;
    same("the start of the log", &found.log_start, &Zxid::ZERO)?;
    same("the log", &read_all(&*storage, Zxid::ZERO).await?, &vec![])
}

async fn what_was_written_is_there_after_a_restart(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::AcceptedEpoch(Epoch::new(1))]).await?;
    write(&*storage, vec![LogOp::CurrentEpoch(Epoch::new(1))]).await?;
    for counter in 1..=5 {
        write(&*storage, vec![LogOp::Append(vec![entry(1, counter)])]).await?;
    }
    let storage = restart(harness, storage);
    let found = recover(&*storage).await?;
    same(
        "what was found",
        &digest(&found),
        &Expected { accepted: 1, current: 1, snapshot: None, log: entries(1, 1..=5) },
    )?;
    same("the standing", &found.standing, &Standing::Whole)?;
    write(&*storage, vec![LogOp::Append(entries(1, 6..=7))]).await?;
    let storage = restart(harness, storage);
    same("the log after a second start", &recover(&*storage).await?.log, &entries(1, 1..=7))
}

async fn the_steps_of_one_batch_take_effect_in_order(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(
        &*storage,
        vec![
            LogOp::AcceptedEpoch(Epoch::new(1)),
            LogOp::Append(entries(1, 1..=4)),
            LogOp::TruncateAfter(zxid(1, 2)),
            LogOp::AcceptedEpoch(Epoch::new(3)),
            LogOp::Append(entries(3, 1..=2)),
            LogOp::TruncateAfter(zxid(3, 1)),
            LogOp::Append(entries(3, 2..=3)),
            LogOp::CurrentEpoch(Epoch::new(3)),
        ],
    )
    .await?;
    let log = [entries(1, 1..=2), entries(3, 1..=3)].concat();
    same("the log", &read_all(&*storage, Zxid::ZERO).await?, &log)?;
    let storage = restart(harness, storage);
    same(
        "what was found",
        &digest(&recover(&*storage).await?),
        &Expected { accepted: 3, current: 3, snapshot: None, log },
    )
}

async fn an_append_that_leaves_a_gap_is_refused(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    refused(&*storage, vec![LogOp::Append(entries(1, 2..=2))]).await?;
    write(&*storage, vec![LogOp::Append(entries(1, 1..=3))]).await?;
    for wrong in [entry(1, 3), entry(1, 5), entry(2, 2), entry(0, 4)] {
        refused(&*storage, vec![LogOp::Append(vec![wrong])]).await?;
    }
    refused(&*storage, vec![LogOp::Append(vec![entry(1, 4), entry(1, 6)])]).await?;
    same("the log", &read_all(&*storage, Zxid::ZERO).await?, &entries(1, 1..=3))?;
    let storage = restart(harness, storage);
    same("the log after a restart", &recover(&*storage).await?.log, &entries(1, 1..=3))
}

async fn a_refused_step_undoes_nothing_and_does_nothing_of_its_batch(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::AcceptedEpoch(Epoch::new(1)), LogOp::Append(entries(1, 1..=3))]).await?;
    refused(
        &*storage,
        vec![
            LogOp::AcceptedEpoch(Epoch::new(2)),
            LogOp::TruncateAfter(zxid(1, 1)),
            LogOp::Append(entries(1, 7..=7)),
        ],
    )
    .await?;
    write(&*storage, vec![LogOp::Append(entries(1, 4..=4))]).await?;
    let storage = restart(harness, storage);
    same(
        "what was found",
        &digest(&recover(&*storage).await?),
        &Expected { accepted: 1, current: 0, snapshot: None, log: entries(1, 1..=4) },
    )
}

async fn epochs_never_go_back(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::AcceptedEpoch(Epoch::new(5)), LogOp::CurrentEpoch(Epoch::new(4))]).await?;
    refused(&*storage, vec![LogOp::AcceptedEpoch(Epoch::new(4))]).await?;
    refused(&*storage, vec![LogOp::CurrentEpoch(Epoch::new(3))]).await?;
    write(&*storage, vec![LogOp::AcceptedEpoch(Epoch::new(5)), LogOp::CurrentEpoch(Epoch::new(4))]).await?;
    let storage = restart(harness, storage);
    let found = recover(&*storage).await?;
    same("the epochs", &(found.accepted_epoch.number(), found.current_epoch.number()), &(5, 4))
}

async fn the_current_epoch_is_at_most_the_accepted_one(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    refused(&*storage, vec![LogOp::CurrentEpoch(Epoch::new(1))]).await?;
    let storage = restart(harness, storage);
    same("the current epoch", &recover(&*storage).await?.current_epoch.number(), &0)
}

async fn truncation_works_at_every_boundary(harness: &dyn Harness) -> Verdict {
    let full = [entries(1, 1..=5), entries(2, 1..=5)].concat();
    let mut storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(full.clone())]).await?;
    for kept in (0..full.len()).rev() {
        let at = kept.checked_sub(1).and_then(|last| full.get(last)).map_or(Zxid::ZERO, |entry| entry.zxid);
        write(&*storage, vec![LogOp::TruncateAfter(at)]).await?;
        let rest: Vec<LogEntry> = full.iter().take(kept).cloned().collect();
        same("the log", &read_all(&*storage, Zxid::ZERO).await?, &rest)?;
        storage = restart(harness, storage);
        same("the log after a restart", &recover(&*storage).await?.log, &rest)?;
        let tail: Vec<LogEntry> = full.iter().skip(kept).cloned().collect();
        write(&*storage, vec![LogOp::Append(tail)]).await?;
        storage = restart(harness, storage);
        same("the log filled up again", &recover(&*storage).await?.log, &full)?;
        write(&*storage, vec![LogOp::TruncateAfter(at)]).await?;
    }
    Ok(())
}

async fn truncation_to_a_position_beside_the_log_is_refused(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    let log = [entries(2, 1..=3), entries(5, 1..=3)].concat();
    write(&*storage, vec![LogOp::Append(log.clone())]).await?;
    for at in [zxid(1, 1), zxid(2, 0), zxid(2, 4), zxid(3, 1), zxid(5, 0), zxid(5, 4), zxid(6, 1), Zxid::MAX]
    {
        refused(&*storage, vec![LogOp::TruncateAfter(at)]).await?;
    }
    same("the log", &read_all(&*storage, Zxid::ZERO).await?, &log)?;
    let storage = restart(harness, storage);
    same("the log after a restart", &recover(&*storage).await?.log, &log)
}

async fn what_is_appended_after_a_truncation_stays_through_a_restart(harness: &dyn Harness) -> Verdict {
    for kept in 0..=6u32 {
        let storage = opened(harness).await?;
        let tip = recover_tip(&*storage).await?;
        if tip != Zxid::ZERO {
            write(&*storage, vec![LogOp::TruncateAfter(Zxid::ZERO)]).await?;
        }
        write(&*storage, vec![LogOp::Append(entries(1, 1..=6))]).await?;
        write(&*storage, vec![LogOp::TruncateAfter(zxid_or_zero(1, kept))]).await?;
        // Other payloads than before, so that a record of the old tail cannot pass for one of the new.
        let fresh: Vec<LogEntry> =
            (kept + 1..=kept + 3).map(|counter| sized(1, counter, 300, 0xEE)).collect();
        write(&*storage, vec![LogOp::Append(fresh.clone())]).await?;
        let log = [entries(1, 1..=kept), fresh].concat();
        same("the log", &read_all(&*storage, Zxid::ZERO).await?, &log)?;
        let storage = restart(harness, storage);
        same("the log after a restart", &recover(&*storage).await?.log, &log)?;
        drop(storage);
    }
    Ok(())
}

async fn a_new_epoch_after_a_truncation_stays_through_a_restart(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(7, 1..=4))]).await?;
    write(&*storage, vec![LogOp::TruncateAfter(zxid(7, 3)), LogOp::Append(entries(8, 1..=1))]).await?;
    let storage = restart(harness, storage);
    let log = [entries(7, 1..=3), entries(8, 1..=1)].concat();
    same("the log after a restart", &recover(&*storage).await?.log, &log)
}

async fn a_log_can_be_truncated_to_nothing(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(1, 1..=4)), LogOp::TruncateAfter(Zxid::ZERO)]).await?;
    let storage = restart(harness, storage);
    same("the log", &recover(&*storage).await?.log, &vec![])?;
    write(&*storage, vec![LogOp::Append(entries(2, 1..=2))]).await?;
    let storage = restart(harness, storage);
    same("the new log", &recover(&*storage).await?.log, &entries(2, 1..=2))
}

async fn the_log_is_read_from_any_position_within_the_limit(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    let log: Vec<LogEntry> = (1..=20).map(|counter| sized(1, counter, 10, counter as u8)).collect();
    write(&*storage, vec![LogOp::Append(log.clone())]).await?;
    for skip in 0..=20usize {
        for limit in [0, 1, 9, 10, 11, 19, 20, 25, 100, usize::MAX] {
            let found = storage.read_log(zxid_or_zero(1, skip as u32), limit).await.map_err(said)?;
            let count = (20 - skip).min((limit / 10).max(1));
            let expected: Vec<LogEntry> = log.iter().skip(skip).take(count).cloned().collect();
            same("the entries", &found, &expected)?;
        }
    }
    Ok(())
}

async fn what_is_not_there_is_absent(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(2, 1..=3))]).await?;
    for after in [zxid(1, 1), zxid(2, 4), zxid(3, 1), Zxid::MAX] {
        absent(storage.read_log(after, 100).await)?;
    }
    absent(storage.read_snapshot(zxid(2, 3), 0, 100).await)?;
    write(&*storage, vec![LogOp::Append(entries(2, 4..=4))]).await
}

async fn large_and_empty_payloads_come_back_as_they_were(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    let log: Vec<LogEntry> = [0, 1, 511, 512, 513, 4096, 100_000, 1 << 20, 0]
        .into_iter()
        .zip(1..)
        .map(|(len, counter)| sized(1, counter, len, counter as u8))
        .collect();
    for entry in &log {
        write(&*storage, vec![LogOp::Append(vec![entry.clone()])]).await?;
    }
    let matches = read_all(&*storage, Zxid::ZERO).await? == log;
    same("whether the payloads match", &matches, &true)?;
    let storage = restart(harness, storage);
    let matches = recover(&*storage).await?.log == log;
    same("whether the payloads match after a restart", &matches, &true)
}
