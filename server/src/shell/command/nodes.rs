use std::collections::VecDeque;

use bytes::Bytes;
use quorate::Acl;

use super::Call;
use crate::shell::acl_text;
use crate::shell::client::{CreateKind, Fault, KeeperCode};
use crate::shell::error::{CommandError, plain};
use crate::shell::output::{print_data, print_list, print_stat};

/// How many deletions are underway at a time unless -b says otherwise.
const BATCH: i32 = 1000;
/// The longest time to live, in milliseconds: ZooKeeper keeps it in five bytes.
const MAX_TTL: i64 = 0xff_ffff_ffff;

type Done = Result<(), CommandError>;

pub(super) fn create(call: &mut Call<'_>) -> Done {
    let kind = kind(call)?;
    let path = call.arg(0).to_owned();
    let data = call.given.arg(1).map(|data| Bytes::copy_from_slice(data.as_bytes()));
    let acl = match call.given.arg(2) {
        Some(text) => {
            let (acl, wrong) = acl_text::parse(text);
            for complaint in wrong {
                writeln!(call.err, "{complaint}")?;
            }
            acl
        }
        None => Acl::open(),
    };
    match call.client.create(&path, data, acl, kind) {
        Ok(created) => writeln!(call.err, "Created {created}")?,
        Err(fault) => {
            if let Fault::Refused { code: code @ KeeperCode::INVALID_ACL, path } = &fault {
                writeln!(call.err, "{}", plain(*code, path.as_deref()))?;
            }
            return Err(fault.into());
        }
    }
    Ok(())
}

pub(super) fn delete(call: &mut Call<'_>) -> Done {
    let mut version = call.number("v", -1)?;
    if let Some(old) = call.given.arg(1).map(str::to_owned) {
        call.deprecated("path [version]", "[-v version] path")?;
        version = old_version(&old)?;
    }
    Ok(call.client.delete(call.arg(0), version)?)
}

/// Deletes a node and all that is below it, from the leaves up. Not one transaction: others may come between.
pub(super) fn delete_all(call: &mut Call<'_>) -> Done {
    if call.name == "rmr" {
        writeln!(call.err, "The command 'rmr' has been deprecated. Please use 'deleteall' instead.")?;
    }
    let at_a_time = usize::try_from(call.number("b", BATCH)?).unwrap_or_default();
    let top = call.arg(0).to_owned();
    let mut paths = Vec::new();
    let mut queue = VecDeque::from([top]);
    while let Some(path) = queue.pop_front() {
        match call.client.children(&path, false) {
            Ok(found) => queue.extend(found.children.iter().map(|name| below(&path, name))),
            // Somebody else has deleted it meanwhile.
            Err(fault) if fault.code() == Some(KeeperCode::NO_NODE) && !paths.is_empty() => {}
            Err(fault) => return Err(fault.into()),
        }
        paths.push(path);
    }
    paths.reverse();
    // The root, and what the ensemble keeps for itself, cannot be deleted.
    paths.retain(|path| path != "/" && path != "/zookeeper" && !path.starts_with("/zookeeper/"));
    match call.client.delete_all(&paths, at_a_time)? {
        0 => Ok(()),
        _ => Err(CommandError::Malformed("Failed to delete some node(s) in the subtree!".to_owned())),
    }
}

pub(super) fn get(call: &mut Call<'_>) -> Done {
    let watch = watch(call, "path [watch]", "[-s] [-w] path")?;
    let found = call.client.data(call.arg(0), watch)?;
    print_data(call.out, found.data.as_deref())?;
    if call.given.has("s") {
        print_stat(call.out, &found.stat, call.zone)?;
    }
    Ok(())
}

pub(super) fn set(call: &mut Call<'_>) -> Done {
    let version = call.number("v", -1)?;
    let data = Bytes::copy_from_slice(call.arg(1).as_bytes());
    let stat = call.client.set_data(call.arg(0), Some(data), version)?;
    if call.given.has("s") {
        print_stat(call.out, &stat, call.zone)?;
    }
    Ok(())
}

