//! Everything that is worked out here against what scipy says of the same inputs: `scipy_values.py` writes its answers
//! into `scipy_values.json`.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Values {
    proportions: Vec<ProportionValues>,
    ranks: Vec<RankValues>,
    tables: Vec<TableValues>,
    small_tables: Vec<SmallTableValues>,
    orders: Vec<OrderValues>,
    discoveries: Vec<DiscoveryValues>,
}

#[derive(Deserialize)]
struct ProportionValues {
    base: [u64; 2],
    candidate: [u64; 2],
    interval: [f64; 2],
    test: String,
    p_value: f64,
}

#[derive(Deserialize)]
struct RankValues {
    base: Vec<u64>,
    candidate: Vec<u64>,
    p_value: f64,
    cliffs_delta: f64,
}

#[derive(Deserialize)]
struct TableValues {
    rows: Vec<[u64; 2]>,
    p_value: f64,
    cramers_v: f64,
}

#[derive(Deserialize)]
struct SmallTableValues {
    rows: Vec<[u64; 2]>,
    p_value: f64,
}

#[derive(Deserialize)]
struct OrderValues {
    size: u64,
    percent: u32,
    interval: [Option<f64>; 2],
}

#[derive(Deserialize)]
struct DiscoveryValues {
    p_values: Vec<f64>,
    adjusted: Vec<f64>,
}

fn values() -> Values {
    serde_json::from_str(include_str!("scipy_values.json")).unwrap()
}

#[track_caller]
fn assert_near(found: f64, scipy: f64) {
    assert!((found - scipy).abs() <= 1e-9 * scipy.abs().max(f64::MIN_POSITIVE), "{found}, but scipy says {scipy}");
}

#[test]
fn proportions() {
    for value in values().proportions {
        let [base, candidate] = [value.base, value.candidate].map(|[count, of]| Proportion { count, of });
        let interval = base.difference_interval(candidate);
        assert_near(interval.low.unwrap(), value.interval[0]);
        assert_near(interval.high.unwrap(), value.interval[1]);
        let (test, p_value) = base.test(candidate);
        assert_eq!(test, if value.test == "fisher" { TestKind::Fisher } else { TestKind::Score });
        assert_near(p_value, value.p_value);
    }
}

#[test]
fn ranks() {
    for value in values().ranks {
        let [base, candidate] = [value.base, value.candidate].map(sample);
        let ranks = Ranks::of(&base, &candidate);
        assert_near(ranks.p_value, value.p_value);
        assert_near(ranks.cliffs_delta, value.cliffs_delta);
    }
}

#[test]
fn tables() {
    for value in values().tables {
        let table = Table::new(value.rows);
        let (test, p_value) = table.test();
        assert_eq!(test, TestKind::ChiSquared);
        assert_near(p_value, value.p_value);
        assert_near(table.cramers_v(), value.cramers_v);
    }
}

#[test]
fn small_tables() {
    for value in values().small_tables {
        let (test, p_value) = Table::new(value.rows.clone()).test();
        assert_eq!(test, TestKind::Permutation);
        // What is drawn at random is known to so many: at least 50 tables as far out, or 9,999 in all.
        let error = (value.p_value / 50_f64.sqrt()).max((value.p_value / 9_999.0).sqrt());
        assert!(
            (p_value - value.p_value).abs() <= 4.0 * error,
            "{:?}: {p_value}, but scipy says {}",
            value.rows,
            value.p_value
        );
    }
}

#[test]
fn order_statistics() {
    for value in values().orders {
        let interval =
            Sample::new((1..=value.size).map(|number| (number, 1)).collect()).percentile_interval(value.percent);
        assert_eq!([interval.low, interval.high], value.interval, "{} at {}", value.size, value.percent);
    }
}

#[test]
fn discoveries() {
    for value in values().discoveries {
        for (found, scipy) in benjamini_hochberg(&value.p_values).into_iter().zip(value.adjusted) {
            assert_near(found, scipy);
        }
    }
}

fn sample(mut numbers: Vec<u64>) -> Sample {
    numbers.sort_unstable();
    Sample::new(numbers.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect())
}
