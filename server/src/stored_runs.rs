//! What ingest asks of the projections, answered by the index and the log: the two crates do not know each other.

use std::sync::Arc;

use agenttracer_index::Index;
use agenttracer_ingest::{HeldEvents, StoredRun, StoredRuns, StoredRunsError};
use agenttracer_model::{Digest, EventMark, Position, RunView};
use agenttracer_storage::record::{RecordRef, Records};
use agenttracer_storage::{GapReason, Log, ReadError, record};
use uuid::Uuid;

pub(crate) struct IndexedRuns {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) index: Arc<Index>,
}

impl StoredRuns for IndexedRuns {
    fn find(&self, run_id: Uuid) -> Result<Option<StoredRun>, StoredRunsError> {
        let snapshot = self.index.snapshot();
        // A live run of which only events have come counts too, though nobody is shown it.
        let run = match snapshot.known(run_id).map_err(told)? {
            Some(run) if run.whole => Some(StoredRun::Whole(run.position())),
            Some(_) => Some(StoredRun::Live),
            None => None,
        };
        Ok(run.or_else(|| snapshot.erased().has(run_id).then_some(StoredRun::Erased)))
    }

    fn digest(&self, position: Position) -> Result<Option<Digest>, StoredRunsError> {
        let batch = match self.log.read(position) {
            Ok(batch) => batch,
            Err(ReadError::Damaged(_) | ReadError::Gone { reason: GapReason::Lost, .. }) => return Ok(None),
            Err(error) => return Err(told(error)),
        };
        for record in Records::of(&batch).map_err(told)? {
            if let RecordRef::RunEnded { digest: Some(digest), .. } = record.map_err(told)? {
                return Ok(Some(digest));
            }
        }
        Err(StoredRunsError(format!("the run at position {position} has no digest")))
    }

    fn view(&self, run_id: Uuid) -> Result<Option<RunView>, StoredRunsError> {
        let Some(run) = self.index.snapshot().find(run_id).map_err(told)? else { return Ok(None) };
        let mut batches = Vec::with_capacity(run.batches.len());
        for position in &run.batches {
            let stored = self.log.read(*position).map_err(told)?;
            batches.push(record::decode(&stored).map_err(told)?);
        }
        Ok(RunView::fold(batches))
    }

    fn live(&self, run_id: Uuid, marks: &[EventMark]) -> Result<Option<HeldEvents>, StoredRunsError> {
        let live = self.index.live(run_id, marks).map_err(told)?;
        Ok(live.map(|(size, held)| HeldEvents {
            batches: size.batches,
            events: size.events,
            payload_bytes: size.payload_bytes,
            held,
        }))
    }

    fn live_runs(&self) -> u64 {
        self.index.live_runs()
    }

    fn expired(&self, most: usize) -> Vec<Uuid> {
        self.index.expired(most)
    }

    fn is_expired(&self, run_id: Uuid) -> bool {
        self.index.is_expired(run_id)
    }

    fn has_room(&self) -> bool {
        self.index.has_room()
    }
}

fn told(error: impl std::fmt::Display) -> StoredRunsError {
    StoredRunsError(error.to_string())
}
