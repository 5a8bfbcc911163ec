//! The content digest: SHA-256 of a run as it was normalised, before server-made ids and times.

use std::fmt;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::taxonomy::RunStatus;
use crate::{Decision, Event, Failure, Metadata, Run, Signal, Step, Timestamp, Value, hex};

/// Leads the hashed bytes: another encoding is another version, so its digests differ.
const VERSION: u8 = 1;

/// A content digest. Two runs with the same digest have the same content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of a run's content, the same over every endpoint.
    ///
    /// The convention: it is taken after the privacy rules and the defaults, while every id that the server will make is
    /// still [`Uuid::nil`] (a nil id that a client sends counts as absent). What does not count: the order of steps in
    /// the body (they are hashed by `seq`), the order of metadata keys, failure ids (always server-made), how many
    /// values were removed (what is left decides), and [`Run::digest`] itself. Numbers in metadata keep their kind:
    /// `5` and `5.0` differ.
    pub fn of(run: &Run) -> Self {
        let mut bytes = Encoder::new(b'R', 1024 + 384 * run.steps.len());
        bytes.id(run.run_id);
        bytes.text(&run.agent_id);
        bytes.text(&run.agent_version);
        bytes.text(&run.environment);
        bytes.u8(run.status.tag());
        bytes.time(run.started_at);
        bytes.option(run.ended_at, Encoder::time);
        bytes.option(run.parent_run_id, Encoder::id);
        bytes.option(run.parent_step_id, Encoder::id);
        bytes.option(run.session_id.as_deref(), Encoder::text);
        bytes.option(run.trace_id.as_deref(), Encoder::text);
        bytes.metadata(&run.metadata);
        bytes.count(run.steps.len());
        if run.steps.is_sorted_by_key(|step| step.seq) {
            run.steps.iter().for_each(|step| bytes.step(step));
        } else {
            let mut steps: Vec<_> = run.steps.iter().collect();
            steps.sort_by_key(|step| step.seq);
            steps.into_iter().for_each(|step| bytes.step(step));
        }
        bytes.count(run.failures.len());
        run.failures.iter().for_each(|failure| bytes.failure(failure));
        bytes.count(run.decisions.len());
        run.decisions.iter().for_each(|decision| bytes.decision(decision));
        bytes.count(run.quality_signals.len());
        run.quality_signals.iter().for_each(|signal| bytes.signal(signal));
        bytes.finish()
    }

    /// SHA-256 of the 16 bytes of a run id: what stays of an erased run.
    pub fn of_run_id(run_id: Uuid) -> Self {
        Self(Sha256::digest(run_id.as_bytes()).into())
    }

    /// The digest of one event's content: decides between two events of one entity that claim the same time.
    pub fn of_event(event: &Event) -> Self {
        let mut bytes = Encoder::new(b'E', 256);
        match event {
            Event::RunStarted(start) => {
                bytes.u8(1);
                bytes.text(&start.agent_id);
                bytes.text(&start.agent_version);
                bytes.text(&start.environment);
                bytes.time(start.started_at);
                bytes.option(start.parent_run_id, Encoder::id);
                bytes.option(start.parent_step_id, Encoder::id);
                bytes.option(start.session_id.as_deref(), Encoder::text);
                bytes.option(start.trace_id.as_deref(), Encoder::text);
                bytes.metadata(&start.metadata);
            }
            Event::StepStarted(step) => {
                bytes.u8(2);
                bytes.step(step);
            }
            Event::StepEnded(step) => {
                bytes.u8(3);
                bytes.step(step);
            }
            Event::FailureRecorded(failure) => {
                bytes.u8(4);
                bytes.failure(failure);
            }
            Event::DecisionRecorded(decision) => {
                bytes.u8(5);
                bytes.decision(decision);
            }
            Event::SignalRecorded(signal) => {
                bytes.u8(6);
                bytes.signal(signal);
            }
            Event::Heartbeat => bytes.u8(7),
            Event::RunEnded(end) => {
                bytes.u8(8);
                bytes.u8(RunStatus::tag(end.status));
                bytes.option(end.ended_at, Encoder::time);
                bytes.count(end.removed_count as usize);
            }
            Event::RunAbandoned => bytes.u8(9),
            Event::RunErased => bytes.u8(10),
        }
        bytes.finish()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", hex(&self.0))
    }
}

