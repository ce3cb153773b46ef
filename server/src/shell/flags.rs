use std::collections::BTreeMap;

use thiserror::Error;

/// An option of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    /// Without its dash: one letter, or a word.
    pub(super) name: &'static str,
    /// Whether a value follows.
    pub(super) takes_value: bool,
}

/// An option that stands for itself.
pub(super) const fn switch(name: &'static str) -> Flag {
    Flag { name, takes_value: false }
}

/// An option that a value follows.
pub(super) const fn valued(name: &'static str) -> Flag {
    Flag { name, takes_value: true }
}

/// What was given to a command: its options and, in order, the rest.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Given {
    options: BTreeMap<&'static str, String>,
    order: Vec<&'static str>,
    args: Vec<String>,
}

/// Why options are none. In the words of zkCli, without the Java class before them.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub(super) enum BadFlag {
    #[error("Unrecognized option: {0}")]
    Unknown(String),
    #[error("Missing argument for option: {0}")]
    NoValue(&'static str),
    #[error(
        "The option '{second}' was specified but an option from this group has already been selected: '{first}'"
    )]
    Both { first: &'static str, second: &'static str },
}

impl Given {
    /// Sorts the words behind a command's name. Options may stand anywhere; letters may be joined (`-es`); a value may follow
    /// its letter at once (`-v3`); `--` ends the options; a negative number is no option.
    pub(super) fn parse(flags: &[Flag], words: &[String]) -> Result<Self, BadFlag> {
        let mut given = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.strip_prefix('-') {
                None | Some("") => given.args.push(word.clone()),
                Some("-") => given.args.extend(words.by_ref().cloned()),
                Some(name) => match flags.iter().find(|flag| flag.name == name) {
                    Some(flag) => given.take(*flag, &mut words, flags)?,
                    None if name.parse::<f64>().is_ok() => given.args.push(word.clone()),
                    None => given.take_joined(word, name, &mut words, flags)?,
                },
            }
        }
        Ok(given)
    }

    /// Refuses two options of one group.
    pub(super) fn at_most_one(&self, group: &[&str]) -> Result<(), BadFlag> {
        let mut among = self.order.iter().filter(|name| group.contains(name));
        match (among.next(), among.next()) {
            (Some(first), Some(second)) => Err(BadFlag::Both { first, second }),
            _ => Ok(()),
        }
    }

    /// Whether the option was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// The option's value.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// What is no option, from 0.
    pub(super) fn arg(&self, index: usize) -> Option<&str> {
        self.args.get(index).map(String::as_str)
    }

    /// How much is no option.
    pub(super) fn args(&self) -> usize {
        self.args.len()
    }

    fn take<'a>(
        &mut self,
        flag: Flag,
        words: &mut (impl Iterator<Item = &'a String> + Clone),
        flags: &[Flag],
    ) -> Result<(), BadFlag> {
        let value = if flag.takes_value {
            let is_flag = |word: &str| {
                word.strip_prefix('-').is_some_and(|name| flags.iter().any(|flag| flag.name == name))
            };
            match words.clone().next() {
                Some(word) if !is_flag(word) => words.next().cloned().unwrap_or_default(),
                _ => return Err(BadFlag::NoValue(flag.name)),
            }
        } else {
            String::new()
        };
        self.note(flag.name, value);
        Ok(())
    }

    fn take_joined<'a>(
        &mut self,
        word: &str,
        letters: &str,
        words: &mut (impl Iterator<Item = &'a String> + Clone),
        flags: &[Flag],
    ) -> Result<(), BadFlag> {
        for (at, letter) in letters.char_indices() {
            let mut buffer = [0; 4];
            let name: &str = letter.encode_utf8(&mut buffer);
            let Some(flag) = flags.iter().find(|flag| flag.name == name).copied() else {
                return Err(BadFlag::Unknown(word.to_owned()));
            };
            let rest = letters.get(at + letter.len_utf8()..).unwrap_or_default();
            if flag.takes_value && !rest.is_empty() {
                self.note(flag.name, rest.to_owned());
                return Ok(());
            }
            self.take(flag, words, flags)?;
        }
        Ok(())
    }

    fn note(&mut self, name: &'static str, value: String) {
        if self.options.insert(name, value).is_none() {
            self.order.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[switch("s"), switch("e"), valued("v"), valued("add")];

    fn parse(words: &str) -> Result<Given, BadFlag> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Given::parse(FLAGS, &words)
    }

    #[test]
    fn options_stand_anywhere() {
        for words in ["-s -v 3 /a b", "/a -s b -v 3", "/a b -sv 3", "/a b -v3 -s", "-sv3 -- /a b"] {
            let given = parse(words).unwrap();
            assert_eq!(
                (given.has("s"), given.has("e"), given.value("v")),
                (true, false, Some("3")),
                "{words}"
            );
            assert_eq!((given.arg(0), given.arg(1), given.args()), (Some("/a"), Some("b"), 2), "{words}");
        }
        assert_eq!(parse("-add server.1=a:1:2 -v -1").unwrap().value("v"), Some("-1"));
    }

    #[test]
    fn what_only_looks_like_an_option_is_none() {
        let given = parse("/a -5 - -- -s").unwrap();
        assert_eq!((given.arg(1), given.arg(2), given.arg(3)), (Some("-5"), Some("-"), Some("-s")));
        assert!(!given.has("s"));
    }

    #[test]
    fn unknown_options_and_missing_values_are_named() {
        assert_eq!(parse("-x /a").unwrap_err().to_string(), "Unrecognized option: -x");
        assert_eq!(parse("-sx /a").unwrap_err().to_string(), "Unrecognized option: -sx");
        assert_eq!(parse("/a -v").unwrap_err().to_string(), "Missing argument for option: v");
        assert_eq!(parse("-v -s /a").unwrap_err().to_string(), "Missing argument for option: v");
    }

    #[test]
    fn two_of_a_group_are_refused_in_the_order_given() {
        let both = parse("-e -s").unwrap().at_most_one(&["s", "e"]).unwrap_err();
        assert_eq!(
            both.to_string(),
            "The option 's' was specified but an option from this group has already been selected: 'e'"
        );
        assert_eq!(parse("-e -v 1").unwrap().at_most_one(&["s", "e"]), Ok(()));
    }
}
