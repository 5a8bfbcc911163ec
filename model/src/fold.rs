//! The fold of a run's events into its view.

use crate::{RunBatch, RunView};

impl RunView {
    /// Folds all batches of one run into its view; the same whatever their order and duplication.
    ///
    /// Of several whole runs the one with the lowest position wins, and events beside it are ignored. `None` when the
    /// batches hold no run yet (no start), or when the run was erased.
    pub fn fold(batches: impl IntoIterator<Item = RunBatch>) -> Option<Self> {
        let _ = batches.into_iter().count();
        unimplemented!("comes with the fold")
    }
}
