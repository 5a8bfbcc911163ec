//! Ways in for the fuzz tests, to readers of bytes that are otherwise reached through tantivy only.

use agenttracer_storage::{Batch, Payload, StoredBatch};

use crate::checkpoint::Checkpoint;
use crate::names::Names;
use crate::{stored, summarise};

/// Whether this payload of a commit is a checkpoint.
pub fn checkpoint(payload: &str) -> bool {
    Checkpoint::parse(payload).is_some()
}

/// The stored bytes of the summary of a run that arrived whole.
///
/// # Panics
/// When the batch holds none.
pub fn stored_summary(batch: &Batch) -> Vec<u8> {
    let payload = Payload::Memory(batch.payload.clone().into());
    let position = agenttracer_model::Position::ZERO;
    let batch = StoredBatch { kind: batch.kind, position, records: batch.records, time: batch.time, payload };
    let summary = summarise::of_whole(&batch, &mut Names::new()).expect("a batch that was just encoded");
    stored::encode(&summary.expect("a whole run"))
}

/// Whether these bytes are a stored summary.
pub fn load_summary(bytes: &[u8]) -> bool {
    stored::decode(bytes).is_ok()
}
