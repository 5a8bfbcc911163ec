//! Which runs a question is about.

use std::ops::RangeInclusive;

use agenttracer_model::taxonomy::{FailureType, RunStatus};
use agenttracer_model::{Position, Timestamp};

use crate::RunSummary;

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
    /// Also live runs that go on, whatever `status` says.
    pub live: bool,
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

impl Filter {
    /// Whether `run` meets every condition.
    pub fn matches(&self, run: &RunSummary) -> bool {
        any(&self.agent_id, |agent| **agent == *run.agent_id)
            && any(&self.agent_version, |version| **version == *run.agent_version)
            && any(&self.environment, |environment| **environment == *run.environment)
            && run.started
            && match run.status {
                RunStatus::Running => self.live || self.status.contains(&run.status),
                _ => self.status.is_empty() || self.status.contains(&run.status),
            }
            && self.start_time.is_none_or(|start| run.started_at >= start)
            && self.end_time.is_none_or(|end| run.started_at <= end)
            && any(&self.failure_type, |kind| run.failures.iter().any(|failure| failure.failure_type == *kind))
            && any(&self.failure_code, |code| run.failures.iter().any(|failure| *failure.failure_code == **code))
            && any(&self.step_name, |name| run.step_names.binary_search_by(|have| (**have).cmp(name.as_str())).is_ok())
            && self.has_retries.is_none_or(|retries| retries == (run.retry_count > 0))
            && self.durations().is_none_or(|range| run.duration_ms.is_some_and(|ms| range.contains(&ms)))
            && self.before_position.is_none_or(|position| run.position() < position)
            && !self.nothing
    }

    /// The same without live runs that go on: statistics count what has ended.
    pub(crate) fn ended(&self) -> Self {
        let mut ended = Self { live: false, ..self.clone() };
        ended.status.retain(|status| *status != RunStatus::Running);
        ended.nothing |= ended.status.is_empty() && !self.status.is_empty();
        ended
    }

    /// Whether no run at all can match, whatever there is.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.nothing
            || self.start_time.zip(self.end_time).is_some_and(|(start, end)| start > end)
            || self.durations().is_some_and(|range| range.is_empty())
            || self.before_position == Some(Position::ZERO)
    }

    /// The durations asked for, in ms; `None` when any will do, none included.
    pub(crate) fn durations(&self) -> Option<RangeInclusive<u64>> {
        (self.min_duration_ms.is_some() || self.max_duration_ms.is_some())
            .then(|| self.min_duration_ms.unwrap_or(0)..=self.max_duration_ms.unwrap_or(u64::MAX))
    }
}

/// Whether one of `values` holds; no value is no condition.
fn any<T>(values: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(holds)
}
