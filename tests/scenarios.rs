//! The table of scenarios is kept true: each has tests, and each test that it names is there.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many scenarios there are.
const SCENARIOS: usize = 67;

/// The names of all tests: of each function that the line `#[test]`, or another attribute that ends so, stands above. And of the
/// properties, which stand in a macro.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("tests")];
    let mut names = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let (inner, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
        folders.extend(inner);
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
            let text = fs::read_to_string(file).unwrap();
            let mut lines = text.lines().map(str::trim);
            while let Some(line) = lines.next() {
                if line.starts_with("#[") && line.ends_with("test]") {
                    let function = lines.by_ref().find(|line| line.contains("fn ")).unwrap_or_default();
                    let name = function.split("fn ").nth(1).and_then(|rest| rest.split('(').next());
                    names.extend(name.map(str::to_owned));
                }
            }
        }
    }
    names
}

/// The rows of the table: number, tests, remark.
fn rows() -> Vec<(usize, Vec<String>, String)> {
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scenarios.md")).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| SCN-"));
    let rows = rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let tests = cells[2].split(',').map(|name| name.trim().trim_matches('`').to_owned());
        let tests = tests.filter(|name| !name.is_empty()).collect();
        (cells[0].parse().unwrap(), tests, cells[3].to_owned())
    });
    rows.collect()
}

#[test]
fn every_scenario_has_tests_and_they_exist() {
    let (known, rows) = (tests(), rows());
    assert!(rows.iter().map(|(number, ..)| *number).eq(1..=SCENARIOS), "each scenario has one row, in order");
    for (number, tests, _) in rows {
        assert!(!tests.is_empty(), "SCN-{number:02} has no test");
        for test in tests {
            assert!(known.contains(&test), "SCN-{number:02} names `{test}`, which is no test");
        }
    }
}

#[test]
fn every_test_of_a_scenario_is_in_the_table() {
    let rows = rows();
    for test in tests().iter().filter(|test| test.starts_with("scn_")) {
        let numbers = test.split('_').skip(1).map_while(|word| word.parse::<usize>().ok());
        for number in numbers {
            let (_, named, _) = &rows[number - 1];
            assert!(named.contains(test), "SCN-{number:02} does not name `{test}`");
        }
    }
}
