use super::hypergeometric::Hypergeometric;
use super::sample::Interval;
use super::table::MIN_EXPECTED;
use super::{TestKind, Z, normal_p_value};

/// Up to so many on both sides together Fisher's test takes microseconds; beyond, it agrees with the score test.
const EXACT_UP_TO: u64 = 10_000;

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proportion {
    pub(crate) count: u64,
    pub(crate) of: u64,
}

impl Proportion {
    /// 0 of nothing.
    pub(crate) fn share(self) -> f64 {
        if self.of == 0 { 0.0 } else { self.count as f64 / self.of as f64 }
    }

    /// Wilson's score interval of 95 % ("Probable inference, the law of succession, and statistical inference", J. Am.
    /// Stat. Assoc. 22, 1927). `of` must not be 0.
    fn wilson(self) -> (f64, f64) {
        let (n, p) = (self.of as f64, self.share());
        let middle = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
    }

    /// The interval of 95 % for `candidate - self`: Newcombe's hybrid score interval, his method 10 ("Interval estimation
    /// for the difference between independent proportions", Stat. Med. 17, 1998). Neither side may be of nothing.
    pub(crate) fn difference_interval(self, candidate: Self) -> Interval {
        let (p1, p2) = (self.share(), candidate.share());
        let ((low1, high1), (low2, high2)) = (self.wilson(), candidate.wilson());
        let difference = p2 - p1;
        Interval {
            low: Some(difference - ((p2 - low2).powi(2) + (high1 - p1).powi(2)).sqrt()),
            high: Some(difference + ((high2 - p2).powi(2) + (p1 - low1).powi(2)).sqrt()),
        }
    }

    /// The two-sided p-value of both being the same. Fisher's exact test for up to 10,000 together, or where a cell of the
    /// table is expected to hold less than 5; the score test (Pearson's χ² without a correction) for what is larger.
    pub(crate) fn test(self, candidate: Self) -> (TestKind, f64) {
        let (all, marked) = (self.of + candidate.of, self.count + candidate.count);
        if all == 0 || marked == 0 || marked == all {
            return (TestKind::Fisher, 1.0);
        }
        let expected = marked.min(all - marked) as f64 * self.of.min(candidate.of) as f64 / all as f64;
        if all <= EXACT_UP_TO || expected < MIN_EXPECTED {
            // The rarer outcome and the smaller side, so that the sum is short.
            let (drawn, hit) =
                if self.of < candidate.of { (self.of, self.count) } else { (candidate.of, candidate.count) };
            let (marked, hit) = if marked <= all - marked { (marked, hit) } else { (all - marked, drawn - hit) };
            return (TestKind::Fisher, Hypergeometric::new(all, marked, drawn).at_most_as_likely_as(hit));
        }
        let pooled = marked as f64 / all as f64;
        let spread = (pooled * (1.0 - pooled) * (1.0 / self.of as f64 + 1.0 / candidate.of as f64)).sqrt();
        (TestKind::Score, normal_p_value((candidate.share() - self.share()) / spread))
    }

    /// Cohen's h ("Statistical Power Analysis for the Behavioral Sciences", 1988, chapter 6): the difference on a scale on
    /// which it is as easy to see anywhere between 0 and 1.
    pub(crate) fn cohens_h(self, candidate: Self) -> f64 {
        2.0 * (candidate.share().sqrt().asin() - self.share().sqrt().asin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sides_and_the_outcomes_can_be_turned() {
        for (a, n, b, m) in [(3, 40, 11, 55), (0, 30, 7, 31), (400, 9000, 460, 9000), (2, 900_000, 9, 800_000)] {
            let (base, candidate) = (Proportion { count: a, of: n }, Proportion { count: b, of: m });
            let not = |side: Proportion| Proportion { count: side.of - side.count, of: side.of };
            let (test, p) = base.test(candidate);
            for (other, q) in [candidate.test(base), not(base).test(not(candidate))] {
                assert_eq!(test, other);
                assert!((p / q - 1.0).abs() < 1e-9, "{p} and {q}");
            }
            let (there, back) = (base.difference_interval(candidate), candidate.difference_interval(base));
            assert!((there.low.unwrap() + back.high.unwrap()).abs() < 1e-12);
            assert!((base.cohens_h(candidate) + candidate.cohens_h(base)).abs() < 1e-12);
        }
    }

    #[test]
    fn what_is_the_same_everywhere_is_no_difference() {
        let all = |count, of| Proportion { count, of };
        assert_eq!(all(0, 50).test(all(0, 90)), (TestKind::Fisher, 1.0));
        assert_eq!(all(50, 50).test(all(90, 90)).1, 1.0);
        assert_eq!(all(0, 50).cohens_h(all(0, 90)), 0.0);
        let interval = all(0, 50).difference_interval(all(0, 90));
        assert!(interval.low.unwrap() < 0.0 && interval.high.unwrap() > 0.0);
    }
}
