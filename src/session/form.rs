//! The form in which sessions and answers stand in a snapshot and are digested: numbers little-endian and of
//! fixed width, texts behind their length. It is written without recursion and without limits, and read with both
//! in mind: what arrives may be anything.

use twox_hash::XxHash3_64;

use crate::codec;
use crate::types::{Password, Refusal, RequestId, SessionId, Stat, WallTime, Written, ZnodePath, Zxid};

use super::answers::{Answers, Recorded};
use super::table::Session;

/// How deep multis may nest in an answer that is kept. The tree's own do not nest at all.
const MAX_NESTING: usize = 16;

const REFUSED: u8 = 0;
const CREATED: u8 = 1;
const DELETED: u8 = 2;
const TREE_DELETED: u8 = 3;
const DATA_SET: u8 = 4;
const ACL_SET: u8 = 5;
const CHECKED: u8 = 6;
const MULTI: u8 = 7;

pub(super) fn digest(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// The digest of a session's answers, told apart from equal ones of another session.
pub(super) fn answers_digest(id: SessionId, answers: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(id.as_u64(), &answers.to_le_bytes())
}

/// The part of a session's digest that lasts as long as it does.
pub(super) fn session_digest(id: SessionId, timeout_millis: u32, password: &Password) -> u64 {
    let mut bytes = [0; 28];
    let (head, rest) = bytes.split_at_mut(8);
    let (middle, tail) = rest.split_at_mut(4);
    head.copy_from_slice(&id.as_u64().to_le_bytes());
    middle.copy_from_slice(&timeout_millis.to_le_bytes());
    tail.copy_from_slice(password.as_bytes());
    digest(&bytes)
}

pub(super) fn put_session(out: &mut Vec<u8>, id: SessionId, session: &Session) {
    put_u64(out, id.as_u64());
    put_u32(out, session.timeout_millis());
    out.extend_from_slice(session.password().as_bytes());
    let Some(answers) = session.answers() else {
        out.push(0);
        return;
    };
    out.push(1);
    put_u64(out, answers.last().number());
    put_u64(out, answers.count() as u64);
    for (number, recorded) in answers.iter() {
        let whole = put_answer(out, number, recorded);
        debug_assert!(whole, "what nests too deep is not kept");
    }
}

pub(super) fn take_session(bytes: &mut &[u8], scratch: &mut Vec<u8>) -> Option<(SessionId, Session)> {
    let id = SessionId::from_u64(take_u64(bytes)?);
    let timeout_millis = take_u32(bytes)?;
    let password = Password::new(*take_array(bytes)?);
    let mut session = Session::new(timeout_millis, password);
    match take_u8(bytes)? {
        0 => {}
        1 => {
            let mut answers = Answers::with_last(RequestId::new(take_u64(bytes)?));
            for _ in 0..take_u64(bytes)? {
                let (number, recorded) = take_answer(bytes)?;
                if !answers.restore(number, recorded, scratch) {
                    return None;
                }
            }
            session.restore_answers(answers);
        }
        _ => return None,
    }
    Some((id, session))
}

/// Returns whether the whole answer was put: not if it nests too deep.
#[must_use]
pub(super) fn put_answer(out: &mut Vec<u8>, number: RequestId, recorded: &Recorded) -> bool {
    put_u64(out, number.number());
    put_u64(out, recorded.zxid.as_u64());
    match &recorded.answer {
        Ok(written) => put_written(out, written),
        Err(refusal) => {
            out.push(REFUSED);
            put_refusal(out, refusal);
            true
        }
    }
}

fn take_answer(bytes: &mut &[u8]) -> Option<(RequestId, Recorded)> {
    let number = RequestId::new(take_u64(bytes)?);
    let zxid = Zxid::from_u64(take_u64(bytes)?);
    let answer = match bytes.split_first()? {
        (&REFUSED, rest) => {
            *bytes = rest;
            Err(take_refusal(bytes)?)
        }
        _ => Ok(take_written(bytes)?),
    };
    Some((number, Recorded { zxid, answer }))
}

fn put_written(out: &mut Vec<u8>, written: &Written) -> bool {
    let mut open = vec![std::slice::from_ref(written).iter()];
    while let Some(level) = open.last_mut() {
        let Some(written) = level.next() else {
            open.pop();
            continue;
        };
        match written {
            Written::Created { path, stat } => {
                out.push(CREATED);
                put_stat(out, stat);
                put_u64(out, path.as_str().len() as u64);
                out.extend_from_slice(path.as_str().as_bytes());
            }
            Written::Deleted => out.push(DELETED),
            Written::TreeDeleted { count } => {
                out.push(TREE_DELETED);
                put_u32(out, *count);
            }
            Written::DataSet(stat) => {
                out.push(DATA_SET);
                put_stat(out, stat);
            }
            Written::AclSet(stat) => {
                out.push(ACL_SET);
                put_stat(out, stat);
            }
            Written::Checked => out.push(CHECKED),
            Written::Multi(parts) => {
                if open.len() > MAX_NESTING {
                    return false;
                }
                out.push(MULTI);
                put_u64(out, parts.len() as u64);
                open.push(parts.iter());
            }
        }
    }
    true
}

fn take_written(bytes: &mut &[u8]) -> Option<Written> {
    // The multis that are open: what each has so far and how many parts it still lacks.
    let mut open: Vec<(Vec<Written>, u64)> = Vec::new();
    loop {
        let mut written = match take_u8(bytes)? {
            CREATED => {
                let stat = take_stat(bytes)?;
                let length = usize::try_from(take_u64(bytes)?).ok()?;
                let (text, rest) = bytes.split_at_checked(length)?;
                *bytes = rest;
                Written::Created { path: ZnodePath::parse(std::str::from_utf8(text).ok()?).ok()?, stat }
            }
            DELETED => Written::Deleted,
            TREE_DELETED => Written::TreeDeleted { count: take_u32(bytes)? },
            DATA_SET => Written::DataSet(take_stat(bytes)?),
            ACL_SET => Written::AclSet(take_stat(bytes)?),
            CHECKED => Written::Checked,
            MULTI => match take_u64(bytes)? {
                0 => Written::Multi(Vec::new()),
                parts if open.len() < MAX_NESTING => {
                    open.push((Vec::new(), parts));
                    continue;
                }
                _ => return None,
            },
            _ => return None,
        };
        loop {
            let Some((mut parts, lacking)) = open.pop() else { return Some(written) };
            parts.push(written);
            if lacking > 1 {
                open.push((parts, lacking - 1));
                break;
            }
            written = Written::Multi(parts);
        }
    }
}

fn put_stat(out: &mut Vec<u8>, stat: &Stat) {
    for zxid in [stat.czxid, stat.mzxid, stat.pzxid] {
        put_u64(out, zxid.as_u64());
    }
    for time in [stat.ctime, stat.mtime] {
        out.extend_from_slice(&time.as_millis().to_le_bytes());
    }
    put_u64(out, stat.ephemeral_owner.as_u64());
    for number in [stat.version, stat.cversion, stat.aversion, stat.data_length, stat.num_children] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn take_stat(bytes: &mut &[u8]) -> Option<Stat> {
    Some(Stat {
        czxid: Zxid::from_u64(take_u64(bytes)?),
        mzxid: Zxid::from_u64(take_u64(bytes)?),
        pzxid: Zxid::from_u64(take_u64(bytes)?),
        ctime: WallTime::from_millis(i64::from_le_bytes(*take_array(bytes)?)),
        mtime: WallTime::from_millis(i64::from_le_bytes(*take_array(bytes)?)),
        ephemeral_owner: SessionId::from_u64(take_u64(bytes)?),
        version: take_i32(bytes)?,
        cversion: take_i32(bytes)?,
        aversion: take_i32(bytes)?,
        data_length: take_i32(bytes)?,
        num_children: take_i32(bytes)?,
    })
}

fn put_refusal(out: &mut Vec<u8>, refusal: &Refusal) {
    #[expect(clippy::expect_used, reason = "two numbers are never longer than a record may be")]
    let bytes = codec::encode(refusal).expect("a refusal is a few bytes long");
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(&bytes);
}

fn take_refusal(bytes: &mut &[u8]) -> Option<Refusal> {
    let length = usize::try_from(take_u64(bytes)?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    codec::decode(record).ok()
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    take_array(bytes).map(|array| u64::from_le_bytes(*array))
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    take_array(bytes).map(|array| u32::from_le_bytes(*array))
}

fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    take_array(bytes).map(|array| i32::from_le_bytes(*array))
}

fn take_u8(bytes: &mut &[u8]) -> Option<u8> {
    take_array::<1>(bytes).map(|[byte]| *byte)
}

fn take_array<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (array, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(array)
}
