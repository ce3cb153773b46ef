use std::fmt;

use bytes::Bytes;
use quorate::Acl;

use super::Call;
use crate::shell::client::{Client, CreateKind, Fault, KeeperCode};
use crate::shell::error::CommandError;

const ROOT: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

type Done = Result<(), CommandError>;

/// The limits of a subtree, as the text of a node holds them; -1 for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Limits {
    count: i64,
    bytes: i64,
    hard_count: Option<i64>,
    hard_bytes: Option<i64>,
}

pub(super) fn set(call: &mut Call<'_>) -> Done {
    let Some((flag, value)) =
        ["n", "b", "N", "B"].into_iter().find_map(|flag| Some((flag, call.given.value(flag)?)))
    else {
        return malformed(
            "Missing required option: [-n num soft quota, -b bytes soft quota, -N num hard quota, -B bytes hard quota]",
        );
    };
    if call.given.args() < 1 {
        return malformed(super::Command::named("setquota").map(super::Command::usage).unwrap_or_default());
    }
    let path = call.arg(0).to_owned();
    without_chroot(call.client)?;
    if path.starts_with(ROOT) {
        return malformed(format!("cannot set a quota under the path: {ROOT}"));
    }
    let Ok(value) = value.parse::<i64>() else {
        return malformed("NumberFormatException happens when parsing the option value");
    };
    if value <= 0 {
        let what = if matches!(flag, "n" | "N") { "num" } else { "bytes" };
        return malformed(format!("the {what} quota must be greater than zero"));
    }
    if call.client.exists(&path, false)?.is_none() {
        return malformed(format!("{path} does not exist."));
    }
    refuse_nested(call.client, &path)?;

    for node in ancestors_and_self(&format!("{ROOT}{}", path.trim_end_matches('/'))) {
        create_if_missing(call.client, &node, None)?;
    }
    let node = limits_of(&path);
    let mut limits = match call.client.data(&node, false) {
        Ok(found) => Limits::parse(found.data.as_deref()),
        Err(fault) if fault.code() == Some(KeeperCode::NO_NODE) => Limits::NONE,
        Err(fault) => return Err(fault.into()),
    };
    limits.change(flag, value);
    let text = Bytes::from(limits.to_string());
    if !create_if_missing(call.client, &node, Some(text.clone()))? {
        call.client.set_data(&node, Some(text), -1)?;
    }
    // The server keeps it from now on.
    create_if_missing(call.client, &stats_of(&path), Some(Bytes::from_static(b"count=0,bytes=0")))?;
    Ok(())
}

pub(super) fn list(call: &mut Call<'_>) -> Done {
    let path = call.arg(0).to_owned();
    without_chroot(call.client)?;
    let node = limits_of(&path);
    writeln!(call.err, "absolute path is {node}")?;
    let limits = match call.client.data(&node, false) {
        Ok(found) => Limits::parse(found.data.as_deref()),
        Err(fault) if fault.code() == Some(KeeperCode::NO_NODE) => {
            return malformed(format!("quota for {path} does not exist."));
        }
        Err(fault) => return Err(fault.into()),
    };
    writeln!(call.out, "Output quota for {path} {limits}")?;
    let stats = call.client.data(&stats_of(&path), false)?;
    Ok(writeln!(call.out, "Output stat for {path} {}", Limits::parse(stats.data.as_deref()))?)
}

pub(super) fn delete(call: &mut Call<'_>) -> Done {
    let path = call.arg(0).to_owned();
    without_chroot(call.client)?;
    let node = limits_of(&path);
    let mut limits = match call.client.data(&node, false) {
        Ok(found) => Limits::parse(found.data.as_deref()),
        Err(fault) if fault.code() == Some(KeeperCode::NO_NODE) => {
            return Ok(writeln!(call.out, "Quota does not exist for {path}")?);
        }
        Err(fault) => return Err(fault.into()),
    };
    if let Some(flag) = ["n", "b", "N", "B"].into_iter().find(|flag| call.given.has(flag)) {
        limits.change(flag, -1);
        call.client.set_data(&node, Some(Bytes::from(limits.to_string())), -1)?;
        return Ok(());
    }
    for node in [node, stats_of(&path)] {
        delete_if_there(call.client, &node)?;
    }
    // What only led to it goes as well.
    let mut nodes = ancestors_and_self(&format!("{ROOT}{}", path.trim_end_matches('/')));
    while let Some(node) = nodes.pop() {
        if node == ROOT || !call.client.children(&node, false)?.children.is_empty() {
            break;
        }
        delete_if_there(call.client, &node)?;
    }
    Ok(())
}

impl Limits {
    const NONE: Self = Self { count: -1, bytes: -1, hard_count: Some(-1), hard_bytes: Some(-1) };

    /// Reads what it understands. The text of a stats node has no hard limits, and shows none.
    fn parse(data: Option<&[u8]>) -> Self {
        let mut limits = Self { hard_count: None, hard_bytes: None, ..Self::NONE };
        let text = data.and_then(|data| std::str::from_utf8(data).ok()).unwrap_or_default();
        for part in text.split([',', ';']) {
            let Some((key, value)) = part.split_once('=') else { continue };
            let Ok(value) = value.trim_end_matches('=').parse() else { continue };
            match key {
                "count" => limits.count = value,
                "bytes" => limits.bytes = value,
                "countHardLimit" => limits.hard_count = Some(value),
                "byteHardLimit" => limits.hard_bytes = Some(value),
                _ => {}
            }
        }
        limits
    }

