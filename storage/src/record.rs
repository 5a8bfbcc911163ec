//! The bytes of a batch's records.

use agenttracer_model::{Metadata, Position, Run, RunBatch, TimedEvent, Timestamp};
use uuid::Uuid;

use crate::{Batch, StoredBatch};

/// Encodes a run that arrived whole as one batch: the same records as `Run::into_events`, without building them.
pub fn encode_run(run: &Run, received_at: Timestamp) -> Batch {
    let _ = (run, received_at);
    unimplemented!("comes with the codec")
}

/// Encodes some events of one run as one batch.
pub fn encode_events(run_id: Uuid, events: &[TimedEvent], received_at: Timestamp) -> Batch {
    let _ = (run_id, events, received_at);
    unimplemented!("comes with the codec")
}

/// Decodes a whole batch into owned events.
///
/// # Errors
/// When the bytes are not what the writer writes: the frame's CRC held, so this is a fault of a program, not a disk.
pub fn decode(batch: &StoredBatch) -> Result<RunBatch, DecodeError> {
    let _ = batch;
    unimplemented!("comes with the codec")
}

/// The records of a batch, borrowed from its bytes; metadata is not decoded unless asked for.
pub struct Records<'a> {
    /// The run that all the records belong to.
    pub run_id: Uuid,
    /// Whether they are a run that arrived whole.
    pub whole: bool,
    #[expect(dead_code, reason = "comes with the codec")]
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Reads the head of a batch's payload.
    ///
    /// # Errors
    /// As for [`decode`].
    pub fn new(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let _ = payload;
        unimplemented!("comes with the codec")
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordRef<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        unimplemented!("comes with the codec")
    }
}

/// One record, borrowed: the parts of it that projections read. Fields mean what they mean in `agenttracer_model`.
#[expect(missing_docs, reason = "the fields are those of agenttracer_model")]
#[derive(Clone, Copy, Debug)]
pub enum RecordRef<'a> {
    RunStarted {
        agent_id: &'a str,
        agent_version: &'a str,
        environment: &'a str,
        started_at: Timestamp,
        parent_run_id: Option<Uuid>,
        parent_step_id: Option<Uuid>,
        session_id: Option<&'a str>,
        trace_id: Option<&'a str>,
        metadata: MetadataRef<'a>,
    },
    StepStarted(StepRef<'a>),
    StepEnded(StepRef<'a>),
    FailureRecorded {
        failure_id: Uuid,
        step_id: Option<Uuid>,
        failure_type: agenttracer_model::taxonomy::FailureType,
        failure_code: &'a str,
        message: &'a str,
    },
    DecisionRecorded {
        decision_id: Uuid,
        step_id: Option<Uuid>,
        reason: agenttracer_model::taxonomy::ReasonCode,
        selected: &'a str,
        confidence: Option<f64>,
    },
    SignalRecorded {
        signal_id: Uuid,
        step_id: Option<Uuid>,
        code: agenttracer_model::taxonomy::SignalCode,
        value: bool,
        weight: Option<f64>,
    },
    Heartbeat,
    RunEnded {
        status: agenttracer_model::taxonomy::RunStatus,
        ended_at: Option<Timestamp>,
        removed_count: u32,
        digest: Option<agenttracer_model::Digest>,
    },
    RunAbandoned,
    RunErased,
}

/// A borrowed step.
#[expect(missing_docs, reason = "the fields are those of agenttracer_model::Step")]
#[derive(Clone, Copy, Debug)]
pub struct StepRef<'a> {
    pub step_id: Uuid,
    pub seq: u32,
    pub step_type: agenttracer_model::taxonomy::StepType,
    pub name: &'a str,
    pub latency_ms: u64,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub status: agenttracer_model::taxonomy::StepStatus,
    pub error_code: Option<&'a str>,
    pub parent_step_id: Option<Uuid>,
    pub attempt: Option<u32>,
    pub retry_of: Option<Uuid>,
    pub metadata: MetadataRef<'a>,
}

/// Metadata that was not decoded yet.
#[derive(Clone, Copy, Debug)]
pub struct MetadataRef<'a>(pub(crate) &'a [u8]);

impl MetadataRef<'_> {
    /// Decodes it.
    ///
    /// # Errors
    /// As for [`decode`].
    pub fn decode(&self) -> Result<Metadata, DecodeError> {
        let _ = self.0;
        unimplemented!("comes with the codec")
    }
}

/// A batch whose CRC held, but whose bytes are not those of a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {record} of the batch at position {position}: {what}")]
pub struct DecodeError {
    /// The batch.
    pub position: Position,
    /// The record in it, 0-based.
    pub record: u32,
    /// What is wrong.
    pub what: String,
}
