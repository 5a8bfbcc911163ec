//! The fold of a run's events into its view.
//!
//! The view is a pure function of the *set* of batches: their order and duplication do not matter.
//!
//! - A run that was erased has no view.
//! - A run that arrived whole is what its batch says; of several whole batches the one with the lowest position wins,
//!   and live events beside it are ignored.
//! - Live events are merged by their key (kind, entity id). Of two with one key the greater (time, content digest)
//!   wins, never the one that arrived later; a step that ended supersedes its start.
//! - A run that the server gave up is a failure until a live event stands behind the giving up in the log.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::attempts::attempts_of_run;
use crate::taxonomy::{FailureType, RunStatus};
use crate::{
    Decision, DecisionView, Digest, Event, Failure, FailureView, Metadata, Position, Run, RunBatch, RunEnded,
    RunStarted, RunView, Signal, SignalView, Step, StepView, Timestamp, Value,
};

/// What the failure of an abandoned run says.
const ABANDONED_MESSAGE: &str = "the run sent no event within its lease";

impl RunView {
    /// Folds all batches of one run into its view; the same whatever their order and duplication.
    ///
    /// Of several whole runs the one with the lowest position wins, and events beside it are ignored. `None` when the
    /// batches hold no run yet (no start), or when the run was erased.
    ///
    /// Steps stand by `seq`. Failures, decisions and signals stand in record order in a run that arrived whole, and by
    /// time and id in a live one, where the order of arrival must not matter.
    pub fn fold(batches: impl IntoIterator<Item = RunBatch>) -> Option<Self> {
        Parts::of(batches).map(Parts::into_view)
    }

    /// The view of a run that arrived whole: what [`fold`](RunView::fold) gives for its one batch.
    pub fn from_run(run: &Run, created_at: Timestamp, position: Position) -> Self {
        run.clone().into_view(created_at, position)
    }
}

/// A run as it was accepted, folded from its batches, with what the server made.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldedRun {
    /// The run: attempts and candidates are as they were sent. The digest is the default one for a live run.
    pub run: Run,
    /// When the server first took it in.
    pub created_at: Timestamp,
    /// The position of its first record.
    pub position: Position,
}

impl FoldedRun {
    /// Folds all batches of one run, as [`RunView::fold`] does, into what could be sent again instead of what is shown.
    pub fn fold(batches: impl IntoIterator<Item = RunBatch>) -> Option<Self> {
        Parts::of(batches).map(Parts::into_folded)
    }
}

impl Run {
    /// As [`RunView::from_run`], without copying the run.
    pub fn into_view(self, created_at: Timestamp, position: Position) -> RunView {
        Parts {
            run_id: self.run_id,
            created_at,
            position,
            start: RunStarted {
                agent_id: self.agent_id,
                agent_version: self.agent_version,
                environment: self.environment,
                started_at: self.started_at,
                parent_run_id: self.parent_run_id,
                parent_step_id: self.parent_step_id,
                session_id: self.session_id,
                trace_id: self.trace_id,
                metadata: self.metadata,
            },
            end: RunEnded {
                status: self.status,
                ended_at: self.ended_at,
                removed_count: self.removed_count,
                digest: Some(self.digest),
            },
            steps: self.steps,
            failures: self.failures,
            decisions: self.decisions,
            signals: self.quality_signals,
            times: None,
        }
        .into_view()
    }
}

/// When something was recorded by the agent's clock, and when the server took it in.
#[derive(Clone, Copy)]
struct Times {
    recorded_at: Timestamp,
    created_at: Timestamp,
}

/// The times of a live run's parts, each list in the order of its parts. The parts of a whole run have the run's.
struct PartTimes {
    steps: HashMap<Uuid, Times>,
    failures: Vec<Times>,
    decisions: Vec<Times>,
    signals: Vec<Times>,
}

/// A run taken apart: what a view is made of.
struct Parts {
    run_id: Uuid,
    created_at: Timestamp,
    position: Position,
    start: RunStarted,
    end: RunEnded,
    steps: Vec<Step>,
    failures: Vec<Failure>,
    decisions: Vec<Decision>,
    signals: Vec<Signal>,
    times: Option<PartTimes>,
}

