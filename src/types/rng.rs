use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// What all chance in the core is drawn from: a generator seeded by the host (ChaCha with 12 rounds), so that a run repeats from its
/// seed, and unpredictable to those who do not know it, so that it serves for passwords.
#[derive(Clone, Debug)]
pub struct SeededRng(ChaCha12Rng);

impl SeededRng {
    /// The generator of this seed. In production the seed is 32 bytes of the operating system's entropy.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// The generator of a small seed, for tests and simulations.
    #[must_use]
    pub fn from_number(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, or 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 128-bit product: unbiased but for at most one part in 2^64 / bound.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True `numerator` times in `denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// Fills `bytes` with random ones.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A generator of its own, seeded by this one: draws from it do not disturb the draws from this one.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        Self::new(seed)
    }
}

#[cfg(any(test, feature = "sim"))]
impl std::hash::Hash for SeededRng {
    /// Equal for generators that will draw the same: so a model checker tells states apart that differ in nothing else.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.get_seed().hash(state);
        self.0.get_stream().hash(state);
        self.0.get_word_pos().hash(state);
    }
}
