//! Which runs a question is about.

use agenttracer_model::taxonomy::{FailureType, RunStatus};
use agenttracer_model::{Position, Timestamp};

/// A conjunction of conditions; within one condition, any of the values. An empty list or `None` is no condition.
///
/// The default matches every run that has ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Exact agents.
    pub agent_id: Vec<String>,
    /// Exact versions.
    pub agent_version: Vec<String>,
    /// Exact environments.
    pub environment: Vec<String>,
    /// Statuses. Without any, every status but `running`.
    pub status: Vec<RunStatus>,
    /// Not before, on `started_at`; inclusive.
    pub start_time: Option<Timestamp>,
    /// Not after, on `started_at`; inclusive.
    pub end_time: Option<Timestamp>,
    /// Runs with a failure of one of these types.
    pub failure_type: Vec<FailureType>,
    /// Runs with a failure of one of these codes.
    pub failure_code: Vec<String>,
    /// Runs with a step of one of these names.
    pub step_name: Vec<String>,
    /// Runs with, or without, a second attempt.
    pub has_retries: Option<bool>,
    /// At least this long, in ms; a run without `ended_at` has no duration and never matches.
    pub min_duration_ms: Option<u64>,
    /// At most this long, in ms; as above.
    pub max_duration_ms: Option<u64>,
    /// Only runs whose position is below this one: what a cursor was opened at.
    pub before_position: Option<Position>,
    /// Set when a value was asked for that no run can have (an unknown status): nothing matches.
    pub nothing: bool,
}
