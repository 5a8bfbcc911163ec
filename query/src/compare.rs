//! What `/v1/compare` says of two sides: pure, from what [`Side`] holds of each.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use agenttracer_index::{IndexError, Numbers, Sets, Side, Stop};
use agenttracer_model::taxonomy::{DecisionType, SignalCode, StepType};
use serde::Serialize;
use utoipa::ToSchema;

use crate::statistics::{Interval, Proportion, Ranks, Sample, Table, TestKind, benjamini_hochberg};
use crate::wire::{
    Amount, CategoryView, DifferenceView, DistributionView, Ends, NumbersView, QuantityView, RateView, ShareView,
    State, TestName, Verdict, two_decimals,
};

/// Below so many runs on a side nothing is tested: intervals are wide, and approximations poor.
pub(crate) const MIN_RUNS: u64 = 30;
/// What is significant may be chance in so large a share, as expected.
pub(crate) const FALSE_DISCOVERIES: f64 = 0.05;
/// The most codes of failures that are compared: the most frequent ones on both sides together.
const MAX_FAILURES: usize = 50;
/// The most categories of a distribution beside that of all others, likewise.
const MAX_CATEGORIES: usize = 12;

/// All that two sides are compared in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Comparison {
    /// Shares of runs.
    pub(crate) rates: Vec<RateView>,
    /// Codes of failures that are too rare to be among them.
    pub(crate) failures_left_out: usize,
    /// Numbers of runs.
    pub(crate) quantities: Vec<QuantityView>,
    /// What runs chose.
    pub(crate) distributions: Vec<DistributionView>,
}

impl Comparison {
    /// Compares two sides that have no run in common.
    ///
    /// The same sides give the same answer. Distributions with rare categories take the longest, for their random tables: also of
    /// few runs it is no short question.
    ///
    /// # Errors
    /// `GivenUp` when nobody waits for it any more.
    pub(crate) fn of(base: &Side, candidate: &Side, stop: &Stop) -> Result<Self, IndexError> {
        let (rates, failures_left_out) = rates(base, candidate);
        let quantities = quantities(base, candidate, stop)?;
        let mut distributions = Vec::new();
        for (metric, name, [base_sets, candidate_sets]) in sets(base, candidate) {
            stop.go_on()?;
            let sides = [(base.runs, base_sets), (candidate.runs, candidate_sets)];
            distributions.push(distribution(metric, name, sides));
        }
        let mut comparison = Self { rates, failures_left_out, quantities, distributions };
        comparison.adjust();
        Ok(comparison)
    }

    /// What came out of each comparison.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        let rates = self.rates.iter().map(|rate| &rate.verdict);
        let quantities = self.quantities.iter().map(|quantity| &quantity.verdict);
        rates.chain(quantities).chain(self.distributions.iter().map(|distribution| &distribution.verdict))
    }

    /// Adjusts the p-values over all comparisons, and says which are significant.
    fn adjust(&mut self) {
        let rates = self.rates.iter_mut().map(|rate| &mut rate.verdict);
        let quantities = self.quantities.iter_mut().map(|quantity| &mut quantity.verdict);
        let distributions = self.distributions.iter_mut().map(|distribution| &mut distribution.verdict);
        let verdicts = rates.chain(quantities).chain(distributions);
        let (mut tested, p_values): (Vec<_>, Vec<_>) =
            verdicts.filter_map(|verdict| verdict.p_value.map(|p_value| (verdict, p_value))).unzip();
        for (verdict, adjusted) in tested.iter_mut().zip(benjamini_hochberg(&p_values)) {
            verdict.p_adjusted = Some(adjusted);
            if adjusted <= FALSE_DISCOVERIES {
                verdict.state = State::Significant;
            }
        }
    }
}

impl Verdict {
    /// Nothing was tested, and why.
    fn none(state: State) -> Self {
        Self { state, test: None, p_value: None, p_adjusted: None, effect_size: None }
    }

    fn of(test: TestKind, p_value: f64, effect_size: f64) -> Self {
        Self {
            state: State::NotSignificant,
            test: Some(match test {
                TestKind::Fisher => TestName::FisherExact,
                TestKind::Score => TestName::Score,
                TestKind::MannWhitney => TestName::MannWhitney,
                TestKind::ChiSquared => TestName::ChiSquared,
                TestKind::Permutation => TestName::Permutation,
            }),
            p_value: Some(p_value),
            p_adjusted: None,
            effect_size: Some(effect_size),
        }
    }
}

fn is_enough(runs: [u64; 2]) -> bool {
    runs.iter().all(|runs| *runs >= MIN_RUNS)
}

