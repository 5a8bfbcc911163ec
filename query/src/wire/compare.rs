//! The body of `GET /v1/compare`. What each number means is told in `docs/compare.md`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::compare::{Comparison, FALSE_DISCOVERIES, MIN_RUNS};
use crate::params::{Compare, CompareBy};

/// Two sides, and in what they differ.
#[derive(Serialize, ToSchema)]
#[schema(as = Compare)]
pub(crate) struct CompareView {
    by: &'static str,
    /// Whose runs, when one agent was asked for.
    agent_id: Option<String>,
    base: SideView,
    candidate: SideView,
    /// Whether anything differs.
    state: State,
    /// How many comparisons were tested; p-values are adjusted over all of them.
    tested: usize,
    /// How many of them are significant.
    significant: usize,
    /// Of what is significant, so large a share at most is expected to be chance.
    false_discovery_rate: f64,
    /// Below so many runs on a side nothing is tested.
    min_runs: u64,
    #[serde(flatten)]
    comparison: Comparison,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CompareSide)]
struct SideView {
    /// As it was asked for.
    name: String,
    runs: u64,
}

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CompareState)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The sides differ.
    Significant,
    /// No difference was shown; that is no proof that there is none.
    NotSignificant,
    /// One side has too few runs to tell.
    NotEnoughData,
    /// A side has more different values than are told apart.
    TooManyValues,
}

/// Which test was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CompareTest)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TestName {
    FisherExact,
    Score,
    MannWhitney,
    ChiSquared,
    Permutation,
}

/// What was tested, and what came out; `null` where nothing was tested.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CompareVerdict)]
pub(crate) struct Verdict {
    pub(crate) state: State,
    pub(crate) test: Option<TestName>,
    pub(crate) p_value: Option<f64>,
    /// Adjusted over all comparisons of the answer.
    pub(crate) p_adjusted: Option<f64>,
    /// Cohen's h of rates, Cliff's delta of quantities, Cramér's V of distributions.
    pub(crate) effect_size: Option<f64>,
}

/// Both ends of an interval of 95 %; `null` where the runs do not bound it.
pub(crate) type Ends = [Option<f64>; 2];

/// In how large a share of the runs something is so.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CompareRate)]
pub(crate) struct RateView {
    pub(crate) metric: &'static str,
    /// Of what, where there are several.
    pub(crate) name: Option<String>,
    pub(crate) base: ShareView,
    pub(crate) candidate: ShareView,
    /// Of the shares, candidate less base.
    pub(crate) difference: f64,
    #[schema(value_type = Option<Vec<Option<f64>>>)]
    pub(crate) confidence_interval: Option<Ends>,
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CompareShare)]
pub(crate) struct ShareView {
    /// Of so many runs.
    pub(crate) runs: u64,
    /// It is so in these.
    pub(crate) count: u64,
    /// 0 to 1.
    pub(crate) share: f64,
}

/// A number that each run has.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CompareQuantity)]
pub(crate) struct QuantityView {
    pub(crate) metric: &'static str,
    pub(crate) name: Option<String>,
    /// False when there are so many runs that their numbers are off by up to 0.8 %.
    pub(crate) exact: bool,
    pub(crate) base: NumbersView,
    pub(crate) candidate: NumbersView,
    pub(crate) p50: DifferenceView,
    pub(crate) p95: DifferenceView,
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
}

/// In the unit of the metric: milliseconds, tokens or dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CompareNumbers)]
pub(crate) struct NumbersView {
    /// Runs that have the number.
    pub(crate) runs: u64,
    pub(crate) mean: Option<f64>,
    #[schema(value_type = Option<f64>)]
    pub(crate) p50: Option<Amount>,
    #[schema(value_type = Option<f64>)]
    pub(crate) p95: Option<Amount>,
}

/// The number of one run. Most are whole, and written as such.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Amount {
    Whole(u64),
    Dollars(f64),
}

/// Candidate less base.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CompareDifference)]
pub(crate) struct DifferenceView {
    pub(crate) difference: Option<f64>,
    #[schema(value_type = Option<Vec<Option<f64>>>)]
    pub(crate) confidence_interval: Option<Ends>,
}

/// Which of several values the runs have.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CompareDistribution)]
pub(crate) struct DistributionView {
    pub(crate) metric: &'static str,
    pub(crate) name: Option<String>,
    /// How many runs.
    pub(crate) base: u64,
    pub(crate) candidate: u64,
    /// The most frequent first. Each run is in one of them.
    pub(crate) categories: Vec<CategoryView>,
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
}

/// Runs that have the same values.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CompareCategory)]
pub(crate) struct CategoryView {
    /// All that a run has; none where it has none.
    pub(crate) values: Vec<String>,
    /// These are all runs that are in no other category.
    pub(crate) other: bool,
    pub(crate) base: ShareView,
    pub(crate) candidate: ShareView,
    pub(crate) difference: f64,
    #[schema(value_type = Option<Vec<Option<f64>>>)]
    pub(crate) confidence_interval: Option<Ends>,
}

impl CompareView {
    pub(crate) fn new(asked: Compare, runs: [u64; 2], comparison: Comparison) -> Self {
        let by = match asked.by {
            CompareBy::AgentVersion => "agent_version",
            CompareBy::Environment => "environment",
            CompareBy::Time => "time",
        };
        let agent_id = match asked.base.filter.agent_id.as_slice() {
            [agent_id] => Some(agent_id.clone()),
            _ => None,
        };
        let tested = comparison.verdicts().filter(|verdict| verdict.p_value.is_some()).count();
        let significant = comparison.verdicts().filter(|verdict| verdict.state == State::Significant).count();
        let state = match runs.iter().any(|runs| *runs < MIN_RUNS) {
            true => State::NotEnoughData,
            false if significant > 0 => State::Significant,
            false => State::NotSignificant,
        };
        let [base, candidate] = runs;
        Self {
            by,
            agent_id,
            base: SideView { name: asked.base.name, runs: base },
            candidate: SideView { name: asked.candidate.name, runs: candidate },
            state,
            tested,
            significant,
            false_discovery_rate: FALSE_DISCOVERIES,
            min_runs: MIN_RUNS,
            comparison,
        }
    }
}
