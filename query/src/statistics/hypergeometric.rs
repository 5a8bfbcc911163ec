//! The hypergeometric distribution: how many of `marked` things are among `drawn` ones of `all`.

use super::ln_binomial;
use super::random::Random;

/// What counts as equally likely: the quotients below are off by rounding.
const EQUAL: f64 = 1.0 + 1e-7;
/// So unlikely that no random number tells it from impossible.
const NEVER: f64 = 1e-20;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Hypergeometric {
    all: u64,
    marked: u64,
    drawn: u64,
}

impl Hypergeometric {
    /// `marked` and `drawn` must not exceed `all`.
    pub(crate) fn new(all: u64, marked: u64, drawn: u64) -> Self {
        debug_assert!(marked <= all && drawn <= all);
        Self { all, marked, drawn }
    }

    fn least(&self) -> u64 {
        (self.marked + self.drawn).saturating_sub(self.all)
    }

    fn most(&self) -> u64 {
        self.marked.min(self.drawn)
    }

    /// The most likely number.
    fn mode(&self) -> u64 {
        let mode = (u128::from(self.drawn) + 1) * (u128::from(self.marked) + 1) / (u128::from(self.all) + 2);
        (mode as u64).clamp(self.least(), self.most())
    }

    /// How much more likely `k + 1` is than `k`.
    fn ratio(&self, k: u64) -> f64 {
        let up = (self.marked - k) as f64 * (self.drawn - k) as f64;
        let down = (k + 1) as f64 * (self.all + k + 1 - self.marked - self.drawn) as f64;
        up / down
    }

    /// How likely it is to get a number that is at most as likely as `k`: the two-sided p-value of Fisher's exact test.
    /// Takes time and memory in proportion to the smaller of `marked` and `drawn`.
    pub(crate) fn at_most_as_likely_as(&self, k: u64) -> f64 {
        let (least, mode, most) = (self.least(), self.mode(), self.most());
        let mut weights = vec![0.0; (most - least) as usize + 1];
        let at = |k: u64| (k - least) as usize;
        weights[at(mode)] = 1.0;
        for k in mode..most {
            weights[at(k + 1)] = weights[at(k)] * self.ratio(k);
        }
        for k in (least..mode).rev() {
            weights[at(k)] = weights[at(k + 1)] / self.ratio(k);
        }
        let bound = weights[at(k)] * EQUAL;
        let tail: f64 = weights.iter().filter(|weight| **weight <= bound).sum();
        (tail / weights.iter().sum::<f64>()).min(1.0)
    }

    /// A random number of this distribution, by inversion from the mode outwards: about as many steps as the standard
    /// deviation.
    pub(crate) fn draw(&self, random: &mut Random) -> u64 {
        let (least, mode, most) = (self.least(), self.mode(), self.most());
        if least == most {
            return least;
        }
        let ln = ln_binomial(self.marked, mode) + ln_binomial(self.all - self.marked, self.drawn - mode)
            - ln_binomial(self.all, self.drawn);
        let mut left = random.unit() - ln.exp();
        let (mut low, mut high) = (mode, mode);
        let (mut of_low, mut of_high) = (ln.exp(), ln.exp());
        while left >= 0.0 {
            if of_low.max(of_high) < NEVER {
                // What is left is rounding.
                return mode;
            }
            of_high *= if high < most { self.ratio(high) } else { 0.0 };
            high += u64::from(high < most);
            left -= of_high;
            if left < 0.0 {
                return high;
            }
            of_low *= if low > least { 1.0 / self.ratio(low - 1) } else { 0.0 };
            low -= u64::from(low > least);
            left -= of_low;
            if left < 0.0 {
                return low;
            }
        }
        mode
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_as_often_as_they_should() {
        let mut random = Random::new(1);
        for (all, marked, drawn) in [(20, 7, 12), (200, 3, 100), (1_000_000, 400_000, 5), (10, 10, 4), (50, 30, 45)] {
            let distribution = Hypergeometric::new(all, marked, drawn);
            let mut counts = vec![0_u64; distribution.most() as usize + 1];
            const TIMES: u64 = 200_000;
            for _ in 0..TIMES {
                counts[distribution.draw(&mut random) as usize] += 1;
            }
            for (k, count) in (0..).zip(counts) {
                let likely = match k < distribution.least() {
                    true => 0.0,
                    false => {
                        (ln_binomial(marked, k) + ln_binomial(all - marked, drawn - k) - ln_binomial(all, drawn)).exp()
                    }
                };
                let (expected, found) = (likely * TIMES as f64, count as f64);
                let off = (found - expected).abs() / expected.max(1.0).sqrt();
                assert!(off < 5.0, "{k} of {all}, {marked}, {drawn}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn large_numbers_have_their_mean_and_spread() {
        let distribution = Hypergeometric::new(2_000_000, 700_000, 900_000);
        let mut random = Random::new(2);
        let draws: Vec<f64> = (0..20_000).map(|_| distribution.draw(&mut random) as f64).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        let expected: f64 = 900_000.0 * 0.35 * 0.65 * (1.1 / 2.0);
        assert!((mean - 315_000.0).abs() < 5.0 * (expected / 20_000.0).sqrt(), "{mean}");
        assert!((variance / expected - 1.0).abs() < 0.05, "{variance}, not {expected}");
    }
}
