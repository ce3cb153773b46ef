use bytes::Bytes;
use futures::FutureExt as _;

use super::super::{Storage, StorageError};
use super::{Case, Harness};
use crate::types::{Epoch, LogEntry, LogOp, Recovered, SnapshotChunk, Standing, WriteBatch, Zxid};

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        pub(super) const ALL: &[(&str, Case)] = &[$((stringify!($name), |harness| $name(harness).boxed())),+];
    };
}

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
    a_saved_snapshot_is_found_and_the_log_goes_on_behind_it,
    an_unfinished_snapshot_leaves_no_trace,
    a_chunk_out_of_place_is_refused,
    beginning_a_snapshot_drops_the_unfinished_one,
    a_snapshot_is_read_back_in_pieces,
    a_snapshot_of_a_foreign_history_is_gone_after_a_restart,
    a_truncation_removes_the_snapshots_beyond_it,
    a_reset_makes_the_snapshot_the_start_of_the_history,
    a_reset_to_what_was_not_saved_is_refused,
    a_purge_keeps_what_recovery_needs,
    a_purge_without_a_snapshot_does_nothing,
    a_truncation_below_the_oldest_snapshot_of_a_purged_log_is_refused,
    the_log_is_read_from_any_position_within_the_limit,
    what_is_not_there_is_absent,
    large_and_empty_payloads_come_back_as_they_were,
];

type Verdict = Result<(), String>;

/// What a store holds, for comparison after a restart.
#[derive(PartialEq, Debug)]
struct Expected {
    accepted: u32,
    current: u32,
    snapshot: Option<Zxid>,
    log: Vec<LogEntry>,
}

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

async fn a_saved_snapshot_is_found_and_the_log_goes_on_behind_it(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(1, 1..=6))]).await?;
    save(&*storage, zxid(1, 4), &body(1000), 300).await?;
    write(&*storage, vec![LogOp::Append(entries(1, 7..=7))]).await?;
    let storage = restart(harness, storage);
    let found = recover(&*storage).await?;
    same(
        "what was found",
        &digest(&found),
        &Expected { accepted: 0, current: 0, snapshot: Some(zxid(1, 4)), log: entries(1, 5..=7) },
    )?;
    if found.log_start > zxid(1, 4) {
        return Err(format!("the log starts at {}, behind the snapshot", found.log_start));
    }
    same("the snapshot", &read_snapshot(&*storage, zxid(1, 4), 128).await?, &body(1000))?;
    save(&*storage, zxid(1, 7), &body(0), 300).await?;
    let storage = restart(harness, storage);
    let found = recover(&*storage).await?;
    same("the newer snapshot", &(found.snapshot, found.log), &(Some(zxid(1, 7)), vec![]))?;
    same("the empty snapshot", &read_snapshot(&*storage, zxid(1, 7), 128).await?, &body(0))
}

async fn an_unfinished_snapshot_leaves_no_trace(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(1, 1..=6))]).await?;
    storage.save_snapshot(piece(zxid(1, 5), 0, &body(100), false)).await.map_err(said)?;
    storage.save_snapshot(piece(zxid(1, 5), 100, &body(100), false)).await.map_err(said)?;
    absent(storage.read_snapshot(zxid(1, 5), 0, 10).await)?;
    refused(&*storage, vec![LogOp::ResetTo(zxid(1, 5))]).await?;
    let storage = restart(harness, storage);
    let found = recover(&*storage).await?;
    same("what was found", &(found.snapshot, found.log), &(None, entries(1, 1..=6)))?;
    match storage.save_snapshot(piece(zxid(1, 5), 200, &body(100), true)).await {
        Err(StorageError::Refused(_)) => Ok(()),
        other => Err(format!("a chunk continued a snapshot of before the restart: {other:?}")),
    }
}

async fn a_chunk_out_of_place_is_refused(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(1, 1..=6))]).await?;
    storage.save_snapshot(piece(zxid(1, 5), 0, &body(100), false)).await.map_err(said)?;
    for wrong in [
        piece(zxid(1, 5), 99, &body(10), true),
        piece(zxid(1, 5), 101, &body(10), true),
        piece(zxid(1, 6), 100, &body(10), true),
    ] {
        match storage.save_snapshot(wrong).await {
            Err(StorageError::Refused(_)) => {}
            other => return Err(format!("a chunk out of place: {other:?}")),
        }
    }
    storage.save_snapshot(piece(zxid(1, 5), 100, &body(10), true)).await.map_err(said)?;
    let whole = [body(100), body(10)].concat();
    same("the snapshot", &read_snapshot(&*storage, zxid(1, 5), 64).await?, &whole)
}

