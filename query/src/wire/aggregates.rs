//! The bodies of aggregates: over everything that a filter names.

use std::collections::BTreeMap;

use agenttracer_index::{
    Cluster, DecisionCounts, Decisions, FacetCounts, Histogram, Latency, ModelUsage, RunGroup, Signals, Spread,
    StepLatency, TimeBucket,
};
use agenttracer_model::failure_path::FailurePath;
use agenttracer_model::openapi::{FailureCode, ReasonName, SignalName, schema};
use agenttracer_model::taxonomy::{DecisionType, FailureType, RunStatus, SignalCode, SignalType, StepStatus, StepType};
use agenttracer_model::{RunView, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::schema::{SchemaType, Type};
use uuid::Uuid;

use super::{ratio, two_decimals};
use crate::interval::INTERVALS;

/// The body of `GET /v1/facets`.
#[derive(Serialize, ToSchema)]
#[schema(as = Facets)]
pub(crate) struct FacetsView {
    pub(crate) total_runs: u64,
    /// In the order in which they were asked for.
    pub(crate) facets: Vec<FacetView>,
}

/// The values of one filter.
#[derive(Serialize, ToSchema)]
#[schema(as = Facet)]
pub(crate) struct FacetView {
    /// The name of the filter.
    pub(crate) field: String,
    /// How many different values there are.
    pub(crate) distinct: usize,
    /// The most frequent of them.
    pub(crate) values: Vec<ValueCount>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FacetValue)]
pub(crate) struct ValueCount {
    pub(crate) value: String,
    /// How many runs have it.
    pub(crate) runs: u64,
}

impl FacetView {
    /// The first `limit` values.
    pub(crate) fn new(field: String, counts: FacetCounts, limit: usize) -> Self {
        let distinct = counts.values.len();
        let values = counts.values.into_iter().take(limit).map(|(value, runs)| ValueCount { value, runs });
        Self { field, distinct, values: values.collect() }
    }
}

/// Runs by how they stand; only statuses of runs that have ended.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub(crate) struct StatusCounts {
    pub(crate) success: u64,
    pub(crate) failure: u64,
    pub(crate) partial: u64,
}

impl From<[u64; 4]> for StatusCounts {
    fn from(by_status: [u64; 4]) -> Self {
        let of = |status: RunStatus| by_status[status as usize];
        Self { success: of(RunStatus::Success), failure: of(RunStatus::Failure), partial: of(RunStatus::Partial) }
    }
}

/// The body of `GET /v1/runs/histogram` and `/v1/timeseries`.
#[derive(Serialize, ToSchema)]
pub(crate) struct TimelineView<B> {
    /// How wide a bucket is; `null` when there is none.
    #[schema(schema_with = width)]
    pub(crate) interval: Option<&'static str>,
    pub(crate) time_zone: String,
    pub(crate) total_runs: u64,
    /// The numbers of all buckets together, where the buckets have such.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) total: Option<SeriesNumbers>,
    pub(crate) buckets: Vec<B>,
}

fn width() -> ObjectBuilder {
    let names = INTERVALS.iter().map(|(name, _)| serde_json::Value::from(*name));
    schema::any_text()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(names.chain([serde_json::Value::Null])))
        .description(Some("How wide a bucket is; null when there is none."))
}

#[derive(Serialize, ToSchema)]
pub(crate) struct HistogramBucket {
    pub(crate) start: Timestamp,
    /// Where the next bucket begins.
    pub(crate) end: Timestamp,
    pub(crate) runs: u64,
    pub(crate) by_status: StatusCounts,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TimeseriesBucket)]
pub(crate) struct SeriesBucket {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    #[serde(flatten)]
    pub(crate) numbers: SeriesNumbers,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TimeseriesNumbers)]
pub(crate) struct SeriesNumbers {
    pub(crate) runs: u64,
    pub(crate) failures: u64,
    /// In percent; `null` without a run.
    pub(crate) failure_rate: Option<f64>,
    pub(crate) duration_ms: Percentiles,
}