impl Parts {
    fn of(batches: impl IntoIterator<Item = RunBatch>) -> Option<Self> {
        let mut whole: Option<RunBatch> = None;
        let mut live = Vec::new();
        for batch in batches {
            if batch.events.iter().any(|timed| matches!(timed.event, Event::RunErased)) {
                return None;
            }
            if !batch.whole {
                live.push(batch);
            } else if whole.as_ref().is_none_or(|best| batch.position < best.position) {
                whole = Some(batch);
            }
        }
        match whole {
            Some(batch) => Self::of_whole(batch),
            None => Live::merge(live).into_parts(),
        }
    }

    fn into_folded(mut self) -> FoldedRun {
        self.steps.sort_by_key(|step| (step.seq, step.started_at, step.step_id));
        let run = Run {
            run_id: self.run_id,
            agent_id: self.start.agent_id,
            agent_version: self.start.agent_version,
            environment: self.start.environment,
            status: self.end.status,
            started_at: self.start.started_at,
            ended_at: self.end.ended_at,
            parent_run_id: self.start.parent_run_id,
            parent_step_id: self.start.parent_step_id,
            session_id: self.start.session_id,
            trace_id: self.start.trace_id,
            metadata: self.start.metadata,
            steps: self.steps,
            failures: self.failures,
            decisions: self.decisions,
            quality_signals: self.signals,
            removed_count: self.end.removed_count,
            digest: self.end.digest.unwrap_or_default(),
        };
        FoldedRun { run, created_at: self.created_at, position: self.position }
    }

    /// `None` when the batch has no start, which no writer writes.
    fn of_whole(batch: RunBatch) -> Option<Self> {
        let (mut start, mut end) = (None, None);
        let (mut steps, mut failures, mut decisions, mut signals) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for timed in batch.events {
            match timed.event {
                Event::RunStarted(event) => start = start.or(Some(event)),
                Event::RunEnded(event) => end = end.or(Some(event)),
                Event::StepEnded(step) => steps.push(step),
                Event::FailureRecorded(failure) => failures.push(failure),
                Event::DecisionRecorded(decision) => decisions.push(decision),
                Event::SignalRecorded(signal) => signals.push(signal),
                Event::StepStarted(_) | Event::Heartbeat | Event::RunAbandoned | Event::RunErased => {}
            }
        }
        Some(Self {
            run_id: batch.run_id,
            created_at: batch.received_at,
            position: batch.position,
            start: start?,
            end: end?,
            steps,
            failures,
            decisions,
            signals,
            times: None,
        })
    }

