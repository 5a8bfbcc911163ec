use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use uuid::Uuid;

/// Bits of memory a key.
const BITS_PER_KEY: u64 = 24;
/// One block is one cache line.
const BLOCK_WORDS: usize = 8;
/// Keys that the first layer takes; each further one takes twice as many.
const FIRST_LAYER_KEYS: u64 = 1 << 16;
/// More layers than memory could hold.
const LAYERS: usize = 32;

/// A set of run ids that may say yes wrongly (about once in ten thousand), but never no: an id that it does not
/// know is answered from memory.
///
/// A blocked Bloom filter (Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters") that grows by
/// layers. The hash is keyed anew in each process, so that ids cannot be chosen to collide.
pub(crate) struct RunIdFilter {
    key: RandomState,
    /// The ids that were in the index when it was opened; filled in the background.
    base: Layer,
    base_ready: AtomicBool,
    /// The ids since.
    layers: [OnceLock<Layer>; LAYERS],
    inserted: AtomicU64,
}

impl RunIdFilter {
    /// An empty filter that expects `base_keys` ids through [`insert_base`](Self::insert_base), and says yes to
    /// everything until [`base_is_ready`](Self::base_is_ready).
    pub(crate) fn new(base_keys: u64) -> Self {
        Self {
            key: RandomState::new(),
            base: Layer::new(base_keys),
            base_ready: AtomicBool::new(base_keys == 0),
            layers: [const { OnceLock::new() }; LAYERS],
            inserted: AtomicU64::new(0),
        }
    }

    /// The keyed hash of an id, for the other calls.
    pub(crate) fn hash(&self, run_id: Uuid) -> u64 {
        self.key.hash_one(run_id.as_bytes())
    }

    /// Whether the id may be in the set.
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        !self.base_ready.load(Ordering::Acquire)
            || self.base.contains(hash)
            || self.layers.iter().map_while(OnceLock::get).any(|layer| layer.contains(hash))
    }

    /// Puts an id of the opened index into the set.
    pub(crate) fn insert_base(&self, hash: u64) {
        self.base.insert(hash);
    }

    /// Says that every id of the opened index is in the set.
    pub(crate) fn base_is_ready(&self) {
        self.base_ready.store(true, Ordering::Release);
    }

    /// Puts an id into the set. Only one thread may call this.
    pub(crate) fn insert(&self, hash: u64) {
        let count = self.inserted.fetch_add(1, Ordering::Relaxed);
        // Layer n holds FIRST << n keys: the layers below it hold FIRST * (2^n - 1).
        let at = (count / FIRST_LAYER_KEYS + 1).ilog2() as usize;
        let layer = self.layers[at.min(LAYERS - 1)].get_or_init(|| Layer::new(FIRST_LAYER_KEYS << at));
        layer.insert(hash);
    }
}

struct Layer {
    words: Box<[AtomicU64]>,
}

impl Layer {
    fn new(keys: u64) -> Self {
        let blocks = if keys == 0 { 0 } else { (keys * BITS_PER_KEY).div_ceil(64 * BLOCK_WORDS as u64).max(1) };
        Self { words: (0..blocks as usize * BLOCK_WORDS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The block of a hash, and the bits in it: one in each word.
    fn block(&self, hash: u64) -> Option<(&[AtomicU64], u64)> {
        let blocks = self.words.len() / BLOCK_WORDS;
        if blocks == 0 {
            return None;
        }
        let at = ((u128::from(hash) * blocks as u128) >> 64) as usize * BLOCK_WORDS;
        // The high bits chose the block: mix, so that the bits in it do not follow from the choice.
        let bits = (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some((&self.words[at..at + BLOCK_WORDS], bits))
    }

    fn contains(&self, hash: u64) -> bool {
        let Some((block, bits)) = self.block(hash) else { return false };
        block.iter().enumerate().all(|(n, word)| word.load(Ordering::Relaxed) >> bit(bits, n) & 1 == 1)
    }

    fn insert(&self, hash: u64) {
        let Some((block, bits)) = self.block(hash) else { return };
        for (n, word) in block.iter().enumerate() {
            word.fetch_or(1 << bit(bits, n), Ordering::Relaxed);
        }
    }
}

/// Six bits for the word `n` of a block.
fn bit(bits: u64, n: usize) -> u32 {
    (bits >> (8 * n) & 63) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_forgets_and_is_seldom_wrong() {
        let filter = RunIdFilter::new(0);
        let hash = |n: u64| filter.hash(Uuid::from_u128(u128::from(n)));
        let keys = 3 * FIRST_LAYER_KEYS + 5;
        for n in 0..keys {
            filter.insert(hash(n));
        }
        assert!((0..keys).all(|n| filter.may_contain(hash(n))));
        let wrong = (keys..keys + 200_000).filter(|&n| filter.may_contain(hash(n))).count();
        assert!(wrong < 200, "{wrong} of 200000 unknown ids");
    }

    #[test]
    fn it_says_yes_until_the_opened_index_was_read() {
        let filter = RunIdFilter::new(2);
        let hash = |n: u128| filter.hash(Uuid::from_u128(n));
        assert!(filter.may_contain(hash(1)) && filter.may_contain(hash(3)));
        filter.insert_base(hash(1));
        filter.insert_base(hash(2));
        filter.base_is_ready();
        assert!(filter.may_contain(hash(1)) && filter.may_contain(hash(2)) && !filter.may_contain(hash(3)));
    }
}
