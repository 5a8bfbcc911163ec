//! Moves hot runs into tantivy.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use agenttracer_model::Position;
use agenttracer_storage::disk::Clock;
use agenttracer_storage::{AppendError, Log};
use tantivy::index::SegmentId;
use tantivy::indexer::{NoMergePolicy, UserOperation};
use tantivy::{IndexReader, IndexWriter};

use crate::checkpoint::Checkpoint;
use crate::cold::{self, ColdRun};
use crate::gather::Aggregate;
use crate::metadata_keys::MetadataKeys;
use crate::notes::Notes;
use crate::projection::{Frozen, Projection, Rolling, Wake};
use crate::rollup::Rollup;
use crate::rollup::files::{Files, Written};
use crate::rollup::sums::{CellKey, CellSums};
use crate::store::{Opened, Store};
use crate::{DiskDirectory, Filter, IndexError};

/// Documents that are given to tantivy's thread together: waking it for each would cost more than the document.
const OPERATIONS: usize = 128;

/// Cells of new runs that go into the rollup together: runs of all times have a cell each.
const CELLS_A_PIECE: usize = 4096;

/// How long after the last commit to look whether merges have replaced segments, so that the files they replaced are
/// let go. After the last of them the thread sleeps.
const REFRESH_AFTER: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(15), Duration::from_secs(120)];

/// The one that writes tantivy.
pub(crate) struct Indexer {
    projection: Arc<Projection>,
    store: Store,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    directory: DiskDirectory,
    index: tantivy::Index,
    reader: IndexReader,
    fields: cold::Fields,
    notes: Notes,
    /// Segments with deleted documents that are still to be rewritten, in a round of dropping these.
    dropping: Option<Vec<SegmentId>>,
    rollup_files: Files,
    /// `None` at first and after a failure: tantivy's writer does not survive one.
    writer: Option<IndexWriter<ColdRun>>,
    /// Since when there is something to commit.
    dirty_since: Option<Instant>,
    /// Set after a failure.
    retry_at: Option<Instant>,
    last_commit: Instant,
    refreshes: usize,
    /// Whether tantivy merges segments when it likes, in threads of its own.
    merges: bool,
}

enum Work {
    Commit,
    Refresh,
    DropDeleted,
    Stop,
}

impl Indexer {
    pub(crate) fn new(
        projection: Arc<Projection>,
        store: Store,
        log: Arc<dyn Log>,
        clock: Arc<dyn Clock>,
        opened: Opened,
        merges: bool,
    ) -> Self {
        Self {
            projection,
            store,
            log,
            clock,
            directory: opened.directory,
            index: opened.index,
            reader: opened.reader,
            fields: opened.fields,
            notes: opened.notes,
            dropping: None,
            rollup_files: opened.rollup_files,
            writer: None,
            dirty_since: None,
            retry_at: None,
            last_commit: Instant::now(),
            refreshes: REFRESH_AFTER.len(),
            merges,
        }
    }

    /// Commits what was applied so far, if anything was, or tries again what failed.
    pub(crate) fn step(&mut self) {
        let waits = {
            let inner = self.projection.lock();
            inner.committed < inner.position || inner.rolling == Rolling::Due
        };
        if waits || self.retry_at.is_some() {
            self.commit_or_retry();
        }
    }

    /// Merges all segments of the last commit into one. Without effect when there is nothing to merge.
    pub(crate) fn merge(&mut self) -> Result<(), IndexError> {
        let Some(writer) = self.writer.as_mut() else { return Ok(()) };
        let segments = self.index.searchable_segment_ids().map_err(|error| self.store.error(&error))?;
        if segments.len() > 1
            && let Err(error) = writer.merge(&segments).wait()
        {
            // It may hold other segments than are on disk now: the next one goes on from those.
            if let Some(writer) = self.writer.take() {
                let _ = writer.wait_merging_threads();
            }
            return Err(self.store.error(&error));
        }
        self.refresh()
    }