async fn beginning_a_snapshot_drops_the_unfinished_one(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(1, 1..=6))]).await?;
    storage.save_snapshot(piece(zxid(1, 5), 0, &body(100), false)).await.map_err(said)?;
    save(&*storage, zxid(1, 6), &body(500), 200).await?;
    match storage.save_snapshot(piece(zxid(1, 5), 100, &body(10), true)).await {
        Err(StorageError::Refused(_)) => {}
        other => return Err(format!("the dropped snapshot was continued: {other:?}")),
    }
    save(&*storage, zxid(1, 6), &body(70), 30).await?;
    same("the snapshot saved twice", &read_snapshot(&*storage, zxid(1, 6), 64).await?, &body(70))?;
    let storage = restart(harness, storage);
    same("the snapshot found", &recover(&*storage).await?.snapshot, &Some(zxid(1, 6)))?;
    same("the snapshot after a restart", &read_snapshot(&*storage, zxid(1, 6), 64).await?, &body(70))
}

async fn a_snapshot_is_read_back_in_pieces(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(1, 1..=2))]).await?;
    let whole = body(200_000);
    save(&*storage, zxid(1, 2), &whole, 70_001).await?;
    for (offset, limit) in
        [(0usize, 1usize), (0, 200_000), (0, usize::MAX), (65_535, 3), (199_999, 5), (131_072, 65_536)]
    {
        let chunk = storage.read_snapshot(zxid(1, 2), offset as u64, limit).await.map_err(said)?;
        let end = whole.len().min(offset.saturating_add(limit));
        let expected = SnapshotChunk {
            zxid: zxid(1, 2),
            offset: offset as u64,
            bytes: Bytes::copy_from_slice(whole.get(offset..end).unwrap_or_default()),
            last: end == whole.len(),
        };
        same(
            "a piece",
            &(chunk == expected, chunk.bytes.len(), chunk.last),
            &(true, end - offset, expected.last),
        )?;
    }
    let end = storage.read_snapshot(zxid(1, 2), 200_000, 9).await.map_err(said)?;
    same("the piece behind the end", &(end.bytes.len(), end.last), &(0, true))?;
    absent(storage.read_snapshot(zxid(1, 2), 200_001, 9).await)
}

async fn a_snapshot_of_a_foreign_history_is_gone_after_a_restart(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(3, 1..=7))]).await?;
    save(&*storage, zxid(5, 10), &body(900), 400).await?;
    same("the waiting snapshot", &read_snapshot(&*storage, zxid(5, 10), 64).await?, &body(900))?;
    let storage = restart(harness, storage);
    let found = recover(&*storage).await?;
    same("what was found", &(found.snapshot, found.log), &(None, entries(3, 1..=7)))?;
    absent(storage.read_snapshot(zxid(5, 10), 0, 10).await)
}

async fn a_truncation_removes_the_snapshots_beyond_it(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(7, 1..=4))]).await?;
    save(&*storage, zxid(7, 2), &body(20), 64).await?;
    save(&*storage, zxid(7, 4), &body(40), 64).await?;
    write(&*storage, vec![LogOp::TruncateAfter(zxid(7, 3))]).await?;
    absent(storage.read_snapshot(zxid(7, 4), 0, 10).await)?;
    // The same position again, from elsewhere: the removed snapshot must not become its state.
    write(&*storage, vec![LogOp::Append(vec![sized(7, 4, 10, 0xEE)])]).await?;
    let storage = restart(harness, storage);
    let found = recover(&*storage).await?;
    same("the snapshot", &found.snapshot, &Some(zxid(7, 2)))?;
    same("the log", &found.log, &vec![entry(7, 3), sized(7, 4, 10, 0xEE)])
}

