use thiserror::Error;

/// Why a path is none; in the words that zkCli has for it.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub(crate) enum BadPath {
    /// It is empty.
    #[error("Path length must be > 0")]
    Empty,
    /// It does not start at the root.
    #[error("Path must start with / character")]
    Relative,
    /// It ends with a slash and is not the root.
    #[error("Path must not end with / character")]
    TrailingSlash,
    /// A character within it must not be where it is.
    #[error("Invalid path string \"{path}\" caused by {cause} @{at}")]
    Character {
        /// The path.
        path: String,
        /// What is wrong.
        cause: &'static str,
        /// Where, counted in UTF-16 units from 0, as zkCli counts.
        at: usize,
    },
}

/// Whether `path` may be a znode's. A client finds that out by itself; the server would only say that an argument is wrong.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub(crate) fn check_path(path: &str) -> Result<(), BadPath> {
    if path.is_empty() {
        return Err(BadPath::Empty);
    }
    if !path.starts_with('/') {
        return Err(BadPath::Relative);
    }
    if path == "/" {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err(BadPath::TrailingSlash);
    }
    let mut at = 0;
    for name in path.split('/').skip(1) {
        // The slash before the name.
        at += 1;
        let bad = |cause, within: usize| BadPath::Character { path: path.to_owned(), cause, at: at + within };
        match name {
            "" => return Err(bad("empty node name specified", 0)),
            "." => return Err(bad("relative paths not allowed", 0)),
            ".." => return Err(bad("relative paths not allowed", 1)),
            _ => {}
        }
        let mut within = 0;
        for letter in name.chars() {
            match letter {
                '\0' => return Err(bad("null character not allowed", within)),
                '\u{1}'..='\u{1f}'
                | '\u{7f}'..='\u{9f}'
                | '\u{e000}'..='\u{f8ff}'
                | '\u{fff0}'..='\u{ffff}' => {
                    return Err(bad("invalid character", within));
                }
                // A pair in UTF-16, whose halves are both in the range that is not allowed.
                '\u{10000}'.. => return Err(bad("invalid character", within)),
                _ => {}
            }
            within += letter.len_utf16();
        }
        at += within;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_refused_in_the_words_of_zkcli() {
        for (path, message) in [
            ("", "Path length must be > 0"),
            ("relative", "Path must start with / character"),
            ("/a/", "Path must not end with / character"),
            ("//", "Path must not end with / character"),
            // The next three as zkCli.sh 3.8.0 printed them.
            (
                "/shell-theirs//x",
                "Invalid path string \"/shell-theirs//x\" caused by empty node name specified @14",
            ),
            (
                "/shell-theirs/./x",
                "Invalid path string \"/shell-theirs/./x\" caused by relative paths not allowed @14",
            ),
            (
                "/shell-theirs/../x",
                "Invalid path string \"/shell-theirs/../x\" caused by relative paths not allowed @15",
            ),
            ("/ä/b\u{1}", "Invalid path string \"/ä/b\u{1}\" caused by invalid character @4"),
            ("/a\0", "Invalid path string \"/a\0\" caused by null character not allowed @2"),
        ] {
            assert_eq!(check_path(path).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn ordinary_paths_are_taken() {
        for path in ["/", "/a", "/a/b.c/..d/e..", "/größe/☃", "/with space"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }
}
