//! The body of `GET /v1/runs/{run_id}/latency`: where the time of one run went.

use std::collections::BTreeMap;

use agenttracer_model::taxonomy::StepType;
use agenttracer_model::timing::{TimedStep, Timing, busy_micros, critical_path};
use agenttracer_model::{RunView, StepView, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Percentiles, ratio};

/// Where the time of a run went. All times in ms.
#[derive(Serialize, ToSchema)]
#[schema(as = RunLatency)]
pub(crate) struct RunLatencyView {
    run_id: Uuid,
    duration_ms: Option<u64>,
    /// While any step was running.
    busy_ms: u64,
    idle: IdleView,
    /// How much longer the steps are, one behind the other, than the time in which any was running.
    overlap_ms: u64,
    /// Of the latencies of all steps; exact.
    step_latency_ms: Percentiles,
    retries: RetriesView,
    critical_path: CriticalPathView,
    /// In the order of the taxonomy, those that occur.
    by_step_type: Vec<StepTypeView>,
    /// The greatest sum of latencies first.
    by_step: Vec<NamedStepView>,
}

/// While no step was running.
#[derive(Serialize, ToSchema)]
#[schema(as = Idle)]
struct IdleView {
    /// From the run's start to the first step's.
    before_first_step_ms: u64,
    between_steps_ms: u64,
    /// From the last step's end to the run's; `null` for a run that has not ended.
    after_last_step_ms: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Retries)]
struct RetriesView {
    /// Operations with more than one attempt.
    operations: u64,
    /// Their attempts.
    attempts: u64,
    /// The latencies of all attempts but the last of each operation.
    waste_ms: u64,
    /// Between the end of an attempt and the start of the next one.
    backoff_ms: u64,
}

/// The steps that the run's end waited for.
#[derive(Serialize, ToSchema)]
#[schema(as = CriticalPath)]
struct CriticalPathView {
    /// Their length, without the gaps between them.
    steps_ms: u64,
    steps: Vec<PathStepView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CriticalStep)]
struct PathStepView {
    step_id: Uuid,
    seq: u32,
    step_type: StepType,
    name: String,
    length_ms: u64,
    /// Between the end of the one before on the path and the start of this one.
    waited_ms: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StepTypeTime)]
struct StepTypeView {
    step_type: StepType,
    #[serde(flatten)]
    sums: Sums,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StepTime)]
struct NamedStepView {
    step_type: StepType,
    name: String,
    #[serde(flatten)]
    sums: Sums,
}

#[derive(Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = StepSums)]
struct Sums {
    steps: u64,
    /// Those that are a second or later attempt.
    retries: u64,
    latency_ms: u64,
    /// Of all steps' latencies, in percent.
    share: f64,
}

impl Sums {
    fn add(&mut self, step: &StepView) {
        self.steps += 1;
        self.retries += u64::from(step.attempt > 1);
        self.latency_ms = self.latency_ms.saturating_add(step.latency_ms);
    }

    fn with_share(self, of_ms: u64) -> Self {
        Self { share: ratio(100.0 * self.latency_ms as f64, of_ms), ..self }
    }
}

impl From<&RunView> for RunLatencyView {
    fn from(run: &RunView) -> Self {
        let timed: Vec<_> = run.steps.iter().map(TimedStep::from).collect();
        let timing = Timing::of(&timed);
        let ends = |step: &TimedStep| step.ended_at.max(step.started_at);
        let first_start = timed.iter().map(|step| step.started_at).min();
        let last_end = timed.iter().map(ends).max();
        let (mut by_type, mut by_step) = (BTreeMap::new(), BTreeMap::new());
        let mut all_ms: u64 = 0;
        for step in &run.steps {
            by_type.entry(step.step_type).or_insert_with(Sums::default).add(step);
            by_step.entry((step.step_type, &step.name)).or_insert_with(Sums::default).add(step);
            all_ms = all_ms.saturating_add(step.latency_ms);
        }
        let mut by_step: Vec<_> = by_step
            .into_iter()
            .map(|((step_type, name), sums)| NamedStepView {
                step_type,
                name: name.clone(),
                sums: sums.with_share(all_ms),
            })
            .collect();
        by_step.sort_by_key(|step| std::cmp::Reverse(step.sums.latency_ms));
        Self {
            run_id: run.run_id,
            duration_ms: run.duration_ms,
            busy_ms: busy_micros(&timed) / 1000,
            idle: IdleView {
                before_first_step_ms: first_start.map_or(0, |start| start.millis_since(run.started_at)),
                between_steps_ms: timing.idle_ms,
                after_last_step_ms: run.ended_at.map(|ended| ended.millis_since(last_end.unwrap_or(run.started_at))),
            },
            overlap_ms: timing.overlap_ms,
            step_latency_ms: Percentiles::exact(run.steps.iter().map(|step| step.latency_ms).collect()),
            retries: RetriesView::new(&timed, timing.retry_waste_ms),
            critical_path: CriticalPathView { steps_ms: timing.critical_path_ms, steps: path_steps(run, &timed) },
            by_step_type: by_type
                .into_iter()
                .map(|(step_type, sums)| StepTypeView { step_type, sums: sums.with_share(all_ms) })
                .collect(),
            by_step,
        }
    }
}

impl RetriesView {
    fn new(steps: &[TimedStep], waste_ms: u64) -> Self {
        let mut operations: BTreeMap<Uuid, Vec<&TimedStep>> = BTreeMap::new();
        for step in steps {
            if let Some(group) = step.retry_group {
                operations.entry(group).or_default().push(step);
            }
        }
        let mut backoff_ms: u64 = 0;
        for attempts in operations.values_mut() {
            attempts.sort_by_key(|step| (step.attempt, step.started_at));
            let waits = attempts.windows(2).map(|pair| pair[1].started_at.millis_since(pair[0].ended_at));
            backoff_ms = waits.fold(backoff_ms, u64::saturating_add);
        }
        Self {
            operations: operations.len() as u64,
            attempts: operations.values().map(|attempts| attempts.len() as u64).sum(),
            waste_ms,
            backoff_ms,
        }
    }
}

fn path_steps(run: &RunView, timed: &[TimedStep]) -> Vec<PathStepView> {
    let mut before: Option<Timestamp> = None;
    critical_path(timed)
        .into_iter()
        .map(|index| {
            let step = &run.steps[index];
            let waited_ms = before.map_or(0, |before| step.started_at.millis_since(before));
            before = Some(step.ended_at.max(step.started_at));
            PathStepView {
                step_id: step.step_id,
                seq: step.seq,
                step_type: step.step_type,
                name: step.name.clone(),
                length_ms: step.ended_at.millis_since(step.started_at),
                waited_ms,
            }
        })
        .collect()
}
