//! The tantivy index on disk: opening, telling whether it can be used, removing it, its writer and reader.

use std::collections::HashSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agenttracer_model::Position;
use agenttracer_storage::disk::Disk;
use tantivy::directory::error::OpenReadError;
use tantivy::error::DataCorruption;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy, MergeCandidate, MergePolicy};
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, Searcher, SegmentMeta, TantivyError};
use uuid::Uuid;

use crate::checkpoint::Checkpoint;
use crate::cold::{self, ColdRun, Fields, SCHEMA_VERSION};
use crate::directory::{MANAGED, META};
use crate::metadata_keys::MetadataKeys;
use crate::notes::{NOTES, Noted, Notes};
use crate::rollup::Rollup;
use crate::rollup::files::{self, Files};
use crate::{DiskDirectory, IndexError, Options};

/// The files of the index that tantivy's list does not name.
const OURS: [&str; 3] = [META, MANAGED, NOTES];

/// The index directory.
#[derive(Clone)]
pub(crate) struct Store {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

/// An index that can be used.
pub(crate) struct Opened {
    /// Where all of it is.
    pub(crate) directory: DiskDirectory,
    pub(crate) index: tantivy::Index,
    pub(crate) reader: IndexReader,
    pub(crate) fields: Fields,
    /// The next position the index needs.
    pub(crate) next: Position,
    /// What its checkpoint says of metadata keys.
    pub(crate) keys: MetadataKeys,
    /// Where the log tells of erasures, below `next`.
    pub(crate) notes: Notes,
    /// The cells of the last commit; `None` when they are too many.
    pub(crate) rollup: Option<Rollup>,
    pub(crate) rollup_files: Files,
}

impl Store {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_owned() }
    }

    /// What the last commit covers, whatever version wrote it; `None` when there is no index, or none that can be read.
    pub(crate) fn checkpoint(&self) -> Result<Option<Checkpoint>, IndexError> {
        if !self.exists()? {
            return Ok(None);
        }
        match self.guard(|| Ok(tantivy::Index::open(self.directory()?)?.load_metas()?.payload)) {
            Ok(payload) => Ok(payload.as_deref().and_then(Checkpoint::parse)),
            Err(Unusable::Damaged(what)) => {
                tracing::warn!(dir = %self.dir.display(), what, "the index cannot be read");
                Ok(None)
            }
            Err(Unusable::Failed(error)) => Err(error),
        }
    }

    /// Opens the index of the log with the id `log`; why not, when there is none, or none that can be used for it.
    pub(crate) fn open(&self, log: Uuid, options: &Options) -> Result<Result<Opened, String>, IndexError> {
        if !self.exists()? {
            return Ok(Err("there is none".to_owned()));
        }
        match self.guard(|| self.open_as_it_is(log, options)) {
            Ok(opened) => Ok(opened),
            Err(Unusable::Damaged(what)) => Ok(Err(what)),
            Err(Unusable::Failed(error)) => Err(error),
        }
    }

    fn open_as_it_is(&self, log: Uuid, options: &Options) -> tantivy::Result<Result<Opened, String>> {
        let (schema, fields) = cold::schema();
        let directory = self.directory()?;
        let index = tantivy::Index::open(directory.clone())?;
        let payload = index.load_metas()?.payload.unwrap_or_default();
        let Some(checkpoint) = Checkpoint::parse(&payload) else {
            return Ok(Err("no commit says what it covers".to_owned()));
        };
        if checkpoint.version != SCHEMA_VERSION || index.schema() != schema || *index.settings() != cold::settings() {
            return Ok(Err(format!("it has version {}, this program writes {SCHEMA_VERSION}", checkpoint.version)));
        }
        if checkpoint.log != log {
            return Ok(Err("it belongs to another log".to_owned()));
        }
        let reader = self.reader(&index, options)?;
        let (next, keys) = (checkpoint.next, checkpoint.metadata_keys());
        let (rollup_files, rollup) =
            self.rollup(&checkpoint, directory.clone(), &reader.searcher(), &fields, options)?;
        let notes = Notes::new(Arc::clone(&self.disk), &self.dir, checkpoint.noted);
        Ok(Ok(Opened { directory, index, reader, fields, next, keys, notes, rollup, rollup_files }))
    }

    /// The index as it lies there, of whatever version and log; `None` when there is none that can be read.
    pub(crate) fn any_index(&self) -> Result<Option<tantivy::Index>, IndexError> {
        if !self.exists()? {
            return Ok(None);
        }
        match self.guard(|| tantivy::Index::open(self.directory()?)) {
            Ok(index) => Ok(Some(index)),
            Err(Unusable::Damaged(_)) => Ok(None),
            Err(Unusable::Failed(error)) => Err(error),
        }
    }

    /// The cells that a commit names; made anew from the index when they cannot be read.
    fn rollup(
        &self,
        checkpoint: &Checkpoint,
        directory: DiskDirectory,
        searcher: &Searcher,
        fields: &Fields,
        options: &Options,
    ) -> tantivy::Result<(Files, Option<Rollup>)> {
        let max_cells = options.max_rollup_cells;
        if checkpoint.rollups_over {
            return Ok((Files::anew(directory, &[]), None));
        }
        let reason = if checkpoint.rollups.is_empty() {
            "no commit names them".to_owned()
        } else {
            match Files::read(&*self.disk, &self.dir, directory.clone(), &checkpoint.rollups, max_cells)? {
                Ok(read) => return Ok(read),
                Err(reason) => reason,
            }
        };
        if searcher.num_docs() > 0 {
            tracing::info!(dir = %self.dir.display(), reason, "the rollups are made anew from the index");
        }
        let rollup = Rollup::of_index(searcher, fields, max_cells).map_err(|error| match error {
            IndexError::Document(what) => TantivyError::DataCorruption(DataCorruption::comment_only(what)),
            error => TantivyError::SystemError(error.to_string()),
        })?;
        Ok((Files::anew(directory, &checkpoint.rollups), rollup))
    }

    /// Removes whatever is there and makes an empty index.
    pub(crate) fn create(&self, options: &Options) -> Result<Opened, IndexError> {
        self.clear().map_err(|error| self.error(&error))?;
        let (schema, fields) = cold::schema();
        let create = || {
            let directory = self.directory()?;
            let index = tantivy::Index::create(directory.clone(), schema.clone(), cold::settings())?;
            let reader = self.reader(&index, options)?;
            let notes = Notes::new(Arc::clone(&self.disk), &self.dir, Noted::default());
            let (rollup, rollup_files) =
                (Some(Rollup::empty(options.max_rollup_cells)), Files::anew(directory.clone(), &[]));
            let (next, keys) = (Position::ZERO, MetadataKeys::default());
            Ok(Opened { directory, index, reader, fields, next, keys, notes, rollup, rollup_files })
        };
        create().map_err(|error: TantivyError| self.error(&error))
    }

    /// The one writer of an index, with a merge policy for about one commit a second. Files that no commit names are
    /// removed, but for the rollups of `kept`.
    pub(crate) fn writer(
        &self,
        index: &tantivy::Index,
        kept: &Files,
        options: &Options,
        merges: &Arc<AtomicU64>,
    ) -> Result<IndexWriter<ColdRun>, IndexError> {
        let writer = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .memory_budget_per_thread(options.writer_heap_bytes)
            // One merge at a time, so that merging leaves a small machine to its requests.
            .num_merge_threads(1)
            .build();
        let writer = index.writer_with_options(writer).map_err(|error| self.error(&error))?;
        self.remove_strays(index, kept).map_err(|error| self.error(&error))?;
        // A new writer goes on counting at the stamp of the last commit, not behind it. A merge takes a segment that is up to date
        // with that commit for one that has seen a deletion with the same stamp, and the deleted document comes back. So the
        // first stamp goes to nothing.
        writer.run(Vec::new()).map_err(|error| self.error(&error))?;
        writer.set_merge_policy(Self::merge_policy(merges));
        Ok(writer)
    }

    /// Which segments are merged with each other as they come. `merges` counts those that are begun.
    pub(crate) fn merge_policy(merges: &Arc<AtomicU64>) -> Box<dyn MergePolicy> {
        let mut policy = LogMergePolicy::default();
        policy.set_min_num_segments(8);
        policy.set_min_layer_size(5_000);
        // A segment of this size is not merged again: rewriting it would take longer than it saves.
        policy.set_max_docs_before_merge(1_500_000);
        policy.set_del_docs_ratio_before_merge(0.3);
        Box::new(CountedMerges { policy, merges: Arc::clone(merges) })
    }

    /// Whether the directory holds the files of the last commit and no others.
    pub(crate) fn has_only_what_is_committed(&self, index: &tantivy::Index) -> tantivy::Result<bool> {
        let known = self.committed_files(index)?;
        Ok(self.disk.list(&self.dir)?.iter().all(|(name, _)| known.contains(Path::new(name))))
    }

    /// What the last commit names, and what always stands beside that.
    fn committed_files(&self, index: &tantivy::Index) -> tantivy::Result<HashSet<PathBuf>> {
        let metas = index.load_metas()?;
        let mut files = metas.list_segment_files();
        let checkpoint = metas.payload.as_deref().and_then(Checkpoint::parse);
        files.extend(checkpoint.into_iter().flat_map(|checkpoint| checkpoint.rollups).map(PathBuf::from));
        files.extend(OURS.map(PathBuf::from));
        Ok(files)
    }

    /// The files whose checksum does not hold.
    pub(crate) fn damaged_files(&self) -> Result<Vec<PathBuf>, IndexError> {
        if !self.exists()? {
            return Ok(Vec::new());
        }
        match self.guard(|| tantivy::Index::open(self.directory()?)?.validate_checksum()) {
            Ok(files) => {
                let mut files: Vec<_> = files.into_iter().map(|file| self.dir.join(file)).collect();
                for name in self.checkpoint()?.map(|checkpoint| checkpoint.rollups).unwrap_or_default() {
                    let file = self.dir.join(name);
                    if !files::is_whole(&*self.disk, &file).map_err(|error| self.error(&error))? {
                        files.push(file);
                    }
                }
                files.sort();
                Ok(files)
            }
            Err(Unusable::Damaged(_)) => Ok(vec![self.dir.join(META)]),
            Err(Unusable::Failed(error)) => Err(error),
        }
    }

    /// An error of the index that names its directory.
    pub(crate) fn error(&self, error: &dyn std::fmt::Display) -> IndexError {
        IndexError::Index { dir: self.dir.clone(), what: error.to_string() }
    }

    fn reader(&self, index: &tantivy::Index, options: &Options) -> tantivy::Result<IndexReader> {
        index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(options.cached_blocks)
            .try_into()
    }

    fn directory(&self) -> tantivy::Result<DiskDirectory> {
        Ok(DiskDirectory::open(Arc::clone(&self.disk), &self.dir)?)
    }

    fn exists(&self) -> Result<bool, IndexError> {
        self.disk.exists(&self.dir.join(META)).map_err(|error| self.error(&error))
    }

    /// Removes the index, if there is one.
    pub(crate) fn forget(&self) -> Result<(), IndexError> {
        match self.disk.exists(&self.dir).map_err(|error| self.error(&error))? {
            true => self.clear().map_err(|error| self.error(&error)),
            false => Ok(()),
        }
    }

    /// Removes all files, first the one that makes it an index, so that a crash in between leaves none.
    fn clear(&self) -> io::Result<()> {
        self.disk.create_dir_all(&self.dir)?;
        let mut names: Vec<String> = self.disk.list(&self.dir)?.into_iter().map(|(name, _)| name).collect();
        names.sort_by_key(|name| name != META);
        for name in names {
            self.disk.remove(&self.dir.join(name))?;
        }
        self.disk.sync_dir(&self.dir)
    }

    /// Removes the files that a crash left and that tantivy does not know of. The writer of `index` writes nothing yet.
    fn remove_strays(&self, index: &tantivy::Index, kept: &Files) -> tantivy::Result<()> {
        // The files first: one that comes into being meanwhile was listed by tantivy before.
        let files = self.disk.list(&self.dir)?;
        let mut known = index.directory().list_managed_files();
        // Should the list be older than the index, it must not cost a segment.
        known.extend(self.committed_files(index)?);
        // A commit that failed may have taken effect all the same; then those before it are still the ones to go on from.
        known.extend(kept.names().map(PathBuf::from));
        for (name, _) in files {
            if !known.contains(Path::new(&name)) {
                tracing::info!(name, "removing a file that no commit names");
                self.disk.remove(&self.dir.join(name))?;
            }
        }
        Ok(())
    }

    /// Calls tantivy, which answers some damage with a panic.
    fn guard<T>(&self, call: impl FnOnce() -> tantivy::Result<T>) -> Result<T, Unusable> {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if is_failure(&error) => Err(Unusable::Failed(self.error(&error))),
            Ok(Err(error)) => Err(Unusable::Damaged(error.to_string())),
            Err(_) => Err(Unusable::Damaged("tantivy panicked".to_owned())),
        }
    }
}

/// A merge policy whose merges are counted: tantivy begins each that it is told of.
#[derive(Debug)]
struct CountedMerges {
    policy: LogMergePolicy,
    merges: Arc<AtomicU64>,
}

impl MergePolicy for CountedMerges {
    fn compute_merge_candidates(&self, segments: &[SegmentMeta]) -> Vec<MergeCandidate> {
        let candidates = self.policy.compute_merge_candidates(segments);
        self.merges.fetch_add(candidates.len() as u64, Ordering::Relaxed);
        candidates
    }
}

enum Unusable {
    /// Derived data in doubt: it is rebuilt.
    Damaged(String),
    /// The disk or the machine failed: the data may be whole.
    Failed(IndexError),
}

fn is_failure(error: &TantivyError) -> bool {
    let is_failure = |error: &io::Error| {
        !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
    };
    match error {
        TantivyError::IoError(error) => is_failure(error),
        TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) => is_failure(io_error),
        TantivyError::OpenDirectoryError(_) | TantivyError::LockFailure(..) | TantivyError::SystemError(_) => true,
        _ => false,
    }
}
