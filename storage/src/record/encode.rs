use agenttracer_model::{
    Decision, Digest, Event, Failure, Metadata, Run, RunEnded, RunStarted, Signal, Step, TimedEvent, Timestamp,
};
use bincode::enc::write::Writer;
use bincode::enc::{Encode, EncoderImpl};
use bincode::error::EncodeError;
use uuid::Uuid;

use super::stored::{
    Id, Kind, StoredDecision, StoredFailure, StoredRunEnded, StoredRunStarted, StoredSignal, StoredStep,
};
use super::{CODEC, CONFIG, HEAD_LEN, REMOVED, TIMED, VERSION, WHOLE, metadata};
use crate::{Batch, BatchKind};

/// Encodes a run that arrived whole as one batch: the same records as `Run::into_events`, without building them.
///
/// # Panics
/// When metadata nests deeper than 32: ingest drops such metadata.
pub fn encode_run(run: &Run, received_at: Timestamp) -> Batch {
    let mut payload = Payload::new(run.run_id, WHOLE, run.started_at);
    payload.run_started(None, run.into());
    for step in &run.steps {
        payload.step(Kind::StepEnded, None, step);
    }
    for failure in &run.failures {
        payload.failure(None, failure);
    }
    for decision in &run.decisions {
        payload.decision(None, decision);
    }
    for signal in &run.quality_signals {
        payload.signal(None, signal);
    }
    payload.run_ended(None, run.status.tag(), run.ended_at, run.removed_count, Some(run.digest));
    payload.into_batch(received_at)
}

/// Encodes some events of one run as one batch; there must be at least one.
///
/// # Panics
/// As for [`encode_run`].
pub fn encode_events(run_id: Uuid, events: &[TimedEvent], received_at: Timestamp) -> Batch {
    encode(run_id, 0, events, received_at)
}

pub(super) fn encode(run_id: Uuid, flags: u8, events: &[TimedEvent], received_at: Timestamp) -> Batch {
    let mut payload = Payload::new(run_id, flags, base_of(events).unwrap_or(received_at));
    for TimedEvent { time, removed, event } in events {
        let time = *time;
        payload.removed = *removed;
        match event {
            Event::RunStarted(started) => payload.run_started(time, started.into()),
            Event::StepStarted(step) => payload.step(Kind::StepStarted, time, step),
            Event::StepEnded(step) => payload.step(Kind::StepEnded, time, step),
            Event::FailureRecorded(failure) => payload.failure(time, failure),
            Event::DecisionRecorded(decision) => payload.decision(time, decision),
            Event::SignalRecorded(signal) => payload.signal(time, signal),
            Event::Heartbeat => payload.record(Kind::Heartbeat, time, &()),
            Event::RunEnded(RunEnded { status, ended_at, removed_count, digest }) => {
                payload.run_ended(time, status.tag(), *ended_at, *removed_count, *digest);
            }
            Event::RunAbandoned => payload.record(Kind::RunAbandoned, time, &()),
            Event::RunErased => payload.record(Kind::RunErased, time, &()),
        }
    }
    payload.into_batch(received_at)
}

/// A time near which the others lie, so that their distances are short: the first there is.
fn base_of(events: &[TimedEvent]) -> Option<Timestamp> {
    events.iter().find_map(|TimedEvent { time, event, .. }| match event {
        Event::RunStarted(started) => Some(started.started_at),
        Event::StepStarted(step) | Event::StepEnded(step) => Some(step.started_at),
        Event::RunEnded(ended) => ended.ended_at.or(*time),
        _ => *time,
    })
}

/// Appends one value in the pinned configuration.
pub(super) fn put<T: Encode + ?Sized>(out: &mut Vec<u8>, value: &T) {
    value.encode(&mut EncoderImpl::new(Out(out), CONFIG)).expect("writing to memory does not fail");
}

struct Out<'a>(&'a mut Vec<u8>);

