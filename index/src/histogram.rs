//! A histogram of whole numbers whose buckets widen with the numbers.
//!
//! Below 128 each number has its own bucket; above, each power of two is cut into 64 of equal width, and a bucket stands
//! for its middle. So a quantile is off by at most 1/128 of itself (0.8 %). Counts are signed and there is no minimum or
//! maximum, so what was added can be taken away again exactly.

/// Buckets of a power of two.
const PER_POWER: usize = 64;
/// Below this, numbers are exact.
const EXACT: u64 = 128;

/// How often numbers occur. Two are equal when they hold the same numbers, however they came to hold them.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// 64 buckets each, made when they are needed.
    parts: Vec<Option<Box<[i64; PER_POWER]>>>,
    total: i64,
}

impl Histogram {
    /// Adds `number` so many times; fewer than no times takes it away.
    pub fn add(&mut self, number: u64, times: i64) {
        self.add_to_bucket(bucket(number), times);
    }

    /// Adds so many numbers of a bucket, as [`bucket`] names it.
    pub(crate) fn add_to_bucket(&mut self, bucket: usize, times: i64) {
        let part = bucket / PER_POWER;
        if self.parts.len() <= part {
            self.parts.resize(part + 1, None);
        }
        self.parts[part].get_or_insert_with(|| Box::new([0; PER_POWER]))[bucket % PER_POWER] += times;
        self.total += times;
    }

    /// Adds all of another one.
    pub fn merge(&mut self, other: &Self) {
        if self.parts.len() < other.parts.len() {
            self.parts.resize(other.parts.len(), None);
        }
        for (part, added) in self.parts.iter_mut().zip(&other.parts) {
            if let Some(added) = added {
                let part = part.get_or_insert_with(|| Box::new([0; PER_POWER]));
                part.iter_mut().zip(added.iter()).for_each(|(count, added)| *count += added);
            }
        }
        self.total += other.total;
    }

    /// How many numbers there are.
    pub fn count(&self) -> i64 {
        self.total
    }

    /// The numbers that buckets stand for, ascending, with their counts; without those that have none.
    pub fn counts(&self) -> impl Iterator<Item = (u64, i64)> {
        self.buckets().map(|(bucket, count)| (middle(bucket), count))
    }

    /// The smallest number that at least `percent` of all numbers do not exceed; off by at most 0.8 %. `None` when there
    /// is no number.
    pub fn percentile(&self, percent: u32) -> Option<u64> {
        if self.total <= 0 {
            return None;
        }
        let rank = (i128::from(self.total) * i128::from(percent) + 99) / 100;
        let mut below = 0;
        let mut last = None;
        for (number, count) in self.counts() {
            below += i128::from(count);
            last = Some(number);
            if below >= rank.max(1) {
                break;
            }
        }
        last
    }

    /// The buckets that hold something, ascending, with their counts.
    fn buckets(&self) -> impl Iterator<Item = (usize, i64)> {
        let all = self.parts.iter().enumerate().flat_map(|(part, counts)| {
            let counts = counts.as_deref().map_or(&[][..], |counts| counts);
            counts.iter().enumerate().map(move |(at, count)| (part * PER_POWER + at, *count))
        });
        all.filter(|(_, count)| *count != 0)
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.total == other.total && self.buckets().eq(other.buckets())
    }
}

impl Eq for Histogram {}

/// The bucket of a number.
pub(crate) fn bucket(number: u64) -> usize {
    if number < EXACT {
        return number as usize;
    }
    let shift = 57 - number.leading_zeros();
    // The highest seven bits of the number, of which the first is always set.
    EXACT as usize + (shift as usize - 1) * PER_POWER + ((number >> shift) as usize - PER_POWER)
}

/// The number that a bucket stands for.
fn middle(bucket: usize) -> u64 {
    if bucket < EXACT as usize {
        return bucket as u64;
    }
    let shift = (bucket - EXACT as usize) / PER_POWER + 1;
    let highest = ((bucket - EXACT as usize) % PER_POWER + PER_POWER) as u64;
    (highest << shift) + (1 << (shift - 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers() -> impl Strategy<Value = Vec<u64>> {
        let number = prop_oneof![0..300_u64, 0..100_000_u64, any::<u64>(), Just(u64::MAX)];
        prop::collection::vec(number, 1..200)
    }

    fn exact(numbers: &mut [u64], percent: u32) -> u64 {
        numbers.sort_unstable();
        let rank = (numbers.len() * percent as usize).div_ceil(100).max(1);
        numbers[rank - 1]
    }

    #[test]
    fn small_numbers_are_exact_and_buckets_join() {
        for number in 0..EXACT {
            assert_eq!(middle(bucket(number)), number);
        }
        assert_eq!((bucket(127), bucket(128), bucket(129), bucket(130)), (127, 128, 128, 129));
        assert_eq!(Histogram::default().percentile(50), None);
    }

    proptest! {
        #[test]
        fn a_number_stands_near_its_bucket(number in any::<u64>()) {
            let off = middle(bucket(number)).abs_diff(number);
            prop_assert!(u128::from(off) * 128 <= u128::from(number), "{number} is off by {off}");
            prop_assert!(number == 0 || bucket(number - 1) <= bucket(number));
        }

        #[test]
        fn percentiles_are_near_the_exact_ones(mut numbers in numbers(), percent in prop::sample::select(vec![0_u32, 50, 95, 99, 100])) {
            let mut histogram = Histogram::default();
            numbers.iter().for_each(|number| histogram.add(*number, 1));
            let (found, exact) = (histogram.percentile(percent).unwrap(), exact(&mut numbers, percent));
            prop_assert!(u128::from(found.abs_diff(exact)) * 128 <= u128::from(exact), "{found}, not {exact}");
        }

        #[test]
        fn what_is_taken_away_was_never_there(kept in numbers(), gone in numbers()) {
            let (mut all, mut of_kept, mut of_gone) = (Histogram::default(), Histogram::default(), Histogram::default());
            kept.iter().for_each(|number| of_kept.add(*number, 1));
            gone.iter().for_each(|number| of_gone.add(*number, 1));
            all.merge(&of_gone);
            all.merge(&of_kept);
            gone.iter().for_each(|number| all.add(*number, -1));
            prop_assert_eq!(all.count(), kept.len() as i64);
            for percent in [1, 50, 99] {
                prop_assert_eq!(all.percentile(percent), of_kept.percentile(percent));
            }
            prop_assert_eq!(all, of_kept);
        }
    }
}