fn rates(base: &Side, candidate: &Side) -> (Vec<RateView>, usize) {
    let rate = |metric, name, counts: [u64; 2]| {
        rate(
            metric,
            name,
            [(counts[0], base.runs), (counts[1], candidate.runs)].map(|(count, of)| Proportion { count, of }),
        )
    };
    let mut rates = vec![rate("failure_rate", None, [base.failed, candidate.failed])];
    let mut failures: Vec<_> = both(&base.failures, &candidate.failures).into_iter().collect();
    // Stable: equal counts stay in the order of the names.
    failures.sort_by_key(|(_, counts)| Reverse(counts[0] + counts[1]));
    let left_out = failures.len().saturating_sub(MAX_FAILURES);
    failures.truncate(MAX_FAILURES);
    for ((failure_type, code), counts) in failures {
        rates.push(rate("failure", Some(format!("{}/{code}", failure_type.as_str())), counts));
    }
    rates.push(rate("retry_rate", None, [base.with_retries, candidate.with_retries]));
    for ((tag, value), counts) in both(&base.signals, &candidate.signals) {
        let Some(code) = SignalCode::from_tag(*tag) else { continue };
        let name = format!("{}/{}={value}", code.signal_type().as_str(), code.as_str());
        rates.push(rate("signal", Some(name), counts));
    }
    (rates, left_out)
}

/// The counts of both sides by what either has.
fn both<'a, K: Ord>(base: &'a BTreeMap<K, u64>, candidate: &'a BTreeMap<K, u64>) -> BTreeMap<&'a K, [u64; 2]> {
    let mut counts: BTreeMap<&K, [u64; 2]> = BTreeMap::new();
    for (side, of_side) in [base, candidate].into_iter().enumerate() {
        for (key, count) in of_side {
            counts.entry(key).or_default()[side] += count;
        }
    }
    counts
}

fn rate(metric: &'static str, name: Option<String>, [base, candidate]: [Proportion; 2]) -> RateView {
    let enough = is_enough([base.of, candidate.of]);
    let verdict = if enough {
        let (test, p_value) = base.test(candidate);
        Verdict::of(test, p_value, base.cohens_h(candidate))
    } else {
        Verdict::none(State::NotEnoughData)
    };
    RateView {
        metric,
        name,
        base: share(base),
        candidate: share(candidate),
        difference: candidate.share() - base.share(),
        confidence_interval: enough.then(|| ends(base.difference_interval(candidate))),
        verdict,
    }
}

fn share(proportion: Proportion) -> ShareView {
    ShareView { runs: proportion.of, count: proportion.count, share: proportion.share() }
}

fn ends(interval: Interval) -> Ends {
    [interval.low, interval.high]
}

fn quantities(base: &Side, candidate: &Side, stop: &Stop) -> Result<Vec<QuantityView>, IndexError> {
    let any = |sides: [&Numbers; 2]| sides.iter().any(|numbers| numbers.count() > 0);
    let mut asked = vec![("duration_ms", None, Unit::Whole, [&base.duration_ms, &candidate.duration_ms])];
    for (step_type, sides) in StepType::ALL.iter().zip(base.step_latency_ms.iter().zip(&candidate.step_latency_ms)) {
        if any([sides.0, sides.1]) {
            let name = Some(step_type.as_str().to_owned());
            asked.push(("step_latency_ms", name, Unit::Whole, [sides.0, sides.1]));
        }
    }
    asked.push(("retry_waste_ms", None, Unit::Whole, [&base.retry_waste_ms, &candidate.retry_waste_ms]));
    let (base, candidate) = (&base.usage, &candidate.usage);
    for (metric, unit, sides) in [
        ("input_tokens", Unit::Whole, [&base.input_tokens, &candidate.input_tokens]),
        ("output_tokens", Unit::Whole, [&base.output_tokens, &candidate.output_tokens]),
        ("cost_usd", Unit::NanoDollars, [&base.cost_nano_usd, &candidate.cost_nano_usd]),
    ] {
        if any(sides) {
            asked.push((metric, None, unit, sides));
        }
    }
    let compared = asked.into_iter().map(|(metric, name, unit, sides)| {
        stop.go_on()?;
        Ok(quantity(metric, name, unit, sides))
    });
    compared.collect()
}

/// In what the numbers of runs are counted.
#[derive(Clone, Copy)]
enum Unit {
    /// As they are shown.
    Whole,
    /// Billionths of a dollar, which are shown as dollars.
    NanoDollars,
}

impl Unit {
    fn amount(self, number: u64) -> Amount {
        match self {
            Self::Whole => Amount::Whole(number),
            Self::NanoDollars => Amount::Dollars(self.scaled(number as f64)),
        }
    }

    /// A difference, which need not be whole.
    fn scaled(self, number: f64) -> f64 {
        match self {
            Self::Whole => number,
            Self::NanoDollars => number / 1e9,
        }
    }

    /// Rounded to a hundredth, or to a billionth of a dollar.
    fn mean(self, mean: f64) -> f64 {
        match self {
            Self::Whole => two_decimals(mean),
            Self::NanoDollars => self.scaled(mean.round()),
        }
    }
}

