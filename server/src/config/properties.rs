use std::fmt;
use std::sync::Arc;

/// Where in a file something is written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One setting, as it stands in a file: key and value are free of white space around them, as ZooKeeper reads them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value; may be empty.
    pub value: String,
    /// Where it begins.
    pub place: Place,
}

/// A file of Java properties, which is what a `zoo.cfg` is (`java.util.Properties.load`): comments begin with `#` or
/// `!`, key and value are parted by `=`, `:` or white space, a line that ends with an odd number of backslashes goes
/// on in the next, and `\t \n \r \f \uXXXX` are escapes; any other character after a backslash stands for itself.
///
/// Every text is a properties file; nothing is refused here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Properties {
    entries: Vec<Entry>,
}

impl Properties {
    /// Reads `text`, which came from the file of this name.
    #[must_use]
    pub fn parse(file: &str, text: &str) -> Self {
        let file: Arc<str> = file.into();
        let entries = logical_lines(text)
            .filter_map(|(line, text)| {
                let (key, value) = split(&text);
                let (key, value) = (unescape(key), unescape(value));
                let place = Place { file: Arc::clone(&file), line };
                let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
                (!key.is_empty()).then_some(Entry { key, value, place })
            })
            .collect();
        Self { entries }
    }

    /// The text of a file: UTF-8, or else Latin-1, which is what Java reads.
    #[must_use]
    pub fn decode(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes)
            .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect())
    }

    /// The settings in the order of the file; of a key that is written twice both.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// Lines without comments and blank ones, put together where they are continued, each with the number that it
/// begins at.
fn logical_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut lines = (1..).zip(
        text.replace("\r\n", "\n").replace('\r', "\n").split('\n').map(str::to_owned).collect::<Vec<_>>(),
    );
    std::iter::from_fn(move || {
        loop {
            let (number, line) = lines.next()?;
            let mut line = line.trim_start_matches(is_blank).to_owned();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            while is_continued(&line) {
                line.pop();
                let Some((_, next)) = lines.next() else { break };
                line.push_str(next.trim_start_matches(is_blank));
            }
            return Some((number, line));
        }
    })
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\x0c')
}

fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The key ends at the first `=`, `:` or blank that is not escaped; blanks around one `=` or `:` belong to it.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|character| {
        let ends = !escaped && (is_blank(character) || matches!(character, '=' | ':'));
        escaped = !escaped && character == '\\';
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            flush(&mut units, &mut plain);
            plain.push(character);
            continue;
        }
        let Some(escape) = rest.next() else { break };
        if escape == 'u' {
            let digits: String = rest.clone().take(4).collect();
            if let (4, Ok(unit)) = (digits.len(), u16::from_str_radix(&digits, 16)) {
                // Characters outside of the first plane are written as two of these.
                units.push(unit);
                rest = rest.as_str().get(4..).unwrap_or_default().chars();
                continue;
            }
        }
        flush(&mut units, &mut plain);
        plain.push(match escape {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\x0c',
            other => other,
        });
    }
    flush(&mut units, &mut plain);
    plain
}

fn flush(units: &mut Vec<u16>, plain: &mut String) {
    plain.push_str(&String::from_utf16_lossy(units));
    units.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, String, String)> {
        let properties = Properties::parse("zoo.cfg", text);
        properties.entries().iter().map(|e| (e.place.line, e.key.clone(), e.value.clone())).collect()
    }

    #[test]
    fn every_way_to_write_a_property_is_read_as_java_reads_it() {
        for (text, key, value) in [
            ("tickTime=2000", "tickTime", "2000"),
            ("tickTime = 2000  ", "tickTime", "2000"),
            ("  tickTime:2000", "tickTime", "2000"),
            ("tickTime 2000", "tickTime", "2000"),
            ("tickTime\t=\t2000", "tickTime", "2000"),
            ("server.1=a:2888:3888;2181", "server.1", "a:2888:3888;2181"),
            ("server.1:a:2888:3888", "server.1", "a:2888:3888"),
            ("k==v", "k", "=v"),
            ("k =: v", "k", ": v"),
            ("k", "k", ""),
            ("k=", "k", ""),
            ("a\\=b=c", "a=b", "c"),
            ("a\\ b c", "a b", "c"),
            ("dir=C:\\\\data", "dir", "C:\\data"),
            ("dir=C:\\data", "dir", "C:data"),
            ("k=\\u00e4\\ud83d\\ude00", "k", "ä😀"),
            ("k=\\u00", "k", "u00"),
            ("k=a\\\n   b", "k", "ab"),
            ("k=a\\\\", "k", "a\\"),
            ("k=a \\\r\n  b", "k", "a b"),
            ("k=v # no comment", "k", "v # no comment"),
            ("k=a\\", "k", "a"),
        ] {
            assert_eq!(read(text), [(1, key.to_owned(), value.to_owned())], "{text:?}");
        }
    }

    #[test]
    fn comments_and_blank_lines_are_passed_over_and_lines_are_counted() {
        let text = "# one\n\n! three\n  # four\na=1\nb=2\\\n# not a comment\n c=3\n";
        let c = (8, "c".to_owned(), "3".to_owned());
        assert_eq!(
            read(text),
            [(5, "a".to_owned(), "1".to_owned()), (6, "b".to_owned(), "2# not a comment".to_owned()), c]
        );
    }

    #[test]
    fn a_file_that_is_not_utf_8_is_latin_1() {
        assert_eq!(Properties::decode(b"dir=/\xe4".to_vec()), "dir=/ä");
        assert_eq!(Properties::decode("dir=/ä".as_bytes().to_vec()), "dir=/ä");
    }

    #[test]
    fn any_text_is_read_without_a_panic() {
        for text in ["\\", "\\u", "\\uzzzz", "=\\\n\\", "\\u12ä4", "a\\\n", "\r\r", "ä\\", "=", ":::"] {
            let _ = read(text);
        }
    }
}
