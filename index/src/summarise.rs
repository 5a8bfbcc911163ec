//! Summaries of runs: one path straight from the borrowed records of a run that arrived whole, and one through the
//! fold, for everything else. Both give the same summary, as a test below says.

use std::borrow::Cow;
use std::sync::Arc;

use agenttracer_model::attempts::{Attempt, AttemptInput, attempts, metadata_attempt, tells_of_failure};
use agenttracer_model::failure_path::{FailurePath, PathFailure, PathStep};
use agenttracer_model::taxonomy::{ReasonCode, RunStatus, SignalCode, StepStatus, StepType};
use agenttracer_model::timing::{TimedStep, Timing};
use agenttracer_model::{Event, RunBatch, RunView, TimedEvent, Value};
use agenttracer_storage::StoredBatch;
use agenttracer_storage::record::{DecodeError, RecordRef, Records, ScalarRef, StepRef};
use uuid::Uuid;

use crate::names::Names;
use crate::usage::{RunUsage, Told};
use crate::{DecisionSummary, Fact, FailureSummary, RunSummary, SignalSummary, StepSummary, Tenth};

/// The summary of a run that arrived whole, from its records. `None` when the records are not of the plain form that
/// such a run has: then take [`of_batches`].
///
/// # Errors
/// When the records cannot be decoded.
pub(crate) fn of_whole(batch: &StoredBatch, names: &mut Names) -> Result<Option<RunSummary>, DecodeError> {
    let mut records = Records::of(batch)?;
    let run_id = records.run_id;
    let Some(RecordRef::RunStarted {
        agent_id,
        agent_version,
        environment,
        started_at,
        parent_run_id,
        parent_step_id,
        session_id,
        trace_id,
        metadata,
    }) = records.next().transpose()?
    else {
        return Ok(None);
    };
    let mut run = RunSummary {
        run_id,
        agent_id: names.share(agent_id),
        agent_version: names.share(agent_version),
        environment: names.share(environment),
        status: RunStatus::Running,
        started: true,
        started_at,
        ended_at: None,
        created_at: batch.time,
        duration_ms: None,
        parent_run_id,
        parent_step_id,
        session_id: session_id.map(Arc::from),
        trace_id: trace_id.map(Arc::from),
        metadata: metadata.decode()?,
        removed_count: 0,
        retry_count: 0,
        steps: Vec::new(),
        timing: Timing::default(),
        failures: Vec::new(),
        failure_cluster: None,
        decisions: Vec::new(),
        signals: Vec::new(),
        step_facts: Vec::new(),
        usage: Vec::new(),
        whole: false,
        batches: vec![batch.position],
    };
    let mut steps: Vec<StepRef<'_>> = Vec::with_capacity(16);
    let mut failures = Vec::new();
    let mut facts = StepFacts::default();
    let mut usage = RunUsage::default();
    let mut unsuccessful = Vec::new();
    let mut ended = false;
    for record in records {
        if ended {
            return Ok(None);
        }
        match record? {
            RecordRef::StepEnded(step) => {
                if !step.metadata.is_empty() {
                    let mut told = Told::default();
                    step.metadata.scalars(|key, value| {
                        facts.add_scalar(key, value);
                        told.note(key, value);
                    })?;
                    told.usage(names).iter().for_each(|used| usage.add(used));
                }
                steps.push(step);
            }
            RecordRef::FailureRecorded { failure_type, failure_code, step_id, .. } => {
                run.failures.push(FailureSummary { failure_type, failure_code: names.share(failure_code) });
                failures.push(PathFailure { step_id, failure_type, failure_code });
                unsuccessful.extend(step_id);
            }
            RecordRef::DecisionRecorded { reason, selected, confidence, .. } => {
                run.decisions.push(decision(reason, names.share(selected), confidence));
            }
            RecordRef::SignalRecorded { code, value, step_id, .. } => {
                run.signals.push(SignalSummary { code, value, count: 1 });
                if tells_of_failure(code.signal_type(), value) {
                    unsuccessful.extend(step_id);
                }
            }
            RecordRef::RunEnded { status, ended_at, removed_count, digest } => {
                run.status = status;
                run.ended_at = ended_at;
                run.duration_ms = ended_at.map(|ended_at| ended_at.millis_since(started_at));
                run.removed_count = removed_count;
                run.whole = digest.is_some();
                ended = true;
            }
            RecordRef::RunStarted { .. }
            | RecordRef::StepStarted(_)
            | RecordRef::Heartbeat
            | RecordRef::RunAbandoned
            | RecordRef::RunErased => return Ok(None),
        }
    }
    if !ended {
        return Ok(None);
    }
    steps.sort_unstable_by(|a, b| operation(a).cmp(&operation(b)));
    // Without numbers from the client only steps of one operation can be attempts of each other.
    let may_retry = steps.iter().any(|step| step.attempt.is_some() || step.retry_of.is_some())
        || steps.windows(2).any(|pair| operation(&pair[0]) == operation(&pair[1]));
    let attempts = if may_retry { attempts_of(&steps, &unsuccessful)? } else { Vec::new() };
    run.retry_count = attempts.iter().filter(|attempt| attempt.attempt > 1).count() as u32;
    let timed: Vec<_> = steps.iter().enumerate().map(|(index, step)| timed_step(step, attempts.get(index))).collect();
    run.timing = Timing::of(&timed);
    run.failure_cluster = failure_cluster(&run, &steps, &failures);
    run.steps = group_steps(steps.iter().map(|step| (step.name, step.step_type, step.latency_ms)), names);
    group_decisions(&mut run.decisions);
    group_signals(&mut run.signals);
    run.step_facts = facts.into_list(names);
    run.usage = usage.summaries(&run.metadata, names);
    Ok(Some(run))
}

