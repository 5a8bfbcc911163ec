//! Summaries of runs: one path straight from the borrowed records of a run that arrived whole, and one through the
//! fold, for everything else. Both give the same summary, as a test below says.

use std::sync::Arc;

use agenttracer_model::attempts::{AttemptInput, attempts, metadata_attempt, tells_of_failure};
use agenttracer_model::taxonomy::{RunStatus, StepStatus, StepType, Tone};
use agenttracer_model::{Event, RunBatch, RunView};
use agenttracer_storage::StoredBatch;
use agenttracer_storage::record::{DecodeError, RecordRef, Records, StepRef};
use uuid::Uuid;

use crate::names::Names;
use crate::{FailureSummary, RunSummary};

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
        steps_by_type: [0; 5],
        step_latency_ms: 0,
        retry_count: 0,
        step_names: Vec::new(),
        failures: Vec::new(),
        decision_count: 0,
        signal_count: 0,
        attention_count: 0,
        digest: None,
        batches: vec![batch.position],
    };
    let mut steps: Vec<StepRef<'_>> = Vec::with_capacity(16);
    let mut unsuccessful = Vec::new();
    let mut ended = false;
    for record in records {
        if ended {
            return Ok(None);
        }
        match record? {
            RecordRef::StepEnded(step) => {
                run.steps_by_type[step.step_type as usize] += 1;
                run.step_latency_ms = run.step_latency_ms.saturating_add(step.latency_ms);
                steps.push(step);
            }
            RecordRef::FailureRecorded { failure_type, failure_code, step_id, .. } => {
                run.failures.push(FailureSummary { failure_type, failure_code: names.share(failure_code) });
                unsuccessful.extend(step_id);
            }
            RecordRef::DecisionRecorded { .. } => run.decision_count += 1,
            RecordRef::SignalRecorded { code, value, step_id, .. } => {
                run.signal_count += 1;
                run.attention_count += u32::from(code.tone(value) == Tone::Attention);
                if tells_of_failure(code.signal_type(), value) {
                    unsuccessful.extend(step_id);
                }
            }
            RecordRef::RunEnded { status, ended_at, removed_count, digest } => {
                run.status = status;
                run.ended_at = ended_at;
                run.duration_ms = ended_at.map(|ended_at| ended_at.millis_since(started_at));
                run.removed_count = removed_count;
                run.digest = digest;
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
    if steps.iter().any(|step| step.attempt.is_some() || step.retry_of.is_some())
        || steps.windows(2).any(|pair| operation(&pair[0]) == operation(&pair[1]))
    {
        run.retry_count = retry_count(&steps, &unsuccessful)?;
    }
    steps.dedup_by_key(|step| step.name);
    run.step_names = steps.iter().map(|step| names.share(step.name)).collect();
    Ok(Some(run))
}

/// What attempts of one operation have in common, unless the client says more.
fn operation<'a>(step: &StepRef<'a>) -> (&'a str, StepType, Option<Uuid>) {
    (step.name, step.step_type, step.parent_step_id)
}

/// How many of the steps are a second or later attempt.
fn retry_count(steps: &[StepRef<'_>], unsuccessful: &[Uuid]) -> Result<u32, DecodeError> {
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
    Ok(attempts(&inputs).iter().filter(|attempt| attempt.attempt > 1).count() as u32)
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
    let digest = batches.iter().filter(|batch| batch.whole).flat_map(|batch| &batch.events).find_map(|timed| {
        match &timed.event {
            Event::RunEnded(ended) => ended.digest,
            _ => None,
        }
    });
    let view = RunView::fold(batches)?;
    let mut step_names: Vec<&str> = view.steps.iter().map(|step| step.name.as_str()).collect();
    step_names.sort_unstable();
    step_names.dedup();
    let mut steps_by_type = [0; 5];
    for step in &view.steps {
        steps_by_type[step.step_type as usize] += 1;
    }
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
        steps_by_type,
        step_latency_ms: view.steps.iter().fold(0, |sum, step| sum.saturating_add(step.latency_ms)),
        retry_count: view.steps.iter().filter(|step| step.attempt > 1).count() as u32,
        step_names: step_names.into_iter().map(|name| names.share(name)).collect(),
        failures,
        decision_count: view.decisions.len() as u32,
        signal_count: view.quality_signals.len() as u32,
        attention_count: view.quality_signals.iter().filter(|signal| signal.tone == Tone::Attention).count() as u32,
        metadata: view.metadata,
        digest,
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
            assert_eq!((summary.run_id, summary.digest), (run.run_id, Some(run.digest)));
            assert_eq!(summary.step_count() as usize, run.steps.len());
            assert_eq!(summary.signal_count as usize, run.quality_signals.len());
            retries += summary.retry_count;
            failures += summary.failures.len();
        }
        assert!(retries > 10 && failures > 10, "the samples hold {retries} retries and {failures} failures");
    }

    proptest! {
        #[test]
        fn both_ways_to_a_summary_agree(
            seed in 0..1000_u64,
            changes in prop::collection::vec((0..8_usize, 0..8_usize, 0..7_u8, 1..4_u32), 0..12),
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
                    _ => (step.name, step.step_type) = (name, step_type),
                }
            }
            both_agree(&run);
        }
    }
}
