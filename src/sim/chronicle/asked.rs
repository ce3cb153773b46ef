//! Whether the leader made of a write what was asked for, and whether there was a reason to refuse it.

use crate::types::{Acl, AclEntry, ErrorCode, Identity, Permissions, Refusal, SessionId, Txn, Write, Zxid};

use super::permission::above;
use super::tree::Broken;
use super::{Chronicle, just_before};

impl Chronicle {
    /// What was committed at `zxid` for a write of `session`, whose client has proved `identities` by now, is what the write
    /// asks for; or, if it was refused, the state before gave that reason. The last `later` identities may have been
    /// proved too late for it.
    ///
    /// (ZooKeeper, programmer's guide; `PrepRequestProcessor` turns requests into transactions.)
    pub(in super::super) fn judge_asked(
        &self,
        session: SessionId,
        identities: &[Identity],
        later: usize,
        write: &Write,
        zxid: Zxid,
    ) -> Result<(), Broken> {
        // What is answered once more was judged when it was executed.
        let Some(entry) = self.at(zxid).filter(|entry| entry.session == session && !entry.repeated) else {
            return Ok(());
        };
        match &entry.txn {
            Txn::Refused(refusal) => {
                let certain = identities.get(..identities.len().saturating_sub(later)).unwrap_or_default();
                self.judge_refusal(certain, write, refusal, just_before(zxid))
            }
            txn if is_asked_for(write, txn, identities) => Ok(()),
            txn => Err(("DoneAsAsked", format!("{write:?} of {identities:?} became {txn:?} at {zxid}"))),
        }
    }

    /// A reason that is of the tree was there. Of a multi only its first operation is judged: the others see what
    /// those before them have done.
    fn judge_refusal(
        &self,
        identities: &[Identity],
        write: &Write,
        refusal: &Refusal,
        before: Zxid,
    ) -> Result<(), Broken> {
        let write = match (write, refusal.operation) {
            (Write::Multi(writes), Some(0)) => writes.first(),
            (Write::Multi(_), _) => None,
            (write, _) => Some(write),
        };
        match write {
            Some(write) if !self.is_due(identities, write, refusal.code, before) => {
                let what =
                    format!("{write:?} of {identities:?} is refused behind {before}: {}", refusal.code);
                Err(("RefusedForReason", what))
            }
            _ => Ok(()),
        }
    }

    fn is_due(&self, identities: &[Identity], write: &Write, code: ErrorCode, before: Zxid) -> bool {
        let at = |path: &str| self.annals.at(path, before);
        let (path, parent) = (path_of(write), above(path_of(write)));
        let node = at(path);
        let lacks = |path, wanted| at(path).is_some_and(|node| !node.acl.permits(wanted, identities));
        match code {
            ErrorCode::NoNode => match write {
                Write::Create { .. } => at(parent).is_none(),
                _ => node.is_none(),
            },
            ErrorCode::NodeExists => match write {
                // The number that comes next may be taken.
                Write::Create { mode, .. } => mode.sequential || node.is_some(),
                _ => false,
            },
            ErrorCode::NoChildrenForEphemerals => {
                matches!(write, Write::Create { .. })
                    && at(parent).is_some_and(|node| node.stat.ephemeral_owner != SessionId::NONE)
            }
            ErrorCode::BadVersion => match write {
                Write::Delete { expected, .. }
                | Write::SetData { expected, .. }
                | Write::Check { expected, .. } => {
                    node.is_some_and(|node| !expected.admits(node.stat.version))
                }
                Write::SetAcl { expected, .. } => {
                    node.is_some_and(|node| !expected.admits(node.stat.aversion))
                }
                _ => false,
            },
            ErrorCode::NotEmpty => {
                matches!(write, Write::Delete { .. }) && node.is_some_and(|node| node.stat.num_children > 0)
            }
            ErrorCode::NoAuth => match write {
                Write::Create { .. } => lacks(parent, Permissions::CREATE),
                Write::Delete { .. } => lacks(parent, Permissions::DELETE),
                Write::SetData { .. } => lacks(path, Permissions::WRITE),
                Write::SetAcl { .. } => lacks(path, Permissions::ADMIN),
                Write::Check { .. } => lacks(path, Permissions::READ),
                // That of any node below may forbid it.
                Write::DeleteTree { .. } | Write::Multi(_) => true,
            },
            // Of limits, quotas and what a request must look like.
            _ => true,
        }
    }
}

