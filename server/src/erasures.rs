//! What erasures want of the maintenance: the bytes of erased runs gone, and their tombstones kept.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use agenttracer_erasure::{Eraser, Options, Purger, appending_to};
use agenttracer_index::{Erasure, ErasureState, Index};
use agenttracer_model::Position;
use agenttracer_storage::SegmentedLog;
use agenttracer_storage::disk::{Clock, Disk};

use crate::maintenance::Unwanted;

/// The erasures of one data directory.
pub struct Erasures {
    index: Arc<Index>,
    eraser: Arc<Eraser>,
    purger: Purger,
}

impl Erasures {
    /// The erasures of the log and index in `dir`. `forget` empties what is cached of runs.
    pub fn new(
        log: Arc<SegmentedLog>,
        index: Arc<Index>,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
        dir: &Path,
        forget: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let append = appending_to(log.clone());
        let eraser = Arc::new(Eraser::new(log.clone(), index.clone(), clock, append, Options::default(), forget));
        let purger = Purger::new(Arc::clone(&eraser), log, disk, dir);
        Self { index, eraser, purger }
    }

    /// How many erasures are not purged yet.
    pub fn pending(&self) -> u64 {
        let erased = self.index.erased();
        let open = [ErasureState::Accepted, ErasureState::Hidden].into_iter().flat_map(|state| erased.in_state(state));
        open.filter(Erasure::is_certain).count() as u64
    }

    /// What erases runs.
    pub fn eraser(&self) -> Arc<Eraser> {
        Arc::clone(&self.eraser)
    }
}

impl Unwanted for Erasures {
    /// None: erased runs are purged by [`after_pass`](Self::after_pass), which knows what else must be done with it.
    fn batches(&self, _: Range<Position>) -> Result<BTreeSet<Position>, String> {
        Ok(BTreeSet::new())
    }

    fn before_drop(&self, position: Position) -> Result<(), String> {
        // What the tombstones below still have to remove would be forgotten with them.
        self.after_pass(&mut |_| true)?;
        if self.purger.has_work() {
            return Err("erased runs are to be purged first".to_owned());
        }
        self.eraser.keep_tombstones(position).map_err(|error| error.to_string())?;
        self.index.erased().forget_before(position);
        Ok(())
    }

    fn after_pass(&self, pace: &mut dyn FnMut(u64) -> bool) -> Result<(), String> {
        // What a full disk cut off in the middle.
        self.eraser.complete().map_err(|error| error.to_string())?;
        if !self.purger.has_work() {
            return Ok(());
        }
        let purged = self.purger.step(pace).map_err(|error| error.to_string())?;
        match &purged.waits {
            None => tracing::info!(?purged, "erased runs are purged"),
            Some(why) => tracing::info!(why, "purging erased runs goes on later"),
        }
        Ok(())
    }
}
