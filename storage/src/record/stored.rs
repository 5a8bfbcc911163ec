//! The bodies of records as they lie on disk. They are apart from the model's structs, so that reshaping one of those
//! never moves a byte here. A change to one of these is a new schema version beside the old struct.
//!
//! Ids are 16 bytes, closed lists are stored by tag, times as microseconds since the batch's base time.

use bincode::{BorrowDecode, Encode};

pub(super) type Id = [u8; 16];

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    RunStarted = 1,
    StepStarted = 2,
    StepEnded = 3,
    FailureRecorded = 4,
    DecisionRecorded = 5,
    SignalRecorded = 6,
    Heartbeat = 7,
    RunEnded = 8,
    RunAbandoned = 9,
    RunErased = 10,
}

impl Kind {
    pub(super) fn from_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            1 => Self::RunStarted,
            2 => Self::StepStarted,
            3 => Self::StepEnded,
            4 => Self::FailureRecorded,
            5 => Self::DecisionRecorded,
            6 => Self::SignalRecorded,
            7 => Self::Heartbeat,
            8 => Self::RunEnded,
            9 => Self::RunAbandoned,
            10 => Self::RunErased,
            _ => return None,
        })
    }
}

#[derive(Encode, BorrowDecode)]
pub(super) struct StoredRunStarted<'a> {
    pub(super) agent_id: &'a str,
    pub(super) agent_version: &'a str,
    pub(super) environment: &'a str,
    pub(super) started: i64,
    pub(super) parent_run_id: Option<Id>,
    pub(super) parent_step_id: Option<Id>,
    pub(super) session_id: Option<&'a str>,
    pub(super) trace_id: Option<&'a str>,
    pub(super) metadata: &'a [u8],
}

/// The body of a step that began and of one that ended.
#[derive(Encode, BorrowDecode)]
pub(super) struct StoredStep<'a> {
    pub(super) step_id: Id,
    pub(super) seq: u32,
    pub(super) step_type: u8,
    pub(super) status: u8,
    pub(super) name: &'a str,
    pub(super) latency_ms: u64,
    pub(super) started: i64,
    /// Microseconds since `started`.
    pub(super) ended: i64,
    pub(super) error_code: Option<&'a str>,
    pub(super) parent_step_id: Option<Id>,
    pub(super) attempt: Option<u32>,
    pub(super) retry_of: Option<Id>,
    pub(super) metadata: &'a [u8],
}

#[derive(Encode, BorrowDecode)]
pub(super) struct StoredFailure<'a> {
    pub(super) failure_id: Id,
    pub(super) step_id: Option<Id>,
    pub(super) failure_type: u8,
    pub(super) failure_code: &'a str,
    pub(super) message: &'a str,
}

#[derive(Encode, BorrowDecode)]
pub(super) struct StoredDecision<'a> {
    pub(super) decision_id: Id,
    pub(super) step_id: Option<Id>,
    pub(super) reason: u16,
    pub(super) selected: &'a str,
    pub(super) confidence: Option<f64>,
    /// Strings, one behind the other.
    pub(super) candidates: &'a [u8],
    pub(super) metadata: &'a [u8],
}

#[derive(Encode, BorrowDecode)]
pub(super) struct StoredSignal<'a> {
    pub(super) signal_id: Id,
    pub(super) step_id: Option<Id>,
    pub(super) code: u16,
    pub(super) value: bool,
    pub(super) weight: Option<f64>,
    pub(super) metadata: &'a [u8],
}

#[derive(Encode, BorrowDecode)]
pub(super) struct StoredRunEnded {
    pub(super) status: u8,
    pub(super) ended: Option<i64>,
    pub(super) removed_count: u32,
    pub(super) digest: Option<[u8; 32]>,
}