impl Writer for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// What a run begins with, from either shape it comes in.
struct Start<'a> {
    agent_id: &'a str,
    agent_version: &'a str,
    environment: &'a str,
    started_at: Timestamp,
    parent_run_id: Option<Uuid>,
    parent_step_id: Option<Uuid>,
    session_id: Option<&'a str>,
    trace_id: Option<&'a str>,
    metadata: &'a Metadata,
}

impl<'a> From<&'a Run> for Start<'a> {
    fn from(run: &'a Run) -> Self {
        Self {
            agent_id: &run.agent_id,
            agent_version: &run.agent_version,
            environment: &run.environment,
            started_at: run.started_at,
            parent_run_id: run.parent_run_id,
            parent_step_id: run.parent_step_id,
            session_id: run.session_id.as_deref(),
            trace_id: run.trace_id.as_deref(),
            metadata: &run.metadata,
        }
    }
}

impl<'a> From<&'a RunStarted> for Start<'a> {
    fn from(started: &'a RunStarted) -> Self {
        Self {
            agent_id: &started.agent_id,
            agent_version: &started.agent_version,
            environment: &started.environment,
            started_at: started.started_at,
            parent_run_id: started.parent_run_id,
            parent_step_id: started.parent_step_id,
            session_id: started.session_id.as_deref(),
            trace_id: started.trace_id.as_deref(),
            metadata: &started.metadata,
        }
    }
}

/// A payload that is being written.
struct Payload {
    out: Vec<u8>,
    records: u32,
    base: Timestamp,
    /// How many values were removed from the event at hand.
    removed: u32,
    /// Metadata of the record at hand: its length stands in front of it.
    metadata: Vec<u8>,
    candidates: Vec<u8>,
}

impl Payload {
    fn new(run_id: Uuid, flags: u8, base: Timestamp) -> Self {
        let mut out = Vec::with_capacity(2048);
        out.push(CODEC);
        out.push(flags);
        out.extend_from_slice(run_id.as_bytes());
        out.extend_from_slice(&base.as_micros().to_le_bytes());
        debug_assert_eq!(out.len(), HEAD_LEN);
        Self { out, records: 0, base, removed: 0, metadata: Vec::new(), candidates: Vec::new() }
    }

    fn into_batch(self, received_at: Timestamp) -> Batch {
        Batch { kind: BatchKind::Run, payload: self.out, records: self.records, time: received_at }
    }

    fn record(&mut self, kind: Kind, time: Option<Timestamp>, body: &impl Encode) {
        self.records += 1;
        write_record(&mut self.out, kind, (self.base, time), self.removed, body);
    }

    fn run_started(&mut self, time: Option<Timestamp>, start: Start<'_>) {
        let Self { out, records, base, removed, metadata, .. } = self;
        *records += 1;
        let body = StoredRunStarted {
            agent_id: start.agent_id,
            agent_version: start.agent_version,
            environment: start.environment,
            started: distance(*base, start.started_at),
            parent_run_id: start.parent_run_id.map(Uuid::into_bytes),
            parent_step_id: start.parent_step_id.map(Uuid::into_bytes),
            session_id: start.session_id,
            trace_id: start.trace_id,
            metadata: refill(metadata, start.metadata),
        };
        write_record(out, Kind::RunStarted, (*base, time), *removed, &body);
    }

    fn step(&mut self, kind: Kind, time: Option<Timestamp>, step: &Step) {
        let Self { out, records, base, removed, metadata, .. } = self;
        *records += 1;
        let body = StoredStep {
            step_id: step.step_id.into_bytes(),
            seq: step.seq,
            step_type: step.step_type.tag(),
            status: step.status.tag(),
            name: &step.name,
            latency_ms: step.latency_ms,
            started: distance(*base, step.started_at),
            ended: distance(step.started_at, step.ended_at),
            error_code: step.error_code.as_deref(),
            parent_step_id: step.parent_step_id.map(Uuid::into_bytes),
            attempt: step.attempt,
            retry_of: step.retry_of.map(Uuid::into_bytes),
            metadata: refill(metadata, &step.metadata),
        };
        write_record(out, kind, (*base, time), *removed, &body);
    }