async fn a_reset_makes_the_snapshot_the_start_of_the_history(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::AcceptedEpoch(Epoch::new(3)), LogOp::Append(entries(3, 1..=7))]).await?;
    save(&*storage, zxid(3, 4), &body(40), 64).await?;
    save(&*storage, zxid(5, 10), &body(900), 400).await?;
    write(
        &*storage,
        vec![
            LogOp::AcceptedEpoch(Epoch::new(6)),
            LogOp::ResetTo(zxid(5, 10)),
            LogOp::Append(entries(5, 11..=12)),
            LogOp::CurrentEpoch(Epoch::new(6)),
        ],
    )
    .await?;
    absent(storage.read_log(zxid(3, 7), 1000).await)?;
    absent(storage.read_snapshot(zxid(3, 4), 0, 10).await)?;
    same("the log", &read_all(&*storage, zxid(5, 10)).await?, &entries(5, 11..=12))?;
    let storage = restart(harness, storage);
    let found = recover(&*storage).await?;
    same(
        "what was found",
        &digest(&found),
        &Expected { accepted: 6, current: 6, snapshot: Some(zxid(5, 10)), log: entries(5, 11..=12) },
    )?;
    same("the start of the log", &found.log_start, &zxid(5, 10))?;
    same("the snapshot", &read_snapshot(&*storage, zxid(5, 10), 64).await?, &body(900))?;
    write(&*storage, vec![LogOp::TruncateAfter(zxid(5, 10)), LogOp::Append(entries(6, 1..=1))]).await?;
    let storage = restart(harness, storage);
    same("the log behind the reset", &recover(&*storage).await?.log, &entries(6, 1..=1))
}

async fn a_reset_to_what_was_not_saved_is_refused(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(1, 1..=3))]).await?;
    save(&*storage, zxid(1, 2), &body(10), 64).await?;
    refused(&*storage, vec![LogOp::ResetTo(zxid(1, 3))]).await?;
    refused(&*storage, vec![LogOp::ResetTo(zxid(1, 2)), LogOp::ResetTo(zxid(1, 1))]).await?;
    same("the log", &read_all(&*storage, Zxid::ZERO).await?, &entries(1, 1..=3))?;
    let storage = restart(harness, storage);
    let found = recover(&*storage).await?;
    same("what was found", &(found.snapshot, found.log), &(Some(zxid(1, 2)), entries(1, 3..=3)))
}

async fn a_purge_keeps_what_recovery_needs(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    for at in 1..=9 {
        write(&*storage, vec![LogOp::Append(vec![entry(1, at)])]).await?;
        if at % 3 == 0 {
            save(&*storage, zxid(1, at), &body(at as usize * 10), 64).await?;
        }
    }
    write(&*storage, vec![LogOp::PurgeUpTo(zxid(1, 8))]).await?;
    same("the log behind the purge", &read_all(&*storage, zxid(1, 8)).await?, &entries(1, 9..=9))?;
    same(
        "the entries behind the snapshot kept",
        &read_all(&*storage, zxid(1, 6)).await?,
        &entries(1, 7..=9),
    )?;
    same("the snapshot kept", &read_snapshot(&*storage, zxid(1, 6), 64).await?, &body(60))?;
    let storage = restart(harness, storage);
    let found = recover(&*storage).await?;
    same("the newest snapshot", &found.snapshot, &Some(zxid(1, 9)))?;
    if found.log_start > zxid(1, 6) {
        return Err(format!("the log starts at {}, behind the snapshot of 1.6", found.log_start));
    }
    write(&*storage, vec![LogOp::TruncateAfter(zxid(1, 7)), LogOp::Append(entries(2, 1..=1))]).await?;
    let storage = restart(harness, storage);
    let found = recover(&*storage).await?;
    let log = [entries(1, 7..=7), entries(2, 1..=1)].concat();
    same("after truncating below the newest snapshot", &(found.snapshot, found.log), &(Some(zxid(1, 6)), log))
}

async fn a_purge_without_a_snapshot_does_nothing(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(1, 1..=5)), LogOp::PurgeUpTo(zxid(1, 4))]).await?;
    save(&*storage, zxid(1, 5), &body(5), 64).await?;
    write(&*storage, vec![LogOp::PurgeUpTo(zxid(1, 4))]).await?;
    same("the log", &read_all(&*storage, Zxid::ZERO).await?, &entries(1, 1..=5))?;
    let storage = restart(harness, storage);
    let found = recover(&*storage).await?;
    same("what was found", &(found.snapshot, found.log_start), &(Some(zxid(1, 5)), Zxid::ZERO))
}

async fn a_truncation_below_the_oldest_snapshot_of_a_purged_log_is_refused(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(4, 1..=3))]).await?;
    save(&*storage, zxid(5, 10), &body(9), 400).await?;
    write(&*storage, vec![LogOp::ResetTo(zxid(5, 10)), LogOp::Append(entries(5, 11..=12))]).await?;
    for at in [Zxid::ZERO, zxid(4, 3), zxid(5, 9)] {
        refused(&*storage, vec![LogOp::TruncateAfter(at)]).await?;
    }
    let storage = restart(harness, storage);
    same("the log", &recover(&*storage).await?.log, &entries(5, 11..=12))
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

