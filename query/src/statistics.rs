//! Statistics of two samples, without I/O. What each number means, and where each method comes from, is told in
//! `docs/compare.md`; that they are what scipy computes is a test.

mod discovery;
mod hypergeometric;
mod proportion;
mod random;
mod ranks;
mod sample;
mod table;

#[cfg(test)]
mod scipy_tests;

pub(crate) use discovery::benjamini_hochberg;
pub(crate) use proportion::Proportion;
#[cfg(test)]
pub(crate) use random::Random;
pub(crate) use ranks::Ranks;
pub(crate) use sample::{Interval, Sample};
pub(crate) use table::Table;

/// The tests that are made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TestKind {
    Fisher,
    Score,
    MannWhitney,
    ChiSquared,
    Permutation,
}

/// How many standard deviations hold 95 % of a normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The two-sided p-value of a standard normal deviate.
fn normal_p_value(deviate: f64) -> f64 {
    libm::erfc(deviate.abs() / std::f64::consts::SQRT_2)
}

/// How likely χ² with so many degrees of freedom is at least as large: the finite sums of Abramowitz and Stegun, "Handbook
/// of Mathematical Functions", 26.4.4 and 26.4.5.
fn chi_squared_p_value(statistic: f64, freedom: u64) -> f64 {
    let half = statistic / 2.0;
    let odd = freedom % 2 == 1;
    // Each term is the one before it, times the statistic, over the next number of the same parity.
    let mut term = if odd { (half * 4.0 / std::f64::consts::PI).sqrt() } else { 1.0 } * (-half).exp();
    let mut sum = if odd { libm::erfc(half.sqrt()) } else { 0.0 };
    let mut next = if odd { 1 } else { 0 };
    while next + 2 <= freedom {
        sum += term;
        next += 2;
        term *= statistic / next as f64;
    }
    sum.min(1.0)
}

/// The natural logarithm of how many ways there are to choose `k` of `n`.
fn ln_binomial(n: u64, k: u64) -> f64 {
    let ln_factorial = |n: u64| libm::lgamma(n as f64 + 1.0);
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}
