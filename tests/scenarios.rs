//! The table of scenarios is kept true: each has tests, and each test that it names is there.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod tables;

use std::fs;

use tables::{root, tests};

/// How many scenarios there are.
const SCENARIOS: usize = 67;

/// The rows of the table: number, tests, remark.
fn rows() -> Vec<(usize, Vec<String>, String)> {
    let table = fs::read_to_string(root().join("docs/scenarios.md")).unwrap();
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
