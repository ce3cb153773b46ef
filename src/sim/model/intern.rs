use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::HashMap;
use twox_hash::XxHash3_64;

/// Gives equal values one number, so that a state made of many of them is a few numbers.
///
/// Values are told apart by 128 bits of hash: of a hundred million of them two that differ would be taken for one with a
/// probability of about one in 10^23.
pub(super) struct Interner<T> {
    numbers: HashMap<u128, u32>,
    values: Vec<Arc<T>>,
}

impl<T: Hash> Interner<T> {
    pub(super) fn new() -> Self {
        Self { numbers: HashMap::new(), values: Vec::new() }
    }

    /// The number of this value; the first one is 0.
    pub(super) fn number(&mut self, value: T) -> u32 {
        let values = &mut self.values;
        *self.numbers.entry(fingerprint(&value)).or_insert_with(|| {
            values.push(Arc::new(value));
            u32::try_from(values.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// The value of a number that was given out.
    #[expect(
        clippy::indexing_slicing,
        reason = "numbers come from this table and nothing is ever removed from it"
    )]
    pub(super) fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    /// The same, to be kept.
    #[expect(
        clippy::indexing_slicing,
        reason = "numbers come from this table and nothing is ever removed from it"
    )]
    pub(super) fn value(&self, number: u32) -> Arc<T> {
        Arc::clone(&self.values[number as usize])
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

/// 128 bits that stand for a value.
pub(super) fn fingerprint(value: &(impl Hash + ?Sized)) -> u128 {
    let mut bytes = Bytes(Vec::with_capacity(512));
    value.hash(&mut bytes);
    both_halves(&bytes.0)
}

/// 128 bits that stand for a state.
pub(super) fn fingerprint_of_numbers(numbers: &[u32]) -> u128 {
    let mut bytes = [0_u8; 256];
    if numbers.len() * 4 > bytes.len() {
        return fingerprint(numbers);
    }
    for (slot, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        slot.copy_from_slice(&number.to_le_bytes());
    }
    let used = bytes.get(..numbers.len() * 4).unwrap_or_default();
    both_halves(used)
}

fn both_halves(bytes: &[u8]) -> u128 {
    let half = |seed| u128::from(XxHash3_64::oneshot_with_seed(seed, bytes));
    half(1) << 64 | half(0x5eed_0f7e_57ed)
}

/// What a value gives to be hashed.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        XxHash3_64::oneshot(&self.0)
    }
}
