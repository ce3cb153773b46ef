//! What the node answers, as replies to a client.

use bytes::BytesMut;

use crate::peer::{Answer, Reply};
use crate::protocol::record::{
    AclResponse, Children2Response, ChildrenResponse, CountResponse, Create2Response, DataResponse,
    EphemeralsResponse, ErrorResponse, MultiResponse, MultiResult, OpCode, PathResponse, Record, ReplyHeader,
    WhoAmIResponse, encode_frame, xid,
};
use crate::types::{ErrorCode, Found, Identity, Refusal, Written, Zxid};

/// ZooKeeper's `SYSTEMERROR`: the node's answer is none to what was asked.
const SYSTEM_ERROR: i32 = -1;

/// What the answer to a request becomes.
#[derive(Debug)]
pub(super) enum Expectation {
    /// The path of the node that was created.
    Path,
    /// The path and stat of the node that was created.
    PathAndStat,
    /// Nothing but the header.
    Nothing,
    /// A stat.
    Stat,
    /// Data and stat.
    Data,
    /// ACL and stat.
    Acl,
    /// Names.
    Children,
    /// Names and stat.
    ChildrenAndStat,
    /// Paths.
    Ephemerals,
    /// A number.
    Count,
    /// The path that was sent.
    Echo(Box<str>),
    /// The header of a ping.
    Ping,
    /// The identities of the connection.
    Identities,
    /// An error of 0, as a record.
    NoError,
    /// The header of an auth packet; a refusal closes the connection.
    Identity,
    /// Nothing at all: another one follows that answers the auth packet. A refusal closes the connection.
    FirstIdentity,
    /// The results of the operations of these numbers.
    Multi(Box<[OpCode]>),
    /// Results of reads.
    MultiRead,
    /// This error, whatever the node says.
    Refusal(ErrorCode),
    /// A multi of `of` operations whose one at `failed` is refused, whatever the node says.
    FailedMulti { failed: usize, code: ErrorCode, of: usize },
}

impl Expectation {
    /// Whether the client is told nothing when all is well.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::FirstIdentity)
    }

    pub(super) fn is_identity(&self) -> bool {
        matches!(self, Self::Identity | Self::FirstIdentity)
    }

    /// Whether it says that the client could not prove an identity.
    pub(super) fn is_refusal_of_identity(&self) -> bool {
        matches!(self, Self::Refusal(ErrorCode::AuthFailed))
    }
}

/// Appends the reply to a request as a frame.
pub(super) fn encode_answer(output: &mut BytesMut, number: i32, reply: Reply, expectation: Expectation) {
    let Reply { zxid, result, .. } = reply;
    let (number, zxid) = match &expectation {
        Expectation::Ping => (xid::PING, zxid),
        Expectation::Identity | Expectation::FirstIdentity => (number, Zxid::ZERO),
        Expectation::Refusal(ErrorCode::AuthFailed) => (number, Zxid::ZERO),
        _ => (number, zxid),
    };
    encode_frame(output, |output| {
        let start = output.len();
        ReplyHeader { xid: number, zxid, err: 0 }.encode(output);
        if let Err(err) = encode_body(output, result, expectation) {
            output.truncate(start);
            ReplyHeader { xid: number, zxid, err }.encode(output);
        }
    });
}

