use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a string is no znode path. The request is refused with
/// [`BadArguments`](crate::ErrorCode::BadArguments); nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum PathError {
    /// A path has at least one character.
    #[error("the path is empty; the root is \"/\"")]
    Empty,
    /// Paths are absolute.
    #[error("the path does not start with '/'")]
    Relative,
    /// Only the root ends with a slash.
    #[error("the path ends with '/'; leave the last slash out")]
    TrailingSlash,
    /// Two slashes with nothing between them.
    #[error("the path has an empty element (\"//\") at byte {0}")]
    EmptyElement(usize),
    /// `.` and `..` name no znode; paths are never relative.
    #[error("the path has a '.' or '..' element at byte {0}")]
    RelativeElement(usize),
    /// ZooKeeper's forbidden characters: control characters, surrogates and private use (so also
    /// everything above U+FFFF), U+FFF0 to U+FFFF.
    #[error("the character {character:?} at byte {at} is not allowed in a path")]
    ForbiddenCharacter {
        /// The character.
        character: char,
        /// Its offset in bytes.
        at: usize,
    },
}

/// The path of a znode: absolute, validated by ZooKeeper's rules, cheap to clone.
///
/// ```
/// use quorate::ZnodePath;
///
/// let path = ZnodePath::parse("/locks/n-0000000001")?;
/// assert_eq!(path.name(), "n-0000000001");
/// assert_eq!(path.parent().unwrap().as_str(), "/locks");
/// assert!(ZnodePath::parse("/locks//n").is_err());
/// # Ok::<(), quorate::PathError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZnodePath(Arc<str>);

impl ZnodePath {
    /// The root of the tree, `/`.
    #[must_use]
    pub fn root() -> Self {
        Self(Arc::from("/"))
    }

    /// Parses `path`.
    ///
    /// # Errors
    ///
    /// The first rule of ZooKeeper's that it breaks.
    pub fn parse(path: impl AsRef<str>) -> Result<Self, PathError> {
        let path = path.as_ref();
        validate(path)?;
        Ok(Self(Arc::from(path)))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The last element; empty for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(_, name)| name)
    }

    /// The path of the parent; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.parent_str().map(|parent| Self(Arc::from(parent)))
    }

    /// The path of the parent as text; `None` for the root.
    #[must_use]
    pub fn parent_str(&self) -> Option<&str> {
        if self.is_root() { None } else { parent_of(&self.0) }
    }

    /// The path of what `name`, an element or several, names below this one.
    ///
    /// ```
    /// use quorate::ZnodePath;
    ///
    /// let locks = ZnodePath::root().join("locks")?;
    /// assert_eq!(locks.join("build/n-0000000001")?.as_str(), "/locks/build/n-0000000001");
    /// assert!(locks.join("/n").is_err());
    /// assert!(locks.join("../n").is_err());
    /// # Ok::<(), quorate::PathError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first rule of ZooKeeper's that the whole path breaks.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        let parent = if self.is_root() { "" } else { self.as_str() };
        Self::parse(format!("{parent}/{name}"))
    }

    /// The elements from the root down; none for the root itself.
    pub fn elements(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|element| !element.is_empty())
    }

    /// Whether `self` lies at or below `ancestor`.
    #[must_use]
    pub fn is_within(&self, ancestor: &str) -> bool {
        ancestor == "/"
            || self.0.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for ZnodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ZnodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl AsRef<str> for ZnodePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ZnodePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for ZnodePath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        Self::parse(path)
    }
}

impl Serialize for ZnodePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Validates: bytes from a peer or a file never become a path that the tree could not hold.
impl<'de> Deserialize<'de> for ZnodePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = deserializer.deserialize_str(Text)?;
        validate(&path).map_err(serde::de::Error::custom)?;
        Ok(Self(path))
    }
}

/// Reads a text into one allocation.
struct Text;

impl serde::de::Visitor<'_> for Text {
    type Value = Arc<str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a path")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(Arc::from(text))
    }
}

/// A path as a client sent it, not yet judged.
///
/// It stays raw as far as the tree because ZooKeeper judges it late: a create below a missing parent is
/// `NoNode` even where the name itself is invalid, and the prefix of a sequential node (`/locks/`) is
/// only complete once its number is appended.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RequestPath(Arc<str>);

impl RequestPath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the last slash: the path of the would-be parent.
    #[must_use]
    pub fn parent_str(&self) -> Option<&str> {
        parent_of(&self.0)
    }

    /// Judges the path.
    ///
    /// # Errors
    ///
    /// The first rule of ZooKeeper's that it breaks.
    pub fn parse(&self) -> Result<ZnodePath, PathError> {
        validate(&self.0)?;
        Ok(ZnodePath(Arc::clone(&self.0)))
    }
}

