//! How often something was how large, for whoever watches the log: counts in fixed buckets, read at any time.

use std::sync::atomic::{AtomicU64, Ordering};

/// Whole numbers that were observed, counted by size. Observing is two additions, without a lock.
#[derive(Debug)]
pub struct Buckets {
    /// Ascending; each is the largest number of its bucket.
    bounds: &'static [u64],
    /// One more than there are bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// [`Buckets`] at one moment. The counts may be ahead of `sum` by the numbers that came meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketCounts {
    /// Each with how many numbers were at most so large.
    pub at_most: Vec<(u64, u64)>,
    /// How many there were.
    pub count: u64,
    /// What they add up to.
    pub sum: u64,
}

impl Buckets {
    /// Buckets up to each of `bounds`, which ascend, and one for everything larger.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts one number.
    pub fn observe(&self, number: u64) {
        let bucket = self.bounds.partition_point(|&bound| bound < number);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(number, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> BucketCounts {
        let sum = self.sum.load(Ordering::Relaxed);
        let mut count = 0;
        let mut add = |counted: &AtomicU64| {
            count += counted.load(Ordering::Relaxed);
            count
        };
        let at_most = self.bounds.iter().zip(&self.counts).map(|(&bound, counted)| (bound, add(counted))).collect();
        let count = add(&self.counts[self.bounds.len()]);
        BucketCounts { at_most, count, sum }
    }
}

/// The groups that a log has committed since it was opened.
#[derive(Debug)]
pub struct Groups {
    /// How many batches each had.
    pub batches: Buckets,
    /// How many bytes of payload each had.
    pub bytes: Buckets,
    /// How long each fdatasync took, in µs. In `SyncMode::Interval` a sync covers many groups.
    pub sync_micros: Buckets,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            batches: Buckets::new(&[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]),
            bytes: Buckets::new(&[1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20]),
            sync_micros: Buckets::new(&[
                50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
            ]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_counts_in_every_bucket_that_is_as_large() {
        let buckets = Buckets::new(&[1, 10, 100]);
        for number in [0, 1, 2, 10, 11, 1000] {
            buckets.observe(number);
        }
        let read = buckets.read();
        assert_eq!(read, BucketCounts { at_most: vec![(1, 2), (10, 4), (100, 5)], count: 6, sum: 1024 });
    }
}