/// The path that a write names; a multi names none.
fn path_of(write: &Write) -> &str {
    match write {
        Write::Create { path, .. }
        | Write::Delete { path, .. }
        | Write::DeleteTree { path, .. }
        | Write::SetData { path, .. }
        | Write::SetAcl { path, .. }
        | Write::Check { path, .. } => path.as_str(),
        Write::Multi(_) => "",
    }
}

/// Whether this is what the write asks for, and nothing else.
fn is_asked_for(write: &Write, txn: &Txn, identities: &[Identity]) -> bool {
    match (write, txn) {
        (
            Write::Create { path, data, acl, mode },
            Txn::Create { path: made, data: with, acl: under, lifetime },
        ) => {
            let named = match mode.sequential {
                true => made.as_str().starts_with(path.as_str()),
                false => made.as_str() == path.as_str(),
            };
            named && data == with && mode.lifetime == *lifetime && is_final(acl, under, identities)
        }
        (Write::Delete { path, .. }, Txn::Delete { path: gone })
        | (Write::DeleteTree { path, .. }, Txn::DeleteTree { path: gone }) => path.as_str() == gone.as_str(),
        (Write::SetData { path, data, .. }, Txn::SetData { path: changed, data: to, .. }) => {
            path.as_str() == changed.as_str() && data == to
        }
        (Write::SetAcl { path, acl, .. }, Txn::SetAcl { path: changed, acl: to, .. }) => {
            path.as_str() == changed.as_str() && is_final(acl, to, identities)
        }
        (Write::Check { .. }, Txn::Check) => true,
        (Write::Multi(writes), Txn::Multi(txns)) => {
            let mut pairs = writes.iter().zip(txns);
            writes.len() == txns.len() && pairs.all(|(write, txn)| is_asked_for(write, txn, identities))
        }
        _ => false,
    }
}

