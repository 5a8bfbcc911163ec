use uuid::Uuid;

use crate::taxonomy::RunStatus;
use crate::{Decision, Digest, Failure, Metadata, Position, Run, Signal, Step, Timestamp};

/// One change of a run's state: what a record of the log means.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The run began.
    RunStarted(RunStarted),
    /// A step began. Its `ended_at` equals its `started_at`, its latency is 0.
    StepStarted(Step),
    /// A step ended.
    StepEnded(Step),
    /// A failure.
    FailureRecorded(Failure),
    /// A decision.
    DecisionRecorded(Decision),
    /// A quality signal.
    SignalRecorded(Signal),
    /// The agent is alive.
    Heartbeat,
    /// The run ended.
    RunEnded(RunEnded),
    /// The server gave the run up: no event within its lease.
    RunAbandoned,
    /// The run was erased.
    RunErased,
}

/// What is known when a run begins.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStarted {
    /// See [`Run`].
    pub agent_id: String,
    /// See [`Run`].
    pub agent_version: String,
    /// See [`Run`].
    pub environment: String,
    /// See [`Run`].
    pub started_at: Timestamp,
    /// See [`Run`].
    pub parent_run_id: Option<Uuid>,
    /// See [`Run`].
    pub parent_step_id: Option<Uuid>,
    /// See [`Run`].
    pub session_id: Option<String>,
    /// See [`Run`].
    pub trace_id: Option<String>,
    /// See [`Run`].
    pub metadata: Metadata,
}

/// What is known when a run ends.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnded {
    /// Success, failure or partial.
    pub status: RunStatus,
    /// When; `None` when the client did not say.
    pub ended_at: Option<Timestamp>,
    /// How many values the privacy rules removed from the run.
    pub removed_count: u32,
    /// The content digest of a run that arrived whole.
    pub digest: Option<Digest>,
}

/// One event with when it happened by the agent's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedEvent {
    /// `None` in a run that arrived whole: the time of each part stands in the part itself.
    pub time: Option<Timestamp>,
    /// What happened.
    pub event: Event,
}

/// The events of one run that were appended together: after a crash all of them or none.
#[derive(Clone, Debug, PartialEq)]
pub struct RunBatch {
    /// The position of the first event.
    pub position: Position,
    /// When the server took it in.
    pub received_at: Timestamp,
    /// The run all the events belong to.
    pub run_id: Uuid,
    /// Whether these events are a run that arrived whole (`POST /v1/runs`).
    pub whole: bool,
    /// In order; the event at index i has position `position + i`.
    pub events: Vec<TimedEvent>,
}

impl Run {
    /// The events of a run that arrived whole: started, steps by `seq`, failures, decisions, signals, ended.
    pub fn into_events(self) -> Vec<TimedEvent> {
        let mut events = Vec::with_capacity(
            2 + self.steps.len() + self.failures.len() + self.decisions.len() + self.quality_signals.len(),
        );
        events.push(Event::RunStarted(RunStarted {
            agent_id: self.agent_id,
            agent_version: self.agent_version,
            environment: self.environment,
            started_at: self.started_at,
            parent_run_id: self.parent_run_id,
            parent_step_id: self.parent_step_id,
            session_id: self.session_id,
            trace_id: self.trace_id,
            metadata: self.metadata,
        }));
        events.extend(self.steps.into_iter().map(Event::StepEnded));
        events.extend(self.failures.into_iter().map(Event::FailureRecorded));
        events.extend(self.decisions.into_iter().map(Event::DecisionRecorded));
        events.extend(self.quality_signals.into_iter().map(Event::SignalRecorded));
        events.push(Event::RunEnded(RunEnded {
            status: self.status,
            ended_at: self.ended_at,
            removed_count: self.removed_count,
            digest: Some(self.digest),
        }));
        events.into_iter().map(|event| TimedEvent { time: None, event }).collect()
    }
}
