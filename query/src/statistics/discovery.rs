//! Many tests at a time: how large a part of what is found may be found by chance.

/// The p-values adjusted after Benjamini and Hochberg ("Controlling the false discovery rate", J. R. Stat. Soc. B 57,
/// 1995), in their order: calling those up to q significant keeps the expected share of false ones among them at most q.
pub(crate) fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<_> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*b].total_cmp(&p_values[*a]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least: f64 = 1.0;
    for (at, rank) in order.into_iter().zip((1..=p_values.len()).rev()) {
        least = least.min(p_values[at] * p_values.len() as f64 / rank as f64);
        adjusted[at] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjusted_p_values_keep_their_order_and_never_shrink() {
        let p = [0.01, 0.9, 0.02, 0.03, 0.02];
        let adjusted = benjamini_hochberg(&p);
        for (raw, adjusted) in p.iter().zip(&adjusted) {
            assert!(adjusted >= raw && *adjusted <= 1.0);
        }
        assert_eq!(adjusted[2], adjusted[4]);
        assert!(adjusted[0] <= adjusted[2] && adjusted[2] <= adjusted[3] && adjusted[3] < adjusted[1]);
        assert_eq!(benjamini_hochberg(&[]), [0.0; 0]);
        assert_eq!(benjamini_hochberg(&[0.04]), [0.04]);
    }
}
