use agenttracer_model::taxonomy::{FailureType, ReasonCode, RunStatus, SignalCode, StepStatus, StepType};
use agenttracer_model::{
    Decision, Digest, Event, Failure, Position, RunBatch, RunEnded, RunStarted, Signal, Step, TimedEvent, Timestamp,
};
use bincode::BorrowDecode;
use uuid::Uuid;

use super::metadata::{read, read_strings};
use super::stored::{
    Id, Kind, StoredDecision, StoredFailure, StoredRunEnded, StoredRunStarted, StoredSignal, StoredStep,
};
use super::{CODEC, CONFIG, DecodeError, HEAD_LEN, MetadataRef, REMOVED, RecordRef, StepRef, TIMED, VERSION, WHOLE};
use crate::{BatchKind, StoredBatch};

/// Decodes a whole batch into owned events.
///
/// # Errors
/// When the bytes are not what the writer writes: the frame's CRC held, so this is a fault of a program, not a disk.
pub fn decode(batch: &StoredBatch) -> Result<RunBatch, DecodeError> {
    let mut records = Records::of(batch)?;
    let mut events = Vec::new();
    while let Some(Read { time, removed, record, rest }) = records.read()? {
        let event = to_event(record, rest).map_err(|what| records.error_in_last(what))?;
        events.push(TimedEvent { time, removed, event });
    }
    if events.len() as u64 != u64::from(batch.records) {
        let what = format!("the frame announced {} records, its payload holds {}", batch.records, events.len());
        return Err(records.error_in_last(what));
    }
    Ok(RunBatch {
        position: batch.position,
        received_at: batch.time,
        run_id: records.run_id,
        whole: records.whole,
        events,
    })
}

/// The records of a batch, borrowed from its bytes; metadata is not decoded unless asked for.
///
/// An error ends the iteration.
pub struct Records<'a> {
    /// The run that all the records belong to.
    pub run_id: Uuid,
    /// Whether they are a run that arrived whole.
    pub whole: bool,
    position: Position,
    base: i64,
    /// How many records were begun.
    begun: u32,
    rest: &'a [u8],
}

/// A record and what a projection does not read of it.
struct Read<'a> {
    time: Option<Timestamp>,
    removed: u32,
    record: RecordRef<'a>,
    rest: Rest<'a>,
}

#[derive(Default)]
struct Rest<'a> {
    candidates: &'a [u8],
    metadata: &'a [u8],
}

impl<'a> Records<'a> {
    /// Reads the head of a batch's payload. Errors will say that the batch is at position 0: see [`of`](Self::of).
    ///
    /// # Errors
    /// As for [`decode`].
    pub fn new(payload: &'a [u8]) -> Result<Self, DecodeError> {
        Self::open(payload, Position::ZERO)
    }

    /// Reads the head of a batch; errors name its position.
    ///
    /// # Errors
    /// As for [`decode`].
    pub fn of(batch: &'a StoredBatch) -> Result<Self, DecodeError> {
        if batch.kind != BatchKind::Run {
            let what = "records of the log itself, not of a run".to_owned();
            return Err(DecodeError { position: batch.position, record: 0, what });
        }
        Self::open(&batch.payload, batch.position)
    }

    fn open(payload: &'a [u8], position: Position) -> Result<Self, DecodeError> {
        let error = |what| DecodeError { position, record: 0, what };
        let Some((head, rest)) = payload.split_first_chunk::<HEAD_LEN>() else {
            return Err(error(format!("a payload of {} bytes, its head alone has {HEAD_LEN}", payload.len())));
        };
        let [codec, flags, id_and_base @ ..] = head;
        if *codec != CODEC {
            return Err(error(format!("codec {codec}, this program reads {CODEC}")));
        }
        if flags & !WHOLE != 0 {
            return Err(error(format!("unknown flags {flags:#04x}")));
        }
        let (run_id, base) = id_and_base.split_at(16);
        Ok(Self {
            run_id: Uuid::from_slice(run_id).expect("16 bytes"),
            whole: flags & WHOLE != 0,
            position,
            base: i64::from_le_bytes(base.try_into().expect("8 bytes")),
            begun: 0,
            rest,
        })
    }

