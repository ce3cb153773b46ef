use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::{Entry, Place};

/// Something in a configuration that cannot be: where, what is wrong, and what to write instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file, for what is missing from all of it.
    pub file: Arc<str>,
    /// The line; none where something is missing.
    pub line: Option<usize>,
    /// The setting as it is written; none where something is missing.
    pub setting: Option<String>,
    /// What is wrong.
    pub wrong: String,
    /// What to write.
    pub write: String,
}

impl Problem {
    /// A setting that is wrong.
    pub(super) fn at(entry: &Entry, wrong: impl Into<String>, write: impl Into<String>) -> Self {
        Self {
            file: Arc::clone(&entry.place.file),
            line: Some(entry.place.line),
            setting: Some(format!("{}={}", entry.key, entry.value)),
            wrong: wrong.into(),
            write: write.into(),
        }
    }

    /// Something that is not there.
    pub(super) fn missing(file: &Arc<str>, wrong: impl Into<String>, write: impl Into<String>) -> Self {
        Self { file: Arc::clone(file), line: None, setting: None, wrong: wrong.into(), write: write.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(setting) = &self.setting {
            write!(f, ": {setting}")?;
        }
        write!(f, ": {}; {}", self.wrong, self.write)
    }
}

/// Something that is accepted, and that the operator should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// Where; none for what concerns the file as a whole.
    pub place: Option<Place>,
    /// What.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Why a configuration is refused: all that is wrong with it, in the order of the lines. Nothing was started.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{}", lines(.0))]
pub struct Refused(pub Vec<Problem>);

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
