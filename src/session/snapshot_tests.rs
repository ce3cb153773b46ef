use proptest::prelude::*;

use crate::session::table::tests::stat;
use crate::session::{RestoreError, Sessions, SessionsRestore};
use crate::types::{
    ErrorCode, NumberedRequest, Password, Refusal, RequestId, SessionId, Written, ZnodePath, Zxid,
};

type Contents = Vec<(SessionId, u32, Password, Option<(RequestId, Vec<(RequestId, String)>)>)>;

/// All that can be seen of a table.
fn contents(sessions: &Sessions) -> Contents {
    let answers = |answers: &crate::session::answers::Answers| {
        (answers.last(), answers.iter().map(|(number, recorded)| (number, format!("{recorded:?}"))).collect())
    };
    sessions
        .iter()
        .map(|(id, session)| {
            (id, session.timeout_millis(), session.password(), session.answers().map(answers))
        })
        .collect()
}

fn save(sessions: &mut Sessions, max: usize) -> Vec<u8> {
    sessions.begin_snapshot();
    let mut saved = Vec::new();
    while let Some(chunk) = sessions.next_snapshot_chunk(max) {
        assert!((1..=max).contains(&chunk.len()), "a chunk of {} bytes", chunk.len());
        saved.extend_from_slice(&chunk);
    }
    saved
}

fn load(saved: &[u8], cut: usize) -> Result<Sessions, RestoreError> {
    let mut restore = SessionsRestore::new();
    for piece in saved.chunks(cut) {
        restore.feed(piece)?;
    }
    restore.finish()
}

fn sample() -> Sessions {
    let mut sessions = Sessions::new();
    for id in 1..=5 {
        sessions.create(SessionId::from_u64(id), id as u32 * 100, Password::new([id as u8; 16]));
    }
    let every_answer = [
        Ok(Written::Created { path: ZnodePath::parse("/ä/b").unwrap(), stat: stat(3) }),
        Ok(Written::Deleted),
        Ok(Written::TreeDeleted { count: 9 }),
        Ok(Written::DataSet(stat(4))),
        Ok(Written::AclSet(stat(5))),
        Ok(Written::Checked),
        Ok(Written::Multi(vec![])),
        Ok(Written::Multi(vec![
            Written::Multi(vec![Written::Checked, Written::Multi(vec![])]),
            Written::Deleted,
        ])),
        Err(Refusal::from(ErrorCode::NoAuth)),
        Err(Refusal { code: ErrorCode::BadVersion, operation: Some(7) }),
    ];
    for (number, answer) in every_answer.into_iter().enumerate() {
        let number = number as u64 + 1;
        let request = NumberedRequest { id: RequestId::new(number), answered_below: RequestId::new(1) };
        sessions.record(SessionId::from_u64(2), request, Zxid::from_u64(number << 40), answer);
    }
    sessions
}

#[test]
fn a_table_comes_back_from_its_snapshot_however_it_is_cut() {
    let mut sessions = sample();
    for max in [1, 7, 100, 1 << 20] {
        let saved = save(&mut sessions, max);
        let restored = load(&saved, max).unwrap();
        assert_eq!(contents(&restored), contents(&sessions));
        assert_eq!(restored.digest(), sessions.digest());
    }
    let mut empty = Sessions::new();
    assert!(load(&save(&mut empty, 4), 3).unwrap().is_empty());
}

#[test]
fn a_snapshot_that_ends_early_or_late_is_refused() {
    let saved = save(&mut sample(), 64);
    for end in 0..saved.len() {
        assert_eq!(load(&saved[..end], 50).unwrap_err(), RestoreError::Short(end as u64));
    }
    let longer = [&saved[..], &[0]].concat();
    assert_eq!(load(&longer, 50).unwrap_err(), RestoreError::Trailing(saved.len() as u64));
}

#[test]
fn sessions_out_of_order_are_refused() {
    let mut sessions = Sessions::new();
    for id in [1, 2] {
        sessions.create(SessionId::from_u64(id), 100, Password::new([0; 16]));
    }
    let saved = save(&mut sessions, 64);
    let (header, rest) = saved.split_at(9);
    let (records, digest) = rest.split_at(rest.len() - 8);
    let (one, two) = records.split_at(records.len() / 2);
    assert_eq!(load(&[header, one, two, digest].concat(), 64).unwrap().len(), 2);
    let swapped = [header, two, one, digest].concat();
    assert_eq!(load(&swapped, 64).unwrap_err(), RestoreError::Damaged(9 + two.len() as u64));
}

#[test]
fn a_snapshot_of_another_version_is_refused() {
    assert_eq!(load(&[9], 1).unwrap_err(), RestoreError::Version(9));
}

#[test]
fn a_refusal_is_repeated_whatever_follows() {
    let mut restore = SessionsRestore::new();
    assert_eq!(restore.feed(&[9]), Err(RestoreError::Version(9)));
    assert_eq!(restore.feed(&[1]), Err(RestoreError::Version(9)));
    assert_eq!(restore.finish().unwrap_err(), RestoreError::Version(9));
}

#[test]
fn an_abandoned_snapshot_gives_no_more_and_keeps_nothing() {
    let mut sessions = sample();
    sessions.begin_snapshot();
    assert!(sessions.next_snapshot_chunk(5).is_some());
    sessions.abandon_snapshot();
    assert_eq!(sessions.next_snapshot_chunk(5), None);
}