/// Appends the response; or says which error stands in the header instead.
fn encode_body(
    output: &mut BytesMut,
    result: Result<Answer, Refusal>,
    expectation: Expectation,
) -> Result<(), i32> {
    let answer = match (result, &expectation) {
        (_, Expectation::Refusal(code)) => return Err(code.number()),
        (Ok(_), Expectation::FailedMulti { failed, code, of }) => {
            failed_multi(*failed, code.number(), *of).encode(output);
            return Ok(());
        }
        (Err(Refusal { code, operation: Some(failed) }), Expectation::Multi(ops)) => {
            let failed = usize::try_from(failed).unwrap_or(usize::MAX);
            failed_multi(failed, code.number(), ops.len()).encode(output);
            return Ok(());
        }
        (Err(_), Expectation::Identity | Expectation::FirstIdentity) => {
            return Err(ErrorCode::AuthFailed.number());
        }
        (Err(refusal), _) => return Err(refusal.code.number()),
        (Ok(answer), _) => answer,
    };
    match (expectation, answer) {
        (Expectation::Path, Answer::Written(Written::Created { path, .. })) => {
            PathResponse { path: path.as_str().into() }.encode(output);
        }
        (Expectation::PathAndStat, Answer::Written(Written::Created { path, stat })) => {
            Create2Response { path: path.as_str().into(), stat }.encode(output);
        }
        (Expectation::Stat, Answer::Found(Found::Stat(stat)))
        | (Expectation::Stat, Answer::Written(Written::DataSet(stat) | Written::AclSet(stat))) => {
            stat.encode(output);
        }
        (Expectation::Data, Answer::Found(Found::Data { data, stat })) => {
            DataResponse { data, stat }.encode(output);
        }
        (Expectation::Acl, Answer::Found(Found::Acl { acl, stat })) => {
            AclResponse { acl, stat }.encode(output);
        }
        (Expectation::Children, Answer::Found(Found::Children { names, .. })) => {
            ChildrenResponse { children: names }.encode(output);
        }
        (Expectation::ChildrenAndStat, Answer::Found(Found::Children { names, stat })) => {
            Children2Response { children: names, stat }.encode(output);
        }
        (Expectation::Ephemerals, Answer::Found(Found::Ephemerals(paths))) => {
            let ephemerals = paths.iter().map(|path| path.as_str().into()).collect();
            EphemeralsResponse { ephemerals }.encode(output);
        }
        (Expectation::Count, Answer::Found(Found::Count(count))) => {
            CountResponse { total: i32::try_from(count).unwrap_or(i32::MAX) }.encode(output);
        }
        (Expectation::Echo(path), Answer::Done) => PathResponse { path }.encode(output),
        (Expectation::Identities, Answer::Identities(identities)) => {
            let identities = identities.into_iter().map(user_of).collect();
            WhoAmIResponse { identities }.encode(output);
        }
        (Expectation::NoError, Answer::Done) => ErrorResponse { err: 0 }.encode(output),
        (Expectation::Multi(ops), Answer::Written(Written::Multi(results))) if ops.len() == results.len() => {
            let results = ops.iter().zip(results).map(|(op, written)| multi_result(*op, written));
            MultiResponse { results: results.collect::<Option<_>>().ok_or(SYSTEM_ERROR)? }.encode(output);
        }
        (Expectation::MultiRead, Answer::Found(Found::Many(results))) => {
            MultiResponse { results: results.into_iter().map(read_result).collect() }.encode(output);
        }
        (Expectation::Nothing, Answer::Done | Answer::Written(Written::Deleted))
        | (Expectation::Ping | Expectation::Identity | Expectation::FirstIdentity, Answer::Done) => {}
        _ => return Err(SYSTEM_ERROR),
    }
    Ok(())
}

/// The layout of a multi that failed: those before the failing one are marked 0, those after it were not tried.
fn failed_multi(failed: usize, code: i32, of: usize) -> MultiResponse {
    let not_tried = ErrorCode::RuntimeInconsistency.number();
    let mark = |index: usize| match index.cmp(&failed) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => code,
        std::cmp::Ordering::Greater => not_tried,
    };
    MultiResponse { results: (0..of).map(|index| MultiResult::Failed(mark(index))).collect() }
}

fn multi_result(op: OpCode, written: Written) -> Option<MultiResult> {
    Some(match written {
        Written::Created { path, .. } if op == OpCode::CREATE => {
            MultiResult::Created { path: path.as_str().into() }
        }
        Written::Created { path, stat } => MultiResult::Created2 { path: path.as_str().into(), stat },
        Written::Deleted => MultiResult::Deleted,
        Written::DataSet(stat) => MultiResult::DataSet(stat),
        Written::Checked => MultiResult::Checked,
        _ => return None,
    })
}

fn read_result(result: Result<Found, ErrorCode>) -> MultiResult {
    match result {
        Ok(Found::Data { data, stat }) => MultiResult::Data { data, stat },
        Ok(Found::Children { names, .. }) => MultiResult::Children(names),
        Ok(_) => MultiResult::Failed(SYSTEM_ERROR),
        Err(code) => MultiResult::Failed(code.number()),
    }
}

/// Of a digest the user alone, as ZooKeeper shows it.
fn user_of(identity: Identity) -> Identity {
    match (&*identity.scheme, identity.id.split_once(':')) {
        ("digest", Some((user, _))) => Identity::new("digest", user),
        _ => identity,
    }
}
