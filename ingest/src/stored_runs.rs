use agenttracer_model::{Digest, EventMark, Position, RunView};
use uuid::Uuid;

/// What the write side asks of the projections.
pub trait StoredRuns: Send + Sync + 'static {
    /// The run with this id among all that was acknowledged; `None` when there is none. Asked on the threads that serve
    /// connections: answered from the index, without reading the log.
    ///
    /// # Errors
    /// When the projections cannot be read; the request is then answered with 503.
    fn find(&self, run_id: Uuid) -> Result<Option<StoredRun>, StoredRunsError>;

    /// The content digest of the run that arrived whole as the batch at this position; `None` when that record is damaged.
    /// Reads the log.
    ///
    /// # Errors
    /// As for [`find`](StoredRuns::find).
    fn digest(&self, position: Position) -> Result<Option<Digest>, StoredRunsError>;

    /// The whole view of a stored run. Reads the log.
    ///
    /// # Errors
    /// As for [`find`](StoredRuns::find).
    fn view(&self, run_id: Uuid) -> Result<Option<RunView>, StoredRunsError>;

    /// What a live run holds, and which events with these marks it holds already; `None` when there is no such live run.
    /// May read the run from the log. The caller sees to it that nobody appends to the run meanwhile.
    ///
    /// # Errors
    /// As for [`find`](StoredRuns::find).
    fn live(&self, run_id: Uuid, marks: &[EventMark]) -> Result<Option<HeldEvents>, StoredRunsError>;

    /// How many live runs go on.
    fn live_runs(&self) -> u64;

    /// Up to `most` live runs whose lease has ended.
    fn expired(&self, most: usize) -> Vec<Uuid>;

    /// Whether this is a live run whose lease has ended.
    fn is_expired(&self, run_id: Uuid) -> bool;

    /// Whether another run can become visible now; when not, requests are answered with 429 before anything is queued.
    fn has_room(&self) -> bool;
}

/// What a live run holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldEvents {
    /// Batches, one a request.
    pub batches: u64,
    /// Events, repetitions included.
    pub events: u64,
    /// Their bytes in the log.
    pub payload_bytes: u64,
    /// For each mark asked about, whether an event with it would add nothing.
    pub held: Vec<bool>,
}

/// What idempotency asks of a stored run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredRun {
    /// It arrived whole, as the batch at this position.
    Whole(Position),
    /// It is a live run.
    Live,
    /// It was erased: it can never be stored again.
    Erased,
}

/// The projections could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoredRunsError(pub String);