impl HistogramBucket {
    pub(crate) fn new(start: Timestamp, end: Timestamp, bucket: &TimeBucket) -> Self {
        Self { start, end, runs: bucket.runs(), by_status: bucket.by_status.into() }
    }
}

impl SeriesBucket {
    pub(crate) fn new(start: Timestamp, end: Timestamp, bucket: &TimeBucket) -> Self {
        Self { start, end, numbers: bucket.into() }
    }
}

impl From<&TimeBucket> for SeriesNumbers {
    fn from(bucket: &TimeBucket) -> Self {
        let (runs, failures) = (bucket.runs(), bucket.failed());
        Self {
            runs,
            failures,
            failure_rate: (runs > 0).then(|| percent(failures, runs)),
            duration_ms: Percentiles::of(&bucket.durations),
        }
    }
}

impl SeriesNumbers {
    /// The numbers of all of them together.
    pub(crate) fn of_all(buckets: &[TimeBucket]) -> Self {
        let mut all = TimeBucket::default();
        for bucket in buckets {
            all.by_status.iter_mut().zip(bucket.by_status).for_each(|(sum, runs)| *sum += runs);
            all.durations.merge(&bucket.durations);
        }
        (&all).into()
    }
}

/// Percentiles; `null` where there is no number. Over many runs they are off by at most 0.8 %.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub(crate) struct Percentiles {
    p50: Option<u64>,
    p95: Option<u64>,
    p99: Option<u64>,
}

impl Percentiles {
    pub(crate) fn of(histogram: &Histogram) -> Self {
        let [p50, p95, p99] = [50, 95, 99].map(|percent| histogram.percentile(percent));
        Self { p50, p95, p99 }
    }

    /// Of numbers that are all at hand, exact: the smallest one that at least so many percent do not exceed.
    pub(crate) fn exact(mut numbers: Vec<u64>) -> Self {
        numbers.sort_unstable();
        let [p50, p95, p99] = [50, 95, 99].map(|percent| {
            let rank = (numbers.len() * percent).div_ceil(100);
            numbers.get(rank.saturating_sub(1)).copied()
        });
        Self { p50, p95, p99 }
    }
}

/// The body of `GET /v1/agents`.
#[derive(Serialize, ToSchema)]
#[schema(as = Agents)]
pub(crate) struct AgentsView {
    pub(crate) total_runs: u64,
    /// How many agents there are; those with the most runs are shown.
    pub(crate) total_agents: usize,
    pub(crate) agents: Vec<AgentView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Agent)]
pub(crate) struct AgentView {
    pub(crate) agent_id: String,
    pub(crate) versions: u64,
    #[serde(flatten)]
    pub(crate) runs: GroupView,
}

/// The body of `GET /v1/agents/{agent_id}/versions`.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentVersions)]
pub(crate) struct VersionsView {
    pub(crate) agent_id: String,
    pub(crate) total_runs: u64,
    pub(crate) total_versions: usize,
    /// The one seen first most lately comes first.
    pub(crate) versions: Vec<VersionView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AgentVersion)]
pub(crate) struct VersionView {
    pub(crate) agent_version: String,
    #[serde(flatten)]
    pub(crate) runs: GroupView,
}

/// What the runs of an agent or a version have in common.
#[derive(Serialize, ToSchema)]
#[schema(as = RunGroup)]
pub(crate) struct GroupView {
    pub(crate) runs: u64,
    pub(crate) by_status: StatusCounts,
    /// In percent.
    pub(crate) failure_rate: f64,
    pub(crate) steps: u64,
    pub(crate) runs_with_retries: u64,
    pub(crate) retry_waste_ms: u128,
    pub(crate) duration_ms: Percentiles,
    /// What they used, by model: the one that most runs used first.
    pub(crate) models: Vec<ModelView>,
    pub(crate) first_seen: Option<Timestamp>,
    pub(crate) last_seen: Option<Timestamp>,
}