    fn failure(&mut self, time: Option<Timestamp>, failure: &Failure) {
        let body = StoredFailure {
            failure_id: failure.failure_id.into_bytes(),
            step_id: id(failure.step_id),
            failure_type: failure.failure_type.tag(),
            failure_code: &failure.failure_code,
            message: &failure.message,
        };
        self.record(Kind::FailureRecorded, time, &body);
    }

    fn decision(&mut self, time: Option<Timestamp>, decision: &Decision) {
        let Self { out, records, base, removed, metadata, candidates } = self;
        *records += 1;
        candidates.clear();
        for candidate in &decision.candidates {
            put(candidates, candidate.as_str());
        }
        let body = StoredDecision {
            decision_id: decision.decision_id.into_bytes(),
            step_id: id(decision.step_id),
            reason: decision.reason.tag(),
            selected: &decision.selected,
            confidence: decision.confidence,
            candidates,
            metadata: refill(metadata, &decision.metadata),
        };
        write_record(out, Kind::DecisionRecorded, (*base, time), *removed, &body);
    }

    fn signal(&mut self, time: Option<Timestamp>, signal: &Signal) {
        let Self { out, records, base, removed, metadata, .. } = self;
        *records += 1;
        let body = StoredSignal {
            signal_id: signal.signal_id.into_bytes(),
            step_id: id(signal.step_id),
            code: signal.code.tag(),
            value: signal.value,
            weight: signal.weight,
            metadata: refill(metadata, &signal.metadata),
        };
        write_record(out, Kind::SignalRecorded, (*base, time), *removed, &body);
    }

    fn run_ended(
        &mut self,
        time: Option<Timestamp>,
        status: u8,
        ended_at: Option<Timestamp>,
        removed_count: u32,
        digest: Option<Digest>,
    ) {
        let body = StoredRunEnded {
            status,
            ended: ended_at.map(|ended_at| distance(self.base, ended_at)),
            removed_count,
            digest: digest.map(|digest| digest.0),
        };
        self.record(Kind::RunEnded, time, &body);
    }
}

fn id(id: Option<Uuid>) -> Option<Id> {
    id.map(Uuid::into_bytes)
}

/// Microseconds from `base` to `time`. It wraps, as adding it does when it is read: every time comes back.
fn distance(base: Timestamp, time: Timestamp) -> i64 {
    time.as_micros().wrapping_sub(base.as_micros())
}

fn refill<'a>(buffer: &'a mut Vec<u8>, value: &Metadata) -> &'a [u8] {
    buffer.clear();
    metadata::write(buffer, value);
    buffer
}

/// Appends a record. Its length is known only behind it, and nearly always fits the one byte kept for it.
fn write_record(
    out: &mut Vec<u8>,
    kind: Kind,
    (base, time): (Timestamp, Option<Timestamp>),
    removed: u32,
    body: &impl Encode,
) {
    let start = out.len();
    out.push(0);
    out.push(kind as u8 | if time.is_some() { TIMED } else { 0 } | if removed > 0 { REMOVED } else { 0 });
    out.push(VERSION);
    if let Some(time) = time {
        put(out, &distance(base, time));
    }
    if removed > 0 {
        put(out, &removed);
    }
    put(out, body);
    let len = u32::try_from(out.len() - start - 1).expect("a record is smaller than 4 GiB");
    let mut prefix = [0; 5];
    let width = bincode::encode_into_slice(len, &mut prefix, CONFIG).expect("a u32 fits 5 bytes");
    if width > 1 {
        let end = out.len();
        out.resize(end + width - 1, 0);
        out.copy_within(start + 1..end, start + width);
    }
    out[start..start + width].copy_from_slice(&prefix[..width]);
}