    fn into_view(mut self) -> RunView {
        let (run_id, of_run) = (self.run_id, Times { recorded_at: self.created_at, created_at: self.created_at });
        self.steps.sort_by_key(|step| (step.seq, step.started_at, step.step_id));
        let attempts = attempts_of_run(&self.steps, &self.failures, &self.signals);
        let times = self.times;
        let of_part = |list: fn(&PartTimes) -> &Vec<Times>, index: usize| {
            times.as_ref().and_then(|times| list(times).get(index)).copied().unwrap_or(of_run)
        };
        let steps = self
            .steps
            .into_iter()
            .zip(attempts)
            .map(|(step, attempt)| StepView {
                step_id: step.step_id,
                run_id,
                seq: step.seq,
                step_type: step.step_type,
                name: step.name,
                latency_ms: step.latency_ms,
                started_at: step.started_at,
                ended_at: step.ended_at,
                metadata: step.metadata,
                created_at: times
                    .as_ref()
                    .and_then(|times| times.steps.get(&step.step_id))
                    .map_or(of_run.created_at, |times| times.created_at),
                status: step.status,
                error_code: step.error_code,
                parent_step_id: step.parent_step_id,
                attempt: attempt.attempt,
                attempts_total: attempt.attempts_total,
                retry_group: attempt.retry_group,
            })
            .collect();
        let failures = self.failures.into_iter().enumerate().map(|(index, failure)| FailureView {
            failure_id: failure.failure_id,
            run_id,
            step_id: failure.step_id,
            failure_type: failure.failure_type,
            failure_code: failure.failure_code,
            message: failure.message,
            created_at: of_part(|times| &times.failures, index).created_at,
        });
        let decisions = self.decisions.into_iter().enumerate().map(|(index, decision)| {
            let Times { recorded_at, created_at } = of_part(|times| &times.decisions, index);
            DecisionView {
                decision_id: decision.decision_id,
                run_id,
                step_id: decision.step_id,
                decision_type: decision.reason.decision_type(),
                selected: decision.selected,
                reason_code: decision.reason.as_str(),
                confidence: decision.confidence,
                metadata: with_candidates(decision.metadata, decision.candidates),
                recorded_at,
                created_at,
            }
        });
        let signals = self.signals.into_iter().enumerate().map(|(index, signal)| {
            let Times { recorded_at, created_at } = of_part(|times| &times.signals, index);
            SignalView {
                signal_id: signal.signal_id,
                run_id,
                step_id: signal.step_id,
                signal_type: signal.code.signal_type(),
                signal_code: signal.code.as_str(),
                value: signal.value,
                weight: signal.weight,
                metadata: signal.metadata,
                recorded_at,
                created_at,
                tone: signal.code.tone(signal.value),
            }
        });
        RunView {
            run_id,
            agent_id: self.start.agent_id,
            agent_version: self.start.agent_version,
            environment: self.start.environment,
            status: self.end.status,
            started_at: self.start.started_at,
            ended_at: self.end.ended_at,
            created_at: self.created_at,
            steps,
            failures: failures.collect(),
            decisions: decisions.collect(),
            quality_signals: signals.collect(),
            duration_ms: self.end.ended_at.map(|end| end.millis_since(self.start.started_at)),
            parent_run_id: self.start.parent_run_id,
            parent_step_id: self.start.parent_step_id,
            session_id: self.start.session_id,
            trace_id: self.start.trace_id,
            metadata: self.start.metadata,
            removed_count: self.end.removed_count,
            position: self.position,
        }
    }
}

/// The decision's metadata with its candidates, when there are any, in it.
fn with_candidates(mut metadata: Metadata, candidates: Vec<String>) -> Metadata {
    if !candidates.is_empty() {
        let candidates = Value::Array(candidates.into_iter().map(Value::String).collect());
        match metadata.0.iter_mut().find(|(key, _)| key == "candidates") {
            Some((_, value)) => *value = candidates,
            None => metadata.0.push(("candidates".to_owned(), candidates)),
        }
    }
    metadata
}

/// What an event is about: two events with one key are versions of one fact.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Start,
    StepStart(Uuid),
    StepEnd(Uuid),
    Failure(Uuid),
    Decision(Uuid),
    Signal(Uuid),
    End,
}

impl Key {
    /// `None` for events that are no fact of their own.
    fn of(event: &Event) -> Option<Self> {
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

/// The winner among the events of one key, with the first time that the server heard of it.
struct Fact {
    time: Timestamp,
    created_at: Timestamp,
    event: Event,
}

/// The live events of a run, merged.
#[derive(Default)]
struct Live {
    first: Option<(Position, Timestamp, Uuid)>,
    facts: HashMap<Key, Fact>,
    /// The position and time of the last giving up.
    abandoned: Option<(Position, Timestamp)>,
    /// The position of the last sign of life.
    last: Option<Position>,
}

impl Live {
    fn merge(batches: Vec<RunBatch>) -> Self {
        let mut live = Self::default();
        for batch in batches {
            let first = (batch.position, batch.received_at, batch.run_id);
            live.first = Some(live.first.map_or(first, |known| known.min(first)));
            for (index, timed) in batch.events.into_iter().enumerate() {
                let position = batch.position.advance(index as u64);
                if matches!(timed.event, Event::RunAbandoned) {
                    let abandoned = Some((position, batch.received_at));
                    live.abandoned = live.abandoned.max(abandoned);
                    continue;
                }
                live.last = live.last.max(Some(position));
                if let Some(key) = Key::of(&timed.event) {
                    let time = timed.time.unwrap_or(batch.received_at);
                    live.add(key, Fact { time, created_at: batch.received_at, event: timed.event });
                }
            }
        }
        live
    }

    fn add(&mut self, key: Key, fact: Fact) {
        match self.facts.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(fact);
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                let created_at = known.created_at.min(fact.created_at);
                let wins = fact.time > known.time
                    || (fact.time == known.time && Digest::of_event(&fact.event) > Digest::of_event(&known.event));
                if wins {
                    *known = fact;
                }
                known.created_at = created_at;
            }
        }
    }

