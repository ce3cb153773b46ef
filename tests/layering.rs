//! The shape of the house, held: a room imports only from lower layers, the core is pure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every room and its layer. A room may use rooms of lower layers only.
const ROOMS: &[(&str, u8)] = &[
    ("types", 0),
    ("codec", 1),
    ("quorum", 2),
    ("tree", 2),
    ("session", 2),
    ("watch", 2),
    ("election", 3),
    ("zab", 3),
    ("peer", 4),
    ("storage", 5),
    ("transport", 5),
    ("node", 6),
    ("client", 7),
    ("protocol", 8),
    ("sim", 8),
];

/// The highest layer that decides and so must be a pure function of its inputs.
const LAST_PURE_LAYER: u8 = 4;

/// Words that the pure layers never say: clocks, entropy, threads, files, sockets, async, and the standard hash maps, whose
/// order is random. (Those of `hashbrown` are for look-ups; whoever uses one says so beside it.)
const IMPURE: &[&str] = &[
    "std::time::Instant",
    "SystemTime",
    "std::thread",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::sync::Mutex",
    "std::sync::atomic",
    "async fn",
    "async_trait",
    "futures::",
    "tokio",
    "getrandom",
    "RandomState",
    "collections::HashMap",
    "collections::HashSet",
    "collections::{HashMap",
    "println!",
    "tracing::",
];

fn sources(room: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let file = src.join(format!("{room}.rs"));
    if file.exists() {
        return vec![file];
    }
    let mut found = Vec::new();
    let mut folders = vec![src.join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"))
}

#[test]
fn every_room_is_in_the_table() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(
            name == "lib" || ROOMS.iter().any(|(room, _)| *room == name),
            "{name} has no layer; add it to ROOMS and to ARCHITECTURE.md"
        );
    }
}

#[test]
fn every_room_says_its_layer() {
    for (room, layer) in ROOMS {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let file = src.join(format!("{room}.rs"));
        let file = if file.exists() { file } else { src.join(room).join("mod.rs") };
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(&format!("//! Layer {layer}: ")), "{} is of layer {layer}", file.display());
    }
}

#[test]
fn a_room_imports_only_from_lower_layers() {
    for (room, layer) in ROOMS {
        for path in sources(room) {
            if is_test(&path) {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in code_lines(&text) {
                for (other, other_layer) in ROOMS {
                    let mentions = line.contains(&format!("crate::{other}::"))
                        || line.contains(&format!("crate::{other};"));
                    assert!(
                        !mentions || other == room || other_layer < layer,
                        "{}:{}: {room} (layer {layer}) uses {other} (layer {other_layer}): {line}",
                        path.display(),
                        number + 1
                    );
                }
            }
        }
    }
}

#[test]
fn what_decides_is_pure() {
    for (room, layer) in ROOMS {
        if *layer > LAST_PURE_LAYER {
            continue;
        }
        for path in sources(room) {
            if is_test(&path) {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for (number, line) in code_lines(code) {
                for word in IMPURE {
                    assert!(
                        !line.contains(word),
                        "{}:{}: {word} in the core: {line}",
                        path.display(),
                        number + 1
                    );
                }
            }
        }
    }
}

#[test]
fn bincode_is_named_in_one_file() {
    for (room, _) in ROOMS {
        for path in sources(room) {
            if *room == "codec" {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in code_lines(&text) {
                assert!(!line.contains("bincode"), "{}:{}: {line}", path.display(), number + 1);
            }
        }
    }
}