/// What runs used of one model, as metadata says.
#[derive(Serialize, ToSchema)]
#[schema(as = ModelUsage)]
pub(crate) struct ModelView {
    /// `null` where none was named.
    model: Option<String>,
    runs: u64,
    steps: u64,
    input_tokens: u128,
    output_tokens: u128,
    /// Exact to a billionth of a dollar for each step.
    cost_usd: f64,
}

impl ModelView {
    fn all(models: &BTreeMap<String, ModelUsage>) -> Vec<Self> {
        let mut models: Vec<_> = models
            .iter()
            .map(|(model, used)| Self {
                model: Some(model.clone()).filter(|model| !model.is_empty()),
                runs: used.runs,
                steps: used.steps,
                input_tokens: used.amounts.input_tokens,
                output_tokens: used.amounts.output_tokens,
                cost_usd: used.amounts.cost_nano_usd as f64 / 1e9,
            })
            .collect();
        // Stable: models with as many runs stay in the order of their names.
        models.sort_by_key(|model| std::cmp::Reverse(model.runs));
        models
    }
}

impl From<&RunGroup> for GroupView {
    fn from(group: &RunGroup) -> Self {
        Self {
            runs: group.runs(),
            by_status: group.by_status.into(),
            failure_rate: percent(group.failed(), group.runs()),
            steps: group.steps,
            runs_with_retries: group.runs_with_retries,
            retry_waste_ms: group.retry_waste_ms,
            duration_ms: Percentiles::of(&group.durations),
            models: ModelView::all(&group.models),
            first_seen: group.seen.map(|(first, _)| first),
            last_seen: group.seen.map(|(_, last)| last),
        }
    }
}

/// The body of `GET /v1/decisions`.
#[derive(Serialize, ToSchema)]
#[schema(as = Decisions)]
pub(crate) struct DecisionsView {
    pub(crate) total_runs: u64,
    pub(crate) total_decisions: u64,
    pub(crate) types: Vec<DecisionTypeView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DecisionTypeCounts)]
pub(crate) struct DecisionTypeView {
    decision_type: DecisionType,
    count: u64,
    runs: u64,
    /// Decisions by tenths of their confidence: below 0.1, below 0.2, .. up to 1.
    confidence: Vec<u64>,
    without_confidence: u64,
    reasons: Vec<CountOf>,
    /// How many different things were selected.
    distinct_selected: usize,
    /// The most frequent of them.
    selected: Vec<SelectedView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SelectedCounts)]
struct SelectedView {
    selected: String,
    count: u64,
    reasons: Vec<CountOf>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReasonCount)]
struct CountOf {
    #[schema(value_type = ReasonName)]
    reason_code: &'static str,
    count: u64,
}

impl DecisionsView {
    /// With the `limit` most frequent things selected, of each type.
    pub(crate) fn new(decisions: Decisions, limit: usize) -> Self {
        let total_decisions = decisions.by_type.values().map(|counts| counts.all.count).sum();
        let types = decisions.by_type.into_iter().map(|(kind, counts)| DecisionTypeView::new(kind, counts, limit));
        Self { total_runs: decisions.runs, total_decisions, types: types.collect() }
    }
}

impl DecisionTypeView {
    fn new(decision_type: DecisionType, counts: DecisionCounts, limit: usize) -> Self {
        let mut by_selected: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
        let mut by_reason: BTreeMap<&'static str, u64> = BTreeMap::new();
        for ((selected, reason), choice) in counts.by_choice {
            *by_reason.entry(reason).or_default() += choice.count;
            *by_selected.entry(selected).or_default().entry(reason).or_default() += choice.count;
        }
        let distinct_selected = by_selected.len();
        let mut selected: Vec<_> = by_selected
            .into_iter()
            .map(|(selected, reasons)| SelectedView {
                selected,
                count: reasons.values().sum(),
                reasons: most_frequent(reasons),
            })
            .collect();
        // Stable: equal counts stay in the order of the names.
        selected.sort_by_key(|selected| std::cmp::Reverse(selected.count));
        selected.truncate(limit);
        let [confidence @ .., without_confidence] = counts.confidence;
        Self {
            decision_type,
            count: counts.all.count,
            runs: counts.all.runs,
            confidence: confidence.to_vec(),
            without_confidence,
            reasons: most_frequent(by_reason),
            distinct_selected,
            selected,
        }
    }
}