/// Whether `made` is `asked` with nothing twice, and with identities that were proved where `asked` says `auth`.
fn is_final(asked: &Acl, made: &Acl, identities: &[Identity]) -> bool {
    let is_auth = |entry: &AclEntry| &*entry.identity.scheme == "auth";
    let stands_for = |asked: &AclEntry, made: &AclEntry| {
        asked.permissions == made.permissions
            && if is_auth(asked) {
                identities.contains(&made.identity)
            } else {
                asked.identity == made.identity
            }
    };
    let (asked, made) = (asked.entries(), made.entries());
    made.iter().all(|made| asked.iter().any(|asked| stands_for(asked, made)))
        && asked.iter().all(|asked| made.iter().any(|made| stands_for(asked, made)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::types::{CreateMode, Expected, Lifetime};

    use super::super::tests::{history, session, zxid};
    use super::*;

    fn made(path: &str, acl: Acl, lifetime: Lifetime) -> Txn {
        Txn::Create { path: path.parse().unwrap(), data: Some(Bytes::from_static(b"x")), acl, lifetime }
    }

    fn creates(path: &str, acl: Acl, mode: CreateMode) -> Write {
        Write::Create { path: path.into(), data: Some(Bytes::from_static(b"x")), acl, mode }
    }

    fn refused(code: ErrorCode) -> Txn {
        Txn::Refused(code.into())
    }

    fn sam() -> Identity {
        Identity { scheme: "digest".into(), id: "sam:hash".into() }
    }

    #[track_caller]
    fn judged(txns: Vec<Txn>, write: &Write) -> Option<&'static str> {
        let last = u32::try_from(txns.len()).unwrap() + 1;
        let found = history(txns).judge_asked(session(1), &[sam()], 0, write, zxid(last));
        found.err().map(|(invariant, _)| invariant)
    }

    #[test]
    fn what_is_done_otherwise_than_it_was_asked_for_is_found() {
        let wrong = Some("DoneAsAsked");
        let open = |path| made(path, Acl::open(), Lifetime::Persistent);
        let persistent = creates("/a", Acl::open(), CreateMode::PERSISTENT);
        assert_eq!(judged(vec![open("/a")], &persistent), None);
        assert_eq!(judged(vec![open("/b")], &persistent), wrong);
        assert_eq!(judged(vec![made("/a", Acl::read_only(), Lifetime::Persistent)], &persistent), wrong);
        let ephemeral = CreateMode { lifetime: Lifetime::Ephemeral, ..CreateMode::PERSISTENT };
        assert_eq!(judged(vec![open("/a")], &creates("/a", Acl::open(), ephemeral)), wrong);
        let numbered = CreateMode { sequential: true, ..CreateMode::PERSISTENT };
        assert_eq!(judged(vec![open("/a0000000000")], &creates("/a", Acl::open(), numbered)), None);
        let sets = |data| Write::SetData { path: "/a".into(), data, expected: Expected::Any };
        let set = || vec![open("/a"), Txn::SetData { path: "/a".parse().unwrap(), data: None, version: 1 }];
        assert_eq!(judged(set(), &sets(None)), None);
        assert_eq!(judged(set(), &sets(Some(Bytes::new()))), wrong);
        assert_eq!(judged(set(), &persistent), wrong);
        assert_eq!(judged(vec![Txn::Multi(vec![open("/a")])], &Write::Multi(vec![persistent.clone()])), None);
        assert_eq!(judged(vec![Txn::Multi(vec![open("/a")])], &Write::Multi(Vec::new())), wrong);
    }

    #[test]
    fn an_acl_for_whoever_asks_names_who_that_is() {
        let final_for = |identity: Identity| {
            let entry = AclEntry { permissions: Permissions::ALL, identity };
            vec![made("/a", Acl::new([entry]), Lifetime::Persistent)]
        };
        let write = creates("/a", Acl::creator_only(), CreateMode::PERSISTENT);
        assert_eq!(judged(final_for(sam()), &write), None);
        let other = Identity { scheme: "digest".into(), id: "eve:hash".into() };
        assert_eq!(judged(final_for(other), &write), Some("DoneAsAsked"));
    }

    #[test]
    fn a_refusal_without_its_reason_is_found() {
        let wrong = Some("RefusedForReason");
        let open = |path| made(path, Acl::open(), Lifetime::Persistent);
        let create = |path| creates(path, Acl::open(), CreateMode::PERSISTENT);
        let delete = |path: &str, expected| Write::Delete { path: path.into(), expected };
        let any = Expected::Any;
        for (before, write, code, found) in [
            (vec![], create("/a/b"), ErrorCode::NoNode, None),
            (vec![open("/a")], create("/a/b"), ErrorCode::NoNode, wrong),
            (vec![open("/a")], create("/a"), ErrorCode::NodeExists, None),
            (vec![], create("/a"), ErrorCode::NodeExists, wrong),
            (vec![], delete("/a", any), ErrorCode::NoNode, None),
            (vec![open("/a"), open("/a/b")], delete("/a", any), ErrorCode::NotEmpty, None),
            (vec![open("/a")], delete("/a", any), ErrorCode::NotEmpty, wrong),
            (vec![open("/a")], delete("/a", Expected::Version(1)), ErrorCode::BadVersion, None),
            (vec![open("/a")], delete("/a", Expected::Version(0)), ErrorCode::BadVersion, wrong),
            (vec![open("/a")], create("/a/b"), ErrorCode::NoAuth, wrong),
            (vec![open("/a")], create("/a/b"), ErrorCode::NoChildrenForEphemerals, wrong),
            (vec![open("/a")], Write::Multi(vec![create("/b")]), ErrorCode::NodeExists, None),
        ] {
            let txns = before.into_iter().chain([refused(code)]).collect();
            assert_eq!(judged(txns, &write), found, "{write:?} {code}");
        }
        let first = Txn::Refused(Refusal { code: ErrorCode::NodeExists, operation: Some(0) });
        assert_eq!(judged(vec![first], &Write::Multi(vec![create("/b")])), wrong);
    }
}