    /// The next record with all its parts.
    fn read(&mut self) -> Result<Option<Read<'a>>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.begun += 1;
        match self.read_or_say() {
            Ok(read) => Ok(Some(read)),
            Err(what) => {
                self.rest = &[];
                Err(self.error_in_last(what))
            }
        }
    }

    fn read_or_say(&mut self) -> Result<Read<'a>, String> {
        let len: u32 = take(&mut self.rest)?;
        let (mut record, behind) = usize::try_from(len)
            .ok()
            .and_then(|len| self.rest.split_at_checked(len))
            .ok_or_else(|| format!("a record of {len} bytes where {} are left", self.rest.len()))?;
        self.rest = behind;
        let [kind, version, ..] = *record else {
            return Err(format!("a record of {len} bytes"));
        };
        record = &record[2..];
        let (timed, counted) = (kind & TIMED != 0, kind & REMOVED != 0);
        let kind = Kind::from_tag(kind & !(TIMED | REMOVED)).ok_or_else(|| format!("unknown kind of record {kind}"))?;
        if version != VERSION {
            return Err(format!("schema version {version}, this program reads {VERSION}"));
        }
        let time = if timed { Some(self.time(take(&mut record)?)) } else { None };
        let removed = if counted { take(&mut record)? } else { 0 };
        let (record, rest) = self.body(kind, record)?;
        Ok(Read { time, removed, record, rest })
    }

    fn body(&self, kind: Kind, body: &'a [u8]) -> Result<(RecordRef<'a>, Rest<'a>), String> {
        let mut rest = Rest::default();
        let record = match kind {
            Kind::RunStarted => {
                let stored: StoredRunStarted<'a> = all(body)?;
                RecordRef::RunStarted {
                    agent_id: stored.agent_id,
                    agent_version: stored.agent_version,
                    environment: stored.environment,
                    started_at: self.time(stored.started),
                    parent_run_id: id(stored.parent_run_id),
                    parent_step_id: id(stored.parent_step_id),
                    session_id: stored.session_id,
                    trace_id: stored.trace_id,
                    metadata: MetadataRef(stored.metadata),
                }
            }
            Kind::StepStarted => RecordRef::StepStarted(self.step(all(body)?)?),
            Kind::StepEnded => RecordRef::StepEnded(self.step(all(body)?)?),
            Kind::FailureRecorded => {
                let stored: StoredFailure<'a> = all(body)?;
                RecordRef::FailureRecorded {
                    failure_id: Uuid::from_bytes(stored.failure_id),
                    step_id: id(stored.step_id),
                    failure_type: known(FailureType::from_tag(stored.failure_type), "failure type")?,
                    failure_code: stored.failure_code,
                    message: stored.message,
                }
            }
            Kind::DecisionRecorded => {
                let stored: StoredDecision<'a> = all(body)?;
                rest = Rest { candidates: stored.candidates, metadata: stored.metadata };
                RecordRef::DecisionRecorded {
                    decision_id: Uuid::from_bytes(stored.decision_id),
                    step_id: id(stored.step_id),
                    reason: known(ReasonCode::from_tag(stored.reason), "reason code")?,
                    selected: stored.selected,
                    confidence: finite(stored.confidence)?,
                }
            }
            Kind::SignalRecorded => {
                let stored: StoredSignal<'a> = all(body)?;
                rest.metadata = stored.metadata;
                RecordRef::SignalRecorded {
                    signal_id: Uuid::from_bytes(stored.signal_id),
                    step_id: id(stored.step_id),
                    code: known(SignalCode::from_tag(stored.code), "signal code")?,
                    value: stored.value,
                    weight: finite(stored.weight)?,
                }
            }
            Kind::RunEnded => {
                let stored: StoredRunEnded = all(body)?;
                RecordRef::RunEnded {
                    status: known(RunStatus::from_tag(stored.status), "run status")?,
                    ended_at: stored.ended.map(|ended| self.time(ended)),
                    removed_count: stored.removed_count,
                    digest: stored.digest.map(Digest),
                }
            }
            Kind::Heartbeat => all(body).map(|()| RecordRef::Heartbeat)?,
            Kind::RunAbandoned => all(body).map(|()| RecordRef::RunAbandoned)?,
            Kind::RunErased => all(body).map(|()| RecordRef::RunErased)?,
        };
        Ok((record, rest))
    }

    fn step(&self, stored: StoredStep<'a>) -> Result<StepRef<'a>, String> {
        let started_at = self.time(stored.started);
        Ok(StepRef {
            step_id: Uuid::from_bytes(stored.step_id),
            seq: stored.seq,
            step_type: known(StepType::from_tag(stored.step_type), "step type")?,
            name: stored.name,
            latency_ms: stored.latency_ms,
            started_at,
            ended_at: Timestamp::from_micros(started_at.as_micros().wrapping_add(stored.ended)),
            status: known(StepStatus::from_tag(stored.status), "step status")?,
            error_code: stored.error_code,
            parent_step_id: id(stored.parent_step_id),
            attempt: stored.attempt,
            retry_of: id(stored.retry_of),
            metadata: MetadataRef(stored.metadata),
        })
    }

    fn time(&self, distance: i64) -> Timestamp {
        Timestamp::from_micros(self.base.wrapping_add(distance))
    }

    fn error_in_last(&self, what: String) -> DecodeError {
        DecodeError { position: self.position, record: self.begun.saturating_sub(1), what }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordRef<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().map(|read| read.map(|read| read.record)).transpose()
    }
}

