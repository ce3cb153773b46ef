/// Takes a line apart as zkCli does: at white space, and a word in single or double quotes is taken as it is between them.
/// There is no escape; a quote within a word is part of it. A quote that has no partner is left out.
pub(super) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = if matches!(first, '"' | '\'') {
            let inner = rest.get(1..).unwrap_or_default();
            match inner.split_once(first) {
                Some((word, after)) => (Some(word), after),
                None => (None, inner),
            }
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            (Some(word), after)
        };
        words.extend(word.map(str::to_owned));
        rest = after.trim_start();
    }
    words
}

/// The word that the cursor is at the end of, as it was typed, and where it starts. In quotes if it begins with one.
pub(super) fn last(line: &str) -> (usize, &str) {
    let mut start = line.len() - line.trim_start().len();
    loop {
        let rest = line.get(start..).unwrap_or_default();
        let len = match rest.chars().next() {
            None => return (line.len(), ""),
            Some(quote @ ('"' | '\'')) => {
                rest.get(1..).unwrap_or_default().find(quote).map_or(rest.len(), |at| at + 2)
            }
            Some(_) => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        let after = rest.get(len..).unwrap_or_default();
        if after.is_empty() {
            return (start, rest);
        }
        start += len + (after.len() - after.trim_start().len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart_as_zkcli_does() {
        for (line, words) in [
            ("", vec![]),
            ("   ", vec![]),
            ("ls /", vec!["ls", "/"]),
            ("  ls \t /  ", vec!["ls", "/"]),
            ("create /a \"two words\"", vec!["create", "/a", "two words"]),
            ("create /a 'it is \"quoted\"'", vec!["create", "/a", "it is \"quoted\""]),
            ("create /a \"it's\"", vec!["create", "/a", "it's"]),
            ("create /a \"\"", vec!["create", "/a", ""]),
            ("create /a 'x''y'", vec!["create", "/a", "x", "y"]),
            ("create /a b\"c d\"", vec!["create", "/a", "b\"c", "d\""]),
            ("create /a {\"k\":1}", vec!["create", "/a", "{\"k\":1}"]),
            ("create /a 'größe ☃'", vec!["create", "/a", "größe ☃"]),
            ("get \"/a", vec!["get", "/a"]),
        ] {
            assert_eq!(split(line), words, "{line}");
        }
    }

    #[test]
    fn the_last_word_is_the_one_to_complete() {
        for (line, start, word) in [
            ("", 0, ""),
            ("l", 0, "l"),
            ("  l", 2, "l"),
            ("ls ", 3, ""),
            ("ls /a", 3, "/a"),
            ("ls -s /a/b", 6, "/a/b"),
            ("get '/with sp", 4, "'/with sp"),
            ("get '/a b' ", 11, ""),
        ] {
            assert_eq!(last(line), (start, word), "{line}");
        }
    }
}
