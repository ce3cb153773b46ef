//! What a million nodes cost in memory, and the longest pauses: `cargo bench --bench tree_footprint`.
//!
//! Memory is the growth of the process's resident set (Linux), so the allocator's own overhead is in it. Spans and pauses are
//! processor time of the thread: what others do on a busy machine is not in them.

#![expect(clippy::expect_used, reason = "a measurement that fails may stop")]

#[path = "trio/pauses.rs"]
mod pauses;

use std::time::Duration;

use bytes::Bytes;
use quorate::tree::{Tree, TreeLimits, TreeRestore};
use quorate::types::{Acl, Caller, Change, Lifetime, Read, SessionId, Txn, WallTime, ZnodePath, Zxid};

use self::pauses::{Pauses, busy};

const NODES: u64 = 1_000_000;
const DIRECTORIES: u64 = 1_000;
const DATA: [u8; 100] = [7; 100];

fn main() {
    let mut changes = Vec::new();
    let mut creates = Pauses(vec![Duration::MAX; (NODES + DIRECTORIES) as usize]);
    creates.0.clear();
    let before = resident();
    let mut tree = Tree::new(TreeLimits::default());
    let begun = busy();
    for node in 0..NODES + DIRECTORIES {
        let path = match node.checked_sub(DIRECTORIES) {
            None => format!("/d{node}"),
            Some(node) => path_of(node),
        };
        let txn = Txn::Create {
            path: ZnodePath::parse(path).expect("a path"),
            data: Some(Bytes::from_static(&DATA)),
            acl: Acl::open(),
            lifetime: Lifetime::Persistent,
        };
        creates.measure(|| apply(&mut tree, node, &txn, &mut changes));
    }
    println!("a million creates, applied: {:?}; each: {creates}", busy() - begun);
    println!("per znode: {} bytes resident", per_node(before));

    let caller = Caller { session: SessionId::NONE, identities: Vec::new() };
    let begun = busy();
    for node in 0..NODES {
        let path = path_of(node).into();
        std::hint::black_box(tree.read(&caller, &Read::Get { path }).expect("it is there"));
    }
    println!("a million gets: {:?}", busy() - begun);
    println!("per znode, each read once: {} bytes resident", per_node(before));

    let begun = busy();
    tree.begin_snapshot();
    println!("begin of a snapshot: {:?}", busy() - begun);
    let (mut pieces, mut sets, mut chunks) = (Pauses::default(), Pauses::default(), Vec::new());
    let begun = busy();
    let mut node = 0;
    while let Some(chunk) = pieces.measure(|| tree.next_snapshot_chunk(1 << 18)) {
        chunks.push(chunk);
        for _ in 0..200 {
            node = (node + 7_919) % NODES;
            let path = ZnodePath::parse(path_of(node)).expect("a path");
            let txn = Txn::SetData { path, data: Some(Bytes::from_static(&DATA)), version: 1 };
            sets.measure(|| apply(&mut tree, NODES * 2, &txn, &mut changes));
        }
    }
    let bytes: usize = chunks.iter().map(Bytes::len).sum();
    println!("snapshot of {bytes} bytes, with 200 sets after each chunk: {:?}", busy() - begun);
    println!("each chunk: {pieces}; each set: {sets}");

    drop(tree);
    let begun = busy();
    let mut restore = TreeRestore::new(TreeLimits::default());
    for chunk in &chunks {
        restore.feed(chunk).expect("it is sound");
    }
    let fed = busy();
    let tree = restore.finish().expect("it is whole");
    println!("restore of {} nodes: fed in {:?}, finished in {:?}", tree.len(), fed - begun, busy() - fed);
}

fn path_of(node: u64) -> String {
    format!("/d{}/node-{node:07}", node % DIRECTORIES)
}

fn apply(tree: &mut Tree, number: u64, txn: &Txn, changes: &mut Vec<Change>) {
    changes.clear();
    let zxid = Zxid::from_u64((1 << 32) | number);
    tree.apply(zxid, SessionId::NONE, WallTime::from_millis(1), txn, changes).expect("it fits");
}

fn per_node(before: u64) -> u64 {
    resident().saturating_sub(before) / NODES
}

/// Bytes of memory in use, or 0 where there is no `/proc`.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).map_or(0, |pages| pages * 4096)
}