    /// Commits whenever it is time, until it is told to stop.
    pub(crate) fn run(mut self) {
        loop {
            match self.wait() {
                Work::Commit => self.commit_or_retry(),
                Work::Refresh => {
                    if let Err(error) = self.refresh() {
                        tracing::warn!(%error, "merged segments could not be opened");
                    }
                }
                Work::DropDeleted => {
                    if let Some(outcome) = self.drop_deleted().transpose() {
                        self.projection.dropped_deleted(outcome);
                    }
                }
                Work::Stop => return,
            }
        }
    }

    fn wait(&mut self) -> Work {
        let every = self.projection.options.commit_every;
        let mut inner = self.projection.lock();
        loop {
            if inner.stop {
                return Work::Stop;
            }
            let now = Instant::now();
            let until = if let Some(retry_at) = self.retry_at {
                if now >= retry_at {
                    return Work::Commit;
                }
                inner.wake = Wake::Never;
                Some(retry_at)
            } else if inner.rolling == Rolling::Due {
                return Work::Commit;
            } else if inner.committed < inner.position || inner.expiring > inner.expired {
                let due = *self.dirty_since.get_or_insert(now) + every;
                if now >= due || self.projection.is_urgent(&inner) {
                    return Work::Commit;
                }
                if inner.dropping.is_wanted() {
                    return Work::DropDeleted;
                }
                inner.wake = Wake::Urgent;
                Some(due)
            } else if inner.dropping.is_wanted() {
                return Work::DropDeleted;
            } else {
                self.dirty_since = None;
                inner.wake = Wake::Any;
                let refresh = REFRESH_AFTER.get(self.refreshes).map(|&after| self.last_commit + after);
                if refresh.is_some_and(|at| now >= at) {
                    self.refreshes += 1;
                    return Work::Refresh;
                }
                refresh
            };
            inner = match until {
                Some(until) => {
                    let (inner, _) =
                        self.projection.work.wait_timeout(inner, until - now).unwrap_or_else(PoisonError::into_inner);
                    inner
                }
                None => self.projection.work.wait(inner).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn commit_or_retry(&mut self) {
        let began = self.clock.monotonic_ms();
        let frozen = self.projection.freeze();
        // What is applied from here on belongs to the next commit.
        self.dirty_since = Some(Instant::now());
        match self.commit(&frozen) {
            Ok(()) => {
                self.retry_at = None;
                self.last_commit = Instant::now();
                self.refreshes = 0;
                self.projection.commit_ms.observe(self.clock.monotonic_ms().saturating_sub(began));
            }
            Err(error) => {
                tracing::error!(%error, "the index could not commit; it is tried again");
                if let Some(writer) = self.writer.take() {
                    // Merges that still run must not write behind the back of the next writer.
                    let _ = writer.wait_merging_threads();
                }
                self.retry_at = Some(Instant::now() + self.projection.options.retry_after);
                self.projection.failed(&error);
            }
        }
    }

    fn commit(&mut self, frozen: &Frozen) -> Result<(), IndexError> {
        self.make_durable(frozen.position)?;
        let noted = self.notes.append(&frozen.erasing.notes).map_err(|error| self.store.error(&error))?;
        let retries = self.retry_at.is_some();
        let (mut checkpoint, keys, closing, expiring, expired, rolling) = {
            let inner = self.projection.lock();
            let covered = inner.held_at.map_or(frozen.position, |held| held.min(frozen.position));
            // What the documents of this commit leave out is what the checkpoint says that they do.
            let keys = Arc::clone(inner.metadata_keys());
            let checkpoint = Checkpoint::at(self.log.id(), covered, &keys, noted);
            (checkpoint, keys, inner.closing, inner.expiring, inner.expired, inner.rolling)
        };
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let writer = self.store.writer(
                    &self.index,
                    &self.rollup_files,
                    &self.projection.options,
                    &self.projection.merges,
                )?;
                // Of a commit that failed, or that a crash kept from its end, there can be files by the names that this one takes.
                writer.garbage_collect_files().wait().map_err(|error| self.store.error(&error))?;
                none.insert(writer)
            }
        };
        if closing || !self.merges {
            writer.set_merge_policy(Box::new(NoMergePolicy));
        }
        let before = &frozen.before;
        let rolled_up = match rolling {
            Rolling::Deferred => None,
            Rolling::Due => {
                match Rollup::of_index(before.searcher(), &self.fields, self.projection.options.max_rollup_cells)? {
                    Some(rollup) => roll_up(&rollup, frozen, expiring, expired)?,
                    None => None,
                }
            }
            Rolling::Kept => before.rollup().map_or(Ok(None), |rollup| roll_up(rollup, frozen, expiring, expired))?,
        };
        let written = match &rolled_up {
            Some(RolledUp { rollup, changed }) => {
                self.rollup_files.write(rollup, changed).map_err(|error| self.store.error(&error))?
            }
            None => Written::none(),
        };
        let is_rolled_up = rolling != Rolling::Deferred;
        (checkpoint.rollups, checkpoint.rollups_over) = (written.names(), rolled_up.is_none() && is_rolled_up);
        let letting_go = match expiring > expired {
            true => writer.delete_query(cold::begins_below(&self.fields, expiring)).map(drop),
            false => Ok(()),
        };
        letting_go
            .and_then(|()| add(writer, &self.fields, &keys, frozen, retries, expiring))
            .and_then(|()| {
                let mut prepared = writer.prepare_commit()?;
                prepared.set_payload(&checkpoint.to_string());
                prepared.commit()?;
                self.reader.reload()
            })
            .map_err(|error| self.store.error(&error))?;
        self.notes.committed(noted);
        self.rollup_files.committed(written);
        self.projection.rolls_up(rolled_up.map(|rolled_up| rolled_up.rollup), is_rolled_up);
        self.projection.install(self.reader.searcher(), true)?;
        self.projection.lock().expired = expiring;
        self.projection.done.notify_all();
        Ok(())
    }

    /// Rewrites a segment that holds deleted documents, because tantivy's own merges may never come to it; in between,
    /// commits that are due come first. After the last one: whether no file holds a deleted document any more. An answer
    /// that is still being read keeps the files it reads.
    pub(crate) fn drop_deleted(&mut self) -> Result<Option<bool>, IndexError> {
        let failed = |error: tantivy::TantivyError| self.store.error(&error);
        let (writer, left) = match (&mut self.writer, &mut self.dropping) {
            (Some(writer), Some(left)) => (writer, left),
            _ => {
                if let Some(writer) = self.writer.take() {
                    // A merge that runs now may have begun before the deletion.
                    writer.wait_merging_threads().map_err(failed)?;
                }
                let writer = self.store.writer(
                    &self.index,
                    &self.rollup_files,
                    &self.projection.options,
                    &self.projection.merges,
                )?;
                writer.set_merge_policy(Box::new(NoMergePolicy));
                let segments = self.index.searchable_segment_metas().map_err(failed)?;
                let left = segments.iter().filter(|segment| segment.num_deleted_docs() > 0).map(|segment| segment.id());
                (self.writer.insert(writer), self.dropping.insert(left.collect()))
            }
        };
        if let Some(segment) = left.pop() {
            if let Err(error) = writer.merge(&[segment]).wait() {
                // What is left is asked for anew: this segment has to go too.
                self.dropping = None;
                return Err(failed(error));
            }
            return Ok(None);
        }
        self.dropping = None;
        if self.merges {
            writer.set_merge_policy(Store::merge_policy(&self.projection.merges));
        }
        // Older rollup files hold cells as they were before the deletion.
        self.rollup_files.renew();
        self.commit_or_retry();
        let Some(writer) = self.writer.as_mut().filter(|_| self.retry_at.is_none()) else { return Ok(Some(false)) };
        let failed = |error: tantivy::TantivyError| self.store.error(&error);
        writer.garbage_collect_files().wait().map_err(failed)?;
        self.store.has_only_what_is_committed(&self.index).map(Some).map_err(failed)
    }

    /// A commit must not cover what a power loss could take from the log.
    fn make_durable(&self, position: Position) -> Result<(), IndexError> {
        if self.log.durable() < position {
            let durable = self.log.sync()?;
            if durable < position {
                return Err(AppendError::Failed(format!("durable up to {durable} only, needed {position}")).into());
            }
        }
        Ok(())
    }

    /// Shows the segments that merges have made since the last commit.
    fn refresh(&mut self) -> Result<(), IndexError> {
        let mut now = self.index.searchable_segment_ids().map_err(|error| self.store.error(&error))?;
        let mut shown: Vec<_> =
            self.reader.searcher().segment_readers().iter().map(|segment| segment.segment_id()).collect();
        now.sort();
        shown.sort();
        if now != shown {
            self.reader.reload().map_err(|error| self.store.error(&error))?;
            self.projection.install(self.reader.searcher(), false)?;
        }
        Ok(())
    }
}

impl Drop for Indexer {
    /// A merge may be running in a thread of tantivy's. It gives up: whoever opens the index next has its files for itself.
    fn drop(&mut self) {
        self.writer.take();
        self.directory.close();
    }
}

/// What the index adds up to with a commit, and the cells that change with it.
struct RolledUp {
    rollup: Arc<Rollup>,
    changed: Vec<CellKey>,
}

/// What the index adds up to with a commit when it was `rollup` before, and the cells that change: without the documents that it deletes, which are the
/// masked ones and those of runs that expire, and with the frozen runs. `None` when there are too many cells.
fn roll_up(
    rollup: &Rollup,
    frozen: &Frozen,
    expiring: Position,
    expired: Position,
) -> Result<Option<RolledUp>, IndexError> {
    let (before, mut change) = (&frozen.before, rollup.begin_change());
    let mut gone = CellSums::of_width(rollup.width());
    before.gather_hidden(&Filter::default(), &mut gone)?;
    if expiring > expired {
        before.gather_cold(&Filter { before_position: Some(expiring), ..Filter::default() }, &mut gone)?;
    }
    change.remove(&gone);
    drop(gone);
    let mut come = CellSums::default();
    for entry in frozen.chunks.iter().flat_map(|chunk| chunk.visible(frozen.visible)) {
        if entry.run.position() >= expiring {
            come.add(&entry.run)?;
            if come.cells.by_key.len() >= CELLS_A_PIECE {
                change.add(&std::mem::take(&mut come));
            }
        }
    }
    change.add(&come);
    Ok(change.finish().map(|(rollup, changed)| RolledUp { rollup: Arc::new(rollup), changed }))
}

/// Gives the frozen runs to the writer, but for those that begin below `expiring`, which go. When `again`, a failed commit may
/// have stored them: then each replaces itself.
fn add(
    writer: &IndexWriter<ColdRun>,
    fields: &cold::Fields,
    keys: &MetadataKeys,
    frozen: &Frozen,
    again: bool,
    expiring: Position,
) -> tantivy::Result<()> {
    let mut operations = Vec::with_capacity(OPERATIONS + 1);
    for run_id in &frozen.erasing.runs {
        operations.push(UserOperation::Delete(cold::run_term(fields, *run_id)));
        if operations.len() >= OPERATIONS {
            writer.run(operations.drain(..))?;
        }
    }
    for entry in frozen.chunks.iter().flat_map(|chunk| chunk.visible(frozen.visible)) {
        if entry.late || again {
            operations.push(UserOperation::Delete(cold::run_term(fields, entry.run.run_id)));
        }
        if entry.run.position() >= expiring {
            operations.push(UserOperation::Add(ColdRun::new(*fields, Arc::clone(&entry.run), keys)));
        }
        if operations.len() >= OPERATIONS {
            writer.run(operations.drain(..))?;
        }
    }
    if !operations.is_empty() {
        writer.run(operations)?;
    }
    Ok(())
}