    fn change(&mut self, flag: &str, value: i64) {
        match flag {
            "n" => self.count = value,
            "b" => self.bytes = value,
            "N" => self.hard_count = Some(value),
            _ => self.hard_bytes = Some(value),
        }
    }
}

/// As ZooKeeper writes it; the `=` behind the soft limits keeps its older parsers content.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "count={},bytes={}", self.count, self.bytes)?;
        if self.hard_count.is_some() || self.hard_bytes.is_some() {
            let (bytes, count) = (self.hard_bytes.unwrap_or(-1), self.hard_count.unwrap_or(-1));
            write!(f, "=;byteHardLimit={bytes};countHardLimit={count}")?;
        }
        Ok(())
    }
}

/// One path from a root to a leaf has one quota at most.
fn refuse_nested(client: &Client, path: &str) -> Done {
    let own = format!("{ROOT}{}", path.trim_end_matches('/'));
    let mut stack = vec![own.clone()];
    while let Some(node) = stack.pop() {
        for name in names(client, &node)? {
            if &*name != LIMITS {
                stack.push(format!("{node}/{name}"));
            } else if node != own {
                let child = node.strip_prefix(ROOT).unwrap_or(&node);
                return malformed(format!("{path} has a child {child} which has a quota"));
            }
        }
    }
    for node in ancestors_and_self(&own) {
        if node != own && names(client, &node)?.iter().any(|name| &**name == LIMITS) {
            let parent = node.strip_prefix(ROOT).unwrap_or(&node);
            return malformed(format!("{path} has a parent {parent} which has a quota"));
        }
    }
    Ok(())
}

/// The names of a node's children; none of one that is not there.
fn names(client: &Client, path: &str) -> Result<Vec<Box<str>>, CommandError> {
    match client.children(path, false) {
        Ok(found) => Ok(found.children),
        Err(fault) if fault.code() == Some(KeeperCode::NO_NODE) => Ok(Vec::new()),
        Err(fault) => Err(fault.into()),
    }
}

/// The nodes on the way to `path` below the root of all quotas, that root first and the path itself last.
fn ancestors_and_self(path: &str) -> Vec<String> {
    let below = path.strip_prefix(ROOT).unwrap_or_default();
    let mut node = ROOT.to_owned();
    let mut nodes = vec![node.clone()];
    for name in below.split('/').filter(|name| !name.is_empty()) {
        node = format!("{node}/{name}");
        nodes.push(node.clone());
    }
    nodes
}

/// Whether it was created; false if it was there.
fn create_if_missing(client: &Client, path: &str, data: Option<Bytes>) -> Result<bool, CommandError> {
    match client.create(path, data, Acl::open(), CreateKind::Persistent { sequential: false }) {
        Ok(_) => Ok(true),
        Err(fault) if fault.code() == Some(KeeperCode::NODE_EXISTS) => Ok(false),
        // The root of all quotas is not to be created, and is there.
        Err(Fault::Refused { code: KeeperCode::BAD_ARGUMENTS, .. }) if path == ROOT => Ok(false),
        Err(fault) => Err(fault.into()),
    }
}

fn delete_if_there(client: &Client, path: &str) -> Done {
    match client.delete(path, -1) {
        Err(fault) if fault.code() != Some(KeeperCode::NO_NODE) => Err(fault.into()),
        _ => Ok(()),
    }
}

/// Quotas lie at paths of their own, which a chroot would move.
fn without_chroot(client: &Client) -> Done {
    if client.connect_string().chroot.is_root() {
        return Ok(());
    }
    malformed("quotas are not within a chroot; connect without one and give the whole path")
}

fn limits_of(path: &str) -> String {
    format!("{ROOT}{}/{LIMITS}", path.trim_end_matches('/'))
}

fn stats_of(path: &str) -> String {
    format!("{ROOT}{}/{STATS}", path.trim_end_matches('/'))
}

fn malformed<T>(text: impl Into<String>) -> Result<T, CommandError> {
    Err(CommandError::Malformed(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_and_read_as_zookeeper_does() {
        // As zkCli.sh 3.8.0 wrote and printed them.
        for text in [
            "count=100,bytes=-1=;byteHardLimit=-1;countHardLimit=-1",
            "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=10",
            "count=16,bytes=48",
        ] {
            assert_eq!(Limits::parse(Some(text.as_bytes())).to_string(), text);
        }
        let mut limits = Limits::NONE;
        limits.change("n", 100);
        limits.change("B", 7);
        assert_eq!(limits.to_string(), "count=100,bytes=-1=;byteHardLimit=7;countHardLimit=-1");
        assert_eq!(
            Limits::parse(Some(b"nonsense,count=x")),
            Limits { hard_count: None, hard_bytes: None, ..Limits::NONE }
        );
    }

    #[test]
    fn the_way_to_a_quota_begins_at_the_root_of_all_quotas() {
        assert_eq!(
            ancestors_and_self("/zookeeper/quota/a/b"),
            ["/zookeeper/quota", "/zookeeper/quota/a", "/zookeeper/quota/a/b"]
        );
        assert_eq!(ancestors_and_self("/zookeeper/quota"), ["/zookeeper/quota"]);
        assert_eq!(limits_of("/"), "/zookeeper/quota/zookeeper_limits");
    }
}
