use std::collections::BTreeMap;

use bytes::Bytes;

use crate::types::ErrorCode;

/// The subtree that holds the quotas.
pub(super) const ROOT: &str = "/zookeeper/quota";
/// The name of the node that holds a quota's limits.
pub(super) const LIMITS: &str = "zookeeper_limits";
/// The name of the node that shows what is used of a quota.
pub(super) const STATS: &str = "zookeeper_stats";

/// The limits of one subtree, in ZooKeeper's text form: `count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=9`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct QuotaLimits {
    count: Option<i64>,
    bytes: Option<i64>,
    hard_count: Option<i64>,
    hard_bytes: Option<i64>,
}

impl QuotaLimits {
    /// Reads what it understands; whatever is missing, negative or no number is unlimited.
    pub(super) fn parse(data: Option<&Bytes>) -> Self {
        let mut limits = Self::default();
        let text = data.and_then(|data| std::str::from_utf8(data).ok()).unwrap_or_default();
        for part in text.split([',', ';']) {
            let Some((key, value)) = part.split_once('=') else { continue };
            // The stray `=` behind the soft limits keeps ZooKeeper's older parsers content.
            let value = value.trim_end_matches('=').parse().ok().filter(|value| *value >= 0);
            match key {
                "count" => limits.count = value,
                "bytes" => limits.bytes = value,
                "countHardLimit" => limits.hard_count = value,
                "byteHardLimit" => limits.hard_bytes = value,
                _ => {}
            }
        }
        limits
    }
}

/// What a subtree holds: its nodes, the top one included, and their data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Usage {
    pub(super) count: i64,
    pub(super) bytes: i64,
}

impl Usage {
    /// What one node with this much data uses.
    pub(super) fn of_node(data_len: usize) -> Self {
        Self { count: 1, bytes: i64::try_from(data_len).unwrap_or(i64::MAX) }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { count: self.count.saturating_add(other.count), bytes: self.bytes.saturating_add(other.bytes) }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self { count: self.count.saturating_sub(other.count), bytes: self.bytes.saturating_sub(other.bytes) }
    }

    /// The text of a stats node.
    pub(super) fn text(self) -> String {
        format!("count={},bytes={}", self.count, self.bytes)
    }
}

/// A quota: what a subtree may hold and what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Quota {
    pub(super) limits: QuotaLimits,
    pub(super) usage: Usage,
}

/// How a growth stands to a quota.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Verdict {
    Within,
    OverSoft,
    OverHard,
}

impl Quota {
    /// Judges a change of the usage. What does not grow is never refused, however far over it is.
    pub(super) fn judge(&self, growth: Usage) -> Verdict {
        let after = self.usage.plus(growth);
        let over = |count: Option<i64>, bytes: Option<i64>| {
            (growth.count > 0 && count.is_some_and(|limit| after.count > limit))
                || (growth.bytes > 0 && bytes.is_some_and(|limit| after.bytes > limit))
        };
        if over(self.limits.hard_count, self.limits.hard_bytes) {
            Verdict::OverHard
        } else if over(self.limits.count, self.limits.bytes) {
            Verdict::OverSoft
        } else {
            Verdict::Within
        }
    }
}

impl Verdict {
    /// The refusal, if it is one.
    pub(super) fn refusal(self, enforce: bool) -> Result<(), ErrorCode> {
        if self == Self::OverHard && enforce { Err(ErrorCode::QuotaExceeded) } else { Ok(()) }
    }
}

/// The quotas by the path that they are about.
pub(super) type QuotaTable = BTreeMap<Box<str>, Quota>;

/// The path whose quota the node at `path` is the limits of.
pub(super) fn limits_target(path: &str) -> Option<&str> {
    target(path, LIMITS)
}

/// The path whose usage the node at `path` shows.
pub(super) fn stats_target(path: &str) -> Option<&str> {
    target(path, STATS)
}

/// Where the usage of the quota about `target` is shown.
pub(super) fn stats_path(target: &str) -> String {
    format!("{ROOT}{}/{STATS}", if target == "/" { "" } else { target })
}

/// The paths at and above `path` whose quotas it counts for. ZooKeeper's own nodes count for none.
pub(super) fn charged(path: &str) -> impl Iterator<Item = &str> {
    let own = path.strip_prefix("/zookeeper").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let path = if own { "" } else { path };
    let inner = path.match_indices('/').skip(1).filter_map(move |(at, _)| path.get(..at));
    let root = if own { None } else { Some("/") };
    let itself = if path.len() > 1 { Some(path) } else { None };
    root.into_iter().chain(inner).chain(itself)
}

fn target<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let target = path.strip_prefix(ROOT)?.strip_suffix(name)?.strip_suffix('/')?;
    match target {
        "" => Some("/"),
        _ if target.starts_with('/') => Some(target),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_read_as_zookeeper_writes_it() {
        let parse = |text: &'static str| QuotaLimits::parse(Some(&Bytes::from_static(text.as_bytes())));
        let limits = parse("count=5,bytes=-1=;byteHardLimit=7;countHardLimit=9");
        let expected = QuotaLimits { count: Some(5), bytes: None, hard_count: Some(9), hard_bytes: Some(7) };
        assert_eq!(limits, expected);
        assert_eq!(parse("bytes=3").bytes, Some(3));
        assert_eq!(parse("nonsense"), QuotaLimits::default());
        assert_eq!(QuotaLimits::parse(None), QuotaLimits::default());
    }

    #[test]
    fn the_paths_of_limits_and_stats_name_their_target() {
        assert_eq!(limits_target("/zookeeper/quota/a/b/zookeeper_limits"), Some("/a/b"));
        assert_eq!(limits_target("/zookeeper/quota/zookeeper_limits"), Some("/"));
        assert_eq!(limits_target("/zookeeper/quotas/zookeeper_limits"), None);
        assert_eq!(limits_target("/zookeeper/quota/azookeeper_limits"), None);
        assert_eq!(stats_target(&stats_path("/a")), Some("/a"));
        assert_eq!(stats_target(&stats_path("/")), Some("/"));
    }

    #[test]
    fn a_node_counts_for_itself_and_all_above() {
        let all = |path| charged(path).collect::<Vec<_>>();
        assert_eq!(all("/a/b"), ["/", "/a", "/a/b"]);
        assert_eq!(all("/a"), ["/", "/a"]);
        assert_eq!(all("/"), ["/"]);
        assert_eq!(all("/zookeepers"), ["/", "/zookeepers"]);
        assert!(all("/zookeeper/quota").is_empty());
    }
}
