//! Removing the bytes of erased runs from every file.
//!
//! In this order, so that a crash anywhere leaves an erasure that is hidden and purged again: the index commits past the
//! tombstones; the active segment is sealed when it holds one of the batches; the segments that hold them are rewritten;
//! the index rewrites its segments with deleted documents, lets its old readers go and removes their files; caches forget;
//! and only when no file of before is left, the receipt is appended.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttracer_index::{Erased, Erasure, ErasureState};
use agenttracer_model::Position;
use agenttracer_storage::disk::Disk;
use agenttracer_storage::log_record::LogRecord;
use agenttracer_storage::record::Records;
use agenttracer_storage::repair::{quarantined, remove_quarantined};
use agenttracer_storage::{
    BatchKind, Log as _, ReadError, RewriteError, Rewriting, SealedSegment, SegmentedLog, StoredBatch,
};

use crate::eraser::tombstones_of;
use crate::{EraseError, Eraser, ids};

/// Receipts of one batch.
const RECEIPTS: usize = 10_000;

/// What a step of purging came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Erasures that are purged now.
    pub erasures: usize,
    /// Segments that were rewritten.
    pub segments: usize,
    /// Batches that are gone with them.
    pub batches: u64,
    /// Why the rest has to wait: ask again later. `None` when nothing is left to do.
    pub waits: Option<String>,
}