#[test]
fn a_restored_table_goes_on_like_the_original() {
    let mut original = sample();
    let mut restored = load(&save(&mut original, 64), 64).unwrap();
    let request = NumberedRequest { id: RequestId::new(11), answered_below: RequestId::new(4) };
    for table in [&mut original, &mut restored] {
        table.record(SessionId::from_u64(2), request, Zxid::from_u64(77), Ok(Written::Checked));
        table.close(SessionId::from_u64(3));
    }
    assert_eq!(contents(&original), contents(&restored));
    assert_eq!(original.digest(), restored.digest());
}

/// One thing that happens to a table while a snapshot may be under way.
#[derive(Clone, Debug)]
enum Step {
    Create(u64, u8),
    Close(u64),
    Record(u64, u64, u64),
    Begin,
    Chunk(usize),
    Abandon,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1u64..12, any::<u8>()).prop_map(|(id, byte)| Step::Create(id, byte)),
        2 => (1u64..12).prop_map(Step::Close),
        4 => (1u64..12, 1u64..9, 0u64..9).prop_map(|(id, number, below)| Step::Record(id, number, below)),
        1 => Just(Step::Begin),
        5 => (1usize..90).prop_map(Step::Chunk),
        1 => Just(Step::Abandon),
    ]
}

proptest! {
    #[test]
    fn a_snapshot_shows_the_table_as_it_was_when_it_began(steps in proptest::collection::vec(step(), 0..150)) {
        let mut sessions = Sessions::new();
        let mut begun: Option<(Contents, u64, Vec<u8>)> = None;
        // In the end whatever is under way is finished.
        let rest = std::iter::repeat_n(Step::Chunk(1 << 20), 2);
        for (at, step) in steps.into_iter().chain(rest).enumerate() {
            match step {
                Step::Create(id, byte) => {
                    sessions.create(SessionId::from_u64(id), byte.into(), Password::new([byte; 16]));
                }
                Step::Close(id) => {
                    sessions.close(SessionId::from_u64(id));
                }
                Step::Record(id, number, below) => {
                    let request =
                        NumberedRequest { id: RequestId::new(number), answered_below: RequestId::new(below) };
                    let answer = Ok(Written::TreeDeleted { count: at as u32 });
                    sessions.record(SessionId::from_u64(id), request, Zxid::from_u64(at as u64), answer);
                }
                Step::Begin => {
                    sessions.begin_snapshot();
                    begun = Some((contents(&sessions), sessions.digest(), Vec::new()));
                }
                Step::Chunk(max) => match (sessions.next_snapshot_chunk(max), &mut begun) {
                    (Some(chunk), Some((.., saved))) => {
                        prop_assert!((1..=max).contains(&chunk.len()));
                        saved.extend_from_slice(&chunk);
                    }
                    (None, Some((expected, digest, saved))) => {
                        let restored = load(saved, 33).unwrap();
                        prop_assert_eq!(&contents(&restored), &*expected);
                        prop_assert_eq!(restored.digest(), *digest);
                        begun = None;
                    }
                    (chunk, None) => prop_assert_eq!(chunk, None),
                },
                Step::Abandon => {
                    sessions.abandon_snapshot();
                    begun = None;
                }
            }
        }
        prop_assert!(begun.is_none());
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        cut in 1usize..40,
    ) {
        prop_assert!(load(&bytes, cut).is_err());
    }

    #[test]
    fn a_damaged_snapshot_is_refused(at in any::<prop::sample::Index>(), change in 1u8..=255, cut in 1usize..400) {
        let mut saved = save(&mut sample(), 1 << 20);
        let at = at.index(saved.len());
        saved[at] ^= change;
        prop_assert!(load(&saved, cut).is_err());
    }

    #[test]
    fn arbitrary_sessions_are_refused_or_restored_without_a_panic(
        body in proptest::collection::vec(prop_oneof![0u8..9, any::<u8>()], 0..400),
    ) {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&1u64.to_le_bytes());
        // A well-formed beginning, so that what follows is read as answers.
        let head = [&7u64.to_le_bytes()[..], &[0; 20], &[1], &u64::MAX.to_le_bytes(), &2u64.to_le_bytes()].concat();
        bytes.extend_from_slice(&((head.len() + body.len()) as u64).to_le_bytes());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(&[0; 8]);
        prop_assert!(load(&bytes, 64).is_err());
    }
}

#[test]
fn multis_nested_without_end_are_refused_and_overflow_no_stack() {
    let mut body =
        [&7u64.to_le_bytes()[..], &[0; 20], &[1], &9u64.to_le_bytes(), &1u64.to_le_bytes()].concat();
    body.extend_from_slice(&[&1u64.to_le_bytes()[..], &1u64.to_le_bytes()].concat());
    for _ in 0..200_000 {
        body.push(7);
        body.extend_from_slice(&1u64.to_le_bytes());
    }
    body.push(6);
    let mut bytes = vec![1];
    bytes.extend_from_slice(&1u64.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&body);
    assert_eq!(load(&bytes, 4096).unwrap_err(), RestoreError::Damaged(9));
}
