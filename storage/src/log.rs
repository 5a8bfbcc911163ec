//! The contract of a log. Every implementation passes the one test suite in `storage/tests/log_contract.rs`.
//!
//! *Order*: batches get their positions in the order in which they were taken from the queue; a follower is given
//! every committed batch exactly once, in position order, without a gap.
//! *Durability*: a ticket is resolved with a position only after the batch is durable in the log's [`SyncMode`].
//! *Atomicity*: after a crash a batch is there whole or not at all.

use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;

use agenttracer_model::{Position, Timestamp};
use uuid::Uuid;

use crate::disk::Mapping;
use crate::{AppendError, Damage, Groups, ReadError, SubmitError};

/// An append-only sequence of batches.
pub trait Log: Send + Sync + 'static {
    /// Which log it is, the same at each start: whatever is derived from a log names it, and counts for no other one.
    fn id(&self) -> Uuid;

    /// Queues `batch`. `ticket` is called exactly once: by the follower with the batch's first position when it is
    /// durable, or by the log with an error. When this returns an error, nothing was queued and the ticket is dropped.
    fn submit(&self, batch: Batch, ticket: Ticket) -> Result<(), SubmitError>;

    /// The committed batch that begins at `position`.
    fn read(&self, position: Position) -> Result<StoredBatch, ReadError>;

    /// The committed batches whose first position lies in `range`, in order. Damage is yielded as an error that names
    /// it, and the iterator goes on behind it. An I/O error ends it.
    fn scan(&self, range: Range<Position>) -> Box<dyn Iterator<Item = Result<StoredBatch, ReadError>> + Send>;

    /// The first position after all committed batches.
    fn tail(&self) -> Position;

    /// The first position that a power loss could lose; equal to the tail in [`SyncMode::Always`].
    fn durable(&self) -> Position;

    /// Returns when everything committed before the call is durable. A no-op in [`SyncMode::Always`].
    fn sync(&self) -> Result<Position, AppendError>;

    /// What a 2xx means.
    fn sync_mode(&self) -> SyncMode;

    /// Whether it takes batches now.
    fn health(&self) -> Health;

    /// Damage that is known: found at open or by a read since.
    fn damage(&self) -> Vec<Damage>;

    /// What was committed since it was opened; `None` of a log that does not count.
    fn groups(&self) -> Option<&Groups> {
        None
    }

    /// How many positions repairs declared as lost, as far as nobody has put their notes away; found at open.
    fn lost(&self) -> u64 {
        0
    }
}

/// What whoever runs this log should see to, though it works: damage, or data that a repair could not save. For health checks.
pub fn trouble(log: &dyn Log) -> Option<String> {
    let (damaged, lost) = (log.damage().len(), log.lost());
    let damaged = (damaged > 0)
        .then(|| format!("{damaged} damaged places in the log: `agenttracer verify` names them, `agenttracer repair` tells what can be saved"));
    let lost = (lost > 0)
        .then(|| format!("{lost} positions were lost to damage that was repaired; DATA_DIR/quarantine has the notes, take them away when you have seen them"));
    match (damaged, lost) {
        (Some(damaged), Some(lost)) => Some(format!("{damaged}; {lost}")),
        (damaged, lost) => damaged.or(lost),
    }
}

/// When a ticket is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// After fdatasync: neither a crash of the process nor of the machine loses anything.
    Always,
    /// After write: a crash of the process loses nothing, a power loss up to this interval.
    Interval(Duration),
}

impl std::fmt::Display for SyncMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Interval(interval) => write!(f, "interval={}ms", interval.as_millis()),
        }
    }
}

/// Whether a log takes batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Writable,
    /// No space for another segment.
    DiskFull,
    /// It has space, but was told to take no more runs: see `SegmentedLog::hold_back`.
    OverLimit,
    /// A write or sync failed; it is being reopened through recovery.
    Poisoned(String),
    /// The thread that commits has panicked: only a restart helps.
    Dead,
    /// It was shut down.
    Closed,
}

/// What the records of a batch are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchKind {
    /// One run: see [`crate::record`].
    Run,
    /// The log itself, as what was erased from it: see [`crate::log_record`].
    Log,
}

/// Records to be appended together: the encoded records of one run, or of the log itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What they are about.
    pub kind: BatchKind,
    /// The encoded records.
    pub payload: Vec<u8>,
    /// How many records there are; at least 1.
    pub records: u32,
    /// When the server took the batch in.
    pub time: Timestamp,
}

/// Called exactly once with the outcome of a submitted batch.
pub type Ticket = Box<dyn FnOnce(Result<Position, AppendError>) + Send>;

/// A batch that was committed just now, with its ticket still to be resolved.
pub struct Committed {
    /// The batch.
    pub batch: StoredBatch,
    /// To be called with the batch's position, once the follower has made it visible.
    pub ticket: Ticket,
}

/// Is given what a log commits.
pub trait Follower: Send {
    /// The batches of one group, in position order, right after they became durable. The follower resolves their
    /// tickets. After a reopening, recovered batches that it was not given yet come first, with tickets that do nothing.
    fn committed(&mut self, group: Vec<Committed>);
}

/// A batch as it was read.
#[derive(Clone)]
pub struct StoredBatch {
    /// What its records are about.
    pub kind: BatchKind,
    /// The position of its first record.
    pub position: Position,
    /// How many records it has.
    pub records: u32,
    /// When the server took it in.
    pub time: Timestamp,
    /// The encoded records.
    pub payload: Payload,
}

impl StoredBatch {
    /// The position after its last record.
    pub fn end(&self) -> Position {
        self.position.advance(u64::from(self.records))
    }
}

/// Encoded records, in memory or in a mapped segment. Clones share the bytes.
#[derive(Clone)]
pub enum Payload {
    /// In memory.
    Memory(Arc<[u8]>),
    /// In a mapped, sealed segment.
    Mapped(Mapping, Range<usize>),
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Mapped(mapping, range) => &mapping[range.clone()],
        }
    }
}
