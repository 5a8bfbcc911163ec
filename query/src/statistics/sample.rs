use super::{Z, ln_binomial};

/// Whole numbers, ascending, each with how often it occurs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    counts: Vec<(u64, u64)>,
    size: u64,
}

/// An interval of 95 %; an end that the numbers do not bound is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
}

impl Sample {
    /// `counts` must ascend.
    pub(crate) fn new(counts: Vec<(u64, u64)>) -> Self {
        debug_assert!(counts.is_sorted_by(|a, b| a.0 < b.0));
        let size = counts.iter().map(|(_, count)| count).sum();
        Self { counts, size }
    }

    pub(crate) fn counts(&self) -> &[(u64, u64)] {
        &self.counts
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The number of this rank, from 1 on.
    fn of_rank(&self, rank: u64) -> Option<u64> {
        let mut below = 0;
        self.counts.iter().find_map(|(number, count)| {
            below += count;
            (below >= rank).then_some(*number)
        })
    }

    /// The smallest number that at least `percent` of all do not exceed: the quantile that `/v1/timeseries` shows, too.
    pub(crate) fn percentile(&self, percent: u32) -> Option<u64> {
        let rank = (u128::from(self.size) * u128::from(percent)).div_ceil(100).max(1);
        self.of_rank(rank as u64)
    }

    /// The interval of at least 95 % for a quantile of what the sample was drawn from, by order statistics (Conover,
    /// "Practical Nonparametric Statistics", 3rd edition, 1999, chapter 3.2): it holds whatever the distribution. A sample
    /// that is too small for a far quantile leaves that side open.
    pub(crate) fn percentile_interval(&self, percent: u32) -> Interval {
        let (low, high) = order_ranks(self.size, f64::from(percent) / 100.0);
        let number = |rank: Option<u64>| rank.and_then(|rank| self.of_rank(rank)).map(|number| number as f64);
        Interval { low: number(low), high: number(high) }
    }

    /// The interval of 95 % for the difference of a quantile, `candidate - self`, from the intervals of both (MOVER: Zou
    /// and Donner, "Construction of confidence limits about effect measures", Stat. Med. 27, 2008): Newcombe's interval
    /// is the same step, for proportions.
    pub(crate) fn percentile_difference(&self, candidate: &Self, percent: u32) -> Interval {
        let (Some(base), Some(other)) = (self.percentile(percent), candidate.percentile(percent)) else {
            return Interval::default();
        };
        let (base, other) = (base as f64, other as f64);
        let (of_base, of_other) = (self.percentile_interval(percent), candidate.percentile_interval(percent));
        let reach = |a: Option<f64>, b: Option<f64>| Some((other - a?).hypot(base - b?));
        Interval {
            low: reach(of_other.low, of_base.high).map(|reach| other - base - reach),
            high: reach(of_other.high, of_base.low).map(|reach| other - base + reach),
        }
    }
}

/// The ranks of the order statistics between which the quantile lies with at least 95 %, at most 2.5 % on either side.
fn order_ranks(size: u64, quantile: f64) -> (Option<u64>, Option<u64>) {
    // How many numbers lie at or below the quantile is binomial. The rank `l` is low enough when fewer than `l` are there
    // with at most 2.5 %.
    let low = below_tail(size, quantile);
    // The same from above: the numbers at or above it, counted from the top.
    let high = below_tail(size, 1.0 - quantile).map(|from_top| size + 1 - from_top);
    (low, high)
}

/// The greatest `l` of `1..=size` for which a binomial number is below `l` with at most 2.5 %.
fn below_tail(size: u64, chance: f64) -> Option<u64> {
    const TAIL: f64 = 0.025;
    let mean = size as f64 * chance;
    let spread = (mean * (1.0 - chance)).sqrt();
    // Ten standard deviations below the mean there is nothing left to add up.
    let first = (mean - 10.0 * Z * spread - 20.0).max(0.0) as u64;
    let ln = ln_binomial(size, first) + first as f64 * chance.ln() + (size - first) as f64 * (1.0 - chance).ln();
    let mut likely = ln.exp();
    let mut below = 0.0;
    let mut rank = first;
    // `below` is how likely fewer than `rank` are.
    while rank < size && below + likely <= TAIL {
        below += likely;
        likely *= (size - rank) as f64 / (rank + 1) as f64 * chance / (1.0 - chance);
        rank += 1;
    }
    (rank > 0).then_some(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(numbers: impl IntoIterator<Item = u64>) -> Sample {
        let mut numbers: Vec<_> = numbers.into_iter().collect();
        numbers.sort_unstable();
        Sample::new(numbers.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect())
    }

    #[test]
    fn percentiles_are_numbers_of_the_sample() {
        let numbers = sample([5, 1, 1, 9, 7]);
        assert_eq!([0, 20, 40, 41, 50, 80, 95, 100].map(|p| numbers.percentile(p).unwrap()), [1, 1, 1, 5, 5, 7, 9, 9]);
        assert_eq!(sample([]).percentile(50), None);
    }

    #[test]
    fn a_far_quantile_of_a_small_sample_is_open() {
        let fifty = sample(1..=50);
        assert_eq!(fifty.percentile_interval(95), Interval { low: Some(44.0), high: None });
        assert_eq!(fifty.percentile_interval(50), Interval { low: Some(18.0), high: Some(33.0) });
        assert_eq!(fifty.percentile_difference(&sample(1..=2000), 95).low, None);
        assert_eq!(sample([]).percentile_difference(&fifty, 50), Interval::default());
    }

    #[test]
    fn large_samples_narrow_it_down() {
        let interval = sample(1..=1_000_000).percentile_interval(95);
        // 950,000 and 1.96 times 218, to either side.
        assert!((interval.low.unwrap() - 949_573.0).abs() < 3.0, "{interval:?}");
        assert!((interval.high.unwrap() - 950_428.0).abs() < 3.0, "{interval:?}");
    }
}