/// What attempts of one operation have in common, unless the client says more.
fn operation<'a>(step: &StepRef<'a>) -> (&'a str, StepType, Option<Uuid>) {
    (step.name, step.step_type, step.parent_step_id)
}

/// The attempts of the steps, in their order.
fn attempts_of(steps: &[StepRef<'_>], unsuccessful: &[Uuid]) -> Result<Vec<Attempt>, DecodeError> {
    let inputs = steps
        .iter()
        .map(|step| {
            Ok(AttemptInput {
                step_id: step.step_id,
                step_type: step.step_type,
                name: step.name,
                parent: step.parent_step_id,
                seq: step.seq,
                started_at: step.started_at,
                ended_at: step.ended_at,
                status: step.status,
                did_not_succeed: step.status == StepStatus::Failed || unsuccessful.contains(&step.step_id),
                attempt: step.attempt,
                retry_of: step.retry_of,
                metadata_attempt: match step.metadata.mentions("attempt") {
                    true => metadata_attempt(&step.metadata.decode()?),
                    false => None,
                },
            })
        })
        .collect::<Result<Vec<_>, DecodeError>>()?;
    Ok(attempts(&inputs))
}

fn timed_step(step: &StepRef<'_>, attempt: Option<&Attempt>) -> TimedStep {
    TimedStep {
        step_id: step.step_id,
        parent: step.parent_step_id,
        seq: step.seq,
        started_at: step.started_at,
        ended_at: step.ended_at,
        latency_ms: step.latency_ms,
        attempt: attempt.map_or(1, |attempt| attempt.attempt),
        retry_group: attempt.and_then(|attempt| attempt.retry_group),
    }
}

fn failure_cluster(run: &RunSummary, steps: &[StepRef<'_>], failures: &[PathFailure<'_>]) -> Option<u64> {
    if failures.is_empty() && run.status != RunStatus::Failure {
        return None;
    }
    let steps: Vec<_> = steps
        .iter()
        .map(|step| PathStep {
            step_id: step.step_id,
            seq: step.seq,
            started_at: step.started_at,
            step_type: step.step_type,
            name: step.name,
            status: step.status,
        })
        .collect();
    Some(FailurePath::of(run.status, &steps, failures)?.signature(&run.agent_id))
}

/// The steps by name and type.
fn group_steps<'a>(steps: impl Iterator<Item = (&'a str, StepType, u64)>, names: &mut Names) -> Vec<StepSummary> {
    let mut steps: Vec<_> = steps.collect();
    steps.sort_unstable();
    let groups = steps.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1));
    groups
        .map(|steps| StepSummary {
            name: names.share(steps[0].0),
            step_type: steps[0].1,
            count: steps.len() as u32,
            latency_ms: steps.iter().fold(0, |sum, (_, _, latency_ms)| sum.saturating_add(*latency_ms)),
        })
        .collect()
}

fn decision(reason: ReasonCode, selected: Arc<str>, confidence: Option<f64>) -> DecisionSummary {
    DecisionSummary { reason, selected, confidence: Tenth::of(confidence), count: 1 }
}

/// Puts equal decisions together.
fn group_decisions(decisions: &mut Vec<DecisionSummary>) {
    fn key(decision: &DecisionSummary) -> (u16, &str, Tenth) {
        (decision.reason.tag(), &decision.selected, decision.confidence)
    }
    decisions.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
    decisions.dedup_by(|next, first| {
        let equal = key(next) == key(first);
        first.count += if equal { next.count } else { 0 };
        equal
    });
}