/// Purges what an [`Eraser`] has hidden.
pub struct Purger {
    eraser: Arc<Eraser>,
    log: Arc<SegmentedLog>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl Purger {
    /// Purges the log of the data directory `dir`.
    pub fn new(eraser: Arc<Eraser>, log: Arc<SegmentedLog>, disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { eraser, log, disk, dir: dir.to_owned() }
    }

    /// Whether there is anything to purge: cheap, to be asked often.
    pub fn has_work(&self) -> bool {
        let erased = self.eraser.index().erased();
        !erased.in_state(ErasureState::Hidden).is_empty() || !erased.late().is_empty()
    }

    /// Purges everything that was hidden before the call. `pace` is called with the bytes that were read since; it waits as
    /// long as it likes, and stops the work by returning false.
    ///
    /// # Errors
    /// What failed; the erasures stay hidden, and the next call goes on.
    pub fn step(&self, pace: &mut dyn FnMut(u64) -> bool) -> Result<Purged, EraseError> {
        let index = self.eraser.index();
        let erased = index.erased();
        let (hidden, late) = (erased.in_state(ErasureState::Hidden), erased.late());
        let mut purged = Purged::default();
        if hidden.is_empty() && late.is_empty() {
            return Ok(purged);
        }
        // Before a byte goes: a start must not look for a run that only the index still had.
        let covered = index.commit_now()?.min(index.status().checkpoint);
        let is_covered = |erasure: &Erasure| erasure.hidden.is_some_and(|hidden| hidden.position < covered);
        if !hidden.iter().all(is_covered) {
            purged.waits = Some("the index does not cover the tombstones yet".to_owned());
            return Ok(purged);
        }
        for segment in self.segments(&hidden, &late)? {
            let range = segment.entry.first..segment.entry.end;
            let mut rewriting = Without { keep: Keep::of(erased.clone()), pace: &mut *pace };
            match self.log.rewrite(range, &mut rewriting) {
                Ok(rewritten) => {
                    purged.segments += 1;
                    purged.batches += rewritten.dropped;
                }
                Err(RewriteError::NotSealed(_)) => {
                    purged.waits = Some("segments were compacted meanwhile".to_owned());
                }
                Err(RewriteError::Damaged(damage)) => {
                    // The others are rewritten all the same.
                    purged.waits = Some(format!("a segment has to be repaired first: {damage}"));
                }
                Err(RewriteError::Stopped) => {
                    purged.waits = Some("it was stopped".to_owned());
                    return Ok(purged);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if purged.waits.is_some() {
            return Ok(purged);
        }
        if !index.drop_deleted()? {
            purged.waits = Some("answers that are being read keep files of the index".to_owned());
            return Ok(purged);
        }
        if let Some(file) = self.left_over()? {
            purged.waits = Some(format!("{file} is kept, as by a backup that runs"));
            return Ok(purged);
        }
        self.clear_quarantine(&hidden)?;
        self.eraser.forget();
        if erased.late().len() > late.len() {
            purged.waits = Some("more of an erased run came meanwhile".to_owned());
            return Ok(purged);
        }
        let receipts: Vec<_> = hidden
            .iter()
            .map(|erasure| LogRecord::ErasurePurged { erasure: erasure.id, digest: erasure.digest.unwrap_or_default() })
            .collect();
        for receipts in receipts.chunks(RECEIPTS) {
            self.eraser.write(receipts)?;
            purged.erasures += receipts.len();
        }
        erased.forget_late(&late);
        Ok(purged)
    }

    /// The sealed segments that hold batches of these erasures. The active one is sealed when it does.
    fn segments(&self, hidden: &[Erasure], late: &[Position]) -> Result<Vec<SealedSegment>, EraseError> {
        if self.holding(hidden, late)?.is_none() {
            self.log.seal_active()?;
        }
        Ok(self.holding(hidden, late)?.unwrap_or_default())
    }

    /// `None` when the active segment holds one.
    fn holding(&self, hidden: &[Erasure], late: &[Position]) -> Result<Option<Vec<SealedSegment>>, EraseError> {
        let sealed = self.log.sealed();
        let mut found = BTreeSet::new();
        let mut in_active = false;
        let mut look = |position: Position| -> Result<(), EraseError> {
            let at = sealed.partition_point(|segment| segment.entry.end <= position);
            if found.contains(&at) || in_active && at == sealed.len() {
                return Ok(());
            }
            match self.log.read(position) {
                Err(ReadError::NotFound(_) | ReadError::Gone { .. }) => return Ok(()),
                Ok(_) | Err(ReadError::Damaged(_)) => {}
                Err(error) => return Err(error.into()),
            }
            match at < sealed.len() {
                true => drop(found.insert(at)),
                false => in_active = true,
            }
            Ok(())
        };
        for erasure in hidden {
            for tombstones in tombstones_of(&*self.log, erasure) {
                for tombstone in tombstones?.iter().flatten() {
                    tombstone.positions.iter().try_for_each(|position| look(*position))?;
                }
            }
        }
        late.iter().try_for_each(|position| look(*position))?;
        Ok((!in_active).then(|| found.into_iter().map(|at| sealed[at].clone()).collect()))
    }

    /// Removes what repairs put aside when it is of an erased run, or may be: compressed bytes cannot be looked at.
    fn clear_quarantine(&self, hidden: &[Erasure]) -> Result<(), EraseError> {
        let failed = |source| EraseError::Io { file: self.dir.join("quarantine"), source };
        let mut put_aside = quarantined(&*self.disk, &self.dir).map_err(failed)?;
        if put_aside.is_empty() {
            return Ok(());
        }
        let mut positions = BTreeSet::new();
        for erasure in hidden {
            for tombstones in tombstones_of(&*self.log, erasure) {
                positions.extend(tombstones?.into_iter().flatten().flat_map(|tombstone| tombstone.positions));
            }
        }
        let erased = self.eraser.index().erased();
        let mut failure = None;
        put_aside.retain(|bytes| {
            bytes.compressed
                || positions.range(bytes.positions.clone()).next().is_some()
                || ids::are_in_file(&*self.disk, &bytes.path, &|run_id| erased.has(run_id)).unwrap_or_else(|error| {
                    failure.get_or_insert(error);
                    false
                })
        });
        if let Some(error) = failure {
            return Err(failed(error));
        }
        for bytes in &put_aside {
            tracing::warn!(file = %bytes.path.display(), "quarantined bytes are removed: they are of erased runs, or may be");
        }
        remove_quarantined(&*self.disk, &self.dir, &put_aside).map_err(failed)
    }

    /// A segment file that the log does not read any more, but that is still there.
    fn left_over(&self) -> Result<Option<String>, EraseError> {
        let log_dir = self.dir.join("log");
        let files = self.disk.list(&log_dir).map_err(|source| EraseError::Io { file: log_dir.clone(), source })?;
        // Listed first: a segment that is begun meanwhile is in the second list only.
        let mut known: BTreeSet<PathBuf> = self.log.sealed().into_iter().map(|segment| segment.file).collect();
        known.insert(self.log.active().file);
        let is_segment = |name: &str| name.ends_with("seg") || name.contains(".cseg");
        Ok(files
            .into_iter()
            .map(|(name, _)| name)
            .find(|name| is_segment(name) && !known.contains(&log_dir.join(name))))
    }
}

/// Tells the batches that stay when a segment is rewritten: all but those of erased runs.
pub struct Keep(Arc<Erased>);

impl Keep {
    /// What `erased` leaves.
    pub fn of(erased: Arc<Erased>) -> Self {
        Self(erased)
    }

    /// Whether the batch stays.
    pub fn keeps(&self, batch: &StoredBatch) -> bool {
        batch.kind != BatchKind::Run || Records::of(batch).map_or(true, |records| !self.0.has(records.run_id))
    }
}

struct Without<'a> {
    keep: Keep,
    pace: &'a mut dyn FnMut(u64) -> bool,
}

impl Rewriting for Without<'_> {
    fn keep(&mut self, batch: &StoredBatch) -> bool {
        self.keep.keeps(batch)
    }

    fn pace(&mut self, bytes: u64) -> bool {
        (self.pace)(bytes)
    }
}
