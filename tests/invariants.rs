//! The table of invariants is kept true: each is checked somewhere, by files and with tests that are there.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod tables;

use std::fs;

use tables::{root, tests};

/// How many invariants are numbered.
const INVARIANTS: usize = 42;

/// A row of the table.
struct Row {
    /// None for those that are ours.
    number: Option<usize>,
    name: String,
    files: Vec<String>,
    tests: Vec<String>,
    /// The line.
    text: String,
}

fn rows() -> Vec<Row> {
    let table = fs::read_to_string(root().join("docs/invariants.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1).map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let list = |cell: &str| {
            let names = cell.split(',').map(|name| name.trim().trim_matches('`').to_owned());
            names.filter(|name| !name.is_empty()).collect()
        };
        let number = (cells[1] != "–").then(|| cells[1].parse().unwrap());
        let (name, text) = (cells[2].to_owned(), line.to_owned());
        Row { number, name, files: list(cells[4]), tests: list(cells[5]), text }
    });
    rows.collect()
}

/// The names and the texts of the files with one invariant each.
fn files() -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join("src/sim/check/invariant")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| name != "mod.rs").map(|name| format!("check/invariant/{name}"));
    let with_text = names.map(|name| {
        let text = fs::read_to_string(root().join("src/sim").join(&name)).unwrap();
        (name, text)
    });
    with_text.collect()
}

#[test]
fn every_invariant_is_checked_somewhere_and_has_tests_and_they_exist() {
    let (known, rows) = (tests(), rows());
    let mut numbers: Vec<_> = rows.iter().filter_map(|row| row.number).collect();
    assert!(numbers.is_sorted(), "they are in order");
    numbers.dedup();
    assert!(numbers.into_iter().eq(1..=INVARIANTS), "each has a row");
    for Row { name, files, tests, .. } in rows {
        assert!(!files.is_empty() && !tests.is_empty(), "{name} is checked nowhere, or has no test");
        for file in files {
            assert!(root().join("src/sim").join(&file).is_file(), "{name} names `{file}`, which is no file");
        }
        for test in tests {
            assert!(known.contains(&test), "{name} names `{test}`, which is no test");
        }
    }
}

#[test]
fn every_file_of_an_invariant_is_in_the_table_with_the_name_that_it_reports() {
    let rows = rows();
    for (file, text) in files() {
        let reports = text.split("fn name").nth(1).and_then(|rest| rest.split('"').nth(1)).unwrap();
        let mut naming = rows.iter().filter(|row| row.files.contains(&file));
        assert!(naming.any(|row| row.text.contains(reports)), "no row that names `{file}` says `{reports}`");
    }
}

#[test]
fn every_file_of_an_invariant_gives_its_source() {
    for (file, text) in files() {
        let docs: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("/// ")).collect();
        let docs = docs.join(" ");
        let sources = ["ZAB paper", "TLA+ specification", "ZOOKEEPER-", "ZooKeeper: `", "Contract of `"];
        let said = sources.iter().any(|source| docs.contains(&format!("({source}")));
        assert!(said, "`{file}` does not say where the invariant comes from");
    }
}