/// Puts equal signals together.
fn group_signals(signals: &mut Vec<SignalSummary>) {
    let key = |signal: &SignalSummary| (signal.code.tag(), signal.value);
    signals.sort_unstable_by_key(key);
    signals.dedup_by(|next, first| {
        let equal = key(next) == key(first);
        first.count += if equal { next.count } else { 0 };
        equal
    });
}

/// Gathers the facts of steps, whatever their order.
#[derive(Default)]
struct StepFacts<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> StepFacts<'a> {
    fn add_scalar(&mut self, key: &'a str, value: ScalarRef<'a>) {
        if !Fact::OF_STEPS.contains(&key) {
            return;
        }
        match value {
            // The usual case, without a copy of the value.
            ScalarRef::String(value) => self.add(key, Cow::Borrowed(value)),
            ScalarRef::Null => {}
            ScalarRef::Bool(value) => self.add(key, Cow::Borrowed(if value { "true" } else { "false" })),
            ScalarRef::Int(value) => self.add_owned(key, &Value::Int(value)),
            ScalarRef::Uint(value) => self.add_owned(key, &Value::Uint(value)),
            ScalarRef::Float(value) => self.add_owned(key, &Value::Float(value)),
        }
    }

    fn add_owned(&mut self, key: &'a str, value: &Value) {
        if let Some(fact) = value.as_fact() {
            self.add(key, Cow::Owned(fact.into_owned()));
        }
    }

    fn add(&mut self, key: &'a str, value: Cow<'a, str>) {
        let fact = (key, value);
        if self.0.contains(&fact) {
            return;
        }
        self.0.push(fact);
        if self.0.len() > 2 * Fact::MAX_OF_STEPS {
            self.keep_first();
        }
    }

    /// Keeps the first in the order of the facts, not those that came first.
    fn keep_first(&mut self) {
        self.0.sort_unstable();
        self.0.truncate(Fact::MAX_OF_STEPS);
    }

    fn into_list(mut self, names: &mut Names) -> Vec<Arc<str>> {
        self.keep_first();
        self.0.iter().map(|(key, value)| names.share(&Fact::text(key, value))).collect()
    }
}

/// The summary of the fold of all batches of one run; `None` when they hold no run (yet).
pub(crate) fn of_batches(mut batches: Vec<RunBatch>, names: &mut Names) -> Option<RunSummary> {
    batches.sort_by_key(|batch| batch.position);
    batches.dedup_by_key(|batch| batch.position);
    // Beside a run that arrived whole, everything else is ignored: so it is, when it must be read again.
    if let Some(first) = batches.iter().position(|batch| batch.whole) {
        batches = vec![batches.swap_remove(first)];
    }
    let positions = batches.iter().map(|batch| batch.position).collect();
    let has_digest = |timed: &TimedEvent| matches!(&timed.event, Event::RunEnded(ended) if ended.digest.is_some());
    let whole = batches.iter().any(|batch| batch.whole && batch.events.iter().any(has_digest));
    let view = RunView::fold(batches)?;
    let steps = group_steps(view.steps.iter().map(|step| (step.name.as_str(), step.step_type, step.latency_ms)), names);
    let timed: Vec<_> = view.steps.iter().map(TimedStep::from).collect();
    let failure_cluster = view.failure_path().map(|path| path.signature(&view.agent_id));
    let (mut facts, mut usage) = (StepFacts::default(), RunUsage::default());
    for step in &view.steps {
        Told::of(&step.metadata, names).iter().for_each(|used| usage.add(used));
        for key in Fact::OF_STEPS {
            if let Some(fact) = step.metadata.get(key).and_then(Value::as_fact) {
                facts.add(key, fact);
            }
        }
    }
    let mut decisions: Vec<_> = view
        .decisions
        .iter()
        .filter_map(|made| {
            let reason = ReasonCode::parse(made.decision_type, made.reason_code)?;
            Some(decision(reason, names.share(&made.selected), made.confidence))
        })
        .collect();
    group_decisions(&mut decisions);
    let mut signals: Vec<_> = view
        .quality_signals
        .iter()
        .filter_map(|signal| {
            let code = SignalCode::parse(signal.signal_type, signal.signal_code)?;
            Some(SignalSummary { code, value: signal.value, count: 1 })
        })
        .collect();
    group_signals(&mut signals);
    let failures = view
        .failures
        .iter()
        .map(|failure| FailureSummary {
            failure_type: failure.failure_type,
            failure_code: names.share(&failure.failure_code),
        })
        .collect();
    Some(RunSummary {
        run_id: view.run_id,
        agent_id: names.share(&view.agent_id),
        agent_version: names.share(&view.agent_version),
        environment: names.share(&view.environment),
        status: view.status,
        started: true,
        started_at: view.started_at,
        ended_at: view.ended_at,
        created_at: view.created_at,
        duration_ms: view.duration_ms,
        parent_run_id: view.parent_run_id,
        parent_step_id: view.parent_step_id,
        session_id: view.session_id.as_deref().map(Arc::from),
        trace_id: view.trace_id.as_deref().map(Arc::from),
        removed_count: view.removed_count,
        retry_count: view.steps.iter().filter(|step| step.attempt > 1).count() as u32,
        steps,
        timing: Timing::of(&timed),
        failures,
        failure_cluster,
        decisions,
        signals,
        step_facts: facts.into_list(names),
        usage: usage.summaries(&view.metadata, names),
        metadata: view.metadata,
        whole,
        batches: positions,
    })
}

