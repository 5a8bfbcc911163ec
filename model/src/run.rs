use uuid::Uuid;

use crate::taxonomy::{FailureType, ReasonCode, RunStatus, SignalCode, StepStatus, StepType};
use crate::{Digest, Metadata, Timestamp};

/// A run as it was accepted: validated, with every private text refused or removed, and with every id made.
///
/// Times that the server makes (`created_at`) are not here: they are the time of the batch that holds the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Names the run; made by the server (v7) when the client sent none.
    pub run_id: Uuid,
    /// The agent, 1..=255 code points.
    pub agent_id: String,
    /// The agent's version, 1..=100 code points.
    pub agent_version: String,
    /// Where it ran, 1..=50 code points.
    pub environment: String,
    /// How it ended.
    pub status: RunStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, not before `started_at`.
    pub ended_at: Option<Timestamp>,
    /// The run that started this one.
    pub parent_run_id: Option<Uuid>,
    /// The step of the parent run that started this one.
    pub parent_step_id: Option<Uuid>,
    /// The conversation it belongs to.
    pub session_id: Option<String>,
    /// The trace it belongs to, as 32 lower-case hex digits.
    pub trace_id: Option<String>,
    /// Scalar facts of the run.
    pub metadata: Metadata,
    /// In `seq` order; `seq` is 0..n-1.
    pub steps: Vec<Step>,
    /// What failed; a whole run carries at most one.
    pub failures: Vec<Failure>,
    /// In the order they were sent.
    pub decisions: Vec<Decision>,
    /// In the order they were sent.
    pub quality_signals: Vec<Signal>,
    /// How many values the privacy rules removed.
    pub removed_count: u32,
    /// Of the normalised run, before server-made ids and times.
    pub digest: Digest,
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Unique within the run.
    pub step_id: Uuid,
    /// Its place, 0-based.
    pub seq: u32,
    /// What kind of work it is.
    pub step_type: StepType,
    /// Its name, 1..=255 code points.
    pub name: String,
    /// How long it took, in ms, 0..=2^53.
    pub latency_ms: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, not before `started_at`.
    pub ended_at: Timestamp,
    /// Whether it did what it was to do.
    pub status: StepStatus,
    /// The error's code, when it failed.
    pub error_code: Option<String>,
    /// The step around this one.
    pub parent_step_id: Option<Uuid>,
    /// The attempt's number that the client gave, 1-based.
    pub attempt: Option<u32>,
    /// The operation's first attempt, as the client gave it.
    pub retry_of: Option<Uuid>,
    /// Facts of the step, without content.
    pub metadata: Metadata,
}

/// A failure of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Made by the server.
    pub failure_id: Uuid,
    /// The step that failed.
    pub step_id: Option<Uuid>,
    /// The part of the agent that failed.
    pub failure_type: FailureType,
    /// An open code, 1..=100 of `[A-Za-z0-9_.:-]`.
    pub failure_code: String,
    /// Free text for people, at most 500 code points, private shapes replaced.
    pub message: String,
}

/// A choice the agent made, with its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Unique within the run.
    pub decision_id: Uuid,
    /// The step that made it.
    pub step_id: Option<Uuid>,
    /// Its type and reason; the pair is in the taxonomy.
    pub reason: ReasonCode,
    /// What was chosen, 1..=200 code points.
    pub selected: String,
    /// What could have been chosen.
    pub candidates: Vec<String>,
    /// 0..=1
    pub confidence: Option<f64>,
    /// Scalar facts.
    pub metadata: Metadata,
}

/// An observation of quality.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Unique within the run.
    pub signal_id: Uuid,
    /// The step it was made of.
    pub step_id: Option<Uuid>,
    /// Its type and code; the pair is in the taxonomy.
    pub code: SignalCode,
    /// What was observed.
    pub value: bool,
    /// 0..=1
    pub weight: Option<f64>,
    /// Scalar facts.
    pub metadata: Metadata,
}