pub(super) fn stat(call: &mut Call<'_>) -> Done {
    let watch = watch(call, "path [watch]", "[-w] path")?;
    let path = call.arg(0).to_owned();
    match call.client.exists(&path, watch)? {
        Some(stat) => Ok(print_stat(call.out, &stat, call.zone)?),
        None => Err(CommandError::Refused { code: KeeperCode::NO_NODE, path: Some(path) }),
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Done {
    let watch = watch(call, "path [watch]", "[-w] path")?;
    let path = call.arg(0).to_owned();
    if call.given.has("R") {
        return list_below(call, &path, watch);
    }
    let found = call.client.children(&path, watch)?;
    print_list(call.out, &found.children)?;
    if call.given.has("s") {
        print_stat(call.out, &found.stat, call.zone)?;
    }
    Ok(())
}

pub(super) fn list_with_stat(call: &mut Call<'_>) -> Done {
    writeln!(call.err, "'ls2' has been deprecated. Please use 'ls [-s] path' instead.")?;
    let watch = call.given.has("w") || call.given.args() > 1;
    let found = call.client.children(call.arg(0), watch)?;
    print_list(call.out, &found.children)?;
    Ok(print_stat(call.out, &found.stat, call.zone)?)
}

pub(super) fn count(call: &mut Call<'_>) -> Done {
    let total = call.client.descendants(call.arg(0))?;
    Ok(writeln!(call.out, "{total}")?)
}

pub(super) fn sync(call: &mut Call<'_>) -> Done {
    let path = call.arg(0).to_owned();
    match call.client.sync(&path) {
        Ok(()) => Ok(writeln!(call.out, "Sync is OK")?),
        Err(fault) => Err(fault.into()),
    }
}

/// A node and all that is below it: the children of a node together, then those of the first of them, as zkCli lists.
pub(super) fn visit(
    call: &mut Call<'_>,
    top: &str,
    watch: bool,
    mut seen: impl FnMut(&mut Call<'_>, &str) -> Done,
) -> Done {
    // Whether the node is there is found out before it is listed.
    let first = call.client.children(top, watch)?;
    seen(call, top)?;
    let mut stack = vec![(top.to_owned(), Some(first))];
    while let Some((path, known)) = stack.pop() {
        let found = match known {
            Some(found) => found,
            None => match call.client.children(&path, watch) {
                Ok(found) => found,
                // Somebody else has deleted it meanwhile.
                Err(fault) if fault.code() == Some(KeeperCode::NO_NODE) => continue,
                Err(fault) => return Err(fault.into()),
            },
        };
        let children: Vec<String> = found.children.iter().map(|name| below(&path, name)).collect();
        for child in &children {
            seen(call, child)?;
        }
        stack.extend(children.into_iter().rev().map(|child| (child, None)));
    }
    Ok(())
}

fn list_below(call: &mut Call<'_>, path: &str, watch: bool) -> Done {
    visit(call, path, watch, |call, path| Ok(writeln!(call.out, "{path}")?))
}

fn kind(call: &Call<'_>) -> Result<CreateKind, CommandError> {
    let malformed = |text: &str| Err(CommandError::Malformed(text.to_owned()));
    let (ephemeral, sequential) = (call.given.has("e"), call.given.has("s"));
    let container = call.given.has("c");
    if container && (ephemeral || sequential) {
        return malformed(
            "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.",
        );
    }
    if let Some(ttl) = call.given.value("t") {
        let Ok(millis) = ttl.parse::<i64>() else { return malformed("-t argument must be a long value") };
        if ephemeral {
            return malformed("TTLs cannot be used with Ephemeral znodes");
        }
        if container {
            return malformed("TTLs cannot be used with Container znodes");
        }
        if !(1..=MAX_TTL).contains(&millis) {
            return malformed(&format!("ttl must be positive and cannot be larger than: {MAX_TTL}"));
        }
        return Ok(CreateKind::Ttl { sequential, millis });
    }
    Ok(match (container, ephemeral) {
        (true, _) => CreateKind::Container,
        (false, true) => CreateKind::Ephemeral { sequential },
        (false, false) => CreateKind::Persistent { sequential },
    })
}

/// Whether to leave a watch: -w, or the older way, a second word.
fn watch(call: &mut Call<'_>, old: &str, new: &str) -> Result<bool, CommandError> {
    if call.given.args() > 1 {
        call.deprecated(old, new)?;
        return Ok(true);
    }
    Ok(call.given.has("w"))
}

fn old_version(text: &str) -> Result<i32, CommandError> {
    text.parse().map_err(|_| CommandError::Malformed("the version must be an int value".to_owned()))
}

fn below(path: &str, name: &str) -> String {
    format!("{}/{name}", path.trim_end_matches('/'))
}
