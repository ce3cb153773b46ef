use std::mem::size_of;

use crate::peer::{Answer, Reply};
use crate::types::{Acl, ErrorCode, Found, Identity, Written, ZnodePath};

use super::Delivery;

/// How many bytes a delivery that waits keeps in memory, its place in the queue among them: never 0.
///
/// Data is left out: it is the tree's, and waits without being copied. Paths are counted each time they are told.
pub(super) fn weight(delivery: &Delivery) -> usize {
    let more = match delivery {
        Delivery::Reply(Reply { result: Ok(answer), .. }) => of_answer(answer),
        Delivery::Watch(event) => event.path.as_str().len(),
        Delivery::Reply(Reply { result: Err(_), .. }) | Delivery::Connected(_) | Delivery::Closed(_) => 0,
    };
    size_of::<Delivery>().saturating_add(more)
}

fn of_answer(answer: &Answer) -> usize {
    match answer {
        Answer::Written(written) => of_written(written),
        Answer::Found(found) => of_found(found),
        Answer::Identities(identities) => identities.iter().map(of_identity).sum(),
        Answer::Done | Answer::Compacted { .. } => 0,
    }
}

fn of_written(written: &Written) -> usize {
    match written {
        Written::Created { path, .. } => path.as_str().len(),
        Written::Multi(all) => all.iter().map(|one| size_of::<Written>() + of_written(one)).sum(),
        Written::Deleted
        | Written::TreeDeleted { .. }
        | Written::DataSet(_)
        | Written::AclSet(_)
        | Written::Checked => 0,
    }
}

fn of_found(found: &Found) -> usize {
    match found {
        Found::Children { names, .. } | Found::ChildrenPage { names, .. } => {
            names.iter().map(|name| size_of::<Box<str>>() + name.len()).sum()
        }
        Found::Ephemerals(paths) => {
            paths.iter().map(|path| size_of::<ZnodePath>() + path.as_str().len()).sum()
        }
        Found::Many(all) => {
            let one = |result: &Result<Found, ErrorCode>| {
                size_of::<Result<Found, ErrorCode>>() + result.as_ref().map_or(0, of_found)
            };
            all.iter().map(one).sum()
        }
        Found::Acl { acl, .. } => of_acl(acl),
        Found::Data { .. } | Found::Stat(_) | Found::Count(_) => 0,
    }
}

/// With hidden hashes it is a copy.
fn of_acl(acl: &Acl) -> usize {
    acl.entries().iter().map(|entry| size_of_val(entry) + of_identity(&entry.identity)).sum()
}

fn of_identity(identity: &Identity) -> usize {
    size_of::<Identity>() + identity.scheme.len() + identity.id.len()
}
