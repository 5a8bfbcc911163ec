//! NDJSON: one run a line, in the form in which it can be sent to `POST /v1/runs` again. What the server made
//! (`created_at`, `duration_ms`, `removed_count`, `position`) stands beside it; whoever takes runs in ignores it.

use std::io::Write;

use agenttracer_model::taxonomy::{DecisionType, FailureType, RunStatus, SignalType, StepStatus, StepType};
use agenttracer_model::{Decision, Failure, FoldedRun, Metadata, Position, Signal, Step, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::files::{Finished, OutDir, OutFile};

pub(crate) struct Lines {
    file: OutFile,
    line: Vec<u8>,
    rows: u64,
}

impl Lines {
    pub(crate) fn new(dir: &OutDir) -> anyhow::Result<Self> {
        Ok(Self { file: dir.file("runs.ndjson")?, line: Vec::new(), rows: 0 })
    }

    pub(crate) fn add(&mut self, run: &FoldedRun) -> anyhow::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &Line::from(run))?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)?;
        self.rows += 1;
        Ok(())
    }

    pub(crate) fn finish(self) -> anyhow::Result<Finished> {
        self.file.finish(self.rows)
    }
}

/// A run as it can be sent again.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    run_id: Uuid,
    agent_id: &'a str,
    agent_version: &'a str,
    environment: &'a str,
    status: RunStatus,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    steps: Vec<StepLine<'a>>,
    /// The one that a run can have.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureLine<'a>>,
    /// When there are several, as a run that was sent event by event can have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<FailureLine<'a>>,
    decisions: Vec<DecisionLine<'a>>,
    quality_signals: Vec<SignalLine<'a>>,
    parent_run_id: Option<Uuid>,
    parent_step_id: Option<Uuid>,
    session_id: Option<&'a str>,
    trace_id: Option<&'a str>,
    metadata: &'a Metadata,
    created_at: Timestamp,
    duration_ms: Option<u64>,
    removed_count: u32,
    position: Position,
}

/// The fields of a [`Line`] that every server makes anew.
pub(crate) const MADE_BY_SERVER: [&str; 4] = ["created_at", "duration_ms", "removed_count", "position"];

#[derive(Serialize)]
struct StepLine<'a> {
    step_id: Uuid,
    seq: u32,
    step_type: StepType,
    name: &'a str,
    latency_ms: u64,
    started_at: Timestamp,
    ended_at: Timestamp,
    metadata: &'a Metadata,
    status: StepStatus,
    error_code: Option<&'a str>,
    parent_step_id: Option<Uuid>,
    attempt: Option<u32>,
    retry_of: Option<Uuid>,
}

#[derive(Serialize)]
struct FailureLine<'a> {
    step_id: Option<Uuid>,
    failure_type: FailureType,
    failure_code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct DecisionLine<'a> {
    decision_id: Uuid,
    step_id: Option<Uuid>,
    decision_type: DecisionType,
    reason_code: &'static str,
    selected: &'a str,
    candidates: &'a [String],
    confidence: Option<f64>,
    metadata: &'a Metadata,
}

#[derive(Serialize)]
struct SignalLine<'a> {
    signal_id: Uuid,
    step_id: Option<Uuid>,
    signal_type: SignalType,
    signal_code: &'static str,
    value: bool,
    weight: Option<f64>,
    metadata: &'a Metadata,
}

impl<'a> From<&'a FoldedRun> for Line<'a> {
    fn from(folded: &'a FoldedRun) -> Self {
        let run = &folded.run;
        let mut failures: Vec<_> = run.failures.iter().map(FailureLine::from).collect();
        let failure = if failures.len() == 1 { failures.pop() } else { None };
        Self {
            run_id: run.run_id,
            agent_id: &run.agent_id,
            agent_version: &run.agent_version,
            environment: &run.environment,
            status: run.status,
            started_at: run.started_at,
            ended_at: run.ended_at,
            steps: run.steps.iter().map(StepLine::from).collect(),
            failure,
            failures,
            decisions: run.decisions.iter().map(DecisionLine::from).collect(),
            quality_signals: run.quality_signals.iter().map(SignalLine::from).collect(),
            parent_run_id: run.parent_run_id,
            parent_step_id: run.parent_step_id,
            session_id: run.session_id.as_deref(),
            trace_id: run.trace_id.as_deref(),
            metadata: &run.metadata,
            created_at: folded.created_at,
            duration_ms: run.ended_at.map(|end| end.millis_since(run.started_at)),
            removed_count: run.removed_count,
            position: folded.position,
        }
    }
}

impl<'a> From<&'a Step> for StepLine<'a> {
    fn from(step: &'a Step) -> Self {
        Self {
            step_id: step.step_id,
            seq: step.seq,
            step_type: step.step_type,
            name: &step.name,
            latency_ms: step.latency_ms,
            started_at: step.started_at,
            ended_at: step.ended_at,
            metadata: &step.metadata,
            status: step.status,
            error_code: step.error_code.as_deref(),
            parent_step_id: step.parent_step_id,
            attempt: step.attempt,
            retry_of: step.retry_of,
        }
    }
}

impl<'a> From<&'a Failure> for FailureLine<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            step_id: failure.step_id,
            failure_type: failure.failure_type,
            failure_code: &failure.failure_code,
            message: &failure.message,
        }
    }
}

impl<'a> From<&'a Decision> for DecisionLine<'a> {
    fn from(decision: &'a Decision) -> Self {
        Self {
            decision_id: decision.decision_id,
            step_id: decision.step_id,
            decision_type: decision.reason.decision_type(),
            reason_code: decision.reason.as_str(),
            selected: &decision.selected,
            candidates: &decision.candidates,
            confidence: decision.confidence,
            metadata: &decision.metadata,
        }
    }
}

impl<'a> From<&'a Signal> for SignalLine<'a> {
    fn from(signal: &'a Signal) -> Self {
        Self {
            signal_id: signal.signal_id,
            step_id: signal.step_id,
            signal_type: signal.code.signal_type(),
            signal_code: signal.code.as_str(),
            value: signal.value,
            weight: signal.weight,
            metadata: &signal.metadata,
        }
    }
}