fn quantity(metric: &'static str, name: Option<String>, unit: Unit, sides: [&Numbers; 2]) -> QuantityView {
    let exact = sides.iter().all(|numbers| numbers.is_exact());
    let [base, candidate] = sides.map(|numbers| Sample::new(numbers.ascending(!exact)));
    let enough = is_enough([base.size(), candidate.size()]);
    let difference = |percent: u32| {
        let (before, after) = (base.percentile(percent), candidate.percentile(percent));
        DifferenceView {
            difference: before.zip(after).map(|(before, after)| unit.scaled(after as f64 - before as f64)),
            confidence_interval: enough.then(|| {
                ends(base.percentile_difference(&candidate, percent)).map(|end| end.map(|end| unit.scaled(end)))
            }),
        }
    };
    let verdict = if enough {
        let ranks = Ranks::of(&base, &candidate);
        Verdict::of(TestKind::MannWhitney, ranks.p_value, ranks.cliffs_delta)
    } else {
        Verdict::none(State::NotEnoughData)
    };
    let view = |sample: &Sample, numbers: &Numbers| NumbersView {
        runs: sample.size(),
        mean: (sample.size() > 0).then(|| unit.mean(numbers.sum() as f64 / sample.size() as f64)),
        p50: sample.percentile(50).map(|number| unit.amount(number)),
        p95: sample.percentile(95).map(|number| unit.amount(number)),
    };
    QuantityView {
        metric,
        name,
        exact,
        base: view(&base, sides[0]),
        candidate: view(&candidate, sides[1]),
        p50: difference(50),
        p95: difference(95),
        verdict,
    }
}

/// All distributions that either side has.
fn sets<'a>(base: &'a Side, candidate: &'a Side) -> Vec<(&'static str, Option<String>, [&'a Sets; 2])> {
    let mut all = Vec::new();
    for decision_type in DecisionType::ALL {
        let index = *decision_type as usize;
        let name = || Some(decision_type.as_str().to_owned());
        all.push(("selected", name(), [&base.selected[index], &candidate.selected[index]]));
        all.push(("reason", name(), [&base.reasons[index], &candidate.reasons[index]]));
    }
    all.push(("model", None, [&base.models, &candidate.models]));
    all.retain(|(_, _, sides)| sides.iter().any(|sets| **sets != Sets::default()));
    all
}

fn distribution(metric: &'static str, name: Option<String>, sides: [(u64, &Sets); 2]) -> DistributionView {
    let runs = sides.map(|(runs, _)| runs);
    let view =
        |categories, verdict| DistributionView { metric, name, base: runs[0], candidate: runs[1], categories, verdict };
    if sides.iter().any(|(_, sets)| sets.is_cut) {
        return view(Vec::new(), Verdict::none(State::TooManyValues));
    }
    let (named, other) = categories(sides);
    let enough = is_enough(runs);
    let category = |values: &[String], other: bool, counts: [u64; 2]| {
        let [base, candidate] = [0, 1].map(|side| Proportion { count: counts[side], of: runs[side] });
        CategoryView {
            values: values.to_vec(),
            other,
            base: share(base),
            candidate: share(candidate),
            difference: candidate.share() - base.share(),
            confidence_interval: enough.then(|| ends(base.difference_interval(candidate))),
        }
    };
    let verdict = if enough {
        let table = Table::new(named.iter().map(|(_, counts)| *counts).chain([other]));
        let (test, p_value) = table.test();
        Verdict::of(test, p_value, table.cramers_v())
    } else {
        Verdict::none(State::NotEnoughData)
    };
    let mut views: Vec<_> = named.iter().map(|(values, counts)| category(values, false, *counts)).collect();
    if other != [0, 0] {
        views.push(category(&[], true, other));
    }
    view(views, verdict)
}

/// What runs of a category have, and how many there are on each side.
type Category<'a> = (&'a [String], [u64; 2]);

/// The most frequent categories, the most frequent first, and all other runs. What is frequent is told by both sides
/// together, so that the choice favours neither.
fn categories([base, candidate]: [(u64, &Sets); 2]) -> (Vec<Category<'_>>, [u64; 2]) {
    let mut named: Vec<_> =
        both(&base.1.runs, &candidate.1.runs).into_iter().map(|(key, n)| (key.as_slice(), n)).collect();
    let larger = [base.1.larger, candidate.1.larger];
    let none = [base, candidate].map(|(runs, sets)| runs - sets.runs.values().sum::<u64>() - sets.larger);
    if none != [0, 0] {
        named.push((&[], none));
    }
    // Stable, as above.
    named.sort_by_key(|(_, counts)| Reverse(counts[0] + counts[1]));
    let rest = named.split_off(named.len().min(MAX_CATEGORIES));
    let other =
        rest.into_iter().map(|(_, counts)| counts).fold(larger, |sum, counts| [sum[0] + counts[0], sum[1] + counts[1]]);
    (named, other)
}

#[cfg(test)]
mod tests;