fn most_frequent(counts: BTreeMap<&'static str, u64>) -> Vec<CountOf> {
    let mut counts: Vec<_> = counts.into_iter().map(|(reason_code, count)| CountOf { reason_code, count }).collect();
    counts.sort_by_key(|reason| std::cmp::Reverse(reason.count));
    counts
}

/// The body of `GET /v1/signals`.
#[derive(Serialize, ToSchema)]
#[schema(as = Signals)]
pub(crate) struct SignalsView {
    total_runs: u64,
    total_signals: u64,
    /// In the order of the taxonomy, those that occur.
    types: Vec<SignalTypeView>,
    /// The same over time, when buckets are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) timeline: Option<TimelineView<SignalsBucket>>,
}

/// The signals of the runs that began within one bucket.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignalsBucket {
    start: Timestamp,
    end: Timestamp,
    pub(crate) runs: u64,
    /// In the order of the taxonomy, those that occur.
    codes: Vec<SignalsOfBucket>,
}

#[derive(Serialize, ToSchema)]
struct SignalsOfBucket {
    signal_type: SignalType,
    #[schema(value_type = SignalName)]
    signal_code: &'static str,
    count_true: u64,
    count_false: u64,
    runs_true: u64,
    runs_false: u64,
}

impl SignalsBucket {
    pub(crate) fn new(start: Timestamp, end: Timestamp, signals: &Signals) -> Self {
        let codes = signals.by_code.iter().filter_map(|((signal_type, tag), counts)| {
            Some(SignalsOfBucket {
                signal_type: *signal_type,
                signal_code: SignalCode::from_tag(*tag)?.as_str(),
                count_true: counts.observed.count,
                count_false: counts.not_observed.count,
                runs_true: counts.observed.runs,
                runs_false: counts.not_observed.runs,
            })
        });
        Self { start, end, runs: signals.runs, codes: codes.collect() }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SignalTypeCounts)]
struct SignalTypeView {
    signal_type: SignalType,
    count: u64,
    runs: u64,
    codes: Vec<SignalCodeView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SignalCodeCounts)]
struct SignalCodeView {
    #[schema(value_type = SignalName)]
    signal_code: &'static str,
    count: u64,
    runs: u64,
    /// Of `count`, those with the value true.
    count_true: u64,
    count_false: u64,
    /// In how many runs there is one with the value true.
    runs_true: u64,
    runs_false: u64,
    /// How many of them ask for attention.
    attention: u64,
    /// With which value they do.
    attention_value: bool,
}

impl From<Signals> for SignalsView {
    fn from(signals: Signals) -> Self {
        let mut types: Vec<SignalTypeView> = Vec::new();
        for ((signal_type, tag), counts) in signals.by_code {
            let Some(code) = SignalCode::from_tag(tag) else { continue };
            let count = counts.observed.count + counts.not_observed.count;
            if types.last().is_none_or(|last| last.signal_type != signal_type) {
                let runs = signals.runs_by_type.get(&signal_type).copied().unwrap_or_default();
                types.push(SignalTypeView { signal_type, count: 0, runs, codes: Vec::new() });
            }
            let Some(last) = types.last_mut() else { continue };
            last.count += count;
            let attention_value = code.tone(true) == agenttracer_model::taxonomy::Tone::Attention;
            last.codes.push(SignalCodeView {
                signal_code: code.as_str(),
                count,
                runs: counts.runs,
                count_true: counts.observed.count,
                count_false: counts.not_observed.count,
                runs_true: counts.observed.runs,
                runs_false: counts.not_observed.runs,
                attention: if attention_value { counts.observed.count } else { counts.not_observed.count },
                attention_value,
            });
        }
        Self {
            total_runs: signals.runs,
            total_signals: types.iter().map(|kind| kind.count).sum(),
            types,
            timeline: None,
        }
    }
}