async fn opened(harness: &dyn Harness) -> Result<Box<dyn Storage>, String> {
    let storage = harness.open();
    recover(&*storage).await?;
    Ok(storage)
}

/// Ends the server, cuts the power, starts it again.
fn restart(harness: &dyn Harness, storage: Box<dyn Storage>) -> Box<dyn Storage> {
    drop(storage);
    harness.power_cut();
    harness.open()
}

async fn recover(storage: &dyn Storage) -> Result<Recovered, String> {
    storage.recover().await.map_err(said)
}

async fn recover_tip(storage: &dyn Storage) -> Result<Zxid, String> {
    let log = read_all(storage, Zxid::ZERO).await?;
    Ok(log.last().map_or(Zxid::ZERO, |entry| entry.zxid))
}

async fn write(storage: &dyn Storage, ops: Vec<LogOp>) -> Verdict {
    storage.write(WriteBatch { ops }).await.map_err(said)
}

async fn refused(storage: &dyn Storage, ops: Vec<LogOp>) -> Verdict {
    let shown = format!("{ops:?}");
    match storage.write(WriteBatch { ops }).await {
        Err(StorageError::Refused(_)) => Ok(()),
        other => Err(format!("{shown} must be refused, but: {other:?}")),
    }
}

fn absent<T: std::fmt::Debug>(answer: Result<T, StorageError>) -> Verdict {
    match answer {
        Err(StorageError::Absent(_)) => Ok(()),
        other => Err(format!("must be absent, but: {other:?}")),
    }
}

async fn save(storage: &dyn Storage, at: Zxid, bytes: &[u8], chunk_len: usize) -> Verdict {
    let mut offset = 0;
    loop {
        let end = bytes.len().min(offset + chunk_len);
        let part = bytes.get(offset..end).unwrap_or_default();
        let last = end == bytes.len();
        storage.save_snapshot(piece(at, offset as u64, part, last)).await.map_err(said)?;
        if last {
            return Ok(());
        }
        offset = end;
    }
}

async fn read_snapshot(storage: &dyn Storage, at: Zxid, limit: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    loop {
        let chunk = storage.read_snapshot(at, bytes.len() as u64, limit).await.map_err(said)?;
        if chunk.zxid != at || chunk.offset != bytes.len() as u64 || chunk.bytes.len() > limit {
            return Err(format!("asked for {at} at byte {}, got {chunk:?}", bytes.len()));
        }
        if chunk.bytes.is_empty() && !chunk.last {
            return Err("an empty piece which is not the last".to_owned());
        }
        bytes.extend_from_slice(&chunk.bytes);
        if chunk.last {
            return Ok(bytes);
        }
    }
}

/// Reads in small steps, so that the joints are tested too.
async fn read_all(storage: &dyn Storage, after: Zxid) -> Result<Vec<LogEntry>, String> {
    let mut log: Vec<LogEntry> = Vec::new();
    loop {
        let from = log.last().map_or(after, |entry| entry.zxid);
        let more = storage.read_log(from, 40).await.map_err(said)?;
        if more.is_empty() {
            return Ok(log);
        }
        log.extend(more);
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Verdict {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}"))
}

fn digest(found: &Recovered) -> Expected {
    Expected {
        accepted: found.accepted_epoch.number(),
        current: found.current_epoch.number(),
        snapshot: found.snapshot,
        log: found.log.clone(),
    }
}

fn said(error: StorageError) -> String {
    error.to_string()
}

fn zxid(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch::new(epoch), counter)
}

fn zxid_or_zero(epoch: u32, counter: u32) -> Zxid {
    if counter == 0 { Zxid::ZERO } else { zxid(epoch, counter) }
}

fn entry(epoch: u32, counter: u32) -> LogEntry {
    sized(epoch, counter, counter as usize % 40, counter as u8)
}

fn entries(epoch: u32, counters: std::ops::RangeInclusive<u32>) -> Vec<LogEntry> {
    counters.map(|counter| entry(epoch, counter)).collect()
}

fn sized(epoch: u32, counter: u32, len: usize, fill: u8) -> LogEntry {
    LogEntry { zxid: zxid(epoch, counter), payload: Bytes::from(vec![fill; len]) }
}

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

fn piece(at: Zxid, offset: u64, bytes: &[u8], last: bool) -> SnapshotChunk {
    SnapshotChunk { zxid: at, offset, bytes: Bytes::copy_from_slice(bytes), last }
}
