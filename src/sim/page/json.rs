use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Writes JSON that may stand within a `<script>` of a page: no character of it ends one.
#[derive(Default)]
pub(super) struct Json {
    text: String,
}

impl Json {
    /// The text that was written.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// What `fill` writes, between braces.
    pub(super) fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.between('{', '}', fill);
    }

    /// A member of an object: its name, and then what `fill` writes.
    pub(super) fn member(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.separate();
        self.quote(name);
        self.text.push(':');
        fill(self);
    }

    /// One array of what `fill` writes for each.
    pub(super) fn array<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Self, T),
    ) {
        self.between('[', ']', |json| {
            for item in items {
                json.separate();
                fill(json, item);
            }
        });
    }

    /// An array of numbers.
    pub(super) fn numbers(&mut self, numbers: impl IntoIterator<Item = i64>) {
        self.array(numbers, |json, number| json.number(number));
    }

    pub(super) fn number(&mut self, number: i64) {
        // Writing to a string cannot fail.
        let _always_ok = write!(self.text, "{number}");
    }

    pub(super) fn string(&mut self, string: &str) {
        self.quote(string);
    }

    pub(super) fn null(&mut self) {
        self.text.push_str("null");
    }

    fn between(&mut self, open: char, close: char, fill: impl FnOnce(&mut Self)) {
        self.text.push(open);
        fill(self);
        self.text.push(close);
    }

    fn separate(&mut self) {
        if !self.text.ends_with(['{', '[', ':']) {
            self.text.push(',');
        }
    }

    fn quote(&mut self, string: &str) {
        self.text.push('"');
        for character in string.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                // What could end the script or the line; U+2028 and U+2029 end lines in old readers.
                '<' | '>' | '&' | '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{2028}' | '\u{2029}' => {
                    let _always_ok = write!(self.text, "\\u{:04x}", u32::from(character));
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }
}

/// Strings by number, each once.
#[derive(Default)]
pub(super) struct Strings {
    numbers: BTreeMap<String, i64>,
    list: Vec<String>,
}

impl Strings {
    pub(super) fn number(&mut self, string: &str) -> i64 {
        if let Some(number) = self.numbers.get(string) {
            return *number;
        }
        let number = i64::try_from(self.list.len()).unwrap_or(i64::MAX);
        self.numbers.insert(string.to_owned(), number);
        self.list.push(string.to_owned());
        number
    }

    pub(super) fn list(&self) -> &[String] {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_string_ends_the_script_that_it_stands_in() {
        let mut json = Json::default();
        json.object(|json| {
            json.member("a\"b", |json| json.string("</script><!--\\\n\u{2028}é"));
            json.member("list", |json| json.numbers([1, -2]));
            json.member("lists", |json| json.array([[1], [2]], |json, item| json.numbers(item)));
            json.member("none", Json::null);
        });
        let expected = r#"{"a\"b":"\u003c/script\u003e\u003c!--\\\u000a\u2028é","list":[1,-2],"lists":[[1],[2]],"none":null}"#;
        assert_eq!(json.into_text(), expected);
    }

    #[test]
    fn equal_strings_have_one_number() {
        let mut strings = Strings::default();
        assert_eq!(["a", "b", "a"].map(|string| strings.number(string)), [0, 1, 0]);
        assert_eq!(strings.list(), ["a", "b"]);
    }
}
