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
    /// How many values the privacy rules removed from it; 0 in a run that arrived whole, whose end tells of all.
    pub removed: u32,
    /// What happened.
    pub event: Event,
}

impl TimedEvent {
    /// An event from which nothing was removed.
    pub fn new(time: Option<Timestamp>, event: Event) -> Self {
        Self { time, removed: 0, event }
    }
}

/// What an event is about: two events of one run with one key are versions of one fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKey {
    /// The run's beginning.
    Start,
    /// The beginning of this step.
    StepStart(Uuid),
    /// The end of this step.
    StepEnd(Uuid),
    /// This failure.
    Failure(Uuid),
    /// This decision.
    Decision(Uuid),
    /// This signal.
    Signal(Uuid),
    /// The run's end.
    End,
}

impl EventKey {
    /// `None` for events that are no fact of their own.
    pub fn of(event: &Event) -> Option<Self> {
        match event {
            Event::RunStarted(_) => Some(Self::Start),
            Event::StepStarted(step) => Some(Self::StepStart(step.step_id)),
            Event::StepEnded(step) => Some(Self::StepEnd(step.step_id)),
            Event::FailureRecorded(failure) => Some(Self::Failure(failure.failure_id)),
            Event::DecisionRecorded(decision) => Some(Self::Decision(decision.decision_id)),
            Event::SignalRecorded(signal) => Some(Self::Signal(signal.signal_id)),
            Event::RunEnded(_) => Some(Self::End),
            Event::Heartbeat | Event::RunAbandoned | Event::RunErased => None,
        }
    }
}

/// Which of several events with one key counts: the greatest, whenever it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventVersion {
    /// When it happened by the agent's clock.
    pub time: Timestamp,
    /// Of its content, between two that claim the same time.
    pub digest: Digest,
}

impl EventVersion {
    /// The version of an event that happened at `time`.
    pub fn of(time: Timestamp, event: &Event) -> Self {
        Self { time, digest: Digest::of_event(event) }
    }
}

/// What an event is known again by: of two with one mark the second adds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventMark {
    /// What it is about; `None` for what is no fact of its own.
    pub key: Option<EventKey>,
    /// Which version of that.
    pub version: EventVersion,
    /// How many values were removed from it: of two equal events the greater number counts.
    pub removed: u32,
}

impl EventMark {
    /// The mark of an event with its own time.
    pub fn of(time: Timestamp, removed: u32, event: &Event) -> Self {
        Self { key: EventKey::of(event), version: EventVersion::of(time, event), removed }
    }
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
        events.into_iter().map(|event| TimedEvent::new(None, event)).collect()
    }
}
