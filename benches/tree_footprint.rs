//! What a million nodes cost in memory, and the longest pauses: `cargo bench --bench tree_footprint`.
//!
//! Memory is the growth of the process's resident set (Linux), so the allocator's own overhead is in it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate::tree::{Tree, TreeLimits, TreeRestore};
use quorate::types::{Acl, Caller, Lifetime, Read, SessionId, Txn, WallTime, ZnodePath, Zxid};

const NODES: u64 = 1_000_000;
const DIRECTORIES: u64 = 1_000;
const DATA: [u8; 100] = [7; 100];

fn main() {
    let mut changes = Vec::new();
    let before = resident();
    let mut tree = Tree::new(TreeLimits::default());
    let mut longest_create = Duration::ZERO;
    let begun = now();
    for node in 0..NODES + DIRECTORIES {
        let path = match node.checked_sub(DIRECTORIES) {
            None => format!("/d{node}"),
            Some(node) => format!("/d{}/node-{node:07}", node % DIRECTORIES),
        };
        let txn = Txn::Create {
            path: ZnodePath::parse(path).expect("a path"),
            data: Some(Bytes::from_static(&DATA)),
            acl: Acl::open(),
            lifetime: Lifetime::Persistent,
        };
        longest_create = longest_create.max(apply(&mut tree, node, &txn, &mut changes));
    }
    println!("a million creates, applied: {:?}, the longest {longest_create:?}", begun.elapsed());
    println!("per znode: {} bytes resident", per_node(before));

    let caller = Caller { session: SessionId::NONE, identities: Vec::new() };
    for node in 0..NODES {
        let path = format!("/d{}/node-{node:07}", node % DIRECTORIES);
        let found = tree.read(&caller, &Read::Get { path: path.into() }).expect("it is there");
        std::hint::black_box(found);
    }
    println!("per znode, each read once: {} bytes resident", per_node(before));

    let begun = now();
    tree.begin_snapshot();
    let begin = begun.elapsed();
    let (mut longest_chunk, mut longest_set, mut bytes, mut chunks) =
        (Duration::ZERO, Duration::ZERO, 0, Vec::new());
    let mut node = 0;
    loop {
        let begun = now();
        let Some(chunk) = tree.next_snapshot_chunk(1 << 18) else { break };
        longest_chunk = longest_chunk.max(begun.elapsed());
        bytes += chunk.len();
        chunks.push(chunk);
        for _ in 0..200 {
            node = (node + 7_919) % NODES;
            let path = format!("/d{}/node-{node:07}", node % DIRECTORIES);
            let path = ZnodePath::parse(path).expect("a path");
            let txn = Txn::SetData { path, data: Some(Bytes::from_static(&DATA)), version: 1 };
            longest_set = longest_set.max(apply(&mut tree, NODES * 2, &txn, &mut changes));
        }
    }
    println!(
        "snapshot of {bytes} bytes in {} chunks, 200 sets between two: {:?}",
        chunks.len(),
        begun.elapsed()
    );
    println!("begin: {begin:?}; the longest chunk: {longest_chunk:?}; the longest set: {longest_set:?}");

    drop(tree);
    let begun = now();
    let mut restore = TreeRestore::new(TreeLimits::default());
    for chunk in &chunks {
        restore.feed(chunk).expect("it is sound");
    }
    let tree = restore.finish().expect("it is whole");
    println!("restore: {:?}, {} nodes", begun.elapsed(), tree.len());
}

fn apply(tree: &mut Tree, number: u64, txn: &Txn, changes: &mut Vec<quorate::types::Change>) -> Duration {
    changes.clear();
    let begun = now();
    tree.apply(Zxid::from_u64(1 << 32 | number), SessionId::NONE, WallTime::from_millis(1), txn, changes)
        .expect("it fits");
    begun.elapsed()
}

fn per_node(before: u64) -> u64 {
    resident().saturating_sub(before) / NODES
}

/// Bytes of memory in use, or 0 where there is no `/proc`.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).map_or(0, |pages| pages * 4096)
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
fn now() -> Instant {
    Instant::now()
}
