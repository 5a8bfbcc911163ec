//! The bytes of a batch's records.
//!
//! # Format
//!
//! A payload is a head and then the records, one behind the other, up to its end. Numbers in the head are
//! little-endian; everything behind it is `bincode` 2 in one pinned configuration (codec 1).
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | codec: 1 |
//! | 1 | 1 | flags: bit 0 = the records are a run that arrived whole; the others are 0 |
//! | 2 | 16 | run id |
//! | 18 | 8 | base time, microseconds since 1970 (i64); other times are stored as the distance to it |
//! | 26 | | records |
//!
//! | record | |
//! |---|---|
//! | varint | length of what follows |
//! | 1 byte | kind; bit 7 = a time follows the version, bit 6 = a count of removed values follows that |
//! | 1 byte | schema version of the body: 1 |
//! | varint, zigzag | the event's time, if bit 7 of the kind is set |
//! | varint | how many values the privacy rules removed from the event, if bit 6 of the kind is set; never 0 |
//! | | body, see `record/stored.rs`; metadata stands last in it with its length in front |
//!
//! # Reading
//!
//! Decoding is total: whatever the bytes are, it gives records or a [`DecodeError`], never a panic, and it allocates
//! nothing in advance that the input does not already pay for.

mod decode;
mod encode;
mod metadata;
mod stored;

use agenttracer_model::taxonomy::{FailureType, ReasonCode, RunStatus, SignalCode, StepStatus, StepType};
use agenttracer_model::{Digest, Position, Timestamp};
use uuid::Uuid;

pub use decode::{Records, decode};
pub(crate) use decode::{all, take};
pub use encode::{encode_events, encode_run};
pub use metadata::{MetadataRef, ScalarRef};

/// The id of the one codec that is written: the stored structs of version 1 in [`CONFIG`].
pub(crate) const CODEC: u8 = 1;

/// The bytes of a payload before its first record.
const HEAD_LEN: usize = 26;

/// Flag: the records are a run that arrived whole.
const WHOLE: u8 = 1;

/// Bit of the kind: the event's time stands behind the version.
const TIMED: u8 = 0x80;

/// Bit of the kind: how many values were removed from the event stands behind its time.
const REMOVED: u8 = 0x40;

/// The schema version of every body that is written.
pub(crate) const VERSION: u8 = 1;

/// The one configuration of bincode. The limit is the largest frame: no container can claim more.
pub(crate) const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<{ 16 << 20 }>,
> = bincode::config::standard().with_limit();

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
        failure_type: FailureType,
        failure_code: &'a str,
        message: &'a str,
    },
    DecisionRecorded {
        decision_id: Uuid,
        step_id: Option<Uuid>,
        reason: ReasonCode,
        selected: &'a str,
        confidence: Option<f64>,
    },
    SignalRecorded {
        signal_id: Uuid,
        step_id: Option<Uuid>,
        code: SignalCode,
        value: bool,
        weight: Option<f64>,
    },
    Heartbeat,
    RunEnded {
        status: RunStatus,
        ended_at: Option<Timestamp>,
        removed_count: u32,
        digest: Option<Digest>,
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
    pub step_type: StepType,
    pub name: &'a str,
    pub latency_ms: u64,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub status: StepStatus,
    pub error_code: Option<&'a str>,
    pub parent_step_id: Option<Uuid>,
    pub attempt: Option<u32>,
    pub retry_of: Option<Uuid>,
    pub metadata: MetadataRef<'a>,
}

/// A batch whose CRC held, but whose bytes are not those of a batch: a fault of a program, not of a disk. It never
/// quotes what it found in a string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {record} of the batch at position {position}: {what}")]
pub struct DecodeError {
    /// The batch; 0 when it was read from a bare payload, which does not know its place.
    pub position: Position,
    /// The record in it, 0-based.
    pub record: u32,
    /// What is wrong.
    pub what: String,
}

#[cfg(test)]
pub(crate) mod tests;
