use super::hypergeometric::Hypergeometric;
use super::random::Random;
use super::{TestKind, chi_squared_p_value};

/// A cell that is expected to hold less is too small for χ² (Cochran, "The χ² test of goodness of fit", 1952).
pub(crate) const MIN_EXPECTED: f64 = 5.0;
/// The most random tables for a permutation test, less one.
const TABLES: u64 = 9_999;
/// When so many random tables lie as far out as the real one, it is known to be nothing special.
const ENOUGH: u64 = 50;
/// The same question gets the same answer.
const SEED: u64 = 0x5EED;

/// How many of each category there are in the base and in the candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    rows: Vec<[u64; 2]>,
    sizes: [u64; 2],
}

impl Table {
    /// Categories that do not occur are left out.
    pub(crate) fn new(rows: impl IntoIterator<Item = [u64; 2]>) -> Self {
        let rows: Vec<_> = rows.into_iter().filter(|row| row[0] + row[1] > 0).collect();
        let sizes = [0, 1].map(|side| rows.iter().map(|row| row[side]).sum());
        Self { rows, sizes }
    }

    fn all(&self) -> u64 {
        self.sizes[0] + self.sizes[1]
    }

    /// Pearson's statistic.
    fn chi_squared(&self) -> f64 {
        let scale = self.sizes.map(|size| size as f64 / self.all() as f64);
        let row = |row: &[u64; 2]| {
            let total = (row[0] + row[1]) as f64;
            let cell = |side: usize| {
                let expected = total * scale[side];
                (row[side] as f64 - expected).powi(2) / expected
            };
            cell(0) + cell(1)
        };
        self.rows.iter().map(row).sum()
    }

    /// The p-value of both sides having the same distribution: by χ², or by permutation where a cell is expected to hold
    /// less than 5.
    pub(crate) fn test(&self) -> (TestKind, f64) {
        if self.rows.len() < 2 || self.sizes.contains(&0) {
            return (TestKind::ChiSquared, 1.0);
        }
        let smallest = self.rows.iter().map(|row| row[0] + row[1]).min().unwrap_or(0) as f64;
        let least = smallest * self.sizes[0].min(self.sizes[1]) as f64 / self.all() as f64;
        if least < MIN_EXPECTED {
            return (TestKind::Permutation, self.permuted());
        }
        (TestKind::ChiSquared, chi_squared_p_value(self.chi_squared(), self.rows.len() as u64 - 1))
    }

    /// The permutation test of χ²: runs are dealt to the sides anew, at random, 9,999 times, or until 50 tables lie as far
    /// out as the real one (Besag and Clifford, "Sequential Monte Carlo p-values", Biometrika 78, 1991). Dealing is
    /// drawing the table from the multivariate hypergeometric distribution, whatever the number of runs.
    fn permuted(&self) -> f64 {
        let mut rows = self.rows.clone();
        // The rarest first, which is cheap to draw, and so that the order of the categories does not matter.
        rows.sort_unstable_by_key(|row| row[0] + row[1]);
        let totals: Vec<u64> = rows.iter().map(|row| row[0] + row[1]).collect();
        // Not all digits of two equal tables are equal.
        let bound = self.chi_squared() * (1.0 - 1e-9);
        let mut random = Random::new(SEED);
        let mut as_far = 0;
        for drawn in 1..=TABLES {
            let (mut left, mut free) = (self.all(), self.sizes[1]);
            for (row, total) in rows.iter_mut().zip(&totals) {
                let candidate = Hypergeometric::new(left, *total, free).draw(&mut random);
                *row = [total - candidate, candidate];
                left -= total;
                free -= candidate;
            }
            let table = Self { rows, sizes: self.sizes };
            as_far += u64::from(table.chi_squared() >= bound);
            rows = table.rows;
            if as_far == ENOUGH {
                return as_far as f64 / drawn as f64;
            }
        }
        (as_far + 1) as f64 / (TABLES + 1) as f64
    }

    /// Cramér's V ("Mathematical Methods of Statistics", 1946, chapter 21): 0 when both sides have the same distribution, 1
    /// when they have no category in common and are of one size.
    pub(crate) fn cramers_v(&self) -> f64 {
        if self.rows.len() < 2 || self.sizes.contains(&0) {
            return 0.0;
        }
        (self.chi_squared() / self.all() as f64).sqrt().min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_category_is_no_distribution() {
        let table = Table::new([[40, 50], [0, 0]]);
        assert_eq!((table.test(), table.cramers_v()), ((TestKind::ChiSquared, 1.0), 0.0));
        assert_eq!(Table::new([[0, 50], [0, 9]]).test().1, 1.0);
    }

    #[test]
    fn the_order_of_the_categories_does_not_matter() {
        let (one, two) = (Table::new([[30, 40], [4, 0], [1, 3]]), Table::new([[1, 3], [4, 0], [30, 40]]));
        assert_eq!(one.test().0, TestKind::Permutation);
        assert_eq!(one.test(), two.test());
    }

    #[test]
    fn a_permutation_says_what_fisher_says() {
        for (a, n, b, m) in [(8, 60, 1, 60), (0, 35, 4, 60), (3, 500, 0, 450), (3, 40, 3, 45), (5, 400_000, 0, 350_000)]
        {
            let (test, p) = Table::new([[a, b], [n - a, m - b]]).test();
            let exact =
                super::super::Proportion { count: a, of: n }.test(super::super::Proportion { count: b, of: m }).1;
            assert_eq!(test, TestKind::Permutation);
            // χ² and the probability need not order the tables alike, so that only tables of one side nearly agree.
            assert!((p - exact).abs() <= 0.25 * exact + 0.002, "{a}/{n} and {b}/{m}: {p}, not {exact}");
        }
    }

    #[test]
    fn what_is_apart_is_found_apart() {
        let table = Table::new([[60, 2], [2, 60], [1, 2]]);
        assert_eq!(table.test(), (TestKind::Permutation, 1.0 / 10_000.0));
        assert!((Table::new([[50, 0], [0, 50]]).cramers_v() - 1.0).abs() < 1e-12);
    }
}
