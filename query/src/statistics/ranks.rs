use super::{Sample, normal_p_value};

/// Two samples compared by ranks: the test of Mann and Whitney ("On a test of whether one of two random variables is
/// stochastically larger than the other", Ann. Math. Stat. 18, 1947).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ranks {
    /// Two-sided, by the normal approximation with corrections for ties and continuity: for the sizes at which anything is
    /// tested here it is as good as exact.
    pub(crate) p_value: f64,
    /// Cliff's delta ("Dominance statistics", Psychol. Bull. 114, 1993): how much more probable it is that a number of the
    /// candidate is greater than one of the base than that it is smaller. -1 to 1.
    pub(crate) cliffs_delta: f64,
}

impl Ranks {
    /// Neither sample may be empty. U, in how many pairs the number of the candidate is the greater one, ties as half, is an
    /// exact sum, and so is the correction for ties.
    pub(crate) fn of(base: &Sample, candidate: &Sample) -> Self {
        let (n1, n2) = (u128::from(base.size()), u128::from(candidate.size()));
        let mut below = 0_u128;
        let mut twice_u = 0_u128;
        let mut ties = 0_u128;
        let mut of_base = base.counts().iter().peekable();
        let mut tie = |count: u128| ties += count * count * count - count;
        for (number, count) in candidate.counts() {
            let count = u128::from(*count);
            while let Some((_, passed)) = of_base.next_if(|(other, _)| other < number) {
                below += u128::from(*passed);
                tie(u128::from(*passed));
            }
            let equal = of_base.next_if(|(other, _)| other == number).map_or(0, |(_, equal)| u128::from(*equal));
            twice_u += count * (2 * below + equal);
            below += equal;
            tie(count + equal);
        }
        of_base.for_each(|(_, count)| tie(u128::from(*count)));

        let n = n1 + n2;
        let pairs = (n1 * n2) as f64;
        let u = twice_u as f64 / 2.0;
        let variance = pairs / 12.0 * ((n + 1) as f64 - ties as f64 / (n * (n - 1)) as f64);
        let off = (u - pairs / 2.0).abs() - 0.5;
        // Nothing but ties, or as near to the middle as can be.
        let p_value = if variance <= 0.0 || off <= 0.0 { 1.0 } else { normal_p_value(off / variance.sqrt()) };
        Self { p_value, cliffs_delta: twice_u as f64 / pairs - 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_and_whole_separation() {
        let same = Sample::new(vec![(7, 40)]);
        let ranks = Ranks::of(&same, &same);
        assert_eq!((ranks.p_value, ranks.cliffs_delta), (1.0, 0.0));
        let above = Ranks::of(&same, &Sample::new(vec![(8, 35)]));
        assert_eq!(above.cliffs_delta, 1.0);
        assert!(above.p_value < 1e-15);
        assert_eq!(Ranks::of(&Sample::new(vec![(8, 35)]), &same).cliffs_delta, -1.0);
    }
}