/// Writes an unambiguous encoding: fields in a fixed order, integers little-endian, text and lists led by their length,
/// options by 0 or 1, values by their kind.
struct Encoder(Vec<u8>);

impl Encoder {
    fn new(what: u8, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend([VERSION, what]);
        Self(bytes)
    }

    fn finish(self) -> Digest {
        Digest(Sha256::digest(&self.0).into())
    }

    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.0.extend((count as u32).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend(text.as_bytes());
    }

    fn id(&mut self, id: Uuid) {
        self.0.extend(id.as_bytes());
    }

    fn time(&mut self, time: Timestamp) {
        self.0.extend(time.as_micros().to_le_bytes());
    }

    fn float(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn step(&mut self, step: &Step) {
        self.id(step.step_id);
        self.count(step.seq as usize);
        self.u8(step.step_type.tag());
        self.text(&step.name);
        self.u64(step.latency_ms);
        self.time(step.started_at);
        self.time(step.ended_at);
        self.u8(step.status.tag());
        self.option(step.error_code.as_deref(), Self::text);
        self.option(step.parent_step_id, Self::id);
        self.option(step.attempt, |bytes, attempt| bytes.count(attempt as usize));
        self.option(step.retry_of, Self::id);
        self.metadata(&step.metadata);
    }

    fn failure(&mut self, failure: &Failure) {
        self.option(failure.step_id, Self::id);
        self.u8(failure.failure_type.tag());
        self.text(&failure.failure_code);
        self.text(&failure.message);
    }

    fn decision(&mut self, decision: &Decision) {
        self.id(decision.decision_id);
        self.option(decision.step_id, Self::id);
        self.u8(decision.reason.decision_type().tag());
        self.text(decision.reason.as_str());
        self.text(&decision.selected);
        self.count(decision.candidates.len());
        decision.candidates.iter().for_each(|candidate| self.text(candidate));
        self.option(decision.confidence, Self::float);
        self.metadata(&decision.metadata);
    }

    fn signal(&mut self, signal: &Signal) {
        self.id(signal.signal_id);
        self.option(signal.step_id, Self::id);
        self.u8(signal.code.signal_type().tag());
        self.text(signal.code.as_str());
        self.u8(u8::from(signal.value));
        self.option(signal.weight, Self::float);
        self.metadata(&signal.metadata);
    }

    fn metadata(&mut self, metadata: &Metadata) {
        self.count(metadata.0.len());
        let mut write = |(key, value): &(String, Value)| {
            self.text(key);
            self.value(value);
        };
        if metadata.0.is_sorted_by(|a, b| a.0 <= b.0) {
            metadata.0.iter().for_each(write);
        } else {
            let mut entries: Vec<_> = metadata.0.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.into_iter().for_each(&mut write);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.u8(0),
            Value::Bool(value) => {
                self.u8(1);
                self.u8(u8::from(*value));
            }
            Value::Int(value) => {
                self.u8(2);
                self.0.extend(value.to_le_bytes());
            }
            Value::Uint(value) => {
                self.u8(3);
                self.u64(*value);
            }
            Value::Float(value) => {
                self.u8(4);
                self.float(*value);
            }
            Value::String(text) => {
                self.u8(5);
                self.text(text);
            }
            Value::Array(values) => {
                self.u8(6);
                self.count(values.len());
                values.iter().for_each(|value| self.value(value));
            }
            Value::Object(object) => {
                self.u8(7);
                self.metadata(object);
            }
        }
    }
}