/// The body of `GET /v1/failures`.
#[derive(Serialize, ToSchema)]
#[schema(as = Failures)]
pub(crate) struct FailuresView {
    pub(crate) total_runs: u64,
    /// How many of them have a failure.
    pub(crate) runs_with_failure: u64,
    pub(crate) total_clusters: u64,
    /// The largest first.
    pub(crate) clusters: Vec<ClusterView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FailureCluster)]
pub(crate) struct ClusterView {
    /// The signature: a value of the filter `failure_cluster`.
    cluster: String,
    runs: u64,
    /// How many of them have status failure.
    failed_runs: u64,
    /// Of all runs that match, in percent.
    share: f64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    versions: Vec<VersionCount>,
    /// The newest runs.
    examples: Vec<Uuid>,
    /// How the runs came to fail, from the first example; `null` when it cannot be read.
    cause: Option<CauseView>,
}

#[derive(Serialize, ToSchema)]
struct VersionCount {
    agent_version: String,
    runs: u64,
}

/// The way to the first failure of a run.
#[derive(Serialize, ToSchema)]
#[schema(as = Cause)]
pub(crate) struct CauseView {
    agent_id: String,
    failure_type: Option<FailureType>,
    #[schema(value_type = Option<FailureCode>)]
    failure_code: Option<String>,
    /// The failing step.
    step: Option<StepName>,
    /// The place of that step in the first example.
    step_seq: Option<u32>,
    /// The operations before it, the last six at most.
    path: Vec<StepName>,
    /// What failed further in that run, in its order.
    spread_to: Vec<FailureName>,
}

#[derive(Serialize, ToSchema)]
struct StepName {
    step_type: StepType,
    name: String,
}

#[derive(Serialize, ToSchema)]
struct FailureName {
    failure_type: FailureType,
    #[schema(value_type = FailureCode)]
    failure_code: String,
    /// The name of its step.
    step: Option<String>,
}

impl ClusterView {
    /// `example` is the first of its examples.
    pub(crate) fn new(cluster: Cluster, of_runs: u64, example: Option<&RunView>) -> Self {
        let mut versions: Vec<_> =
            cluster.versions.into_iter().map(|(agent_version, runs)| VersionCount { agent_version, runs }).collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version.runs));
        Self {
            cluster: format!("{:016x}", cluster.id),
            runs: cluster.runs,
            failed_runs: cluster.failed,
            share: percent(cluster.runs, of_runs),
            first_seen: cluster.seen.0,
            last_seen: cluster.seen.1,
            versions,
            examples: cluster.examples,
            cause: example.and_then(|run| Some(CauseView::new(run, &run.failure_path()?))),
        }
    }
}

impl CauseView {
    fn new(run: &RunView, path: &FailurePath<'_>) -> Self {
        let step = |(step_type, name): (StepType, &str)| StepName { step_type, name: name.to_owned() };
        let others = run.failures.iter().enumerate().filter(|(index, _)| Some(*index) != path.first);
        let name_of =
            |step_id: Uuid| run.steps.iter().find(|step| step.step_id == step_id).map(|step| step.name.clone());
        Self {
            agent_id: run.agent_id.clone(),
            failure_type: path.failure.map(|(failure_type, _)| failure_type),
            failure_code: path.failure.map(|(_, code)| code.to_owned()),
            step: path.step.map(step),
            step_seq: path.step.and_then(|_| failing_seq(run, path)),
            path: path.before.iter().copied().map(step).collect(),
            spread_to: others
                .map(|(_, failure)| FailureName {
                    failure_type: failure.failure_type,
                    failure_code: failure.failure_code.clone(),
                    step: failure.step_id.and_then(name_of),
                })
                .collect(),
        }
    }
}