#[cfg(test)]
mod tests {
    use agenttracer_model::{Position, Run, Timestamp, sample};
    use agenttracer_storage::Payload;
    use agenttracer_storage::record::{decode, encode_run};
    use proptest::prelude::*;

    use super::*;

    fn batch_of(run: &Run) -> StoredBatch {
        let batch = encode_run(run, Timestamp::from_micros(1_790_000_000_000_000));
        StoredBatch {
            kind: batch.kind,
            position: Position::new(70),
            records: batch.records,
            time: batch.time,
            payload: Payload::Memory(batch.payload.into()),
        }
    }

    fn both_agree(run: &Run) -> RunSummary {
        let (batch, mut names) = (batch_of(run), Names::new());
        let direct = of_whole(&batch, &mut names).unwrap().expect("a run that arrived whole has the plain form");
        let folded = of_batches(vec![decode(&batch).unwrap()], &mut names).unwrap();
        assert_eq!(direct, folded);
        direct
    }

    #[test]
    fn a_sample_is_summarised_as_it_is() {
        let (mut retries, mut failures) = (0, 0);
        for seed in 0..400 {
            let run = sample::run(seed);
            let summary = both_agree(&run);
            assert_eq!((summary.run_id, summary.whole), (run.run_id, true));
            assert_eq!(summary.step_count() as usize, run.steps.len());
            assert_eq!(summary.signal_count() as usize, run.quality_signals.len());
            assert_eq!(summary.decision_count() as usize, run.decisions.len());
            assert_eq!(summary.failure_cluster.is_some(), run.status == RunStatus::Failure);
            assert!(summary.usage.iter().any(|used| used.amounts.input_tokens > 0), "{:?}", summary.usage);
            assert!(summary.step_facts.iter().any(|fact| fact.starts_with("model\0")), "{:?}", summary.step_facts);
            retries += summary.retry_count;
            failures += summary.failures.len();
        }
        assert!(retries > 10 && failures > 10, "the samples hold {retries} retries and {failures} failures");
    }

    proptest! {
        #[test]
        fn both_ways_to_a_summary_agree(
            seed in 0..1000_u64,
            changes in prop::collection::vec((0..8_usize, 0..8_usize, 0..10_u8, 1..4_u32), 0..12),
            ended in any::<bool>(),
        ) {
            let mut run = sample::run(seed);
            if !ended {
                run.ended_at = None;
            }
            for (at, other, what, number) in changes {
                let (at, other) = (at % run.steps.len(), other % run.steps.len());
                let other_id = run.steps[other].step_id;
                let name = run.steps[other].name.clone();
                let step_type = run.steps[other].step_type;
                let step = &mut run.steps[at];
                match what {
                    0 => step.attempt = Some(number),
                    1 => step.retry_of = Some(other_id),
                    2 => step.status = StepStatus::Failed,
                    3 => step.parent_step_id = Some(other_id),
                    4 => step.metadata.0.push(("attempt".into(), agenttracer_model::Value::Uint(number.into()))),
                    5 => step.latency_ms = u64::MAX / 2,
                    6 => {
                        step.metadata.0.retain(|(key, _)| key != "model");
                        step.metadata.0.push(("model".into(), Value::Float(f64::from(number) / 2.0)));
                    }
                    8 => step.metadata.0.retain(|(key, _)| key != "input_tokens" && key != "model"),
                    7 => step.started_at = Timestamp::from_micros(step.started_at.as_micros() - i64::from(number) * 90_000),
                    _ => (step.name, step.step_type) = (name, step_type),
                }
            }
            both_agree(&run);
        }
    }
}