    fn into_parts(self) -> Option<Parts> {
        let (position, created_at, run_id) = self.first?;
        let (mut start, mut ended) = (None, None);
        let mut steps: HashMap<Uuid, (bool, Step, Times)> = HashMap::new();
        let (mut failures, mut decisions, mut signals) = (Vec::new(), Vec::new(), Vec::new());
        for fact in self.facts.into_values() {
            let times = Times { recorded_at: fact.time, created_at: fact.created_at };
            match fact.event {
                Event::RunStarted(event) => start = Some(event),
                Event::RunEnded(event) => {
                    ended = Some(RunEnded { ended_at: event.ended_at.or(Some(fact.time)), ..event })
                }
                Event::StepStarted(step) => add_step(&mut steps, false, step, times),
                Event::StepEnded(step) => add_step(&mut steps, true, step, times),
                Event::FailureRecorded(failure) => failures.push((failure, times)),
                Event::DecisionRecorded(decision) => decisions.push((decision, times)),
                Event::SignalRecorded(signal) => signals.push((signal, times)),
                Event::Heartbeat | Event::RunAbandoned | Event::RunErased => {}
            }
        }
        let abandoned = self.abandoned.filter(|(position, _)| ended.is_none() && self.last < Some(*position));
        if let Some((_, time)) = abandoned {
            failures.push((abandoned_failure(run_id), Times { recorded_at: time, created_at: time }));
        }
        let status = if abandoned.is_some() { RunStatus::Failure } else { RunStatus::Running };
        failures.sort_by_key(|(failure, times)| (times.recorded_at, failure.failure_id));
        decisions.sort_by_key(|(decision, times)| (times.recorded_at, decision.decision_id));
        signals.sort_by_key(|(signal, times)| (times.recorded_at, signal.signal_id));
        let (failures, failure_times) = failures.into_iter().unzip();
        let (decisions, decision_times) = decisions.into_iter().unzip();
        let (signals, signal_times) = signals.into_iter().unzip();
        let step_times = steps.iter().map(|(id, (_, _, times))| (*id, *times)).collect();
        Some(Parts {
            run_id,
            created_at,
            position,
            start: start?,
            end: ended.unwrap_or(RunEnded { status, ended_at: None, removed_count: 0, digest: None }),
            steps: steps.into_values().map(|(_, step, _)| step).collect(),
            failures,
            decisions,
            signals,
            times: Some(PartTimes {
                steps: step_times,
                failures: failure_times,
                decisions: decision_times,
                signals: signal_times,
            }),
        })
    }
}

/// A step that ended supersedes its start, but the server heard of it when it heard of either.
fn add_step(steps: &mut HashMap<Uuid, (bool, Step, Times)>, ended: bool, step: Step, times: Times) {
    match steps.entry(step.step_id) {
        Entry::Vacant(entry) => {
            entry.insert((ended, step, times));
        }
        Entry::Occupied(mut entry) => {
            let created_at = entry.get().2.created_at.min(times.created_at);
            if ended {
                entry.insert((ended, step, times));
            }
            entry.get_mut().2.created_at = created_at;
        }
    }
}

/// The failure of a run that the server gave up. Its id follows from the run's, so that every fold makes the same.
fn abandoned_failure(run_id: Uuid) -> Failure {
    let hash: [u8; 32] = Sha256::new().chain_update(b"abandoned").chain_update(run_id.as_bytes()).finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    Failure {
        failure_id: uuid::Builder::from_custom_bytes(id).into_uuid(),
        step_id: None,
        failure_type: FailureType::Orchestration,
        failure_code: "abandoned".to_owned(),
        message: ABANDONED_MESSAGE.to_owned(),
    }
}
