use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{Entry, Problem, Properties, Warning, keys};

/// The settings of a file while they are read: each is taken once, and what nobody takes is judged at the end.
#[derive(Debug)]
pub(super) struct Settings {
    file: Arc<str>,
    /// The last entry of each key, which is the one that counts.
    entries: BTreeMap<String, Entry>,
    taken: BTreeSet<String>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Settings {
    pub(super) fn new(file: &str, properties: &Properties) -> Self {
        let mut warnings = Vec::new();
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for entry in properties.entries() {
            if let Some(earlier) = entries.insert(entry.key.clone(), entry.clone()) {
                let text = format!(
                    "`{}` is set here and in line {}; this one counts",
                    entry.key, earlier.place.line
                );
                warnings.push(Warning { place: Some(entry.place.clone()), text });
            }
        }
        Self { file: file.into(), entries, taken: BTreeSet::new(), problems: Vec::new(), warnings }
    }

    pub(super) fn file(&self) -> &Arc<str> {
        &self.file
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(super) fn warn(&mut self, entry: &Entry, text: impl Into<String>) {
        self.warnings.push(Warning { place: Some(entry.place.clone()), text: text.into() });
    }

    pub(super) fn warn_all(&mut self, text: impl Into<String>) {
        self.warnings.push(Warning { place: None, text: text.into() });
    }

    /// The setting, if it is there and not empty.
    pub(super) fn entry(&mut self, key: &str) -> Option<Entry> {
        let entry = self.entries.get(key)?;
        self.taken.insert(key.to_owned());
        (!entry.value.is_empty()).then(|| entry.clone())
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.entry(key).map(|entry| entry.value)
    }

    /// All settings `prefix.<rest>`, with the rest.
    pub(super) fn family(&mut self, prefix: &str) -> Vec<(String, Entry)> {
        let of_family = |key: &String| key.strip_prefix(prefix)?.strip_prefix('.').map(str::to_owned);
        let found: Vec<_> =
            self.entries.iter().filter_map(|(key, entry)| Some((of_family(key)?, entry.clone()))).collect();
        self.taken.extend(found.iter().map(|(_, entry)| entry.key.clone()));
        found
    }

    /// A whole number within `range`, counted in `unit`.
    pub(super) fn number(
        &mut self,
        key: &str,
        unit: &str,
        range: RangeInclusive<i64>,
    ) -> Option<(i64, Entry)> {
        let entry = self.entry(key)?;
        let (least, most) = (*range.start(), *range.end());
        match entry.value.parse::<i64>() {
            Ok(number) if range.contains(&number) => Some((number, entry)),
            Ok(_) => {
                let write = format!("write {unit} from {least} to {most}");
                self.problem(Problem::at(&entry, "out of range", write));
                None
            }
            Err(_) => {
                let write = format!("write {unit}, such as {key}={}", keys::example(key).unwrap_or("1"));
                self.problem(Problem::at(&entry, "not a whole number", write));
                None
            }
        }
    }

    /// As [`number`](Self::number), for those that cannot be negative.
    pub(super) fn count(&mut self, key: &str, unit: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let (number, _) = self.number(key, unit, (*range.start()).into()..=(*range.end()).into())?;
        u32::try_from(number).ok()
    }

    pub(super) fn port(&mut self, key: &str) -> Option<u16> {
        let (number, _) = self.number(key, "a port", 0..=65_535)?;
        u16::try_from(number).ok()
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let entry = self.entry(key)?;
        match flag(&entry.value) {
            Some(flag) => Some(flag),
            None => {
                self.problem(Problem::at(
                    &entry,
                    "neither true nor false",
                    format!("write {key}=true or {key}=false"),
                ));
                None
            }
        }
    }

    /// Judges what nobody has taken; gives what was found wrong and what is to be said, in the order of the lines.
    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<Warning>) {
        for (key, entry) in &self.entries {
            if self.taken.contains(key) {
                continue;
            }
            match keys::judge(key, &entry.value) {
                keys::Judgement::Warn(text) => {
                    self.warnings.push(Warning { place: Some(entry.place.clone()), text });
                }
                keys::Judgement::Refuse { wrong, write } => {
                    self.problems.push(Problem::at(entry, wrong, write));
                }
            }
        }
        // What is missing comes last.
        self.problems.sort_by_key(|problem| (problem.line.is_none(), problem.line));
        self.warnings.sort_by_key(|warning| warning.place.as_ref().map(|place| place.line));
        (self.problems, self.warnings)
    }
}

/// `true` and `yes`, `false` and `no`, in any case; ZooKeeper takes the one or the other, depending on the key.
pub(super) fn flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}