/// Reads one value from the front of `bytes`.
pub(crate) fn take<'a, T: BorrowDecode<'a, ()>>(bytes: &mut &'a [u8]) -> Result<T, String> {
    let (value, used) = bincode::borrow_decode_from_slice(bytes, CONFIG).map_err(|error| format!("{error:?}"))?;
    *bytes = &bytes[used..];
    Ok(value)
}

/// Reads a value that takes all of `bytes`.
pub(crate) fn all<'a, T: BorrowDecode<'a, ()>>(mut bytes: &'a [u8]) -> Result<T, String> {
    let value = take(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(format!("{} bytes behind the body of a record", bytes.len())) }
}

fn known<T>(value: Option<T>, what: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("an unknown {what}"))
}

fn finite(value: Option<f64>) -> Result<Option<f64>, String> {
    match value {
        Some(value) if !value.is_finite() => Err("a number that is not finite".to_owned()),
        value => Ok(value),
    }
}

fn id(id: Option<Id>) -> Option<Uuid> {
    id.map(Uuid::from_bytes)
}

fn to_event(record: RecordRef<'_>, rest: Rest<'_>) -> Result<Event, String> {
    Ok(match record {
        RecordRef::RunStarted {
            agent_id,
            agent_version,
            environment,
            started_at,
            parent_run_id,
            parent_step_id,
            session_id,
            trace_id,
            metadata,
        } => Event::RunStarted(RunStarted {
            agent_id: agent_id.to_owned(),
            agent_version: agent_version.to_owned(),
            environment: environment.to_owned(),
            started_at,
            parent_run_id,
            parent_step_id,
            session_id: session_id.map(str::to_owned),
            trace_id: trace_id.map(str::to_owned),
            metadata: read(metadata.0)?,
        }),
        RecordRef::StepStarted(step) => Event::StepStarted(to_step(step)?),
        RecordRef::StepEnded(step) => Event::StepEnded(to_step(step)?),
        RecordRef::FailureRecorded { failure_id, step_id, failure_type, failure_code, message } => {
            Event::FailureRecorded(Failure {
                failure_id,
                step_id,
                failure_type,
                failure_code: failure_code.to_owned(),
                message: message.to_owned(),
            })
        }
        RecordRef::DecisionRecorded { decision_id, step_id, reason, selected, confidence } => {
            Event::DecisionRecorded(Decision {
                decision_id,
                step_id,
                reason,
                selected: selected.to_owned(),
                candidates: read_strings(rest.candidates)?,
                confidence,
                metadata: read(rest.metadata)?,
            })
        }
        RecordRef::SignalRecorded { signal_id, step_id, code, value, weight } => {
            Event::SignalRecorded(Signal { signal_id, step_id, code, value, weight, metadata: read(rest.metadata)? })
        }
        RecordRef::Heartbeat => Event::Heartbeat,
        RecordRef::RunEnded { status, ended_at, removed_count, digest } => {
            Event::RunEnded(RunEnded { status, ended_at, removed_count, digest })
        }
        RecordRef::RunAbandoned => Event::RunAbandoned,
        RecordRef::RunErased => Event::RunErased,
    })
}

fn to_step(step: StepRef<'_>) -> Result<Step, String> {
    Ok(Step {
        step_id: step.step_id,
        seq: step.seq,
        step_type: step.step_type,
        name: step.name.to_owned(),
        latency_ms: step.latency_ms,
        started_at: step.started_at,
        ended_at: step.ended_at,
        status: step.status,
        error_code: step.error_code.map(str::to_owned),
        parent_step_id: step.parent_step_id,
        attempt: step.attempt,
        retry_of: step.retry_of,
        metadata: read(step.metadata.0)?,
    })
}
