/// Folds the course of a disk's calls into one number.
#[derive(Clone, Copy, Default)]
pub(super) struct Trace(u64);

impl Trace {
    pub(super) fn get(&self) -> u64 {
        self.0
    }

    pub(super) fn add(&mut self, numbers: &[u64]) {
        for number in numbers {
            // The step of SplitMix64: each number changes all that follows.
            self.0 = (self.0 ^ number).wrapping_add(0x9E37_79B9_7F4A_7C15);
            self.0 = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            self.0 ^= self.0 >> 27;
        }
    }

    pub(super) fn add_bytes(&mut self, bytes: &[u8]) {
        self.add(&[bytes.len() as u64, u64::from(crc32fast::hash(bytes))]);
    }
}