impl<'de> Deserialize<'de> for RequestPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text).map(Self)
    }
}

impl From<&str> for RequestPath {
    fn from(path: &str) -> Self {
        Self(Arc::from(path))
    }
}

impl From<String> for RequestPath {
    fn from(path: String) -> Self {
        Self(Arc::from(path))
    }
}

impl From<&String> for RequestPath {
    fn from(path: &String) -> Self {
        Self(Arc::from(path.as_str()))
    }
}

impl From<ZnodePath> for RequestPath {
    fn from(path: ZnodePath) -> Self {
        Self(path.0)
    }
}

impl From<&ZnodePath> for RequestPath {
    fn from(path: &ZnodePath) -> Self {
        Self(Arc::clone(&path.0))
    }
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn parent_of(path: &str) -> Option<&str> {
    let (parent, _) = path.rsplit_once('/')?;
    Some(if parent.is_empty() { "/" } else { parent })
}

fn validate(path: &str) -> Result<(), PathError> {
    if is_plain(path.as_bytes()) { Ok(()) } else { examine(path) }
}

/// Whether the path is of printable ASCII and valid, which most are; about any other it says nothing.
fn is_plain(path: &[u8]) -> bool {
    let Some((b'/', rest)) = path.split_first() else { return false };
    // How many of the element's bytes came so far, as far as that matters, and whether all were dots.
    let (mut len, mut dots) = (0u8, true);
    let is_element = |len: u8, dots: bool| len > 0 && !(dots && len <= 2);
    for byte in rest {
        match byte {
            b'/' if is_element(len, dots) => (len, dots) = (0, true),
            b'/' => return false,
            b' '..=b'~' => {
                len = len.saturating_add(1);
                dots &= *byte == b'.';
            }
            _ => return false,
        }
    }
    rest.is_empty() || is_element(len, dots)
}

/// Finds what is wrong with a path.
fn examine(path: &str) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Err(PathError::Relative);
    };
    if rest.is_empty() {
        return Ok(());
    }
    if rest.ends_with('/') {
        return Err(PathError::TrailingSlash);
    }
    let mut at = 1;
    for element in rest.split('/') {
        match element {
            "" => return Err(PathError::EmptyElement(at)),
            "." | ".." => return Err(PathError::RelativeElement(at)),
            _ => {}
        }
        if let Some((offset, character)) = element.char_indices().find(|(_, c)| is_forbidden(*c)) {
            return Err(PathError::ForbiddenCharacter { character, at: at + offset });
        }
        at += element.len() + 1;
    }
    Ok(())
}

fn is_forbidden(character: char) -> bool {
    matches!(character,
        '\u{0}'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{fff0}'..='\u{ffff}'
        | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_zookeeper_hold() {
        for good in ["/", "/a", "/a..b", "/...", "/a/b/c", "/a b", "/ü/漢"] {
            assert!(ZnodePath::parse(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "a",
            "a/b",
            "/a/",
            "//",
            "/a//b",
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/a\u{0}",
            "/\u{1}",
            "/a\u{7f}",
            "/\u{9f}",
            "/\u{e000}",
            "/\u{f8ff}",
            "/\u{fff0}",
            "/\u{fffd}",
            "/😀",
        ] {
            assert!(ZnodePath::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_quick_judgement_agrees_with_the_slow_one() {
        let mut paths = vec![String::new()];
        for _ in 0..6 {
            let longer = |path: &String| ["/", ".", "a", "\u{7f}", "ü"].map(|next| format!("{path}{next}"));
            paths = paths.iter().flat_map(longer).chain([String::new()]).collect();
            for path in &paths {
                let plain = path.bytes().all(|byte| (b' '..=b'~').contains(&byte));
                assert_eq!(is_plain(path.as_bytes()), plain && examine(path).is_ok(), "{path:?}");
            }
        }
    }

    #[test]
    fn parents_and_names() {
        let path = ZnodePath::parse("/a/b").unwrap();
        assert_eq!(path.parent().unwrap().as_str(), "/a");
        assert_eq!(path.parent().unwrap().parent().unwrap(), ZnodePath::root());
        assert_eq!(ZnodePath::root().parent(), None);
        assert_eq!(ZnodePath::root().name(), "");
        assert_eq!(RequestPath::from("/locks/").parent_str(), Some("/locks"));
        assert_eq!(RequestPath::from("/x").parent_str(), Some("/"));
        assert_eq!(RequestPath::from("x").parent_str(), None);
    }

    #[test]
    fn within_compares_whole_elements() {
        let path = ZnodePath::parse("/app/x").unwrap();
        assert!(path.is_within("/"));
        assert!(path.is_within("/app"));
        assert!(path.is_within("/app/x"));
        assert!(!path.is_within("/ap"));
        assert!(!path.is_within("/app/x/y"));
    }
}
