use std::sync::Arc;

use agenttracer_model::taxonomy::{FailureType, RunStatus};
use agenttracer_model::{Digest, Metadata, Position, Timestamp};
use uuid::Uuid;

/// What a list page shows and a filter asks of a run: its view without children.
///
/// Names that repeat from run to run are shared.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// The run.
    pub run_id: Uuid,
    /// Its agent.
    pub agent_id: Arc<str>,
    /// Its agent's version.
    pub agent_version: Arc<str>,
    /// Where it ran.
    pub environment: Arc<str>,
    /// How it stands.
    pub status: RunStatus,
    /// False for a live run of which events came, but not its start. Nobody is shown it: it keeps their positions
    /// until the start comes. Its status is `running`, its names are empty and `started_at` is when it was first heard of.
    pub started: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When the server first took it in.
    pub created_at: Timestamp,
    /// `ended_at - started_at`, in whole ms.
    pub duration_ms: Option<u64>,
    /// The run that started it.
    pub parent_run_id: Option<Uuid>,
    /// The step that started it.
    pub parent_step_id: Option<Uuid>,
    /// Its conversation.
    pub session_id: Option<Arc<str>>,
    /// Its trace.
    pub trace_id: Option<Arc<str>>,
    /// Facts of the run itself.
    pub metadata: Metadata,
    /// How many values the privacy rules removed.
    pub removed_count: u32,
    /// How many steps it has, by type in the order of `StepType::ALL`.
    pub steps_by_type: [u32; 5],
    /// Sum of its steps' `latency_ms`; saturates.
    pub step_latency_ms: u64,
    /// How many steps are a second or later attempt of their operation.
    pub retry_count: u32,
    /// The distinct names of its steps, sorted.
    pub step_names: Vec<Arc<str>>,
    /// Its failures, in the order of the view.
    pub failures: Vec<FailureSummary>,
    /// How many decisions it has.
    pub decision_count: u32,
    /// How many quality signals it has.
    pub signal_count: u32,
    /// How many of them ask for attention.
    pub attention_count: u32,
    /// The content digest of a run that arrived whole.
    pub digest: Option<Digest>,
    /// The first positions of the batches that hold the run, ascending; the first is the run's `position`.
    pub batches: Vec<Position>,
}

/// A failure, as filters and statistics see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureSummary {
    /// Its type.
    pub failure_type: FailureType,
    /// Its code.
    pub failure_code: Arc<str>,
}

impl RunSummary {
    /// The run's position: that of its first record.
    ///
    /// # Panics
    /// Never: a run has at least one batch.
    pub fn position(&self) -> Position {
        self.batches[0]
    }

    /// How many steps it has.
    pub fn step_count(&self) -> u32 {
        self.steps_by_type.iter().sum()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small successful run of two steps, different for each `n`: a later one started later.
    pub(crate) fn run(n: u64) -> RunSummary {
        RunSummary {
            run_id: Uuid::from_u128(0x1000 + u128::from(n)),
            agent_id: "support".into(),
            agent_version: "v1".into(),
            environment: "production".into(),
            status: RunStatus::Success,
            started: true,
            started_at: Timestamp::from_micros(1_700_000_000_000_000 + n as i64 * 1_000_000),
            ended_at: None,
            created_at: Timestamp::from_micros(1_700_000_000_500_000 + n as i64 * 1_000_000),
            duration_ms: None,
            parent_run_id: None,
            parent_step_id: None,
            session_id: None,
            trace_id: None,
            metadata: Metadata::default(),
            removed_count: 0,
            steps_by_type: [1, 0, 1, 0, 0],
            step_latency_ms: 30,
            retry_count: 0,
            step_names: vec!["analyze".into(), "billing_api".into()],
            failures: Vec::new(),
            decision_count: 0,
            signal_count: 0,
            attention_count: 0,
            digest: None,
            batches: vec![Position::new(n * 4)],
        }
    }
}
