use hashbrown::HashTable;

/// How many parts the set has: each grows by itself, so that growing never needs the memory twice.
const PARTS: usize = 256;

/// States that were met, 128 bits of hash each and nothing else.
pub(super) struct Seen {
    parts: Vec<HashTable<u128>>,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| HashTable::new()).collect() }
    }

    /// Whether it was not there before.
    pub(super) fn insert(&mut self, print: u128) -> bool {
        let Some(part) = self.parts.get_mut(part_of(print)) else { return false };
        let known = part.find(hash_of(print), |other| *other == print).is_some();
        if !known {
            part.insert_unique(hash_of(print), print, |other| hash_of(*other));
        }
        !known
    }

    pub(super) fn contains(&self, print: u128) -> bool {
        let part = self.parts.get(part_of(print));
        part.is_some_and(|part| part.find(hash_of(print), |other| *other == print).is_some())
    }
}

/// The lowest byte, which is no part of the hash within the part.
const fn part_of(print: u128) -> usize {
    (print & 0xff) as usize
}

const fn hash_of(print: u128) -> u64 {
    (print >> 64) as u64
}