/// The place of the step at which `path` ends: that of its failure, else of the last one that failed.
fn failing_seq(run: &RunView, path: &FailurePath<'_>) -> Option<u32> {
    let Some(first) = path.first else {
        let failed = run.steps.iter().filter(|step| step.status == StepStatus::Failed);
        return failed.map(|step| step.seq).max();
    };
    let step_id = run.failures[first].step_id?;
    run.steps.iter().find(|step| step.step_id == step_id).map(|step| step.seq)
}

/// The body of `GET /v1/agents/{agent_id}/versions/{agent_version}/latency`.
#[derive(Serialize, ToSchema)]
#[schema(as = VersionLatency)]
pub(crate) struct LatencyView {
    runs: u64,
    duration_ms: SpreadView,
    idle_ms: SpreadView,
    overlap_ms: SpreadView,
    retry_waste_ms: SpreadView,
    critical_path_ms: SpreadView,
    /// In the order of the taxonomy, those that occur.
    by_step_type: Vec<StepTypeLatency>,
    /// The greatest sum of latencies first.
    by_step: Vec<NamedStepLatency>,
}

/// A number that each run has: the sum, the mean of the runs that have it, percentiles of them.
#[derive(Serialize, ToSchema)]
#[schema(as = Spread)]
struct SpreadView {
    runs: i64,
    sum: u128,
    mean: f64,
    #[serde(flatten)]
    percentiles: Percentiles,
}

#[derive(Serialize, ToSchema)]
struct StepTypeLatency {
    step_type: StepType,
    steps: u64,
    /// Of all steps' latencies, in percent.
    share: f64,
    /// Of each run that has any, all of them together.
    latency_ms: SpreadView,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StepLatency)]
struct NamedStepLatency {
    step_type: StepType,
    name: String,
    steps: u64,
    share: f64,
    latency_ms: SpreadView,
}

impl From<&Spread> for SpreadView {
    fn from(spread: &Spread) -> Self {
        let runs = spread.runs.count();
        Self {
            runs,
            sum: spread.sum,
            mean: ratio(spread.sum as f64, runs.max(0).cast_unsigned()),
            percentiles: Percentiles::of(&spread.runs),
        }
    }
}

impl From<&Latency> for LatencyView {
    fn from(latency: &Latency) -> Self {
        let all: u128 = latency.by_type.iter().map(|step| step.latency_ms.sum).sum();
        let share = |step: &StepLatency| match all {
            0 => 0.0,
            all => two_decimals(100.0 * step.latency_ms.sum as f64 / all as f64),
        };
        let by_type = StepType::ALL.iter().zip(&latency.by_type).filter(|(_, step)| step.steps > 0);
        let mut by_step: Vec<_> = latency.by_step.iter().collect();
        // Stable: equal sums stay in the order of type and name.
        by_step.sort_by_key(|(_, step)| std::cmp::Reverse(step.latency_ms.sum));
        Self {
            runs: latency.runs,
            duration_ms: (&latency.duration_ms).into(),
            idle_ms: (&latency.idle_ms).into(),
            overlap_ms: (&latency.overlap_ms).into(),
            retry_waste_ms: (&latency.retry_waste_ms).into(),
            critical_path_ms: (&latency.critical_path_ms).into(),
            by_step_type: by_type
                .map(|(step_type, step)| StepTypeLatency {
                    step_type: *step_type,
                    steps: step.steps,
                    share: share(step),
                    latency_ms: (&step.latency_ms).into(),
                })
                .collect(),
            by_step: by_step
                .into_iter()
                .map(|((step_type, name), step)| NamedStepLatency {
                    step_type: *step_type,
                    name: name.clone(),
                    steps: step.steps,
                    share: share(step),
                    latency_ms: (&step.latency_ms).into(),
                })
                .collect(),
        }
    }
}

/// `part` of `of` in percent, with two decimals; 0 of nothing.
fn percent(part: u64, of: u64) -> f64 {
    ratio(100.0 * part as f64, of)
}
