//! Run views: what a run is for a reader. The fields and their order are those of the HTTP contract §4; serialising
//! one gives the response body, the same bytes whether the run was just taken in, is hot, or was read from the log.
#![expect(missing_docs, reason = "the HTTP contract §4 describes each field")]

use serde::Serialize;
use uuid::Uuid;

use crate::taxonomy::{DecisionType, FailureType, RunStatus, SignalType, StepStatus, StepType, Tone};
use crate::{Metadata, Position, Timestamp};

/// A run as the API answers it: the fold of its events.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Run))]
pub struct RunView {
    pub run_id: Uuid,
    pub agent_id: String,
    pub agent_version: String,
    pub environment: String,
    pub status: RunStatus,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// When the server first took the run in.
    pub created_at: Timestamp,
    /// In `seq` order.
    pub steps: Vec<StepView>,
    pub failures: Vec<FailureView>,
    pub decisions: Vec<DecisionView>,
    pub quality_signals: Vec<SignalView>,
    /// `ended_at - started_at` in whole ms; `null` without `ended_at`.
    pub duration_ms: Option<u64>,
    pub parent_run_id: Option<Uuid>,
    pub parent_step_id: Option<Uuid>,
    pub session_id: Option<String>,
    pub trace_id: Option<String>,
    pub metadata: Metadata,
    /// How many values the privacy rules removed.
    pub removed_count: u32,
    /// The position of the run's first record.
    pub position: Position,
}

/// A step of a run, with its attempts derived.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Step))]
pub struct StepView {
    pub step_id: Uuid,
    pub run_id: Uuid,
    pub seq: u32,
    pub step_type: StepType,
    pub name: String,
    pub latency_ms: u64,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub metadata: Metadata,
    pub created_at: Timestamp,
    pub status: StepStatus,
    pub error_code: Option<String>,
    pub parent_step_id: Option<Uuid>,
    /// Which attempt of its operation this step is, 1-based.
    pub attempt: u32,
    /// How many attempts the operation has.
    pub attempts_total: u32,
    /// The `step_id` of the operation's first attempt; `null` for an operation of one attempt.
    pub retry_group: Option<Uuid>,
}

/// Why a run failed, or what it recovered from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Failure))]
pub struct FailureView {
    pub failure_id: Uuid,
    pub run_id: Uuid,
    pub step_id: Option<Uuid>,
    pub failure_type: FailureType,
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::FailureCode))]
    pub failure_code: String,
    pub message: String,
    pub created_at: Timestamp,
}

/// A choice that the agent made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Decision))]
pub struct DecisionView {
    pub decision_id: Uuid,
    pub run_id: Uuid,
    pub step_id: Option<Uuid>,
    pub decision_type: DecisionType,
    pub selected: String,
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::ReasonName))]
    pub reason_code: &'static str,
    pub confidence: Option<f64>,
    /// The decision's metadata; non-empty candidates stand in it as `candidates`.
    pub metadata: Metadata,
    pub recorded_at: Timestamp,
    pub created_at: Timestamp,
}

/// An observation about the quality of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Signal))]
pub struct SignalView {
    pub signal_id: Uuid,
    pub run_id: Uuid,
    pub step_id: Option<Uuid>,
    pub signal_type: SignalType,
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::SignalName))]
    pub signal_code: &'static str,
    pub value: bool,
    pub weight: Option<f64>,
    pub metadata: Metadata,
    pub recorded_at: Timestamp,
    pub created_at: Timestamp,
    pub tone: Tone,
}
