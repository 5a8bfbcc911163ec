use agenttracer_model::{Digest, RunView};
use uuid::Uuid;

/// What the write side asks of the projections.
pub trait StoredRuns: Send + Sync + 'static {
    /// The run with this id among all that was acknowledged; `None` when there is none. Usually answered from memory.
    ///
    /// # Errors
    /// When the projections cannot be read; the request is then answered with 503.
    fn find(&self, run_id: Uuid) -> Result<Option<StoredRun>, StoredRunsError>;

    /// The whole view of a stored run.
    ///
    /// # Errors
    /// As for [`find`](StoredRuns::find).
    fn view(&self, run_id: Uuid) -> Result<Option<RunView>, StoredRunsError>;

    /// Whether another run can become visible now; when not, requests are answered with 429 before anything is queued.
    fn has_room(&self) -> bool;
}

/// What idempotency asks of a stored run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredRun {
    /// It arrived whole, with this content.
    Whole(Digest),
    /// It is a live run.
    Live,
    /// It was erased: it can never be stored again.
    Erased,
}

/// The projections could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoredRunsError(pub String);
