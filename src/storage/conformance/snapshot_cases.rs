use bytes::Bytes;
use futures::FutureExt as _;

use super::steps::*;
use super::{Case, Harness};
use crate::types::{Epoch, LogOp, SnapshotChunk, Zxid};

cases![
    a_saved_snapshot_is_found_and_the_log_goes_on_behind_it,
    an_unfinished_snapshot_leaves_no_trace,
    a_chunk_out_of_place_is_refused,
    beginning_a_snapshot_drops_the_unfinished_one,
    a_snapshot_is_read_back_in_pieces,
    a_snapshot_of_a_foreign_history_is_gone_after_a_restart,
    a_truncation_removes_the_snapshots_beyond_it,
    a_truncation_drops_the_unfinished_snapshot_beyond_it,
    a_reset_makes_the_snapshot_the_start_of_the_history,
    a_reset_to_what_was_not_saved_is_refused,
    a_purge_keeps_what_recovery_needs,
    a_purge_without_a_snapshot_does_nothing,
    a_truncation_below_the_oldest_snapshot_of_a_purged_log_is_refused,
];

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
    out_of_place(storage.save_snapshot(piece(zxid(1, 5), 200, &body(100), true)).await)
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
        out_of_place(storage.save_snapshot(wrong).await)?;
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
    out_of_place(storage.save_snapshot(piece(zxid(1, 5), 100, &body(10), true)).await)?;
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

async fn a_truncation_drops_the_unfinished_snapshot_beyond_it(harness: &dyn Harness) -> Verdict {
    let storage = opened(harness).await?;
    write(&*storage, vec![LogOp::Append(entries(7, 1..=4))]).await?;
    storage.save_snapshot(piece(zxid(7, 4), 0, &body(100), false)).await.map_err(said)?;
    write(&*storage, vec![LogOp::TruncateAfter(zxid(7, 3))]).await?;
    out_of_place(storage.save_snapshot(piece(zxid(7, 4), 100, &body(10), true)).await)?;
    storage.save_snapshot(piece(zxid(7, 2), 0, &body(100), false)).await.map_err(said)?;
    write(&*storage, vec![LogOp::TruncateAfter(zxid(7, 2))]).await?;
    storage.save_snapshot(piece(zxid(7, 2), 100, &body(10), true)).await.map_err(said)?;
    let storage = restart(harness, storage);
    same("the snapshot", &recover(&*storage).await?.snapshot, &Some(zxid(7, 2)))
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
